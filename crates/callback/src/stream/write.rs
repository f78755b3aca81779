//! Writing to any fd: the writable half of the stream machine, over an [`Output`].

use super::destroy::{Stream, shares_inner, step, stream_identity};
use super::event::{self, Resize, WriteClose, WriteError, WriteOpen, WriteReady};
use super::flags::*;
use super::functions::writable_functions;
use super::pending_write::PendingWrite;
use super::piping::{DestListeners, Writable};
use super::stream_fd::{StreamFd, not_open_yet};
use super::writable::{WritableStream, WriteEvent, emits_writing, throw_if_unheard};
use super::write_queue::{Batch, WritableState};
use super::{AbandonedAtExit, Fd};
use crate::continuation::then;
use crate::ends::{Ends, emit_last};
use crate::error::Error;
use crate::events::{Emitter, EmitterEvent, ListenerId};
use crate::runtime::{Runtime, current};
use crate::tables::weak;
use crate::thrown::{IntoResult, Thrown, callback_of};
use oneloop_core::signal::number::SIGWINCH;
use oneloop_core::{JoinHandle, Signals};
use oneloop_net::{self as net, LengthPrefix, Output, StdioKind, WindowSize, WriteHalf};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

/// From this many bytes on a write returns false: as in Node.
const HIGH_WATER_MARK: usize = 16 * 1024;

/// A stream that writes a pipe's end, a FIFO, a terminal, a socket or a file. Clones are the same
/// stream.
///
/// In Node a write to the standard output blocks until the kernel has taken all bytes. Here it does
/// not: what the kernel does not take waits, and keeps the program alive. A program sees 'drain'
/// where it would have blocked in Node. The end of the program, even by
/// [`exit`](crate::process::exit), writes what waits for a standard stream; what waits for any
/// other stream is lost then, as in Node.
///
/// ```
/// use oneloop::callback::{process, run};
///
/// run(|| {
///     process::stdout().write("hello\n");
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct WriteStream {
    inner: Rc<WriteStreamInner>,
}

/// What clones of a stream share.
pub(super) struct WriteStreamInner {
    runtime: Rc<Runtime>,
    events: Emitter,
    flags: Flags,
    writable: WritableState,
    output: StreamFd<Output>,
    /// What the kernel, or the thread that writes a file, has not taken of the write that is under
    /// way.
    pending: RefCell<Option<Box<PendingWrite>>>,
    bytes_written: Cell<u64>,
    errored: RefCell<Option<Error>>,
    /// The error for which the stream was destroyed, while a thread still opens or writes the file.
    reason: RefCell<Option<Error>>,
    has_writer: Cell<bool>,
    /// The task that writes or opens, while it waits.
    writer: RefCell<Option<Waker>>,
    /// The task that emits 'resize', once that has a listener.
    size_watch: Cell<Option<JoinHandle<()>>>,
}

/// The result of opening what a stream writes.
pub(crate) enum Opened {
    Output(Output),
    /// A FIFO without a reader: it opens once it has one.
    Unread(Pin<Box<dyn Future<Output = Result<Output, Error>>>>),
}

stream_identity!(WriteStream of WriteStreamInner);

impl From<WriteStream> for Writable {
    fn from(stream: WriteStream) -> Self {
        Writable::new(stream.inner)
    }
}

impl fmt::Debug for WriteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.writable_length();
        write!(f, "WriteStream({waiting} bytes wait)")
    }
}

impl WriteStream {
    pub(crate) fn new(
        runtime: &Rc<Runtime>,
        output: Fd<Output>,
        high_water_mark: Option<usize>,
    ) -> Self {
        let is_opening = matches!(output, Fd::Opening);
        let stream = WriteStream {
            inner: Rc::new(WriteStreamInner {
                runtime: Rc::clone(runtime),
                events: Emitter::new(),
                flags: Flags::default(),
                writable: WritableState::new(high_water_mark.unwrap_or(HIGH_WATER_MARK)),
                output: StreamFd::new(output, Output::kind),
                pending: RefCell::default(),
                bytes_written: Cell::new(0),
                errored: RefCell::default(),
                reason: RefCell::default(),
                has_writer: Cell::new(false),
                writer: RefCell::default(),
                size_watch: Cell::new(None),
            }),
        };
        // There is no readable half: it has ended from the start.
        stream.inner.flags.set(READ_ENDED | END_EMITTED);
        stream.inner.flags.put(OPENING, is_opening);
        let kept = Rc::clone(&stream.inner);
        stream.inner.output.keep(runtime, kept);
        stream
    }

