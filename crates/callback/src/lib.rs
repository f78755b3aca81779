#![forbid(unsafe_code)]
//! Style 1: callbacks, with Node's words and in Node's order.
//!
//! Someone who knows Node writes the same program in Rust and sees the same lines:
//!
//! ```
//! use oneloop_callback::{next_tick, queue_microtask, run, set_immediate, set_timeout};
//!
//! let code = run(|| {
//!     set_timeout(|| println!("timeout"), 0);
//!     set_immediate(|| println!("immediate"));
//!     next_tick(|| println!("tick"));
//!     queue_microtask(|| println!("microtask"));
//!     println!("main");
//! })?; // main, tick, microtask, timeout, immediate
//! assert_eq!(code, 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! After each callback all ticks run, then all microtasks, until there are none; and they have no
//! budget, as in Node: a tick that queues itself for ever starves the loop. A callback throws by
//! returning an `Err` or by panicking: see [`process`].
//!
//! The semantics are those of Node 20; `conformance/node` holds programs in both languages and the
//! lines that both print. Today it has timers, immediates, ticks, microtasks, the process and
//! [`perf_hooks`]; the sockets are to come.

mod abort;
mod error;
pub mod events;
mod immediates;
mod microtasks;
pub mod net;
pub mod perf_hooks;
pub mod process;
mod queues;
mod runtime;
mod thrown;
pub mod timers;

pub use abort::{AbortController, AbortListenerId, AbortSignal};
pub use error::Error;
pub use immediates::{Immediate, clear_immediate, set_immediate};
pub use microtasks::{Promise, queue_microtask, spawn_micro};
pub use runtime::{Entered, enter, next_tick, run, run_on};
pub use thrown::{Outcome, Thrown};
pub use timers::{Timeout, clear_interval, clear_timeout, set_interval, set_timeout};
