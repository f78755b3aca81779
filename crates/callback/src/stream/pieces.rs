//! Lines and frames out of a stream's chunks. The lines are Node's `readline`, without a terminal.

use super::flags::*;
use super::readable::ReadableStream;
use crate::error::Error;
use crate::events::ListenerId;
use crate::thrown::Thrown;
use oneloop_net::{FrameError, FrameSplitter, LineSplitter, LineTooLong};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};

/// Splits chunks into pieces: lines, or frames.
pub(crate) trait Splitter {
    /// Takes bytes off the front of `chunk`, up to the end of the next piece. `None` takes all.
    fn next_piece<'a, 'chunk: 'a>(
        &'a mut self,
        chunk: &mut &'chunk [u8],
    ) -> Result<Option<Cow<'a, [u8]>>, Error>;

    /// Ends the stream, whose last piece may have no end.
    fn last_piece(&mut self) -> Result<Option<Vec<u8>>, Error>;
}

impl Splitter for LineSplitter {
    fn next_piece<'a, 'chunk: 'a>(
        &'a mut self,
        chunk: &mut &'chunk [u8],
    ) -> Result<Option<Cow<'a, [u8]>>, Error> {
        let line = self.next_line(chunk).map_err(line_too_long)?;
        Ok(line.map(Cow::Borrowed))
    }

    fn last_piece(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let line = self.last_line().map_err(line_too_long)?;
        Ok(line.map(<[u8]>::to_vec))
    }
}

fn line_too_long(error: LineTooLong) -> Error {
    Error::new("ERR_LINE_TOO_LONG", error.to_string())
}

impl Splitter for FrameSplitter {
    fn next_piece<'a, 'chunk: 'a>(
        &'a mut self,
        chunk: &mut &'chunk [u8],
    ) -> Result<Option<Cow<'a, [u8]>>, Error> {
        self.next_frame(chunk).map_err(bad_frame)
    }

    fn last_piece(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.end().map_err(bad_frame)?;
        Ok(None)
    }
}

pub(crate) fn bad_frame(error: FrameError) -> Error {
    let code = match error {
        FrameError::TooLong { .. } => "ERR_FRAME_TOO_LONG",
        FrameError::BadVarint => "ERR_FRAME_BAD_VARINT",
        FrameError::CutOff { .. } => "ERR_FRAME_CUT_OFF",
    };
    Error::new(code, error.to_string())
}

/// A listener of the pieces of a stream.
type PieceListener<S> = Box<dyn Fn(S, &[u8]) -> Result<(), Thrown>>;

/// Splits what a stream emits, and calls a function with each piece.
pub(crate) struct Pieces<S: ReadableStream, P: Splitter> {
    /// `None` while the function runs.
    splitter: Cell<Option<P>>,
    /// What the stream has emitted while the function ran: it has called `read`.
    emitted_meanwhile: RefCell<Vec<u8>>,
    on_piece: PieceListener<S>,
    /// The listener of 'data'. Once it is removed, no piece comes.
    id: Cell<Option<ListenerId>>,
}

impl<S: ReadableStream, P: Splitter> Pieces<S, P> {
    pub(crate) fn new(splitter: P, on_piece: PieceListener<S>) -> Self {
        Pieces {
            splitter: Cell::new(Some(splitter)),
            emitted_meanwhile: RefCell::default(),
            on_piece,
            id: Cell::new(None),
        }
    }

    pub(crate) fn set_listener(&self, id: ListenerId) {
        self.id.set(Some(id));
    }

    /// True while another piece may come now.
    fn is_wanted(&self, stream: &S) -> bool {
        let is_listening = |id| stream.has_read_listener(id);
        // A listener that destroys the stream wants no more of it.
        !stream.flags().has_any(PAUSED | DESTROYED) && self.id.get().is_none_or(is_listening)
    }

    /// Calls the function with each piece that ends in these bytes. If it pauses the stream, throws,
    /// or removes its listener, the rest waits in the stream, so nothing is lost or early: Node
    /// emits the lines of a chunk even if the first one pauses its interface, and drops them if it
    /// throws.
    pub(crate) fn on_data(&self, stream: &S, bytes: &[u8]) -> Result<(), Thrown> {
        let Some(splitter) = self.splitter.take() else {
            self.emitted_meanwhile.borrow_mut().extend_from_slice(bytes);
            return Ok(());
        };
        let mut splitting = Splitting {
            pieces: self,
            stream,
            splitter: Some(splitter),
            rest: bytes,
        };
        splitting.call_with_pieces()
    }

    /// Calls the function with the last piece, if that has no end.
    pub(crate) fn on_end(&self, stream: &S) -> Result<(), Thrown> {
        let Some(mut splitter) = self.splitter.take() else {
            return Ok(());
        };
        let last = splitter.last_piece();
        // Back before the function runs, which may unwind: a socket can connect again.
        self.splitter.set(Some(splitter));
        match last {
            Ok(Some(piece)) => (self.on_piece)(stream.clone(), &piece),
            Ok(None) => Ok(()),
            Err(error) => refuse(stream, error),
        }
    }
}

/// A chunk that is being split. Its drop also runs when the function unwinds.
struct Splitting<'a, S: ReadableStream, P: Splitter> {
    pieces: &'a Pieces<S, P>,
    stream: &'a S,
    /// `Some` until the drop.
    splitter: Option<P>,
    rest: &'a [u8],
}

impl<S: ReadableStream, P: Splitter> Splitting<'_, S, P> {
    fn call_with_pieces(&mut self) -> Result<(), Thrown> {
        let Some(splitter) = &mut self.splitter else {
            return Ok(());
        };
        while self.pieces.is_wanted(self.stream) {
            match splitter.next_piece(&mut self.rest) {
                Ok(Some(piece)) => (self.pieces.on_piece)(self.stream.clone(), &piece)?,
                Ok(None) => break,
                Err(error) => return refuse(self.stream, error),
            }
        }
        Ok(())
    }
}

impl<S: ReadableStream, P: Splitter> Drop for Splitting<'_, S, P> {
    fn drop(&mut self) {
        self.pieces.splitter.set(self.splitter.take());
        let emitted_meanwhile = self.pieces.emitted_meanwhile.take();
        self.stream.unshift(&emitted_meanwhile);
        self.stream.unshift(self.rest);
    }
}

fn refuse(stream: &impl ReadableStream, error: Error) -> Result<(), Thrown> {
    stream.error_or_destroy(error);
    Ok(())
}
