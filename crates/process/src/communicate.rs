//! Feeding a child and reading all that it prints, at the same time.

use crate::child::Child;
use crate::process::{KilledFor, Process};
use oneloop_core::{Direction, Sleep};
use oneloop_net::{AsSource, CHUNK_BYTES, PipeReader, PipeWriter, ReadHalf, WriteHalf};
use oneloop_sync::UntilSet;
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::Pin;
use std::process::ExitStatus;
use std::task::{Context, Poll};

/// How a child ended, and what it has printed into its pipes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it printed as its errors.
    pub stderr: Vec<u8>,
    /// It was killed for its [`timeout`](crate::CommandIn::timeout) or for
    /// [`max_output_bytes`](crate::CommandIn::max_output_bytes), and so there may be more that is not here.
    pub killed_for: Option<KilledFor>,
}

/// How far the communication with a child is: it goes on from there when it is asked for again.
#[derive(Debug)]
pub(crate) struct Talk {
    /// What is to be written; none before it begins.
    input: Option<Vec<u8>>,
    written: usize,
    stdout: Captured,
    stderr: Captured,
}

impl Talk {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Talk {
            input: None,
            written: 0,
            stdout: Captured::new(bytes_max),
            stderr: Captured::new(bytes_max),
        }
    }

    /// Writes what the child takes, and then closes its input.
    fn feed(&mut self, cx: &mut Context<'_>, stdin: &mut Option<PipeWriter>) -> io::Result<()> {
        let input = self.input.as_deref().unwrap_or_default();
        while let Some(writer) = stdin.as_ref().filter(|_| self.written < input.len()) {
            match writer.poll_write(cx, &input[self.written..]) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(count)) => self.written += count,
                // It does not want to hear more, which is its right.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        drop(stdin.take());
        Ok(())
    }
}

/// What was read from one of a child's pipes.
#[derive(Debug)]
struct Captured {
    bytes: Vec<u8>,
    bytes_max: usize,
    /// There was more.
    is_cut_off: bool,
}

impl Captured {
    fn new(bytes_max: usize) -> Self {
        Captured {
            bytes: Vec::new(),
            bytes_max,
            is_cut_off: false,
        }
    }

    /// Reads what is there. Ready at the end, or when it is more than may be kept: the pipe is closed then.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Option<PipeReader>,
    ) -> Poll<io::Result<()>> {
        while let Some(reader) = pipe {
            let Some(chunk) = std::task::ready!(reader.poll_read_chunk(cx, CHUNK_BYTES))? else {
                break;
            };
            let room = self.bytes_max - self.bytes.len();
            self.bytes
                .extend_from_slice(&chunk[..room.min(chunk.len())]);
            if chunk.len() > room {
                self.is_cut_off = true;
                break;
            }
        }
        drop(pipe.take());
        Poll::Ready(Ok(()))
    }
}

impl Child {
    /// Writes this to the child and closes its input; reads all that it prints; and waits for its end. None
    /// of these waits for another one, so that no full pipe stops it: Python's `communicate`. A child that
    /// does not read its input is no error.
    ///
    /// When the child is killed on its [terms](crate::CommandIn::timeout), what it has printed until then is all
    /// that is waited for: others may have its pipes, and keep them.
    ///
    /// Cancel safe: asked for again, it goes on where it was, with the same input, and nothing is lost.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for input to a child whose standard input is not a pipe;
    /// those of `read(2)` and `write(2)`; those of [`Process::wait`].
    pub async fn communicate(&mut self, input: impl Into<Vec<u8>>) -> io::Result<Output> {
        if self.talk.input.is_none() {
            let input = input.into();
            if self.stdin.is_none() && !input.is_empty() {
                let problem = "there is input for a child whose standard input is not a pipe";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
            }
            self.talk.input = Some(input);
        }
        let process = self.process().clone();
        let _alive = process.handle().keep_alive();
        let mut talking = Talking::new(self);
        poll_fn(|cx| talking.poll(cx)).await?;
        drop(talking);
        let status = process.wait().await?; // it has ended
        Ok(Output {
            status,
            stdout: mem::take(&mut self.talk.stdout.bytes),
            stderr: mem::take(&mut self.talk.stderr.bytes),
            killed_for: process.killed_for(),
        })
    }
}

/// One who communicates with a child. Dropped, it takes back its waits.
struct Talking<'a> {
    child: &'a mut Child,
    process: Process,
    ended: UntilSet,
    lateness: Option<Sleep>,
}

impl<'a> Talking<'a> {
    fn new(child: &'a mut Child) -> Self {
        let process = child.process().clone();
        Talking {
            child,
            ended: process.until_ended(),
            lateness: process.lateness(),
            process,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_lateness(cx);
        // Asked before the last read: what a child prints is in its pipes when it ends.
        let has_ended = Pin::new(&mut self.ended).poll(cx).is_ready();
        if has_ended {
            self.believe_readable();
        }
        let is_read = self.poll_pipes(cx)?.is_ready();
        if has_ended && (is_read || self.process.killed_for().is_some()) {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Also for a child that has ended: others may have its pipes.
    fn poll_lateness(&mut self, cx: &mut Context<'_>) {
        if let Some(lateness) = &mut self.lateness
            && Pin::new(lateness).poll(cx).is_ready()
        {
            self.lateness = None;
            self.process.kill_for(KilledFor::Timeout);
        }
    }

    fn poll_pipes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Child {
            stdin,
            stdout,
            stderr,
            talk,
            ..
        } = &mut *self.child;
        talk.feed(cx, stdin)?;
        let polled = [
            talk.stdout.poll_fill(cx, stdout)?,
            talk.stderr.poll_fill(cx, stderr)?,
        ];
        if talk.stdout.is_cut_off || talk.stderr.is_cut_off {
            self.process.kill_for(KilledFor::Output);
        }
        if polled.iter().any(Poll::is_pending) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// The loop may not have heard yet of what was printed last.
    fn believe_readable(&self) {
        for pipe in [&self.child.stdout, &self.child.stderr]
            .into_iter()
            .flatten()
        {
            pipe.source().assume_ready(Direction::Read);
        }
    }
}

impl Drop for Talking<'_> {
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
