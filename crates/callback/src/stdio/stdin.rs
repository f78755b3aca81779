//! `process.stdin`: it flows while somebody wants it to, and keeps the program alive no longer.

use super::event::{Close, Data, End, Pause, Resume, StdinError};
use crate::error::Error;
use crate::events::{Emitter, Event, ListenerId};
use crate::runtime::{Runtime, Tick, once};
use crate::thrown::{Outcome, Thrown, or_rethrow};
use oneloop_core::Direction;
use oneloop_net::{self as net, AsSource, CHUNK_BYTES, Chunk, RawMode, ReadHalf, StdioKind};
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The standard input, in Node's words. Clones are the same one.
///
/// What has come is told as 'data', with no more than 64 KiB at a time; what nobody wants yet stays in the
/// kernel, so whoever writes into the pipe waits. Raw mode ends with the program, however it ends.
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
pub struct Stdin {
    inner: Rc<Inner>,
}

struct Inner {
    runtime: Rc<Runtime>,
    events: Emitter,
    input: OnceCell<net::Stdin>,
    flow: Cell<Flow>,
    is_unreferenced: Cell<bool>,
    has_reader: Cell<bool>,
    /// The task that reads, once it has run.
    reader: RefCell<Option<Waker>>,
    raw_mode: RefCell<Option<RawMode>>,
}

/// Node's `readableFlowing`, and the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// Nobody has asked for anything.
    Idle,
    Flowing,
    Paused,
    Ended,
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stdin({:?})", self.inner.flow.get())
    }
}

impl Stdin {
    pub(super) fn new(runtime: &Rc<Runtime>) -> Self {
        Stdin {
            inner: Rc::new(Inner {
                runtime: Rc::clone(runtime),
                events: Emitter::new(),
                input: OnceCell::new(),
                flow: Cell::new(Flow::Idle),
                is_unreferenced: Cell::new(false),
                has_reader: Cell::new(false),
                reader: RefCell::default(),
                raw_mode: RefCell::default(),
            }),
        }
    }

    /// The input itself, which is opened when it is first needed.
    fn input(&self) -> io::Result<&net::Stdin> {
        if self.inner.input.get().is_none() {
            let input = net::stdin(&self.inner.runtime.handle)?;
            input
                .source()
                .set_referenced(!self.inner.is_unreferenced.get());
            let _ = self.inner.input.set(input); // it is empty: nothing in between runs anybody's code
        }
        Ok(self.inner.input.get().expect("it was set just now"))
    }

    /// Has a function hear an event from now on. Listening to [`Data`] has it flow, unless it is paused.
    pub fn on<E: Event, O: Outcome>(
        &self,
        event: E,
        f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
    ) -> ListenerId {
        let id = self.inner.events.on(event, f);
        if self.inner.events.listener_count(Data) > 0 && self.inner.flow.get() == Flow::Idle {
            self.resume();
        }
        id
    }

    /// Takes a listener off. False if it is off already.
    pub fn off(&self, id: ListenerId) -> bool {
        self.inner.events.off(id)
    }

    /// Hears of 'data': what was read.
    pub fn on_data<O: Outcome>(&self, f: impl Fn(Stdin, &[u8]) -> O + 'static) -> &Self {
        self.on(Data, move |(stdin, bytes)| f(stdin, bytes));
        self
    }

    /// Hears of 'end'.
    pub fn on_end<O: Outcome>(&self, f: impl Fn(Stdin) -> O + 'static) -> &Self {
        self.on(End, f);
        self
    }

    /// Hears of 'error'; unheard, it is thrown.
    pub fn on_error<O: Outcome>(&self, f: impl Fn(Stdin, &Error) -> O + 'static) -> &Self {
        self.on(StdinError, move |(stdin, error)| f(stdin, error));
        self
    }

    /// Hears of 'close', which only what is no file tells.
    pub fn on_close<O: Outcome>(&self, f: impl Fn(Stdin) -> O + 'static) -> &Self {
        self.on(Close, f);
        self
    }

