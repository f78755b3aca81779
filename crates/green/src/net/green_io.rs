//! A socket, pipe or standard stream as green threads share it: closing, timeouts, one user at a
//! time.

use crate::wait::wait_io;
use oneloop_core::{Direction, Elapsed, Handle};
use oneloop_net::AsSource;
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A socket, pipe or standard stream for green threads. Use it by the name of its kind, such as
/// [`TcpStream`](super::TcpStream), [`TcpListener`](super::TcpListener),
/// [`UdpSocket`](super::UdpSocket) or [`PipeReader`](super::PipeReader).
///
/// Clones are the same socket: one green thread can read while another one writes. The socket is
/// closed when its last clone is dropped, or by [`close`](GreenIo::close).
///
/// Its operations never block the loop; only their caller waits. A thread that is killed while it
/// waits in one of them has transferred nothing with that call (`write_all` an unknown part).
///
/// ```
/// use oneloop::green::net::{TcpListener, UnixStream};
/// use oneloop::green::run;
/// use std::io::{ErrorKind, Read};
/// use std::time::Duration;
/// run(|| {
///     let (mut stream, _peer) = UnixStream::pair()?;
///     stream.set_read_timeout(Some(Duration::from_millis(1)));
///     assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
///     let listener = TcpListener::bind(("127.0.0.1", 0))?;
///     listener.close(); // one type: every kind can be closed
///     Ok::<(), std::io::Error>(())
/// })??;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct GreenIo<S> {
    shared: Rc<SharedSocket<S>>,
}

/// What the clones of one socket share.
struct SharedSocket<S> {
    /// `None` once it is closed.
    socket: RefCell<Option<Rc<S>>>,
    /// It was closed as eventlet closes: its waiters stay parked.
    closed_silently: Cell<bool>,
    /// By direction: an operation is under way.
    busy: [Cell<bool>; 2],
    /// By direction: how long an operation may wait.
    timeouts: [Cell<Option<Duration>>; 2],
    /// By direction: the waiter of an operation that may be parked elsewhere than on this socket's
    /// source. [`GreenIo::close`] wakes it separately.
    parked_elsewhere: RefCell<[Option<Waker>; 2]>,
}

impl<S> Clone for GreenIo<S> {
    fn clone(&self) -> Self {
        GreenIo {
            shared: Rc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for GreenIo<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Ok(socket) => write!(f, "GreenIo({socket:?})"),
            Err(_) => f.write_str("GreenIo(closed)"),
        }
    }
}

/// Operations of every kind.
impl<S: AsSource> GreenIo<S> {
    /// Closes the socket, for all clones. A thread that waits on it wakes with `EBADF`, as in
    /// gevent; [`eventlet::close`](crate::eventlet::close) does not wake it.
    pub fn close(&self) {
        // Taken out first: a waker is foreign code, and may come back to this socket.
        if let Some(socket) = self.shared.socket.take() {
            // The fd itself closes with the last operation that still holds the socket, so its
            // number cannot be reused under a read that is about to run.
            socket.source().wake_waiting();
            let parked = self.shared.parked_elsewhere.take();
            parked.into_iter().flatten().for_each(Waker::wake);
        }
    }

    /// Sets how long a read, receive or accept may wait; `None`, the default, is forever. When the
    /// time is over the call fails with [`TimedOut`](io::ErrorKind::TimedOut). With zero it never
    /// waits, and fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub fn set_read_timeout(&self, timeout: Option<Duration>) {
        self.shared.timeouts[Direction::Read as usize].set(timeout);
    }

    /// Sets how long a write or send may wait: see [`GreenIo::set_read_timeout`].
    pub fn set_write_timeout(&self, timeout: Option<Duration>) {
        self.shared.timeouts[Direction::Write as usize].set(timeout);
    }

    /// How long a read, receive or accept may wait.
    pub fn read_timeout(&self) -> Option<Duration> {
        self.shared.timeouts[Direction::Read as usize].get()
    }

    /// How long a write or send may wait.
    pub fn write_timeout(&self) -> Option<Duration> {
        self.shared.timeouts[Direction::Write as usize].get()
    }
}

impl<S> From<S> for GreenIo<S> {
    /// Shares a socket that was made without this style.
    fn from(socket: S) -> Self {
        GreenIo {
            shared: Rc::new(SharedSocket {
                socket: RefCell::new(Some(Rc::new(socket))),
                closed_silently: Cell::new(false),
                busy: Default::default(),
                timeouts: Default::default(),
                parked_elsewhere: RefCell::default(),
            }),
        }
    }
}

/// The parts from which each kind is built.
impl<S> GreenIo<S> {
    /// The socket inside.
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    pub(crate) fn get(&self) -> io::Result<Rc<S>> {
        let socket = self.shared.socket.borrow().clone();
        socket.ok_or_else(|| Errno::BADF.into())
    }

