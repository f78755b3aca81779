//! Files to be awaited: `require('fs/promises')`.
//!
//! Awaited in [`spawn_micro`](crate::spawn_micro), they go on in a microtask of the poll phase. Any
//! other task may await them as well. They begin when they are first polled, and not, as a promise,
//! when they are made.
//!
//! Cancel: what a thread has begun is done, and nobody hears of it; see the functions of
//! [`oneloop_fs`].

use super::handle::{self, FileHandle};
use super::options::{MkdirOptions, RmOptions};
use crate::error::Error;
use crate::runtime::in_later_turn;
use oneloop_fs::{self as base, Access, Metadata};
use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

/// What a call about one file gives, with Node's error.
async fn of_path<T>(
    syscall: &'static str,
    path: &Path,
    call: impl Future<Output = io::Result<T>>,
) -> Result<T, Error> {
    let told = |error| Error::file(syscall, error, Some(path), None);
    in_later_turn(call).await.map_err(told)
}

/// The same about two.
async fn of_paths<T>(
    syscall: &'static str,
    (path, dest): (&Path, &Path),
    call: impl Future<Output = io::Result<T>>,
) -> Result<T, Error> {
    let told = |error| Error::file(syscall, error, Some(path), Some(dest));
    in_later_turn(call).await.map_err(told)
}

/// Opens a file: `"r"` to read it, `"w"` to write it anew, `"a"` to append; `"r+"`, `"w+"` and
/// `"a+"` for both; an `x` behind the letter means that it must not be there: `"wx+"`. Node's flags
/// with an `s` are not known.
///
/// # Errors
/// `ERR_INVALID_ARG_VALUE` for other flags; those of `open(2)`.
///
/// # Panics
/// Outside of a loop.
pub async fn open(path: impl AsRef<Path>, flags: &str) -> Result<FileHandle, Error> {
    let options = handle::options(flags)?;
    handle::open(path.as_ref().to_owned(), options).await
}

/// All bytes of a file.
///
/// # Errors
/// Those of `open` and `read`.
///
/// # Panics
/// Outside of a loop.
pub async fn read_file(path: impl AsRef<Path>) -> Result<Vec<u8>, Error> {
    let file = open(path, "r").await?;
    let read = file.read_all().await;
    file.closed().await;
    read
}

/// Makes these bytes the whole of a file.
///
/// # Errors
/// Those of `open` and `write`.
///
/// # Panics
/// Outside of a loop.
pub async fn write_file(path: impl AsRef<Path>, data: impl Into<Vec<u8>>) -> Result<(), Error> {
    write_to(open(path, "w").await?, data.into()).await
}

/// Adds these bytes to a file, which is made if there is none.
///
/// # Errors
/// Those of `open` and `write`.
///
/// # Panics
/// Outside of a loop.
pub async fn append_file(path: impl AsRef<Path>, data: impl Into<Vec<u8>>) -> Result<(), Error> {
    write_to(open(path, "a").await?, data.into()).await
}

async fn write_to(file: FileHandle, data: Vec<u8>) -> Result<(), Error> {
    let written = file.write_all(&data).await;
    file.closed().await;
    written
}

/// What is known of a file; a symbolic link is followed.
///
/// # Errors
/// Those of `stat`.
///
/// # Panics
/// Outside of a loop.
pub async fn stat(path: impl AsRef<Path>) -> Result<Metadata, Error> {
    of_path("stat", path.as_ref(), base::metadata(&path)).await
}

/// What is known of a file, or of a symbolic link itself.
///
/// # Errors
/// Those of `lstat`.
///
/// # Panics
/// Outside of a loop.
pub async fn lstat(path: impl AsRef<Path>) -> Result<Metadata, Error> {
    of_path("lstat", path.as_ref(), base::symlink_metadata(&path)).await
}

/// The names in a directory, sorted as libuv does.
///
/// # Errors
/// Those of `scandir`.
///
/// # Panics
/// Outside of a loop.
pub async fn readdir(path: impl AsRef<Path>) -> Result<Vec<OsString>, Error> {
    let names = async {
        let mut entries = base::read_dir(&path).await?;
        let mut names = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            names.push(entry.file_name().to_owned());
        }
        names.sort();
        Ok(names)
    };
    of_path("scandir", path.as_ref(), names).await
}

/// Gives a file another name, in place of what has that name.
///
/// # Errors
/// Those of `rename`.
///
/// # Panics
/// Outside of a loop.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), Error> {
    let paths = (from.as_ref(), to.as_ref());
    of_paths("rename", paths, base::rename(&from, &to)).await
}

