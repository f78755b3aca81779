//! One fd on the loop: where readiness meets a system call, and nowhere else.

use crate::handle::Handle;
use crate::ready::{Direction, Interest, Ready, Trigger};
use crate::slots::Key;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

/// Who else can reach the fd of a [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Nobody: registered edge-triggered, and closing it is enough to take it out. An fd that is
    /// duplicated all the same costs wake-ups that reach nobody.
    Sole,
    /// Somebody else reads it or holds a duplicate: level-triggered, asked for anew with each wait,
    /// and taken out before it is dropped.
    Shared,
}

/// What one system call did, as [`Source::poll_io`] has to know it.
#[derive(Clone, Copy, Debug)]
pub struct Done<T> {
    value: T,
    bytes: usize,
    drained: bool,
}

impl<T> Done<T> {
    /// One whole thing was done, and there may be more of it: a connection accepted, a datagram read.
    pub fn one(value: T) -> Self {
        Done {
            value,
            bytes: 0,
            drained: false,
        }
    }

    /// The fd has no more for now: the next call waits for an edge.
    pub fn last(value: T) -> Self {
        Done {
            value,
            bytes: 0,
            drained: true,
        }
    }

    /// Says how many bytes were moved: they count in the task's share of I/O.
    pub fn of_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
}

impl Done<usize> {
    /// A byte stream moved `bytes` of the `wanted`. Fewer mean that the kernel's buffer is
    /// exhausted, which saves the call that would have said so.
    pub fn stream(bytes: usize, wanted: usize) -> Self {
        Done {
            value: bytes,
            bytes,
            drained: bytes < wanted,
        }
    }
}

/// What the loop knows of a source: the reactor marks it, the source reads it.
pub(crate) struct State {
    ready: Cell<Ready>,
    interest: Cell<Interest>,
    ownership: Ownership,
    referenced: Cell<bool>,
    fd: RawFd,
    waiting: [Cell<Option<Waker>>; 2],
    /// The wait in that direction is a watch: see [`Source::poll_watch`].
    watches: [Cell<bool>; 2],
    /// Changes with each wait that begins: whoever gives up takes back no wait but the own.
    tickets: [Cell<u16>; 2],
}

impl State {
    /// A source that belongs to the loop itself and wakes nobody.
    pub(crate) fn new_internal(fd: RawFd) -> Rc<Self> {
        State::new(fd, Interest::READ, Ownership::Sole)
    }

    fn new(fd: RawFd, interest: Interest, ownership: Ownership) -> Rc<Self> {
        Rc::new(State {
            ready: Cell::default(),
            interest: Cell::new(interest),
            ownership,
            referenced: Cell::new(true),
            fd,
            waiting: Default::default(),
            watches: Default::default(),
            tickets: Default::default(),
        })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.fd
    }

    /// Notes what epoll said and hands over who waited for it. Returns how many of them kept the
    /// loop alive.
    pub(crate) fn mark(&self, ready: Ready, wakers: &mut VecDeque<Waker>) -> usize {
        self.ready.set(self.ready.get() | ready);
        if self.ownership == Ownership::Shared {
            // LevelOnce: the kernel asks to be asked again, so both directions have to.
            self.interest.set(Interest::NONE);
            return self.take_waiting(wakers);
        }
        self.take(
            |direction| ready.intersects(self.awaited(direction)),
            wakers,
        )
    }

    /// Hands over everybody who waits, as [`State::mark`] does.
    pub(crate) fn take_waiting(&self, wakers: &mut VecDeque<Waker>) -> usize {
        self.take(|_| true, wakers)
    }

    fn take(&self, which: impl Fn(Direction) -> bool, wakers: &mut VecDeque<Waker>) -> usize {
        let mut taken = 0;
        for direction in [Direction::Read, Direction::Write] {
            if which(direction)
                && let Some(waker) = self.waiting[direction as usize].take()
            {
                wakers.push_back(waker);
                taken += usize::from(!self.watches[direction as usize].get());
            }
        }
        if self.referenced.get() { taken } else { 0 }
    }

    /// The bits that end the wait in that direction.
    fn awaited(&self, direction: Direction) -> Ready {
        if self.watches[direction as usize].get() {
            Ready::HANG_UP | Ready::ERROR
        } else {
            Ready::of(direction)
        }
    }

