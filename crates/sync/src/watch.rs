//! A channel that holds one value, of which receivers see the latest: tokio's `sync::watch`.
//!
//! For what changes and what many tasks look at: a configuration, a state, a progress. Receivers
//! that are slow miss values in between, and never the last one. A channel that delivers each
//! value to each receiver is [`broadcast`](crate::broadcast).
//!
//! ```
//! use oneloop::aio::{block_on, spawn};
//! use oneloop::sync::watch;
//!
//! block_on(async {
//!     let (sender, mut receiver) = watch::channel("starting");
//!     let monitor = spawn(async move {
//!         let mut seen = vec![*receiver.borrow_and_update()];
//!         while receiver.changed().await.is_ok() {
//!             seen.push(*receiver.borrow_and_update());
//!         }
//!         seen
//!     });
//!     oneloop::aio::yield_now().await; // the monitor sees the first value
//!     sender.send("loading").unwrap();
//!     sender.send("ready").unwrap(); // no task has seen the value before
//!     drop(sender);
//!     assert_eq!(monitor.await.unwrap(), ["starting", "ready"]);
//! });
//! ```
//!
//! A green thread calls `receiver.changed().wait()`, and a callback waits in
//! `spawn_micro(async move { … receiver.changed().await … })`. Every style, and each callback, may
//! send and borrow. Other threads do so by [`Sender::remote`] and [`Receiver::remote`].

use crate::channel::Closed;
use crate::sides::{Receivers, Senders};
use crate::waiters::{SharedState, Ticket};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

pub use crate::sides::{SendersGone, UntilClosed};

/// The state of one channel, shared by both sides.
struct Watched<T> {
    /// Borrowed for one line, except while a closure of `send_if_modified` runs.
    value: RefCell<Rc<T>>,
    state: SharedState<WatchState>,
    receivers: Receivers,
}

struct WatchState {
    senders: Senders,
    /// How many values were sent.
    version: u64,
}

impl<T> Watched<T> {
    fn value(&self) -> Rc<T> {
        let value = self.value.try_borrow();
        let value = value.expect("the closure that changes a watched value must not look at it");
        Rc::clone(&value)
    }

    fn version(&self) -> u64 {
        self.state.look(|state| state.version)
    }

    /// Stores a value, and returns the one before.
    fn replace(&self, value: T) -> Rc<T> {
        let mut stored = self.value.try_borrow_mut();
        let stored = stored
            .as_deref_mut()
            .expect("the closure that changes a watched value must not send another");
        std::mem::replace(stored, Rc::new(value))
    }

    /// Tells the receivers that there is a new value.
    fn announce(&self) {
        self.state.change(|state, effects| {
            state.version += 1;
            state.senders.announce(effects);
        });
    }
}

/// Creates a channel with its first value, which its receivers have seen.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::with_receivers(value, 1);
    let receiver = Receiver::of(&sender.watched, 0);
    (sender, receiver)
}

/// The sending side of a [`channel`]. A clone is another sender of the same channel.
pub struct Sender<T> {
    watched: Rc<Watched<T>>,
}

impl<T> Sender<T> {
    /// Creates a channel without receivers, which [`Sender::subscribe`] adds.
    pub fn new(value: T) -> Self {
        Sender::with_receivers(value, 0)
    }

    fn with_receivers(value: T, receivers: usize) -> Self {
        Sender {
            watched: Rc::new(Watched {
                value: RefCell::new(Rc::new(value)),
                state: SharedState::new(WatchState {
                    senders: Senders::one(),
                    version: 0,
                }),
                receivers: Receivers::new(receivers),
            }),
        }
    }

    /// Replaces the value, and wakes all receivers that wait, in the order in which they came.
    ///
    /// # Errors
    /// [`Closed`] returns the value when there is no receiver, and then the channel keeps its
    /// value. [`Sender::send_replace`] sends in any case.
    pub fn send(&self, value: T) -> Result<(), Closed<T>> {
        if self.is_closed() {
            return Err(Closed(value));
        }
        drop(self.send_replace(value));
        Ok(())
    }

