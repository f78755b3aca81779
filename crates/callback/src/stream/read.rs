//! Reading from any fd: the readable half of the stream machine, over an [`Input`].

use super::destroy::{Stream, shares_inner, stream_identity};
use super::event::{self, Close, Error as ErrorEvent, Open, Ready};
use super::flags::*;
use super::follow::Follow;
use super::functions::readable_functions;
use super::pieces::{Pieces, Splitter};
use super::piping::{Pipes, Readable, Writable, pipe, unpipe, unpipe_all};
use super::readable::{
    Amount, BytesListener, ReadEvent, ReadableState, ReadableStream, emits_reading,
};
use super::stream_fd::{StreamFd, not_open_yet};
use super::{AbandonedAtExit, Fd};
use crate::ends::{Ends, emit_last};
use crate::error::Error;
use crate::events::{Emitter, EmitterEvent, ListenerId};
use crate::runtime::{Runtime, current};
use crate::tables::{references, weak};
use crate::thrown::{IntoResult, Thrown, callback_of, or_rethrow};
use oneloop_core::Direction;
use oneloop_net::{
    self as net, AsSource, CHUNK_BYTES, Chunk, FrameSplitter, Input, LengthPrefix, LineSplitter,
    RawMode, ReadHalf, StdioKind,
};
use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

/// A stream that reads a pipe's end, a FIFO, a terminal, a socket or a file. Clones are the same
/// stream.
///
/// It emits what has arrived as 'data', at most 64 KiB at a time; or a listener of 'readable' calls
/// [`read`](ReadStream::read). A paused stream reads nothing: the bytes stay in the kernel, so the
/// other end of a pipe waits. The stream ends with the program; so does a terminal's raw mode,
/// however the program ends.
///
/// ```no_run
/// use oneloop::callback::{process, run};
///
/// run(|| {
///     let stdin = process::stdin();
///     stdin.on_data(|_, bytes| println!("{} bytes", bytes.len()));
///     stdin.on_end(|_| println!("that was all"));
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Read in pieces of a known size, as a parser wants them:
///
/// ```
/// use oneloop::callback::run;
/// use oneloop::callback::stream::{ReadStream, WriteStream};
///
/// run(|| {
///     let (reader, writer) = std::io::pipe()?;
///     WriteStream::from_fd(writer)?.end_with("headtail");
///     ReadStream::from_fd(reader)?.on_readable(|stream| {
///         while let Some(word) = stream.read_bytes(4) {
///             assert!(word == b"head" || word == b"tail");
///         }
///     });
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct ReadStream {
    inner: Rc<ReadStreamInner>,
}

/// What clones of a stream share.
pub(super) struct ReadStreamInner {
    runtime: Rc<Runtime>,
    events: Emitter,
    flags: Flags,
    readable: ReadableState,
    input: StreamFd<Input>,
    /// Reports that a file has grown, if the stream follows one.
    follows: RefCell<Option<Rc<Follow>>>,
    /// Bytes that may still be read: the rest of the requested part of a file.
    bytes_left: Cell<u64>,
    errored: RefCell<Option<Error>>,
    /// The error for which the stream was destroyed before it was open.
    reason: RefCell<Option<Error>>,
    bytes_read: Cell<u64>,
    is_unreferenced: Cell<bool>,
    is_reading: Cell<bool>,
    has_reader: Cell<bool>,
    /// The task that reads or opens, once it has run.
    reader: RefCell<Option<Waker>>,
    raw_mode: RefCell<Option<RawMode>>,
    pipes: RefCell<Pipes>,
}

stream_identity!(ReadStream of ReadStreamInner);

impl From<ReadStream> for Readable {
    fn from(stream: ReadStream) -> Self {
        Readable::new(stream.inner)
    }
}

impl fmt::Debug for ReadStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadStream({:?})", self.inner.flags)
    }
}

