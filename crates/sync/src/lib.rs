#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! What tasks wait for each other with: events, semaphores, queues, channels. Every style uses these.
//!
//! | | |
//! |---|---|
//! | [`Event`] | something happened, and can happen again |
//! | [`OneShot`] | a value that comes once, for all who wait |
//! | [`Semaphore`], [`BoundedSemaphore`], [`CappedSemaphore`] | so many at a time |
//! | [`Queue`] | values from many to many: first in first out, last in first out, or the smallest first |
//! | [`channel`] | a queue that ends when one side is gone |
//!
//! **Each is a handle** on state of this thread: clone it into whoever needs it, for next to nothing.
//!
//! **What may wait returns a future**, `'static` and cancel safe. It takes its place in line when it is
//! first polled; it leaves with its drop, and whatever it was about to get goes to the next in line.
//! So nothing is lost, and nobody is left asleep. Who is woken before whom is decided by the order of
//! coming, and who is woken runs in that order. (What is there may still be taken by who runs before:
//! see [`Queue::fair`] and [`Semaphore::barging`].)
//!
//! **Waiting does not keep the loop alive**: whoever could end the wait does. A loop in which everybody
//! waits for somebody else ends.
//!
//! ```
//! use oneloop_core::{EventLoop, yield_now};
//! use oneloop_sync::Queue;
//! let mut event_loop = EventLoop::new()?;
//! let queue = Queue::bounded(1);
//! let numbers = queue.clone();
//! event_loop.handle().spawn(async move {
//!     for number in 1..=3 {
//!         numbers.put(number).await;
//!     }
//! });
//! let sum = event_loop.block_on(async {
//!     queue.get().await + queue.get().await + queue.get().await
//! });
//! assert_eq!(sum, 6);
//! # Ok::<(), std::io::Error>(())
//! ```

mod channel;
mod condition;
mod distant;
mod event;
mod one_shot;
mod order;
mod queue;
mod resource_pool;
mod rlock;
mod semaphore;
mod turnstile;
mod waiters;

pub use channel::{
    Closed, Receiver, Receiving, Sender, Sending, TryReceiveError, TrySendError, channel,
};
pub use condition::{Condition, ConditionGuard, ConditionLock, ConditionWait};
pub use distant::{Ask, Distant};
pub use event::{Event, UntilSet};
pub use one_shot::{OneShot, OneShotGet};
pub use queue::{Full, Get, Join, Peek, Put, Queue, TaskDoneTooOften};
pub use resource_pool::{Pooled, ResourceGet, ResourcePool};
pub use rlock::{NotOwner, RLock, RLockAcquire, RLockGuard};
pub use semaphore::{Acquire, BoundedSemaphore, CappedSemaphore, OverReleased, Permit, Semaphore};
