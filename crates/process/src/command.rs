//! What to start, and on which terms.

use crate::before_exec::{BeforeExec, Steps};
use crate::child::Child;
use crate::communicate::Output;
use crate::execute::{Image, Report, Untold};
use crate::process::{Process, Terms};
use crate::{family, orphans, pidfd};
use oneloop_core::Handle;
use rustix::thread::{Gid, Uid};
use std::ffi::{CString, OsStr};
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::panic::{self, AssertUnwindSafe, Location};
use std::path::{self, Path, PathBuf};
use std::pin::Pin;
use std::process::{self, ExitStatus, Stdio};
use std::time::Duration;

/// A program to start: [`std::process::Command`]'s words, and a few more.
///
/// A command can be spawned any number of times. `SIGPIPE` and the signal mask are the defaults in the
/// child, as the standard library has it. A command can be made [from](From) the standard library's, too; its
/// standard streams are to be said again then, if [`output`](CommandIn::output) is not to capture them.
///
/// Each style has its own name for it, in which only the ends of [`spawn`](CommandIn::spawn),
/// [`status`](CommandIn::status) and [`output`](CommandIn::output) differ.
pub struct CommandIn<S> {
    style: PhantomData<S>,
    command: process::Command,
    /// None of a command that was the standard library's.
    untold: Option<Untold>,
    before_exec: BeforeExec,
    dir: Option<PathBuf>,
    group: Option<i32>,
    /// Whether somebody has said what standard input, output and error are.
    said: [bool; 3],
    input: Vec<u8>,
    leads_group: bool,
    kill_on_drop: bool,
    timeout: Option<Duration>,
    kill_signal: i32,
    output_bytes_max: usize,
}

/// A program to start, in the async style: see [`CommandIn`].
pub type Command = CommandIn<Awaited>;

/// What a style makes of a child, and of a wait for one.
pub trait Style {
    /// A child in that style.
    type Child: From<Child>;
    /// What waits, and for what.
    type Wait<'a, T: 'a>;

    /// Waits as that style does.
    fn wait<'a, T: 'a>(future: impl Future<Output = io::Result<T>> + 'a) -> Self::Wait<'a, T>;
}

/// The async style: a wait is a future.
#[derive(Debug)]
pub enum Awaited {}

impl Style for Awaited {
    type Child = Child;
    type Wait<'a, T: 'a> = Pin<Box<dyn Future<Output = io::Result<T>> + 'a>>;

    fn wait<'a, T: 'a>(future: impl Future<Output = io::Result<T>> + 'a) -> Self::Wait<'a, T> {
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
            untold: None,
            before_exec: BeforeExec::default(),
            dir: None,
            group: None,
            said: [false; 3],
            input: Vec::new(),
            leads_group: false,
            kill_on_drop: false,
            timeout: None,
            kill_signal: libc::SIGKILL,
            output_bytes_max: usize::MAX,
        }
    }
}

/// What is the standard library's own: see [`std::process::Command`].
impl<S> CommandIn<S> {
    /// A program by its path, or by its name, which is looked for in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        CommandIn {
            untold: Some(Untold::default()),
            ..CommandIn::from(process::Command::new(program))
        }
    }

    /// One argument more.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(arg);
        self
    }

    /// Some arguments more.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.command.args(args);
        self
    }

    /// What the program is told that it was called by, in place of its name.
    pub fn arg0(&mut self, arg0: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg0(&arg0);
        if let Some(untold) = &mut self.untold {
            untold.arg0 = Some(arg0.as_ref().to_owned());
        }
        self
    }

    /// A variable of the child's environment.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.command.env(name, value);
        self
    }

    /// Some variables of the child's environment.
    pub fn envs(
        &mut self,
        vars: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Self {
        self.command.envs(vars);
        self
    }

    /// Takes a variable out of the child's environment.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.command.env_remove(name);
        self
    }

    /// Begins with an empty environment.
    pub fn env_clear(&mut self) -> &mut Self {
        self.command.env_clear();
        if let Some(untold) = &mut self.untold {
            untold.clears_env = true;
        }
        self
    }

    /// Where the child runs. Whether a relative program is looked for from there is not said, as in the
    /// standard library.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// The child's standard input: [`Stdio::piped`], [`Stdio::inherit`], [`Stdio::null`], or any fd.
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.command.stdin(stdio);
        self.said[0] = true;
        self
    }

    /// The child's standard output: see [`CommandIn::stdin`].
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.command.stdout(stdio);
        self.said[1] = true;
        self
    }

    /// The child's standard error: see [`CommandIn::stdin`].
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.command.stderr(stdio);
        self.said[2] = true;
        self
    }

    /// Puts the child into a process group: one of its own for 0, which
    /// [`signal_group`](Process::signal_group) reaches.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.group = Some(group);
        self.leads_group = group == 0;
        self
    }

    /// The same command in another style.
    pub fn into_style<T>(self) -> CommandIn<T> {
        CommandIn {
            style: PhantomData,
            command: self.command,
            untold: self.untold,
            before_exec: self.before_exec,
            dir: self.dir,
            group: self.group,
            said: self.said,
            input: self.input,
            leads_group: self.leads_group,
            kill_on_drop: self.kill_on_drop,
            timeout: self.timeout,
            kill_signal: self.kill_signal,
            output_bytes_max: self.output_bytes_max,
        }
    }

    /// The program, its arguments and its environment, as the standard library has them.
    pub fn as_std(&self) -> &process::Command {
        &self.command
    }
}

