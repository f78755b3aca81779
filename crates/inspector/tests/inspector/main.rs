//! Tests of the inspector, with the bytes that a client sends.

mod browser;
mod client;
mod events;
mod limits;
mod page;
mod routes;
mod tokens;
mod traces;
