//! UDP sockets in Node's words: `require('dgram')`; and Unix sockets of messages in their spirit.
//!
//! ```
//! use oneloop_callback::{Error, dgram, dgram::Kind, run};
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
//! Up to 32 datagrams are received in one turn, as with libuv, and no more than a task's share of
//! I/O (128 KiB or 200 µs). One that cannot be sent is an error for the function that was given to
//! `send_then`, and of no account without one, as in Node. A socket that was not bound is bound
//! with its first send, to a port that the kernel chooses.
//!
//! Node has no Unix sockets of messages: [`UnixSocket`] is for datagrams and for connections that
//! keep bounds, and passes fds.

pub mod event;
mod handle;
mod options;
mod socket;
mod unix;

pub use oneloop_net::Interface;
pub use options::{Kind, RemoteInfo, SocketOptions};
pub use socket::{Socket, create_socket};
pub use unix::{Message, UnixServer, UnixSocket};
