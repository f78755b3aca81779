//! The end of a green thread: its result is stored, its links are notified.

use super::extras::{Interrupt, ThreadExtras};
use super::{Lifecycle, Thread, ThreadRecord};
use crate::links::{InsideCall, Link, Links};
use crate::token::error_of;
use oneloop_core::JoinError;
use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll};

impl ThreadRecord {
    /// The result is stored, and the stack still exists: calls eventlet's links on it. Joiners have
    /// the result already, as in eventlet, where `wait` returns before the links have run.
    pub(crate) fn call_inside(self: &Rc<Self>) {
        if !self.links.borrow().any(Link::is_inside) {
            return;
        }
        // From here on joiners see the result.
        self.outcome.set(self.slot.outcome());
        let inside = self.take_inside();
        // Woken now, before the links, which may wait for as long as they like.
        let waiters = self.links.borrow_mut().take_some(|link| !link.is_call());
        self.wake(waiters);
        let thread = Thread::new(Rc::clone(self));
        let called = catch_unwind(AssertUnwindSafe(|| {
            inside.into_iter().for_each(|link| link.call(&thread));
        }));
        // A kill of a link is no panic, and changes nothing: the result is stored already.
        let error = called.map_err(error_of).err();
        if let Some(error @ JoinError::Panicked(_)) = error {
            self.report(error);
        }
    }

    /// Removes eventlet's links, which the caller calls.
    pub(crate) fn take_inside(&self) -> Vec<Box<dyn InsideCall<Thread>>> {
        let links = self.links.borrow_mut().take_some(Link::is_inside);
        let inside = links.into_queue().into_iter().map(|link| match link {
            Link::Inside(link) => link,
            _ => unreachable!("only these were taken"),
        });
        inside.collect()
    }

    /// Ends the thread, whose stack is empty and freed.
    pub(crate) fn end(self: &Rc<Self>) {
        self.end_as(Lifecycle::Ended);
    }

    /// Ends the thread for its joiners; its stack stays where it is, and never runs again. A scope
    /// from which it borrows does not see it end, so the scope's own stack stays as well.
    pub(crate) fn leave_behind(self: &Rc<Self>) {
        self.end_as(Lifecycle::LeftBehind);
    }

    fn end_as(self: &Rc<Self>, lifecycle: Lifecycle) {
        self.lifecycle.set(lifecycle);
        if !self.has_result() {
            if self.slot.outcome().is_none() {
                self.slot.fail(JoinError::Canceled);
            }
            self.outcome.set(self.slot.outcome());
        }
        // Taken out: the drop of a local may come back to this record.
        let extras = self.extras.take();
        let has_queued = |extras: &ThreadExtras| !extras.interrupts.is_empty();
        let was_interrupted = self.interrupted.get() || extras.as_deref().is_some_and(has_queued);
        if let Some(extras) = extras {
            self.drop_extras(*extras);
        }
        let mut links = self.links.take();
        // If the thread unwound without waiting, its killer continues before any other link is
        // notified: gevent's hub switches to the killer as soon as the throw returns. A thread that
        // waited meanwhile ends like any other.
        if was_interrupted {
            self.wake_killers(&mut links);
        }
        // Calls run on no stack and one after the other, which takes a task. Wakes alone need none.
        if links.any(Link::is_call) {
            notify(Thread::new(Rc::clone(self)), links.into_queue());
        } else {
            self.wake(links);
        }
        self.report_unobserved();
    }

    /// Drops foreign values one by one: if two drops panicked in one unwinding, the second would
    /// abort the process.
    fn drop_extras(&self, extras: ThreadExtras) {
        for Interrupt { payload, .. } in extras.interrupts {
            self.guarded(|| drop(payload));
        }
        for (_, local) in extras.locals {
            self.guarded(|| drop(local));
        }
    }

    /// Wakes the killers before everything that is ready, the first of them in front.
    fn wake_killers(&self, links: &mut Links<Thread>) {
        let killers = links.take_some(|link| matches!(link, Link::Killer(_)));
        for link in killers.into_queue().into_iter().rev() {
            if let Link::Killer(key) = link {
                self.handle.wake_task_first(key);
            }
        }
    }

    fn wake(&self, links: Links<Thread>) {
        match links {
            Links::None => {}
            // Without the queue of the other arm: a joined thread mostly has this one link.
            Links::One(_, Link::Joiner(key) | Link::Killer(key)) => self.handle.wake_task(key),
            links => links.into_queue().into_iter().for_each(|link| match link {
                Link::Joiner(key) | Link::Killer(key) => self.handle.wake_task(key),
                Link::Waker(waker) => {
                    self.guarded(|| waker.wake());
                }
                Link::Call(_) | Link::Inside(_) => unreachable!("`notify` takes calls"),
            }),
        }
    }
}

/// Notifies the links of a thread that has ended, in the order of their registration: as in gevent,
/// each of them has run before the next one is notified. A separate task does it, as calls run on
/// no green stack.
pub(crate) fn notify(thread: Thread, links: VecDeque<Link<Thread>>) {
    let handle = thread.record().handle.clone();
    let inside = handle.clone();
    let mut pending = PendingLinks { thread, links };
    handle.spawn_detached(async move {
        while let Some(link) = pending.links.pop_front() {
            let thread = &pending.thread;
            let record = thread.record();
            let runs_next = match link {
                Link::Call(call) => record.guarded(|| call(thread)).flatten(),
                Link::Inside(link) => {
                    // The thread never began, so there is no stack to call it on.
                    let call = link.on_its_own_thread(record.spawned_at);
                    record.guarded(|| call(thread)).flatten()
                }
                Link::Joiner(key) | Link::Killer(key) => Some(key),
                Link::Waker(waker) => {
                    record.guarded(|| waker.wake());
                    None
                }
            };
            if let (Some(key), Some(own)) = (runs_next, inside.current_task()) {
                // In front of the run queue: first that task, then this one again.
                inside.wake_task_first(own);
                inside.wake_task_first(key);
                std::future::poll_fn(pending_once()).await;
            }
        }
    });
}

/// Links that have not been notified. If their loop is dropped, no call can run anymore, but
/// waiters are woken: they may be on another loop.
struct PendingLinks {
    thread: Thread,
    links: VecDeque<Link<Thread>>,
}

impl Drop for PendingLinks {
    fn drop(&mut self) {
        let record = self.thread.record();
        for link in self.links.drain(..) {
            record.guarded(|| match link {
                Link::Joiner(key) | Link::Killer(key) => record.handle.wake_task(key),
                Link::Waker(waker) => waker.wake(),
                Link::Call(_) | Link::Inside(_) => {}
            });
        }
    }
}

/// Pending once, without keeping the waker: the caller has woken its own task before.
fn pending_once() -> impl FnMut(&mut Context<'_>) -> Poll<()> {
    let mut waited = false;
    move |_| {
        if mem::replace(&mut waited, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
