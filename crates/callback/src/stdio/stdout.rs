//! `process.stdout` and `process.stderr`: what is written is written in order, and before the program ends.

use super::event::{Drain, Resize, StdoutError};
use crate::error::Error;
use crate::events::{Emitter, Event, ListenerId};
use crate::runtime::{Once, Runtime, Tick, once};
use crate::thrown::{Outcome, Thrown};
use oneloop_core::Signals;
use oneloop_core::signal::number::SIGWINCH;
use oneloop_net::{self as net, StdioKind, WindowSize, WriteHalf};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// So many bytes may wait before a write says that it is enough: as in Node.
const HIGH_WATER_MARK: usize = 16 * 1024;

/// The standard output, or the standard error, in Node's words. Clones are the same one.
///
/// In Node writing to it blocks until the kernel has taken it all. Here it does not: what the kernel does
/// not take waits, keeps the program alive, and is written at its end at the latest, also after
/// [`exit`](crate::process::exit). So a program sees 'drain' where in Node it would have stood still.
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
pub struct Stdout {
    inner: Rc<Inner>,
}

struct Inner {
    runtime: Rc<Runtime>,
    /// 0 for the output, 1 for the errors.
    index: usize,
    events: Emitter,
    output: OnceCell<net::Stdout>,
    waiting: RefCell<VecDeque<Waiting>>,
    waiting_bytes: Cell<usize>,
    needs_drain: Cell<bool>,
    /// The task that writes, while something waits.
    is_writing: Cell<bool>,
    writer: RefCell<Option<Waker>>,
    is_watching_size: Cell<bool>,
}

/// Bytes that the kernel has not taken, and who is to hear when it has.
struct Waiting {
    bytes: Vec<u8>,
    written: usize,
    then: Option<Then>,
}

type Then = Box<dyn FnOnce(Result<(), Error>) -> Result<(), Thrown>>;

impl fmt::Debug for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stdout({} bytes wait)", self.inner.waiting_bytes.get())
    }
}

impl Stdout {
    pub(super) fn new(runtime: &Rc<Runtime>, index: usize) -> Self {
        Stdout {
            inner: Rc::new(Inner {
                runtime: Rc::clone(runtime),
                index,
                events: Emitter::new(),
                output: OnceCell::new(),
                waiting: RefCell::default(),
                waiting_bytes: Cell::new(0),
                needs_drain: Cell::new(false),
                is_writing: Cell::new(false),
                writer: RefCell::default(),
                is_watching_size: Cell::new(false),
            }),
        }
    }

    /// The output itself, which is opened when it is first needed.
    fn output(&self) -> io::Result<&net::Stdout> {
        if self.inner.output.get().is_none() {
            let handle = &self.inner.runtime.handle;
            let output = match self.inner.index {
                0 => net::stdout(handle)?,
                _ => net::stderr(handle)?,
            };
            let _ = self.inner.output.set(output); // it is empty: nothing in between runs anybody's code
        }
        Ok(self.inner.output.get().expect("it was set just now"))
    }

    /// Writes. False says that so much waits that one should wait for 'drain' with the next one.
    pub fn write(&self, bytes: impl AsRef<[u8]>) -> bool {
        self.push(bytes.as_ref(), None)
    }

    /// Writes, and then calls a function.
    pub fn write_then<O: Outcome>(
        &self,
        bytes: impl AsRef<[u8]>,
        then: impl FnOnce(Result<(), Error>) -> O + 'static,
    ) -> bool {
        let then = Box::new(|written| then(written).into_result());
        self.push(bytes.as_ref(), Some(then))
    }

    fn push(&self, bytes: &[u8], then: Option<Then>) -> bool {
        match self.try_write(bytes) {
            Ok(count) if count == bytes.len() => {
                if let Some(then) = then {
                    self.next_tick(once(move || then(Ok(()))));
                }
                return true;
            }
            Ok(count) => self.queue(&bytes[count..], then),
            Err(error) => {
                let stdout = self.clone();
                let fail = move || stdout.tell_error(error, then.into_iter().collect());
                self.next_tick(once(fail));
            }
        }
        let is_enough = self.inner.waiting_bytes.get() >= HIGH_WATER_MARK;
        if is_enough {
            self.inner.needs_drain.set(true);
        }
        !is_enough
    }

