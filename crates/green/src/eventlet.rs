//! What eventlet does otherwise than gevent, which is how the rest of this crate does it.
//!
//! | eventlet | here |
//! |---|---|
//! | `spawn`, `spawn_after_local` | [`spawn`](crate::spawn), [`spawn_after_local`](crate::spawn_after_local) |
//! | `spawn_n`, `spawn_after` | [`spawn_n`], [`spawn_after`] |
//! | `kill`, `GreenThread.cancel` | [`kill`], [`cancel`] |
//! | `GreenThread.wait`, `link`, `unlink` | [`JoinHandle::join`], [`wait`]; [`link`], [`ExitLink::remove`] |
//! | `sleep`, `Timeout`, `with_timeout` | [`sleep`](crate::sleep), [`timeout`](crate::timeout()) |
//! | `GreenPool`, `GreenPile` | [`Pool::fair`] with [`Pool::spawn_or_inline`] and [`imap`], [`Pile`](crate::Pile) |
//! | `event.Event` | [`Event`] |
//! | `queue.Queue` | [`Queue`](oneloop_sync::Queue): `unbounded`, `handing_over(n)` |
//! | `Semaphore`, `CappedSemaphore` | those of [`oneloop_sync`] |
//! | `pools.Pool` | [`ResourcePool`]; [`put`] |
//! | `corolocal.local`, `tpool.execute` | [`green_local!`](crate::green_local), [`offload`](crate::offload()) |
//! | `listen`, `connect`, `serve` | [`TcpListener`], [`TcpStream`], [`serve`] |
//! | `socket.close`, `hubs.trampoline` | [`close`], [`trampoline`] |

use crate::imap::{Imap, Order};
use crate::net::{Stream, TcpListener, TcpStream, wait_readable, wait_writable};
use crate::outcome::is_ending;
use crate::pool::Pool;
use crate::state::Until;
use crate::thread::{ExitLink, JoinHandle, Thread, current};
use crate::unwind::resume_unwind;
use crate::wait::{wait_at, wait_or_closed};
use oneloop_core::{Interest, JoinError};
use oneloop_net::{ByteStream, Shutdown};
use oneloop_sync::{OneShot, OneShotGet, Pooled, ResourcePool};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// Starts a green thread that has no result, and for which nobody waits: a panic in it is reported.
///
/// # Panics
/// As [`spawn`](crate::spawn).
#[track_caller]
pub fn spawn_n(function: impl FnOnce() + 'static) -> Thread {
    crate::spawn(function).thread().clone()
}

/// Starts a green thread that begins after that long. After zero it begins in the order of the calls of
/// this and of [`spawn`](crate::spawn): to eventlet they are the same. (gevent's
/// [`spawn_after`](crate::spawn_after) comes behind.)
///
/// # Panics
/// As [`spawn`](crate::spawn).
#[track_caller]
pub fn spawn_after<T: 'static>(
    delay: Duration,
    function: impl FnOnce() -> T + 'static,
) -> JoinHandle<T> {
    match delay.is_zero() {
        true => crate::spawn(function),
        false => crate::spawn_after(delay, function),
    }
}

/// Ends a green thread: it unwinds at once, up to its end or the next wait of a cleanup, and the caller
/// goes on behind whatever is ready. One that has not begun never will; its [`link`]s are called before
/// this returns. Nothing happens to one that has ended.
///
/// # Panics
/// Outside of a green thread. A thread that kills itself unwinds at once. A link of one that has not
/// begun panics here.
#[track_caller]
pub fn kill(thread: &Thread) {
    if thread.is_finished() {
        return;
    }
    if thread.has_begun() {
        return thread.kill_now();
    }
    let links = thread.state().take_inside();
    thread.kill_soon();
    links.into_iter().for_each(|link| link(thread));
    let _ = wait_or_closed(oneloop_core::yield_now(), Location::caller());
}

/// [`kill`]s a green thread, unless it has begun: `GreenThread.cancel`. Its result is
/// [`JoinError::Killed`]. ([`Thread::cancel`] lets nobody run before the caller goes on.)
///
/// # Panics
/// As [`kill`].
#[track_caller]
pub fn cancel(thread: &Thread) {
    if !thread.has_begun() {
        kill(thread);
    }
}

/// Waits for a green thread's result, and looks at it; it stays where it is, so that it can be waited for
/// as often as one likes: `GreenThread.wait`. It is there before the [`link`]s have ended.
///
/// ```
/// use oneloop_green::{eventlet, run, spawn};
/// let lengths = run(|| {
///     let thread = spawn(|| "result".to_owned());
///     let length = || eventlet::wait(&thread, |result| result.as_ref().unwrap().len());
///     [length(), length()]
/// })?;
/// assert_eq!(lengths, [6, 6]);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of a green thread, and when the handle was polled as a future, which took the result.
#[track_caller]
pub fn wait<T: 'static, R>(
    thread: &JoinHandle<T>,
    look: impl FnOnce(&Result<T, JoinError>) -> R,
) -> R {
    wait_at(thread.until(Until::Result), Location::caller());
    let seen = thread.peek(look);
    seen.expect("a result that was taken cannot be waited for")
}

