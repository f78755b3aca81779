#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! A window into the loops of a running program, over HTTP.
//!
//! An [`Inspector`] answers on a thread of its own, with a loop of its own: it answers when another
//! loop is stuck, and costs nothing while no client asks. Programs add routes of their own to it.
//!
//! ```no_run
//! use oneloop::EventLoop;
//! use oneloop::inspector::{AdminOptions, Inspector};
//!
//! fn main() -> std::io::Result<()> {
//!     let mut event_loop = EventLoop::new()?;
//!     let inspector = Inspector::new();
//!     inspector.loops().attach("main", &event_loop.handle());
//!     let addr = "127.0.0.1:9000".parse().unwrap();
//!     let _admin = inspector.start(&addr, AdminOptions::default())?;
//!     event_loop.block_on(async { /* the program */ });
//!     Ok(())
//! }
//! ```
//!
//! | path | what it shows |
//! |---|---|
//! | `/` | a page about the loops, live: phases, turns, lag, tasks, connections, advice |
//! | `/events` | what the page shows, as server-sent events with JSON: `hello`, `frame` four times a second, `tasks` and `connections` each second |
//! | `/trace?secs=5` | what the loops do in the next seconds, for <https://ui.perfetto.dev>; with `&format=chrome` for `chrome://tracing` |
//! | `POST /motion?loop=NAME&motion=hold` | `slow` (with `pace_ms`), `hold`, `step` or `free`, while a page watches |
//! | `POST /connection?number=N&action=close` | `pause`, `resume` or `close`, for [`Connections`] |
//!
//! **What it costs.** Nothing while no page watches and no trace is recorded. While one watches, a
//! loop is asked four times a second, and notes at most 512 turns between two questions; a busy loop
//! is sampled. A run of more than 40 ms is reported with its source line by
//! [`oneloop::monitor`](oneloop_monitor). A browser that is slow misses frames.
//!
//! **Slow motion** holds the thread of its loop, and with it all of its clients. The loop continues
//! by itself two seconds after the page is gone.
//!
//! **Access.** A Unix socket is open to those that may open its file; an abstract one to its own user
//! and root. On TCP, every user of this machine;
//! where other machines can connect, a token is required ([`AdminOptions::token`]). Pages of other
//! sites get nothing, even in a browser on this machine.

mod access;
mod admin;
mod advice;
mod answer;
mod asked;
mod connection;
mod connections;
mod frame;
mod gate;
mod options;
mod page;
mod places;
mod probe;
mod record;
mod recording;
mod routes;
mod trace;
mod watch;

pub use admin::{AdminThread, Inspector};
pub use answer::Answer;
pub use asked::Asked;
pub use connections::{ConnectionAction, ConnectionInfo, ConnectionList, Connections};
pub use hyper::body::Bytes;
pub use hyper::header;
pub use hyper::{Method, StatusCode};
pub use options::AdminOptions;
pub use probe::Loops;
pub use trace::{TraceFile, TraceFormat};
