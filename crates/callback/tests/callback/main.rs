//! What the callback style promises beyond Node's order, which `conformance` checks.

mod endings;
mod handlers;
mod lines;
mod streams;
