#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! A tokio context on Oneloop, for crates that call `tokio::spawn`, `tokio::time` or `tokio::net`
//! themselves: reqwest, async-nats, sqlx and others.
//!
//! Crates that only read and write by tokio's traits need no context: the feature `tokio-io` of
//! `oneloop` is enough. tokio has no plug for another reactor, so a context needs a runtime of
//! tokio. There are two places for it:
//!
//! | | [`enter`] | [`block_on`] |
//! |---|---|---|
//! | tokio's runtime | on a second thread, one for the process | on the loop's thread, around the loop |
//! | for | the odd client in a program of ours | a program that lives on such crates |
//! | what a crate passes to `tokio::spawn` | runs on that thread, in parallel | runs on this thread |
//! | a wake from there to here | an eventfd and a switch of threads | an eventfd |
//! | timers of `oneloop` | exact | rounded up to tokio's milliseconds |
//! | while nothing happens | no system call | no system call |
//!
//! Without a context, such a crate panics: "there is no reactor running, must be called from the
//! context of a Tokio 1.x runtime". A task of Oneloop that panics so names [`enter`] in its error.

mod block_on;
mod enter;

pub use block_on::block_on;
pub use enter::{Enter, enter};