    /// The socket itself, if this is the only clone, it is open, and no operation uses it.
    pub(crate) fn into_inner(self) -> Option<S> {
        let shared = Rc::into_inner(self.shared)?;
        Rc::into_inner(shared.socket.into_inner()?)
    }

    /// Calls `before` and closes the socket as eventlet does: its waiters stay parked until they
    /// are killed or their timeout fires.
    pub(crate) fn close_silently(&self, before: impl FnOnce(&S)) {
        if let Some(socket) = self.shared.socket.take() {
            self.shared.closed_silently.set(true);
            before(&socket);
        }
    }

    /// Reserves a direction for the caller until the guard is dropped. Two readers of one byte
    /// stream would each get an arbitrary part of it; gevent raises ConcurrentObjectUseError for
    /// the same reason.
    ///
    /// # Errors
    /// `EBUSY` while another operation has it.
    pub(super) fn reserve(&self, direction: Direction) -> io::Result<Reserved<'_>> {
        Reserved::new(&self.shared.busy[direction as usize])
    }

    /// The result of an operation on a closed socket; `None` while the socket is open.
    pub(super) fn poll_closed<T>(&self) -> Option<Poll<io::Result<T>>> {
        if self.shared.closed_silently.get() {
            return Some(Poll::Pending);
        }
        let is_closed = self.shared.socket.borrow().is_none();
        is_closed.then(|| Poll::Ready(Err(Errno::BADF.into())))
    }

    /// As [`GreenIo::poll_closed`], for an operation that may be parked on something else than this
    /// socket: it notes the waker, which a close wakes.
    pub(super) fn poll_closed_from_elsewhere<T>(
        &self,
        direction: Direction,
        waker: &Waker,
    ) -> Option<Poll<io::Result<T>>> {
        let waker = Some(waker.clone());
        let mut parked = self.shared.parked_elsewhere.borrow_mut();
        let before = std::mem::replace(&mut parked[direction as usize], waker);
        drop(parked);
        drop(before); // a waker's drop is foreign code: not under the borrow
        self.poll_closed()
    }
}

impl<S: AsSource> GreenIo<S> {
    /// Waits for one operation in one direction.
    ///
    /// # Errors
    /// Those of `poll`; `EBUSY` while another operation has the direction; `EBADF` once the socket
    /// is closed; [`TimedOut`](io::ErrorKind::TimedOut) after the direction's timeout, or
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if that is zero.
    #[track_caller]
    pub(crate) fn io<T>(
        &self,
        direction: Direction,
        mut poll: impl FnMut(&S, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let at = Location::caller();
        let socket = self.get()?;
        let _reserved = self.reserve(direction)?;
        let source = socket.source();
        // Each poll checks for a close, which wakes this wait: the fd may be shut down by then.
        let operation = source.io(direction, |cx| {
            self.poll_closed().unwrap_or_else(|| poll(&socket, cx))
        });
        match self.shared.timeouts[direction as usize].get() {
            Some(Duration::ZERO) => {
                // The bit may be stale: the loop has not polled since the peer sent. Try the call.
                source.assume_ready(direction);
                wait_io(without_waiting(operation), at)
            }
            timeout => wait_io_within(source.handle(), timeout, operation, at),
        }
    }
}

/// Waits for an operation, for `timeout` at most if there is one.
///
/// # Errors
/// Those of the operation; [`TimedOut`](io::ErrorKind::TimedOut).
#[track_caller]
pub(super) fn wait_io_within<T>(
    handle: &Handle,
    timeout: Option<Duration>,
    operation: impl Future<Output = io::Result<T>>,
    at: &'static Location<'static>,
) -> io::Result<T> {
    // The usual case has no timer, and no larger future on the stack.
    let Some(timeout) = timeout else {
        return wait_io(operation, at);
    };
    let limited = handle.timeout(timeout, operation);
    wait_io(
        async { limited.await.unwrap_or_else(|Elapsed| Err(Elapsed.into())) },
        at,
    )
}

/// Polls an operation once: what would wait is `WouldBlock`.
async fn without_waiting<T>(operation: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let mut operation = pin!(operation);
    poll_fn(|cx| match operation.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => Poll::Ready(Err(io::ErrorKind::WouldBlock.into())),
    })
    .await
}

/// One direction of a socket, reserved until this is dropped.
pub(super) struct Reserved<'a>(&'a Cell<bool>);

impl<'a> Reserved<'a> {
    fn new(busy: &'a Cell<bool>) -> io::Result<Self> {
        // Checked for each call and never held between calls, so that threads can take turns.
        if busy.replace(true) {
            let problem = "another green thread uses this direction of the socket already: clones can only take turns";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, problem));
        }
        Ok(Reserved(busy))
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
