//! The input that a communication writes to a child, and the output that it reads.

use crate::process::KilledFor;
use oneloop_net::{CHUNK_BYTES, PipeReader, PipeWriter, ReadHalf, WriteHalf};
use std::io;
use std::process::ExitStatus;
use std::task::{Context, Poll};

/// The exit status of a child, and its output.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// The exit status.
    pub status: ExitStatus,
    /// The bytes of its standard output.
    pub stdout: Vec<u8>,
    /// The bytes of its standard error.
    pub stderr: Vec<u8>,
    /// Why the child was killed: [`timeout`](crate::CommandIn::timeout) or
    /// [`max_output_bytes`](crate::CommandIn::max_output_bytes). The output may then be incomplete.
    pub killed_for: Option<KilledFor>,
}

/// The progress of the communication with a child. The [`Child`](crate::Child) keeps it, so that a
/// second [`communicate`](crate::Child::communicate) continues where a dropped one stopped.
#[derive(Debug)]
pub(crate) struct Communication {
    /// The bytes to write; `None` before the communication begins.
    pub(crate) input: Option<Vec<u8>>,
    /// How many bytes of the input were written.
    written: usize,
    pub(crate) stdout: Captured,
    pub(crate) stderr: Captured,
}

impl Communication {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Communication {
            input: None,
            written: 0,
            stdout: Captured::new(bytes_max),
            stderr: Captured::new(bytes_max),
        }
    }

    /// Writes as much as the pipe takes. When all is written, closes the pipe, which ends the
    /// child's input.
    pub(crate) fn feed(
        &mut self,
        cx: &mut Context<'_>,
        stdin: &mut Option<PipeWriter>,
    ) -> io::Result<()> {
        let input = self.input.as_deref().unwrap_or_default();
        while let Some(writer) = stdin.as_ref().filter(|_| self.written < input.len()) {
            match writer.poll_write(cx, &input[self.written..]) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(count)) => self.written += count,
                // The child has closed its input, as `head -1` does: it needs no more of it.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        drop(stdin.take());
        Ok(())
    }
}

/// The output that was read from one pipe of a child.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) bytes: Vec<u8>,
    bytes_max: usize,
    /// The child wrote more than `bytes_max`.
    pub(crate) is_cut_off: bool,
}

impl Captured {
    fn new(bytes_max: usize) -> Self {
        Captured {
            bytes: Vec::new(),
            bytes_max,
            is_cut_off: false,
        }
    }

    /// Reads until the pipe is empty. Ready at the end of the output, or when it exceeds the limit;
    /// the pipe is closed then.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Option<PipeReader>,
    ) -> Poll<io::Result<()>> {
        while let Some(reader) = pipe {
            let Some(chunk) = std::task::ready!(reader.poll_read_chunk(cx, CHUNK_BYTES))? else {
                break;
            };
            // One byte too many is enough to know that the child exceeds its limit.
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
