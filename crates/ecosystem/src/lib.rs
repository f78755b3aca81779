#![forbid(unsafe_code)]
//! Crates that other people wrote, unpatched on Oneloop: see the examples and tests of this crate.
