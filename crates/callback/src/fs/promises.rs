//! File operations as futures: `require('fs/promises')`.
//!
//! Awaited in [`spawn_micro`](crate::spawn_micro), they resume in a microtask of the poll phase.
//! Any other task may await them as well. They begin when they are first polled; a promise of Node
//! begins when it is made.
//!
//! Cancel safety: an operation that a thread has begun completes even if the future is dropped; see
//! the functions of [`oneloop::fs`](oneloop_fs).

use super::handle::{self, FileHandle};
use super::options::{MkdirOptions, RmOptions};
use crate::error::Error;
use crate::runtime::in_later_turn;
use oneloop_fs::{self as base, Access, Metadata};
use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

/// Awaits a call about one file, and makes its error Node's.
async fn of_path<T>(
    syscall: &'static str,
    path: &Path,
    call: impl Future<Output = io::Result<T>>,
) -> Result<T, Error> {
    let failed = |error| Error::file(syscall, error, Some(path), None);
    in_later_turn(call).await.map_err(failed)
}

/// Awaits a call about two files, and makes its error Node's.
async fn of_paths<T>(
    syscall: &'static str,
    (path, dest): (&Path, &Path),
    call: impl Future<Output = io::Result<T>>,
) -> Result<T, Error> {
    let failed = |error| Error::file(syscall, error, Some(path), Some(dest));
    in_later_turn(call).await.map_err(failed)
}

/// Opens a file: `"r"` to read, `"w"` to write a new or truncated file, `"a"` to append; `"r+"`,
/// `"w+"` and `"a+"` to read and write. With an `x` behind the letter, the file must not exist:
/// `"wx+"`. Node's flags with an `s` are not supported.
///
/// # Errors
/// `ERR_INVALID_ARG_VALUE` for other flags; those of `open(2)`.
///
/// # Panics
/// Outside a loop.
pub async fn open(path: impl AsRef<Path>, flags: &str) -> Result<FileHandle, Error> {
    let options = handle::options(flags)?;
    handle::open(path.as_ref().to_owned(), options).await
}

/// Reads a whole file.
///
/// # Errors
/// Those of `open` and `read`.
///
/// # Panics
/// Outside a loop.
pub async fn read_file(path: impl AsRef<Path>) -> Result<Vec<u8>, Error> {
    let file = open(path, "r").await?;
    let read = file.read_all().await;
    file.close_and_wait().await; // after an error, too: Node closes in `finally`
    read
}

/// Replaces the contents of a file, or creates it.
///
/// # Errors
/// Those of `open` and `write`.
///
/// # Panics
/// Outside a loop.
pub async fn write_file(path: impl AsRef<Path>, data: impl Into<Vec<u8>>) -> Result<(), Error> {
    write_to(open(path, "w").await?, data.into()).await
}

/// Appends to a file, or creates it.
///
/// # Errors
/// Those of `open` and `write`.
///
/// # Panics
/// Outside a loop.
pub async fn append_file(path: impl AsRef<Path>, data: impl Into<Vec<u8>>) -> Result<(), Error> {
    write_to(open(path, "a").await?, data.into()).await
}

async fn write_to(file: FileHandle, data: Vec<u8>) -> Result<(), Error> {
    let written = file.write_all(&data).await;
    file.close_and_wait().await;
    written
}

/// Reads the metadata of a file; a symbolic link is followed.
///
/// # Errors
/// Those of `stat`.
///
/// # Panics
/// Outside a loop.
pub async fn stat(path: impl AsRef<Path>) -> Result<Metadata, Error> {
    of_path("stat", path.as_ref(), base::metadata(&path)).await
}

/// Reads the metadata of a file, or of a symbolic link itself.
///
/// # Errors
/// Those of `lstat`.
///
/// # Panics
/// Outside a loop.
pub async fn lstat(path: impl AsRef<Path>) -> Result<Metadata, Error> {
    of_path("lstat", path.as_ref(), base::symlink_metadata(&path)).await
}

/// Lists the names in a directory, sorted as libuv sorts them.
///
/// # Errors
/// Those of `scandir`.
///
/// # Panics
/// Outside a loop.
pub async fn readdir(path: impl AsRef<Path>) -> Result<Vec<OsString>, Error> {
    let names = async {
        let mut entries = base::read_dir(&path).await?;
        let mut names = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            names.push(entry.file_name().to_owned());
        }
        // By bytes, as in libuv, and not by the locale.
        names.sort();
        Ok(names)
    };
    of_path("scandir", path.as_ref(), names).await
}

/// Renames a file, and replaces a file that has the new name.
///
/// # Errors
/// Those of `rename`.
///
/// # Panics
/// Outside a loop.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), Error> {
    let paths = (from.as_ref(), to.as_ref());
    of_paths("rename", paths, base::rename(&from, &to)).await
}

/// Copies a file, and replaces a file that has the new name.
///
/// # Errors
/// Those of `copyfile`.
///
/// # Panics
/// Outside a loop.
pub async fn copy_file(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), Error> {
    let paths = (from.as_ref(), to.as_ref());
    let copied = of_paths("copyfile", paths, base::copy(&from, &to)).await;
    copied.map(drop)
}

/// Removes a file, or a symbolic link itself.
///
/// # Errors
/// Those of `unlink`.
///
/// # Panics
/// Outside a loop.
pub async fn unlink(path: impl AsRef<Path>) -> Result<(), Error> {
    of_path("unlink", path.as_ref(), base::remove_file(&path)).await
}

