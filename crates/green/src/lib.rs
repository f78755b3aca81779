//! Style 2: green threads, in gevent's and eventlet's words.

mod deadlock;
mod group;
mod join;
mod local;
pub mod net;
mod outcome;
mod overflow;
mod run;
mod scope;
mod stack;
mod state;
mod switch;
mod thread;
mod time;
mod wait;

pub use deadlock::{Deadlock, RunError, catch_deadlock};
pub use group::{Group, Imap, Pile, Pool, PoolFull, Spawned};
pub use join::{IWait, iwait, join_all, join_all_timeout, kill_all, wait_any, wait_n};
pub use local::LocalKey;
pub use oneloop_core::{Elapsed, JoinError};
pub use outcome::Outcome;
pub use run::{run, run_on};
pub use scope::{Scope, ScopedJoinHandle, scope, try_scope};
pub use stack::{STACK_BYTES, STACK_BYTES_MIN};
pub use thread::{
    Builder, Finished, JoinHandle, Thread, current, spawn, spawn_after, spawn_after_local,
    try_current,
};
pub use time::{idle, offload, sleep, sleep_until, timeout, timeout_at, yield_now};
pub use wait::Wait;
