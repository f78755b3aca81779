//! A socket is a Duplex: both halves of the stream machine, over one [`StreamHandle`].

use super::event;
use super::event::SocketEvent;
use super::socket::{Socket, SocketInner};
use crate::continuation::{Then, then};
use crate::error::Error;
use crate::events::{EmitterEvent, ListenerId};
use crate::runtime::Runtime;
use crate::stream::destroy::{Stream, shares_inner, stream_identity};
use crate::stream::flags::*;
use crate::stream::functions::{readable_functions, writable_functions};
use crate::stream::pieces::{Pieces, Splitter};
use crate::stream::piping::{DestListeners, Pipes, Readable, Writable, pipe, unpipe, unpipe_all};
use crate::stream::readable::{
    Amount, BytesListener, ReadEvent, ReadableState, ReadableStream, emits_reading,
};
use crate::stream::writable::{WritableStream, WriteEvent, emits_writing, throw_if_unheard};
use crate::stream::write_queue::{Batch, WritableState};
use crate::thrown::{IntoResult, Thrown, or_rethrow};
use oneloop_net::{FrameSplitter, LengthPrefix, LineSplitter};
use std::any::TypeId;
use std::io::{self, IoSlice};
use std::rc::Rc;

stream_identity!(Socket of SocketInner);

impl From<Socket> for Readable {
    fn from(socket: Socket) -> Self {
        Readable::new(socket.inner)
    }
}

impl From<Socket> for Writable {
    fn from(socket: Socket) -> Self {
        Writable::new(socket.inner)
    }
}

impl Stream for Socket {
    shares_inner!(Socket);

    fn first_error(&self) -> Option<Error> {
        self.errored()
    }

    fn store_first_error(&self, error: Error) {
        self.with_rare(|rare| rare.errored = Some(error));
    }

    fn close(&self, error: Option<Error>) {
        self.close_for(error);
    }

    fn emit_error_event(&self, error: &Error) -> Result<(), Thrown> {
        self.emit(event::Error, (self.clone(), error)).map(drop)
    }

    fn fail_buffered_soon(&self) {
        self.fail_waiting_soon();
    }

    /// Node's `endWritableNT`.
    fn end_writable(&self) {
        if self.is_writable() {
            self.end();
        }
    }
}

impl ReadableStream for Socket {
    const FILLS_WHILE_PAUSED: bool = true;
    const IS_DUPLEX: bool = true;

    emits_reading!(Socket, event);

    fn readable_state(&self) -> &ReadableState {
        &self.inner.readable
    }

    /// A socket that is not connected begins to read once it is.
    fn read_start(&self) {
        // net.js `_read` waits for 'connect' like this.
        if self.inner.flags.has(CONNECTING) || !self.has_handle() {
            self.inner.events.once(event::Connect, |socket: Socket| {
                socket.read_start();
            });
        } else if let Some(handle) = self.handle().filter(|handle| !handle.is_reading()) {
            handle.read_start();
        }
    }

    fn read_stop(&self) {
        self.with_handle(|handle| handle.read_stop());
    }

    fn is_source_reading(&self) -> bool {
        self.with_handle(|handle| handle.is_reading()) == Some(true)
    }

    fn with_pipes<T>(&self, f: impl FnOnce(&mut Pipes) -> T) -> T {
        self.with_rare(|rare| f(&mut rare.pipes))
    }

    /// Most sockets have no pipes, and make none for this.
    fn forget_awaited_drains(&self) {
        self.rare_mut(|rare| {
            rare.pipes.forget_awaited();
            Some(())
        });
    }
}

impl WritableStream for Socket {
    emits_writing!(Socket, event, Error, Close);

    fn writable_state(&self) -> &WritableState {
        &self.inner.writable
    }

    fn write_to_sink(&self, batch: Batch<'_>) -> Option<Result<(), Error>> {
        if self.inner.flags.has(CONNECTING) {
            self.write_once_connected(batch.concat());
            return None;
        }
        self.write_to_handle(batch)
    }

    fn shut_down(&self) {
        // net.js `_final` waits for 'connect' like this: what was written before is sent first.
        if self.is_pending() {
            self.inner.events.once(event::Connect, |socket: Socket| {
                socket.shut_down();
            });
        } else if let Some(handle) = self.handle() {
            handle.shutdown();
        }
    }

    fn write_or_fail(&self, bytes: &[u8], written: Option<Then>) -> bool {
        if self.inner.flags.has(WRITE_AFTER_FIN | ENDING) {
            // Node's `writeAfterFIN`: the peer ended the socket, and the caller may not know that
            // yet.
            let error = Error::new("EPIPE", "This socket has been ended by the other party");
            self.call_soon(written, Err(error.clone()));
            self.destroy_with(error);
            return false;
        }
        let tried = self.try_at_once(bytes, written.is_some());
        if matches!(tried, Some(Ok(count)) if count == bytes.len()) {
            return true;
        }
        let bufs = [IoSlice::new(bytes)];
        self.write_batch(Batch::tried(&bufs, tried), written)
            .unwrap_or(false)
    }
}

readable_functions!(Socket, SocketEvent);
writable_functions!(Socket);

