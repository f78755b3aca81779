#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! A window into the loops of a running program, over HTTP.
//!
//! An [`Inspector`] answers on a thread of its own, with a loop of its own: it answers when another
//! loop is stuck, and costs nothing while no client asks. Programs add routes of their own to it.
//!
//! **Who may ask.** On a Unix socket, those who may open it. On TCP, every user of this machine;
//! where other machines can connect, a token is required ([`AdminOptions::token`]). Pages of other
//! sites get nothing, even in a browser on this machine.

mod access;
mod admin;
mod answer;
mod asked;
mod connection;
mod options;
mod routes;

pub use admin::{AdminThread, Inspector};
pub use answer::Answer;
pub use asked::Asked;
pub use hyper::body::Bytes;
pub use hyper::header;
pub use hyper::{Method, StatusCode};
pub use options::AdminOptions;
