//! Crates that other people wrote, on Oneloop, against peers that other people wrote.

mod codec;
mod events;
mod harness;
mod hyper_server;
mod io_traits;
mod send;
mod system_calls;
mod websocket;
