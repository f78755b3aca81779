//! HTTP/1 as in Node: `require('http')`, with the feature `http`.
//!
//! The first program of every tutorial, [`create_server`]:
//!
//! ```no_run
//! use oneloop::callback::{http, run};
//!
//! run(|| {
//!     http::create_server(|_, res| {
//!         res.end_with("Hello World\n");
//!     })
//!     .listen(8080)
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! And the second, [`get_then`], for [`get`] with a function:
//!
//! ```no_run
//! use oneloop::callback::{http, run};
//!
//! run(|| {
//!     let req = http::get_then("http://localhost:8080/", |res| {
//!         println!("{} {:?}", res.status_code(), res.headers().get("content-type"));
//!         res.on_data(|_, bytes| print!("{}", String::from_utf8_lossy(bytes)));
//!     })?;
//!     req.on_error(|_, error| eprintln!("{error}"));
//!     Ok::<_, http::Error>(())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! hyper parses and writes the messages, inside of the callbacks: no task of hyper's runs, and the
//! order of events is Node's. The sockets, their timeouts and what a slow reader costs are those of
//! [`net`](crate::net).
//!
//! # Limits of a server
//!
//! As in Node 20: a head may have 16 KiB (431), may take a minute, and a request five minutes (408,
//! checked every 30 s); a connection without a request is closed after 5 s, and one more, because
//! the client reads 5 s in `Keep-Alive`. See [`ServerOptions`] and [`Server::close`].
//!
//! A client's connections belong to an [`Agent`]: the [`global_agent`] keeps one that is idle for 5 s
//! at most, and for a second less than its server says.
//!
//! # What differs from Node
//!
//! - hyper keeps neither the case of header names nor their order among repeated ones: a header that
//!   arrives has lower case, and one that is sent has `Title-Case`.
//! - The next request of a client that does not wait for answers is parsed once the answer before it
//!   was ended. Node emits 'request' for all of them at once, and keeps their answers in order; the
//!   client sees no difference, except that its requests are not worked on at the same time.
//! - An answer to HTTP/1.0 has the version 1.0; Node's has 1.1. A connection that ends says so by
//!   `Connection: close` even if the program removes that header.
//! - A head may have 100 lines; more are answered with 431, or fail the request with
//!   `HPE_HEADER_OVERFLOW`. Node reads 2,000 and drops the rest.
//! - `HPE_…` codes of malformed messages name the same fault as in Node where hyper tells which it is;
//!   the words behind them are hyper's.
//! - A body that ends before its `Content-Length` destroys the connection, so that its reader knows.
//!   Bytes beyond it are dropped. Node sends what the program writes.
//! - A request is sent once `end` is called, or with its first write, as in Node; hyper parses its
//!   path before, so `request` reports a path that is no URL's.
//! - A server sends trailers only if a header `Trailer` names them and the client accepts them.
//! - HTTP over TLS (`https`) is absent, and so are `insecureHTTPParser`, `writeProcessing`,
//!   `writeEarlyHints`, `uniqueHeaders` and `joinDuplicateHeaders`.

mod agent;
mod client_request;
mod connection;
pub mod event;
mod exchange;
mod headers;
mod incoming;
mod options;
mod outgoing;
mod outgoing_functions;
mod parse_error;
mod pump;
mod response;
mod server;
mod status;
mod wire;

pub use crate::error::Error;
pub use agent::{Agent, global_agent};
pub use client_request::{
    ClientRequest, Information, WeakClientRequest, get, get_then, request, request_then,
};
pub use headers::{HeaderLines, Headers};
pub use incoming::{IncomingMessage, WeakIncomingMessage};
pub use options::{AgentOptions, IntoRequestOptions, RequestOptions, ServerOptions};
pub use response::{ServerResponse, WeakServerResponse};
pub use server::{Server, WeakServer, create_server, create_server_with};
pub use status::status_text;
