//! One fd on the loop: the only place where readiness meets a system call.

use crate::mechanisms::bug::Bug;
use crate::mechanisms::ready::{Direction, Interest, Ready};
use crate::mechanisms::slots::Key;
use crate::state::Handle;
use crate::tasks::registration::{Ownership, Registration};
use crate::tasks::waiter::Waiter;
use futures_core::Stream;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

/// The result of one system call, as [`Source::poll_io`] needs it.
#[derive(Clone, Copy, Debug)]
pub struct Done<T> {
    value: T,
    /// The bytes that were moved.
    bytes: usize,
    /// The fd has nothing more for now.
    drained: bool,
}

impl<T> Done<T> {
    /// One unit was taken, and there may be more: a connection was accepted, a datagram read.
    pub fn one(value: T) -> Self {
        Done {
            value,
            bytes: 0,
            drained: false,
        }
    }

    /// The last unit was taken: the next call waits for an edge.
    pub fn last(value: T) -> Self {
        Done {
            value,
            bytes: 0,
            drained: true,
        }
    }

    /// The same, with another value.
    #[inline]
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Done<U> {
        Done {
            value: f(self.value),
            bytes: self.bytes,
            drained: self.drained,
        }
    }

    /// Sets the number of bytes that were moved. They count in the task's share of I/O.
    pub fn of_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
}

impl Done<usize> {
    /// A byte stream moved `bytes` of `wanted` bytes. Fewer than wanted means that the kernel's
    /// buffer is exhausted, which saves the call that would return `EAGAIN` (epoll(7), question 9).
    pub fn stream(bytes: usize, wanted: usize) -> Self {
        Done {
            value: bytes,
            bytes,
            drained: bytes < wanted,
        }
    }
}

/// An fd registered with the loop, and its readiness.
///
/// All I/O goes through [`Source::poll_io`]. Dropping a source removes it from the loop and drops
/// `F`; its waiters are not woken.
#[doc(alias("AsyncFd", "PollEvented", "uv_poll_t"))]
pub struct Source<F: AsFd = OwnedFd> {
    handle: Handle,
    key: Key<Rc<Registration>>,
    registration: Rc<Registration>,
    fd: F,
    /// A short read does not mean that the kernel has no more: see [`Source::reads_in_parts`].
    reads_in_parts: bool,
}

impl<F: AsFd> fmt::Debug for Source<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Source(fd {}, {})",
            self.registration.fd(),
            self.registration.ready.get()
        )
    }
}

impl<F: AsFd> Source<F> {
    /// Registers an fd, which should be non-blocking.
    ///
    /// With [`Ownership::OnePerLoop`] the interest is in reading only (`Interest { read: true, .. }`).
    /// With [`Ownership::Sole`] the fd is registered once, for `interest`, and each direction that
    /// is missing there is added at its first `EAGAIN` (rule 7). Pass [`Interest::WRITE`] only to
    /// be notified that a `connect(2)` has completed.
    ///
    /// # Errors
    /// Those of [`Reactor::add`](crate::Reactor::add); the fd is dropped then.
    pub fn new(
        handle: &Handle,
        fd: F,
        interest: Interest,
        ownership: Ownership,
    ) -> io::Result<Self> {
        // A shared fd is armed by each wait alone: an armed one-shot would wake a task that does
        // not wait.
        let interest = match ownership {
            Ownership::Sole | Ownership::OnePerLoop => interest,
            Ownership::Shared => Interest::NONE,
        };
        let registration = Registration::new(fd.as_fd().as_raw_fd(), interest, ownership);
        let (trigger, value) = (ownership.trigger(), Rc::clone(&registration));
        let mut reactor = handle.state.reactor.borrow_mut();
        let key = reactor.add(&fd, interest, trigger, value)?;
        drop(reactor);
        Ok(Source {
            handle: handle.clone(),
            key,
            registration,
            fd,
            reads_in_parts: false,
        })
    }

    /// Treats a short read as if there were more to read.
    ///
    /// A Unix socket's `recv(2)` stops behind a message that carried fds (unix(7)), whatever is
    /// behind it. Each read to the end then costs the call that returns `EAGAIN`.
    pub fn reads_in_parts(mut self) -> Self {
        self.reads_in_parts = true;
        self
    }

    /// Removes the fd from the loop and drops it, although a duplicate of it stays open. A source
    /// that is only dropped leaves the removal to the close of the last duplicate.
    pub fn deregister(self) {
        let mut reactor = self.handle.state.reactor.borrow_mut();
        let removed = reactor.remove(&self.fd, self.key);
        drop(reactor);
        drop(removed);
    }

