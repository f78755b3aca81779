#![forbid(unsafe_code)]
//! An epoll event loop for Linux: one loop, three styles to write code on it.
//!
//! The styles are [`callback`] (Node's), [`green`] (gevent's and eventlet's) and [`aio`]
//! (async/await). One program may mix them: all use the same tasks, sockets and primitives
//! ([`sync`]).
//!
//! ```no_run
//! use oneloop::aio::{TcpListener, block_on, spawn};
//!
//! fn main() -> std::io::Result<()> {
//!     block_on(async {
//!         let listener = TcpListener::bind("127.0.0.1:8080")?;
//!         loop {
//!             let (stream, _peer) = listener.accept().await?;
//!             spawn(async move {
//!                 while let Some(chunk) = stream.read_chunk().await? {
//!                     stream.write_all(&chunk).await?;
//!                 }
//!                 std::io::Result::Ok(())
//!             });
//!         }
//!     })
//! }
//! ```

pub use oneloop_aio as aio;
pub use oneloop_callback as callback;
pub use oneloop_core::*;
pub use oneloop_fs as fs;
pub use oneloop_green as green;
pub use oneloop_monitor as monitor;
pub use oneloop_net as net;
pub use oneloop_process as process;
pub use oneloop_sync as sync;
