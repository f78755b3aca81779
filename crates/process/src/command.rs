//! A program to start, with its limits.

use crate::before_exec::{BeforeExec, PassedFds, Steps};
use crate::child::Child;
use crate::execute::{ErrorSender, HiddenSettings, Image};
use crate::output::Output;
use crate::process::{Process, Terms};
use crate::{family, orphans, pidfd};
use oneloop_core::Handle;
use rustix::thread::{Gid, Uid};
use std::ffi::{CString, OsStr};
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::panic::{self, AssertUnwindSafe, Location};
use std::path::{self, Path, PathBuf};
use std::pin::Pin;
use std::process::{self, ExitStatus, Stdio};
use std::time::Duration;

/// A program to start, with the methods of [`std::process::Command`] and a few more.
///
/// A command can be spawned any number of times. As with the standard library, the child starts
/// with the default action of `SIGPIPE` and the default signal mask. A command can also be made
/// [from](From) one of the standard library. [`output`](CommandIn::output) then captures standard
/// streams that were set before the conversion; set them again to prevent it.
///
/// Each style has its own name for this type. They differ in what [`spawn`](CommandIn::spawn),
/// [`status`](CommandIn::status) and [`output`](CommandIn::output) return.
#[doc(alias("Command", "Popen", "subprocess", "uv_spawn"))]
#[doc(alias = "create_subprocess_exec")]
pub struct CommandIn<S> {
    style: PhantomData<S>,
    command: process::Command,
    /// `None` for a command that was made from one of the standard library.
    hidden: Option<HiddenSettings>,
    before_exec: BeforeExec,
    /// What the child gets from fd 3 on.
    fds: Vec<OwnedFd>,
    /// A variable was asked for that only a command of our own can set.
    needs_own_environment: bool,
    dir: Option<PathBuf>,
    group: Option<i32>,
    /// Whether standard input, output and error were set.
    is_stdio_set: [bool; 3],
    /// What [`CommandIn::output`] writes to the child.
    input: Vec<u8>,
    leads_group: bool,
    kill_on_drop: bool,
    timeout: Option<Duration>,
    kill_signal: i32,
    /// The maximum number of bytes kept of standard output, and of standard error.
    output_bytes_max: usize,
}

/// A program to start, in the async style. Its methods are on [`CommandIn`].
///
/// ```
/// use oneloop::aio::{block_on, process::Command};
/// let output = block_on(Command::new("echo").arg("hello").output())?;
/// assert_eq!(output.stdout, b"hello\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub type Command = CommandIn<Awaited>;

/// The types of a style for a child, and for a wait.
pub trait Style {
    /// A child in this style.
    type Child: From<Child>;
    /// What a method that waits for a `T` returns: a future, or the result itself.
    type Returned<'a, T: 'a>;

    /// Waits as this style does.
    fn wait<'a, T: 'a>(future: impl Future<Output = io::Result<T>> + 'a) -> Self::Returned<'a, T>;
}

/// The async style: a wait is a future.
#[derive(Debug)]
pub enum Awaited {}

impl Style for Awaited {
    type Child = Child;
    type Returned<'a, T: 'a> = Pin<Box<dyn Future<Output = io::Result<T>> + 'a>>;

    fn wait<'a, T: 'a>(future: impl Future<Output = io::Result<T>> + 'a) -> Self::Returned<'a, T> {
        Box::pin(future)
    }
}

impl<S> fmt::Debug for CommandIn<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.fmt(f)
    }
}

impl<S> From<process::Command> for CommandIn<S> {
    fn from(command: process::Command) -> Self {
        CommandIn {
            style: PhantomData,
            command,
            hidden: None,
            before_exec: BeforeExec::default(),
            fds: Vec::new(),
            needs_own_environment: false,
            dir: None,
            group: None,
            is_stdio_set: [false; 3],
            input: Vec::new(),
            leads_group: false,
            kill_on_drop: false,
            timeout: None,
            kill_signal: libc::SIGKILL,
            output_bytes_max: usize::MAX,
        }
    }
}

