//! Waiting for the end of a green thread.

use crate::current::Running;
use crate::links::{Link, LinkId};
use crate::record::{Thread, ThreadRecord};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Which end of a green thread a waiter waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// Its function has ended.
    Result,
    /// Its function and eventlet's links, which run on its stack, have ended.
    End,
    /// Its stack is empty: never, if the stack was left behind.
    Gone,
    /// It has ended after a kill. As in gevent, the killer continues before any other waiter,
    /// unless the killed thread waited meanwhile.
    Killed,
}

/// The future of [`Thread::finished`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Finished {
    thread: Thread,
    until: Until,
    link: Option<LinkId>,
}

impl Thread {
    /// Waits until the thread has ended, and leaves the result where it is: any number of threads
    /// and tasks can. Cancel safe.
    pub fn finished(&self) -> Finished {
        self.until(Until::End)
    }

    pub(crate) fn until(&self, until: Until) -> Finished {
        Finished {
            thread: self.clone(),
            until,
            link: None,
        }
    }
}

impl Future for Finished {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Finished {
            thread,
            until,
            link,
        } = &mut *self;
        thread.record().poll_until(*until, link, cx.waker())
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        if let Some(link) = self.link {
            self.thread.record().unlink(link);
        }
    }
}

impl ThreadRecord {
    /// Ready once the thread has come that far; until then, keeps the waker in the link of that id.
    pub(crate) fn poll_until(
        &self,
        until: Until,
        id: &mut Option<LinkId>,
        waker: &Waker,
    ) -> Poll<()> {
        let has_come = match until {
            Until::Result => self.has_result(),
            Until::End | Until::Killed => self.has_ended(),
            Until::Gone => self.is_gone(),
        };
        if has_come {
            return Poll::Ready(());
        }
        // A green thread of the same loop that polls with its own waker is noted by its task's key:
        // that costs no clone of the waker, and lets `notify` run it before the next link.
        let joins =
            |thread: &Running| thread.handle == self.handle && thread.switch.is_polled_with(waker);
        let joiner = Running::current().filter(joins);
        let joiner = joiner.map(|joiner| joiner.key.get());
        // Made before the links are borrowed: a waker's clone is foreign code.
        let link = match (joiner, until) {
            (Some(joiner), Until::Killed) => Link::Killer(joiner),
            (Some(joiner), _) => Link::Joiner(joiner),
            (None, _) => Link::Waker(waker.clone()),
        };
        // A future that is polled again keeps its ticket: its link stays where it is in the order.
        match self.replace_link(*id, link) {
            Ok(before) => drop(before),
            Err(link) => *id = self.link(link).ok(),
        }
        Poll::Pending
    }
}