impl ReadStream {
    /// A stream that reads at most `bytes_max` bytes; `None` reads to the end.
    pub(crate) fn new(
        runtime: &Rc<Runtime>,
        input: Fd<Input>,
        high_water_mark: Option<usize>,
        bytes_max: Option<u64>,
    ) -> Self {
        let is_opening = matches!(input, Fd::Opening);
        let stream = ReadStream {
            inner: Rc::new(ReadStreamInner {
                runtime: Rc::clone(runtime),
                events: Emitter::new(),
                flags: Flags::default(),
                readable: ReadableState::new(high_water_mark.unwrap_or(CHUNK_BYTES)),
                input: StreamFd::new(input, Input::kind),
                follows: RefCell::default(),
                bytes_left: Cell::new(bytes_max.unwrap_or(u64::MAX)),
                errored: RefCell::default(),
                reason: RefCell::default(),
                bytes_read: Cell::new(0),
                is_unreferenced: Cell::new(false),
                is_reading: Cell::new(false),
                has_reader: Cell::new(false),
                reader: RefCell::default(),
                raw_mode: RefCell::default(),
                pipes: RefCell::default(),
            }),
        };
        // There is no writable half: it has ended and finished from the start.
        stream.inner.flags.set(ENDING | FINISHED);
        stream.inner.flags.put(OPENING, is_opening);
        let kept = Rc::clone(&stream.inner);
        stream.inner.input.keep(runtime, kept);
        stream
    }