    /// True if a wait in that direction is one that may keep the loop alive.
    fn is_waiting(&self, direction: Direction) -> bool {
        let is_parked = self.look(direction, |waker| waker.is_some());
        is_parked && !self.watches[direction as usize].get()
    }

    /// True if a task other than that waker's waits in that direction for the direction itself.
    fn is_waited_for_by_another(&self, direction: Direction, waker: &Waker) -> bool {
        let is_other = self.look(direction, |old| {
            old.is_some_and(|old| !old.will_wake(waker))
        });
        is_other && !self.watches[direction as usize].get()
    }

    fn is_parked(&self, direction: Direction, waker: &Waker) -> bool {
        self.look(direction, |old| old.is_some_and(|old| old.will_wake(waker)))
    }

    fn look<T>(&self, direction: Direction, f: impl FnOnce(Option<&Waker>) -> T) -> T {
        let place = &self.waiting[direction as usize];
        let waker = place.take();
        let result = f(waker.as_ref());
        place.set(waker);
        result
    }

    /// A wait or a watch begins in that direction; without a waker, that of the last one stays. Gives
    /// the waker that is replaced, and whether a wait that may keep the loop alive was there.
    #[inline]
    fn park(
        &self,
        direction: Direction,
        waker: Option<Waker>,
        watches: bool,
    ) -> (Option<Waker>, bool) {
        let ticket = &self.tickets[direction as usize];
        ticket.set(ticket.get().wrapping_add(1));
        let watched = self.watches[direction as usize].replace(watches);
        let stays = waker.is_none();
        let replaced =
            waker.and_then(|waker| self.waiting[direction as usize].replace(Some(waker)));
        let waited = (stays || replaced.is_some()) && !watched;
        (replaced, waited)
    }

    /// After `EAGAIN`.
    fn clear(&self, direction: Direction) {
        let ready = self.ready.get();
        self.ready.set(ready.without_blocked(direction));
    }

    /// After a short count. A closed or failed direction has one more thing to tell, and urgent data
    /// more behind it, for which no edge will come, so the bit stays (rule 3).
    fn drained(&self, direction: Direction) {
        if !self.ready.get().has_more_than_bit(direction) {
            self.clear(direction);
        }
    }
}

/// An fd registered with the loop, and its readiness.
///
/// All I/O goes through [`Source::poll_io`]. Dropping a source takes it out of the loop and drops
/// `F`; whoever waits on it then is not woken.
pub struct Source<F: AsFd = OwnedFd> {
    handle: Handle,
    key: Key<Rc<State>>,
    state: Rc<State>,
    fd: F,
    /// A short read does not mean that the kernel has no more.
    reads_in_parts: bool,
}

impl<F: AsFd> fmt::Debug for Source<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Source(fd {}, {})",
            self.state.fd,
            self.state.ready.get()
        )
    }
}

impl<F: AsFd> Source<F> {
    /// Registers an fd; it should be non-blocking. With [`Ownership::Sole`] `interest` is what is
    /// asked for once and for all, and whatever else is needed is added at the first `EAGAIN`:
    /// ask for [`Interest::WRITE`] at once only to hear that a `connect(2)` is through.
    ///
    /// # Errors
    /// Those of [`Reactor::add`](crate::Reactor::add); the fd is dropped then.
    pub fn new(
        handle: &Handle,
        fd: F,
        interest: Interest,
        ownership: Ownership,
    ) -> io::Result<Self> {
        let interest = if ownership == Ownership::Sole {
            interest
        } else {
            Interest::NONE
        };
        let state = State::new(fd.as_fd().as_raw_fd(), interest, ownership);
        let key = handle.inner.reactor.borrow_mut().add(
            &fd,
            interest,
            trigger(ownership),
            Rc::clone(&state),
        )?;
        Ok(Source {
            handle: handle.clone(),
            key,
            state,
            fd,
            reads_in_parts: false,
        })
    }

    /// Says that a short read does not mean that there is no more: a Unix socket's `recv(2)` stops
    /// behind a message that carried fds. Each read to the end then costs the call that says so.
    pub fn reads_in_parts(mut self) -> Self {
        self.reads_in_parts = true;
        self
    }

    /// The loop it is on.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What is inside.
    pub fn get_ref(&self) -> &F {
        &self.fd
    }

