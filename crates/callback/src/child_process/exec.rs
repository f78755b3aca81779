//! Running a child to its end, and then a callback with its output.

use super::child::{ChildError, ChildProcess};
use super::options::{ExecOptions, Stdio};
use crate::error::Error;
use crate::net::Socket;
use crate::thrown::{IntoResult, Thrown, callback_of};
use crate::timers::{Timeout, clear_timeout, set_timeout};
use std::cell::{Cell, RefCell};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::rc::Rc;

/// The failure of a child that [`exec`] or [`exec_file`] ran.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExecError {
    /// The error: the child could not be started, was aborted, or printed too much; or, by its
    /// message, the command failed.
    pub error: Error,
    /// The exit code, if the command failed with one: `error.code`.
    pub exit_code: Option<i32>,
    /// The signal that ended the command, if the command failed by one.
    pub signal: Option<i32>,
    /// True if the command failed because this program killed it.
    pub killed: bool,
    /// The command, with its arguments.
    pub cmd: String,
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}
impl std::error::Error for ExecError {}

/// The callback: the result, and the bytes of both outputs.
type ExecCallback = Box<dyn FnOnce(Result<(), ExecError>, &[u8], &[u8]) -> Result<(), Thrown>>;

/// Runs a command by `/bin/sh`, and calls back with the bytes of its standard output and standard
/// error.
///
/// ```
/// use oneloop::callback::{child_process, run};
/// run(|| {
///     child_process::exec("echo hello; exit 2", |result, stdout, _stderr| {
///         assert_eq!(result.unwrap_err().exit_code, Some(2));
///         assert_eq!(stdout, b"hello\n");
///     })
///     .map(drop)
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// As [`spawn`](super::spawn).
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias = "system")]
pub fn exec<O: IntoResult>(
    command: impl AsRef<OsStr>,
    callback: impl FnOnce(Result<(), ExecError>, &[u8], &[u8]) -> O + 'static,
) -> Result<ChildProcess, Error> {
    exec_with(command, ExecOptions::default(), callback)
}

/// Runs a command by `/bin/sh`, with options.
///
/// # Errors
/// As [`exec`].
///
/// # Panics
/// As [`exec`].
#[track_caller]
pub fn exec_with<O: IntoResult>(
    command: impl AsRef<OsStr>,
    options: ExecOptions,
    callback: impl FnOnce(Result<(), ExecError>, &[u8], &[u8]) -> O + 'static,
) -> Result<ChildProcess, Error> {
    let command = command.as_ref();
    // Node's `exec` always uses /bin/sh, whatever the user's shell is.
    let args = vec!["-c".into(), command.to_owned()];
    let cmd = command.display().to_string();
    run("/bin/sh".into(), args, cmd, options, done(callback))
}

/// Runs a program, and calls back with the bytes of its standard output and standard error: see
/// [`exec`].
///
/// # Errors
/// As [`exec`].
///
/// # Panics
/// As [`exec`].
#[track_caller]
pub fn exec_file<O: IntoResult>(
    file: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    callback: impl FnOnce(Result<(), ExecError>, &[u8], &[u8]) -> O + 'static,
) -> Result<ChildProcess, Error> {
    exec_file_with(file, args, ExecOptions::default(), callback)
}

/// Runs a program, with options.
///
/// # Errors
/// As [`exec`].
///
/// # Panics
/// As [`exec`].
#[track_caller]
pub fn exec_file_with<O: IntoResult>(
    file: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    options: ExecOptions,
    callback: impl FnOnce(Result<(), ExecError>, &[u8], &[u8]) -> O + 'static,
) -> Result<ChildProcess, Error> {
    let file = file.as_ref().to_owned();
    let args: Vec<_> = args
        .into_iter()
        .map(|arg| arg.as_ref().to_owned())
        .collect();
    // For messages only: the program gets its arguments one by one, and no shell splits them.
    let mut cmd = file.display().to_string();
    for arg in &args {
        cmd += &format!(" {}", arg.display());
    }
    run(file, args, cmd, options, done(callback))
}

fn done<O: IntoResult>(
    callback: impl FnOnce(Result<(), ExecError>, &[u8], &[u8]) -> O + 'static,
) -> ExecCallback {
    let of = callback_of(&callback);
    Box::new(move |result, stdout, stderr| of.result(callback(result, stdout, stderr)))
}

#[track_caller]
fn run(
    file: OsString,
    args: Vec<OsString>,
    cmd: String,
    mut options: ExecOptions,
    done: ExecCallback,
) -> Result<ChildProcess, Error> {
    options.spawn.stdio = [Stdio::Pipe, Stdio::Pipe, Stdio::Pipe];
    // `execFile` handles the timeout itself: it also destroys the outputs, which a grandchild may
    // hold open.
    let timeout_ms = std::mem::take(&mut options.spawn.timeout_ms);
    let kill_signal = options.spawn.kill_signal;
    let child = ChildProcess::start(file, args, options.spawn)?;
    let exec = Rc::new(Exec {
        child: RefCell::new(Some(child.clone())),
        cmd,
        kill_signal,
        done: Cell::new(Some(done)),
        timeout: Cell::new(None),
        is_killed: Cell::new(false),
        error: RefCell::default(),
        outputs: Default::default(),
    });
    exec.begin(&child, timeout_ms, options.max_buffer);
    Ok(child)
}

