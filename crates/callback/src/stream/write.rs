//! Writing: what the kernel does not take waits, and is written in order.

mod ending;

use super::event::{Drain, Resize, WriteOpen, WriteReady};
use super::place::{Place, not_open_yet};
use super::{Fd, Life, Stream};
use crate::continuation::{self, Then};
use crate::error::Error;
use crate::events::{Emitter, Event, ListenerId};
use crate::runtime::{Runtime, current};
use crate::thrown::{Outcome, Thrown};
use oneloop_core::Signals;
use oneloop_core::signal::number::SIGWINCH;
use oneloop_net::{self as net, Output, StdioKind, WindowSize, WriteHalf};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

/// So many bytes may wait before a write says that it is enough: as in Node.
const HIGH_WATER_MARK: usize = 16 * 1024;

/// Something that is written, in Node's words: a pipe's end, a FIFO, a terminal, a socket, a file. Clones are
/// the same one.
///
/// In Node writing to the standard output blocks until the kernel has taken it all. Here it does not: what the
/// kernel does not take waits, and keeps the program alive. So a program sees 'drain' where in Node it would
/// have stood still. Of the standard ones it is written at the program's end at the latest, also after
/// [`exit`](crate::process::exit); of others what waits is lost then, as in Node.
///
/// ```
/// use oneloop_callback::{process, run};
///
/// run(|| {
///     process::stdout().write("hello\n");
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct WriteStream {
    inner: Rc<Inner>,
}

struct Inner {
    runtime: Rc<Runtime>,
    events: Emitter,
    output: Place<Output>,
    high_water_mark: usize,
    waiting: RefCell<VecDeque<Waiting>>,
    waiting_bytes: Cell<usize>,
    bytes_written: Cell<u64>,
    needs_drain: Cell<bool>,
    life: Cell<Life>,
    /// It was given up for an error.
    has_failed: Cell<bool>,
    /// Why it was given up, while that is still to be told.
    reason: RefCell<Option<Error>>,
    ending: Cell<Ending>,
    /// Who is to hear of 'finish'.
    at_finish: RefCell<Vec<Then>>,
    /// The task that writes, while something waits.
    is_writing: Cell<bool>,
    writer: RefCell<Option<Waker>>,
    is_watching_size: Cell<bool>,
}

/// Node's `writableEnded` and `writableFinished`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Not,
    Ended,
    Finished,
}

/// What a stream is to write has been opened, or waits.
pub(crate) enum Opened {
    Output(Output),
    /// A FIFO that nobody reads, until somebody does.
    Unread(Pin<Box<dyn Future<Output = Result<Output, Error>>>>),
}

/// Bytes that the kernel has not taken, and who is to hear when it has.
struct Waiting {
    bytes: Vec<u8>,
    written: usize,
    then: Option<Then>,
}

/// A stream that may be gone.
pub(crate) struct WeakWriteStream(Weak<Inner>);

impl WeakWriteStream {
    pub(crate) fn upgrade(&self) -> Option<WriteStream> {
        Some(WriteStream {
            inner: self.0.upgrade()?,
        })
    }
}

impl fmt::Debug for WriteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.inner.waiting_bytes.get();
        write!(f, "WriteStream({waiting} bytes wait)")
    }
}

impl PartialEq for WriteStream {
    /// The same stream, not one alike.
    fn eq(&self, other: &WriteStream) -> bool {
        Rc::ptr_eq(&self.inner, &other.inner)
    }
}
impl Eq for WriteStream {}

