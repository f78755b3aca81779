//! The start of a green thread, which may be delayed.

use super::{Lifecycle, ThreadRecord};
use oneloop_core::Sleep;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

impl ThreadRecord {
    /// Delays the start of the thread.
    pub(crate) fn delay(&self, delay: Duration) {
        let mut sleep = self.handle.sleep(delay);
        if !delay.is_zero() {
            // Timers of one deadline fire in the order of their start. Started now, and not at the
            // first poll, this one fires before those that the caller starts after the spawn, as in
            // gevent and eventlet.
            let started = Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop()));
            debug_assert!(started.is_pending(), "a timer fires in its phase only");
        }
        self.keep_delay(sleep);
    }

    fn keep_delay(&self, sleep: Sleep) {
        let mut extras = self.extras.borrow_mut();
        extras.get_or_insert_default().delay = Some(sleep);
        self.alert.set(true);
    }

    /// Polled before the first resume: ready once the thread begins.
    #[cold]
    pub(crate) fn poll_begin(&self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_delay(cx));
        self.lifecycle.set(Lifecycle::Begun);
        Poll::Ready(())
    }

    fn poll_delay(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Taken out while it is polled: the waker's clone is foreign code.
        let mut extras = self.extras.borrow_mut();
        let delay = extras.as_mut().and_then(|extras| extras.delay.take());
        drop(extras);
        let Some(mut sleep) = delay else {
            return Poll::Ready(());
        };
        let poll = Pin::new(&mut sleep).poll(cx);
        if poll.is_pending() {
            self.keep_delay(sleep);
        }
        poll
    }
}