/// Copies a file, over what has that name.
///
/// # Errors
/// Those of `copyfile`.
///
/// # Panics
/// Outside of a loop.
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
/// Outside of a loop.
pub async fn unlink(path: impl AsRef<Path>) -> Result<(), Error> {
    of_path("unlink", path.as_ref(), base::remove_file(&path)).await
}

/// Removes an empty directory.
///
/// # Errors
/// Those of `rmdir`.
///
/// # Panics
/// Outside of a loop.
pub async fn rmdir(path: impl AsRef<Path>) -> Result<(), Error> {
    of_path("rmdir", path.as_ref(), base::remove_dir(&path)).await
}

/// Removes a file, which has to be there.
///
/// # Errors
/// Those of `lstat` and `unlink`; `ERR_FS_EISDIR` for a directory.
///
/// # Panics
/// Outside of a loop.
pub async fn rm(path: impl AsRef<Path>) -> Result<(), Error> {
    rm_with(path, RmOptions::default()).await
}

/// Removes something.
///
/// # Errors
/// As [`rm`].
///
/// # Panics
/// Outside of a loop.
pub async fn rm_with(path: impl AsRef<Path>, options: RmOptions) -> Result<(), Error> {
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
    of_path("rm", path.as_ref(), base::remove_dir_all(&path)).await
}

/// Makes a directory.
///
/// # Errors
/// Those of `mkdir`.
///
/// # Panics
/// Outside of a loop.
pub async fn mkdir(path: impl AsRef<Path>) -> Result<(), Error> {
    mkdir_with(path, MkdirOptions::default()).await
}

/// Makes a directory, with options.
///
/// # Errors
/// Those of `mkdir`.
///
/// # Panics
/// Outside of a loop.
pub async fn mkdir_with(path: impl AsRef<Path>, options: MkdirOptions) -> Result<(), Error> {
    let made = async {
        match options.recursive {
            true => base::create_dir_all(&path).await,
            false => base::create_dir(&path).await,
        }
    };
    of_path("mkdir", path.as_ref(), made).await
}

/// Makes a directory whose name is this prefix and six letters, and gives its path. It stays.
///
/// # Errors
/// Those of `mkdtemp`.
///
/// # Panics
/// Outside of a loop.
pub async fn mkdtemp(prefix: impl AsRef<Path>) -> Result<PathBuf, Error> {
    let mut template = prefix.as_ref().as_os_str().to_owned();
    template.push("XXXXXX");
    let template = PathBuf::from(template);
    let dir = template.parent().unwrap_or(Path::new(""));
    let name = template.file_name().unwrap_or_default().as_encoded_bytes();
    let name = String::from_utf8_lossy(&name[..name.len() - "XXXXXX".len()]).into_owned();
    let made = base::TempDir::with_prefix_in(name, dir);
    let made = of_path("mkdtemp", &template, made).await?.keep();
    Ok(dir.join(made.file_name().unwrap_or_default()))
}

/// Asks whether there is such a file.
///
/// # Errors
/// Those of `access`.
///
/// # Panics
/// Outside of a loop.
pub async fn access(path: impl AsRef<Path>) -> Result<(), Error> {
    access_with(path, Access::default()).await
}

/// Asks whether this process may do something with a file.
///
/// # Errors
/// Those of `access`.
///
/// # Panics
/// Outside of a loop.
pub async fn access_with(path: impl AsRef<Path>, access: Access) -> Result<(), Error> {
    of_path("access", path.as_ref(), base::access(&path, access)).await
}

/// Gives a file a second name.
///
/// # Errors
/// Those of `link`.
///
/// # Panics
/// Outside of a loop.
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
/// Outside of a loop.
pub async fn symlink(target: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<(), Error> {
    let paths = (target.as_ref(), path.as_ref());
    of_paths("symlink", paths, base::symlink(&target, &path)).await
}

/// Where a symbolic link leads.
///
/// # Errors
/// Those of `readlink`.
///
/// # Panics
/// Outside of a loop.
pub async fn readlink(path: impl AsRef<Path>) -> Result<PathBuf, Error> {
    of_path("readlink", path.as_ref(), base::read_link(&path)).await
}

/// The path from the root, without links and dots.
///
/// # Errors
/// Those of `realpath`.
///
/// # Panics
/// Outside of a loop.
pub async fn realpath(path: impl AsRef<Path>) -> Result<PathBuf, Error> {
    of_path("realpath", path.as_ref(), base::canonicalize(&path)).await
}
