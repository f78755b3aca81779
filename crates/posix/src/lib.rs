#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! What a process does behind a library's back: it is forked, and signals come. Both need unsafe code,
//! and it is all here. And which system calls it does not have, the bytes of socket addresses, and the room for
//! what a socket sends.

mod action;
mod address;
pub mod alternate_stack;
pub mod fault;
mod fork;
mod handler;
mod send_room;
mod signal;
mod unavailable;

pub use address::address_bytes;
pub use fork::Process;
pub use send_room::send_room;
pub use signal::{Disposition, Listener, disposition, number, restore_default};
pub use unavailable::{Optional, PREADV2, Refusal};
