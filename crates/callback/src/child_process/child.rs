//! A child as Node has it: `ChildProcess`.

use super::options::{SpawnOptions, Stdio};
use crate::abort::AbortSignal;
use crate::error::Error;
use crate::events::{Emitter, Event};
use crate::net::{Socket, event};
use crate::runtime::{Runtime, current};
use crate::tables::{emitter, listening, references};
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
struct Inner {
    runtime: Rc<Runtime>,
    events: Emitter,
    file: OsString,
    args: Vec<OsString>,
    /// None if it could not be started.
    process: OnceCell<Process>,
    /// While the program waits for it.
    alive: Cell<Option<KeepAlive>>,
    is_over: Cell<bool>,
    exit_code: Cell<Option<i32>>,
    signal_code: Cell<Option<i32>>,
    is_killed: Cell<bool>,
    stdio: OnceCell<[Option<Socket>; 3]>,
    /// How many of its streams, and itself, have not closed.
    closes_needed: Cell<u32>,
}

/// A child process, in Node's words and with Node's order of events. Clones are the same one; it
/// lives by itself until it has ended.
#[derive(Clone)]
pub struct ChildProcess {
    inner: Rc<Inner>,
}

impl fmt::Debug for ChildProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChildProcess({:?}, {:?})", self.pid(), self.inner.file)
    }
}

/// Our end of a stream, and the child's.
struct Pair {
    ours: NetSocket,
    theirs: OwnedFd,
}

