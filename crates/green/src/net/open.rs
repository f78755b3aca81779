//! A socket until it is closed: who waits on it, how long, and who may not.

use crate::wait::wait_io;
use oneloop_core::{Direction, Elapsed, Handle, Source};
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What the clones of one socket share.
#[derive(Debug)]
pub(crate) struct Open<S> {
    socket: RefCell<Option<Rc<S>>>,
    source: fn(&S) -> &Source,
    /// It was closed, and who waits on it is not to notice.
    closed_unnoticed: Cell<bool>,
    /// Somebody reads, or accepts; somebody writes.
    busy: [Cell<bool>; 2],
    timeouts: [Cell<Option<Duration>>; 2],
    /// Who is at an operation in that direction, but may wait on another socket.
    elsewhere: RefCell<[Option<Waker>; 2]>,
}

impl<S> Open<S> {
    /// A socket, and where its source is.
    pub(crate) fn new(socket: S, source: fn(&S) -> &Source) -> Rc<Self> {
        Rc::new(Open {
            socket: RefCell::new(Some(Rc::new(socket))),
            source,
            closed_unnoticed: Cell::new(false),
            busy: Default::default(),
            timeouts: Default::default(),
            elsewhere: RefCell::default(),
        })
    }

    /// The socket.
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    pub(crate) fn get(&self) -> io::Result<Rc<S>> {
        let socket = self.socket.borrow().clone();
        socket.ok_or_else(|| Errno::BADF.into())
    }

    /// Closes it: the fd goes with the last operation that is at it, which is woken.
    pub(crate) fn close(&self) {
        if let Some(socket) = self.socket.take() {
            (self.source)(&socket).wake_waiting();
            let elsewhere = self.elsewhere.take();
            elsewhere.into_iter().flatten().for_each(Waker::wake);
        }
    }

    /// Closes it as eventlet does, after that function: who waits on it waits on.
    pub(crate) fn close_unnoticed(&self, before: impl FnOnce(&S)) {
        if let Some(socket) = self.socket.take() {
            self.closed_unnoticed.set(true);
            before(&socket);
        }
    }

    /// The socket, if it is open and nobody is at it.
    pub(crate) fn into_inner(self) -> Option<S> {
        Rc::into_inner(self.socket.into_inner()?)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.socket.borrow().is_none()
    }

    /// What becomes of whoever waits on it, once it is closed.
    pub(super) fn poll_closed<T>(&self) -> Option<Poll<io::Result<T>>> {
        if self.closed_unnoticed.get() {
            return Some(Poll::Pending);
        }
        self.is_closed()
            .then(|| Poll::Ready(Err(Errno::BADF.into())))
    }

    /// The same for one who is at that direction, and may wait on another socket: a close wakes it.
    pub(super) fn poll_closed_from_elsewhere<T>(
        &self,
        direction: Direction,
        waker: &Waker,
    ) -> Option<Poll<io::Result<T>>> {
        let waker = Some(waker.clone());
        let before = std::mem::replace(&mut self.elsewhere.borrow_mut()[direction as usize], waker);
        drop(before);
        self.poll_closed()
    }

    /// Keeps a direction for oneself.
    ///
    /// # Errors
    /// `EBUSY` if somebody is at it.
    pub(super) fn busy(&self, direction: Direction) -> io::Result<Busy<'_>> {
        Busy::new(&self.busy[direction as usize])
    }

    pub(crate) fn set_timeout(&self, direction: Direction, timeout: Option<Duration>) {
        self.timeouts[direction as usize].set(timeout);
    }

    pub(crate) fn timeout(&self, direction: Direction) -> Option<Duration> {
        self.timeouts[direction as usize].get()
    }

    /// Waits for an operation in one direction, which nobody else may be at.
    ///
    /// # Errors
    /// Its own; `EBUSY` if somebody is; `EBADF` once the socket is closed, by whomever;
    /// [`TimedOut`](io::ErrorKind::TimedOut) after the direction's time-out, or
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if that is zero.
    #[track_caller]
    pub(crate) fn io<T>(
        &self,
        direction: Direction,
        mut poll: impl FnMut(&S, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let at = Location::caller();
        let socket = self.get()?;
        let _busy = self.busy(direction)?;
        let source = (self.source)(&socket);
        let operation = source.io(direction, |cx| {
            self.poll_closed().unwrap_or_else(|| poll(&socket, cx))
        });
        match self.timeout(direction) {
            Some(Duration::ZERO) => {
                source.assume_ready(direction); // the loop may not have heard of it yet
                wait_io(at_once(operation), at)
            }
            timeout => wait_io_within(source.handle(), timeout, operation, at),
        }
    }
}

/// Waits for an operation, but no longer than that, if there is a time-out.
///
/// # Errors
/// Its own; [`TimedOut`](io::ErrorKind::TimedOut).
pub(super) fn wait_io_within<T>(
    handle: &Handle,
    timeout: Option<Duration>,
    operation: impl Future<Output = io::Result<T>>,
    at: &'static Location<'static>,
) -> io::Result<T> {
    let Some(timeout) = timeout else {
        return wait_io(operation, at);
    };
    let limited = handle.timeout(timeout, operation);
    wait_io(
        async { limited.await.unwrap_or_else(|Elapsed| Err(Elapsed.into())) },
        at,
    )
}

/// What can be done without waiting.
async fn at_once<T>(operation: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let mut operation = pin!(operation);
    poll_fn(|cx| match operation.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => Poll::Ready(Err(io::ErrorKind::WouldBlock.into())),
    })
    .await
}

/// Says that somebody is at an operation, until it is dropped.
pub(super) struct Busy<'a>(&'a Cell<bool>);

impl<'a> Busy<'a> {
    fn new(busy: &'a Cell<bool>) -> io::Result<Self> {
        if busy.replace(true) {
            let problem =
                "another green thread is at it already: reads of one socket cannot be shared";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, problem));
        }
        Ok(Busy(busy))
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
