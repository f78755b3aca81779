//! Node's `ChildProcess`.

use super::options::{SpawnOptions, Stdio};
use crate::abort::{AbortListenerId, AbortSignal};
use crate::ends::{Ends, emit_last, end_with_program};
use crate::error::Error;
use crate::events::{Emitter, EmitterEvent};
use crate::net::{Socket, event};
use crate::runtime::{Runtime, current};
use crate::tables::{emitter, identity, listening, references, weak};
use crate::thrown::{Thrown, or_rethrow};
use crate::timers::{clear_timeout, set_timeout};
use nix::errno::Errno;
use oneloop_core::KeepAlive;
use oneloop_net::Socket as NetSocket;
use oneloop_process::{Command, ExitStatus, Process};
use std::cell::{Cell, OnceCell};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;

emitter! { ChildProcess {
    /// `'spawn'`: the program runs.
    Spawned(child: ChildProcess) => on_spawn;
    /// `'exit'`: the child has ended, with this exit code or by this signal. Its streams may still
    /// hold output.
    ChildExit(child: ChildProcess, code: Option<i32>, signal: Option<i32>) => on_exit;
    /// `'close'`: the child has ended, with this exit code or by this signal, and its streams are
    /// closed.
    ChildClose(child: ChildProcess, code: Option<i32>, signal: Option<i32>) => on_close;
    /// `'error'`: the child could not be started or killed, or was aborted. Without a listener, the
    /// error is thrown.
    ChildError(child: ChildProcess, error: &'a Error) => on_error, else throws error;
} }

/// What clones of a child share.
///
/// ```text
///           spawned                     the child ends
/// start ─────────────▶ running ('spawn') ─────────────▶ ended ('exit')
///   │  ENOENT, EACCES, …                                  │ its streams are closed
///   └──────────────────▶ not started ('error') ──────────▶▼
///                                                       closed ('close')
/// ```
///
/// 'spawn', and the 'error' of a child that could not be started, come in the tick after the call.
/// 'exit' comes from the poll, and 'close' with the last of 'exit' and its streams' closes.
struct ChildState {
    runtime: Rc<Runtime>,
    events: Emitter,
    file: OsString,
    args: Vec<OsString>,
    /// None if the child could not be started.
    process: OnceCell<Process>,
    /// Keeps the program alive while the child runs, unless it is unreferenced.
    alive: Cell<Option<KeepAlive>>,
    /// True once the child has ended, or could not be started.
    has_ended: Cell<bool>,
    exit_code: Cell<Option<i32>>,
    signal_code: Cell<Option<i32>>,
    is_killed: Cell<bool>,
    stdio: OnceCell<[Option<Socket>; 3]>,
    /// The number of its streams that are open, plus one until it ends: 'close' comes at 0.
    closes_needed: Cell<u32>,
    /// The signal that kills the child, until it has ended.
    aborted_by: Cell<Option<(AbortSignal, AbortListenerId)>>,
}

/// A child process, with Node's functions and Node's order of events: see [`spawn`](super::spawn).
/// Clones are the same child; the loop keeps it until it has ended. Its streams keep the program
/// alive by themselves.
#[derive(Clone)]
#[doc(alias = "uv_process_t")]
pub struct ChildProcess {
    inner: Rc<ChildState>,
}

impl fmt::Debug for ChildProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChildProcess({:?}, {:?})", self.pid(), self.inner.file)
    }
}

/// The two ends of a stream: one for this program, one for the child.
struct Pair {
    ours: NetSocket,
    theirs: OwnedFd,
}

impl Pair {
    fn new(runtime: &Runtime) -> io::Result<Self> {
        // libuv also connects children by socket pairs (`UV_CREATE_PIPE`), not by pipes.
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?; // the child's end is another open file description
        Ok(Pair {
            ours: runtime
                .handle
                .enter(|| NetSocket::from_unix_fd(ours.into()))?,
            theirs: theirs.into(),
        })
    }
}

/// True for errors that 'error' reports. `lib/internal/child_process.js` of Node has this list; it
/// throws all others.
fn is_emitted(error: &io::Error) -> bool {
    let emitted = [
        Errno::EACCES,
        Errno::EAGAIN,
        Errno::EMFILE,
        Errno::ENFILE,
        Errno::ENOENT,
    ];
    let number = error.raw_os_error();
    emitted.iter().any(|errno| number == Some(*errno as i32))
}

