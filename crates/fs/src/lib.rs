#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! Opens, reads, writes, lists and watches files without blocking the loop, for every style.
//!
//! The functions have the names of [`std::fs`]. Calls that block run on the loop's pool of threads,
//! one job per call. Only a read of bytes that the kernel has cached runs at once, on the loop's
//! thread ([`File::read`]).
//!
//! ```
//! # let mut event_loop = oneloop::EventLoop::new()?;
//! # event_loop.block_on(async {
//! let dir = oneloop::fs::TempDir::new().await?;
//! let path = dir.path().join("greeting");
//! oneloop::fs::write(&path, "hello").await?;
//! assert_eq!(oneloop::fs::read_to_string(&path).await?, "hello");
//! # std::io::Result::Ok(())
//! # })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Dropped futures
//!
//! A future that is dropped before a thread has begun its job does nothing. Once a thread has
//! begun, nothing can stop its system call: the operation completes, and its result is dropped.
//! Where that would lose bytes or leave a cursor wrong, a task takes the result and keeps the loop
//! alive until then: see [`File`].
//!
//! # FIFOs
//!
//! No thread of the pool waits for the other end of a FIFO, or for a line of a terminal: see
//! [`File`]. [`copy`] is the exception.

mod access;
mod buffer;
mod cached;
mod file;
mod job;
mod names;
mod open;
mod opened;
mod read_dir;
mod temp;
mod watch;
mod whole;

pub use file::File;
pub use names::{
    Access, access, canonicalize, copy, create_dir, create_dir_all, hard_link, metadata, read_link,
    remove_dir, remove_dir_all, remove_file, rename, set_permissions, symlink, symlink_metadata,
    try_exists,
};
pub use open::OpenOptions;
pub use read_dir::{DirEntry, ReadDir, read_dir};
pub use std::fs::{FileType, Metadata, Permissions};
pub use temp::{NamedTempFile, TempDir, tempfile};
pub use watch::{Change, WatchOptions, Watcher};
pub use whole::{read, read_to_string, write};
