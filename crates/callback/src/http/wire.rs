//! Between hyper and a socket: bytes in memory, so that hyper parses and writes within a callback.
//!
//! Node's parser runs inside the listener of 'data', and a write of a response inside the call. Here
//! hyper does: each `drive` polls it until it can do no more, with a waker that only sets a flag. No
//! task of the loop polls hyper, and hyper reads and writes no socket.

use hyper::body::{Body, Bytes, Frame};
use hyper::header::HeaderMap;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

/// What hyper reads from and writes to. Clones are the same wire.
#[derive(Clone, Default)]
pub(super) struct Wire(Rc<WireState>);

#[derive(Default)]
struct WireState {
    input: RefCell<Vec<u8>>,
    /// Bytes of `input` that hyper has read.
    consumed: Cell<usize>,
    input_ended: Cell<bool>,
    output: RefCell<Vec<u8>>,
    /// Where the last flush but one ended, and the last.
    flushed: Cell<(usize, usize)>,
}

impl Wire {
    pub(super) fn feed(&self, bytes: &[u8]) {
        self.0.input.borrow_mut().extend_from_slice(bytes);
    }

    pub(super) fn end_input(&self) {
        self.0.input_ended.set(true);
    }

    /// Bytes that hyper has not read.
    pub(super) fn unread(&self) -> usize {
        self.0.input.borrow().len() - self.0.consumed.get()
    }

    pub(super) fn take_unread(&self) -> Vec<u8> {
        self.0.input.take().split_off(self.0.consumed.take())
    }

    pub(super) fn take_output(&self) -> Vec<u8> {
        self.0.flushed.set((0, 0));
        self.0.output.take()
    }

    /// Drops what hyper wrote since the last flush but one, if it is the head of an error. hyper
    /// answers a request that it cannot parse, and so does Node, in other words.
    pub(super) fn drop_error_head(&self) {
        let mut output = self.0.output.borrow_mut();
        let start = self.0.flushed.get().0.min(output.len());
        if output[start..].starts_with(b"HTTP/1.1 4") && output.ends_with(b"\r\n\r\n") {
            output.truncate(start);
        }
    }
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let state = &self.0;
        let mut input = state.input.borrow_mut();
        let unread = &input[state.consumed.get()..];
        if unread.is_empty() {
            // The code that feeds the wire polls hyper next, so no waker has to be kept.
            return match state.input_ended.get() {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            };
        }
        let count = unread.len().min(buf.remaining());
        buf.put_slice(&unread[..count]);
        state.consumed.set(state.consumed.get() + count);
        if state.consumed.get() == input.len() {
            input.clear(); // it keeps its memory for what arrives next
            state.consumed.set(0);
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.output.borrow_mut().extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (_, last) = self.0.flushed.get();
        let end = self.0.output.borrow().len();
        if end > last {
            self.0.flushed.set((last, end));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // Node's rules decide when the socket ends
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut output = self.0.output.borrow_mut();
        let before = output.len();
        bufs.iter().for_each(|buf| output.extend_from_slice(buf));
        Poll::Ready(Ok(output.len() - before))
    }
}

/// The waker of whatever is driven: it notes that another poll may do more.
#[derive(Clone)]
pub(super) struct Driver {
    woken: Arc<Woken>,
    waker: Waker,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

impl Default for Driver {
    fn default() -> Self {
        let woken = Arc::<Woken>::default();
        let waker = Arc::clone(&woken).into();
        Driver { woken, waker }
    }
}

impl Driver {
    /// Polls until the result is ready, or nothing has woken the waker since the last poll.
    pub(super) fn drive<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let mut cx = Context::from_waker(&self.waker);
        loop {
            self.woken.0.store(false, Relaxed);
            match poll(&mut cx) {
                Poll::Pending if self.woken.0.load(Relaxed) => {}
                polled => return polled,
            }
        }
    }

    /// Polls once. Another poll of hyper may then do more: see [`Driver::is_woken`].
    pub(super) fn poll<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        poll(&mut Context::from_waker(&self.waker))
    }

    pub(super) fn is_woken(&self) -> bool {
        self.woken.0.load(Relaxed)
    }
}

/// The body of a message that this end sends: what was written, and hyper has not taken yet. Clones
/// are the same body.
#[derive(Clone, Default)]
pub(super) struct Outbound(Rc<OutboundState>);

#[derive(Default)]
struct OutboundState {
    chunks: RefCell<VecDeque<Bytes>>,
    bytes: Cell<usize>,
    trailers: RefCell<Option<HeaderMap>>,
    has_ended: Cell<bool>,
}

impl Outbound {
    pub(super) fn push(&self, chunk: &[u8]) {
        if !chunk.is_empty() {
            self.0.bytes.set(self.0.bytes.get() + chunk.len());
            let chunk = Bytes::copy_from_slice(chunk);
            self.0.chunks.borrow_mut().push_back(chunk);
        }
    }

    pub(super) fn end(&self, trailers: Option<HeaderMap>) {
        self.0.trailers.replace(trailers);
        self.0.has_ended.set(true);
    }

    /// Bytes that hyper has not taken.
    pub(super) fn len(&self) -> usize {
        self.0.bytes.get()
    }

    pub(super) fn clear(&self) {
        self.0.bytes.set(0);
        let chunks = self.0.chunks.take();
        drop(chunks);
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.0.chunks.borrow_mut().pop_front();
        if let Some(chunk) = chunk {
            self.0.bytes.set(self.0.bytes.get() - chunk.len());
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if !self.0.has_ended.get() {
            return Poll::Pending; // the next write drives hyper
        }
        let trailers = self.0.trailers.take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.has_ended.get()
            && self.0.chunks.borrow().is_empty()
            && self.0.trailers.borrow().is_none()
    }
}
