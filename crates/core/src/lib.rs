#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `report` does not
//! The loop of Oneloop: fds, timers and tasks. It knows no sockets and no style.
//!
//! Start with [`EventLoop`]; `EventLoop::turn` is the table of contents. The parts work by
//! themselves, too: [`Reactor`] (epoll), [`Timers`] (deadlines), [`Slots`] (names that never lie).
//!
//! The one idea: *there is one kind of task, and it is a future*. The other: *a phase wakes; then
//! what is ready runs*. So user code runs in one place only, while nothing of the loop is borrowed.

mod budget;
mod clock;
mod dump;
mod entry;
mod event_loop;
mod foreign;
mod guard;
mod handle;
mod heartbeat;
mod phases;
mod pool;
mod reactor;
mod ready;
mod remote;
mod run_queue;
pub mod signal;
mod sleep;
mod slots;
mod source;
mod stats;
mod task;
mod timeout;
mod timers;
mod waker;
mod wheel;

pub use clock::Clock;
pub use dump::{TaskInfo, TaskState};
pub use entry::OneEntry;
pub use event_loop::{EventLoop, Options};
pub use guard::{drop_each, drop_guarded, guarded, panic_message, report, wake_guarded};
pub use handle::{Handle, KeepAlive};
pub use heartbeat::{Heartbeat, Running, is_between_stacks, set_between_stacks};
pub use phases::{Phase, PhaseReached};
pub use pool::{Class, Offload, PoolOptions};
pub use reactor::{Reactor, forked};
pub use ready::{Direction, Interest, Ready, Trigger};
pub use remote::{LoopGone, Remote};
pub use signal::Signals;
pub use sleep::Sleep;
pub use slots::{Key, Slots};
pub use source::{Done, Io, Ownership, Source};
pub use stats::{PhaseReport, Ran, Stats, Woke};
pub use task::{ExitRequest, JoinError, JoinHandle, Task, Unhandled, YieldNow, yield_now};
pub use timeout::{Elapsed, Timeout};
pub use timers::{Timer, Timers};
