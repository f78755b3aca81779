//! Writes the input of a child and reads its output at the same time.

use crate::child::Child;
use crate::output::Output;
use crate::process::{KilledFor, Process};
use oneloop_core::{Direction, Sleep};
use oneloop_net::AsSource;
use oneloop_sync::UntilSet;
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

impl Child {
    /// Writes the input and closes the child's standard input, reads all output, and waits for the
    /// child to end. The three run at the same time, so that no full pipe blocks them: Python's
    /// `communicate`. It is no error if the child does not read its input.
    ///
    /// If the child is killed for a [timeout](crate::CommandIn::timeout) or for too much output,
    /// this waits only for the child, not for the end of its pipes: other processes may hold those.
    ///
    /// Cancel safe: if the future is dropped, the next call continues with the first input, and no
    /// output is lost.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there is input and the child's standard
    /// input is not a pipe; those of `read(2)` and `write(2)`; those of [`Process::wait`].
    pub async fn communicate(&mut self, input: impl Into<Vec<u8>>) -> io::Result<Output> {
        if self.communication.input.is_none() {
            let input = input.into();
            if self.stdin.is_none() && !input.is_empty() {
                let problem = "the child has input, but its standard input is not a pipe";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
            }
            self.communication.input = Some(input);
        }
        let process = self.process().clone();
        let _alive = process.handle().keep_alive();
        let mut communicating = Communicating::new(self);
        poll_fn(|cx| communicating.poll(cx)).await?;
        drop(communicating);
        let status = process.wait().await?; // ready at once
        Ok(Output {
            status,
            stdout: mem::take(&mut self.communication.stdout.bytes),
            stderr: mem::take(&mut self.communication.stderr.bytes),
            killed_for: process.killed_for(),
        })
    }
}

/// A communication in progress. Its drop cancels its waits on the pipes.
///
/// ```text
///  stdin:   write ──▶ all written, or EPIPE ──▶ close
///  stdout:  read ───▶ end, or too much ───────▶ close ─┐
///  stderr:  read ───▶ end, or too much ───────▶ close ─┼──▶ done
///  process: wait ───▶ ended ───────────────────────────┘
///                       └─ after a kill for a limit ──────▶ done, without the ends of the pipes
/// ```
struct Communicating<'a> {
    child: &'a mut Child,
    process: Process,
    ended: UntilSet,
    /// Ends when the child exceeds its timeout.
    timeout: Option<Sleep>,
}

impl<'a> Communicating<'a> {
    fn new(child: &'a mut Child) -> Self {
        let process = child.process().clone();
        Communicating {
            child,
            ended: process.until_ended(),
            timeout: process.timeout(),
            process,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_timeout(cx);
        // Checked before the pipes are read: once a child has ended, all of its output is in the
        // pipes, so the reads below get the rest.
        let has_ended = Pin::new(&mut self.ended).poll(cx).is_ready();
        if has_ended {
            self.assume_readable();
        }
        let is_read = self.poll_pipes(cx)?.is_ready();
        if has_ended && (is_read || self.process.killed_for().is_some()) {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    // Runs also when the child has ended: its own children may hold the pipes open, and without the
    // timeout this could wait for them forever.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) {
        if let Some(timeout) = &mut self.timeout
            && Pin::new(timeout).poll(cx).is_ready()
        {
            self.timeout = None;
            self.process.kill_for(KilledFor::Timeout);
        }
    }

    fn poll_pipes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Child {
            stdin,
            stdout,
            stderr,
            communication,
            ..
        } = &mut *self.child;
        communication.feed(cx, stdin)?;
        let polled = [
            communication.stdout.poll_fill(cx, stdout)?,
            communication.stderr.poll_fill(cx, stderr)?,
        ];
        if communication.stdout.is_cut_off || communication.stderr.is_cut_off {
            self.process.kill_for(KilledFor::Output);
        }
        if polled.iter().any(Poll::is_pending) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    // The pidfd may be reported in an earlier turn than the last bytes in the pipes.
    fn assume_readable(&self) {
        for pipe in [&self.child.stdout, &self.child.stderr]
            .into_iter()
            .flatten()
        {
            pipe.source().assume_ready(Direction::Read);
        }
    }
}

impl Drop for Communicating<'_> {
    fn drop(&mut self) {
        if let Some(stdin) = &self.child.stdin {
            stdin.source().cancel(Direction::Write);
        }
        for pipe in [&self.child.stdout, &self.child.stderr]
            .into_iter()
            .flatten()
        {
            pipe.source().cancel(Direction::Read);
        }
    }
}
