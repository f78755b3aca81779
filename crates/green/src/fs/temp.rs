//! Temporary files and directories.

use super::File;
use crate::wait::wait_io;
use oneloop_fs as base;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// Creates a file without a name, to read and write. See
/// [`oneloop::fs::tempfile`](oneloop_fs::tempfile).
///
/// # Errors
/// As there.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn tempfile() -> io::Result<File> {
    wait_io(base::tempfile(), Location::caller()).map(File::of)
}

/// A directory that is removed with everything in it when this is dropped, in the background.
#[derive(Debug)]
pub struct TempDir {
    dir: base::TempDir,
}

// Without a `Drop`: that of `base::TempDir` leaves the removal to the worker pool, as a drop that
// waits would need a green thread.
impl TempDir {
    /// Creates one in the directory for temporary files.
    ///
    /// # Errors
    /// As [`oneloop::fs::TempDir::new`](oneloop_fs::TempDir::new).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn new() -> io::Result<Self> {
        let dir = wait_io(base::TempDir::new(), Location::caller())?;
        Ok(TempDir { dir })
    }

    /// Creates one in `dir`.
    ///
    /// # Errors
    /// As [`oneloop::fs::TempDir::new_in`](oneloop_fs::TempDir::new_in).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn new_in(dir: impl AsRef<Path>) -> io::Result<Self> {
        let dir = wait_io(base::TempDir::new_in(dir), Location::caller())?;
        Ok(TempDir { dir })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Keeps it, and returns its path.
    pub fn keep(self) -> PathBuf {
        self.dir.keep()
    }

    /// Removes it now, with everything in it.
    ///
    /// # Errors
    /// As [`oneloop::fs::TempDir::close`](oneloop_fs::TempDir::close).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn close(self) -> io::Result<()> {
        wait_io(self.dir.close(), Location::caller())
    }
}

impl AsRef<Path> for TempDir {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

/// A file with a unique name that is removed when this is dropped, in the background.
#[derive(Debug)]
pub struct NamedTempFile {
    file: File,
    named: base::NamedTempFile,
}

impl NamedTempFile {
    /// Creates one in the directory for temporary files.
    ///
    /// # Errors
    /// As [`oneloop::fs::NamedTempFile::new`](oneloop_fs::NamedTempFile::new).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn new() -> io::Result<Self> {
        NamedTempFile::of(wait_io(base::NamedTempFile::new(), Location::caller())?)
    }

    /// Creates one in `dir`.
    ///
    /// # Errors
    /// As [`oneloop::fs::NamedTempFile::new_in`](oneloop_fs::NamedTempFile::new_in).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn new_in(dir: impl AsRef<Path>) -> io::Result<Self> {
        let named = base::NamedTempFile::new_in(dir);
        NamedTempFile::of(wait_io(named, Location::caller())?)
    }

    fn of(named: base::NamedTempFile) -> io::Result<Self> {
        // The same open file in this style's type, for `file` to lend.
        let file = File::of(named.file().try_clone()?);
        Ok(NamedTempFile { file, named })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.named.path()
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Renames it to keep it, and replaces a file of that name.
    ///
    /// # Errors
    /// As [`oneloop::fs::NamedTempFile::persist`](oneloop_fs::NamedTempFile::persist).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn persist(self, path: impl AsRef<Path>) -> io::Result<File> {
        // The open file stays the same one: rename(2) changes only its name.
        wait_io(self.named.persist(path), Location::caller())?;
        Ok(self.file)
    }

    /// Removes it now.
    ///
    /// # Errors
    /// As [`oneloop::fs::NamedTempFile::close`](oneloop_fs::NamedTempFile::close).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn close(self) -> io::Result<()> {
        wait_io(self.named.close(), Location::caller())
    }
}