listening!(ChildProcess, EmitterEvent);
references!(ChildProcess, "the child runs");
identity!(ChildProcess);
weak!(WeakChildProcess of ChildProcess with ChildState);

impl ChildProcess {
    #[track_caller]
    pub(super) fn start(
        file: OsString,
        args: Vec<OsString>,
        options: SpawnOptions,
    ) -> Result<Self, Error> {
        let child = ChildProcess {
            inner: Rc::new(ChildState {
                runtime: current(),
                events: Emitter::new(),
                file,
                args,
                process: OnceCell::new(),
                alive: Cell::new(None),
                has_ended: Cell::new(false),
                exit_code: Cell::new(None),
                signal_code: Cell::new(None),
                is_killed: Cell::new(false),
                stdio: OnceCell::new(),
                closes_needed: Cell::new(1),
                aborted_by: Cell::new(None),
            }),
        };
        end_with_program(&child.inner.runtime, &child.inner);
        let triggers = KillTriggers {
            timeout_ms: options.timeout_ms,
            kill_signal: options.kill_signal,
            signal: options.signal.clone(),
        };
        // In the next tick, as in Node, so that listeners can be added to the child that is
        // returned.
        match child.spawn(options) {
            Ok(()) => child.next_call(|child| child.emit(Spawned, child.clone()).map(drop)),
            Err(error) if is_emitted(&error) => {
                child.next_call(|child| child.emit_not_started(error));
            }
            Err(error) => {
                // The caller gets no child whose streams it could close. Node closes them as well.
                child.destroy_streams();
                return Err(Error::spawn(&child.inner.file, error));
            }
        }
        child.arm_kill(triggers);
        Ok(child)
    }

    fn spawn(&self, options: SpawnOptions) -> io::Result<()> {
        let mut command = self.command(&options);
        let mut streams = [const { None }; 3];
        let places = [Command::stdin, Command::stdout, Command::stderr];
        for ((stdio, stream), set) in options.stdio.into_iter().zip(&mut streams).zip(places) {
            let theirs = match stdio {
                Stdio::Pipe => {
                    let pair = Pair::new(&self.inner.runtime)?;
                    *stream = Some(pair.ours);
                    pair.theirs.into()
                }
                Stdio::Ignore => std::process::Stdio::null(),
                Stdio::Inherit => std::process::Stdio::inherit(),
                Stdio::Fd(fd) => fd.into(),
            };
            set(&mut command, theirs);
        }
        // Before the loop runs (`enter`), no loop is current.
        let spawned = self.inner.runtime.handle.enter(|| command.spawn());
        // The command holds the child's ends. While they are open here, ours never read an end.
        drop(command);
        // As in Node, a child that could not be started has streams as well; ours read their ends
        // at once.
        self.open(streams);
        self.watch(spawned?.process().clone());
        Ok(())
    }

    fn open(&self, [stdin, stdout, stderr]: [Option<NetSocket>; 3]) {
        let runtime = &self.inner.runtime;
        // Node never reads a child's standard input, and 'close' does not wait for it.
        let stdin = stdin.map(|socket| Socket::write_only(Rc::clone(runtime), socket));
        let [stdout, stderr] = [stdout, stderr].map(|socket| {
            let stream = Socket::from_connected(socket?, Default::default());
            self.await_close(&stream);
            Some(stream)
        });
        let _ = self.inner.stdio.set([stdin, stdout, stderr]);
    }

    fn destroy_streams(&self) {
        let streams = [self.stdin(), self.stdout(), self.stderr()];
        for stream in streams.into_iter().flatten() {
            stream.destroy();
        }
    }

    fn command(&self, options: &SpawnOptions) -> Command {
        let mut command = Command::new(&self.inner.file);
        command.args(&self.inner.args).detached(options.detached);
        if let Some(cwd) = &options.cwd {
            command.current_dir(cwd);
        }
        if let Some(env) = &options.env {
            command.env_clear().envs(env.iter().cloned());
        }
        if let Some(argv0) = &options.argv0 {
            command.arg0(argv0);
        }
        if let Some(gid) = options.gid {
            command.gid(gid);
        }
        if let Some(uid) = options.uid {
            command.uid(uid);
        }
        command
    }

