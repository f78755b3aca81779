#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! Style 3: async/await. This crate has the names; the futures are those of the crates below it.
//!
//! A function that needs a loop uses the one that runs it: call it inside [`block_on`] or a task.
//!
//! ```
//! use oneloop::aio::{TcpListener, TcpStream, block_on, spawn};
//! # fn main() -> std::io::Result<()> {
//! block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let addr = listener.local_addr()?;
//!     spawn(async move {
//!         let (stream, _peer) = listener.accept().await?;
//!         stream.write_all(b"hello").await
//!     });
//!     let stream = TcpStream::connect(addr).await?;
//!     assert_eq!(&*stream.read_chunk().await?.unwrap(), b"hello");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # Names in tokio
//!
//! A task stays on the thread of its loop, so nothing has to be `Send`. Streams are read and written
//! by `&self`, so nothing has to be split.
//!
//! | tokio | here |
//! |---|---|
//! | `#[tokio::main]`, `Runtime::block_on` | `#[oneloop::main]`, [`block_on`] |
//! | `#[tokio::test(start_paused = true)]` | `#[oneloop::test]`, [`Options::virtual_time`](oneloop_core::Options::virtual_time) |
//! | `spawn`, `spawn_local` | [`spawn`] |
//! | `abort`, `AbortHandle` | [`JoinHandle::cancel`](oneloop_core::JoinHandle::cancel): the future is dropped at once; [`CancelHandle`] |
//! | tokio-util's `AbortOnDropHandle` | [`JoinHandle::cancel_on_drop`](oneloop_core::JoinHandle::cancel_on_drop) |
//! | `task_local!` | [`task_local!`]; a task has its spawner's by [`inherit_locals`] |
//! | structured concurrency | [`scope`](crate::scope()), which lets its futures borrow |
//! | a future or stream that must be `Send` | [`local()`] |
//! | `spawn_blocking`, `block_in_place` | [`offload`] |
//! | `time::interval` | [`interval`]: the first tick is due after one period |
//! | `MissedTickBehavior` | [`MissedTicks`], in [`Interval::missed_ticks`]: `Skip` by default |
//! | `timeout_at` | [`timeout_at`]; [`deadline`](crate::deadline()) also limits the timeouts inside |
//! | `mpsc`, `recv` | `oneloop::sync::channel`, `oneloop::sync::Receiver::receive` |
//! | `oneshot`, `watch`, `broadcast` | `oneloop::sync::OneShot`, `oneloop::sync::watch`, `oneloop::sync::broadcast` |
//! | `Mutex`, `RwLock`, `Semaphore` | those of `oneloop::sync`; without an `.await` between, a `RefCell` |
//! | `Notify`, `Barrier`, `OnceCell` | those of `oneloop::sync` |
//! | `CancellationToken` | `oneloop::sync::ShutdownToken` |
//! | `select!`, `join!`, `try_join!`, `JoinSet` | [`select!`], [`race()`], [`join!`], [`try_join!`], [`JoinSet`] |
//! | tokio-util's `TaskTracker` | [`TaskTracker`] |
//! | hyper-util's `GracefulShutdown` | [`GracefulShutdown`]: signal, token, drain with a limit |
//! | tokio-stream's wrappers | [`Interval`] is a stream; [`TcpListener::incoming`], [`UdpSocket::datagrams`], `oneloop::sync::Receiver::into_stream` |
//! | `read_buf`, `BytesMut` | [`TcpStream::read_chunk`], [`Chunk`] |
//! | tokio-rustls, tokio-native-tls | `oneloop::tls`, with the Cargo feature `tls` |
//! | `AsyncRead`, `AsyncWrite` | the streams have tokio's own traits with the Cargo feature `tokio-io` |
//! | `BufReader::lines`, `LinesCodec` | [`TcpStream::lines`] |
//! | `LengthDelimitedCodec` | [`TcpStream::frames`], [`TcpStream::frame_writer`] |
//! | `split` | not needed: share an `Rc<TcpStream>`; or [`TcpStream::into_split`] |
//! | `copy_bidirectional` | [`relay`] |
//! | `AsyncFd` | [`wait_readable`], [`Source`](oneloop_core::Source) |
//! | `lookup_host` | [`resolve`] |
//! | `signal::ctrl_c` | [`ctrl_c`], [`signals`] |
//! | `fs`, `process::Command` | [`fs`], [`process::Command`] |
//! | `Handle::spawn` of another thread | [`Remote::run`](oneloop_core::Remote::run) |

mod collection;
mod context;
mod deadline;
mod graceful_shutdown;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "hyper-client")]
mod hyper_connector;
mod join;
mod join_set;
mod local;
mod local_io;
mod race;
mod ready;
mod scope;
#[doc(hidden)] // only the macro names it
pub mod select;
mod signal;
mod task;
mod task_local;
mod task_tracker;
mod time;
mod woken;

pub use collection::{join_all, race_all, try_join_all};
pub use deadline::{current_deadline, deadline};
pub use graceful_shutdown::GracefulShutdown;
pub use join::{Join, TryJoin, join, try_join};
pub use join_set::JoinSet;
pub use local::{Local, local};
pub use oneloop_core::{
    CancelHandle, CancelOnDrop, Class, Elapsed, JoinError, JoinHandle, Offload, Signals, Sleep,
    Timeout, YieldNow,
};
#[cfg(feature = "fs")]
pub use oneloop_fs as fs;
// Styles add no wrapper here: an operation's documentation stands where its code does.
pub use oneloop_net::{
    Addr, ByteStream, Chunk, ConnectOptions, Credentials, Datagram, Input, Interface, Keepalive,
    Lines, ListenOptions, ListenerStats, Outgoing, Output, OwnedReadHalf, OwnedWriteHalf,
    PipeReader, PipeWriter, RawMode, ReadHalf, RecvBatch, Relayed, Shutdown, Stderr, Stdin,
    StdioKind, Stdout, TcpListener, TcpStream, ToTarget, ToUnixAddr, Tty, UdpOptions, UdpSocket,
    UnixDatagram, UnixListener, UnixMessage, UnixSeqpacket, UnixSeqpacketListener, UnixStream,
    WindowSize, WriteHalf, copy, pipe, relay, reset_tty_mode, resolve, resolve_with, send_file,
    stderr, stdin, stdout, tty,
};
#[cfg(feature = "process")]
pub use oneloop_process as process;
pub use race::{Either, Race, race};
pub use ready::{wait_readable, wait_writable};
pub use scope::{Scope, ScopedJoinHandle, scope, try_scope};
pub use signal::{ctrl_c, signals};
pub use task::{block_on, offload, offload_to, spawn, yield_now};
pub use task_local::{LocalKey, LocalScope, inherit_locals};
pub use task_tracker::{TaskTracker, TaskTrackerToken, TrackedFuture};
pub use time::{
    Interval, MissedTicks, interval, interval_at, now, sleep, sleep_until, timeout, timeout_at,
};
