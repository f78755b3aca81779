#![forbid(unsafe_code)]
//! Sockets, once: `poll_accept`, `poll_read`, `poll_write`, on which every style is a thin shell.
//!
//! [`Socket`] and [`Listener`] do the work for every family of byte-stream sockets; [`TcpStream`],
//! [`TcpListener`], [`UnixStream`] and [`UnixListener`] are these with one family's types.
//! [`UdpSocket`] is for datagrams.

mod addr;
mod buffer;
mod listener;
mod resolve;
mod socket;
mod tcp;
mod udp;
mod unix;

pub use addr::{Addr, ParseAddrError};
pub use buffer::{CHUNK_BYTES, Chunk};
pub use listener::{BACKLOG, ListenOptions, Listener, ListenerStats};
pub use resolve::{Target, ToTarget, resolve};
pub use socket::{ByteStream, Connecting, Shutdown, Socket, Unconnected};
pub use tcp::{TcpListener, TcpStream};
pub use udp::{Datagram, UdpSocket};
pub use unix::{UnixListener, UnixStream};
