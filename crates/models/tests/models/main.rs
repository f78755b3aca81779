//! Models of what threads share. loom runs each under every schedule: `make models`.
#![forbid(unsafe_code)]
#![cfg(loom)]

mod channels;
mod distant;
mod loads;
mod loops;
mod parked;
mod pool;
mod signals;