    /// Replaces the value, even without receivers, wakes all receivers that wait, and returns the
    /// value before.
    pub fn send_replace(&self, value: T) -> Ref<T> {
        let value = self.watched.replace(value);
        self.watched.announce();
        Ref {
            value,
            has_changed: false,
        }
    }

    /// Changes the value where it is, even without receivers, and wakes all receivers that wait.
    /// The value is cloned first if a [`Ref`] of it exists.
    ///
    /// # Panics
    /// If `modify` panics; the value then is what it made of it, and no receiver is woken. If
    /// `modify` uses this channel.
    pub fn send_modify(&self, modify: impl FnOnce(&mut T))
    where
        T: Clone,
    {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// Changes the value where it is, and wakes the receivers only if `modify` returns true, which
    /// this function then returns as well. The value is cloned first if a [`Ref`] of it exists.
    ///
    /// ```
    /// use oneloop::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(3_u32);
    /// let raise_to = |at_least: u32| {
    ///     sender.send_if_modified(|value| {
    ///         let is_less = *value < at_least;
    ///         *value = at_least.max(*value);
    ///         is_less
    ///     })
    /// };
    /// assert!(!raise_to(2) && !receiver.has_changed());
    /// assert!(raise_to(4) && receiver.has_changed());
    /// ```
    ///
    /// # Panics
    /// As [`Sender::send_modify`].
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool
    where
        T: Clone,
    {
        let mut value = self.watched.value.try_borrow_mut();
        let value_mut = value
            .as_deref_mut()
            .expect("the closure that changes a watched value must not change it again");
        let is_modified = modify(Rc::make_mut(value_mut));
        drop(value);
        if is_modified {
            self.watched.announce();
        }
        is_modified
    }

    /// Returns the value. The `Ref` keeps that value while others are sent.
    pub fn borrow(&self) -> Ref<T> {
        Ref {
            value: self.watched.value(),
            has_changed: false,
        }
    }

    /// Adds a receiver, which has seen the value that is there.
    pub fn subscribe(&self) -> Receiver<T> {
        self.watched.receivers.add();
        Receiver::of(&self.watched, self.watched.version())
    }

    /// True while there is no receiver.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Waits until there is no receiver. Completes at once if there is none now. Cancel safe.
    pub fn closed(&self) -> UntilClosed {
        self.watched.receivers.until_none()
    }

    /// Returns the number of receivers.
    pub fn receiver_count(&self) -> usize {
        self.watched.receivers.count()
    }

    /// Returns the number of senders.
    pub fn sender_count(&self) -> usize {
        self.watched.state.look(|state| state.senders.count())
    }

    /// True if both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.watched, &other.watched)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        let watched = Rc::clone(&self.watched);
        watched.state.change(|state, _| state.senders.add());
        Sender { watched }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let state = &self.watched.state;
        state.change(|state, effects| state.senders.remove(effects));
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Sender::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_watched("Sender", &self.watched, f)
    }
}

/// The receiving side of a [`channel`]. A clone is another receiver, which has seen the same
/// values.
pub struct Receiver<T> {
    watched: Rc<Watched<T>>,
    /// The version that this receiver has seen.
    seen: Cell<u64>,
}

impl<T> Receiver<T> {
    fn of(watched: &Rc<Watched<T>>, seen: u64) -> Self {
        Receiver {
            watched: Rc::clone(watched),
            seen: Cell::new(seen),
        }
    }

    /// Returns the latest value, and leaves it unseen if it was. The `Ref` keeps that value while
    /// others are sent, and may be held over waits.
    pub fn borrow(&self) -> Ref<T> {
        Ref {
            value: self.watched.value(),
            has_changed: self.has_changed(),
        }
    }

    /// Returns the latest value, and marks it as seen: [`Receiver::changed`] waits for the next.
    /// The `Ref` keeps that value while others are sent, and may be held over waits.
    pub fn borrow_and_update(&mut self) -> Ref<T> {
        let value = self.borrow();
        self.mark_unchanged();
        value
    }

    /// True if a value was sent that this receiver has not seen.
    pub fn has_changed(&self) -> bool {
        self.seen.get() != self.watched.version()
    }