/// What is done between `fork(2)` and `exec(2)`, so that `posix_spawn(3)` cannot be used: see
/// [`CommandIn::spawn`] for what that costs.
impl<S> CommandIn<S> {
    /// The child runs as this user; root's supplementary groups are given up, unless
    /// [`groups`](CommandIn::groups) says which to have.
    pub fn uid(&mut self, uid: u32) -> &mut Self {
        let uid = Uid::from_raw(uid);
        self.before_exec
            .change(&mut self.command, |steps| steps.uid = Some(uid));
        self
    }

    /// The child runs as this group.
    pub fn gid(&mut self, gid: u32) -> &mut Self {
        let gid = Gid::from_raw(gid);
        self.before_exec
            .change(&mut self.command, |steps| steps.gid = Some(gid));
        self
    }

    /// The child has these supplementary groups.
    pub fn groups(&mut self, groups: &[u32]) -> &mut Self {
        let groups = groups.iter().copied().map(Gid::from_raw).collect();
        self.before_exec
            .change(&mut self.command, |steps| steps.groups = Some(groups));
        self
    }

    /// The child may open so many files (the soft limit of `RLIMIT_NOFILE`): for a program that has raised
    /// its own, as children that use `select(2)` or close all that they could have opened want the usual one.
    /// More than the hard limit is an error of the spawn.
    pub fn open_files_max(&mut self, count: u64) -> &mut Self {
        self.before_exec.change(&mut self.command, |steps| {
            steps.open_files_max = Some(count)
        });
        self
    }

    /// The child has a session of its own (`setsid(2)`), with no terminal, and is never killed on drop:
    /// what Node calls `detached`. It survives this program, as all children do that nobody kills. Not to
    /// be combined with [`process_group`](CommandIn::process_group).
    pub fn detached(&mut self, detached: bool) -> &mut Self {
        if detached || self.before_exec.is_hooked() {
            self.before_exec
                .change(&mut self.command, |steps| steps.new_session = detached);
        }
        self
    }
}

/// On which terms it runs.
impl<S> CommandIn<S> {
    /// Kills the child when its [`Child`] is dropped before it has ended. It is reaped all the same.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Self {
        self.kill_on_drop = kill;
        self
    }

    /// Kills the child when it has run for so long: [`Process::killed_for`] tells, and
    /// [`Output::killed_for`].
    pub fn timeout(&mut self, timeout: Duration) -> &mut Self {
        self.timeout = Some(timeout);
        self
    }

    /// With which signal a time-out or too much output kills; without, it is `SIGKILL`. A child that
    /// handles another one runs on.
    pub fn kill_signal(&mut self, number: i32) -> &mut Self {
        self.kill_signal = number;
        self
    }

    /// What [`CommandIn::output`] writes to the child's standard input.
    pub fn input(&mut self, input: impl Into<Vec<u8>>) -> &mut Self {
        self.input = input.into();
        self
    }

    /// How much [`CommandIn::output`] and [`Child::communicate`] keep of each of standard output and error:
    /// a child that prints more is killed. Without, there is no limit.
    pub fn max_output_bytes(&mut self, bytes: usize) -> &mut Self {
        self.output_bytes_max = bytes;
        self
    }
}

