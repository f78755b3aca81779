#![deny(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! Child processes on the loop, each by its pidfd: no `SIGCHLD`, no `waitpid(-1)`.
//!
//! [`Command`] has the methods of [`std::process::Command`], and a few more. A task can wait for
//! the pipes and the end of a [`Child`]. A child and its pipes belong to the loop that started it.
//!
//! ```
//! use oneloop::EventLoop;
//! use oneloop::process::Command;
//! # fn main() -> std::io::Result<()> {
//! let mut event_loop = EventLoop::new()?;
//! let mut upper = Command::new("tr");
//! let output = event_loop.block_on(upper.args(["a-z", "A-Z"]).input("hello").output())?;
//! assert!(output.status.success());
//! assert_eq!(output.stdout, b"HELLO");
//! # Ok(())
//! # }
//! ```
//!
//! # No zombies
//!
//! A task of the loop waits for each child, even if no other task does, and reaps it at once. That
//! task does not keep the loop alive; a wait for the child does. If the loop is dropped before the
//! child ends, the next spawn of this program, on any loop, reaps the child if it has ended and its
//! [`Child`] was dropped.
//!
//! # A program that ignores `SIGCHLD`
//!
//! A program that ignores the signal (`SIG_IGN`) makes the kernel discard exit statuses. Children
//! run as always, but [`wait`](Process::wait) fails when they end, because the status is lost. The
//! same happens if another library calls `waitpid(-1)`. A spawn of a program that cannot be
//! executed still returns the usual error. Children start with the signal ignored, too; call
//! [`restore_default`](oneloop_core::signal::restore_default) at the start of the program to avoid
//! all this.
//!
//! A command that was [made](CommandIn#impl-From<Command>-for-CommandIn<S>) from one of the
//! standard library may have steps before exec, so the standard library executes it, and loses the
//! error if other code reaps the child.
//!
//! # Where a sandbox refuses pidfds
//!
//! gVisor has no `pidfd_open(2)`, and container runtimes before 2021 refuse it. There a thread
//! waits for each child, and signals use the child's id. That is safe until the child is reaped,
//! and only its loop reaps it. A [group](Process::signal_group) whose leader was reaped cannot be
//! signaled. Where `waitid(2)` is refused, too, [`Command::spawn`](CommandIn::spawn) fails with
//! [`Unsupported`](std::io::ErrorKind::Unsupported).
//!
//! # As PID 1
//!
//! In a container without an init, orphans become children of the program, and nothing reaps them.
//! Call [`reap_adopted`] on each `SIGCHLD`: it reaps these orphans, and leaves the children of this
//! library alone.

mod before_exec;
mod child;
mod command;
mod communicate;
mod execute;
mod family;
mod orphans;
mod output;
mod pidfd;
mod process;

pub use child::Child;
pub use command::{Awaited, Command, CommandIn, Style};
pub use family::{Left, adopts_orphans, reap_adopted};
pub use output::Output;
pub use process::{KilledFor, Process};
pub use std::process::{ExitStatus, Stdio};
