//! Operations on names, each like the function of the same name in [`std::fs`].
//!
//! A future that is dropped before a thread has begun does nothing. After that, the operation
//! completes, and its result is dropped.

use crate::job::{blocking, opening};
use rustix::io::Errno;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

fn owned(path: impl AsRef<Path>) -> PathBuf {
    path.as_ref().to_owned()
}

/// Returns the metadata of a file; follows a symbolic link (`stat(2)`).
///
/// # Errors
/// As [`std::fs::metadata`].
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "stat")]
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = owned(path);
    blocking(move || fs::metadata(path)).await
}

/// Returns the metadata of a file, or of a symbolic link itself (`lstat(2)`).
///
/// # Errors
/// As [`std::fs::symlink_metadata`].
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "lstat")]
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = owned(path);
    blocking(move || fs::symlink_metadata(path)).await
}

/// Returns whether a file exists. A symbolic link to a missing file counts as missing.
///
/// # Errors
/// As [`std::fs::exists`]: `EACCES` if a directory on the way cannot be searched.
///
/// # Panics
/// Outside of a loop.
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = owned(path);
    blocking(move || fs::exists(path)).await
}

/// What [`access`] checks: with nothing set, whether the file exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether it can be read (`R_OK`).
    pub read: bool,
    /// Whether it can be written (`W_OK`).
    pub write: bool,
    /// Whether it can be executed, or a directory searched (`X_OK`).
    pub execute: bool,
}

/// Checks whether this process may access a file (`access(2)`); an error means that it may not. The
/// answer may have changed by the time the file is opened.
///
/// # Errors
/// `EACCES`, `ENOENT`, `EROFS`, `ETXTBSY`.
///
/// # Panics
/// Outside of a loop.
pub async fn access(path: impl AsRef<Path>, access: Access) -> io::Result<()> {
    let path = owned(path);
    let checks = [
        (access.read, rustix::fs::Access::READ_OK),
        (access.write, rustix::fs::Access::WRITE_OK),
        (access.execute, rustix::fs::Access::EXEC_OK),
    ];
    let checks = checks.into_iter().filter(|(is_wanted, _)| *is_wanted);
    let mode = checks.fold(rustix::fs::Access::EXISTS, |mode, (_, bit)| mode | bit);
    blocking(move || Ok(rustix::fs::access(path, mode)?)).await
}

/// Renames a file, and replaces one that has the new name.
///
/// # Errors
/// As [`std::fs::rename`]: `EXDEV` for a name on another file system.
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "mv")]
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (owned(from), owned(to));
    blocking(move || fs::rename(from, to)).await
}

/// Copies a file and its permissions, and returns the number of bytes. The standard library uses
/// `copy_file_range(2)`: some file systems then share the blocks (a reflink), and on others the
/// bytes at least do not pass through this process. A file that is copied to itself, under any
/// name, does not change, as in libuv.
///
/// Once a thread has begun, the copy completes. A copy from a FIFO occupies a thread of the pool
/// until all writers have closed it.
///
/// # Errors
/// As [`std::fs::copy`]; `EISDIR` if `from` is a directory.
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
            // `fs::copy` opens the target with O_TRUNC, which would empty the source.
            return Ok(known.len());
        }
        fs::copy(from, to)
    };
    opening(copy).await
}

/// Removes a file, or a symbolic link itself.
///
/// # Errors
/// As [`std::fs::remove_file`].
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "unlink")]
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

/// Removes a directory with its contents; does not follow symbolic links.
///
/// # Errors
/// As [`std::fs::remove_dir_all`]. Files that were removed before stay removed.
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "rmtree")]
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    blocking(move || fs::remove_dir_all(path)).await
}

/// Creates a directory.
///
/// # Errors
/// As [`std::fs::create_dir`].
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "mkdir")]
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    blocking(move || fs::create_dir(path)).await
}

/// Creates a directory, and all missing directories above it.
///
/// # Errors
/// As [`std::fs::create_dir_all`].
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "makedirs")]
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    blocking(move || fs::create_dir_all(path)).await
}

/// Creates another name for a file (a hard link).
///
/// # Errors
/// As [`std::fs::hard_link`].
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "link")]
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (owned(original), owned(link));
    blocking(move || fs::hard_link(original, link)).await
}

/// Creates a symbolic link to `original`, which need not exist.
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

/// Returns the target of a symbolic link.
///
/// # Errors
/// As [`std::fs::read_link`]: `EINVAL` if the file is not a link.
///
/// # Panics
/// Outside of a loop.
pub async fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = owned(path);
    blocking(move || fs::read_link(path)).await
}

/// Returns the absolute path of a file, without symbolic links, `.` and `..`.
///
/// # Errors
/// As [`std::fs::canonicalize`].
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "realpath")]
pub async fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = owned(path);
    blocking(move || fs::canonicalize(path)).await
}

/// Sets the permissions of a file.
///
/// # Errors
/// As [`std::fs::set_permissions`].
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "chmod")]
pub async fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = owned(path);
    blocking(move || fs::set_permissions(path, permissions)).await
}
