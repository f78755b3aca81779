//! What the async style's helpers promise: one fact per test.

mod collections;
mod deadlines;
mod graceful_shutdowns;
mod join_sets;
mod joins;
mod locals;
mod races;
mod scopes;
mod selects;
mod task_locals;
mod task_trackers;
mod times;

use oneloop_aio::{sleep, spawn};
use oneloop_core::{EventLoop, Options};
use std::cell::{Cell, RefCell};
use std::fmt::{Debug, Display};
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Display) {
        self.0.borrow_mut().push(what.to_string());
    }

    /// Notes its name when it is dropped.
    fn on_drop(&self, name: &'static str) -> Dropped {
        Dropped(self.clone(), name)
    }

    fn text(&self) -> String {
        self.0.borrow().join(" ")
    }
}

struct Dropped(Log, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.note(format!("-{}", self.1));
    }
}

/// Runs a future on a loop whose time is virtual.
fn run<F: Future>(future: F) -> F::Output {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    event_loop.block_on(future)
}

/// Polls a future once, with a waker that does nothing.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits forever, and notes its drop.
async fn waits(log: &Log, name: &'static str) {
    let _dropped = log.on_drop(name);
    pending().await
}

type Waits = Pin<Box<dyn Future<Output = ()>>>;

/// Passes two futures to a function that waits for both or for one. The second one panics later.
fn assert_panic_drops_the_other<T: Debug + 'static>(
    waits_for: impl AsyncFn(Waits, Waits) -> T + 'static,
) {
    run(async {
        let log = Log::default();
        let inner = log.clone();
        let task = spawn(async move {
            let other = Box::pin(async move { waits(&inner, "other").await });
            let panics = Box::pin(async {
                sleep(Duration::from_millis(1)).await;
                panic!("on purpose");
            });
            waits_for(other, panics).await
        });
        let error = task.await.unwrap_err();
        assert_eq!(error.panic_message(), Some("on purpose"));
        assert_eq!(log.text(), "-other");
    });
}

/// A future that is pending `pauses` times and counts its polls.
async fn counted(polls: &Cell<u32>, pauses: u32) {
    let mut future = pin!(async {
        for _ in 0..pauses {
            oneloop_core::yield_now().await;
        }
    });
    std::future::poll_fn(|cx| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(cx)
    })
    .await
}