    /// The loop of this source.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The value that owns the fd.
    pub fn get_ref(&self) -> &F {
        &self.fd
    }

    /// Assumes that a direction is ready before epoll has reported it: a fresh socket takes bytes.
    /// If it is not, one system call returns `EAGAIN`.
    pub fn assume_ready(&self, direction: Direction) {
        let ready = &self.registration.ready;
        ready.set(ready.get() | Ready::bit(direction));
    }

    /// The fd's readiness, as far as the loop knows it.
    pub fn ready(&self) -> Ready {
        self.registration.ready.get()
    }

    /// True while an operation in that direction is not expected to block. If it is true after
    /// `Pending`, the task had its share of I/O; if it is false, the system call would have
    /// blocked.
    pub fn is_ready(&self, direction: Direction) -> bool {
        self.ready().contains(Ready::bit(direction))
    }

    /// True if a task waits in that direction. A poll there would replace its wait.
    pub fn is_waiting(&self, direction: Direction) -> bool {
        self.registration.is_waiting(direction)
    }

    #[inline]
    pub(crate) fn key(&self) -> u64 {
        self.key.to_u64()
    }

    /// Sets whether waiting on this source keeps the loop alive. It does by default.
    pub fn set_referenced(&self, referenced: bool) {
        if self.registration.referenced.replace(referenced) != referenced {
            let waiting =
                [Direction::Read, Direction::Write].map(|d| self.registration.is_waiting(d));
            for _ in waiting.iter().filter(|waiting| **waiting) {
                self.handle.state.count_wait(referenced);
            }
        }
    }

    /// True if waiting on this source keeps the loop alive.
    pub fn is_referenced(&self) -> bool {
        self.registration.referenced.get()
    }