/// The methods of [`std::process::Command`].
impl<S> CommandIn<S> {
    /// Creates a command for a program, by its path, or by its name, which is searched for in
    /// `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        CommandIn {
            hidden: Some(HiddenSettings::default()),
            ..CommandIn::from(process::Command::new(program))
        }
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.command.args(args);
        self
    }

    /// Sets the first argument of the program (`argv[0]`), which is its name by default.
    pub fn arg0(&mut self, arg0: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg0(&arg0);
        if let Some(hidden) = &mut self.hidden {
            hidden.arg0 = Some(arg0.as_ref().to_owned());
        }
        self
    }

    /// Sets a variable of the child's environment.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.command.env(name, value);
        self
    }

    /// Sets variables of the child's environment.
    pub fn envs(
        &mut self,
        vars: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Self {
        self.command.envs(vars);
        self
    }

    /// Removes a variable from the child's environment.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.command.env_remove(name);
        self
    }

    /// Empties the child's environment. Variables that are set later stay.
    pub fn env_clear(&mut self) -> &mut Self {
        self.command.env_clear();
        if let Some(hidden) = &mut self.hidden {
            hidden.clears_env = true;
        }
        self
    }

    /// Sets the working directory of the child. As in the standard library, it is unspecified
    /// whether a relative path of the program starts there.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Sets the child's standard input: [`Stdio::piped`], [`Stdio::inherit`], [`Stdio::null`], or
    /// any fd.
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.command.stdin(stdio);
        self.is_stdio_set[0] = true;
        self
    }

    /// Sets the child's standard output: see [`CommandIn::stdin`].
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.command.stdout(stdio);
        self.is_stdio_set[1] = true;
        self
    }

    /// Sets the child's standard error: see [`CommandIn::stdin`].
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.command.stderr(stdio);
        self.is_stdio_set[2] = true;
        self
    }

    /// Puts the child into a process group. 0 makes a new one, which
    /// [`signal_group`](Process::signal_group) signals.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.group = Some(group);
        self.leads_group = group == 0;
        self
    }

    /// Converts the command to another style.
    pub fn into_style<T>(self) -> CommandIn<T> {
        CommandIn {
            style: PhantomData,
            command: self.command,
            hidden: self.hidden,
            before_exec: self.before_exec,
            fds: self.fds,
            needs_own_environment: self.needs_own_environment,
            dir: self.dir,
            group: self.group,
            is_stdio_set: self.is_stdio_set,
            input: self.input,
            leads_group: self.leads_group,
            kill_on_drop: self.kill_on_drop,
            timeout: self.timeout,
            kill_signal: self.kill_signal,
            output_bytes_max: self.output_bytes_max,
        }
    }

    /// Returns the command of the standard library, with the program, its arguments and its
    /// environment.
    pub fn as_std(&self) -> &process::Command {
        &self.command
    }
}

/// Steps between `fork(2)` and `exec(2)`. With one of these, `posix_spawn(3)` cannot be used:
/// [`CommandIn::spawn`] says what that costs.
impl<S> CommandIn<S> {
    /// Sets the user id of the child. If this program runs as root, the child loses the
    /// supplementary groups, unless [`groups`](CommandIn::groups) sets them.
    pub fn uid(&mut self, uid: u32) -> &mut Self {
        let uid = Uid::from_raw(uid);
        self.before_exec
            .change(&mut self.command, |steps| steps.uid = Some(uid));
        self
    }

    /// Sets the group id of the child.
    pub fn gid(&mut self, gid: u32) -> &mut Self {
        let gid = Gid::from_raw(gid);
        self.before_exec
            .change(&mut self.command, |steps| steps.gid = Some(gid));
        self
    }

    /// Sets the supplementary groups of the child.
    pub fn groups(&mut self, groups: &[u32]) -> &mut Self {
        let groups = groups.iter().copied().map(Gid::from_raw).collect();
        self.before_exec
            .change(&mut self.command, |steps| steps.groups = Some(groups));
        self
    }

