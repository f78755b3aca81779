#![forbid(unsafe_code)]
//! An epoll event loop for Linux: one loop, three styles to write code on it.
//!
//! | I know … | my style |
//! |---|---|
//! | tokio, smol, asyncio | [`aio`]: futures and `.await`; when in doubt, this one |
//! | Node.js, libuv | [`callback`]: Node's modules, and its exact order of callbacks |
//! | gevent, eventlet, `std::thread` | [`green`]: code that looks as if it blocked |
//! | epoll, mio | [`core`]: the loop itself, also without tasks |
//!
//! The page of each style has a table "their name, our name". The search knows their names as well:
//! try `abort`, `spawn_blocking`, `uv_poll_t` or `Greenlet`.
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
//!
//! What a program needs, by style:
//!
//! | | async | callback | green |
//! |---|---|---|---|
//! | run a program | [`aio::block_on`] | [`callback::run`] | [`green::run`] |
//! | start a task | [`aio::spawn`] | [`callback::spawn_micro`] | [`green::spawn`], [`green::Pool`] |
//! | serve | [`aio::TcpListener`] | [`callback::net::create_server`] | [`green::net::StreamServer`] |
//! | connect | [`aio::TcpStream`] | [`callback::net::connect`] | [`green::net::TcpStream`] |
//! | time | [`aio::sleep`], [`aio::timeout`] | [`callback::set_timeout`] | [`green::sleep`], [`green::timeout`] |
//! | files | [`aio::fs`] | [`callback::fs`] | [`green::fs`] |
//! | child processes | [`aio::process`] | [`callback::child_process`] | [`green::process`] |
//! | signals | [`aio::signals`] | [`callback::process::on_signal`] | [`green::signal_handler`] |
//! | several cores | [`cluster()`] | [`cluster()`] | [`cluster()`] |
//! | code that blocks | [`aio::offload`] | [`callback::offload`] | [`green::offload`] |
//!
//! Styles mix: all of them use the same tasks, sockets and primitives ([`sync`]: queues, channels,
//! locks, events, [`sync::ShutdownToken`]). Async code waits for these by `.await`, a green thread
//! by [`.wait()`](green::Wait), a callback in [`callback::spawn_micro`].
//!
//! Tests run on virtual time, where a day of timers passes in a millisecond:
//!
//! ```
//! use oneloop::{EventLoop, Options};
//! use std::time::Duration;
//!
//! let mut event_loop = EventLoop::with(Options::virtual_time())?;
//! event_loop.block_on(async { oneloop::aio::sleep(Duration::from_secs(24 * 3600)).await });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The attribute [`#[oneloop::test]`](macro@test) makes such a test of an async function, and
//! [`#[oneloop::main]`](macro@main) a program.
//!
//! The guide, in the folder `docs/guide` of the project, begins with what an event loop does and
//! leads from `cargo new` to a server in each style.
//!
//! # Cargo features
//!
//! | feature | in the default | what it adds |
//! |---|---|---|
//! | `aio`, `callback`, `green` | yes | the style of that name; `callback` and `green` turn on `fs` and `process` |
//! | `cluster` | yes | [`cluster`](mod@cluster), for several cores |
//! | `macros` | yes | the attributes [`main`](macro@main) and [`test`](macro@test) of async functions; it turns on `aio` |
//! | `fs`, `process` | yes | [`fs`] and [`process`], also as `aio::fs` and `aio::process` |
//! | `chaos` | no | `chaos`, for tests: schedules and faults from a seed |
//! | `http` | no | `callback::http`: Node's HTTP; turns on `callback` |
//! | `hyper` | no | hyper's `Read` and `Write` on every byte stream; `aio::hyper`, its executor and timer |
//! | `hyper-client` | no | `aio::hyper::LoopConnector`, for hyper-util's pooled client; turns on `hyper` |
//! | `inspector` | no | `inspector`: a live page about the loops, and routes of the program; turns on `hyper` |
//! | `monitor` | no | `monitor`, and `callback::perf_hooks` |
//! | `tls` | no | `tls`: TLS by rustls over every byte stream |
//! | `tokio-io` | no | tokio's `AsyncRead` and `AsyncWrite` on every byte stream |
//! | `tracing` | no | `tracing`: spans of tasks, for tokio-console |
//!
//! The loop, sockets and primitives are always there. A program that uses one style compiles in less
//! time without the others: `default-features = false, features = ["aio"]`.