impl WriteStream {
    pub(crate) fn new(
        runtime: &Rc<Runtime>,
        output: Fd<Output>,
        high_water_mark: Option<usize>,
    ) -> Self {
        let stream = WriteStream {
            inner: Rc::new(Inner {
                runtime: Rc::clone(runtime),
                events: Emitter::new(),
                output: Place::new(output, Output::kind),
                high_water_mark: high_water_mark.unwrap_or(HIGH_WATER_MARK),
                waiting: RefCell::default(),
                waiting_bytes: Cell::new(0),
                bytes_written: Cell::new(0),
                needs_drain: Cell::new(false),
                life: Cell::new(Life::Open),
                has_failed: Cell::new(false),
                reason: RefCell::default(),
                ending: Cell::new(Ending::Not),
                at_finish: RefCell::default(),
                is_writing: Cell::new(false),
                writer: RefCell::default(),
                is_watching_size: Cell::new(false),
            }),
        };
        let kept = Stream::Write(stream.clone());
        stream.inner.output.keep(runtime, kept);
        stream
    }

    /// Writes to an fd, whatever it is: the end of a pipe, a FIFO, a terminal, a socket, a file from where its
    /// position is. Its flags stay as they are, so it may be shared with other processes. It is closed once it
    /// has finished, by [`WriteStream::destroy`], or with the program: a pipe's reader is at the end then.
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

    pub(crate) fn downgrade(&self) -> WeakWriteStream {
        WeakWriteStream(Rc::downgrade(&self.inner))
    }

    /// The output itself; none while it is being opened.
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

