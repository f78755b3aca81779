#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! Events, locks, semaphores, queues and channels: primitives by which tasks wait for each other, in
//! every style.
//!
//! | | |
//! |---|---|
//! | [`Event`] | a flag that tasks wait for |
//! | [`Notify`] | a notification, of which one is kept for a task that comes later |
//! | [`Barrier`] | a point at which a number of tasks wait for each other |
//! | [`Mutex`] | a value that one task uses at a time, over waits too |
//! | [`RwLock`] | a value that many tasks read at a time, or one task writes |
//! | [`OnceCell`] | a value that the first task that needs it creates |
//! | [`ShutdownToken`] | a request to end, for a program or a part of it |
//! | [`OneShot`] | a value that is sent once, to any number of waiters |
//! | [`Semaphore`], [`BoundedSemaphore`], [`CappedSemaphore`] | a limited number of permits |
//! | [`Queue`] | values from many tasks to many, in one of three orders |
//! | [`channel`] | a queue that closes when one side is gone |
//! | [`watch`] | a channel that holds one value, of which all receivers see the latest |
//! | [`broadcast`] | a channel that delivers each value to each receiver |
//! | [`RLock`], [`Condition`] | the lock that its owner can take again; the condition variable |
//! | [`ResourcePool`] | things that are expensive to create, lent to one task at a time |
//! | [`Distant`] | any of these, from other threads |
//! | [`distant_channel`] | a bounded queue from loops and threads to another loop |
//!
//! **Each primitive is a handle** to state that lives on this thread. A clone is another handle to
//! the same state, and costs one reference count.
//!
//! **A method that may wait returns a future**, `'static` and cancel safe. (Only those of a
//! [`OnceCell`], and of the receivers of [`watch`] and [`broadcast`], borrow what they wait for.) The future takes its
//! ticket, a place in line, when it is first polled. Dropping the future gives up the ticket, and
//! the next waiter takes the permit or the value instead. So nothing is lost, and no waiter sleeps
//! forever. Waiters are woken, and run, in the order in which they came. (A task that runs before a
//! woken waiter may still take the permit or the value: see [`Queue::fair`] and
//! [`Semaphore::barging`].)
//!
//! **Waiting does not keep the loop alive.** A timer, a socket or another thread that could end the
//! wait does. A loop in which all tasks wait for each other ends.
//!
//! ```
//! use oneloop::core::yield_now;
//! use oneloop::EventLoop;
//! use oneloop::sync::Queue;
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

mod barrier;
mod blocking;
pub mod broadcast;
mod channel;
mod condition;
mod distant;
mod distant_channel;
mod event;
mod gate;
mod mutex;
mod notify;
mod once_cell;
mod one_shot;
mod order;
mod queue;
mod queue_state;
mod receiver_stream;
mod resource_pool;
mod rlock;
mod rwlock;
mod semaphore;
mod shutdown_token;
mod sides;
mod turnstile;
mod waiters;
pub mod watch;

pub use barrier::{Barrier, BarrierWait, BarrierWaitResult};
pub use channel::{
    Closed, Receiver, Receiving, Sender, Sending, TryReceiveError, TrySendError, channel,
};
pub use condition::{Condition, ConditionGuard, ConditionLock, ConditionWait};
pub use distant::{Ask, Distant};
pub use distant_channel::{DistantReceiver, DistantSender, DistantSending, distant_channel};
pub use event::{Event, UntilSet};
pub use mutex::{Mutex, MutexGuard, MutexLock};
pub use notify::{Notified, Notify};
pub use once_cell::{OnceCell, SetError};
pub use one_shot::{OneShot, OneShotGet};
pub use queue::{Full, Get, Join, Peek, Put, Queue, TaskDoneTooOften};
pub use receiver_stream::ReceiverStream;
pub use resource_pool::{Pooled, ResourceGet, ResourcePool};
pub use rlock::{NotOwner, RLock, RLockAcquire, RLockGuard};
pub use rwlock::{RwLock, RwLockRead, RwLockReadGuard, RwLockWrite, RwLockWriteGuard};
pub use semaphore::{Acquire, BoundedSemaphore, CappedSemaphore, OverReleased, Permit, Semaphore};
pub use shutdown_token::{Requested, ShutdownToken, TriggerOnDrop};