/// Has the function called when the thread ends, on that thread's own stack: the result is there and
/// goes to who waits for it, but the thread has not ended before its links have, which may wait. Late,
/// when there is a result already, the function is called at once, by the caller.
///
/// One that panics is the last that is called, and is reported. Those of a thread that ends without
/// having begun, but not by [`kill`], run on threads of their own.
///
/// ```
/// use oneloop_green::{current, eventlet, run, spawn};
/// use std::{cell::Cell, rc::Rc};
/// let is_inside = run(|| {
///     let is_inside = Rc::new(Cell::new(false));
///     let thread = spawn(|| ());
///     let told = is_inside.clone();
///     eventlet::link(&thread, move |thread| told.set(current() == *thread));
///     thread.join().unwrap();
///     is_inside.get()
/// })?;
/// assert!(is_inside);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn link(thread: &Thread, hear: impl FnOnce(&Thread) + 'static) -> ExitLink {
    let linked = thread.link_inside(Box::new(hear));
    linked.unwrap_or_else(|late| {
        late(thread);
        ExitLink::late(thread)
    })
}

/// A value that comes once, until the event is reset: eventlet's `event.Event`. Where it may fail, let
/// it be a `Result`. Clones are the same event.
///
/// ```
/// use oneloop_green::{eventlet::Event, run, spawn, Wait};
/// let answers = run(|| {
///     let event = Event::new();
///     let asked = event.clone();
///     spawn(move || asked.send(42));
///     let first = event.get().wait();
///     event.reset().unwrap();
///     event.send(43).unwrap();
///     [first, event.get().wait()]
/// })?;
/// assert_eq!(answers, [42, 43]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Event<T> {
    /// Another one for each reset: who waits for a value that was sent gets that one.
    value: Rc<RefCell<OneShot<T>>>,
}

impl<T> Event<T> {
    /// An event whose value is still to come.
    pub fn new() -> Self {
        Event {
            value: Rc::default(),
        }
    }

    /// Sends the value to all who wait and who will.
    ///
    /// # Errors
    /// Gives it back when one was sent before, and the event was not reset.
    pub fn send(&self, value: T) -> Result<(), T> {
        self.value().send(value)
    }

    /// Makes it new. Who was woken by the value and has not run yet gets that one.
    ///
    /// # Errors
    /// [`NotSent`], if there is nothing to forget.
    pub fn reset(&self) -> Result<(), NotSent> {
        if !self.is_sent() {
            return Err(NotSent);
        }
        let before = self.value.take();
        drop(before);
        Ok(())
    }

    /// True from [`Event::send`] to [`Event::reset`]: `ready` of eventlet.
    pub fn is_sent(&self) -> bool {
        self.value().is_sent()
    }

    /// A clone of the value, if it was sent: `poll` of eventlet.
    pub fn try_get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.value().try_get()
    }

    /// Waits for the value and gives a clone of it; who comes late has it at once: `wait` of eventlet.
    /// Cancel safe.
    pub fn get(&self) -> OneShotGet<T>
    where
        T: Clone,
    {
        self.value().get()
    }

    fn value(&self) -> OneShot<T> {
        self.value.borrow().clone()
    }
}

impl<T> Clone for Event<T> {
    fn clone(&self) -> Self {
        Event {
            value: Rc::clone(&self.value),
        }
    }
}

impl<T> Default for Event<T> {
    fn default() -> Self {
        Event::new()
    }
}

impl<T> fmt::Debug for Event<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&self.value()).finish()
    }
}

/// [`Event::reset`] came before anything was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSent;

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event is reset that was not sent")
    }
}
impl std::error::Error for NotSent {}

/// Waits until an fd is ready for reading or for writing, for one of them: see [`wait_readable`].
///
/// # Errors
/// As [`wait_readable`]; [`InvalidInput`](io::ErrorKind::InvalidInput) for both directions or none.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn trampoline(fd: impl AsFd, interest: Interest, timeout: Option<Duration>) -> io::Result<()> {
    match interest {
        Interest::READ => wait_readable(fd, timeout),
        Interest::WRITE => wait_writable(fd, timeout),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "one waits for one direction at a time",
        )),
    }
}

