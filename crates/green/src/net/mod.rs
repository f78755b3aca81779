//! Sockets for green threads: they look as if they blocked, and only their caller waits.
//!
//! They have the standard library's names and traits ([`Read`](std::io::Read),
//! [`Write`](std::io::Write), so [`BufReader`](std::io::BufReader) as well), and gevent's semantics
//! where that library has no say: closing a socket wakes who waits on it with `EBADF`, and a second
//! reader, or writer, at the same time is an error rather than a silent mix-up. Clones of a socket are
//! the same socket.

mod bind;
mod fd;
mod listener;
mod open;
mod server;
mod stream;
mod udp;

pub use fd::{wait_readable, wait_writable};
pub use listener::{Listener, TcpListener, UnixListener};
pub use oneloop_net::{Addr, ConnectOptions, Datagram, ListenOptions, Shutdown, ToTarget};
pub use server::{DatagramServer, ServerOptions, StreamServer};
pub use stream::{PipeReader, PipeWriter, Stream, TcpStream, UnixStream, pipe};
pub use udp::UdpSocket;
