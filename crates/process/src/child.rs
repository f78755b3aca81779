//! A child: a process with its pipes.

use crate::output::{Communication, Output};
use crate::process::Process;
use oneloop_core::Handle;
use oneloop_net::{PipeReader, PipeWriter};
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::process::{self, ExitStatus};

/// A child process that [`CommandIn::spawn`](crate::CommandIn::spawn) started.
///
/// It dereferences to [`Process`], which has [`id`](Process::id), [`kill`](Process::kill),
/// [`signal`](Process::signal) and [`try_wait`](Process::try_wait).
///
/// If this is dropped, the child continues, and the loop reaps it when it ends. With
/// [`kill_on_drop`](crate::CommandIn::kill_on_drop), the drop kills it.
#[derive(Debug)]
#[doc(alias = "Popen")]
pub struct Child {
    /// The child's standard input, if it is a pipe. A write waits while the pipe is full. Dropping
    /// this ends the input.
    pub stdin: Option<PipeWriter>,
    /// The child's standard output, if it is a pipe. The child blocks while the pipe is full.
    pub stdout: Option<PipeReader>,
    /// The child's standard error, if it is a pipe.
    pub stderr: Option<PipeReader>,
    process: Process,
    kill_on_drop: bool,
    pub(crate) communication: Communication,
}

impl Child {
    pub(crate) fn new(process: Process, kill_on_drop: bool, output_bytes_max: usize) -> Self {
        Child {
            stdin: None,
            stdout: None,
            stderr: None,
            process,
            kill_on_drop,
            communication: Communication::new(output_bytes_max),
        }
    }

    /// Registers the pipes with the loop.
    pub(crate) fn adopt(&mut self, handle: &Handle, child: &mut process::Child) -> io::Result<()> {
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // A pipe registers with the current loop, which may be another one than the child's.
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

    /// Returns the process, which other tasks can wait for or kill.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Closes the child's standard input, if it is a pipe, and waits for the child to end: see
    /// [`Process::wait`]. A child that fills a pipe which no task reads never ends: see
    /// [`Child::communicate`]. Cancel safe.
    ///
    /// # Errors
    /// As [`Process::wait`].
    #[doc(alias = "waitpid")]
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.process.wait().await
    }

    /// Closes the child's standard input, reads all output, and waits for the child to end. If the
    /// future is dropped, so is the child. Not cancel safe: the output is lost.
    /// [`Child::communicate`] loses nothing.
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
            // Whether this fails or not, the loop reaps the child when it ends.
            let _ = self.process.kill();
        }
    }
}
