#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! Several event loops in one process, one for each core.
//!
//! [`cluster`](cluster()) runs a program on several loops, each in a thread of its own. The loops
//! share their listeners ([`Member::listen`]), stop together ([`Cluster::stop`]), and send each
//! other values ([`Mesh`], [`distant_channel`](oneloop_sync::distant_channel)). Everything else of
//! a loop stays its own: tasks, sockets and `Rc`s never change threads, so no code needs a lock
//! that did not need one before.
//!
//! ```no_run
//! use oneloop::aio::spawn;
//!
//! fn main() -> std::io::Result<()> {
//!     oneloop::cluster(8, |member| async move {
//!         let listener = member.listen("0.0.0.0:8080")?;
//!         while let Some(connection) = listener.accept().await? {
//!             spawn(async move {
//!                 while let Some(chunk) = connection.read_chunk().await? {
//!                     connection.write_all(&chunk).await?;
//!                 }
//!                 std::io::Result::Ok(())
//!             });
//!         }
//!         Ok(())
//!     })
//! }
//! ```
//!
//! It knows no style: the closure returns a future, which may start green threads or enter the
//! callback style.

mod cluster;
mod connection;
mod listener;
mod loads;
mod loop_state;
mod member;
mod mesh;
mod pin;
mod run;
mod shared;
mod shared_listener;
mod threads;

pub use cluster::Cluster;
pub use connection::Connection;
pub use listener::{ClusterListener, Placed};
pub use loop_state::ConnectionCount;
pub use member::Member;
pub use mesh::{Mesh, Peers};
pub use run::{ClusterOptions, cluster, cluster_with};
pub use shared_listener::SharedListener;
pub use threads::{ClusterThreads, StartError};
