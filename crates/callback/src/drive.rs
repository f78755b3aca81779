//! A handle with an fd as a task of the loop: it works when the poll reports its fd, and in the
//! next turn where libuv's level-triggered epoll would report the fd again.

use crate::runtime::{Queued, Runtime};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Schedules the rounds of a handle.
///
/// ```text
/// waits ──the poll finds its fd, a kick──▶ in a round ──▶ waits
///                                             └─ more is left, or it begins to read:
///                                                held ──the next poll──▶ in a round
/// ```
#[derive(Default)]
pub(crate) struct Pace {
    waker: Cell<Option<Waker>>,
    is_in_round: Cell<bool>,
    /// The handle had its round in this turn; the next poll starts another one.
    is_held: Cell<bool>,
    is_unreferenced: Cell<bool>,
}

impl Pace {
    /// Wakes the task, to start a round.
    pub(crate) fn kick(&self) {
        if let Some(waker) = self.waker() {
            waker.wake();
        }
    }

    /// `None` before the first run of the task.
    fn waker(&self) -> Option<Waker> {
        // A `Cell` lends nothing. The waker is the core's own, so its clone runs no code that could
        // find the cell empty.
        let waker = self.waker.take();
        self.waker.set(waker.clone());
        waker
    }

    fn keep_waker(&self, cx: &Context<'_>) {
        // One clone for the life of the handle: the waker of a task does not change.
        let waker = self.waker.take();
        let waker = waker.unwrap_or_else(|| cx.waker().clone());
        self.waker.set(Some(waker));
    }

    /// Wakes the task, unless it is in a round now.
    pub(crate) fn kick_from_outside(&self) {
        // A round re-checks everything at its end, so a kick within it would only cost one more
        // run.
        if !self.is_in_round.get() {
            self.kick();
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.is_held.get()
    }

    pub(crate) fn is_referenced(&self) -> bool {
        !self.is_unreferenced.get()
    }
}

/// A handle that a task drives until it is closed.
pub(crate) trait Driven: Sized + 'static {
    fn runtime(&self) -> &Runtime;

    fn pace(&self) -> &Pace;

    /// Performs all I/O that is possible now.
    fn poll_io(self: &Rc<Self>, cx: &mut Context<'_>);

    fn is_closed(&self) -> bool;

    /// Handles an event that was fed to the queue.
    fn on_fed(self: Rc<Self>) {}

    /// Reports that the handle is closed.
    fn on_closed(self: Rc<Self>);

    /// Drops everything without a report: the program has ended.
    fn abandon(&self);

    /// Sets whether the handle keeps the program alive, also while it is held.
    fn refer(&self, referenced: bool) {
        self.pace().is_unreferenced.set(!referenced);
        // A held handle waits for a phase and not for its fd: the driver's wait stands for it.
        self.runtime().queues.recheck_held();
    }

    /// Queues the handle, which is closed by now, for the closing phase.
    fn report_closed_soon(self: &Rc<Self>) {
        let queues = &self.runtime().queues;
        queues.close(Rc::clone(self) as _);
        // If it was held as well, it keeps the program alive no longer.
        queues.recheck_held();
        // Its task completes only when it is polled, and no event of a closed fd wakes it.
        self.pace().kick();
    }

    /// Queues the handle for a round in the next turn.
    fn hold(self: &Rc<Self>) {
        // At most one place in the queue for each handle.
        if !self.pace().is_held.replace(true) {
            self.runtime().queues.hold(Rc::clone(self) as _);
        }
    }

    /// Queues the handle for a round in the next turn, behind the handles that the poll finds:
    /// libuv adds an fd to epoll when it begins to watch it, so that fd comes last in epoll's list.
    /// A handle that is in a round is in that list already.
    fn hold_back(self: &Rc<Self>) {
        if self.pace().is_in_round.get() {
            self.hold();
        } else if !self.pace().is_held.replace(true) {
            self.runtime().queues.hold_back(Rc::clone(self) as _);
        }
    }

    fn round(self: &Rc<Self>, cx: &mut Context<'_>) {
        self.pace().is_in_round.set(true);
        self.poll_io(cx);
        self.pace().is_in_round.set(false);
    }
}

impl<H: Driven> Queued for H {
    fn serve(self: Rc<Self>) {
        self.on_fed();
    }

    fn release(self: Rc<Self>) {
        self.pace().is_held.set(false);
        // This runs in the driver of the queue. The handle's own waker makes its I/O wake its own
        // task.
        if let Some(waker) = self.pace().waker() {
            self.round(&mut Context::from_waker(&waker));
        }
    }

    fn release_soon(&self) {
        self.pace().is_held.set(false);
        self.pace().kick();
    }

    fn is_referenced(&self) -> bool {
        self.pace().is_referenced() && !self.is_closed()
    }

    fn finish_close(self: Rc<Self>) {
        self.on_closed();
    }

    fn abandon(&self) {
        Driven::abandon(self);
    }
}

/// The task of a handle: it completes when the handle is closed.
pub(crate) struct Drive<H: Driven>(pub(crate) Rc<H>);

impl<H: Driven> Future for Drive<H> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let handle = &self.0;
        handle.pace().keep_waker(cx);
        // Its drop closes the handle: an ended program has no closing phase.
        if handle.runtime().is_over() {
            return Poll::Ready(());
        }
        handle.round(cx);
        if handle.is_closed() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl<H: Driven> Drop for Drive<H> {
    fn drop(&mut self) {
        // The loop is dropped, or the program has ended: the closing phase never comes.
        if !self.0.is_closed() {
            Driven::abandon(&*self.0);
        }
    }
}
