//! The targets: each is a function that takes any bytes, and panics if a promise is broken.
//!
//! `make fuzz` gives them to libFuzzer, by the programs in `fuzz/` beside `crates/`.
//! `tests/replay.rs` calls them with fixed inputs.

#![forbid(unsafe_code)]
#![allow(
    dead_code,
    reason = "the files of other crates have more than is used here"
)]

pub mod addresses;
pub mod arguments;
pub mod chat;
pub mod config;
pub mod frames;
pub mod lines;
pub mod proxy_header;
pub mod streams;
pub mod sync;
pub mod watcher;
pub mod wtf8;

mod input;

#[path = "../../sync/tests/primitives/models/mod.rs"]
mod models;

// The server is a program, and no crate can call the functions of a program. Its parsers are
// compiled into this crate as they are.
#[path = "../../server/src/access/mod.rs"]
mod access;
#[path = "../../server/src/check.rs"]
mod check;
#[path = "../../server/src/config_file.rs"]
mod config_file;
#[path = "../../server/src/configuration.rs"]
mod configuration;
#[path = "../../server/src/endpoint.rs"]
mod endpoint;
#[path = "../../server/src/features.rs"]
mod features;
#[path = "../../server/src/introduction.rs"]
mod introduction;
#[path = "../../server/src/keepalive.rs"]
mod keepalive;
#[path = "../../server/src/messages.rs"]
mod messages;
#[path = "../../server/src/nearest.rs"]
mod nearest;
#[path = "../../server/src/options/mod.rs"]
mod options;
#[path = "../../server/src/origins.rs"]
mod origins;
#[path = "../../server/src/permissions.rs"]
mod permissions;
#[path = "../../server/src/process_stat.rs"]
mod process_stat;
#[path = "../../server/src/refusals.rs"]
mod refusals;
#[path = "../../server/src/chat/mod.rs"]
mod room;
#[path = "../../server/src/section.rs"]
mod section;
#[path = "../../server/src/values.rs"]
mod values;

// The C interface of this one takes pointers.
#[path = "../../uv/src/wtf8.rs"]
mod texts;
