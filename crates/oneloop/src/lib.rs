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

pub use oneloop_core::{Elapsed, EventLoop, Handle, JoinError, JoinHandle, Options, signal};

// Real modules, and not `pub use oneloop_green as green`: with that, the compiler's suggestions and
// messages would name paths such as `oneloop::oneloop_green::Wait`, which no user can write.

/// The parts of the loop itself, for adapters and for loops without tasks.
pub mod core {
    #[doc(inline)]
    pub use oneloop_core::*;
}

/// Style 1: callbacks, under Node's names and in Node's order.
pub mod callback {
    #[doc(inline)]
    pub use oneloop_callback::*;
}

/// Style 2: green threads, under the names of gevent, eventlet and the standard library.
pub mod green {
    #[doc(inline)]
    pub use oneloop_green::*;
}

/// Style 3: async/await.
pub mod aio {
    #[doc(inline)]
    pub use oneloop_aio::*;
}

/// Sockets, pipes, names and the terminal, below the styles.
pub mod net {
    #[doc(inline)]
    pub use oneloop_net::*;
}

/// Files and file watching, below the styles.
pub mod fs {
    #[doc(inline)]
    pub use oneloop_fs::*;
}

/// Child processes, below the styles.
pub mod process {
    #[doc(inline)]
    pub use oneloop_process::*;
}

/// Primitives by which tasks wait for each other, in every style.
pub mod sync {
    #[doc(inline)]
    pub use oneloop_sync::*;
}

/// A watcher thread that reports which task blocks the loop, and where.
pub mod monitor {
    #[doc(inline)]
    pub use oneloop_monitor::*;
}