/// A call of Node's `execFile` that has not called back.
struct Exec {
    /// None once it has called back. The child's listeners hold this value: without that, a cycle
    /// of references would keep both forever.
    child: RefCell<Option<ChildProcess>>,
    cmd: String,
    kill_signal: i32,
    /// None once it was called: a child that could not be killed may still close later.
    done: Cell<Option<ExecCallback>>,
    timeout: Cell<Option<Timeout>>,
    is_killed: Cell<bool>,
    /// The error, unless it is the way in which the child ended.
    error: RefCell<Option<Error>>,
    outputs: [RefCell<Vec<u8>>; 2],
}

impl Exec {
    fn begin(self: &Rc<Self>, child: &ChildProcess, timeout_ms: f64, max_buffer: usize) {
        if timeout_ms > 0.0 {
            let exec = Rc::clone(self);
            let timeout = set_timeout(move || exec.kill(), timeout_ms);
            self.timeout.set(Some(timeout));
        }
        // Bytes, not text: a character may be split between two chunks.
        let streams = [("stdout", child.stdout()), ("stderr", child.stderr())];
        for (number, (name, stream)) in streams.into_iter().enumerate() {
            let exec = Rc::clone(self);
            if let Some(stream) = stream {
                stream.on_data(move |_: Socket, bytes| exec.keep(number, name, bytes, max_buffer));
            }
        }
        let exec = Rc::clone(self);
        child.on_close(move |_, code, signal| exec.finish(code, signal));
        let exec = Rc::clone(self);
        child.on(ChildError, move |(_, error): (ChildProcess, &Error)| {
            exec.fail(error.clone())
        });
    }

    fn keep(
        &self,
        number: usize,
        name: &str,
        bytes: &[u8],
        max_buffer: usize,
    ) -> Result<(), Thrown> {
        let mut output = self.outputs[number].borrow_mut();
        // The output up to the limit is kept: as in Node, the callback receives it.
        let room = max_buffer - output.len();
        output.extend_from_slice(&bytes[..room.min(bytes.len())]);
        drop(output);
        if bytes.len() > room {
            let message = format!("{name} maxBuffer length exceeded");
            let error = Error::new("ERR_CHILD_PROCESS_STDIO_MAXBUFFER", message);
            self.error.replace(Some(error));
            self.kill()?;
        }
        Ok(())
    }

    fn child(&self) -> Option<ChildProcess> {
        self.child.borrow().clone()
    }

    fn kill(&self) -> Result<(), Thrown> {
        let Some(child) = self.child() else {
            return Ok(());
        };
        destroy_outputs(&child);
        self.is_killed.set(true);
        // If the child cannot be killed, the callback must not wait for its end.
        if let Err(error) = child.kill(self.kill_signal) {
            self.error.borrow_mut().get_or_insert(error);
            return self.finish(None, None);
        }
        Ok(())
    }

    fn fail(&self, error: Error) -> Result<(), Thrown> {
        self.error.replace(Some(error));
        if let Some(child) = self.child() {
            destroy_outputs(&child);
        }
        self.finish(None, None)
    }

    fn finish(&self, code: Option<i32>, signal: Option<i32>) -> Result<(), Thrown> {
        // Both 'close' and 'error' lead here; Node has the flag `exited` for that.
        let Some(done) = self.done.take() else {
            return Ok(());
        };
        if let Some(timeout) = self.timeout.take() {
            clear_timeout(timeout);
        }
        let child = self.child.take();
        // A kill by this program and one by another process both end in a signal.
        let is_killed = self.is_killed.get() || child.is_some_and(|child| child.is_killed());
        let [stdout, stderr] = self.outputs.each_ref().map(RefCell::take);
        let result = match self.error.take() {
            Some(error) => Err(ExecError {
                error,
                exit_code: None,
                signal: None,
                killed: false,
                cmd: self.cmd.clone(),
            }),
            None if code == Some(0) && signal.is_none() => Ok(()),
            None => Err(ExecError {
                error: self.command_failed(&stderr),
                exit_code: code,
                signal,
                killed: is_killed,
                cmd: self.cmd.clone(),
            }),
        };
        done(result, &stdout, &stderr)
    }

    fn command_failed(&self, stderr: &[u8]) -> Error {
        // Node appends the standard error, as text.
        let stderr = String::from_utf8_lossy(stderr);
        Error::from(format!("Command failed: {}\n{stderr}", self.cmd))
    }
}

fn destroy_outputs(child: &ChildProcess) {
    for stream in [child.stdout(), child.stderr()].into_iter().flatten() {
        stream.destroy();
    }
}