impl Socket {
    /// Emits no 'data' until [`Socket::resume`]. What arrives meanwhile waits in the buffer; beyond
    /// the high-water mark it waits in the kernel, and then at the peer.
    ///
    /// # Panics
    /// When a listener of 'pause' throws, with what it throws: in JavaScript `pause()` throws it.
    pub fn pause(&self) -> &Self {
        ReadableStream::pause(self);
        self
    }

    /// Sends what waits, and then the end, which is the peer's 'end'. Nothing can be written after
    /// it.
    #[doc(alias = "uv_shutdown")]
    pub fn end(&self) -> &Self {
        self.end_bytes(None, None);
        self
    }

    /// Writes at once what the kernel takes, and keeps none of the rest: `uv_try_write`. Returns
    /// the number of bytes that the kernel took: 0 while something waits, before the socket is
    /// connected, and when it cannot be written any more, which the next [`Socket::write`] reports.
    ///
    /// Nothing reports when the kernel has room again. A writer that has more can write one byte,
    /// and wait for the end of that write.
    pub fn try_write(&self, bytes: impl AsRef<[u8]>) -> usize {
        let unable = ENDING | DESTROYED | ERRORED | WRITING | CONNECTING;
        if self.inner.flags.has_any(unable) || self.inner.writable.is_corked() {
            return 0;
        }
        let written = self.with_handle(|handle| handle.try_write_some(bytes.as_ref()));
        let written = written.and_then(Result::ok).unwrap_or(0);
        // Nothing was queued, so there is no other sign of activity.
        if written > 0 {
            self.postpone_timeout();
        }
        written
    }

    /// The way of most writes: nothing waits, there is no callback, and the kernel has room for all
    /// bytes. Then nothing else has to be done. If not, the result is the first try of the write.
    fn try_at_once(&self, bytes: &[u8], has_callback: bool) -> Option<io::Result<usize>> {
        let unusual =
            ENDING | DESTROYED | ERRORED | WRITING | CONNECTING | NEED_DRAIN | HAS_TIMEOUT;
        let is_usual = !has_callback && !self.inner.flags.has_any(unusual);
        if !is_usual || self.inner.writable.is_corked() {
            return None;
        }
        self.with_handle(|handle| handle.try_write(bytes))
    }

    fn write_to_handle(&self, batch: Batch<'_>) -> Option<Result<(), Error>> {
        let Some(handle) = self.handle() else {
            return Some(Err(Error::new("ERR_SOCKET_CLOSED", "Socket is closed")));
        };
        // A write is activity from its start: net.js `_unrefTimer`.
        self.postpone_timeout();
        match handle.write(batch) {
            Ok(true) => {
                self.note_queue(handle.write_queue_bytes());
                None
            }
            Ok(false) => Some(Ok(())),
            Err(error) => Some(Err(Error::system("write", error))),
        }
    }

    /// Writes bytes when the connection stands: `pendingData` of Node's `net.js`.
    fn write_once_connected(&self, bytes: Vec<u8>) {
        self.with_rare(|rare| rare.pending_data_bytes = bytes.len());
        let events = &self.inner.events;
        // Exactly one of the two listeners runs, and removes the other or ends with the socket.
        let closed = events.once(event::Close, |(socket, _): (Socket, bool)| {
            let message = "Socket closed before the connection was established";
            let code = "ERR_SOCKET_CLOSED_BEFORE_CONNECTION";
            socket.on_write_end(Err(Error::new(code, message)))
        });
        events.once(event::Connect, move |socket: Socket| {
            socket.inner.events.off(closed);
            socket.with_rare(|rare| rare.pending_data_bytes = 0);
            match socket.write_to_handle(Batch::new(&[IoSlice::new(&bytes)])) {
                Some(result) => socket.on_write_end(result),
                None => Ok(()),
            }
        });
    }

    // Called by the handle.

    pub(super) fn on_read(&self, chunk: &[u8]) -> Result<(), Thrown> {
        self.postpone_timeout();
        if self.is_destroyed() {
            return Ok(());
        }
        if !self.push(chunk)? {
            self.read_stop();
        }
        Ok(())
    }

    pub(super) fn on_read_end(&self) -> Result<(), Thrown> {
        self.postpone_timeout();
        // net.js `onStreamRead` checks `endEmitted`, too.
        if self.inner.flags.has(END_EMITTED) {
            return Ok(());
        }
        // net.js `onStreamRead`: the end, then `read(0)`, so that a stream without data emits 'end'
        // even if nothing reads it.
        self.push_end()?;
        self.read_nothing()
    }

    pub(super) fn on_read_error(&self, error: Error) -> Result<(), Thrown> {
        self.postpone_timeout();
        self.destroy_with(error);
        Ok(())
    }

    pub(super) fn on_written(&self, result: io::Result<()>) -> Result<(), Thrown> {
        if !self.is_destroyed() {
            self.postpone_timeout();
            self.note_queue(0);
        }
        // The caller of `destroy` knows that writes were lost: Node calls their callbacks without
        // an error.
        let result = match result {
            Err(error) if !self.is_destroyed() => Err(Error::system("write", error)),
            _ => Ok(()),
        };
        self.on_write_end(result)
    }
}
