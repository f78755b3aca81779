//! A child: a process and its pipes.

use crate::communicate::{Output, Talk};
use crate::process::Process;
use oneloop_core::Handle;
use oneloop_net::{PipeReader, PipeWriter};
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::process::{self, ExitStatus};

/// A child that was started by [`CommandIn::spawn`](crate::CommandIn::spawn).
///
/// What needs no pipes is there by dereferencing: [`id`](Process::id), [`kill`](Process::kill),
/// [`signal`](Process::signal), [`try_wait`](Process::try_wait).
///
/// Dropped while it runs, it runs on, and the loop reaps it in the background; with
/// [`kill_on_drop`](crate::CommandIn::kill_on_drop) it is killed.
#[derive(Debug)]
pub struct Child {
    /// What the child reads as its standard input, if that is a pipe. A write waits while the pipe is
    /// full; dropping this is the end of the input.
    pub stdin: Option<PipeWriter>,
    /// What the child prints, if that goes into a pipe. It waits while nobody reads.
    pub stdout: Option<PipeReader>,
    /// What the child prints as its errors, if that goes into a pipe.
    pub stderr: Option<PipeReader>,
    process: Process,
    kill_on_drop: bool,
    pub(crate) talk: Talk,
}

impl Child {
    pub(crate) fn new(process: Process, kill_on_drop: bool, output_bytes_max: usize) -> Self {
        Child {
            stdin: None,
            stdout: None,
            stderr: None,
            process,
            kill_on_drop,
            talk: Talk::new(output_bytes_max),
        }
    }

    /// Takes the pipes onto the loop.
    pub(crate) fn adopt(&mut self, handle: &Handle, child: &mut process::Child) -> io::Result<()> {
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        handle.enter(|| {
            let stdin = stdin.map(OwnedFd::from);
            self.stdin = stdin.map(PipeWriter::from_fd).transpose()?;
            self.stdout = stdout
                .map(OwnedFd::from)
                .map(PipeReader::from_fd)
                .transpose()?;
            self.stderr = stderr
                .map(OwnedFd::from)
                .map(PipeReader::from_fd)
                .transpose()?;
            Ok(())
        })
    }

    /// The process, for other tasks to wait for it or to kill it.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Closes standard input, if it is a pipe, and waits for the end: see [`Process::wait`]. A child that
    /// prints more than a pipe holds has to be read meanwhile: see [`Child::communicate`].
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.process.wait().await
    }

    /// Closes standard input, reads all that the child prints, and waits for its end. Dropped before, it
    /// drops the child.
    ///
    /// # Errors
    /// As [`Child::communicate`].
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        self.communicate(Vec::new()).await
    }
}

impl Deref for Child {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.kill_on_drop {
            let _ = self.process.kill(); // one that cannot be killed is reaped when it ends
        }
    }
}