    /// Sets the child's soft limit of open files (`RLIMIT_NOFILE`). A program that raised its own
    /// limit sets this to the usual one, for children that use `select(2)` or close every possible
    /// fd. If `count` exceeds the hard limit, the spawn fails.
    pub fn open_files_max(&mut self, count: u64) -> &mut Self {
        self.before_exec.change(&mut self.command, |steps| {
            steps.open_files_max = Some(count)
        });
        self
    }

    /// Passes fds to the child, with the numbers from 3 on, in this order. The open files are shared:
    /// a position or `O_NONBLOCK` that the child sets changes here as well. The command keeps the
    /// fds, for further spawns, until it is dropped.
    ///
    /// With two variables more, this is how a service manager passes listening sockets
    /// (`sd_listen_fds(3)`):
    ///
    /// ```
    /// use oneloop::aio::{block_on, process::Command};
    /// use std::net::TcpListener;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut server = Command::new("sh");
    /// server.args(["-c", "test -S /dev/fd/3 && test $LISTEN_PID = $$"]);
    /// server.env("LISTEN_FDS", "1").env_id("LISTEN_PID").pass_fds([listener.into()]);
    /// assert!(block_on(server.status())?.success());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias("ExtraFiles", "fd_mappings"))]
    pub fn pass_fds(&mut self, fds: impl IntoIterator<Item = OwnedFd>) -> &mut Self {
        self.fds = fds.into_iter().collect();
        self.before_exec.change(&mut self.command, |_| ());
        self
    }

    /// Sets a variable of the child's environment to the child's process id, as `LISTEN_PID` and
    /// `WATCHDOG_PID` of `sd_listen_fds(3)` need it. There is one such variable; a second call
    /// replaces the first. A [`spawn`](CommandIn::spawn) fails with
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the command was made from one of the standard
    /// library, whose environment is fixed before the fork.
    pub fn env_id(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        match &mut self.hidden {
            Some(hidden) => hidden.id_variable = Some(name.as_ref().to_owned()),
            None => self.needs_own_environment = true,
        }
        self.before_exec.change(&mut self.command, |_| ());
        self
    }

    /// Starts the child in a new session (`setsid(2)`), without a terminal, and never kills it on
    /// drop: Node's `detached`. Do not combine it with [`process_group`](CommandIn::process_group).
    pub fn detached(&mut self, detached: bool) -> &mut Self {
        if detached || self.before_exec.is_hooked() {
            self.before_exec
                .change(&mut self.command, |steps| steps.new_session = detached);
        }
        self
    }
}

/// When the child is killed, and its input.
impl<S> CommandIn<S> {
    /// Kills the child if its [`Child`] is dropped before it has ended. The loop still reaps it.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Self {
        self.kill_on_drop = kill;
        self
    }

    /// Kills the child after it has run for `timeout`. [`Process::killed_for`] and
    /// [`Output::killed_for`] then return the reason.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the signal for a timeout and for too much output. The default is `SIGKILL`. A child
    /// that handles another signal may continue.
    pub fn kill_signal(&mut self, number: i32) -> &mut Self {
        self.kill_signal = number;
        self
    }

    /// Sets what [`CommandIn::output`] writes to the child's standard input.
    pub fn input(&mut self, input: impl Into<Vec<u8>>) -> &mut Self {
        self.input = input.into();
        self
    }

    /// Sets the maximum number of bytes that [`CommandIn::output`] and [`Child::communicate`] keep
    /// of standard output, and of standard error. A child that writes more is killed. By default
    /// there is no limit.
    pub fn max_output_bytes(&mut self, bytes: usize) -> &mut Self {
        self.output_bytes_max = bytes;
        self
    }
}

