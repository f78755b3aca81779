#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! Style 2: green threads, with gevent's and eventlet's names. Code reads as if it blocked; ten
//! thousand such threads share one OS thread.
//!
//! A green thread is a task of the loop whose state machine is a stack. So it waits for the same
//! futures as the other styles ([`Wait`]), and any task can wait for it ([`JoinHandle`] is a
//! future).
//!
//! ```
//! use oneloop::green::{run, sleep, spawn};
//! use std::time::Duration;
//! let lines = run(|| {
//!     let threads = [3, 1, 2].map(|n| {
//!         spawn(move || {
//!             sleep(Duration::from_millis(n));
//!             format!("slept {n} ms")
//!         })
//!     });
//!     threads.map(|thread| thread.join().unwrap())
//! })?;
//! assert_eq!(lines[0], "slept 3 ms");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Names in gevent and eventlet
//!
//! | gevent | eventlet | here |
//! |---|---|---|
//! | `spawn`, `spawn_later` | `spawn`, `spawn_after`, `spawn_after_local` | [`spawn`], [`spawn_after`], [`spawn_after_local`], [`Builder`] |
//! | `g.get()`, `g.join()` | `gt.wait()` | [`JoinHandle::get`], [`JoinHandle::join`], [`Thread::finished`] |
//! | `g.join(t)`, `g.kill(timeout=t)` | | `g.finished().wait_timeout(t)`, `timeout(t, \|\| g.kill())` |
//! | `g.kill()`, `kill(block=False)` | `gt.kill()`, `gt.cancel()` | [`Thread::kill`], [`Thread::kill_soon`], [`Thread::kill_now`], [`Thread::cancel`] |
//! | `g.link`, `g.rawlink` | `gt.link` | [`Thread::on_exit_spawn`], [`Thread::on_exit`], [`eventlet::link`] |
//! | `joinall`, `killall`, `wait`, `iwait` | | [`join_all`], [`kill_all`], [`wait_any`], [`wait_n`], [`iwait`] |
//! | `sleep`, `sleep(0)`, `idle` | `sleep` | [`sleep`], [`yield_now`], [`idle`] |
//! | `Timeout`, `with_timeout` | `Timeout`, `with_timeout` | [`timeout`], [`timeout_at`], [`Wait::wait_timeout`] |
//! | `Event`, `AsyncResult`, `lock`, `queue` | `event.Event`, `semaphore`, `queue` | [`oneloop::sync`](oneloop_sync), with `.wait()` |
//! | `Group`, `Pool`, `imap` | `GreenPool`, `GreenPile`, `imap` | [`Group`], [`Pool`], [`Pile`], [`GroupMapping`] |
//! | `local.local` | `corolocal.local` | [`green_local!`] |
//! | `threadpool.apply` | `tpool.execute` | [`offload`] |
//! | `socket`, `StreamServer` | `listen`, `connect`, `serve` | [`net`] |
//! | `signal_handler` | | [`signal_handler`] |
//! | `FileObject(sys.stdin)` | | [`stdin`], [`stdout`] |
//! | `socket.wait_read` | `trampoline` | [`net::wait_readable`], [`net::wait_writable`] |
//! | `gevent.subprocess` | `green.subprocess` | [`process`] |
//! | `LoopExit` | | [`Deadlock`] |
//! | `GreenletExit` | `GreenletExit` | [`JoinError::Killed`], [`is_kill`] |
//!
//! Where the two differ, gevent's order is the default, and [`eventlet`] has the other one.
//!
//! # What is deliberately absent
//!
//! *Monkey patching.* gevent and eventlet replace the blocking calls of Python's library with their
//! own. Rust has nothing to replace: `std::net::TcpStream::read` is a system call, and blocks the
//! whole loop. Use [`net`] for sockets, [`fs`] for files, [`net::wait_readable`] for any other fd,
//! and [`offload`] for libraries that can only block, such as those with their own sockets. A
//! library that is generic over [`std::io::Read`] and [`Write`](std::io::Write) works on
//! [`net::TcpStream`] as it is. `oneloop::monitor` finds the blocking calls that were missed.
//!
//! *Preemption.* A green thread that computes and does not wait keeps all others from running, as
//! in Python: call [`yield_now`] now and then.
//!
//! # How a thread is ended
//!
//! [`Thread::kill`], [`timeout`] and failed [`scope`]s end a wait by unwinding: drops run, and may
//! wait as well. So the program has to be built with `panic = "unwind"`, and an interrupted
//! operation is as cancel safe as its future is in async code. A wait that is ready at once is not
//! interrupted. A stack that unwinds is not interrupted again.
//!
//! `std::thread::panicking` is true for the whole OS thread while a green thread waits in its
//! drops. So a `std::sync::Mutex` guard that another green thread drops meanwhile poisons its
//! mutex.

mod body;
mod cleanup;
mod current;
mod deadlock;
pub mod eventlet;
mod finished;
pub mod fs;
mod group;
mod imap;
mod join;
mod join_handle;
mod links;
mod local;
mod name;
#[doc(alias("monkey", "monkey_patch"))] // what replaces it: sockets under the names of std
pub mod net;
mod outcome;
mod overflow;
mod permits;
mod pile;
mod pool;
pub mod process;
mod queued;
mod record;
mod run;
mod scope;
mod signal;
mod spawn;
mod stack;
mod stdio;
mod switch;
mod thread;
mod thread_end;
mod time;
mod token;
mod unwind;
mod unwinder;
mod wait;

pub use deadlock::{Deadlock, RunError, catch_deadlock};
pub use finished::Finished;
pub use group::Group;
pub use imap::{GroupMapping, Imap};
pub use join::{IWait, iwait, join_all, join_all_timeout, kill_all, wait_any, wait_n};
pub use join_handle::JoinHandle;
pub use local::LocalKey;
pub use oneloop_core::{Class, Elapsed, JoinError};
pub use outcome::Outcome;
pub use permits::UntilQueued;
pub use pile::Pile;
pub use pool::{Pool, PoolFull, Spawned};
pub use record::Thread;
pub use run::{run, run_on};
pub use scope::{Scope, ScopedJoinHandle, scope, try_scope};
pub use signal::{SignalHandler, signal_handler};
pub use spawn::{Builder, spawn, spawn_after};
pub use stack::{STACK_BYTES, STACK_BYTES_MIN};
pub use stdio::{Stdin, Stdout, Tty, stderr, stdin, stdout, tty};
pub use thread::{ExitLink, current, spawn_after_local, try_current};
pub use time::{
    Timeout, idle, offload, offload_to, sleep, sleep_until, timeout, timeout_at, timeout_with,
    yield_now,
};
pub use token::is_kill;
pub use unwind::{catch_unwind, resume_unwind};
pub use wait::Wait;