    /// Waits for the child's end, which is reported in the poll phase.
    fn watch(&self, process: Process) {
        let handle = &self.inner.runtime.handle;
        self.inner.alive.set(Some(handle.keep_alive()));
        let child = self.clone();
        let ended = process.clone();
        handle.spawn_detached(async move {
            // Unreferenced: `alive` decides whether the child keeps the program alive.
            let status = ended.wait_unreferenced().await;
            let runtime = &child.inner.runtime;
            runtime.make_callback(|| child.emit_exit(status));
        });
        let _ = self.inner.process.set(process);
    }

    fn await_close(&self, stream: &Socket) {
        let closes = &self.inner.closes_needed;
        closes.set(closes.get() + 1);
        let child = self.clone();
        stream.once(event::Close, move |_: (Socket, bool)| child.note_close());
    }

    /// The child or one of its streams has closed. The last of them emits 'close'.
    fn note_close(&self) -> Result<(), Thrown> {
        let closes = &self.inner.closes_needed;
        closes.set(closes.get() - 1);
        if closes.get() > 0 {
            return Ok(());
        }
        let args = (self.clone(), self.exit_code(), self.signal_code());
        let inner = &self.inner;
        emit_last(&inner.runtime, inner, &inner.events, ChildClose, args)
    }

    fn next_call(&self, f: impl FnOnce(&ChildProcess) -> Result<(), Thrown> + 'static) {
        self.inner.runtime.next_call(self, f);
    }

    fn emit<E: EmitterEvent>(&self, event: E, args: E::Args<'_>) -> Result<bool, Thrown> {
        self.inner.events.emit(event, args)
    }

    fn emit_exit(&self, status: io::Result<ExitStatus>) -> Result<(), Thrown> {
        self.on_ended();
        match status {
            Ok(status) => {
                self.inner.exit_code.set(status.code());
                self.inner.signal_code.set(status.signal());
                let (code, signal) = (self.exit_code(), self.signal_code());
                self.emit(ChildExit, (self.clone(), code, signal))?;
            }
            // Another part of this process has reaped the child. Node handles SIGCHLD by itself and
            // never loses a status, so it has no such event.
            Err(error) => {
                self.emit(ChildError, (self.clone(), &error.into()))?;
            }
        }
        self.flush()
    }

    fn emit_not_started(&self, error: io::Error) -> Result<(), Thrown> {
        let error = Error::spawn(&self.inner.file, error);
        self.inner.exit_code.set(error.errno());
        self.on_ended();
        self.emit(ChildError, (self.clone(), &error))?;
        self.flush()
    }

    /// The child has ended, or could not be started.
    fn on_ended(&self) {
        self.inner.has_ended.set(true);
        self.inner.stop_listening_to_signal();
        drop(self.inner.alive.take());
        // Node's `onexit` does so: no process reads it any more.
        if let Some(stdin) = self.stdin() {
            stdin.destroy();
        }
    }

    /// Reads streams without a listener to their ends, so that they close: Node's `flushStdio`.
    fn flush(&self) -> Result<(), Thrown> {
        // In a tick, so that a listener of 'exit' can attach to the streams first.
        self.next_call(|child| {
            // Only those that are still readable: a listener may have destroyed them.
            for stream in [child.stdout(), child.stderr()].into_iter().flatten() {
                if stream.is_readable() {
                    stream.resume();
                }
            }
            Ok(())
        });
        self.note_close()
    }