impl<S: Style> CommandIn<S> {
    /// Starts the program, on the current loop. Standard streams that were not set are inherited.
    ///
    /// It blocks the loop until the child executes the program: 0.1 ms by `posix_spawn(3)`,
    /// whatever the size of this program. Steps [before exec](CommandIn::detached) need `fork(2)`,
    /// which copies page tables: 0.3 ms in a small program, 12 ms in one of 256 MB, 70 ms in one of
    /// 1 GB. Forking on another thread would not help much: page faults of the loop would wait for
    /// the same lock.
    ///
    /// # Errors
    /// Those of `exec(2)`: `ENOENT`, `EACCES`; `EAGAIN` if there are too many processes; `EMFILE`,
    /// before anything is started; [`Unsupported`](io::ErrorKind::Unsupported) if a sandbox refuses
    /// every system call that waits for a child.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<S::Child> {
        self.start(Location::caller()).map(Into::into)
    }

    #[track_caller]
    fn start(&mut self, at: &'static Location<'static>) -> io::Result<Child> {
        let handle = Handle::current();
        // Each spawn reaps the zombies of loops that are gone, so that they do not pile up.
        orphans::reap();
        handle.chaos_file_shortage()?;
        let reserved = pidfd::reserve()?;
        // Until the child is in the list of our own, `reap_adopted` must not run: it would reap it.
        let starting = family::starting();
        let mut child = self.execute()?;
        let watched = Process::watch(&handle, child.id(), reserved, self.terms(&handle), at);
        let process = match watched {
            Ok(process) => process,
            Err(error) => {
                // Another thread took the reserved fd. The child is not reaped, so no other process
                // can have its id.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        drop(starting);
        self.adopt(&handle, process, child)
    }

    /// Starts the program, or returns why it cannot be executed.
    fn execute(&mut self) -> io::Result<process::Child> {
        if self.needs_own_environment {
            let problem =
                "a command of the standard library cannot set a variable to the child's id";
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
        if self.fds.is_empty() {
            return self.execute_prepared();
        }
        let fds = PassedFds::of(&self.fds)?;
        let change = |steps: &mut Steps| steps.fds = fds;
        self.before_exec.change(&mut self.command, change);
        let spawned = self.execute_prepared();
        let change = |steps: &mut Steps| steps.fds = PassedFds::default();
        self.before_exec.change(&mut self.command, change);
        spawned
    }

    fn execute_prepared(&mut self) -> io::Result<process::Child> {
        let Some(hidden) = &self.hidden else {
            return self.execute_by_std();
        };
        if !self.before_exec.is_hooked() && !Image::needs_other_path(&self.command, hidden) {
            self.set_dir_and_group(self.dir.clone(), self.group);
            return self.command.spawn();
        }
        let image = Image::of(&self.command, hidden)?;
        let dir = self.dir_after_steps()?;
        let (sender, receiver) = ErrorSender::open(PassedFds::behind(&self.fds))?;
        let group = self.group;
        self.before_exec.change(&mut self.command, |steps| {
            steps.dir = dir;
            steps.group = group;
            steps.execution = Some((image, sender));
        });
        // The standard library runs its own steps first, and reports their failures with the
        // assertion of execute.rs, so it gets only steps that cannot fail.
        self.set_dir_and_group(None, self.group.map(|_| 0));
        let spawned = self.command.spawn();
        let change = |steps: &mut Steps| steps.execution = None;
        self.before_exec.change(&mut self.command, change);
        let mut child = spawned?;
        match receiver.error() {
            None => Ok(child),
            Some(error) => {
                let _ = child.wait(); // fails if the kernel or another library has reaped it
                Err(error)
            }
        }
    }

    /// Returns the working directory for our steps, because changing to it may fail. If an earlier
    /// spawn gave it to the standard library, that one now changes to `/`, which always exists.
    fn dir_after_steps(&mut self) -> io::Result<Option<CString>> {
        let Some(mut dir) = self.dir.clone() else {
            return Ok(None);
        };
        if self.command.get_current_dir().is_some() {
            dir = path::absolute(dir)?;
            self.command.current_dir("/");
        }
        Ok(Some(CString::new(dir.into_os_string().into_vec())?))
    }

    /// Executes the program by the standard library: a command that was made from its own may have
    /// steps that only it knows.
    fn execute_by_std(&mut self) -> io::Result<process::Child> {
        self.set_dir_and_group(self.dir.clone(), self.group);
        let command = AssertUnwindSafe(|| self.command.spawn());
        // The standard library asserts that it reaps a child that could not execute its program,
        // and that assertion may fail: see execute.rs.
        panic::catch_unwind(command).unwrap_or_else(|_| {
            let problem = "the program cannot be executed, and the reason is lost: its process was reaped \
                           elsewhere, as SIGCHLD is ignored or another library waits for any child";
            Err(io::Error::other(problem))
        })
    }

    /// Sets the working directory and the process group in the command of the standard library.
    fn set_dir_and_group(&mut self, dir: Option<PathBuf>, group: Option<i32>) {
        if let Some(dir) = dir {
            self.command.current_dir(dir);
        }
        if let Some(group) = group {
            self.command.process_group(group);
        }
    }

    /// Registers the pipes with the loop. If that fails, kills the child.
    fn adopt(
        &self,
        handle: &Handle,
        process: Process,
        mut child: process::Child,
    ) -> io::Result<Child> {
        let kill_on_drop = self.kill_on_drop && !self.before_exec.is_new_session();
        let mut adopted = Child::new(process, kill_on_drop, self.output_bytes_max);
        let result = adopted.adopt(handle, &mut child);
        match result {
            Ok(()) => Ok(adopted),
            Err(error) => {
                let _ = adopted.kill(); // the loop reaps it
                Err(error)
            }
        }
    }

    fn terms(&self, handle: &Handle) -> Terms {
        Terms {
            deadline: self.timeout.map(|timeout| {
                let now = handle.now();
                now.checked_add(timeout).unwrap_or(now + CENTURY)
            }),
            kill_signal: self.kill_signal,
            leads_group: self.leads_group || self.before_exec.is_new_session(),
        }
    }

    /// Starts the program and waits until it ends. If the wait is dropped, the child continues,
    /// unless it is [killed on drop](CommandIn::kill_on_drop).
    ///
    /// # Errors
    /// Those of [`CommandIn::spawn`] and [`Process::wait`].
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn status(&mut self) -> S::Returned<'_, ExitStatus> {
        let at = Location::caller();
        S::wait(async move { self.start(at)?.wait().await })
    }

    /// Starts the program, writes its [`input`](CommandIn::input), reads its output at the same
    /// time, and waits until it ends. Standard output and error are captured unless they were set;
    /// without input, standard input is empty. If the wait is dropped, the child continues, unless
    /// it is [killed on drop](CommandIn::kill_on_drop).
    ///
    /// # Errors
    /// Those of [`CommandIn::spawn`] and [`Child::communicate`].
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    #[doc(alias("check_output", "execFile"))]
    pub fn output(&mut self) -> S::Returned<'_, Output> {
        let at = Location::caller();
        S::wait(async move {
            let mut child = self.start_captured(at)?;
            child.communicate(self.input.clone()).await
        })
    }

    fn start_captured(&mut self, at: &'static Location<'static>) -> io::Result<Child> {
        let [stdin, stdout, stderr] = self.is_stdio_set;
        if !stdin {
            let is_piped = !self.input.is_empty();
            let piped = if is_piped {
                Stdio::piped()
            } else {
                Stdio::null()
            };
            self.command.stdin(piped);
        }
        if !stdout {
            self.command.stdout(Stdio::piped());
        }
        if !stderr {
            self.command.stderr(Stdio::piped());
        }
        let started = self.start(at);
        self.inherit_unset();
        started
    }

    /// Makes the next [`CommandIn::spawn`] inherit the streams that were not set.
    fn inherit_unset(&mut self) {
        let [stdin, stdout, stderr] = self.is_stdio_set;
        if !stdin {
            self.command.stdin(Stdio::inherit());
        }
        if !stdout {
            self.command.stdout(Stdio::inherit());
        }
        if !stderr {
            self.command.stderr(Stdio::inherit());
        }
    }
}

/// The deadline of a timeout that an `Instant` cannot hold.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