/// Removes an empty directory.
///
/// # Errors
/// Those of `rmdir`.
///
/// # Panics
/// Outside a loop.
pub async fn rmdir(path: impl AsRef<Path>) -> Result<(), Error> {
    of_path("rmdir", path.as_ref(), base::remove_dir(&path)).await
}

/// Removes a file, which must exist.
///
/// # Errors
/// Those of `lstat` and `unlink`; `ERR_FS_EISDIR` for a directory.
///
/// # Panics
/// Outside a loop.
pub async fn rm(path: impl AsRef<Path>) -> Result<(), Error> {
    rm_with(path, RmOptions::default()).await
}

/// Removes a file or a directory.
///
/// # Errors
/// As [`rm`].
///
/// # Panics
/// Outside a loop.
pub async fn rm_with(path: impl AsRef<Path>, options: RmOptions) -> Result<(), Error> {
    // Node's `rm` calls lstat(2) first, so these are its errors for a path that does not exist.
    let is_dir = match lstat(&path).await {
        Err(error) if options.force && error.code() == Some("ENOENT") => return Ok(()),
        metadata => metadata?.is_dir(),
    };
    if !is_dir {
        return unlink(&path).await;
    }
    if !options.recursive {
        let path = path.as_ref().display();
        let problem = format!("Path is a directory: rm returned EISDIR (is a directory) {path}");
        return Err(Error::new("ERR_FS_EISDIR", problem));
    }
    // Node's `rimraf` walks the tree in JavaScript; here, one job of the pool does.
    of_path("rm", path.as_ref(), base::remove_dir_all(&path)).await
}

/// Makes a directory.
///
/// # Errors
/// Those of `mkdir`.
///
/// # Panics
/// Outside a loop.
pub async fn mkdir(path: impl AsRef<Path>) -> Result<(), Error> {
    mkdir_with(path, MkdirOptions::default()).await
}

/// Makes a directory, with options.
///
/// # Errors
/// Those of `mkdir`.
///
/// # Panics
/// Outside a loop.
pub async fn mkdir_with(path: impl AsRef<Path>, options: MkdirOptions) -> Result<(), Error> {
    let made = async {
        match options.recursive {
            true => base::create_dir_all(&path).await,
            false => base::create_dir(&path).await,
        }
    };
    of_path("mkdir", path.as_ref(), made).await
}

/// Makes a directory whose name is this prefix and six letters, and returns its path. It is not
/// removed.
///
/// # Errors
/// Those of `mkdtemp`.
///
/// # Panics
/// Outside a loop.
pub async fn mkdtemp(prefix: impl AsRef<Path>) -> Result<PathBuf, Error> {
    let mut template = prefix.as_ref().as_os_str().to_owned();
    template.push("XXXXXX");
    let template = PathBuf::from(template);
    let dir = template.parent().unwrap_or(Path::new(""));
    let name = template.file_name().unwrap_or_default().as_encoded_bytes();
    let name = String::from_utf8_lossy(&name[..name.len() - "XXXXXX".len()]).into_owned();
    // The error names the template, as mkdtemp(3) gets it: `mkdtemp '/tmp/x-XXXXXX'`.
    let made = base::TempDir::with_prefix_in(name, dir);
    let made = of_path("mkdtemp", &template, made).await?.keep();
    Ok(dir.join(made.file_name().unwrap_or_default()))
}

/// Checks that a file exists.
///
/// # Errors
/// Those of `access`.
///
/// # Panics
/// Outside a loop.
pub async fn access(path: impl AsRef<Path>) -> Result<(), Error> {
    access_with(path, Access::default()).await
}

/// Checks whether this process may access a file.
///
/// # Errors
/// Those of `access`.
///
/// # Panics
/// Outside a loop.
pub async fn access_with(path: impl AsRef<Path>, access: Access) -> Result<(), Error> {
    of_path("access", path.as_ref(), base::access(&path, access)).await
}

/// Makes a hard link: a second name of a file.
///
/// # Errors
/// Those of `link`.
///
/// # Panics
/// Outside a loop.
pub async fn link(existing: impl AsRef<Path>, new: impl AsRef<Path>) -> Result<(), Error> {
    let paths = (existing.as_ref(), new.as_ref());
    of_paths("link", paths, base::hard_link(&existing, &new)).await
}

/// Makes a symbolic link at `path` that leads to `target`.
///
/// # Errors
/// Those of `symlink`.
///
/// # Panics
/// Outside a loop.
pub async fn symlink(target: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<(), Error> {
    let paths = (target.as_ref(), path.as_ref());
    of_paths("symlink", paths, base::symlink(&target, &path)).await
}

/// Reads the target of a symbolic link.
///
/// # Errors
/// Those of `readlink`.
///
/// # Panics
/// Outside a loop.
pub async fn readlink(path: impl AsRef<Path>) -> Result<PathBuf, Error> {
    of_path("readlink", path.as_ref(), base::read_link(&path)).await
}

/// Resolves a path to an absolute one, without links and dots.
///
/// # Errors
/// Those of `realpath`.
///
/// # Panics
/// Outside a loop.
pub async fn realpath(path: impl AsRef<Path>) -> Result<PathBuf, Error> {
    of_path("realpath", path.as_ref(), base::canonicalize(&path)).await
}
