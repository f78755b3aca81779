#![deny(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! Child processes on the loop, each by its pidfd: no `SIGCHLD`, no `waitpid(-1)`.
//!
//! [`Command`] is the standard library's, with a few things more; [`Child`] has its pipes and its end as
//! what a task can wait for. Both belong to the loop that runs.
//!
//! ```
//! use oneloop_core::EventLoop;
//! use oneloop_process::Command;
//! # fn main() -> std::io::Result<()> {
//! let mut event_loop = EventLoop::new()?;
//! let output = event_loop.block_on(Command::new("tr").args(["a-z", "A-Z"]).input("hello").output())?;
//! assert!(output.status.success());
//! assert_eq!(output.stdout, b"HELLO");
//! # Ok(())
//! # }
//! ```
//!
//! # Nothing is left a zombie
//!
//! A task of the loop waits for each child, whether anybody else does or not, and takes its exit status at
//! once. It keeps no loop alive: waiting for a child does. If the loop goes before the child does, so does that
//! task: then whoever spawns next in this program, on whichever loop, takes the statuses of those that have
//! ended meanwhile and whose [`Child`] was dropped.
//!
//! # A program that ignores `SIGCHLD`
//!
//! By `SIG_IGN` it asks the kernel to throw exit statuses away. Children run as always, and
//! [`wait`](Process::wait) knows when they end, but not how: it fails, and says why. The same holds for a
//! program in which somebody else calls `waitpid(-1)`.
//! A program that cannot be executed is the error that it always is. Children inherit that the signal is
//! ignored: [`restore_default`](oneloop_core::signal::restore_default) at the start of a program is the remedy.
//!
//! A command that was [made](CommandIn#impl-From<Command>-for-CommandIn<S>) from the standard library's may have
//! steps of its own, so the standard library executes it, and loses the error if the child is reaped elsewhere.
//!
//! # Where a sandbox refuses pidfds
//!
//! gVisor has no `pidfd_open(2)`, and container runtimes of before 2021 refuse it. Then a thread waits for
//! each child, and signals go by number, which is safe until the child is reaped: that is for its loop to do. A
//! [group](Process::signal_group) whose leader was reaped cannot be signaled. Where `waitid(2)` is refused as
//! well, [`Command::spawn`](CommandIn::spawn) fails with [`Unsupported`](std::io::ErrorKind::Unsupported).
//!
//! # As PID 1
//!
//! In a container without an init, orphans become children of the program, and nothing reaps them:
//! [`reap_adopted`] does, on each `SIGCHLD`, and leaves the children of this library alone.

mod before_exec;
mod child;
mod command;
mod communicate;
mod execute;
mod family;
mod orphans;
mod pidfd;
mod process;

pub use child::Child;
pub use command::{Awaited, Command, CommandIn, Style};
pub use communicate::Output;
pub use family::{Left, adopts_orphans, reap_adopted};
pub use process::{KilledFor, Process};
pub use std::process::{ExitStatus, Stdio};
