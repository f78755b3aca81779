#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! Style 2: green threads, in gevent's and eventlet's words. Code reads as if it blocked, and ten thousand
//! of it run on one thread.
//!
//! A green thread is a task of the loop whose state machine is a stack. So it waits for the same
//! futures as the other styles ([`Wait`]), and anything can wait for it ([`JoinHandle`] is a future).
//!
//! ```
//! use oneloop_green::{run, sleep, spawn};
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
//! # What gevent and eventlet call it
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
//! | `Event`, `AsyncResult`, `lock`, `queue` | `event.Event`, `semaphore`, `queue` | [`oneloop_sync`], with `.wait()` |
//! | `Group`, `Pool`, `imap` | `GreenPool`, `GreenPile`, `imap` | [`Group`], [`Pool`], [`Pile`], [`Pool::imap`] |
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
//! # What there is not
//!
//! *Monkey patching.* gevent and eventlet replace the blocking calls of Python's library by their own.
//! There is nothing to replace in Rust: `std::net::TcpStream::read` is a system call, and blocks the whole
//! loop. Use [`net`] for sockets, [`fs`] for files, [`net::wait_readable`] for any other fd that a library can
//! give you, and [`offload`] for what can only block: libraries that have sockets of their own. A library
//! that is generic over [`std::io::Read`] and [`Write`](std::io::Write) works on [`net::TcpStream`] as it
//! is. `oneloop_monitor` finds the calls that were missed.
//!
//! *Preemption.* A green thread that computes and does not wait keeps all others from running, as in
//! Python: [`yield_now`] now and then.
//!
//! # How a thread is ended
//!
//! [`Thread::kill`], [`timeout`] and failed [`scope`]s end a wait by unwinding: drops run, and may
//! themselves wait. So the program has to be built with `panic = "unwind"`, and what is interrupted is
//! what the stack holds: use the futures' cancel safety as in async code. A wait that is ready at once
//! is not interrupted. While a stack unwinds, nothing interrupts it again, whatever others do; `std::thread::panicking` is
//! true for the whole OS thread while a green thread waits in its drops, so a `std::sync::Mutex` guard
//! that another one drops at that moment poisons its mutex.

mod cleanup;
mod deadlock;
pub mod eventlet;
pub mod fs;
mod group;
mod imap;
mod join;
mod local;
mod name;
pub mod net;
mod outcome;
mod overflow;
mod pool;
pub mod process;
mod run;
mod scope;
mod signal;
mod stack;
mod state;
mod stdio;
mod switch;
mod thread;
mod thread_end;
mod time;
mod unwind;
mod wait;

pub use deadlock::{Deadlock, RunError, catch_deadlock};
pub use group::Group;
pub use imap::Imap;
pub use join::{IWait, iwait, join_all, join_all_timeout, kill_all, wait_any, wait_n};
pub use local::LocalKey;
pub use oneloop_core::{Class, Elapsed, JoinError};
pub use outcome::{Outcome, is_kill};
pub use pool::{Pile, Pool, PoolFull, Spawned};
pub use run::{run, run_on};
pub use scope::{Scope, ScopedJoinHandle, scope, try_scope};
pub use signal::{SignalHandler, signal_handler};
pub use stack::{STACK_BYTES, STACK_BYTES_MIN};
pub use stdio::{Stdin, Stdout, Tty, stderr, stdin, stdout, tty};
pub use thread::{
    Builder, ExitLink, Finished, JoinHandle, Thread, current, spawn, spawn_after,
    spawn_after_local, try_current,
};
pub use time::{
    Timeout, idle, offload, offload_to, sleep, sleep_until, timeout, timeout_at, timeout_with,
    yield_now,
};
pub use unwind::{catch_unwind, resume_unwind};
pub use wait::Wait;
