//! Notifications without a value, at most one of which is kept for a task that comes later.

use crate::waiters::{SharedState, Ticket, Waiters};
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Tells tasks that something has changed: tokio's `Notify`.
///
/// [`notify_one`](Notify::notify_one) wakes one waiter, or is kept for the next one: it is a
/// permit, of which a `Notify` keeps at most one. [`notify_waiters`](Notify::notify_waiters) wakes
/// the tasks that wait now, and is not kept. An [`Event`](crate::Event) stays set instead, a
/// [`Semaphore`](crate::Semaphore) keeps each permit, and a [`watch`](crate::watch) channel also
/// says what has changed.
///
/// A queue whose consumer sleeps while it is empty. Values that were put while the consumer worked
/// leave one permit, so it looks once more, and misses none:
///
/// ```
/// use oneloop::aio::{block_on, spawn};
/// use oneloop::sync::Notify;
/// use std::{cell::RefCell, rc::Rc};
///
/// block_on(async {
///     let (values, changed) = (Rc::new(RefCell::new(Vec::new())), Notify::new());
///     let consumer = spawn({
///         let (values, changed) = (Rc::clone(&values), changed.clone());
///         async move {
///             let mut sum = 0;
///             while sum < 6 {
///                 changed.notified().await;
///                 sum += values.borrow_mut().drain(..).sum::<u32>();
///             }
///             sum
///         }
///     });
///     for value in 1..=3 {
///         values.borrow_mut().push(value);
///         changed.notify_one();
///     }
///     assert_eq!(consumer.await.unwrap(), 6);
/// });
/// ```
///
/// A green thread calls `notify.notified().wait()`, and a callback waits in
/// `spawn_micro(async move { notify.notified().await; … })`. Every style, and each callback, may
/// notify. Other threads do so by [`Notify::remote`].
#[derive(Clone)]
pub struct Notify {
    state: SharedState<NotifyState>,
}

#[derive(Default)]
struct NotifyState {
    line: Waiters<Notification>,
    /// A `notify_one` that no task has received.
    has_permit: bool,
    /// How many times `notify_waiters` was called. A future that was created before the last call
    /// is due, even if it was never polled.
    rounds: u64,
}

/// What dismissed a waiter. If the waiter gives up, a notification of one task goes to the next.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Notification {
    /// The waiter is in line, or its whole round was notified.
    #[default]
    OfNoTask,
    First,
    Last,
}

impl NotifyState {
    fn notify(&mut self, which: Notification, effects: &mut crate::waiters::Effects) {
        let dismissed = match which {
            Notification::OfNoTask => return,
            Notification::First => self.line.dismiss(effects),
            Notification::Last => self.line.dismiss_last(effects),
        };
        match dismissed {
            Some(notification) => *notification = which,
            None => self.has_permit = true,
        }
    }
}

impl Notify {
    /// Creates a `Notify` without a permit.
    pub fn new() -> Self {
        Notify {
            state: SharedState::new(NotifyState::default()),
        }
    }

    /// Wakes the task that waits longest. Without a waiter, the next [`Notify::notified`] completes
    /// at once; further calls until then change nothing.
    pub fn notify_one(&self) {
        self.notify(Notification::First);
    }

    /// Wakes the task that began to wait last. Without a waiter, it does what
    /// [`Notify::notify_one`] does.
    pub fn notify_last(&self) {
        self.notify(Notification::Last);
    }

    fn notify(&self, which: Notification) {
        self.state
            .change(|state, effects| state.notify(which, effects));
    }

    /// Wakes all waiters in the order in which they came, and completes each future that
    /// [`Notify::notified`] has returned. A permit stays, and none is added.
    #[doc(alias = "notify_all")]
    pub fn notify_waiters(&self) {
        self.state.change(|state, effects| {
            state.rounds = state.rounds.wrapping_add(1);
            while state.line.dismiss(effects).is_some() {}
        });
    }

    /// Waits for a notification. Cancel safe: if a future that [`Notify::notify_one`] has woken is
    /// dropped, the next waiter is notified instead, or the permit is kept.
    ///
    /// The future takes its place in line when it is first polled, or in [`Notified::enable`]. It
    /// receives each `notify_waiters` from the moment in which it was created.
    pub fn notified(&self) -> Notified {
        Notified {
            notify: self.clone(),
            progress: Progress::Created(self.state.look(|state| state.rounds)),
        }
    }

    /// Returns the number of waiters in line.
    pub fn waiting(&self) -> usize {
        self.state.look(|state| state.line.len())
    }
}

impl Default for Notify {
    fn default() -> Self {
        Notify::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_permit = self.state.look(|state| state.has_permit);
        f.debug_struct("Notify")
            .field("has_permit", &has_permit)
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// The future of [`Notify::notified`].
///
/// ```text
///  Created ──poll──▶ InLine ──notified──▶ Received
///     │                 │
///     │                 └─ drop after notify_one: the next waiter is notified
///     └─ poll, with a permit or after notify_waiters ──▶ Received
/// ```
#[must_use = "futures do nothing unless awaited"]
#[doc(alias = "OwnedNotified")]
pub struct Notified {
    notify: Notify,
    progress: Progress,
}

enum Progress {
    /// With the number of rounds at that time.
    Created(u64),
    InLine(Ticket<Notification>),
    Received,
}

impl Notified {
    /// Takes a place in line now, as the first poll does, and returns true if a notification has
    /// arrived, which the future then has received. For code that checks a condition between this
    /// call and the wait, while something that it calls may notify.
    ///
    /// ```
    /// use oneloop::sync::Notify;
    ///
    /// let notify = Notify::new();
    /// let mut first = notify.notified();
    /// assert!(!first.enable());
    /// notify.notify_one(); // goes to the future in line, and is not kept
    /// assert!(!notify.notified().enable());
    /// assert!(first.enable());
    /// ```
    pub fn enable(&mut self) -> bool {
        let polled = self.poll_notified(&mut Context::from_waker(Waker::noop()));
        polled.is_ready()
    }

    fn poll_notified(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let progress = &mut self.progress;
        self.notify.state.poll(cx, |state, waker, effects| {
            let mut ticket = match *progress {
                Progress::Received => return Poll::Ready(()),
                Progress::Created(rounds) => {
                    let has_missed = rounds != state.rounds;
                    if has_missed || mem::take(&mut state.has_permit) {
                        *progress = Progress::Received;
                        return Poll::Ready(());
                    }
                    None
                }
                Progress::InLine(ticket) if state.line.is_dismissed(ticket) => {
                    state.line.leave(ticket, effects);
                    *progress = Progress::Received;
                    return Poll::Ready(());
                }
                Progress::InLine(ticket) => Some(ticket),
            };
            if let Some(waker) = waker.take() {
                let line = &mut state.line;
                line.wait(&mut ticket, waker, Notification::default, effects);
                *progress = ticket.map_or(Progress::Received, Progress::InLine);
            }
            Poll::Pending
        })
    }
}

impl Future for Notified {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().poll_notified(cx)
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        if let Progress::InLine(ticket) = self.progress {
            self.notify.state.change(|state, effects| {
                let notification = state.line.leave(ticket, effects);
                state.notify(notification, effects);
            });
        }
    }
}

impl fmt::Debug for Notified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notified").field(&self.notify).finish()
    }
}
