#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! What happens to a whole process: it is forked, signals come, and a sandbox refuses system calls.
//!
//! The unsafe code for that is all here, so that the crates above can forbid it. Here are also the
//! bytes of a socket's address and the room for what a socket sends, which no safe crate has.

mod action;
mod address;
pub mod alternate_stack;
mod concurrency;
pub mod fault;
mod fork;
mod handler;
mod inherited;
#[doc(hidden)] // for their models
pub mod seats;
mod send_room;
mod signal;
mod unavailable;

pub use address::address_bytes;
pub use fork::Process;
pub use inherited::take_inherited;
pub use send_room::send_room;
pub use signal::{Disposition, Listener, disposition, number, restore_default};
pub use unavailable::{Optional, PREADV2, Refusal};
