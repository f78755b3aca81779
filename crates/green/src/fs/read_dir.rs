//! Listing a directory.

use crate::wait::wait_io;
use oneloop_fs::{self as base, FileType, Metadata};
use std::ffi::OsStr;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// The entries of a directory, read in batches of some hundred.
#[derive(Debug)]
pub struct ReadDir {
    names: base::ReadDir,
}

/// An entry of a directory.
#[derive(Clone, Debug)]
pub struct DirEntry {
    entry: base::DirEntry,
}

/// Opens a directory to list its entries. See [`oneloop::fs::read_dir`](oneloop_fs::read_dir).
///
/// # Errors
/// As there.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let names = wait_io(base::read_dir(path), Location::caller())?;
    Ok(ReadDir { names })
}

impl Iterator for ReadDir {
    type Item = io::Result<DirEntry>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        // Mostly ready at once: an entry of the batch that was read before.
        let entry = wait_io(self.names.next_entry(), Location::caller());
        let entry = entry.map(|entry| entry.map(|entry| DirEntry { entry }));
        entry.transpose()
    }
}

impl DirEntry {
    /// The directory's path, as it was passed to [`read_dir`], and the name.
    pub fn path(&self) -> PathBuf {
        self.entry.path()
    }

    /// The name.
    pub fn file_name(&self) -> &OsStr {
        self.entry.file_name()
    }

    /// The type of the file; does not follow a symbolic link.
    ///
    /// # Errors
    /// As [`oneloop::fs::DirEntry::file_type`](oneloop_fs::DirEntry::file_type).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn file_type(&self) -> io::Result<FileType> {
        wait_io(self.entry.file_type(), Location::caller())
    }

    /// The metadata of the file; does not follow a symbolic link.
    ///
    /// # Errors
    /// As [`oneloop::fs::DirEntry::metadata`](oneloop_fs::DirEntry::metadata).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn metadata(&self) -> io::Result<Metadata> {
        wait_io(self.entry.metadata(), Location::caller())
    }
}
