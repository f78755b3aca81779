#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! Style 3: async/await. Everything here is a thin shell over the loop's tasks and sockets.
//!
//! Functions that need a loop take the one that runs: call them inside [`block_on`] or a task.

mod bind;
mod copy;
mod ready;
mod signal;
mod stdio;
mod stream;
mod task;
mod time;
mod udp;
mod unix;

pub use copy::{copy, relay, send_file};
pub use oneloop_core::{Class, Elapsed, Offload, Timeout};
pub use oneloop_fs as fs;
pub use oneloop_net::{
    Addr, Chunk, ConnectOptions, Credentials, Datagram, Interface, Keepalive, ListenOptions,
    ListenerStats, Outgoing, RawMode, RecvBatch, Relayed, Shutdown, StdioKind, ToTarget,
    UdpOptions, UnixMessage, WindowSize, reset_tty_mode,
};
/// Child processes: [`Command`](process::Command) is in this style as it is. Its pipes are read and written
/// as a [`Stream`]: `PipeReader::from(child.stdout.take().unwrap())`.
pub use oneloop_process as process;
pub use ready::{wait_readable, wait_writable};
pub use signal::signals;
pub use stdio::{Stdin, Stdout, Tty, stderr, stdin, stdout, tty};
pub use stream::{
    PipeReader, PipeWriter, Stream, TcpListener, TcpStream, UnixListener, UnixStream, pipe,
};
pub use task::{block_on, offload, offload_to, spawn, yield_now};
pub use time::{Interval, interval, sleep, sleep_until, timeout};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixSeqpacket, UnixSeqpacketListener};