impl Pair {
    fn new(runtime: &Runtime) -> io::Result<Self> {
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

/// What cannot be started is no exception: `child_process.js` of Node has this list.
fn is_told_by_an_event(error: &io::Error) -> bool {
    let told = [
        Errno::EACCES,
        Errno::EAGAIN,
        Errno::EMFILE,
        Errno::ENFILE,
        Errno::ENOENT,
    ];
    let number = error.raw_os_error();
    told.iter().any(|errno| number == Some(*errno as i32))
}

listening!(ChildProcess, Event);
references!(
    ChildProcess,
    "the child runs; its streams keep the program alive by themselves"
);

impl ChildProcess {
    #[track_caller]
    pub(super) fn start(
        file: OsString,
        args: Vec<OsString>,
        options: SpawnOptions,
    ) -> Result<Self, Error> {
        let child = ChildProcess {
            inner: Rc::new(Inner {
                runtime: current(),
                events: Emitter::new(),
                file,
                args,
                process: OnceCell::new(),
                alive: Cell::new(None),
                is_over: Cell::new(false),
                exit_code: Cell::new(None),
                signal_code: Cell::new(None),
                is_killed: Cell::new(false),
                stdio: OnceCell::new(),
                closes_needed: Cell::new(1),
            }),
        };
        let terms = Terms {
            timeout_ms: options.timeout_ms,
            kill_signal: options.kill_signal,
            signal: options.signal.clone(),
        };
        match child.spawn(options) {
            Ok(()) => child.next_tick(|child| child.emit(Spawned, child.clone()).map(drop)),
            Err(error) if is_told_by_an_event(&error) => {
                child.next_tick(|child| child.tell_not_started(error));
            }
            Err(error) => return Err(Error::spawn(&child.inner.file, error)),
        }
        child.keep(terms);
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
        let spawned = command.spawn();
        drop(command); // and with it the child's ends of its streams
        // Where nothing was started there are streams all the same, as in Node: at their ends.
        self.open(streams);
        self.watch(spawned?.process().clone());
        Ok(())
    }

    fn open(&self, [stdin, stdout, stderr]: [Option<NetSocket>; 3]) {
        let runtime = &self.inner.runtime;
        let stdin = stdin.map(|socket| Socket::write_only(Rc::clone(runtime), socket));
        let [stdout, stderr] = [stdout, stderr].map(|socket| {
            let stream = Socket::from_connected(socket?, Default::default());
            self.await_close(&stream);
            Some(stream)
        });
        let _ = self.inner.stdio.set([stdin, stdout, stderr]);
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

    /// Hears of its end in the poll phase.
    fn watch(&self, process: Process) {
        let handle = &self.inner.runtime.handle;
        self.inner.alive.set(Some(handle.keep_alive()));
        let child = self.clone();
        let ended = process.clone();
        handle.spawn_detached(async move {
            let status = ended.wait_unreferenced().await;
            let runtime = &child.inner.runtime;
            runtime.make_callback(|| child.tell_exit(status));
        });
        let _ = self.inner.process.set(process);
    }

    fn await_close(&self, stream: &Socket) {
        let closes = &self.inner.closes_needed;
        closes.set(closes.get() + 1);
        let child = self.clone();
        stream.once(event::Close, move |_: (Socket, bool)| child.note_close());
    }

    /// One less; the last one is told.
    fn note_close(&self) -> Result<(), Thrown> {
        let closes = &self.inner.closes_needed;
        closes.set(closes.get() - 1);
        if closes.get() > 0 {
            return Ok(());
        }
        self.emit(
            ChildClose,
            (self.clone(), self.exit_code(), self.signal_code()),
        )
        .map(drop)
    }

    fn next_tick(&self, f: impl FnOnce(&ChildProcess) -> Result<(), Thrown> + 'static) {
        self.inner.runtime.next_call(self, f);
    }

    fn emit<E: Event>(&self, event: E, args: E::Args<'_>) -> Result<bool, Thrown> {
        self.inner.events.emit(event, args)
    }

    fn tell_exit(&self, status: io::Result<ExitStatus>) -> Result<(), Thrown> {
        self.let_go();
        match status {
            Ok(status) => {
                self.inner.exit_code.set(status.code());
                self.inner.signal_code.set(status.signal());
                let (code, signal) = (self.exit_code(), self.signal_code());
                self.emit(ChildExit, (self.clone(), code, signal))?;
            }
            // Not in Node, which handles SIGCHLD and so never loses a status.
            Err(error) => {
                self.emit(ChildError, (self.clone(), &error.into()))?;
            }
        }
        self.flush()
    }

    fn tell_not_started(&self, error: io::Error) -> Result<(), Thrown> {
        let error = Error::spawn(&self.inner.file, error);
        self.inner.exit_code.set(error.errno());
        self.let_go();
        self.emit(ChildError, (self.clone(), &error))?;
        self.flush()
    }

    /// It is no more.
    fn let_go(&self) {
        self.inner.is_over.set(true);
        drop(self.inner.alive.take());
        if let Some(stdin) = self.stdin() {
            stdin.destroy();
        }
    }

    /// Streams that nobody has touched are read to their ends, so that they close.
    fn flush(&self) -> Result<(), Thrown> {
        self.next_tick(|child| {
            for stream in [child.stdout(), child.stderr()].into_iter().flatten() {
                if stream.is_readable() {
                    stream.resume();
                }
            }
            Ok(())
        });
        self.note_close()
    }

    /// Sends it a signal. True if there was somebody to get it.
    ///
    /// # Errors
    /// `EINVAL` for what is no signal. What else goes wrong is told by 'error'.
    ///
    /// # Panics
    /// When a listener of 'error' throws, with what it throws.
    pub fn kill(&self, signal: i32) -> Result<bool, Error> {
        let Some(process) = self
            .inner
            .process
            .get()
            .filter(|_| !self.inner.is_over.get())
        else {
            return Ok(false);
        };
        match process.signal(signal) {
            Ok(()) => {
                self.inner.is_killed.set(true);
                Ok(true)
            }
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ESRCH) => Ok(false),
                Some(Errno::EINVAL) => Err(Error::system("kill", error)),
                _ => {
                    let error = Error::system("kill", error);
                    or_rethrow(self.emit(ChildError, (self.clone(), &error)));
                    Ok(false)
                }
            },
        }
    }

    /// Ends it when its time is over, or when it is aborted.
    fn keep(&self, terms: Terms) {
        if terms.timeout_ms > 0.0 {
            let (child, signal) = (self.clone(), terms.kill_signal);
            let timeout = set_timeout(move || child.kill(signal).map(drop), terms.timeout_ms);
            self.once(ChildExit, move |_: (ChildProcess, _, _)| {
                clear_timeout(timeout)
            });
        }
        if let Some(signal) = terms.signal {
            self.kill_on_abort(signal, terms.kill_signal);
        }
    }

    fn kill_on_abort(&self, signal: AbortSignal, kill_signal: i32) {
        let child = self.clone();
        if signal.is_aborted() {
            return child.next_tick(move |child| child.abort(kill_signal));
        }
        let listening = signal.on_abort(move |_| child.abort(kill_signal));
        self.once(ChildExit, move |_: (ChildProcess, _, _)| {
            signal.off(listening)
        });
    }

    fn abort(&self, kill_signal: i32) -> Result<(), Thrown> {
        if self.kill(kill_signal)? {
            self.emit(ChildError, (self.clone(), &Error::abort()))?;
        }
        Ok(())
    }

    fn set_referenced(&self, referenced: bool) {
        let is_running = self.inner.process.get().is_some() && !self.inner.is_over.get();
        let alive = (referenced && is_running).then(|| self.inner.runtime.handle.keep_alive());
        drop(self.inner.alive.replace(alive));
    }

    /// Its number; none if it could not be started.
    pub fn pid(&self) -> Option<u32> {
        Some(self.inner.process.get()?.id())
    }

    /// The process, for other styles to wait for it.
    pub fn process(&self) -> Option<&Process> {
        self.inner.process.get()
    }

    /// Which program: `child.spawnfile`.
    pub fn spawn_file(&self) -> &OsStr {
        &self.inner.file
    }

    /// Its arguments: `child.spawnargs`, but for the first one.
    pub fn spawn_args(&self) -> &[OsString] {
        &self.inner.args
    }

    /// What the child reads, if that is a pipe.
    pub fn stdin(&self) -> Option<Socket> {
        self.stream(0)
    }

    /// What the child prints, if that goes into a pipe.
    pub fn stdout(&self) -> Option<Socket> {
        self.stream(1)
    }

    /// What the child prints as its errors, if that goes into a pipe.
    pub fn stderr(&self) -> Option<Socket> {
        self.stream(2)
    }

    fn stream(&self, number: usize) -> Option<Socket> {
        self.inner.stdio.get()?[number].clone()
    }

    /// By which code it has ended; a negative error number if it could not be started.
    pub fn exit_code(&self) -> Option<i32> {
        self.inner.exit_code.get()
    }

    /// By which signal it has ended.
    pub fn signal_code(&self) -> Option<i32> {
        self.inner.signal_code.get()
    }

    /// True once [`kill`](ChildProcess::kill) has sent a signal, of whatever effect.
    pub fn is_killed(&self) -> bool {
        self.inner.is_killed.get()
    }
}

/// What ends it before it ends.
struct Terms {
    timeout_ms: f64,
    kill_signal: i32,
    signal: Option<AbortSignal>,
}
