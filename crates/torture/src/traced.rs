//! A program under strace: its output, its log of calls, its fds and its end.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How often a condition is checked that no event reports.
const STEP: Duration = Duration::from_millis(3);

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) stdin: &'static str,
    /// Expressions for strace's `-e`.
    pub(crate) expressions: Vec<String>,
    /// Whether other threads and child processes are traced, too.
    pub(crate) follows: bool,
}

/// A program under strace. Its drop kills both.
pub(crate) struct Traced {
    strace: Child,
    lines: Receiver<String>,
    stdout: String,
    directory: TempDir,
}

impl Traced {
    pub(crate) fn start(start: &Start) -> Result<Traced> {
        let directory = tempfile::Builder::new().prefix("torture-").tempdir()?;
        let path = |name: &str| directory.path().join(name);
        fs::write(path("stdin"), start.stdin)?;
        let mut command = Command::new("strace");
        // With an interruptible strace, Ctrl-C ends it together with this program.
        command.args(["-qq", "--interruptible=anywhere", "-o"]);
        command.arg(path("calls"));
        if start.follows {
            command.arg("-f");
        }
        for expression in &start.expressions {
            command.args(["-e", expression]);
        }
        command.arg(&start.program);
        let at_home = |arg: &String| arg.replace("{dir}", &directory.path().to_string_lossy());
        command.args(start.args.iter().map(at_home));
        // What the program leaves there goes away with the directory.
        command.env("TMPDIR", directory.path());
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(name)) {
            command.env_remove(name);
        }
        command
            .stdin(File::open(path("stdin"))?)
            .stdout(Stdio::piped())
            .stderr(File::create(path("stderr"))?);
        let mut strace = command.spawn().context("cannot start strace")?;
        let stdout = strace.stdout.take().context("a piped stdout is missing")?;
        Ok(Traced {
            strace,
            lines: lines(stdout),
            stdout: String::new(),
            directory,
        })
    }

    /// The next line of stdout; `None` once the program has ended, or closed its stdout.
    pub(crate) fn next_line(&mut self, patience: Duration) -> Result<Option<&str>> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => {
                let begin = self.stdout.len();
                self.stdout += &line;
                Ok(Some(&self.stdout[begin..]))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("no line on stdout within {patience:?}"),
        }
    }

    /// How the program ended; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.strace.try_wait()?)
    }

    /// Waits for the end of the program.
    pub(crate) fn wait(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        eventually(patience, || self.strace.try_wait().transpose())
            .transpose()
            .map_err(Into::into)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, signal); // it may have ended just now
        }
    }

    /// How many fds the program has open; `None` once it has ended.
    pub(crate) fn open_fds(&self) -> Option<usize> {
        let directory = format!("/proc/{}/fd", self.pid()?.as_raw_nonzero());
        Some(fs::read_dir(directory).ok()?.count())
    }

    /// How many bytes the log of calls has.
    pub(crate) fn log_bytes(&self) -> u64 {
        let log = fs::metadata(self.directory.path().join("calls"));
        log.map_or(0, |log| log.len())
    }

    pub(crate) fn log(&self) -> String {
        self.read("calls")
    }

    pub(crate) fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// All of stdout, once the program has ended.
    pub(crate) fn stdout(&mut self) -> &str {
        // A child that has outlived the program may hold the pipe open.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
            self.stdout += &line;
        }
        &self.stdout
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.directory.path().join(name));
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }

    /// The program, which is strace's only child.
    fn pid(&self) -> Option<Pid> {
        let strace = self.strace.id();
        let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).ok()?;
        let pid = children.split_whitespace().next()?.parse().ok()?;
        Pid::from_raw(pid)
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if matches!(self.strace.try_wait(), Ok(None)) {
            self.signal(Signal::KILL);
            let ended = eventually(Duration::from_secs(1), || {
                self.strace.try_wait().ok().flatten()
            });
            if ended.is_none() {
                let _ = self.strace.kill();
                let _ = self.strace.wait();
            }
        }
    }
}

/// Checks a condition until it holds, or until patience ends.
pub(crate) fn eventually<T>(patience: Duration, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        let checked = check();
        if checked.is_some() || Instant::now() > deadline {
            return checked;
        }
        thread::sleep(STEP);
    }
}

/// Reads the lines of a pipe on a thread of its own, until all of its writers have closed it.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = String::new();
        while matches!(pipe.read_line(&mut line), Ok(1..)) {
            if sender.send(std::mem::take(&mut line)).is_err() {
                break;
            }
        }
    });
    receiver
}

/// True for the variables that configure the server, the loop and the backtraces of a panic.
fn is_ours(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("ONELOOP_") || name.starts_with("RUST_")
}
