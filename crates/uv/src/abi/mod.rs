//! The exported functions, and all unsafe code of the crate.
//!
//! A C function cannot be checked, so its contract is libuv's documentation: an argument that is a
//! [`Live`](live::Live) or a reference points to a struct of that type, and texts end with NUL. An
//! exported function that calls no code of the caller is `extern "C"`: a panic in it ends the
//! process with a message. One that does is `extern "C-unwind"`, and keeps nothing on its stack
//! that has to be dropped: gevent swaps the stack in a callback, Lua jumps out of it, C++ throws.
#![allow(unsafe_code)] // every exported name is unsafe to rustc, as it may clash with another one

pub(crate) mod buffers;
pub(crate) mod fd;
pub(crate) mod guess;
pub(crate) mod live;
pub(crate) mod mask;
pub(crate) mod memory;
pub(crate) mod packets;
pub(crate) mod pool;
pub(crate) mod stat;
pub(crate) mod terminal;
pub(crate) mod time;

mod datagrams;
mod directories;
mod errors;
mod file_calls;
mod file_requests;
mod handles;
mod internet;
mod locks;
mod loops;
mod message;
mod os;
mod pipes;
mod process;
mod requests;
mod sockets;
mod spawn;
mod streams;
mod system;
mod text;
mod threads;
mod users;
mod version;
mod watchers;
