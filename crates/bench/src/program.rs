//! A program to measure: whether it can run here, and its child process.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::Timespec;

use crate::launch;
use crate::process::is_stopped;

const LINE_BYTES_MAX: usize = 256;
/// The maximum time in which SIGSTOP takes effect.
const STOP_MAX: Duration = Duration::from_secs(10);

/// How to start a program, or why it cannot run here.
#[derive(Debug)]
pub(crate) enum Found {
    Command(Vec<OsString>),
    Missing(String),
}

impl Found {
    /// The same program with more arguments.
    pub(crate) fn with(self, arguments: &[&str]) -> Found {
        match self {
            Found::Command(mut command) => {
                command.extend(arguments.iter().map(OsString::from));
                Found::Command(command)
            }
            missing => missing,
        }
    }
}

/// This program.
pub(crate) fn bench() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find the path of this program")
}

/// A child on its own core. It does not outlive its owner.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: ChildStdout,
}

impl Running {
    /// Starts a program, and reads its stdout.
    pub(crate) fn start(core: usize, command: &[OsString], stdin: Stdio) -> Result<Running> {
        let mut child = launch::command(&bench()?, core, command)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .spawn()
            .context("the program cannot be started")?;
        let stdout = child.stdout.take().context("a piped stdout is missing")?;
        Ok(Running { child, stdout })
    }

    /// The process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Its standard input, once, if it was piped.
    pub(crate) fn take_stdin(&mut self) -> Result<std::process::ChildStdin> {
        self.child.stdin.take().context("a piped stdin is missing")
    }

    /// Stops it by SIGSTOP, and waits until it has stopped.
    pub(crate) fn stop(&self) -> Result<()> {
        kill_process(self.pid(), Signal::STOP)?;
        let deadline = Instant::now() + STOP_MAX;
        while !is_stopped(self.pid())? {
            ensure!(Instant::now() < deadline, "the program does not stop");
            sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    /// Continues it by SIGCONT.
    pub(crate) fn resume(&self) -> Result<()> {
        Ok(kill_process(self.pid(), Signal::CONT)?)
    }

    /// Ends it by SIGTERM, and waits until it has ended.
    pub(crate) fn terminate(mut self) -> Result<()> {
        kill_process(self.pid(), Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }

    /// Reads the next line that the program prints. It must print one line at a time.
    pub(crate) fn read_line(&mut self, patience: Duration) -> Result<String> {
        let deadline = Instant::now() + patience;
        let mut line = Vec::new();
        while !line.contains(&b'\n') {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left)?;
            let readable = poll(
                &mut [PollFd::new(&self.stdout.as_fd(), PollFlags::IN)],
                Some(&timeout),
            )?;
            ensure!(
                readable > 0,
                "the program printed no line within {patience:?}"
            );
            let mut chunk = [0; LINE_BYTES_MAX];
            let count = self.stdout.read(&mut chunk)?;
            line.extend_from_slice(&chunk[..count]);
            ensure!(
                count > 0 && line.len() <= LINE_BYTES_MAX,
                "the program ended or printed something else"
            );
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the child has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