    /// Writes to an fd: the end of a pipe, a FIFO, a terminal, a socket, or a file from its
    /// position on. The fd's flags stay as they are, so other processes may share it. It is closed
    /// after 'finish', by [`WriteStream::destroy`], or with the program: a pipe's reader finds the
    /// end then.
    ///
    /// # Errors
    /// `EMFILE`, and those of `epoll_ctl(2)`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn from_fd(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        let runtime = current();
        let output = runtime.handle.enter(|| Output::from_fd(fd.into()))?;
        Ok(WriteStream::new(&runtime, Fd::Open(Rc::new(output)), None))
    }

    /// The output itself; `None` while a thread opens it.
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    fn output(&self) -> io::Result<Option<Rc<Output>>> {
        let handle = &self.inner.runtime.handle;
        self.inner.output.get(|number| match number {
            1 => handle.enter(net::stdout),
            _ => handle.enter(net::stderr),
        })
    }

    fn opened(&self) -> io::Result<Rc<Output>> {
        self.output()?.ok_or_else(not_open_yet)
    }

    /// Opens the output, emits 'open', and writes what waits. As in Node, the file of a stream that
    /// is destroyed meanwhile opens nevertheless, and is then closed; only a FIFO's reader is no
    /// longer waited for.
    pub(crate) fn open(&self, opening: impl Future<Output = Result<Opened, Error>> + 'static) {
        let stream = self.clone();
        self.inner.runtime.handle.spawn_detached(async move {
            let opened = match opening.await {
                Ok(Opened::Output(output)) => Some(Ok(output)),
                Ok(Opened::Unread(mut reader)) => {
                    poll_fn(|cx| stream.poll_unread(cx, reader.as_mut())).await
                }
                Err(error) => Some(Err(error)),
            };
            if !stream.inner.runtime.is_over() {
                stream.finish_opening(opened).await;
            }
        });
    }

    async fn finish_opening(&self, opened: Option<Result<Output, Error>>) {
        let inner = &self.inner;
        let failed = match opened {
            Some(Ok(output)) => {
                inner.output.set(output);
                inner.runtime.make_callback(|| self.emit_open());
                None
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        // Only now: what a listener of 'open' writes waits in the buffer, as in Node.
        inner.flags.clear(OPENING);
        if self.is_destroyed() {
            let reason = inner.reason.take();
            return self.close_output(reason.or(failed)).await;
        }
        let Some(failed) = failed else {
            return inner.runtime.make_callback(|| {
                self.write_buffered();
                self.finish_maybe()
            });
        };
        // In this task, not in a new one: 'error' is the result of the job that opened.
        self.note_error(&failed);
        inner.flags.set(DESTROYED);
        inner.runtime.make_callback(|| self.fail_buffered());
        self.close_output(Some(failed)).await;
    }

    /// Ready with `None` once the stream is destroyed.
    fn poll_unread<T>(
        &self,
        cx: &mut Context<'_>,
        reader: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    ) -> Poll<Option<T>> {
        let before = self.inner.writer.replace(Some(cx.waker().clone()));
        drop(before);
        if self.inner.runtime.is_over() || self.is_destroyed() {
            return Poll::Ready(None);
        }
        reader.poll(cx).map(Some)
    }

    fn emit_open(&self) -> Result<(), Thrown> {
        self.emit(WriteOpen, self.clone())?;
        self.emit(WriteReady, self.clone())
    }

    /// Starts the task that writes what is pending.
    fn write_soon(&self) {
        // One task at a time: the bytes keep the order of the writes.
        if !self.inner.has_writer.replace(true) {
            let stream = self.clone();
            let writing = async move { stream.write_pending().await };
            self.inner.runtime.handle.spawn_detached(writing);
        }
    }

    /// The task that writes, while a write is pending.
    async fn write_pending(self) {
        let runtime = Rc::clone(&self.inner.runtime);
        while let Some(result) = poll_fn(|cx| self.poll_pending(cx)).await {
            let written = self.inner.pending.take();
            drop(written);
            let was_destroyed = self.is_destroyed();
            let result = match result {
                // Node's `writeAll`: a file's write that ends after `destroy` is an error.
                Ok(()) if was_destroyed => Err(Error::stream_destroyed("write")),
                result => result.map_err(|error| self.error(error)),
            };
            let failed = result.as_ref().err().cloned();
            runtime.make_callback(|| self.on_write_end(result));
            if was_destroyed {
                // Node's `kIoDone`: `destroy` has waited for the thread.
                let reason = self.inner.reason.take();
                self.close_output(reason.or(failed)).await;
            }
        }
        self.inner.has_writer.set(false);
    }

    /// Writes what is pending, and flushes it; ready with `None` if nothing is.
    fn poll_pending(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<()>>> {
        let before = self.inner.writer.replace(Some(cx.waker().clone()));
        drop(before);
        loop {
            // The borrow ends with this block: `advance` changes the write.
            let count = {
                let pending = self.inner.pending.borrow();
                let Some(write) = pending.as_ref().filter(|_| !self.inner.runtime.is_over()) else {
                    return Poll::Ready(None);
                };
                let output = match self.opened() {
                    Ok(output) => output,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                };
                // A thread may still be writing the file: an error belongs to the write that it
                // ends.
                if write.is_written() {
                    return output.poll_flush(cx).map(Some);
                }
                ready!(write.with_slices(|slices| output.poll_write_vectored(cx, slices)))
            };
            match count {
                Ok(count) => self.advance(count),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    fn advance(&self, count: usize) {
        // Node's `writeAll` counts only what it reports as written.
        if !self.is_destroyed() {
            self.count(count);
        }
        if let Some(write) = self.inner.pending.borrow_mut().as_mut() {
            write.advance(count);
        }
    }

    fn count(&self, count: usize) {
        let before = self.inner.bytes_written.get();
        self.inner.bytes_written.set(before + count as u64);
    }

    /// The error in Node's words, which differ for a file.
    fn error(&self, error: io::Error) -> Error {
        match self.kind() {
            Ok(StdioKind::File) => Error::file("write", error, None, None),
            _ => Error::system("write", error),
        }
    }

    fn wake_writer(&self) {
        let writer = self.inner.writer.take();
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Adds a listener. One of [`Resize`] does not keep the program alive.
    pub fn on<E: EmitterEvent, O: IntoResult>(
        &self,
        event: E,
        f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        let id = self.inner.events.on(event, f);
        // SIGWINCH needs a signal listener with an fd: only 'resize' pays for one.
        if self.inner.events.listener_count(Resize) > 0 && self.is_tty() {
            self.watch_size();
        }
        id
    }

    /// Adds a listener for the next such event only.
    pub fn once<E: EmitterEvent, O: IntoResult>(
        &self,
        event: E,
        f: impl for<'a> FnOnce(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        self.inner.events.once(event, f)
    }

    /// Removes a listener. Returns false if it was removed already.
    pub fn off(&self, id: ListenerId) -> bool {
        self.inner.events.off(id)
    }

    fn emit<E: EmitterEvent>(&self, event: E, args: E::Args<'_>) -> Result<(), Thrown> {
        self.inner.events.emit(event, args).map(drop)
    }

    fn watch_size(&self) {
        let watched = self.inner.size_watch.take();
        if watched.is_some() {
            return self.inner.size_watch.set(watched);
        }
        let runtime = Rc::clone(&self.inner.runtime);
        let Ok(signals) = Signals::new(&runtime.handle, &[SIGWINCH]) else {
            return; // no fd is left for it; `window_size` still works
        };
        // Weak: the wait for a signal must not keep the stream.
        let stream = Rc::downgrade(&self.inner);
        let task = runtime.handle.clone().spawn(async move {
            while signals.recv().await.is_ok() && !runtime.is_over() {
                let Some(inner) = stream.upgrade() else {
                    return;
                };
                let stream = WriteStream { inner };
                runtime.make_callback(|| stream.emit(Resize, stream.clone()));
            }
        });
        self.inner.size_watch.set(Some(task));
    }

    /// The kind of what is written.
    ///
    /// # Errors
    /// `EMFILE`; [`WouldBlock`](io::ErrorKind::WouldBlock) before a file is open; `EBADF` once it
    /// is closed.
    pub fn kind(&self) -> io::Result<StdioKind> {
        Ok(self.opened()?.kind())
    }

    /// True if the output is a terminal: `stdout.isTTY`.
    pub fn is_tty(&self) -> bool {
        self.kind().is_ok_and(|kind| kind == StdioKind::Tty)
    }

    /// The size of the terminal in characters: `stdout.columns`, `stdout.rows`.
    ///
    /// # Errors
    /// `ENOTTY` if the output is no terminal.
    pub fn window_size(&self) -> io::Result<WindowSize> {
        self.opened()?.window_size()
    }

    /// The number of bytes that the kernel, or for a file the thread that writes it, has taken:
    /// `stream.bytesWritten`.
    pub fn bytes_written(&self) -> u64 {
        self.inner.bytes_written.get()
    }

    /// True once the stream is destroyed, or closed: it writes no more.
    pub fn is_destroyed(&self) -> bool {
        self.inner.flags.has(DESTROYED)
    }

    /// Writes what waits, and then ends the stream: 'finish', and then 'close'. A standard output
    /// emits both as well, but stays open, and can be written again, as in Node.
    pub fn end(&self) -> &Self {
        self.end_bytes(None, None);
        self
    }

    /// Drops what waits, and emits 'close'. If a thread is writing to a file, its write completes
    /// first, and 'error' reports that more was to be written. Does nothing to a standard output.
    pub fn destroy(&self) -> &Self {
        self.destroy_unless_standard(None)
    }

    /// Destroys the stream for an error, which 'error' reports before 'close'.
    pub fn destroy_with(&self, error: impl Into<Error>) -> &Self {
        self.destroy_unless_standard(Some(error.into()))
    }

    /// Closes the stream after what waits is written: the same as [`WriteStream::end`], as in Node.
    pub fn close(&self) -> &Self {
        self.end()
    }

    /// Like [`WriteStream::close`], and calls a function at 'close'. A stream that is closed
    /// already calls it in the next tick.
    pub fn close_then<O: IntoResult>(
        &self,
        closed: impl FnOnce(WriteStream) -> O + 'static,
    ) -> &Self {
        if self.inner.events.is_ended() {
            let of = callback_of(&closed);
            self.next_call(move |stream| of.result(closed(stream.clone())));
        } else {
            self.once(WriteClose, closed);
        }
        self.close()
    }

    fn destroy_unless_standard(&self, error: Option<Error>) -> &Self {
        if !self.is_kept_open() {
            self.destroy_for(error);
        }
        self
    }

    /// Node's `dummyDestroy` and `_undestroy`: a standard output emits 'close', and is as new.
    fn reopen_standard(&self) {
        let ended = DESTROYED | ENDING | FINAL_CALLED | PREFINISHED | FINISHED | NEED_DRAIN;
        self.inner.flags.clear(ended);
        // In a tick, after 'finish': Node's `emitCloseNT`.
        self.next_step(step!(|stream| stream.emit(WriteClose, stream.clone())));
    }

    /// Closes the output now. The future reports it, and the error.
    fn close_output(&self, error: Option<Error>) -> impl Future<Output = ()> + 'static {
        let stream = self.clone();
        let closed = self.inner.output.close(&self.inner.runtime);
        async move {
            let emit_error = || match &error {
                Some(error) => stream.emit_error(error),
                None => Ok(()),
            };
            let emit_close = || {
                stream.inner.flags.set(CLOSED | CLOSE_EMITTED);
                let inner = &stream.inner;
                emit_last(
                    &inner.runtime,
                    inner,
                    &inner.events,
                    WriteClose,
                    stream.clone(),
                )
            };
            closed
                .report(&stream.inner.runtime, emit_error, emit_close)
                .await;
        }
    }
}

impl Stream for WriteStream {
    shares_inner!(WriteStream);

    fn first_error(&self) -> Option<Error> {
        self.inner.errored.borrow().clone()
    }

    fn store_first_error(&self, error: Error) {
        self.inner.errored.replace(Some(error));
    }

    fn close(&self, error: Option<Error>) {
        let inner = &self.inner;
        if self.is_kept_open() {
            return self.reopen_standard();
        }
        let is_pending = inner.pending.borrow().is_some();
        if is_pending && inner.output.is_file() {
            inner.reason.replace(error); // a thread writes: `write_pending` closes for it
            return;
        }
        if is_pending {
            let dropped = inner.pending.take();
            drop(dropped);
            let destroyed = || Error::stream_destroyed("write");
            let failed = error.clone().unwrap_or_else(destroyed);
            self.next_call(move |stream| stream.on_write_end(Err(failed)));
        }
        if inner.flags.has(OPENING) {
            inner.reason.replace(error); // `finish_opening` closes for it
        } else {
            let closing = self.close_output(error);
            inner.runtime.handle.spawn_detached(closing);
        }
        // A wait for room, or for the reader of a FIFO, ends.
        self.wake_writer();
    }

    fn emit_error_event(&self, error: &Error) -> Result<(), Thrown> {
        self.emit(WriteError, (self.clone(), error))
    }

    fn fail_buffered_soon(&self) {
        self.fail_waiting_soon();
    }

    /// An error does not end a standard output: it can be written again, as in Node.
    fn error_or_destroy(&self, error: Error) {
        if !self.is_kept_open() {
            return self.destroy_for(Some(error));
        }
        self.inner.flags.clear(ERRORED);
        self.next_call(move |stream| {
            stream.emit_error_event(&error)?;
            stream.finish_maybe()
        });
    }
}

impl WritableStream for WriteStream {
    emits_writing!(WriteStream, event, WriteError, WriteClose);

    fn writable_state(&self) -> &WritableState {
        &self.inner.writable
    }

    /// Writes at once what the kernel takes. A file is written by a thread, which takes a turn at
    /// least.
    fn write_to_sink(&self, mut batch: Batch<'_>) -> Option<Result<(), Error>> {
        // Node's `_write` hands even no bytes to a thread if the stream is a file's.
        let is_reported_later = batch.len() == 0 && self.inner.output.is_file();
        let taken = match self.output() {
            Ok(Some(output)) if output.kind() != StdioKind::File => {
                batch.try_once(|bufs| output.try_write_vectored(bufs))
            }
            Ok(_) => Ok(0), // a file: the thread writes all of it
            Err(error) => Err(error),
        };
        match taken {
            Ok(count) if count == batch.len() && !is_reported_later => {
                self.count(count);
                Some(Ok(()))
            }
            Ok(count) => {
                self.count(count);
                let rest = PendingWrite::rest_of(batch.bufs(), count);
                self.inner.pending.replace(Some(Box::new(rest)));
                self.write_soon();
                None
            }
            Err(error) => {
                let error = self.error(error);
                // At once, not in a tick: the next write of this callback finds a destroyed stream.
                self.destroy_unless_standard(Some(error.clone()));
                Some(Err(error))
            }
        }
    }

    /// Node's `fs.WriteStream` has no `_final`: the close at 'finish' is its end.
    fn has_final(&self) -> bool {
        !self.inner.output.is_file()
    }

    fn shut_down(&self) {
        if let Ok(output) = self.opened() {
            let _ = output.end(); // a peer that has reset the connection needs no end
        }
        // Only 'prefinish' could throw, in a tick.
        self.next_step(step!(WritableStream::on_shut_down));
    }

    fn is_kept_open(&self) -> bool {
        self.inner.output.is_standard()
    }
}

writable_functions!(WriteStream);
weak!(WeakWriteStream of WriteStream with WriteStreamInner);

impl WriteStream {
    pub(super) fn into_abandoned(self) -> Rc<dyn AbandonedAtExit> {
        self.inner
    }
}

impl Ends for WriteStreamInner {
    fn end(&self) {
        self.events.end();
        // A callback of an `end` after `destroy`, for example, which is never called.
        let never_called = self.writable.abandon();
        let size_watch = self.size_watch.take();
        drop((never_called, size_watch.map(|task| task.cancel())));
    }
}

impl AbandonedAtExit for WriteStreamInner {
    /// What waits for a standard stream is written now, even if that blocks.
    fn abandon(self: Rc<Self>) {
        let pending = self.pending.take();
        let buffered = self.writable.abandon();
        if !self.output.is_standard() {
            self.output.close(&self.runtime);
        } else if let Some(output) = self.output.open() {
            // In the order of the writes: first the rest of the one that is under way.
            let pending = pending.into_iter().flat_map(|write| write.into_pieces());
            for piece in pending.chain(buffered) {
                if output.write_all_blocking(&piece).is_err() {
                    break; // the reader is gone
                }
            }
        }
        self.end();
        WriteStream { inner: self }.wake_writer();
    }
}
