//! Simple models of the primitives: each takes random steps beside the real one, and compares.
//!
//! Waiters come, are woken and polled, are polled without a wake, or are dropped at any time.
//! `random.rs` chooses the steps; so does the fuzzer, which compiles this folder, too.

pub(crate) mod barriers;
pub(crate) mod broadcasts;
pub(crate) mod channels;
pub(crate) mod conditions;
pub(crate) mod flags;
pub(crate) mod locks;
pub(crate) mod mutexes;
pub(crate) mod notifies;
pub(crate) mod once_cells;
pub(crate) mod queues;
pub(crate) mod rwlocks;
pub(crate) mod semaphores;
pub(crate) mod watches;

use oneloop_sync::*;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A step: what is done, a number below the `KINDS` of the model, and to which of the waiters.
pub(crate) type Step = (usize, usize);

/// A future that a test polls, and whether it was woken since.
pub(crate) struct Polled<F> {
    pub(crate) future: F,
    woken: Arc<Flag>,
}

#[derive(Default)]
pub(crate) struct Flag(pub(crate) AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<F: Future + Unpin> Polled<F> {
    pub(crate) fn new(future: F) -> Self {
        let woken = Arc::new(Flag::default());
        Polled { future, woken }
    }

    /// Polls a future once, and asserts that it is pending.
    pub(crate) fn pending(future: F) -> Self {
        let mut polled = Polled::new(future);
        assert!(polled.poll().is_pending());
        polled
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.woken));
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker))
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst)
    }

    /// The output, after the future was woken for it.
    pub(crate) fn output(mut self) -> F::Output {
        assert!(self.is_woken(), "the future was not woken");
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the future was woken and is not ready"),
        }
    }
}

/// Futures that wait, in the order in which they came, each with what the model knows of it.
pub(crate) struct Line<F, K = ()>(pub(crate) Vec<(Polled<F>, K)>);

impl<F: Future + Unpin, K> Line<F, K> {
    /// Polls a new future, which waits here unless it is ready.
    pub(crate) fn begin(&mut self, future: F, known: K) -> Option<F::Output> {
        let mut polled = Polled::new(future);
        match polled.poll() {
            Poll::Ready(output) => Some(output),
            Poll::Pending => {
                self.0.push((polled, known));
                None
            }
        }
    }

    /// The place of a future, unless there is none.
    pub(crate) fn place(&self, any: usize) -> Option<usize> {
        any.checked_rem(self.0.len())
    }

    /// Polls a future, whether it was woken or not, and removes it if it is ready.
    pub(crate) fn poll(&mut self, place: usize) -> Option<(F::Output, K)> {
        match self.0[place].0.poll() {
            Poll::Ready(output) => Some((output, self.0.remove(place).1)),
            Poll::Pending => None,
        }
    }

    pub(crate) fn remove(&mut self, any: usize) -> Option<(Polled<F>, K)> {
        Some(self.0.remove(self.place(any)?))
    }

    /// The place of a future that was woken. A loop polls no other.
    pub(crate) fn woken(&self) -> Option<usize> {
        self.0.iter().position(|(polled, _)| polled.is_woken())
    }
}

impl<F, K> Default for Line<F, K> {
    fn default() -> Self {
        Line(Vec::new())
    }
}

/// A future of any type.
type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

/// Takes the steps, and checks the model after each one.
fn follow<M>(mut model: M, steps: &[Step], take: impl Fn(&mut M, Step), check: impl Fn(&M)) -> M {
    for step in steps {
        take(&mut model, *step);
        check(&model);
    }
    model
}

/// The index of one of these, unless there is none.
fn pick<T>(from: &[T], any: usize) -> Option<usize> {
    any.checked_rem(from.len())
}