    /// Tries a system call in one direction, and waits for readiness if it would block.
    ///
    /// `op` runs if the fd is expected to be ready, and again after `EINTR`. It does not run once
    /// the task has had its share of I/O for this run; the task is then woken in the next turn
    /// (rule 15). One task can wait in each direction: the last one that polled is woken.
    ///
    /// # Errors
    /// Those of `op`, except `WouldBlock` and `Interrupted`.
    #[inline]
    pub fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        // Readiness first, then the budget: a task without work does not count as one that has
        // spent its share.
        ready!(self.poll_ready(cx, direction))?;
        ready!(self.handle.state.poll_budget(cx));
        match self.call(direction, &mut op) {
            Ok(Some(value)) => Poll::Ready(Ok(value)),
            Ok(None) => {
                self.wait_for(cx, direction)?;
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Tries a system call in one direction without waiting. Returns `None` if it would block, or
    /// is expected to.
    ///
    /// This is for code that is no task, such as a callback. The call counts in the running task's
    /// share of I/O, but is made also if that is spent.
    ///
    /// # Errors
    /// Those of `op`, except `WouldBlock` and `Interrupted`.
    #[inline]
    pub fn try_io<T>(
        &self,
        direction: Direction,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<Done<T>>,
    ) -> io::Result<Option<T>> {
        if self
            .registration
            .ready
            .get()
            .intersects(Ready::of(direction))
        {
            self.call(direction, &mut op)
        } else {
            Ok(None)
        }
    }

    /// Makes the system call and updates the readiness. Returns `None` if it would have blocked.
    #[inline]
    fn call<T>(
        &self,
        direction: Direction,
        op: &mut impl FnMut(BorrowedFd<'_>) -> io::Result<Done<T>>,
    ) -> io::Result<Option<T>> {
        loop {
            let chaos = &self.handle.state.chaos;
            let result = match chaos.before_call(self.key(), direction) {
                Some(error) => Err(error),
                None => op(self.fd.as_fd()),
            };
            match result {
                Ok(done) => {
                    chaos.after_call(self.key(), direction, done.bytes);
                    // Here and nowhere else, so that no style can forget it (rule 4).
                    self.handle.state.budget.spend(done.bytes);
                    let is_drained = self.is_drained(direction, done.drained);
                    if is_drained || chaos.has_bug(Bug::DrainsTooEarly) {
                        self.registration.clear_drained(direction);
                    }
                    return Ok(Some(done.value));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.clear(direction);
                    return Ok(None);
                }
                // A signal handler ran; the call has done nothing.
                Err(error)
                    if error.kind() == io::ErrorKind::Interrupted
                        && !chaos.has_bug(Bug::ReturnsEintr) => {}
                Err(error) => {
                    // A failed call counts as well: a caller that retries in a loop must end its
                    // run, too.
                    self.handle.state.budget.spend(0);
                    return Err(error);
                }
            }
        }
    }

    fn is_drained(&self, direction: Direction, is_short: bool) -> bool {
        // A shared fd is asked again after each operation, as other code may have drained it.
        let in_parts = self.reads_in_parts && direction == Direction::Read;
        (is_short && !in_parts) || self.registration.ownership == Ownership::Shared
    }

    /// Waits until a direction is expected to be ready, without a system call on the fd.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    #[inline]
    pub fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        if self
            .registration
            .ready
            .get()
            .intersects(Ready::of(direction))
        {
            return Poll::Ready(Ok(()));
        }
        self.wait_for(cx, direction)?;
        Poll::Pending
    }

    /// Watches for the end of a connection while nothing is read from it or written to it: for an
    /// error, such as a reset, or for a hang-up, which means that both directions are shut. Ready
    /// once one of the bits of `end` ([`Ready::ERROR`], [`Ready::HANG_UP`]) is known.
    ///
    /// It is for a task that has no other wait in that direction. The next wait there replaces the
    /// watch, and the watch replaces no other task's wait. It costs no system call and no wake-up
    /// while bytes come, and keeps no loop alive. An fd with [`Ownership::Shared`] is not watched:
    /// the function only returns what is known already.
    pub fn poll_watch(&self, cx: &mut Context<'_>, direction: Direction, end: Ready) -> Poll<()> {
        if self.ready().intersects(end) {
            return Poll::Ready(());
        }
        let registration = &self.registration;
        // Of two tasks, the one that waits for bytes needs the place more; it will see the error as
        // well.
        let is_free = !registration.is_waiting(direction) || self.is_parked(direction, cx.waker());
        if is_free && registration.ownership == Ownership::Sole {
            // epoll_ctl(2): EPOLLERR and EPOLLHUP are reported whatever the interest is.
            self.park(direction, cx.waker(), true);
        }
        Poll::Pending
    }

    /// Takes back the readiness of a direction, for a caller whose own system call returned
    /// `EAGAIN`.
    pub fn clear_ready(&self, direction: Direction) {
        self.registration.clear(direction);
    }

    /// Turns a poll function in one direction into a future. When the future is dropped it cancels
    /// its wait, so that no task is woken and the loop is not kept alive without a reason. Cancel
    /// safe if the poll function leaves nothing behind when it is pending.
    pub fn io<T, P>(&self, direction: Direction, poll: P) -> Io<'_, F, P>
    where
        P: FnMut(&mut Context<'_>) -> Poll<T>,
    {
        Io {
            source: self,
            direction,
            poll,
            ticket: None,
        }
    }

    /// Wakes the waiters without an event, so that they notice a change.
    pub fn wake_waiting(&self) {
        let state = &self.handle.state;
        let mut woken = VecDeque::new();
        let ended = self
            .registration
            .take_waiters(|waiter| woken.push_back(waiter));
        state.end_waits(ended);
        woken.into_iter().for_each(|waiter| state.wake(waiter));
    }

    /// Cancels the wait in that direction. Its task is not woken.
    pub fn cancel(&self, direction: Direction) {
        let counted = self.counts(direction);
        let waiter = self.registration.take_waiter(direction);
        if counted {
            self.handle.state.count_wait(false);
        }
        drop(waiter); // the drop of a foreign waker may call this source (rule 2)
    }

    /// True if a wait in that direction keeps the loop alive.
    fn counts(&self, direction: Direction) -> bool {
        self.registration.referenced.get() && self.registration.is_waiting(direction)
    }

    /// True if the task of that waker waits in that direction, or watches it.
    fn is_parked(&self, direction: Direction, waker: &Waker) -> bool {
        match self.handle.state.running_task_of(waker) {
            Some(task) => self.registration.is_task_parked(direction, task),
            None => self.registration.is_parked(direction, waker),
        }
    }

    #[inline]
    fn park(&self, direction: Direction, waker: &Waker, watches: bool) {
        // The clone of a foreign waker and the drop of its predecessor may call this source (rule
        // 2): one comes before the wait is counted, the other after it.
        let waiter = match self.handle.state.running_task_of(waker) {
            Some(task) => Some(Waiter::Task(task)),
            None if self.registration.is_parked(direction, waker) => None,
            None => Some(Waiter::Foreign(waker.clone())),
        };
        let (replaced, waited) = self.registration.park(direction, waiter, watches);
        // Only a change between waiting and not waiting counts: a new waker for the same wait does
        // not.
        if waited == watches && self.registration.referenced.get() {
            self.handle.state.count_wait(!watches);
        }
        drop(replaced);
    }

    #[inline]
    fn wait_for(&self, cx: &mut Context<'_>, direction: Direction) -> io::Result<()> {
        if !self.registration.interest.get().has(direction) {
            self.add_interest(direction)?;
        }
        self.park(direction, cx.waker(), false);
        Ok(())
    }

    /// Adds a direction to the interest. Rule 7: OUT is added at the first EAGAIN; from the start
    /// it would cost the writer an edge for each read of a Unix peer. EPOLL_CTL_MOD reports at once
    /// what is ready by now, so no edge is lost in between.
    #[cold]
    fn add_interest(&self, direction: Direction) -> io::Result<()> {
        let interest = self.registration.interest.get().and(direction);
        let trigger = self.registration.ownership.trigger();
        let reactor = self.handle.state.reactor.borrow();
        reactor.modify(&self.fd, self.key, interest, trigger)?;
        drop(reactor);
        self.registration.interest.set(interest);
        Ok(())
    }
}

impl Handle {
    /// Wakes every task that waits for a source, without an event, so that all of them notice a
    /// change such as a shutdown. No list of these tasks is needed.
    pub fn wake_waiting(&self) {
        let mut woken = VecDeque::new();
        let mut ended = 0;
        for (_, registration) in self.state.reactor.borrow().iter() {
            ended += registration.take_waiters(|waiter| woken.push_back(waiter));
        }
        self.state.end_waits(ended);
        woken.into_iter().for_each(|waiter| self.state.wake(waiter));
    }

    /// Does I/O that never waits and that has no [`Source`], such as a read of cached data, as part
    /// of the task's share of I/O. Once the share is used up, `op` does not run and the task is
    /// woken in the next turn (rule 15). `op` returns the number of bytes that it moved.
    ///
    /// # Errors
    /// Those of `op`.
    pub fn poll_io(
        &self,
        cx: &mut Context<'_>,
        op: impl FnOnce() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.state.poll_budget(cx));
        let moved = op();
        let bytes = moved.as_ref().copied().unwrap_or_default();
        self.state.budget.spend(bytes);
        Poll::Ready(moved)
    }
}

impl<F: AsFd> AsFd for Source<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<F: AsFd> Drop for Source<F> {
    fn drop(&mut self) {
        // First, as canceling ends the count of waits that keep the loop alive.
        self.cancel(Direction::Read);
        self.cancel(Direction::Write);
        let mut reactor = self.handle.state.reactor.borrow_mut();
        // epoll(7): a registration lasts until the last duplicate is closed. The sole descriptor is
        // closed next, which saves a system call for each connection (rule 5).
        let removed = match self.registration.ownership {
            Ownership::Sole => reactor.forget(self.key),
            Ownership::OnePerLoop | Ownership::Shared => reactor.remove(&self.fd, self.key),
        };
        drop(reactor);
        drop(removed);
    }
}

/// The future of [`Source::io`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Io<'a, F: AsFd, P> {
    source: &'a Source<F>,
    direction: Direction,
    poll: P,
    /// The ticket of the wait that this future began, while it waits.
    ticket: Option<u16>,
}

// Nothing in it is pinned: `poll` is called through `&mut`.
impl<F: AsFd, P> Unpin for Io<'_, F, P> {}

impl<T, F: AsFd, P> Future for Io<'_, F, P>
where
    P: FnMut(&mut Context<'_>) -> Poll<T>,
{
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        let poll = (this.poll)(cx);
        let registration = &this.source.registration;
        this.ticket = poll
            .is_pending()
            .then(|| registration.ticket(this.direction));
        poll
    }
}

/// The same operation again and again. The stream never ends.
impl<T, F: AsFd, P> Stream for Io<'_, F, P>
where
    P: FnMut(&mut Context<'_>) -> Poll<T>,
{
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll(cx).map(Some)
    }
}

impl<F: AsFd, P> Drop for Io<'_, F, P> {
    /// Cancels this future's wait, but not a later one that has replaced it.
    fn drop(&mut self) {
        let latest = self.source.registration.ticket(self.direction);
        if self.ticket == Some(latest) {
            self.source.cancel(self.direction);
        }
    }
}

#[cfg(test)]
mod tests;