    /// Has 'data' be told from the next tick on.
    pub fn resume(&self) -> &Self {
        if matches!(self.inner.flow.get(), Flow::Idle | Flow::Paused) {
            self.inner.flow.set(Flow::Flowing);
            let stdin = self.clone();
            let start = once(move || stdin.start());
            self.inner.runtime.push_tick(Tick::Call(start));
        }
        self
    }

    fn start(&self) -> Result<(), Thrown> {
        if self.inner.flow.get() != Flow::Flowing {
            return Ok(());
        }
        self.inner.events.emit(Resume, self.clone())?;
        if self.inner.has_reader.replace(true) {
            self.wake_reader();
        } else {
            let stdin = self.clone();
            self.inner
                .runtime
                .handle
                .spawn_detached(async move { stdin.read().await });
        }
        Ok(())
    }

    /// Has 'data' be told no more, and the program be kept alive no longer by this.
    ///
    /// # Panics
    /// When a listener of 'pause' throws, with what it throws: in JavaScript `pause()` throws it.
    pub fn pause(&self) -> &Self {
        match self.inner.flow.replace(Flow::Paused) {
            Flow::Ended => self.inner.flow.set(Flow::Ended),
            Flow::Paused => {}
            Flow::Idle | Flow::Flowing => {
                self.wake_reader(); // it waits no longer
                or_rethrow(self.inner.events.emit(Pause, self.clone()));
            }
        }
        self
    }

    /// True after [`Stdin::pause`], until [`Stdin::resume`].
    pub fn is_paused(&self) -> bool {
        self.inner.flow.get() == Flow::Paused
    }

    fn wake_reader(&self) {
        let reader = self.inner.reader.borrow().clone();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The task that reads.
    async fn read(self) {
        let runtime = Rc::clone(&self.inner.runtime);
        let tell = |f: &dyn Fn() -> Result<(), Thrown>| runtime.make_callback(f);
        let events = &self.inner.events;
        loop {
            let read = poll_fn(|cx| self.poll_read(cx)).await;
            if runtime.is_over() {
                return;
            }
            match read {
                Ok(Some(chunk)) => {
                    tell(&|| events.emit(Data, (self.clone(), &chunk)).map(drop));
                    continue;
                }
                Ok(None) => {
                    self.inner.flow.set(Flow::Ended);
                    tell(&|| events.emit(End, self.clone()).map(drop));
                }
                Err(error) => {
                    self.inner.flow.set(Flow::Ended);
                    let error = Error::system("read", error);
                    tell(&|| events.emit(StdinError, (self.clone(), &error)).map(drop));
                }
            }
            if self.kind().is_ok_and(|kind| kind != StdioKind::File) {
                tell(&|| events.emit(Close, self.clone()).map(drop));
            }
            return;
        }
    }

    /// Waits while it flows; and while it does not, for nothing that would keep the program alive.
    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        if self.inner.runtime.is_over() {
            return Poll::Ready(Ok(None));
        }
        let before = self.inner.reader.replace(Some(cx.waker().clone()));
        drop(before);
        let input = self.input()?;
        if self.inner.flow.get() == Flow::Flowing {
            return input.poll_read_chunk(cx, CHUNK_BYTES);
        }
        input.source().cancel(Direction::Read);
        Poll::Pending
    }

    /// What it is.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn kind(&self) -> io::Result<StdioKind> {
        Ok(self.input()?.kind())
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
            true => Some(self.input().and_then(net::Stdin::raw_mode)),
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

    /// Has it keep the program alive while it flows, as it does at first.
    pub fn make_ref(&self) -> &Self {
        self.set_referenced(true)
    }

    /// Has it not keep the program alive.
    pub fn unref(&self) -> &Self {
        self.set_referenced(false)
    }

    fn set_referenced(&self, referenced: bool) -> &Self {
        self.inner.is_unreferenced.set(!referenced);
        if let Some(input) = self.inner.input.get() {
            input.source().set_referenced(referenced);
        }
        self
    }

    /// The program has ended.
    pub(super) fn let_go(&self) {
        let raw_mode = self.inner.raw_mode.take();
        drop(raw_mode);
        self.inner.events.forget_all();
        self.wake_reader();
    }
}