    /// Marks the value that is there as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen.set(self.watched.version());
    }

    /// Marks the value that is there as not seen, so that [`Receiver::changed`] completes at once.
    pub fn mark_changed(&mut self) {
        self.seen.set(self.watched.version().wrapping_sub(1));
    }

    /// Waits for a value that this receiver has not seen, and marks it as seen. Cancel safe: a
    /// dropped wait has seen nothing.
    ///
    /// # Errors
    /// [`SendersGone`] when all senders are gone, and this receiver has seen the last value.
    pub fn changed(&mut self) -> Changed<'_, T> {
        Changed {
            receiver: self,
            ticket: None,
        }
    }

    /// Waits for a value that `is_wanted`, begins with the one that is there, and marks each as
    /// seen. Cancel safe: a dropped wait has marked only values that were not wanted.
    ///
    /// ```
    /// use oneloop::aio::{block_on, spawn};
    /// use oneloop::sync::watch;
    ///
    /// block_on(async {
    ///     let (sender, mut receiver) = watch::channel(0);
    ///     spawn(async move {
    ///         for percent in [10, 60, 90] {
    ///             sender.send_replace(percent);
    ///             oneloop::aio::yield_now().await;
    ///         }
    ///     });
    ///     let percent = receiver.wait_for(|percent| *percent > 50).await.unwrap();
    ///     assert_eq!(*percent, 60);
    ///     let gone = receiver.wait_for(|percent| *percent == 100).await;
    ///     assert_eq!(gone.unwrap_err().to_string(), "all senders are gone");
    /// });
    /// ```
    ///
    /// # Errors
    /// [`SendersGone`] when all senders are gone, and the last value is not wanted.
    pub async fn wait_for(
        &mut self,
        mut is_wanted: impl FnMut(&T) -> bool,
    ) -> Result<Ref<T>, SendersGone> {
        loop {
            let value = self.borrow_and_update();
            if is_wanted(&value) {
                return Ok(value);
            }
            drop(value);
            self.changed().await?;
        }
    }

    /// True once all senders are gone. The last value stays.
    pub fn is_closed(&self) -> bool {
        self.watched.state.look(|state| state.senders.count()) == 0
    }

    /// True if both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.watched, &other.watched)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.watched.receivers.add();
        Receiver::of(&self.watched, self.seen.get())
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.watched.receivers.remove();
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_watched("Receiver", &self.watched, f)
    }
}

fn fmt_watched<T: fmt::Debug>(
    name: &str,
    watched: &Watched<T>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let mut side = f.debug_struct(name);
    match watched.value.try_borrow().map(|value| Rc::clone(&value)) {
        Ok(value) => side.field("value", &value),
        Err(_) => side.field("value", &format_args!("<borrowed>")),
    };
    side.field("version", &watched.version()).finish()
}

/// A value of a [`channel`], as it was when it was borrowed. It may be held over waits: values that
/// are sent meanwhile replace the channel's value, and not this one.
#[derive(Debug)]
pub struct Ref<T> {
    value: Rc<T>,
    has_changed: bool,
}

impl<T> Ref<T> {
    /// True if the receiver had not seen the value before.
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The future of [`Receiver::changed`]; it takes its ticket when it is first polled.
#[must_use = "futures do nothing unless awaited"]
pub struct Changed<'a, T> {
    receiver: &'a mut Receiver<T>,
    ticket: Option<Ticket<()>>,
}

impl<T> Future for Changed<'_, T> {
    type Output = Result<(), SendersGone>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { receiver, ticket } = self.get_mut();
        let seen = &receiver.seen;
        receiver.watched.state.poll(cx, |state, waker, effects| {
            let WatchState { senders, version } = state;
            let has_changed = *version != seen.get();
            let polled = senders.poll_news(has_changed, ticket, waker, effects);
            polled.map(|()| {
                let seen = has_changed.then(|| seen.set(*version));
                seen.ok_or(SendersGone)
            })
        })
    }
}

impl<T> Drop for Changed<'_, T> {
    fn drop(&mut self) {
        let ticket = &mut self.ticket;
        let state = &self.receiver.watched.state;
        state.change(|state, effects| state.senders.give_up(ticket, effects));
    }
}

impl<T> fmt::Debug for Changed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Changed").field(&self.receiver.seen).finish()
    }
}
