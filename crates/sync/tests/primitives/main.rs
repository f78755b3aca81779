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
mod queues;
mod random;
mod receiver_streams;
mod resource_pools;
mod rwlocks;
mod semaphores;
mod shutdown_tokens;
mod styles;
mod watches;

use models::Polled;
use oneloop_core::{EventLoop, Handle};
use oneloop_sync::*;
use std::cell::RefCell;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

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

/// The output of a future that is ready at its first poll.
fn now<F: Future + Unpin>(mut future: F) -> F::Output {
    let polled = Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
    match polled {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}
