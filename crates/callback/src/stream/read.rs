//! Reading: a stream flows while somebody wants it to, and keeps the program alive no longer.

use super::event::{Close, Data, End, Error as ErrorEvent, Open, Pause, Ready, Resume};
use super::place::{Place, not_open_yet};
use super::{Fd, Life, Stream};
use crate::error::Error;
use crate::events::{Emitter, Event, ListenerId};
use crate::net::piping::Pipes;
use crate::runtime::{Runtime, current};
use crate::tables::references;
use crate::thrown::{Outcome, Thrown, or_rethrow};
use oneloop_core::Direction;
use oneloop_net::{self as net, AsSource, CHUNK_BYTES, Chunk, Input, RawMode, ReadHalf, StdioKind};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

/// Something that is read, in Node's words: a pipe's end, a FIFO, a terminal, a socket, a file. Clones are the
/// same one.
///
/// What has come is told as 'data', with no more than 64 KiB at a time; what nobody wants yet stays in the
/// kernel, so whoever writes into the pipe waits. It ends with the program; and so does a terminal's raw mode,
/// however the program ends.
///
/// ```no_run
/// use oneloop_callback::{process, run};
///
/// run(|| {
///     let stdin = process::stdin();
///     stdin.on_data(|_, bytes| println!("{} bytes", bytes.len()));
///     stdin.on_end(|_| println!("that was all"));
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct ReadStream {
    inner: Rc<Inner>,
}

struct Inner {
    runtime: Rc<Runtime>,
    events: Emitter,
    input: Place<Input>,
    limits: Cell<Limits>,
    flow: Cell<Flow>,
    life: Cell<Life>,
    /// Why it was given up before it was open.
    reason: RefCell<Option<Error>>,
    bytes_read: Cell<u64>,
    is_unreferenced: Cell<bool>,
    has_reader: Cell<bool>,
    /// 'resume' is to be told in a tick: Node's `resumeScheduled`.
    is_resuming: Cell<bool>,
    /// The task that reads or opens, once it has run.
    reader: RefCell<Option<Waker>>,
    raw_mode: RefCell<Option<RawMode>>,
    pipes: RefCell<Pipes>,
}

/// How much is read.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// At once.
    pub(crate) chunk: usize,
    /// And in all, from now on.
    pub(crate) left: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            chunk: CHUNK_BYTES,
            left: u64::MAX,
        }
    }
}

/// Node's `readableFlowing`, and the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// Nobody has asked for anything.
    Idle,
    Flowing,
    Paused,
    /// 'end' was told.
    Ended,
    /// It failed, or was given up.
    Broken,
}

/// A stream that may be gone.
pub(crate) struct WeakReadStream(Weak<Inner>);

impl WeakReadStream {
    pub(crate) fn upgrade(&self) -> Option<ReadStream> {
        Some(ReadStream {
            inner: self.0.upgrade()?,
        })
    }
}

impl fmt::Debug for ReadStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadStream({:?})", self.inner.flow.get())
    }
}

impl PartialEq for ReadStream {
    /// The same stream, not one alike.
    fn eq(&self, other: &ReadStream) -> bool {
        Rc::ptr_eq(&self.inner, &other.inner)
    }
}
impl Eq for ReadStream {}

references!(ReadStream, "the stream flows");

impl ReadStream {
    pub(crate) fn new(runtime: &Rc<Runtime>, input: Fd<Input>, limits: Option<Limits>) -> Self {
        let stream = ReadStream {
            inner: Rc::new(Inner {
                runtime: Rc::clone(runtime),
                events: Emitter::new(),
                input: Place::new(input, Input::kind),
                limits: Cell::new(limits.unwrap_or_default()),
                flow: Cell::new(Flow::Idle),
                life: Cell::new(Life::Open),
                reason: RefCell::default(),
                bytes_read: Cell::new(0),
                is_unreferenced: Cell::new(false),
                has_reader: Cell::new(false),
                is_resuming: Cell::new(false),
                reader: RefCell::default(),
                raw_mode: RefCell::default(),
                pipes: RefCell::default(),
            }),
        };
        let kept = Stream::Read(stream.clone());
        stream.inner.input.keep(runtime, kept);
        stream
    }

