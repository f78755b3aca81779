//! Lines out of a stream's chunks: Node's `readline`, without a terminal.

use super::flags::*;
use super::readable::ReadableStream;
use crate::error::Error;
use crate::events::ListenerId;
use crate::thrown::Thrown;
use oneloop_net::{LineSplitter, LineTooLong};
use std::cell::{Cell, RefCell};

/// A listener of the lines of a stream.
type LineListener<S> = Box<dyn Fn(S, &[u8]) -> Result<(), Thrown>>;

/// Splits what a stream emits, and calls a function with each line.
pub(crate) struct Lines<S: ReadableStream> {
    /// `None` while the function runs.
    splitter: Cell<Option<LineSplitter>>,
    /// What the stream has emitted while the function ran: it has called `read`.
    emitted_meanwhile: RefCell<Vec<u8>>,
    on_line: LineListener<S>,
    /// The listener of 'data'. Once it is removed, no line comes.
    id: Cell<Option<ListenerId>>,
}

impl<S: ReadableStream> Lines<S> {
    pub(crate) fn new(splitter: LineSplitter, on_line: LineListener<S>) -> Self {
        Lines {
            splitter: Cell::new(Some(splitter)),
            emitted_meanwhile: RefCell::default(),
            on_line,
            id: Cell::new(None),
        }
    }

    pub(crate) fn set_listener(&self, id: ListenerId) {
        self.id.set(Some(id));
    }

    /// True while another line may come now.
    fn is_wanted(&self, stream: &S) -> bool {
        let is_listening = |id| stream.has_read_listener(id);
        // A listener that destroys the stream wants no more lines of it.
        !stream.flags().has_any(PAUSED | DESTROYED) && self.id.get().is_none_or(is_listening)
    }

    /// Calls the function with each line that ends in these bytes. If it pauses the stream, throws,
    /// or removes its listener, the rest waits in the stream, so nothing is lost or early: Node
    /// emits the lines of a chunk even if the first one pauses its interface, and drops them if it
    /// throws.
    pub(crate) fn on_data(&self, stream: &S, bytes: &[u8]) -> Result<(), Thrown> {
        let Some(splitter) = self.splitter.take() else {
            self.emitted_meanwhile.borrow_mut().extend_from_slice(bytes);
            return Ok(());
        };
        let mut splitting = Splitting {
            lines: self,
            stream,
            splitter: Some(splitter),
            rest: bytes,
        };
        splitting.call_with_lines()
    }

    /// Calls the function with the last line, if that has no end.
    pub(crate) fn on_end(&self, stream: &S) -> Result<(), Thrown> {
        let Some(mut splitter) = self.splitter.take() else {
            return Ok(());
        };
        let last = splitter.last_line().map(|line| line.map(<[u8]>::to_vec));
        // Back before the function runs, which may unwind: a socket can connect again.
        self.splitter.set(Some(splitter));
        match last {
            Ok(Some(line)) => (self.on_line)(stream.clone(), &line),
            Ok(None) => Ok(()),
            Err(error) => refuse(stream, error),
        }
    }
}

/// A chunk that is being split. Its drop also runs when the function unwinds.
struct Splitting<'a, S: ReadableStream> {
    lines: &'a Lines<S>,
    stream: &'a S,
    /// `Some` until the drop.
    splitter: Option<LineSplitter>,
    rest: &'a [u8],
}

impl<S: ReadableStream> Splitting<'_, S> {
    fn call_with_lines(&mut self) -> Result<(), Thrown> {
        let Some(splitter) = &mut self.splitter else {
            return Ok(());
        };
        while self.lines.is_wanted(self.stream) {
            match splitter.next_line(&mut self.rest) {
                Ok(Some(line)) => (self.lines.on_line)(self.stream.clone(), line)?,
                Ok(None) => break,
                Err(error) => return refuse(self.stream, error),
            }
        }
        Ok(())
    }
}

impl<S: ReadableStream> Drop for Splitting<'_, S> {
    fn drop(&mut self) {
        self.lines.splitter.set(self.splitter.take());
        let emitted_meanwhile = self.lines.emitted_meanwhile.take();
        self.stream.unshift(&emitted_meanwhile);
        self.stream.unshift(self.rest);
    }
}

fn refuse(stream: &impl ReadableStream, error: LineTooLong) -> Result<(), Thrown> {
    stream.error_or_destroy(Error::new("ERR_LINE_TOO_LONG", error.to_string()));
    Ok(())
}
