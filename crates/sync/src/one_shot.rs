//! A value that is sent once, to any number of waiters.

use crate::event::{Event, UntilSet};
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A value that one task sends and any number of tasks wait for: gevent's `AsyncResult`, eventlet's
/// `Event`. Where an error may come instead of a value, send a `Result`.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::sync::OneShot;
/// let mut event_loop = EventLoop::new()?;
/// let answer = OneShot::new();
/// let asked = answer.clone();
/// event_loop.handle().spawn(async move { asked.send(42) });
/// assert_eq!(event_loop.block_on(answer.get()), 42);
/// assert_eq!(answer.send(43), Err(43), "once only");
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("AsyncResult", "Future", "Promise", "Deferred"))]
pub struct OneShot<T> {
    state: Rc<OneShotState<T>>,
}

struct OneShotState<T> {
    // In an `Rc`, so that `T::clone`, which is foreign code, runs after the borrow (rule 1).
    value: RefCell<Option<Rc<T>>>,
    sent: Event,
}

impl<T> OneShot<T> {
    /// Creates a `OneShot` whose value has not been sent.
    pub fn new() -> Self {
        OneShot {
            state: Rc::new(OneShotState {
                value: RefCell::new(None),
                sent: Event::new(),
            }),
        }
    }

    /// Sends the value, and wakes all waiters in the order in which they came.
    ///
    /// # Errors
    /// Returns the value if another one was sent before. The earlier value stays.
    #[doc(alias("set_result", "resolve"))]
    pub fn send(&self, value: T) -> Result<(), T> {
        if self.is_sent() {
            return Err(value);
        }
        self.replace(value);
        Ok(())
    }

    /// Sends the value, and replaces an earlier one: a second `set` of gevent's `AsyncResult`.
    /// Waiters that were woken and have not run yet get this value.
    pub fn replace(&self, value: T) {
        let before = self.state.value.replace(Some(Rc::new(value)));
        self.state.sent.set();
        drop(before); // foreign code: it must find the new value sent and the waiters woken
    }

    /// True once a value has been sent.
    pub fn is_sent(&self) -> bool {
        self.state.value.borrow().is_some()
    }

    /// Returns the number of tasks that wait for the value.
    pub fn waiting(&self) -> usize {
        self.state.sent.waiting()
    }

    /// Returns a clone of the value, if one was sent.
    pub fn try_get(&self) -> Option<T>
    where
        T: Clone,
    {
        let value = self.state.value.borrow().clone();
        value.map(|value| T::clone(&value))
    }

    /// Waits for the value, and returns a clone of it. Completes at once if the value was sent
    /// before. Cancel safe.
    pub fn get(&self) -> OneShotGet<T>
    where
        T: Clone,
    {
        OneShotGet {
            one_shot: self.clone(),
            sent: self.state.sent.until_set(),
        }
    }
}

impl<T> Clone for OneShot<T> {
    fn clone(&self) -> Self {
        OneShot {
            state: Rc::clone(&self.state),
        }
    }
}

impl<T> Default for OneShot<T> {
    fn default() -> Self {
        OneShot::new()
    }
}

impl<T> fmt::Debug for OneShot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneShot")
            .field("is_sent", &self.is_sent())
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// The future of [`OneShot::get`]; it takes its ticket when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct OneShotGet<T> {
    one_shot: OneShot<T>,
    sent: UntilSet,
}

impl<T: Clone> Future for OneShotGet<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        Pin::new(&mut this.sent).poll(cx).map(|()| {
            let value = this.one_shot.try_get();
            value.expect("the event is set after the value")
        })
    }
}
