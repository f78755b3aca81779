//! One program in the callback style: its queues, and what runs between a callback and the loop.
//!
//! Each file knows only those above it. The queues know no [`Runtime`]; the drivers, which do, are
//! in the modules that fill the queues, such as [`timers`](crate::timers).
//!
//! ```text
//! bell  tick  parts  later_turn                                mechanisms
//! timer_lists  immediate_queue  microtask_queue  poll_queues   what waits to run, and where
//! process                                                      listeners, exit code
//! current                                                      Runtime, which holds all of these
//! exit                                                         uncaught errors, and the end
//! scope                                                        a callback, then its ticks
//! serve                                                        the driver of the poll queues
//! ```

mod bell;
mod current;
mod exit;
mod immediate_queue;
mod later_turn;
mod microtask_queue;
mod parts;
mod poll_queues;
mod process;
mod scope;
mod serve;
mod tick;
mod timer_lists;

pub(crate) use current::{Runtime, current, enter, try_current};
pub(crate) use immediate_queue::PendingImmediate;
pub(crate) use later_turn::in_later_turn;
pub(crate) use microtask_queue::{MicroFuture, Microtask, Remote, Settlement};
pub(crate) use parts::OfProgram;
pub(crate) use poll_queues::Queued;
pub use process::Origin;
pub(crate) use process::{CodeListener, UncaughtHandler};
pub(crate) use scope::CutShort;
pub use scope::next_tick;
pub(crate) use tick::Step;
pub use timer_lists::Timeout;
pub(crate) use timer_lists::{Repeats, Timers};