/// Runs a program under thousands of schedules, each of which a seed reproduces.
#[cfg(all(feature = "chaos", not(doc)))]
pub mod chaos {
    pub use oneloop_core::chaos::*;
}
pub mod prelude;
#[cfg(feature = "macros")]
#[doc(hidden)] // for the tests of `#[oneloop::test]`
pub mod testing;

#[cfg(feature = "cluster")]
pub use oneloop_cluster::cluster;
pub use oneloop_core::{Elapsed, EventLoop, Handle, JoinError, JoinHandle, Options, signal};

#[cfg(feature = "macros")]
pub use oneloop_macros::main;
#[cfg(feature = "macros")]
pub use oneloop_macros::test;

/// Makes a module of each crate below.
///
/// Real modules, and not `pub use oneloop_green as green`: with that, the compiler's suggestions and
/// messages would name paths such as `oneloop::oneloop_green::Wait`, which no user can write. Only
/// rustdoc gets that, in `pages`.
///
/// A module names the parts of its crate that a feature adds, because the compiler tells a user
/// which feature is missing only for items of this crate.
macro_rules! modules {
    ($(
        $(#[$attribute:meta])*
        $name:ident = $krate:ident $({$(#[cfg(feature = $feature:literal)] $part:ident;)*})?;
    )*) => {$(
        $(#[$attribute])*
        #[cfg(not(doc))]
        pub mod $name {
            pub use $krate::*;
            $($(
                #[cfg(feature = $feature)]
                pub use $krate::$part;
            )*)?
        }
    )*};
}

modules! {
    /// The parts of the loop itself, for adapters and for loops without tasks.
    core = oneloop_core;
    /// Sockets, pipes, names and the terminal, below the styles.
    net = oneloop_net;
    /// Primitives by which tasks wait for each other, in every style.
    sync = oneloop_sync;
    /// Files and file watching, below the styles.
    #[cfg(feature = "fs")]
    fs = oneloop_fs;
    /// Child processes, below the styles.
    #[cfg(feature = "process")]
    process = oneloop_process;
    /// Several loops in one process, one for each core.
    #[cfg(feature = "cluster")]
    cluster = oneloop_cluster;
    /// Style 1: callbacks, under Node's names and in Node's order.
    #[cfg(feature = "callback")]
    callback = oneloop_callback {
        #[cfg(feature = "monitor")]
        perf_hooks;
    };
    /// Style 2: green threads, under the names of gevent, eventlet and the standard library.
    #[cfg(feature = "green")]
    green = oneloop_green;
    /// Style 3: async/await.
    #[cfg(feature = "aio")]
    aio = oneloop_aio {
        #[cfg(feature = "fs")]
        fs;
        #[cfg(feature = "hyper")]
        hyper;
        #[cfg(feature = "process")]
        process;
    };
    /// A live page about the loops of the program, and routes of its own, over HTTP.
    #[cfg(feature = "inspector")]
    inspector = oneloop_inspector;
    /// A watcher thread that reports which task blocks the loop, and where.
    #[cfg(feature = "monitor")]
    monitor = oneloop_monitor;
    /// TLS by rustls, over every byte stream and in every style.
    #[cfg(feature = "tls")]
    tls = oneloop_tls;
    /// Spans for tasks and events for their wakers, with tokio's names: for tokio-console.
    #[cfg(feature = "tracing")]
    tracing = oneloop_tracing;
}

#[cfg(doc)]
mod pages;
#[cfg(doc)]
#[doc(inline)]
pub use pages::*;