    /// Reads from an fd, whatever it is: the end of a pipe, a FIFO, a terminal, a socket, a file from where its
    /// position is. Its flags stay as they are, so it may be shared with other processes. It is closed at the
    /// end, by [`ReadStream::destroy`], or with the program.
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
        Ok(ReadStream::new(&runtime, Fd::Open(Rc::new(input)), None))
    }

    pub(crate) fn downgrade(&self) -> WeakReadStream {
        WeakReadStream(Rc::downgrade(&self.inner))
    }

    /// The input itself; none while it is being opened.
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    fn input(&self) -> io::Result<Option<Rc<Input>>> {
        let handle = &self.inner.runtime.handle;
        self.inner.input.get(|_| {
            let input = handle.enter(net::stdin)?;
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
    }

    /// Opens what it is to read, tells of it, and reads it once somebody wants that. As in Node, a stream
    /// that is given up meanwhile is opened nevertheless, and then closed.
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
                    runtime.make_callback(|| stream.tell_open());
                    None
                }
                Err(error) => Some(error),
            };
            stream.inner.input.finish_opening();
            let error = stream.inner.reason.take().or(failed);
            if error.is_some() || stream.is_destroyed() {
                stream.close(error).await;
            } else {
                stream.wake_reader();
            }
        });
    }

    fn tell_open(&self) -> Result<(), Thrown> {
        self.inner.events.emit(Open, self.clone())?;
        self.inner.events.emit(Ready, self.clone()).map(drop)
    }

    /// Has a function hear an event from now on. Listening to [`Data`] has it flow, unless it is paused.
    pub fn on<E: Event, O: Outcome>(
        &self,
        event: E,
        f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        let id = self.inner.events.on(event, f);
        self.flow_if_heard();
        id
    }

    /// Has a function hear an event the next time, and no more.
    pub fn once<E: Event, O: Outcome>(
        &self,
        event: E,
        f: impl for<'a> FnOnce(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        let id = self.inner.events.once(event, f);
        self.flow_if_heard();
        id
    }

    fn flow_if_heard(&self) {
        if self.has_data_listeners() && self.inner.flow.get() == Flow::Idle {
            self.resume();
        }
    }

    /// Takes a listener off. False if it is off already.
    pub fn off(&self, id: ListenerId) -> bool {
        self.inner.events.off(id)
    }

    pub(crate) fn has_data_listeners(&self) -> bool {
        self.inner.events.listener_count(Data) > 0
    }

    /// Has 'data' be told from the next tick on.
    pub fn resume(&self) -> &Self {
        if matches!(self.inner.flow.get(), Flow::Idle | Flow::Paused) {
            self.inner.flow.set(Flow::Flowing);
            if !self.inner.is_resuming.replace(true) {
                self.next_call(|stream| stream.start());
            }
        }
        self
    }

    /// Has something run before the loop goes on.
    pub(crate) fn next_call(&self, f: impl FnOnce(&ReadStream) -> Result<(), Thrown> + 'static) {
        self.inner.runtime.next_call(self, f);
    }

    /// Node's `resume_`: 'resume' is told once, also if the stream was paused or given up meanwhile.
    fn start(&self) -> Result<(), Thrown> {
        self.inner.is_resuming.set(false);
        self.inner.events.emit(Resume, self.clone())?;
        if self.inner.flow.get() != Flow::Flowing {
            return Ok(());
        }
        if self.inner.has_reader.replace(true) {
            self.wake_reader();
        } else {
            let stream = self.clone();
            let reading = async move { stream.read().await };
            self.inner.runtime.handle.spawn_detached(reading);
        }
        Ok(())
    }

    /// Has 'data' be told no more, and the program be kept alive no longer by this.
    ///
    /// # Panics
    /// When a listener of 'pause' throws, with what it throws: in JavaScript `pause()` throws it.
    pub fn pause(&self) -> &Self {
        if matches!(self.inner.flow.get(), Flow::Idle | Flow::Flowing) {
            self.inner.flow.set(Flow::Paused);
            self.wake_reader(); // it waits no longer
            or_rethrow(self.inner.events.emit(Pause, self.clone()));
        }
        self
    }

    /// True after [`ReadStream::pause`], until [`ReadStream::resume`].
    pub fn is_paused(&self) -> bool {
        self.inner.flow.get() == Flow::Paused
    }

    pub(crate) fn is_flowing(&self) -> bool {
        self.inner.flow.get() == Flow::Flowing
    }

    /// True after 'end'.
    pub fn is_readable_ended(&self) -> bool {
        self.inner.flow.get() == Flow::Ended
    }

    /// True once it is given up, or has ended: nothing is read any more.
    pub fn is_destroyed(&self) -> bool {
        self.inner.life.get() != Life::Open
    }

    /// How many bytes were read: `stream.bytesRead`.
    pub fn bytes_read(&self) -> u64 {
        self.inner.bytes_read.get()
    }

    /// Gives it up: nothing is told any more but 'close'. A standard input stays as it is, and is only not
    /// read any more.
    pub fn destroy(&self) -> &Self {
        self.destroy_for(None)
    }

    /// Gives it up for an error, of which 'error' tells before 'close' comes.
    pub fn destroy_with(&self, error: impl Into<Error>) -> &Self {
        self.destroy_for(Some(error.into()))
    }

    fn destroy_for(&self, error: Option<Error>) -> &Self {
        if self.inner.life.get() != Life::Open {
            return self;
        }
        self.inner.life.set(Life::Destroyed);
        self.break_flow();
        self.wake_reader();
        if self.inner.input.is_opening() {
            self.inner.reason.replace(error); // `open` goes on with it
            return self;
        }
        self.inner.runtime.handle.spawn_detached(self.close(error));
        self
    }

    fn wake_reader(&self) {
        let reader = self.inner.reader.borrow().clone();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The task that reads, while it flows.
    async fn read(self) {
        let runtime = Rc::clone(&self.inner.runtime);
        let events = &self.inner.events;
        while let Some(read) = poll_fn(|cx| self.poll_read(cx)).await {
            match read {
                Ok(Some(chunk)) => {
                    runtime.make_callback(|| {
                        self.inner.pipes.borrow_mut().forget_awaited();
                        events.emit(Data, (self.clone(), &chunk)).map(drop)
                    });
                    continue;
                }
                Ok(None) => {
                    self.inner.flow.set(Flow::Ended);
                    runtime.make_callback(|| events.emit(End, self.clone()).map(drop));
                    if self.inner.life.get() == Life::Open {
                        self.close(None).await;
                    }
                }
                Err(error) => {
                    let error = match self.kind() {
                        Ok(StdioKind::File) => Error::file("read", error, None, None),
                        _ => Error::system("read", error),
                    };
                    self.close(Some(error)).await;
                }
            }
            return;
        }
        self.inner.has_reader.set(false);
    }

    /// What is to be read; none once nobody wants it.
    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Option<Chunk>>>> {
        let before = self.inner.reader.replace(Some(cx.waker().clone()));
        drop(before);
        if self.inner.runtime.is_over() {
            return Poll::Ready(None);
        }
        if self.inner.flow.get() != Flow::Flowing {
            if let Some(input) = self.inner.input.open() {
                input.source().cancel(Direction::Read);
            }
            return Poll::Ready(None);
        }
        let input = match self.input() {
            Ok(Some(input)) => input,
            Ok(None) => return Poll::Pending,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        let limits = self.inner.limits.get();
        if limits.left == 0 {
            return Poll::Ready(Some(Ok(None)));
        }
        let bytes_max = limits
            .chunk
            .min(limits.left.try_into().unwrap_or(usize::MAX));
        input.poll_read_chunk(cx, bytes_max).map(|read| {
            if let Ok(Some(chunk)) = &read {
                let count = chunk.len() as u64;
                let left = limits.left - count;
                self.inner.limits.set(Limits { left, ..limits });
                self.inner.bytes_read.set(self.bytes_read() + count);
            }
            Some(read)
        })
    }

    /// Closes it now. The future tells so, and why, if it is for an error.
    fn close(&self, error: Option<Error>) -> impl Future<Output = ()> + 'static {
        let stream = self.clone();
        let inner = &self.inner;
        inner.life.set(Life::Destroyed);
        self.break_flow();
        let closed = (!inner.input.is_standard()).then(|| {
            let raw_mode = inner.raw_mode.take();
            drop(raw_mode);
            inner.input.close(&inner.runtime)
        });
        async move {
            let runtime = &stream.inner.runtime;
            let tell_error = || match &error {
                Some(error) => stream.emit(ErrorEvent, (stream.clone(), error)),
                None => Ok(()),
            };
            let tell_close = || {
                stream.inner.life.set(Life::Closed);
                stream.emit(Close, stream.clone())
            };
            if let Some(closed) = closed {
                return closed.tell(runtime, tell_error, tell_close).await;
            }
            runtime.make_callback(tell_error);
            // A standard input that is a file stays open, as in Node.
            if !stream.kind().is_ok_and(|kind| kind == StdioKind::File) {
                runtime.make_callback(tell_close);
            }
        }
    }

    fn emit<E: Event>(&self, event: E, args: E::Args<'_>) -> Result<(), Thrown> {
        self.inner.events.emit(event, args).map(drop)
    }

    /// Nothing is read any more.
    fn break_flow(&self) {
        if self.inner.flow.get() != Flow::Ended {
            self.inner.flow.set(Flow::Broken);
        }
    }

    /// What it is.
    ///
    /// # Errors
    /// `EMFILE`; [`WouldBlock`](io::ErrorKind::WouldBlock) before a file is open; `EBADF` once it is closed.
    pub fn kind(&self) -> io::Result<StdioKind> {
        Ok(self.opened()?.kind())
    }

    /// True if it is a terminal: `stdin.isTTY`.
    pub fn is_tty(&self) -> bool {
        self.kind().is_ok_and(|kind| kind == StdioKind::Tty)
    }

    /// Puts the terminal into raw mode, or back: `stdin.setRawMode`. It is back at the end of the program, too.
    ///
    /// # Errors
    /// `ENOTTY` if it is no terminal.
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

    /// True while it is in raw mode: `stdin.isRaw`.
    pub fn is_raw(&self) -> bool {
        self.inner.raw_mode.borrow().is_some()
    }

    fn set_referenced(&self, referenced: bool) {
        self.inner.is_unreferenced.set(!referenced);
        if let Some(input) = self.inner.input.open() {
            self.set_reference(&input);
        }
    }

    pub(crate) fn with_pipes<T>(&self, f: impl FnOnce(&mut Pipes) -> T) -> T {
        f(&mut self.inner.pipes.borrow_mut())
    }

    /// The program has ended.
    pub(super) fn let_go(&self) {
        let raw_mode = self.inner.raw_mode.take();
        drop(raw_mode);
        self.break_flow();
        self.inner.events.forget_all();
        if !self.inner.input.is_standard() {
            self.inner.input.close(&self.inner.runtime);
        }
        self.wake_reader();
    }
}