/// Closes a connection, and leaves those alone who wait on it: they wait on, until they are killed or
/// their time is up. The peer reads to the end. ([`Stream::close`] wakes them.)
pub fn close<S: ByteStream>(stream: &Stream<S>) {
    stream.close_silently(|socket| {
        let _ = socket.socket().shutdown(Shutdown::Both); // fails if the peer has gone: no matter
    });
}

/// Calls the function with each item, as many at once as the pool has places, and gives the results one
/// by one in the order of the items: `GreenPool.imap`. The calls are not in the pool, and take no place of
/// it. Items are asked for as places come free, and no more results are kept
/// than there are places: the input may be endless. A call that panicked panics here, and the ones
/// behind it go on.
///
/// ```
/// use oneloop_green::{Pool, eventlet, run};
/// let squares = run(|| {
///     let squares = eventlet::imap(&Pool::fair(2), 1.., |n| n * n);
///     squares.take(3).collect::<Vec<_>>()
/// })?;
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn imap<A: 'static, T: 'static, I>(
    pool: &Pool,
    items: I,
    function: impl Fn(A) -> T + 'static,
) -> Imap<T>
where
    I: IntoIterator<Item = A>,
    I::IntoIter: 'static,
{
    let order = Order::Bounded(pool.size());
    let own = Pool::fair(pool.size());
    own.start_imap(items.into_iter(), function, order, Location::caller())
}

/// Gives back what a pool lent, and if somebody waits for it, lets that one run first: `Pool.put` of
/// eventlet's `pools`. (To drop it gives it back without waiting.)
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn put<T: 'static>(pool: &ResourcePool<T>, lent: Pooled<T>) {
    let is_awaited = pool.waiting() > 0;
    drop(lent);
    if is_awaited {
        let _ = wait_or_closed(oneloop_core::yield_now(), Location::caller());
    }
}

/// Accepts connections and gives each to the handler, on a green thread of its own, so many at once;
/// one more than that is accepted and waits. Returns when a handler gives [`ControlFlow::Break`], which
/// is `StopServe` of eventlet; the other handlers go on.
///
/// ```
/// use oneloop_green::net::{TcpListener, TcpStream};
/// use oneloop_green::{eventlet, run, spawn};
/// use std::io::Write;
/// use std::ops::ControlFlow;
/// run(|| {
///     let listener = TcpListener::bind(("127.0.0.1", 0))?;
///     let addr = listener.local_addr()?;
///     spawn(move || TcpStream::connect(addr));
///     eventlet::serve(&listener, 1000, |mut stream, _peer| {
///         let _ = stream.write_all(b"one is enough");
///         ControlFlow::Break(())
///     })
/// })??;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Those of accepting: `EBADF` once the listener is closed.
///
/// # Panics
/// Outside of a green thread, for no connections at once, and when a handler does: what it panicked
/// with comes out of here.
#[track_caller]
pub fn serve(
    listener: &TcpListener,
    concurrency: usize,
    handler: impl Fn(TcpStream, SocketAddr) -> ControlFlow<()> + 'static,
) -> io::Result<()> {
    let at = Location::caller();
    let pool = Pool::fair(concurrency);
    let server = Rc::new(Server {
        thread: current(),
        serves: Cell::new(true),
    });
    let handler = Rc::new(handler);
    let accept_all = || -> io::Result<()> {
        loop {
            let (stream, peer) = listener.accept()?;
            let (server, handler) = (Rc::clone(&server), Rc::clone(&handler));
            let serve = move || server.handle(|| handler(stream, peer));
            if pool.spawn_at(serve, at).is_err() {
                listener.shed_accepted(); // no memory for a stack
            }
        }
    };
    let served = catch_unwind(AssertUnwindSafe(accept_all));
    server.serves.set(false);
    let thread = server.thread.state(); // it may have been woken before it was stopped
    thread.forget_interrupts(|payload| payload.is::<StopServe>());
    served.unwrap_or_else(|payload| match payload.is::<StopServe>() {
        true => Ok(()),
        false => resume_unwind(payload),
    })
}

/// Thrown into who serves.
struct StopServe;

/// Who serves, as its handlers see it.
struct Server {
    thread: Thread,
    serves: Cell<bool>,
}

impl Server {
    fn handle(&self, handler: impl FnOnce() -> ControlFlow<()>) {
        match catch_unwind(AssertUnwindSafe(handler)) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => self.throw(Box::new(StopServe)),
            Err(payload) if is_ending(&*payload) => resume_unwind(payload),
            Err(payload) => self.throw(payload),
        }
    }

    /// Only what it is thrown first ends it; from then on it does something else.
    fn throw(&self, payload: Box<dyn Any + Send>) {
        if self.serves.replace(false) {
            self.thread.throw(payload);
        }
    }
}
