//! Files for green threads: they look as if they blocked, and only their caller waits.
//!
//! The names, signatures and traits are the standard library's, so that `use oneloop::green::fs` can
//! mostly replace `use std::fs`. Each function waits for the future of the same name in
//! [`oneloop::fs`](oneloop_fs), whose documentation states what a kill or a timeout means for it.
//!
//! ```
//! use oneloop::green::{fs, run};
//! use std::io::{BufRead, BufReader};
//! let lines = run(|| {
//!     let file = fs::File::open("/proc/self/status")?;
//!     BufReader::new(file).lines().collect::<std::io::Result<Vec<_>>>()
//! })??;
//! assert!(lines[0].starts_with("Name:"));
//! # Ok::<(), std::io::Error>(())
//! ```

mod file;
mod names;
mod read_dir;
mod temp;
mod watch;

pub use file::{File, OpenOptions};
pub use names::{
    canonicalize, copy, create_dir, create_dir_all, hard_link, metadata, read, read_link,
    read_to_string, remove_dir, remove_dir_all, remove_file, rename, set_permissions, symlink,
    symlink_metadata, try_exists, write,
};
pub use oneloop_fs::{Change, FileType, Metadata, Permissions, WatchOptions};
pub use read_dir::{DirEntry, ReadDir, read_dir};
pub use temp::{NamedTempFile, TempDir, tempfile};
pub use watch::Watcher;
