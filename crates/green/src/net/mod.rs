//! Sockets for green threads: they look as if they blocked, and only their caller waits.
//!
//! They have the standard library's names and traits ([`Read`](std::io::Read),
//! [`Write`](std::io::Write), so [`BufReader`](std::io::BufReader) as well), and gevent's semantics
//! where the standard library defines none: closing a socket wakes its waiters with `EBADF`, and a
//! second reader, or writer, at the same time is an error rather than a silent mix-up.
//!
//! Every kind is a [`GreenIo`] around a type of [`oneloop::net`](oneloop_net). So closing, timeouts
//! and clones are the same for all of them; [`TcpStream`], [`UdpSocket`] and the others are names
//! for its forms.

mod bind;
mod copy;
mod fd;
mod frames;
mod green_io;
mod lines;
mod listener;
mod local_addr;
mod server;
mod stream;
mod udp;
mod unix;

pub use copy::{copy, relay, send_file};
pub use fd::{wait_readable, wait_writable};
pub use frames::{FrameWriter, Frames};
pub use green_io::GreenIo;
pub use lines::Lines;
pub use listener::{Listener, TcpListener, UnixListener, UnixSeqpacketListener};
pub use oneloop_net::{
    Addr, ConnectOptions, Credentials, Datagram, Interface, Keepalive, ListenOptions,
    ListenerStats, Outgoing, RecvBatch, Relayed, Shutdown, ToTarget, UdpOptions, UnixMessage,
};
pub use server::{DatagramServer, DatagramServerStats, ServerOptions, StreamServer};
pub use stream::{PipeReader, PipeWriter, Stream, TcpStream, UnixStream, pipe};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixSeqpacket};