impl<S: Style> CommandIn<S> {
    /// Starts it, on the loop that runs. Streams that nobody has said anything of are inherited.
    ///
    /// It blocks the loop until the child has begun the program: 0.1 ms, by `posix_spawn(3)`, whatever the
    /// size of this program. What is done [before exec](CommandIn::detached) needs `fork(2)`, which copies
    /// page tables: 0.3 ms in a small program, 12 ms in one of 256 MB, 70 ms in one of 1 GB. Another thread
    /// would not help much: the loop's own page faults wait for the same lock.
    ///
    /// # Errors
    /// Those of `exec(2)`: `ENOENT`, `EACCES`; `EAGAIN` for too many processes; `EMFILE`, before anything is
    /// started; [`Unsupported`](io::ErrorKind::Unsupported) where a sandbox refuses what tells of its end.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<S::Child> {
        self.start(Location::caller()).map(Into::into)
    }

    fn start(&mut self, at: &'static Location<'static>) -> io::Result<Child> {
        let handle = Handle::current();
        orphans::reap();
        let reserved = pidfd::reserve()?;
        let starting = family::starting();
        let mut child = self.execute()?;
        let watched = Process::watch(&handle, child.id(), reserved, self.terms(&handle), at);
        let process = match watched {
            Ok(process) => process,
            Err(error) => {
                // Another thread was quicker to take the fd. Nobody has reaped the child, so its number is
                // its own.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        drop(starting);
        self.adopt(&handle, process, child)
    }

    /// Starts the program, or says why it cannot be executed.
    fn execute(&mut self) -> io::Result<process::Child> {
        let Some(untold) = &self.untold else {
            return self.execute_as_it_is();
        };
        if !self.before_exec.is_hooked() && !Image::needs_other_path(&self.command, untold) {
            self.place(self.dir.clone(), self.group);
            return self.command.spawn();
        }
        let image = Image::of(&self.command, untold)?;
        let dir = self.dir_after_steps()?;
        let (report, reported) = Report::open()?;
        let group = self.group;
        self.before_exec.change(&mut self.command, |steps| {
            steps.dir = dir;
            steps.group = group;
            steps.execution = Some((image, report));
        });
        // What the standard library does before our steps must not fail: these cannot.
        self.place(None, self.group.map(|_| 0));
        let spawned = self.command.spawn();
        let change = |steps: &mut Steps| steps.execution = None;
        self.before_exec.change(&mut self.command, change);
        let mut child = spawned?;
        match reported.error() {
            None => Ok(child),
            Some(error) => {
                let _ = child.wait(); // an error if the kernel or another library has reaped it
                Err(error)
            }
        }
    }

    /// Where our steps go, as the way there may fail. An earlier spawn may have left it to the standard
    /// library, which goes to a place that there always is instead.
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

    /// A command of the standard library's may have steps that only it knows.
    fn execute_as_it_is(&mut self) -> io::Result<process::Child> {
        self.place(self.dir.clone(), self.group);
        let command = AssertUnwindSafe(|| self.command.spawn());
        // It asserts that it reaps a child that could not execute its program.
        panic::catch_unwind(command).unwrap_or_else(|_| {
            let problem = "the program cannot be executed, and why is lost: its process was reaped elsewhere, \
                           as SIGCHLD is ignored or another library waits for any child";
            Err(io::Error::other(problem))
        })
    }

    /// Where the standard library has the child run, and in which group.
    fn place(&mut self, dir: Option<PathBuf>, group: Option<i32>) {
        if let Some(dir) = dir {
            self.command.current_dir(dir);
        }
        if let Some(group) = group {
            self.command.process_group(group);
        }
    }

    /// Its pipes go onto the loop; if they cannot, it is killed.
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
                let _ = adopted.kill(); // it is reaped like any other
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

    /// Starts it and waits for its end. Dropped before, it leaves the child to run, unless it is
    /// [killed on drop](CommandIn::kill_on_drop).
    ///
    /// # Errors
    /// Those of [`CommandIn::spawn`] and [`Process::wait`].
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn status(&mut self) -> S::Wait<'_, ExitStatus> {
        let at = Location::caller();
        S::wait(async move { self.start(at)?.wait().await })
    }

    /// Starts it, writes [`input`](CommandIn::input) to it, reads all it prints at the same time, and waits for
    /// its end. Of the streams that nobody has said anything of, output and error are captured, and there
    /// is no input. Dropped before, it leaves the child to run, unless it is
    /// [killed on drop](CommandIn::kill_on_drop).
    ///
    /// # Errors
    /// Those of [`CommandIn::spawn`] and [`Child::communicate`].
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn output(&mut self) -> S::Wait<'_, Output> {
        let at = Location::caller();
        S::wait(async move {
            let mut child = self.start_captured(at)?;
            child.communicate(self.input.clone()).await
        })
    }

    fn start_captured(&mut self, at: &'static Location<'static>) -> io::Result<Child> {
        let [stdin, stdout, stderr] = self.said;
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
        self.inherit_unsaid();
        started
    }

    /// Back to what [`CommandIn::spawn`] does.
    fn inherit_unsaid(&mut self) {
        let [stdin, stdout, stderr] = self.said;
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

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
