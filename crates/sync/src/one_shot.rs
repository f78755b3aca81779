//! A value that comes once.

use crate::event::{Event, UntilSet};
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A value that somebody sends once and anybody may wait for: gevent's `AsyncResult`, eventlet's
/// `Event`. Where it may fail, let it be a `Result`.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_sync::OneShot;
/// let mut event_loop = EventLoop::new()?;
/// let answer = OneShot::new();
/// let asked = answer.clone();
/// event_loop.handle().spawn(async move { asked.send(42) });
/// assert_eq!(event_loop.block_on(answer.get()), 42);
/// assert_eq!(answer.send(43), Err(43), "once only");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct OneShot<T> {
    inner: Rc<Inner<T>>,
}

struct Inner<T> {
    /// Shared for the length of a `T::clone`, which so runs with nothing borrowed.
    value: RefCell<Option<Rc<T>>>,
    sent: Event,
}

impl<T> OneShot<T> {
    /// One whose value is still to come.
    pub fn new() -> Self {
        OneShot {
            inner: Rc::new(Inner {
                value: RefCell::new(None),
                sent: Event::new(),
            }),
        }
    }

    /// Sends the value, and wakes all who wait, first come first.
    ///
    /// # Errors
    /// Gives the value back when one was sent before: that one stays.
    pub fn send(&self, value: T) -> Result<(), T> {
        if self.is_sent() {
            return Err(value);
        }
        self.replace(value);
        Ok(())
    }

    /// Sends the value, in place of the one before if there is one: a second `set` of gevent's
    /// `AsyncResult`. Who was woken and has not run yet gets this one, too.
    pub fn replace(&self, value: T) {
        let before = self.inner.value.replace(Some(Rc::new(value)));
        self.inner.sent.set();
        drop(before);
    }

    /// True once a value was sent.
    pub fn is_sent(&self) -> bool {
        self.inner.value.borrow().is_some()
    }

    /// How many wait for the value.
    pub fn waiting(&self) -> usize {
        self.inner.sent.waiting()
    }

    /// A clone of the value, if it was sent.
    pub fn try_get(&self) -> Option<T>
    where
        T: Clone,
    {
        let value = self.inner.value.borrow().clone();
        value.map(|value| T::clone(&value))
    }

    /// Waits for the value and gives a clone of it; who comes late has it at once. Cancel safe.
    pub fn get(&self) -> OneShotGet<T>
    where
        T: Clone,
    {
        OneShotGet {
            one_shot: self.clone(),
            sent: self.inner.sent.until_set(),
        }
    }
}

impl<T> Clone for OneShot<T> {
    fn clone(&self) -> Self {
        OneShot {
            inner: Rc::clone(&self.inner),
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

/// The future of [`OneShot::get`]; it takes its place in line when it is first polled.
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
            value.expect("the event says that it was sent")
        })
    }
}
