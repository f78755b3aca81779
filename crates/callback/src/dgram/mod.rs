//! `require('dgram')`: UDP sockets; and Unix message sockets with a similar API.
//!
//! ```
//! use oneloop::callback::{Error, dgram, dgram::Kind, run};
//!
//! run(|| {
//!     let server = dgram::create_socket(Kind::Udp4);
//!     server.on_message(|server, bytes, from| {
//!         println!("{} bytes from {}", bytes.len(), from.addr);
//!         server.close()
//!     });
//!     server.bind_then(("127.0.0.1", 0), |server| {
//!         let client = dgram::create_socket(Kind::Udp4);
//!         let close = client.clone();
//!         client.send_to_then("hello", server.address()?, move |_sent| close.close())
//!     })
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A socket receives up to 32 datagrams per turn, as with libuv, and no more than a task's share of
//! I/O (128 KiB or 200 µs). The error of a datagram that cannot be sent goes to the callback of
//! `send_then`; without a callback it is ignored, as in Node. The first send of an unbound socket
//! binds it, to a port that the kernel chooses.
//!
//! Node has no Unix message sockets: [`UnixSocket`] is for datagrams and for connections that keep
//! message boundaries, and passes fds.

mod handle;
mod kernel_options;
mod options;
mod sending;
mod socket;
mod unix;

pub use oneloop_net::Interface;
pub use options::{Kind, RemoteInfo, SocketOptions};
pub use socket::{Socket, WeakSocket, create_socket, create_socket_then};
pub use unix::{Message, UnixServer, UnixSocket, WeakUnixSocket};

/// The events of message sockets. Each is a type, for [`Socket::on`] and [`UnixSocket::on`].
pub mod event {
    pub use super::socket::event::*;
    pub use super::unix::event::*;
}