    /// What the kernel takes at once. A file is written by another thread, for whose end somebody has to
    /// wait.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let output = self.output()?;
        if output.kind() == StdioKind::File || !self.inner.waiting.borrow().is_empty() {
            return Ok(0);
        }
        output.try_write_vectored(&[IoSlice::new(bytes)])
    }

    fn next_tick(&self, callback: Once) {
        self.inner.runtime.push_tick(Tick::Call(callback));
    }

    fn queue(&self, bytes: &[u8], then: Option<Then>) {
        let inner = &self.inner;
        inner
            .waiting_bytes
            .set(inner.waiting_bytes.get() + bytes.len());
        inner.waiting.borrow_mut().push_back(Waiting {
            bytes: bytes.to_vec(),
            written: 0,
            then,
        });
        if !inner.is_writing.replace(true) {
            let stdout = self.clone();
            inner
                .runtime
                .handle
                .spawn_detached(async move { stdout.write_waiting().await });
        }
    }

    /// The task that writes what waits.
    async fn write_waiting(self) {
        let runtime = Rc::clone(&self.inner.runtime);
        while let Some(written) = poll_fn(|cx| self.poll_write(cx)).await {
            match written {
                Ok(count) => {
                    if let Some(then) = self.advance(count) {
                        runtime.make_callback(|| then(Ok(())));
                    }
                }
                Err(error) => {
                    let lost = self.inner.waiting.take();
                    self.inner.waiting_bytes.set(0);
                    let thens = lost.into_iter().filter_map(|lost| lost.then).collect();
                    runtime.make_callback(|| self.tell_error(error, thens));
                }
            }
        }
        self.inner.is_writing.set(false);
        if self.inner.needs_drain.take() {
            runtime.make_callback(|| self.inner.events.emit(Drain, self.clone()).map(drop));
        }
    }

    /// Writes of what comes first, and flushes it behind its last byte, which gives 0; none when nothing
    /// waits any more.
    fn poll_write(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<usize>>> {
        let before = self.inner.writer.replace(Some(cx.waker().clone()));
        drop(before);
        let waiting = self.inner.waiting.borrow();
        let Some(first) = waiting.front() else {
            return Poll::Ready(None);
        };
        let output = self
            .inner
            .output
            .get()
            .expect("a first write has opened it");
        match &first.bytes[first.written..] {
            [] => output.poll_flush(cx).map_ok(|()| 0).map(Some),
            left => output.poll_write(cx, left).map(Some),
        }
    }

    /// Notes that so much of the first is written; if it is done, gives who is to hear of that.
    fn advance(&self, count: usize) -> Option<Then> {
        let inner = &self.inner;
        inner.waiting_bytes.set(inner.waiting_bytes.get() - count);
        let mut waiting = inner.waiting.borrow_mut();
        let first = waiting.front_mut()?;
        first.written += count;
        if count > 0 {
            return None; // it is still to be flushed
        }
        waiting.pop_front()?.then
    }

    fn tell_error(&self, error: io::Error, thens: Vec<Then>) -> Result<(), Thrown> {
        let error = Error::system("write", error);
        for then in thens {
            then(Err(error.clone()))?;
        }
        let args = (self.clone(), &error);
        self.inner.events.emit(StdoutError, args).map(drop)
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

    /// Takes a listener off. False if it is off already.
    pub fn off(&self, id: ListenerId) -> bool {
        self.inner.events.off(id)
    }

    /// Hears of 'drain'.
    pub fn on_drain<O: Outcome>(&self, f: impl Fn(Stdout) -> O + 'static) -> &Self {
        self.on(Drain, f);
        self
    }

    /// Hears of 'error'; unheard, it is thrown.
    pub fn on_error<O: Outcome>(&self, f: impl Fn(Stdout, &Error) -> O + 'static) -> &Self {
        self.on(StdoutError, move |(stdout, error)| f(stdout, error));
        self
    }

    /// Hears of 'resize', if it is a terminal.
    pub fn on_resize<O: Outcome>(&self, f: impl Fn(Stdout) -> O + 'static) -> &Self {
        self.on(Resize, f);
        self
    }

    fn watch_size(&self) {
        if self.inner.is_watching_size.replace(true) {
            return;
        }
        let runtime = Rc::clone(&self.inner.runtime);
        let Ok(signals) = Signals::new(&runtime.handle, &[SIGWINCH]) else {
            return; // no fd for it: the size is still there to be asked for
        };
        let stdout = self.clone();
        runtime.handle.clone().spawn_detached(async move {
            while signals.recv().await.is_ok() && !runtime.is_over() {
                let tell = || stdout.inner.events.emit(Resize, stdout.clone()).map(drop);
                runtime.make_callback(tell);
            }
        });
    }

    /// True if it is a terminal: `stdout.isTTY`.
    pub fn is_tty(&self) -> bool {
        self.output()
            .is_ok_and(|output| output.kind() == StdioKind::Tty)
    }

    /// How much the terminal shows: `stdout.columns`, `stdout.rows`.
    ///
    /// # Errors
    /// `ENOTTY` if it is none.
    pub fn window_size(&self) -> io::Result<WindowSize> {
        self.output()?.window_size()
    }

    /// How many bytes wait to be written: `stdout.writableLength`.
    pub fn writable_length(&self) -> usize {
        self.inner.waiting_bytes.get()
    }

    /// The program has ended: what waits is written, and nobody hears of it.
    pub(super) fn let_go(&self) {
        let waiting = self.inner.waiting.take();
        self.inner.waiting_bytes.set(0);
        if let Some(output) = self.inner.output.get() {
            for waiting in &waiting {
                if output
                    .write_all_blocking(&waiting.bytes[waiting.written..])
                    .is_err()
                {
                    break; // the reader is gone
                }
            }
        }
        drop(waiting);
        self.inner.events.forget_all();
        let writer = self.inner.writer.take();
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}
