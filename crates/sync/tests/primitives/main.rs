//! What each primitive promises: one fact per test, with the expected order as text.

mod barriers;
mod broadcasts;
mod channels;
mod conditions;
mod distance;
mod distant_channels;
mod events;
mod locks;
mod models;
mod mutexes;
mod notifies;
mod once_cells;
mod one_shots;
mod owners;
mod queues;
mod random;
mod receiver_streams;
mod resource_pools;
mod rwlocks;
mod semaphores;
mod shared;
mod shutdown_tokens;
mod styles;
mod watches;

use oneloop_core::{EventLoop, Handle};
use oneloop_sync::*;
use std::cell::RefCell;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Display) {
        self.0.borrow_mut().push(what.to_string());
    }

    fn text(&self) -> String {
        self.0.borrow().join(" ")
    }
}

/// Spawns tasks, runs the loop to its end, and returns what they noted, with spaces in between.
fn trace(spawn: impl FnOnce(&Handle, &Log)) -> String {
    let mut event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    spawn(&event_loop.handle(), &log);
    event_loop.run().unwrap();
    log.text()
}

/// A future that the test polls, and whether it was woken since.
struct Polled<F> {
    future: F,
    woken: Arc<Flag>,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<F: Future + Unpin> Polled<F> {
    fn new(future: F) -> Self {
        let woken = Arc::new(Flag::default());
        Polled { future, woken }
    }

    /// Polls a future once, and asserts that it is pending.
    fn pending(future: F) -> Self {
        let mut polled = Polled::new(future);
        assert!(polled.poll().is_pending());
        polled
    }

    fn poll(&mut self) -> Poll<F::Output> {
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.woken));
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker))
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst)
    }

    /// The output, after the future was woken for it.
    fn output(mut self) -> F::Output {
        assert!(self.is_woken(), "the future was not woken");
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the future was woken and is not ready"),
        }
    }
}

/// The output of a future that is ready at its first poll.
fn now<F: Future + Unpin>(mut future: F) -> F::Output {
    let polled = Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
    match polled {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}
