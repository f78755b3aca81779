//! Where eventlet differs from gevent, whose semantics the rest of this crate follows.
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
//! | `Semaphore`, `CappedSemaphore` | those of [`oneloop::sync`](oneloop_sync) |
//! | `pools.Pool` | [`ResourcePool`]; [`put`] |
//! | `corolocal.local`, `tpool.execute` | [`green_local!`](crate::green_local), [`offload`](crate::offload()) |
//! | `listen`, `connect`, `serve` | [`TcpListener`], [`TcpStream`], [`serve`] |
//! | `socket.close`, `hubs.trampoline` | [`close`], [`trampoline`] |

use crate::finished::Until;
use crate::imap::{Imap, Order};
use crate::join_handle::JoinHandle;
use crate::net::{Stream, TcpListener, TcpStream, wait_readable, wait_writable};
use crate::pool::Pool;
use crate::record::Thread;
use crate::thread::{ExitLink, current};
use crate::token::is_ending;
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

/// Starts a green thread without a result; a panic in it is reported.
///
/// # Panics
/// As [`spawn`](crate::spawn).
#[track_caller]
pub fn spawn_n(function: impl FnOnce() + 'static) -> Thread {
    // The handle is dropped, so a panic is unobserved, and reported. eventlet prints it as well.
    crate::spawn::spawn(function).thread().clone()
}

/// Starts a green thread that begins after `delay`. With a delay of zero, it begins in the order of
/// the calls of this and of [`spawn`](crate::spawn): in eventlet, `spawn` is a timer of zero
/// seconds. (With gevent's [`spawn_after`](crate::spawn_after) it begins behind those.)
///
/// # Panics
/// As [`spawn`](crate::spawn).
#[track_caller]
pub fn spawn_after<T: 'static>(
    delay: Duration,
    function: impl FnOnce() -> T + 'static,
) -> JoinHandle<T> {
    match delay.is_zero() {
        true => crate::spawn::spawn(function),
        false => crate::spawn::spawn_after(delay, function),
    }
}

/// Ends a green thread: it unwinds at once, up to its end or to a drop that waits, and the caller
/// continues behind what is ready. A thread that has not begun never will; its [`link`]s are called
/// before this returns. Does nothing to a thread that has ended.
///
/// # Panics
/// Outside of a green thread, and when a link of a thread that has not begun does. A thread that
/// kills itself unwinds at once.
#[track_caller]
pub fn kill(thread: &Thread) {
    if thread.is_finished() {
        return;
    }
    if thread.has_begun() {
        return thread.kill_now();
    }
    // Taken out first: otherwise `notify` would call them, each on its own green thread.
    let links = thread.record().take_inside();
    thread.kill_soon();
    links.into_iter().for_each(|link| link.call(thread));
    let _ = wait_or_closed(oneloop_core::yield_now(), Location::caller());
}

/// [`kill`]s a green thread unless it has begun: `GreenThread.cancel`. Its result is
/// [`JoinError::Killed`]. ([`Thread::cancel`] does not yield.)
///
/// # Panics
/// As [`kill`].
#[track_caller]
pub fn cancel(thread: &Thread) {
    if !thread.has_begun() {
        kill(thread);
    }
}

/// Waits for a green thread's result, and calls `look` with it: `GreenThread.wait`. The result
/// stays in the handle, so that any number of calls get it. It exists before the [`link`]s have
/// ended.
///
/// ```
/// use oneloop::green::{eventlet, run, spawn};
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
/// Outside of a green thread, and if the handle was polled as a future, which took the result.
#[track_caller]
pub fn wait<T: 'static, R>(
    thread: &JoinHandle<T>,
    look: impl FnOnce(&Result<T, JoinError>) -> R,
) -> R {
    wait_at(thread.until(Until::Result), Location::caller());
    let seen = thread.peek(look);
    seen.expect("the result was taken before: the handle was polled as a future")
}

/// Calls the function when the thread ends, on that thread's own stack. Joiners have the result
/// before that, but the thread has not ended until its links have, which may wait. If there is a
/// result already, the function is called at once, in the caller.
///
/// When a link panics, the panic is reported, and the links behind it are not called. If the thread
/// ends before it has begun, and not by [`kill`], each link runs on its own green thread.
///
/// ```
/// use oneloop::green::{current, eventlet, run, spawn};
/// use std::{cell::Cell, rc::Rc};
/// let is_inside = run(|| {
///     let is_inside = Rc::new(Cell::new(false));
///     let thread = spawn(|| ());
///     let inside = is_inside.clone();
///     eventlet::link(&thread, move |thread| inside.set(current() == *thread));
///     thread.join().unwrap();
///     is_inside.get()
/// })?;
/// assert!(is_inside);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn link(thread: &Thread, call: impl FnOnce(&Thread) + 'static) -> ExitLink {
    thread.link_inside(call)
}

/// A value that is sent once, until the event is reset: eventlet's `event.Event`. For
/// `send_exception`, send a `Result`. Clones are the same event.
///
/// ```
/// use oneloop::green::{eventlet::Event, run, spawn, Wait};
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
    /// A new one for each reset: a waiter of a value that was sent gets that value.
    value: Rc<RefCell<OneShot<T>>>,
}

impl<T> Event<T> {
    /// An event without a value.
    pub fn new() -> Self {
        Event {
            value: Rc::default(),
        }
    }