    /// Opens what it is to write, tells of it, and writes what waits. As in Node, a stream that is given up
    /// meanwhile is opened nevertheless, and then closed; only a FIFO's reader is waited for no longer.
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
            let inner = &stream.inner;
            if inner.runtime.is_over() {
                return;
            }
            let failed = match opened {
                Some(Ok(output)) => {
                    inner.output.set(output);
                    inner.runtime.make_callback(|| stream.tell_open());
                    None
                }
                Some(Err(error)) => Some(error),
                None => None,
            };
            inner.output.finish_opening();
            if stream.is_destroyed() {
                let reason = inner.reason.take();
                stream.close(reason.or(failed)).await;
            } else if let Some(failed) = failed {
                stream.fail(failed).await;
            } else {
                stream.write_soon();
            }
        });
    }

    /// None once the stream is given up.
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

    fn tell_open(&self) -> Result<(), Thrown> {
        self.inner.events.emit(WriteOpen, self.clone())?;
        self.inner.events.emit(WriteReady, self.clone()).map(drop)
    }

    /// Writes. False says that so much waits that one should wait for 'drain' with the next one, or that
    /// nothing can be written any more.
    ///
    /// After [`WriteStream::end`] it is an error, of which 'error' tells.
    pub fn write(&self, bytes: impl AsRef<[u8]>) -> bool {
        self.push(bytes.as_ref(), None)
    }

    /// Writes, and then calls a function.
    pub fn write_then<O: Outcome>(
        &self,
        bytes: impl AsRef<[u8]>,
        then: impl FnOnce(Result<(), Error>) -> O + 'static,
    ) -> bool {
        self.push(bytes.as_ref(), Some(continuation::then(then)))
    }

    fn push(&self, bytes: &[u8], then: Option<Then>) -> bool {
        if let Err(error) = self.check_writable() {
            self.fail_soon(error, then);
            return false;
        }
        match self.try_write(bytes) {
            Ok(count) if count == bytes.len() => {
                self.count(count);
                if let Some(then) = then {
                    self.next_tick(move || then(Ok(())));
                }
                return true;
            }
            Ok(count) => {
                self.count(count);
                self.queue(&bytes[count..], then);
            }
            Err(error) => {
                self.fail_soon(self.error(error), then);
                return false;
            }
        }
        let is_enough = self.inner.waiting_bytes.get() >= self.inner.high_water_mark;
        if is_enough {
            self.inner.needs_drain.set(true);
        }
        !is_enough
    }

    fn check_writable(&self) -> Result<(), Error> {
        match (self.inner.ending.get(), self.inner.life.get()) {
            (Ending::Not, Life::Open) => Ok(()),
            (Ending::Not, _) => Err(Error::stream_destroyed("write")),
            _ => Err(Error::write_after_end()),
        }
    }

    /// What the kernel takes at once. A file is written by another thread, for whose end somebody has to
    /// wait.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.output()? {
            Some(output)
                if output.kind() != StdioKind::File && self.inner.waiting.borrow().is_empty() =>
            {
                output.try_write_vectored(&[IoSlice::new(bytes)])
            }
            _ => Ok(0),
        }
    }

    fn count(&self, count: usize) {
        let before = self.inner.bytes_written.get();
        self.inner.bytes_written.set(before + count as u64);
    }

    fn next_tick(&self, f: impl FnOnce() -> Result<(), Thrown> + 'static) {
        self.inner.runtime.next_tick(f);
    }

    fn queue(&self, bytes: &[u8], then: Option<Then>) {
        let inner = &self.inner;
        let waiting_bytes = inner.waiting_bytes.get() + bytes.len();
        inner.waiting_bytes.set(waiting_bytes);
        inner.waiting.borrow_mut().push_back(Waiting {
            bytes: bytes.to_vec(),
            written: 0,
            then,
        });
        self.write_soon();
    }

    /// Has the task run that writes what waits, and then the end if it was asked for.
    fn write_soon(&self) {
        if self.inner.output.is_opening() {
            return; // once it is open
        }
        if !self.inner.is_writing.replace(true) {
            let stream = self.clone();
            let writing = async move { stream.write_waiting().await };
            self.inner.runtime.handle.spawn_detached(writing);
        }
    }

    /// The task that writes what waits.
    async fn write_waiting(self) {
        let runtime = Rc::clone(&self.inner.runtime);
        while let Some(written) = poll_fn(|cx| self.poll_write(cx)).await {
            match written {
                Ok(0) if self.is_destroyed() => self.fail(Error::stream_destroyed("write")).await,
                Ok(0) => {
                    let then = self.take_first();
                    runtime.make_callback(|| self.tell_written(then));
                }
                Ok(count) => self.advance(count),
                Err(error) => self.fail(self.error(error)).await,
            }
        }
        self.inner.is_writing.set(false);
        if runtime.is_over() || self.is_destroyed() {
            return;
        }
        if self.inner.ending.get() == Ending::Ended {
            self.finish().await;
        }
    }

    /// Writes of what comes first, and flushes it behind its last byte, which gives 0; none when nothing
    /// waits any more.
    fn poll_write(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<usize>>> {
        let before = self.inner.writer.replace(Some(cx.waker().clone()));
        drop(before);
        let waiting = self.inner.waiting.borrow();
        let Some(first) = waiting.front().filter(|_| !self.inner.runtime.is_over()) else {
            return Poll::Ready(None);
        };
        let output = match self.opened() {
            Ok(output) => output,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        match &first.bytes[first.written..] {
            [] => output.poll_flush(cx).map_ok(|()| 0).map(Some),
            left => output.poll_write(cx, left).map(Some),
        }
    }

    /// Notes that so much of the first is written.
    fn advance(&self, count: usize) {
        let inner = &self.inner;
        if !self.is_destroyed() {
            self.count(count);
        }
        inner.waiting_bytes.set(inner.waiting_bytes.get() - count);
        if let Some(first) = inner.waiting.borrow_mut().front_mut() {
            first.written += count;
        }
    }

    /// Takes off what is written, and gives who is to hear of that.
    fn take_first(&self) -> Option<Then> {
        self.inner.waiting.borrow_mut().pop_front()?.then
    }

    /// Tells of 'drain' first, if nothing waits any more, as Node does.
    fn tell_written(&self, then: Option<Then>) -> Result<(), Thrown> {
        let inner = &self.inner;
        let is_drained = inner.waiting.borrow().is_empty() && inner.ending.get() == Ending::Not;
        if is_drained && inner.needs_drain.take() {
            inner.events.emit(Drain, self.clone())?;
        }
        then.map_or(Ok(()), |then| then(Ok(())))
    }

    fn wake_writer(&self) {
        let writer = self.inner.writer.take();
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    pub(crate) fn is_standard(&self) -> bool {
        self.inner.output.is_standard()
    }

    /// Has a function hear an event from now on. Listening to [`Resize`] does not keep the program alive.
    pub fn on<E: Event, O: Outcome>(
        &self,
        event: E,
        f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        let id = self.inner.events.on(event, f);
        if self.inner.events.listener_count(Resize) > 0 && self.is_tty() {
            self.watch_size();
        }
        id
    }

    /// Has a function hear an event the next time, and no more.
    pub fn once<E: Event, O: Outcome>(
        &self,
        event: E,
        f: impl for<'a> FnOnce(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        self.inner.events.once(event, f)
    }

    /// Takes a listener off. False if it is off already.
    pub fn off(&self, id: ListenerId) -> bool {
        self.inner.events.off(id)
    }

    pub(crate) fn events(&self) -> &Emitter {
        &self.inner.events
    }

    fn watch_size(&self) {
        if self.inner.is_watching_size.replace(true) {
            return;
        }
        let runtime = Rc::clone(&self.inner.runtime);
        let Ok(signals) = Signals::new(&runtime.handle, &[SIGWINCH]) else {
            return; // no fd for it: the size is still there to be asked for
        };
        let stream = self.clone();
        runtime.handle.clone().spawn_detached(async move {
            while signals.recv().await.is_ok() && !runtime.is_over() {
                let tell = || stream.inner.events.emit(Resize, stream.clone()).map(drop);
                runtime.make_callback(tell);
            }
        });
    }

    /// What it is.
    ///
    /// # Errors
    /// `EMFILE`; [`WouldBlock`](io::ErrorKind::WouldBlock) before a file is open; `EBADF` once it is closed.
    pub fn kind(&self) -> io::Result<StdioKind> {
        Ok(self.opened()?.kind())
    }

    /// True if it is a terminal: `stdout.isTTY`.
    pub fn is_tty(&self) -> bool {
        self.kind().is_ok_and(|kind| kind == StdioKind::Tty)
    }

    /// How much the terminal shows: `stdout.columns`, `stdout.rows`.
    ///
    /// # Errors
    /// `ENOTTY` if it is none.
    pub fn window_size(&self) -> io::Result<WindowSize> {
        self.opened()?.window_size()
    }

    /// How many bytes wait to be written: `stream.writableLength`.
    pub fn writable_length(&self) -> usize {
        self.inner.waiting_bytes.get()
    }

    /// True if so much waits that the next write should wait for 'drain': `stream.writableNeedDrain`.
    pub fn needs_drain(&self) -> bool {
        self.inner.needs_drain.get() && self.inner.ending.get() == Ending::Not
    }

    /// How many bytes the kernel, or for a file the thread that writes it, has taken: `stream.bytesWritten`.
    pub fn bytes_written(&self) -> u64 {
        self.inner.bytes_written.get()
    }

    /// True once it is given up, or closed: nothing is written any more.
    pub fn is_destroyed(&self) -> bool {
        self.inner.life.get() != Life::Open
    }

    /// The program has ended: what waits for a standard one is written, and nobody hears of it.
    pub(super) fn let_go(&self) {
        let waiting = self.inner.waiting.take();
        self.inner.waiting_bytes.set(0);
        if !self.is_standard() {
            self.inner.output.close(&self.inner.runtime);
        } else if let Some(output) = self.inner.output.open() {
            for waiting in &waiting {
                let left = &waiting.bytes[waiting.written..];
                if output.write_all_blocking(left).is_err() {
                    break; // the reader is gone
                }
            }
        }
        drop(waiting);
        let at_finish = self.inner.at_finish.take();
        drop(at_finish);
        self.inner.events.forget_all();
        self.wake_writer();
    }
}