    /// Reads from an fd: the end of a pipe, a FIFO, a terminal, a socket, or a file from its
    /// position on. The fd's flags stay as they are, so other processes may share it. It is closed
    /// at the end, by [`ReadStream::destroy`], or with the program.
    ///
    /// # Errors
    /// `EMFILE`, and those of `epoll_ctl(2)`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn from_fd(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        let runtime = current();
        let input = runtime.handle.enter(|| Input::from_fd(fd.into()))?;
        let open = Fd::Open(Rc::new(input));
        Ok(ReadStream::new(&runtime, open, None, None))
    }

    /// The input itself; `None` while a thread opens it.
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    fn input(&self) -> io::Result<Option<Rc<Input>>> {
        let handle = &self.inner.runtime.handle;
        self.inner.input.get(|_| {
            let input = handle.enter(net::stdin)?;
            // `unref` may have been called before this first use.
            self.set_reference(&input);
            Ok(input)
        })
    }

    fn opened(&self) -> io::Result<Rc<Input>> {
        self.input()?.ok_or_else(not_open_yet)
    }

    fn set_reference(&self, input: &Input) {
        let is_referenced = !self.inner.is_unreferenced.get();
        input.source().set_referenced(is_referenced);
        if let Some(follow) = self.follows() {
            follow.set_referenced(is_referenced && self.inner.is_reading.get());
        }
    }

    /// Waits at the end of the file for what is appended, instead of emitting 'end'.
    pub(crate) fn follow(&self, input: &Input) -> io::Result<()> {
        let follow = Follow::new(&self.inner.runtime.handle, input)?;
        self.inner.follows.replace(Some(Rc::new(follow)));
        Ok(())
    }

    fn follows(&self) -> Option<Rc<Follow>> {
        self.inner.follows.borrow().clone()
    }

    /// Opens the input, emits 'open', and reads if the machine wants data. As in Node, the file of
    /// a stream that is destroyed meanwhile opens nevertheless, and is then closed.
    pub(crate) fn open(&self, opening: impl Future<Output = Result<Input, Error>> + 'static) {
        let stream = self.clone();
        self.inner.runtime.handle.spawn_detached(async move {
            let opened = opening.await;
            let runtime = &stream.inner.runtime;
            if runtime.is_over() {
                return;
            }
            let failed = match opened {
                Ok(input) => {
                    stream.set_reference(&input);
                    stream.inner.input.set(input);
                    runtime.make_callback(|| stream.emit_open());
                    None
                }
                Err(error) => Some(error),
            };
            // Only now: what a listener of 'open' does, it does to a stream that is not open yet,
            // as in Node.
            stream.inner.flags.clear(OPENING);
            if stream.is_destroyed() {
                let reason = stream.inner.reason.take();
                stream.close_input(reason.or(failed)).await;
            } else if let Some(failed) = failed {
                // In this task, not in a new one: 'error' is the result of the job that
                // opened.
                stream.note_error(&failed);
                stream.inner.flags.set(DESTROYED);
                stream.close_input(Some(failed)).await;
            } else {
                stream.wake_reader();
            }
        });
    }

    fn emit_open(&self) -> Result<(), Thrown> {
        self.emit(Open, self.clone())?;
        self.emit(Ready, self.clone())
    }

    /// Emits no 'data' until [`ReadStream::resume`]. The bytes stay in the kernel, and the stream
    /// no longer keeps the program alive.
    ///
    /// # Panics
    /// When a listener of 'pause' throws, with what it throws: in JavaScript `pause()` throws it.
    pub fn pause(&self) -> &Self {
        ReadableStream::pause(self);
        self
    }

    /// True once the stream is destroyed, or has ended: it reads no more.
    pub fn is_destroyed(&self) -> bool {
        self.inner.flags.has(DESTROYED)
    }

    /// The number of bytes that were read: `stream.bytesRead`.
    pub fn bytes_read(&self) -> u64 {
        self.inner.bytes_read.get()
    }

    /// Reads no more, and emits only 'close'. A standard input stays open.
    pub fn destroy(&self) -> &Self {
        self.destroy_for(None);
        self
    }

    /// Destroys the stream for an error, which 'error' reports before 'close'.
    pub fn destroy_with(&self, error: impl Into<Error>) -> &Self {
        self.destroy_for(Some(error.into()));
        self
    }

    /// Closes the stream: the same as [`ReadStream::destroy`], as in Node.
    pub fn close(&self) -> &Self {
        self.destroy()
    }

    /// Like [`ReadStream::close`], and calls a function at 'close': with the error that destroyed
    /// the stream, or with `ERR_STREAM_PREMATURE_CLOSE` if 'end' was not emitted. A stream that is
    /// closed already calls it in the next tick.
    pub fn close_then<O: IntoResult>(
        &self,
        closed: impl FnOnce(Result<(), Error>) -> O + 'static,
    ) -> &Self {
        let report = move |stream: &ReadStream| {
            let premature = || Error::new("ERR_STREAM_PREMATURE_CLOSE", "Premature close");
            let result = match stream.first_error() {
                Some(error) => Err(error),
                None if stream.inner.flags.has(END_EMITTED) => Ok(()),
                None => Err(premature()),
            };
            callback_of(&closed).result(closed(result))
        };
        if self.inner.events.is_ended() {
            self.next_call(report);
        } else {
            self.inner.events.once(Close, move |stream| report(&stream));
        }
        self.close()
    }

    fn wake_reader(&self) {
        let reader = self.inner.reader.borrow().clone();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The task that reads, while the machine wants more.
    async fn read_chunks(self) {
        while let Some(read) = poll_fn(|cx| self.poll_read(cx)).await {
            self.inner.runtime.make_callback(|| self.on_read(read));
        }
        // No code ran since the last poll, so no `read_start` has counted on this task.
        self.inner.has_reader.set(false);
    }

    fn on_read(&self, read: io::Result<Option<Chunk>>) -> Result<(), Thrown> {
        match read {
            Ok(Some(chunk)) => {
                if !self.push(&chunk)? {
                    self.read_stop();
                }
            }
            Ok(None) => {
                self.read_stop();
                self.push_end()?;
                self.read_nothing()?;
            }
            Err(error) => {
                self.read_stop();
                // Node words the errors of `fs` and of `net` differently.
                let error = match self.kind() {
                    Ok(StdioKind::File) => Error::file("read", error, None, None),
                    _ => Error::system("read", error),
                };
                self.destroy_for(Some(error));
            }
        }
        Ok(())
    }

    /// The next chunk; `None` once the machine wants no more.
    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Option<Chunk>>>> {
        // At each poll: `open` and each run of reads is a task, with its own waker.
        let before = self.inner.reader.replace(Some(cx.waker().clone()));
        drop(before);
        if self.inner.runtime.is_over() {
            return Poll::Ready(None);
        }
        if !self.inner.is_reading.get() {
            // A wait that is left behind would keep the program alive.
            if let Some(input) = self.inner.input.open() {
                input.source().cancel(Direction::Read);
                self.set_reference(&input);
            }
            return Poll::Ready(None);
        }
        let input = match self.input() {
            Ok(Some(input)) if !self.inner.flags.has(OPENING) => input,
            Ok(_) => return Poll::Pending,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        let left = self.inner.bytes_left.get();
        if left == 0 {
            // The option `end` of `createReadStream`: the rest of the file is not read.
            return Poll::Ready(Some(Ok(None)));
        }
        // Node asks for as much as the mark allows: `read(n)` raises it, and with it the size of a
        // chunk.
        let mark = self.readable_state().high_water_mark();
        let bytes_max = mark.min(left.try_into().unwrap_or(usize::MAX));
        self.poll_input(&input, cx, bytes_max).map(|read| {
            if let Ok(Some(chunk)) = &read {
                let count = chunk.len() as u64;
                self.inner.bytes_left.set(left - count);
                self.inner.bytes_read.set(self.bytes_read() + count);
            }
            Some(read)
        })
    }

    /// The next chunk; `None` at the end, unless the stream follows a file.
    fn poll_input(
        &self,
        input: &Input,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<Option<Chunk>>> {
        loop {
            let chunk = ready!(input.poll_read_chunk(cx, bytes_max))?;
            let Some(follow) = self.follows().filter(|_| chunk.is_none()) else {
                return Poll::Ready(Ok(chunk));
            };
            if !follow.begin_again_if_truncated()? {
                self.set_reference(input);
                ready!(follow.poll_changed(cx))?;
            }
        }
    }

    /// Closes the input now. The future reports it, and the error.
    fn close_input(&self, error: Option<Error>) -> impl Future<Output = ()> + 'static {
        let stream = self.clone();
        let inner = &self.inner;
        let follow = inner.follows.take();
        drop(follow);
        let closed = (!inner.input.is_standard()).then(|| {
            // Restored with the close, and not when the last clone of the stream is dropped.
            let raw_mode = inner.raw_mode.take();
            drop(raw_mode);
            inner.input.close(&inner.runtime)
        });
        async move {
            let runtime = &stream.inner.runtime;
            let emit_error = || match &error {
                Some(error) => stream.emit_error(error),
                None => Ok(()),
            };
            let emit_close = || {
                stream.inner.flags.set(CLOSED | CLOSE_EMITTED);
                let inner = &stream.inner;
                emit_last(&inner.runtime, inner, &inner.events, Close, stream.clone())
            };
            if let Some(closed) = closed {
                return closed.report(runtime, emit_error, emit_close).await;
            }
            runtime.make_callback(emit_error);
            // A standard input that is a file stays open, as in Node.
            if !stream.kind().is_ok_and(|kind| kind == StdioKind::File) {
                runtime.make_callback(emit_close);
            }
        }
    }

    fn emit<E: EmitterEvent>(&self, event: E, args: E::Args<'_>) -> Result<(), Thrown> {
        self.inner.events.emit(event, args).map(drop)
    }

    /// The kind of what is read.
    ///
    /// # Errors
    /// `EMFILE`; [`WouldBlock`](io::ErrorKind::WouldBlock) before a file is open; `EBADF` once it
    /// is closed.
    pub fn kind(&self) -> io::Result<StdioKind> {
        Ok(self.opened()?.kind())
    }

    /// True if the input is a terminal: `stdin.isTTY`.
    pub fn is_tty(&self) -> bool {
        self.kind().is_ok_and(|kind| kind == StdioKind::Tty)
    }

    /// Puts the terminal into raw mode, or back: `stdin.setRawMode`. The end of the program
    /// restores it, too.
    ///
    /// # Errors
    /// `ENOTTY` if the input is no terminal.
    pub fn set_raw_mode(&self, raw: bool) -> Result<&Self, Error> {
        let mode = match raw {
            true => Some(self.opened().and_then(|input| input.raw_mode())),
            false => None,
        };
        let mode = mode
            .transpose()
            .map_err(|error| Error::system("setRawMode", error))?;
        let before = self.inner.raw_mode.replace(mode);
        drop(before);
        Ok(self)
    }

    /// True while the terminal is in raw mode: `stdin.isRaw`.
    pub fn is_raw(&self) -> bool {
        self.inner.raw_mode.borrow().is_some()
    }

    fn set_referenced(&self, referenced: bool) {
        self.inner.is_unreferenced.set(!referenced);
        if let Some(input) = self.inner.input.open() {
            self.set_reference(&input);
        }
    }
}

impl Stream for ReadStream {
    shares_inner!(ReadStream);

    fn first_error(&self) -> Option<Error> {
        self.inner.errored.borrow().clone()
    }

    fn store_first_error(&self, error: Error) {
        self.inner.errored.replace(Some(error));
    }

    fn close(&self, error: Option<Error>) {
        self.read_stop();
        if self.inner.flags.has(OPENING) {
            self.inner.reason.replace(error); // `open` closes for it
        } else {
            let closing = self.close_input(error);
            self.inner.runtime.handle.spawn_detached(closing);
        }
    }

    fn emit_error_event(&self, error: &Error) -> Result<(), Thrown> {
        self.emit(ErrorEvent, (self.clone(), error))
    }
}

impl ReadableStream for ReadStream {
    const FILLS_WHILE_PAUSED: bool = false;
    const IS_DUPLEX: bool = false;

    emits_reading!(ReadStream, event);

    fn readable_state(&self) -> &ReadableState {
        &self.inner.readable
    }

    fn read_start(&self) {
        // A task for each run of reads, not for the life of the stream: a paused stream costs none.
        self.inner.is_reading.set(true);
        if self.inner.has_reader.replace(true) {
            return self.wake_reader();
        }
        let stream = self.clone();
        let reading = async move { stream.read_chunks().await };
        self.inner.runtime.handle.spawn_detached(reading);
    }

    fn read_stop(&self) {
        if self.inner.is_reading.replace(false) {
            self.wake_reader(); // its wait ends
        }
    }

    fn is_source_reading(&self) -> bool {
        self.inner.is_reading.get()
    }

    fn with_pipes<T>(&self, f: impl FnOnce(&mut Pipes) -> T) -> T {
        f(&mut self.inner.pipes.borrow_mut())
    }

    fn forget_awaited_drains(&self) {
        self.inner.pipes.borrow_mut().forget_awaited();
    }
}

readable_functions!(ReadStream, EmitterEvent);
references!(ReadStream, "the stream flows");
weak!(WeakReadStream of ReadStream with ReadStreamInner);

impl ReadStream {
    pub(super) fn into_abandoned(self) -> Rc<dyn AbandonedAtExit> {
        self.inner
    }
}

impl Ends for ReadStreamInner {
    fn end(&self) {
        self.events.end();
    }
}

impl AbandonedAtExit for ReadStreamInner {
    fn abandon(self: Rc<Self>) {
        let raw_mode = self.raw_mode.take();
        drop(raw_mode);
        self.flags.set(DESTROYED);
        self.end();
        if !self.input.is_standard() {
            self.input.close(&self.runtime);
        }
        let follow = self.follows.take();
        drop(follow);
        let stream = ReadStream { inner: self };
        stream.read_stop();
        stream.wake_reader();
    }
}