    /// Sends the child a signal. Returns false if the child has ended.
    ///
    /// # Errors
    /// `EINVAL` for a number that is no signal. 'error' reports any other failure.
    ///
    /// # Panics
    /// When a listener of 'error' throws, with its error.
    pub fn kill(&self, signal: i32) -> Result<bool, Error> {
        let Some(process) = self
            .inner
            .process
            .get()
            .filter(|_| !self.inner.has_ended.get())
        else {
            return Ok(false);
        };
        match process.signal(signal) {
            Ok(()) => {
                self.inner.is_killed.set(true);
                Ok(true)
            }
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                // The child has ended, and the poll has not reported that yet.
                Some(Errno::ESRCH) => Ok(false),
                // Node throws EINVAL, and emits every other error.
                Some(Errno::EINVAL) => Err(Error::system("kill", error)),
                _ => {
                    let error = Error::system("kill", error);
                    or_rethrow(self.emit(ChildError, (self.clone(), &error)));
                    Ok(false)
                }
            },
        }
    }

    /// Kills the child when its timeout fires, or when the signal is aborted.
    fn arm_kill(&self, triggers: KillTriggers) {
        // A timer of this style and not of the core: it keeps its order among the program's timers.
        if triggers.timeout_ms > 0.0 {
            let (child, signal) = (self.clone(), triggers.kill_signal);
            let timeout = set_timeout(move || child.kill(signal).map(drop), triggers.timeout_ms);
            self.once(ChildExit, move |_: (ChildProcess, _, _)| {
                clear_timeout(timeout)
            });
        }
        if let Some(signal) = triggers.signal {
            self.kill_on_abort(signal, triggers.kill_signal);
        }
    }

    fn kill_on_abort(&self, signal: AbortSignal, kill_signal: i32) {
        let child = self.clone();
        if signal.is_aborted() {
            // In a tick, so that 'error' finds its listeners.
            return child.next_call(move |child| child.abort(kill_signal));
        }
        let listening = signal.on_abort(move |_| child.abort(kill_signal));
        // The signal may outlive many children: their listeners must not stay.
        self.inner.aborted_by.set(Some((signal, listening)));
    }

    fn abort(&self, kill_signal: i32) -> Result<(), Thrown> {
        if self.kill(kill_signal)? {
            self.emit(ChildError, (self.clone(), &Error::abort()))?;
        }
        Ok(())
    }

    fn set_referenced(&self, referenced: bool) {
        let is_running = self.inner.process.get().is_some() && !self.inner.has_ended.get();
        // Node ignores `ref` once the child has ended.
        let alive = (referenced && is_running).then(|| self.inner.runtime.handle.keep_alive());
        drop(self.inner.alive.replace(alive));
    }

    /// The process ID; None if the child could not be started.
    pub fn pid(&self) -> Option<u32> {
        Some(self.inner.process.get()?.id())
    }

    /// The process, for code of other styles that waits for it.
    pub fn process(&self) -> Option<&Process> {
        self.inner.process.get()
    }

    /// The program: `child.spawnfile`.
    pub fn spawn_file(&self) -> &OsStr {
        &self.inner.file
    }

    /// The arguments: `child.spawnargs` without the first one.
    pub fn spawn_args(&self) -> &[OsString] {
        &self.inner.args
    }

    /// The child's standard input, if it is a pipe.
    pub fn stdin(&self) -> Option<Socket> {
        self.stream(0)
    }

    /// The child's standard output, if it is a pipe.
    pub fn stdout(&self) -> Option<Socket> {
        self.stream(1)
    }

    /// The child's standard error, if it is a pipe.
    pub fn stderr(&self) -> Option<Socket> {
        self.stream(2)
    }

    fn stream(&self, number: usize) -> Option<Socket> {
        self.inner.stdio.get()?[number].clone()
    }

    /// The exit code of a child that has exited; a negative error number if it could not be
    /// started.
    pub fn exit_code(&self) -> Option<i32> {
        self.inner.exit_code.get()
    }

    /// The signal that has ended the child.
    pub fn signal_code(&self) -> Option<i32> {
        self.inner.signal_code.get()
    }

    /// True once [`kill`](ChildProcess::kill) has sent a signal, whether or not it ended the child.
    pub fn is_killed(&self) -> bool {
        self.inner.is_killed.get()
    }
}

impl ChildState {
    fn stop_listening_to_signal(&self) {
        if let Some((signal, listening)) = self.aborted_by.take() {
            signal.off(listening);
        }
    }
}

impl Ends for ChildState {
    fn end(&self) {
        self.stop_listening_to_signal();
        self.events.end();
    }
}

/// The events that kill a child before it ends by itself.
struct KillTriggers {
    timeout_ms: f64,
    kill_signal: i32,
    signal: Option<AbortSignal>,
}