    /// Sends the value to all present and future waiters.
    ///
    /// # Errors
    /// Returns the value if one was sent before, and the event was not reset.
    pub fn send(&self, value: T) -> Result<(), T> {
        self.value().send(value)
    }

    /// Removes the value, so that another one can be sent. A waiter that was woken by the value,
    /// and has not run yet, still gets it.
    ///
    /// # Errors
    /// [`NotSent`] without a value.
    pub fn reset(&self) -> Result<(), NotSent> {
        if !self.is_sent() {
            return Err(NotSent);
        }
        let before = self.value.take();
        drop(before); // after the borrow: a user's value may be dropped
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

    /// Waits for the value, and returns a clone of it: `wait` of eventlet. Cancel safe.
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

/// [`Event::reset`] was called without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSent;

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event has no value to reset")
    }
}
impl std::error::Error for NotSent {}

/// Waits until an fd is ready for reading or for writing: see [`wait_readable`].
///
/// # Errors
/// As [`wait_readable`]; [`InvalidInput`](io::ErrorKind::InvalidInput) for both directions or none,
/// as eventlet asserts.
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
            "trampoline waits for one direction at a time",
        )),
    }
}

/// Closes a connection without waking its waiters: they stay parked until they are killed or their
/// timeout fires. The peer reads to the end. ([`Stream::close`](crate::net::GreenIo::close) wakes
/// them.)
pub fn close<S: ByteStream>(stream: &Stream<S>) {
    stream.close_silently(|socket| {
        // The fd stays open as long as a waiter holds the socket, so the peer needs a shutdown. It
        // fails if the peer has gone, which does not matter.
        let _ = socket.socket().shutdown(Shutdown::Both);
    });
}

/// Calls the function with each item, and yields the results in the order of the items:
/// `GreenPool.imap`. As many calls run at once as the pool has permits; they run beside the pool,
/// and hold none of its permits. The iterator keeps at most that number of unread results, so the
/// input may be endless. A call that panicked panics in `next`, which does not affect the calls
/// behind it.
///
/// ```
/// use oneloop::green::{Pool, eventlet, run};
/// let squares = run(|| {
///     let squares = eventlet::imap(&Pool::fair(2), 1.., |n| n * n);
///     squares.take(3).collect::<Vec<_>>()
/// })?;
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn imap<A: 'static, T: 'static>(
    pool: &Pool,
    items: impl IntoIterator<Item = A, IntoIter: 'static>,
    function: impl Fn(A) -> T + 'static,
) -> Imap<T> {
    // eventlet's GreenMap is a pile on a new pool of the same size.
    let order = Order::Bounded(pool.size());
    let own = Pool::fair(pool.size());
    Imap::start(&own, items.into_iter(), function, order, Location::caller())
}

/// Returns a resource to its pool, and lets a waiter for it run first: `Pool.put` of eventlet's
/// `pools`. (Dropping the resource returns it without yielding.)
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn put<T: 'static>(pool: &ResourcePool<T>, lent: Pooled<T>) {
    // Checked before the drop, which gives the resource to the waiter.
    let is_awaited = pool.waiting() > 0;
    drop(lent);
    if is_awaited {
        let _ = wait_or_closed(oneloop_core::yield_now(), Location::caller());
    }
}

/// Accepts connections, and calls the handler with each on its own green thread, `concurrency` at
/// once; one more is accepted and waits. Returns when a handler returns [`ControlFlow::Break`],
/// which is `StopServe` of eventlet; the other handlers continue.
///
/// ```
/// use oneloop::green::net::{TcpListener, TcpStream};
/// use oneloop::green::{eventlet, run, spawn};
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
/// Outside of a green thread, for a concurrency of zero, and when a handler does, with the same
/// payload.
#[track_caller]
pub fn serve(
    listener: &TcpListener,
    concurrency: usize,
    handler: impl Fn(TcpStream, SocketAddr) -> ControlFlow<()> + 'static,
) -> io::Result<()> {
    let at = Location::caller();
    // Fair, as eventlet's semaphores hand a permit to the waiter in front.
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
    // A handler's `StopServe` or panic arrives here as an interrupt of the accept.
    let served = catch_unwind(AssertUnwindSafe(accept_all));
    server.serves.set(false);
    // If a connection woke this thread before a handler stopped it, the interrupt is still queued,
    // and would end a later wait of the caller.
    let thread = server.thread.record();
    thread.forget_interrupts(|payload| payload.is::<StopServe>());
    served.unwrap_or_else(|payload| match payload.is::<StopServe>() {
        true => Ok(()),
        false => resume_unwind(payload),
    })
}

/// Ends the accept of [`serve`], which catches it.
struct StopServe;

/// [`serve`] as its handlers see it.
struct Server {
    /// The green thread that accepts.
    thread: Thread,
    /// False once a handler has stopped it, or it has returned.
    serves: Cell<bool>,
}

impl Server {
    fn handle(&self, handler: impl FnOnce() -> ControlFlow<()>) {
        match catch_unwind(AssertUnwindSafe(handler)) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => self.throw(Box::new(StopServe)),
            // A handler that is killed ends alone.
            Err(payload) if is_ending(&*payload) => resume_unwind(payload),
            Err(payload) => self.throw(payload),
        }
    }

    /// Only the first payload is thrown: afterward the thread no longer serves.
    fn throw(&self, payload: Box<dyn Any + Send>) {
        if self.serves.replace(false) {
            self.thread.throw(payload);
        }
    }
}
