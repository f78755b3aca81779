#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! Style 1: callbacks, with Node's words and in Node's order.
//!
//! A Node program, written in Rust, prints the same lines:
//!
//! ```
//! use oneloop::callback::{next_tick, queue_microtask, run, set_immediate, set_timeout};
//! use std::process::ExitCode;
//!
//! fn main() -> std::io::Result<ExitCode> {
//!     let code = run(|| {
//!         set_timeout(|| println!("timeout"), 0);
//!         set_immediate(|| println!("immediate"));
//!         next_tick(|| println!("tick"));
//!         queue_microtask(|| println!("microtask"));
//!         println!("main");
//!     })?; // main, tick, microtask, timeout, immediate
//!     Ok(ExitCode::from(code))
//! }
//! ```
//!
//! After each callback all ticks run, then all microtasks, until none is left. As in Node, no
//! budget limits them: a tick that queues itself forever starves the loop. A callback throws by
//! returning an `Err` or by panicking: see [`process`].
//!
//! An echo server, as short as Node's own:
//!
//! ```no_run
//! use oneloop::callback::{net, run};
//!
//! run(|| {
//!     let server = net::create_server(|socket| {
//!         socket.on_error(|_, error| eprintln!("{error}"));
//!         socket.pipe(&socket);
//!     });
//!     server.listen(8080)
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! | Node | here |
//! |---|---|
//! | `setTimeout`, `setInterval`, `setImmediate`, `clear…` | [`set_timeout`], [`set_interval`], [`set_immediate`], …; [`set_interval_with_self`] |
//! | `process.nextTick`, `queueMicrotask` | [`next_tick`], [`queue_microtask`] |
//! | promises, `async` functions | [`spawn_micro`], and `await` inside |
//! | `process.on('exit')`, `'uncaughtException'`, `'SIGTERM'`, `process.exit` | [`process`] |
//! | `process.stdin`, `process.stdout`, `process.stderr` | [`process::stdin`], [`process::stdout`], [`process::stderr`] |
//! | `net` | [`net`] |
//! | `http` | `oneloop::callback::http`, with the feature `http` |
//! | `child_process` | [`child_process`] |
//! | `dgram` | [`dgram`] |
//! | `dns.lookup`, `dns.lookupService`, `dns.promises` | [`dns`] |
//! | `fs`, `fs/promises` | [`fs`], [`fs::promises`] |
//! | `fs.createReadStream`, `fs.createWriteStream`, pipes | [`stream`] |
//! | `readline.createInterface({ input })`, 'line' | `on_lines` of every stream: [`net::Socket::on_lines`] |
//! | `events` | [`events`] |
//! | `AbortController`, `AbortSignal`, `timers/promises` | [`AbortController`], [`AbortSignal`], [`timers::promises`] |
//! | `perf_hooks` | `oneloop::callback::perf_hooks`, with the feature `monitor` |
//! | libuv's `uv_poll_t`, `uv_queue_work` | [`watch_fd`], [`offload`] |
//!
//! Rust's names differ in a few places. A method `x` that takes an optional callback in Node is
//! `x_then` with one (`write_then`, `end_then`, `close_then`). `emitter.on('data', f)` is
//! `on_data(f)`, or `on(event::Data, f)`, whose result removes the listener again. A boolean
//! property is `is_…`; `ref()` is `make_ref()`. Listeners are `Fn`, as a listener may be called
//! while it runs: state that they change is in a `Cell` or a `RefCell`.
//!
//! # The end of an emitter
//!
//! 'close' is the last event of a socket, a server, a stream, a child process and a watcher. A tick
//! after it, all listeners and callbacks are dropped, and so is each that is added later. So a
//! listener may capture its own socket, or what owns it, and nothing leaks:
//!
//! ```
//! use oneloop::callback::net::{self, Socket};
//! use oneloop::callback::{Thrown, run};
//! use std::{cell::RefCell, rc::Rc};
//!
//! run(|| {
//!     let clients = Rc::new(RefCell::new(Vec::<Socket>::new()));
//!     let server = net::create_server(move |socket| {
//!         clients.borrow_mut().push(socket.clone());
//!         let others = Rc::clone(&clients);
//!         socket.on_data(move |socket, bytes| {
//!             for other in others.borrow().iter().filter(|other| **other != socket) {
//!                 other.write(bytes);
//!             }
//!         });
//!         let clients = Rc::clone(&clients);
//!         socket.on_close(move |socket, _| {
//!             clients.borrow_mut().retain(|client| *client != socket);
//!         });
//!     });
//!     server.listen_then(("127.0.0.1", 0), |server| {
//!         let port = server.port().expect("it listens");
//!         net::connect_then(("127.0.0.1", port), move |client| {
//!             client.end_with("hello");
//!             server.close();
//!         })
//!     })?;
//!     Ok::<_, Thrown>(())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! In Node the listeners stay. A program can tell the difference only if it opens the emitter
//! again: a socket may connect again, and a server listen again, in a listener of 'close' or a tick
//! that it queues. Later, `connect` and `listen` fail with `ERR_LISTENERS_DROPPED`, unless
//! [`Socket::keep_listeners`](net::Socket::keep_listeners) or
//! [`Server::keep_listeners`](net::Server::keep_listeners) was called. An emitter that never closes
//! keeps its listeners until the program ends.
//!
//! The semantics are those of Node 20; `conformance/node` holds programs in both languages, and the
//! lines that both print. A timeout cannot be [refreshed](Timeout::refresh) after it has fired,
//! because its function is an `FnOnce`; one of [`set_timeout_with_self`] can refresh itself while it
//! runs.

mod abort;
pub mod child_process;
mod continuation;
pub mod dgram;
pub mod dns;
mod drive;
mod ends;
mod error;
pub mod events;
mod fd_watch;
pub mod fs;
#[cfg(feature = "http")]
pub mod http;
mod immediates;
mod microtasks;
mod milliseconds;
pub mod net;
mod offload;
#[cfg(feature = "monitor")]
pub mod perf_hooks;
pub mod process;
mod program;
mod runtime;
pub mod stream;
mod tables;
mod thrown;
pub mod timers;

pub use abort::{AbortController, AbortListenerId, AbortSignal};
pub use error::Error;
pub use fd_watch::{FdWatch, watch_fd};
pub use immediates::{Immediate, clear_immediate, set_immediate};
pub use microtasks::{Promise, queue_microtask, spawn_micro};
pub use milliseconds::Milliseconds;
pub use offload::{offload, offload_to};
pub use program::{Entered, enter, run, run_on};
pub use runtime::next_tick;
pub use thrown::{IntoResult, Thrown};
pub use timers::{
    Timeout, clear_interval, clear_timeout, set_interval, set_interval_with_self, set_timeout,
    set_timeout_with_self,
};
