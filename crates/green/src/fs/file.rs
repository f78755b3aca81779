//! Open files.

use crate::wait::wait_io;
use oneloop_fs::{self as base, Metadata, Permissions};
use std::fmt;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::panic::Location;
use std::path::Path;

/// An open file: [`std::fs::File`] whose operations suspend only their caller. It is read, written
/// and sought by the standard library's traits, through a `&File` as well; green threads that share
/// one take turns.
///
/// A thread that is killed while it reads has read nothing, and the cursor has not moved; for a
/// write see [`oneloop::fs::File`](oneloop_fs::File).
pub struct File {
    file: base::File,
}

impl File {
    #[track_caller]
    fn wait_for(open: impl Future<Output = io::Result<base::File>>) -> io::Result<Self> {
        let file = wait_io(open, Location::caller())?;
        Ok(File { file })
    }

    pub(super) fn of(file: base::File) -> Self {
        File { file }
    }

    /// Opens a file to read it.
    ///
    /// # Errors
    /// As [`oneloop::fs::OpenOptions::open`](oneloop_fs::OpenOptions::open).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        File::wait_for(base::File::open(path))
    }

    /// Opens a file to write it, and truncates it; creates it if there is none.
    ///
    /// # Errors
    /// As [`oneloop::fs::OpenOptions::open`](oneloop_fs::OpenOptions::open).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        File::wait_for(base::File::create(path))
    }

    /// Creates a file to read and write; fails if it exists.
    ///
    /// # Errors
    /// As [`oneloop::fs::OpenOptions::open`](oneloop_fs::OpenOptions::open).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn create_new(path: impl AsRef<Path>) -> io::Result<Self> {
        File::wait_for(base::File::create_new(path))
    }

    /// Options for opening a file in other ways.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// The same file with the same cursor.
    ///
    /// # Errors
    /// None.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.file.try_clone().map(File::of)
    }

    /// Takes over a file: see [`oneloop::fs::File::from_std`](oneloop_fs::File::from_std).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn from_std(file: fs::File) -> io::Result<Self> {
        base::File::from_std(file).map(File::of)
    }

    /// A duplicate for the standard library: see
    /// [`oneloop::fs::File::into_std`](oneloop_fs::File::into_std).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn into_std(self) -> io::Result<fs::File> {
        wait_io(self.file.into_std(), Location::caller())
    }

    /// Waits until the contents and the metadata are on the disk.
    ///
    /// # Errors
    /// As [`oneloop::fs::File::sync_all`](oneloop_fs::File::sync_all).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn sync_all(&self) -> io::Result<()> {
        wait_io(self.file.sync_all(), Location::caller())
    }

    /// Waits until the contents are on the disk.
    ///
    /// # Errors
    /// As [`oneloop::fs::File::sync_data`](oneloop_fs::File::sync_data).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn sync_data(&self) -> io::Result<()> {
        wait_io(self.file.sync_data(), Location::caller())
    }

    /// Sets the length of the file in bytes.
    ///
    /// # Errors
    /// As [`oneloop::fs::File::set_len`](oneloop_fs::File::set_len).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn set_len(&self, bytes: u64) -> io::Result<()> {
        wait_io(self.file.set_len(bytes), Location::caller())
    }

    /// The metadata of the file.
    ///
    /// # Errors
    /// As [`oneloop::fs::File::metadata`](oneloop_fs::File::metadata).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn metadata(&self) -> io::Result<Metadata> {
        wait_io(self.file.metadata(), Location::caller())
    }

    /// Sets the permissions of the file.
    ///
    /// # Errors
    /// As [`oneloop::fs::File::set_permissions`](oneloop_fs::File::set_permissions).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        wait_io(self.file.set_permissions(permissions), Location::caller())
    }

    /// Closes it, and waits until it is closed.
    ///
    /// # Errors
    /// As [`oneloop::fs::File::close`](oneloop_fs::File::close).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn close(self) -> io::Result<()> {
        wait_io(self.file.close(), Location::caller())
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Read for &File {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        wait_io(self.file.read(buf), Location::caller())
    }
}

impl Write for &File {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        wait_io(self.file.write(buf), Location::caller())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // there is no buffer
    }
}

impl Seek for &File {
    #[track_caller]
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        wait_io(self.file.seek(to), Location::caller())
    }
}

// As std's: code that takes a `File` or a `&File` compiles with either.
impl Read for File {
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for File {
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

impl Seek for File {
    #[track_caller]
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}

// These do not move the cursor, so threads that share a file need not take turns.
impl FileExt for File {
    #[track_caller]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        wait_io(self.file.read_at(buf, offset), Location::caller())
    }

    #[track_caller]
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        wait_io(self.file.write_at(buf, offset), Location::caller())
    }
}

/// How a file is opened: [`std::fs::OpenOptions`], with the same names.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    options: base::OpenOptions,
}

// A macro, as the options differ only in their names; `oneloop::fs` documents them.
macro_rules! options {
    ($($name:ident: $type:ty;)*) => {$(
        #[doc = concat!(
            "See [`oneloop::fs::OpenOptions::", stringify!($name),
            "`](oneloop_fs::OpenOptions::", stringify!($name), ")."
        )]
        pub fn $name(&mut self, $name: $type) -> &mut Self {
            self.options.$name($name);
            self
        }
    )*};
}

impl OpenOptions {
    /// Options that allow nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    options! {
        read: bool;
        write: bool;
        append: bool;
        truncate: bool;
        create: bool;
        create_new: bool;
        mode: u32;
        custom_flags: i32;
    }

    /// Opens the file.
    ///
    /// # Errors
    /// As [`oneloop::fs::OpenOptions::open`](oneloop_fs::OpenOptions::open).
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        File::wait_for(self.options.open(path))
    }
}
