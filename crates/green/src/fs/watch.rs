//! Watching files and directories.

use crate::wait::wait_io;
use oneloop_fs::{self as base, Change, WatchOptions};
use std::io;
use std::panic::Location;
use std::path::Path;

/// Reports changes of files and directories: [`oneloop::fs::Watcher`](oneloop_fs::Watcher) for one
/// green thread, which waits for the next change.
///
/// ```
/// use oneloop::green::{fs, run};
/// let change = run(|| {
///     let dir = fs::TempDir::new()?;
///     let watcher = fs::Watcher::new()?;
///     watcher.watch(&dir, fs::WatchOptions::default())?;
///     fs::create_dir(dir.path().join("new"))?;
///     watcher.next()
/// })??;
/// assert!(matches!(change, fs::Change::Created(_)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Watcher {
    watcher: base::Watcher,
}

impl Watcher {
    /// A watcher that watches nothing yet.
    ///
    /// # Errors
    /// As [`oneloop::fs::Watcher::new`](oneloop_fs::Watcher::new).
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn new() -> io::Result<Self> {
        let watcher = base::Watcher::new()?;
        Ok(Watcher { watcher })
    }

    /// Watches a file, or a directory and its entries.
    ///
    /// # Errors
    /// As [`oneloop::fs::Watcher::watch`](oneloop_fs::Watcher::watch).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn watch(&self, path: impl AsRef<Path>, options: WatchOptions) -> io::Result<()> {
        wait_io(self.watcher.watch(path, options), Location::caller())
    }

    /// Stops watching a path; false if it was not watched.
    pub fn unwatch(&self, path: impl AsRef<Path>) -> bool {
        self.watcher.unwatch(path)
    }

    /// Waits for the next change. A thread that is killed meanwhile has lost none.
    ///
    /// # Errors
    /// As [`oneloop::fs::Watcher::poll_next`](oneloop_fs::Watcher::poll_next).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn next(&self) -> io::Result<Change> {
        wait_io(self.watcher.next(), Location::caller())
    }
}
