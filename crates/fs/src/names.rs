//! What is done by name, each as the function of the same name in [`std::fs`].
//!
//! They are all cancelled alike: dropped before a thread has begun, nothing is done; after that it is done,
//! to its end, and nobody hears how it went.

use crate::job::blocking;
use rustix::io::Errno;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

fn owned(path: impl AsRef<Path>) -> PathBuf {
    path.as_ref().to_owned()
}

/// What is known of a file; a symbolic link is followed (`stat(2)`).
///
/// # Errors
/// As [`std::fs::metadata`].
///
/// # Panics
/// Outside of a loop.
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = owned(path);
    blocking(move || fs::metadata(path)).await
}

/// What is known of a file, or of a symbolic link itself (`lstat(2)`).
///
/// # Errors
/// As [`std::fs::symlink_metadata`].
///
/// # Panics
/// Outside of a loop.
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = owned(path);
    blocking(move || fs::symlink_metadata(path)).await
}

/// True if there is such a file; a link that leads nowhere is none.
///
/// # Errors
/// As [`std::fs::exists`]: `EACCES` where nobody can know.
///
/// # Panics
/// Outside of a loop.
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = owned(path);
    blocking(move || fs::exists(path)).await
}

/// What is asked of a file by [`access`]: with nothing set, that it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// It can be read (`R_OK`).
    pub read: bool,
    /// It can be written (`W_OK`).
    pub write: bool,
    /// It can be run, or a directory passed through (`X_OK`).
    pub execute: bool,
}

/// Asks whether this process may do something with a file (`access(2)`): ready without an error if it may. By
/// the time that it is done the answer may be another one.
///
/// # Errors
/// `EACCES` if it may not; `ENOENT`, `EROFS`, `ETXTBSY`.
///
/// # Panics
/// Outside of a loop.
pub async fn access(path: impl AsRef<Path>, access: Access) -> io::Result<()> {
    let path = owned(path);
    let asked = [
        (access.read, rustix::fs::Access::READ_OK),
        (access.write, rustix::fs::Access::WRITE_OK),
        (access.execute, rustix::fs::Access::EXEC_OK),
    ];
    let asked = asked.into_iter().filter(|(is_asked, _)| *is_asked);
    let mode = asked.fold(rustix::fs::Access::EXISTS, |mode, (_, bit)| mode | bit);
    blocking(move || Ok(rustix::fs::access(path, mode)?)).await
}

/// Gives a file another name, in place of what has that name already.
///
/// # Errors
/// As [`std::fs::rename`]: `EXDEV` for a name on another file system.
///
/// # Panics
/// Outside of a loop.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (owned(from), owned(to));
    blocking(move || fs::rename(from, to)).await
}

/// Copies a file and its permissions, and gives the number of bytes. The standard library does it with
/// `copy_file_range(2)`, which shares the blocks on file systems that can (a reflink), and moves nothing
/// through this process elsewhere. A file that is copied to itself, by whatever name, stays as it is, as in
/// libuv.
///
/// A copy that a thread has begun goes on to its end. From a FIFO it takes that thread for as long as
/// somebody writes.
///
/// # Errors
/// As [`std::fs::copy`]; `EISDIR` for a directory.
///
/// # Panics
/// Outside of a loop.
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let (from, to) = (owned(from), owned(to));
    let copy = move || {
        let known = fs::metadata(&from)?;
        if known.is_dir() {
            return Err(Errno::ISDIR.into());
        }
        let is_itself = |there: Metadata| (there.dev(), there.ino()) == (known.dev(), known.ino());
        if fs::metadata(&to).is_ok_and(is_itself) {
            return Ok(known.len()); // std would empty it first
        }
        fs::copy(from, to)
    };
    blocking(copy).await
}

/// Removes a file, or a symbolic link itself.
///
/// # Errors
/// As [`std::fs::remove_file`].
///
/// # Panics
/// Outside of a loop.
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    blocking(move || fs::remove_file(path)).await
}

/// Removes an empty directory.
///
/// # Errors
/// As [`std::fs::remove_dir`].
///
/// # Panics
/// Outside of a loop.
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    blocking(move || fs::remove_dir(path)).await
}

/// Removes a directory and all that is in it; symbolic links are not followed.
///
/// # Errors
/// As [`std::fs::remove_dir_all`]; what is gone by then stays so.
///
/// # Panics
/// Outside of a loop.
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    blocking(move || fs::remove_dir_all(path)).await
}

/// Makes a directory.
///
/// # Errors
/// As [`std::fs::create_dir`].
///
/// # Panics
/// Outside of a loop.
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    blocking(move || fs::create_dir(path)).await
}

/// Makes a directory, and those above it that are missing.
///
/// # Errors
/// As [`std::fs::create_dir_all`].
///
/// # Panics
/// Outside of a loop.
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    blocking(move || fs::create_dir_all(path)).await
}

/// Gives a file a second name.
///
/// # Errors
/// As [`std::fs::hard_link`].
///
/// # Panics
/// Outside of a loop.
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (owned(original), owned(link));
    blocking(move || fs::hard_link(original, link)).await
}

/// Makes a symbolic link that leads to `original`, which need not be there.
///
/// # Errors
/// As [`std::os::unix::fs::symlink`].
///
/// # Panics
/// Outside of a loop.
pub async fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (owned(original), owned(link));
    blocking(move || std::os::unix::fs::symlink(original, link)).await
}

/// Where a symbolic link leads.
///
/// # Errors
/// As [`std::fs::read_link`]: `EINVAL` for what is no link.
///
/// # Panics
/// Outside of a loop.
pub async fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = owned(path);
    blocking(move || fs::read_link(path)).await
}

/// The path from the root, without links and dots.
///
/// # Errors
/// As [`std::fs::canonicalize`].
///
/// # Panics
/// Outside of a loop.
pub async fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = owned(path);
    blocking(move || fs::canonicalize(path)).await
}

/// Says who may do what with a file.
///
/// # Errors
/// As [`std::fs::set_permissions`].
///
/// # Panics
/// Outside of a loop.
pub async fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = owned(path);
    blocking(move || fs::set_permissions(path, permissions)).await
}
