//! Crates that other people wrote, on Oneloop, against peers that other people wrote.

mod codec;
mod harness;
mod io_traits;
