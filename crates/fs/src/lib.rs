#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! Files, once: opened, read, written, listed and watched without blocking the loop, for every style.
//!
//! The names are those of [`std::fs`]. What blocks is done by the loop's pool of threads, one job for each
//! call; only a read of what the kernel has cached is done at once, on the loop's own thread ([`File::read`]).
//!
//! ```
//! # let mut event_loop = oneloop_core::EventLoop::new()?;
//! # event_loop.block_on(async {
//! let dir = oneloop_fs::TempDir::new().await?;
//! let path = dir.path().join("greeting");
//! oneloop_fs::write(&path, "hello").await?;
//! assert_eq!(oneloop_fs::read_to_string(&path).await?, "hello");
//! # std::io::Result::Ok(())
//! # })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What cancel means
//!
//! A future that is dropped before a thread has begun with its job has done nothing, and will not. Once a
//! thread has begun, the kernel knows no way back: what was asked for is done, and only its result is lost.
//! Where that would lose bytes or confuse a cursor, it is noted all the same, and keeps the loop alive until
//! then: see [`File`].
//!
//! # FIFOs
//!
//! Nothing that opens a file here waits for the other end of a FIFO, or for a line of a terminal, on a
//! thread of the pool: see [`File`]. [`copy`] is the exception.

mod access;
mod buffer;
mod cached;
mod file;
mod job;
mod names;
mod open;
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
