#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! The sockets of every style, each operation once: a poll function, and an async method over it.
//!
//! [`Socket`] and [`Listener`] do the work for every family of byte-stream sockets; [`TcpStream`],
//! [`TcpListener`], [`UnixStream`] and [`UnixListener`] add the types of one family. [`PipeReader`]
//! and [`PipeWriter`] are the ends of pipes and FIFOs, [`Input`] and [`Output`] are fds of any
//! kind, the standard streams above all, and [`Tty`] is the terminal. [`ReadHalf`] and
//! [`WriteHalf`] have the operations of all byte streams. [`UdpSocket`] and [`UnixDatagram`] carry
//! datagrams, [`UnixSeqpacket`] carries messages over a connection.
//!
//! Constructors put their socket on the current loop: call them inside a task, or in
//! [`EventLoop::enter`](oneloop_core::EventLoop::enter).

mod addr;
mod backoff;
mod buffer;
mod connect;
mod connecting;
mod copy;
mod datagram;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
mod foreign_traits;
mod frame_splitter;
mod frames;
mod inherent;
mod keepalive;
mod line_splitter;
mod lines;
mod listener;
mod malformed;
mod owned_halves;
mod pipe;
mod relay;
mod resolve;
mod send_file;
mod shared_job;
mod socket;
mod splice;
mod stdio;
mod stream;
mod target;
mod tcp;
mod tty;
mod udp;
mod unix;

pub use addr::{Addr, ParseAddrError};
pub use backoff::{Backoff, is_fatal};
pub use buffer::{CHUNK_BYTES, Chunk};
pub use connect::{ConnectError, ConnectOptions, in_turn};
pub use connecting::{Connecting, Unconnected};
pub use copy::{CopyError, CopyOptions, Copying, copy};
pub use datagram::Datagram;
pub use frame_splitter::{EncodedPrefix, FrameError, FrameSplitter, LengthPrefix};
pub use frames::{FrameEncoder, FrameProgress, FrameReader, FrameWriter, Frames};
pub use keepalive::Keepalive;
pub use line_splitter::{LineSplitter, LineTooLong};
pub use lines::{LineReader, Lines};
pub use listener::{BACKLOG, ListenOptions, Listener, ListenerStats};
pub use owned_halves::{OwnedReadHalf, OwnedWriteHalf};
pub use pipe::{PipeReader, PipeWriter, pipe};
pub use relay::{Relay, RelayError, Relayed, Side, Way, relay};
pub use resolve::{
    Family, ResolveError, ResolveOptions, literal_addr, resolve, resolve_name, resolve_with,
};
pub use send_file::{SendingFile, send_file};
pub use socket::{ByteStream, Shutdown, Socket};
pub use splice::COPY_FDS_MAX;
pub use stdio::{Input, Output, Stderr, Stdin, StdioKind, Stdout, stderr, stdin, stdout};
pub use stream::{AsSource, HalfClose, ReadHalf, WriteHalf};
pub use target::{Target, ToTarget, first_that_works};
pub use tcp::{TcpListener, TcpStream};
pub use tty::{RawMode, Tty, WindowSize, is_tty, reset_tty_mode, tty, window_size};
pub use udp::{Interface, Outgoing, Received, RecvBatch, UdpOptions, UdpSocket};
pub use unix::{
    Credentials, FDS_MAX, ToUnixAddr, UnixDatagram, UnixListener, UnixMessage, UnixSeqpacket,
    UnixSeqpacketListener, UnixStream, peer_credentials,
};
