//! TCP and Unix sockets as in Node: `require('net')`.
//!
//! An echo server, as short as Node's:
//!
//! ```no_run
//! use oneloop::callback::{net, run};
//! use std::process::ExitCode;
//!
//! fn main() -> std::io::Result<ExitCode> {
//!     let code = run(|| {
//!         let server = net::create_server(|socket| {
//!             socket.pipe(&socket);
//!             socket.on_error(|_, error| eprintln!("{error}"));
//!         });
//!         server.listen(8080)
//!     })?;
//!     Ok(ExitCode::from(code))
//! }
//! ```
//!
//! Events come in Node's order: one connection is accepted per turn of the loop; data and the end
//! of a stream come in two turns; 'close' comes in the closing phase, the last one closed first;
//! and ticks and microtasks run after each callback. A listener may do anything: close its socket
//! and others, drop the server, start tasks. An error that it throws, by an `Err` or a panic, is
//! uncaught, as in Node.
//!
//! An exception on the caller's stack in JavaScript, such as for a port beyond 65,535, is an `Err`
//! here.

mod connecting;
mod duplex;
mod ending;
pub mod event;
mod handle;
mod options;
mod server;
mod socket;
mod timeout;

pub use crate::error::Error;
use crate::thrown::IntoResult;
pub use options::{ConnectOptions, Endpoint, ListenOptions, ServerOptions, SocketOptions};
pub use server::{Server, WeakServer, create_server, create_server_with};
pub use socket::{ReadyState, Socket, WeakSocket};

/// Connects to a port, to a host and port, or to the path of a Unix socket. The text `HOST:PORT` is
/// a host and port, and not a path as in Node: see [`Endpoint`].
///
/// 'connect' follows, or 'error'.
///
/// # Errors
/// `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ADDRESS`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias = "createConnection")]
pub fn connect(endpoint: impl Into<Endpoint>) -> Result<Socket, Error> {
    connect_with(endpoint, ConnectOptions::default())
}

/// Connects, and calls a function at 'connect': Node's `net.connect(port, host, callback)`.
///
/// # Errors
/// As [`connect`].
///
/// # Panics
/// As [`connect`].
#[track_caller]
pub fn connect_then<O: IntoResult>(
    endpoint: impl Into<Endpoint>,
    connected: impl FnOnce(Socket) -> O + 'static,
) -> Result<Socket, Error> {
    connect_with_then(endpoint, ConnectOptions::default(), connected)
}

/// Connects with options, and calls a function at 'connect'.
///
/// # Errors
/// As [`connect`].
///
/// # Panics
/// As [`connect`].
#[track_caller]
pub fn connect_with_then<O: IntoResult>(
    endpoint: impl Into<Endpoint>,
    options: ConnectOptions,
    connected: impl FnOnce(Socket) -> O + 'static,
) -> Result<Socket, Error> {
    let socket = connect_with(endpoint, options)?;
    // 'connect' never comes on this stack.
    socket.once(event::Connect, connected);
    Ok(socket)
}

/// Connects with options.
///
/// # Errors
/// As [`connect`].
///
/// # Panics
/// As [`connect`].
#[track_caller]
pub fn connect_with(
    endpoint: impl Into<Endpoint>,
    options: ConnectOptions,
) -> Result<Socket, Error> {
    let socket = Socket::with(options.socket.clone());
    if let Some(ms) = options.timeout_ms {
        socket.set_timeout(ms);
    }
    socket.connect_with(endpoint, options)?;
    Ok(socket)
}