    /// Says that a direction is believed ready, before any event said so: a fresh socket takes
    /// bytes. If it is not so, one system call finds out.
    pub fn assume_ready(&self, direction: Direction) {
        self.state
            .ready
            .set(self.state.ready.get() | Ready::bit(direction));
    }

    /// What is known of the fd's readiness.
    pub fn ready(&self) -> Ready {
        self.state.ready.get()
    }

    /// True while an operation in that direction is believed not to block. After `Pending` it tells
    /// a task that had its share of I/O from a system call that would have blocked.
    pub fn is_ready(&self, direction: Direction) -> bool {
        self.ready().contains(Ready::bit(direction))
    }

    /// Says whether waiting on this source keeps the loop alive; it does by default.
    pub fn set_referenced(&self, referenced: bool) {
        if self.state.referenced.replace(referenced) != referenced {
            let waiting = [Direction::Read, Direction::Write].map(|d| self.state.is_waiting(d));
            for _ in waiting.iter().filter(|waiting| **waiting) {
                self.handle.inner.count_wait(referenced);
            }
        }
    }

    /// True if waiting on this source keeps the loop alive.
    pub fn is_referenced(&self) -> bool {
        self.state.referenced.get()
    }

    /// Tries a system call in one direction, and waits for readiness when it would block.
    ///
    /// `op` runs when the fd is believed ready, again after `EINTR`, and not at all once the task
    /// has had its share of I/O for this run (it is then woken in the next turn). One
    /// task can wait for each direction; the last one to ask is the one that is woken.
    ///
    /// # Errors
    /// What `op` returns, except `WouldBlock` and `Interrupted`.
    pub fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        ready!(self.poll_ready(cx, direction))?;
        ready!(self.handle.inner.poll_budget(cx));
        match self.call(direction, &mut op) {
            Ok(Some(value)) => Poll::Ready(Ok(value)),
            Ok(None) => {
                self.wait_for(cx, direction)?;
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Tries a system call in one direction without waiting: `None` when it would block, or is
    /// believed to. For code that is no task, such as a callback; it counts in the share of I/O of the
    /// task that runs, but is never refused for it.
    ///
    /// # Errors
    /// What `op` returns, except `WouldBlock` and `Interrupted`.
    #[inline]
    pub fn try_io<T>(
        &self,
        direction: Direction,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<Done<T>>,
    ) -> io::Result<Option<T>> {
        if self.state.ready.get().intersects(Ready::of(direction)) {
            self.call(direction, &mut op)
        } else {
            Ok(None)
        }
    }

    /// Makes the system call and notes what it says of readiness; `None` when it would have blocked.
    #[inline]
    fn call<T>(
        &self,
        direction: Direction,
        op: &mut impl FnMut(BorrowedFd<'_>) -> io::Result<Done<T>>,
    ) -> io::Result<Option<T>> {
        loop {
            match op(self.fd.as_fd()) {
                Ok(done) => {
                    self.handle.inner.budget.spend(done.bytes);
                    if self.is_drained(direction, done.drained) {
                        self.state.drained(direction);
                    }
                    return Ok(Some(done.value));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.state.clear(direction);
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // Paid for, too: a caller that tries again and again has its share as well.
                    self.handle.inner.budget.spend(0);
                    return Err(error);
                }
            }
        }
    }

    fn is_drained(&self, direction: Direction, is_short: bool) -> bool {
        let in_parts = self.reads_in_parts && direction == Direction::Read;
        (is_short && !in_parts) || self.state.ownership == Ownership::Shared
    }

    /// Waits until a direction is believed ready, without trying anything.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    #[inline]
    pub fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        if self.state.ready.get().intersects(Ready::of(direction)) {
            return Poll::Ready(Ok(()));
        }
        self.wait_for(cx, direction)?;
        Poll::Pending
    }

    /// Waits for what may end a connection while nothing is read from it or written to it: an error, such
    /// as a reset, or a hang-up, which says that both directions are shut. Ready once one of the bits of
    /// `end` ([`Ready::ERROR`], [`Ready::HANG_UP`]) is known.
    ///
    /// It is for a task that has no other wait in that direction; the next wait there takes its place, and
    /// it takes no other task's. It costs no system call, no wake-up while bytes come, and keeps no loop
    /// alive. An fd with [`Ownership::Shared`] is not watched: what is known of it already is told.
    pub fn poll_watch(&self, cx: &mut Context<'_>, direction: Direction, end: Ready) -> Poll<()> {
        if self.ready().intersects(end) {
            return Poll::Ready(());
        }
        let state = &self.state;
        let is_free = !state.is_waited_for_by_another(direction, cx.waker());
        if is_free && state.ownership == Ownership::Sole {
            // EPOLLERR and EPOLLHUP are told whatever was asked for.
            self.park(direction, cx.waker(), true);
        }
        Poll::Pending
    }

    /// Takes back a belief in readiness, for a caller that tried by itself and met `EAGAIN`.
    pub fn clear_ready(&self, direction: Direction) {
        self.state.clear(direction);
    }

    /// A poll function in one direction as a future: dropped, it takes back the wait, so that
    /// nobody is woken and the loop is not kept alive for nothing.
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

    /// Wakes whoever waits on it, though nothing happened there: for a change that they should see.
    pub fn wake_waiting(&self) {
        let mut wakers = VecDeque::new();
        let ended = self.state.take_waiting(&mut wakers);
        self.handle.inner.end_waits(ended);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Forgets who waits for that direction.
    pub fn cancel(&self, direction: Direction) {
        let counted = self.counts(direction);
        let waker = self.state.waiting[direction as usize].take();
        if counted {
            self.handle.inner.count_wait(false);
        }
        drop(waker); // it may come back here (rule 2)
    }

    /// True if a wait in that direction keeps the loop alive.
    fn counts(&self, direction: Direction) -> bool {
        self.state.referenced.get() && self.state.is_waiting(direction)
    }

    #[inline]
    fn park(&self, direction: Direction, waker: &Waker, watches: bool) {
        // Its clone and the drop of its predecessor may come back here (rule 2): one comes before what is
        // counted, the other behind it.
        let is_parked = self.state.is_parked(direction, waker);
        let waker = (!is_parked).then(|| waker.clone());
        let (replaced, waited) = self.state.park(direction, waker, watches);
        if waited == watches && self.state.referenced.get() {
            self.handle.inner.count_wait(!watches);
        }
        drop(replaced);
    }

    fn wait_for(&self, cx: &mut Context<'_>, direction: Direction) -> io::Result<()> {
        self.ask_for(direction)?;
        self.park(direction, cx.waker(), false);
        Ok(())
    }

    /// Rule 7: the first EAGAIN asks for OUT. EPOLL_CTL_MOD tells at once what is ready by now, so no
    /// edge is lost in between.
    fn ask_for(&self, direction: Direction) -> io::Result<()> {
        let interest = self.state.interest.get();
        if interest.has(direction) {
            return Ok(());
        }
        let interest = interest.and(direction);
        let trigger = trigger(self.state.ownership);
        self.handle
            .inner
            .reactor
            .borrow()
            .modify(&self.fd, self.key, interest, trigger)?;
        self.state.interest.set(interest);
        Ok(())
    }
}

impl<F: AsFd> AsFd for Source<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<F: AsFd> Drop for Source<F> {
    fn drop(&mut self) {
        self.cancel(Direction::Read);
        self.cancel(Direction::Write);
        let gone = match self.state.ownership {
            Ownership::Sole => self.handle.inner.reactor.borrow_mut().forget(self.key),
            Ownership::Shared => self
                .handle
                .inner
                .reactor
                .borrow_mut()
                .remove(&self.fd, self.key),
        };
        drop(gone);
    }
}

fn trigger(ownership: Ownership) -> Trigger {
    match ownership {
        Ownership::Sole => Trigger::Edge,
        Ownership::Shared => Trigger::LevelOnce,
    }
}

/// The future of [`Source::io`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Io<'a, F: AsFd, P> {
    source: &'a Source<F>,
    direction: Direction,
    poll: P,
    /// That of the wait that this future began, while it waits.
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
        let ticket = &this.source.state.tickets[this.direction as usize];
        this.ticket = poll.is_pending().then(|| ticket.get());
        poll
    }
}

impl<F: AsFd, P> Drop for Io<'_, F, P> {
    /// Takes back this future's wait, but not that of another one that has taken its place.
    fn drop(&mut self) {
        let ticket = &self.source.state.tickets[self.direction as usize];
        if self.ticket == Some(ticket.get()) {
            self.source.cancel(self.direction);
        }
    }
}

#[cfg(test)]
mod tests;
