//! Tests of the inspector, with the bytes that a client sends.

mod client;
mod limits;
mod routes;
mod tokens;
