#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `report` does not
//! The loop of Oneloop: fds, timers and tasks. It knows no sockets and no style.
//!
//! Start with [`EventLoop`]; `Run::turn` in `event_loop.rs` is the table of contents. Two ideas
//! carry it: *there is one kind of task, and it is a future*; and *a phase wakes, then the tasks
//! that are ready run*. So user code runs in one place only, while nothing of the loop is borrowed.
//!
//! The files stand in storeys, and imports point down:
//!
//! | storey | knows |
//! |---|---|
//! | `event_loop` | all below |
//! | `operations/` | what code asks of a loop: spawn, sleep, sources, offload, signals … |
//! | `state` | everything that a loop owns; [`Handle`] |
//! | `tasks/` | a task's record, its waker, the run queue, counters |
//! | `mechanisms/` | epoll, timers, names, worker threads, the inbox: no task, no loop |
//!
//! # A loop without tasks
//!
//! The mechanisms work without the rest: [`Reactor`], [`Timers`], [`Slots`], [`Workers`] and
//! [`Inbox`] are enough for a loop that the caller drives and whose events are callbacks.
//!
//! ```
//! use oneloop::core::{Class, Inbox, Interest, PoolOptions, Reactor, Timers, Trigger, Workers};
//! use std::io::{Read, Write};
//! use std::os::unix::net::UnixStream;
//! use std::time::{Duration, Instant};
//!
//! #[derive(Clone, Copy, PartialEq)]
//! enum Watched {
//!     Peer,
//!     Mail,
//! }
//!
//! let (mut here, mut there) = UnixStream::pair()?;
//! let inbox = Inbox::<Vec<&str>>::new()?;
//! let workers = Workers::new(&PoolOptions::default())?;
//! let mut reactor = Reactor::new()?;
//! let mut timers = Timers::new();
//!
//! reactor.add(&there, Interest::READ, Trigger::Level, Watched::Peer)?;
//! reactor.add(&*inbox, Interest::READ, Trigger::Edge, Watched::Mail)?;
//! let started = Instant::now();
//! let now_ns = || started.elapsed().as_nanos() as u64;
//! timers.start(now_ns() + 2_000_000, "the timer");
//! here.write_all(b"the peer")?;
//! let results = inbox.clone();
//! let job = move || drop(results.send(|mail| mail.push("the worker")));
//! assert!(workers.submit(Class::Cpu, job).is_ok());
//!
//! let mut happened = Vec::new();
//! while happened.len() < 3 {
//!     let next_ns = timers.next_deadline_ns();
//!     let timeout = next_ns.map(|ns| Duration::from_nanos(ns.saturating_sub(now_ns())));
//!     for index in 0..reactor.wait(timeout)? {
//!         let Some((key, _ready)) = reactor.event(index) else {
//!             continue; // an earlier callback removed its fd
//!         };
//!         // Nothing of the reactor is borrowed: a callback may add and remove fds here.
//!         match *reactor.get(key).expect("an event has a value") {
//!             Watched::Mail => happened.extend(inbox.take().into_iter().map(String::from)),
//!             Watched::Peer => {
//!                 let mut bytes = [0; 16];
//!                 let count = there.read(&mut bytes)?;
//!                 happened.push(String::from_utf8_lossy(&bytes[..count]).into_owned());
//!             }
//!         }
//!     }
//!     let (now_ns, mark) = (now_ns(), timers.mark());
//!     while let Some((_, name)) = timers.pop_due_before(now_ns, mark) {
//!         happened.push(name.to_owned());
//!     }
//! }
//! happened.sort();
//! assert_eq!(happened, ["the peer", "the timer", "the worker"]);
//! # Ok::<(), std::io::Error>(())
//! ```

#[cfg(feature = "chaos")]
pub mod chaos;
mod event_loop;
mod mechanisms;
mod operations;
mod state;
mod tasks;

pub use event_loop::{EventLoop, Options};
/// The trait of the crate [futures-core](https://docs.rs/futures-core): asynchronous iterators.
#[doc(no_inline)]
pub use futures_core::Stream;
pub use mechanisms::clock::Clock;
#[doc(hidden)] // for the crates above
pub use mechanisms::concurrency;
pub use mechanisms::entry::{OneEntry, check_nesting};
pub use mechanisms::guard::{
    drop_each, drop_guarded, guarded, panic_message, report, wake_guarded,
};
pub use mechanisms::inbox::Inbox;
pub use mechanisms::job_pool::JobPool;
pub use mechanisms::phase::Phase;
pub use mechanisms::reactor::{Reactor, forked};
pub use mechanisms::ready::{Direction, Interest, Ready, Trigger};
pub use mechanisms::slots::{Key, Slots};
pub use mechanisms::timers::{Timer, TimerMark, Timers};
pub use mechanisms::workers::{Class, Job, PoolOptions, PoolStats, Workers};
pub use operations::cancel_handle::CancelHandle;
pub use operations::join::{CancelOnDrop, JoinHandle};
#[doc(hidden)] // for the crates above
pub use operations::join::{Joined, JoinedBody};
pub use operations::keep_alive::KeepAlive;
pub use operations::observe::Observing;
pub use operations::offload::Offload;
pub use operations::parked::Parked;
pub use operations::parked_sleep::ParkedSleep;
pub use operations::phase_reached::PhaseReached;
pub use operations::remote::{LoopGone, Remote};
pub use operations::signal::{self, Signals};
pub use operations::sleep::Sleep;
pub use operations::source::{Done, Io, Source};
pub use operations::timeout::{Elapsed, Timeout};
pub use operations::unless::Unless;
pub use operations::waits::TimerStats;
pub use operations::yield_now::{YieldNow, yield_now};
pub use state::Handle;
pub use tasks::heartbeat::{Heartbeat, Running, is_between_stacks, set_between_stacks};
pub use tasks::info::{Site, TaskInfo, TaskState, Unfinished, UnfinishedCause, WaitsFor};
pub use tasks::join_error::{ExitRequest, JoinError, Unhandled};
pub use tasks::key::Task;
pub use tasks::observed::{ObservedTask, ObservedWaker, SpawnedTask, TaskObserver};
pub use tasks::registration::Ownership;
pub use tasks::stats::{PhaseReport, Ran, Stats, Wake, Woke};
