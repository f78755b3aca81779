#![deny(unsafe_code)] // not `forbid`: `abi` is allowed it, and each other file forbids it
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! `libuv.so.1` on the loop of Oneloop: programs that are linked with libuv run on it unmodified.
//!
//! The crate exports C functions and no Rust items. `include/uv.h` declares them, and `docs/uv.md`
//! says which of them are there, what differs, and which programs run.
//!
//! All unsafe code is in `abi`: it calls the caller's functions and follows the caller's pointers.
//! Everything else works on structs of the caller, whose fields are cells, and on keys.

mod abi;
mod asynchronous;
mod call;
mod children;
mod error;
mod files;
mod handle;
mod jobs;
mod layout;
mod mail;
mod metrics;
mod phase;
mod pipe;
mod poll;
mod queue;
mod ring;
mod run;
mod signals;
mod stat_watch;
mod state;
mod stream;
mod stream_turn;
mod system;
mod tcp;
mod timer;
mod tty;
mod udp;
mod udp_turn;
mod watch;
mod wtf8;
