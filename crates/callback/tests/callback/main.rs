//! What the callback style promises beyond Node's order, which `conformance` checks.

mod diverging;
mod endings;
mod ends;
mod handlers;
mod http;
mod last_event;
mod lines;
mod optional_callbacks;
mod owners;
mod streams;
mod thrown;
