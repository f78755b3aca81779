//! Crates that other people wrote, on Oneloop, against peers that other people wrote.

mod allocations;
mod axum_server;
mod callback_http;
mod chaos;
mod codec;
mod events;
mod examples;
mod harness;
mod hello_http;
mod https_client;
mod https_server;
mod hyper_client;
mod hyper_server;
mod io_traits;
mod postgres_client;
mod programs;
mod redis_client;
mod send;
mod servers;
mod system_calls;
mod table;
mod websocket;
