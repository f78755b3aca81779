//! Files in Node's words: `require('fs')`.
//!
//! ```
//! use oneloop::callback::{fs, run};
//! run(|| {
//!     fs::read_file("/no/such/file", |bytes| {
//!         let error = bytes.unwrap_err();
//!         assert_eq!(error.message(), "ENOENT: no such file or directory, open '/no/such/file'");
//!     });
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A call begins at once, on the loop's pool of threads. Its callback runs in the poll phase, with
//! a `Result`; ticks and microtasks follow. As in Node, a function that makes several system calls
//! takes several turns ([`read_file`]: open, fstat, read, close), so an immediate comes first. As
//! in Node, a call cannot be canceled; if the program ends before it completes, its result is
//! dropped.
//!
//! The same functions as futures are in [`promises`]. [`create_read_stream`] and
//! [`create_write_stream`] are files as streams. There are no `…Sync` functions: [`std::fs`] has
//! them.

mod begin;
mod handle;
mod options;
pub mod promises;
mod streams;
mod watcher;

pub use crate::error::Error;
pub use handle::FileHandle;
pub use oneloop_fs::{Access, Metadata};
pub use options::{MkdirOptions, RmOptions};
pub use streams::{
    ReadStreamOptions, WriteStreamOptions, create_read_stream, create_read_stream_with,
    create_write_stream, create_write_stream_with,
};
pub use watcher::{EventType, FsWatcher, WatchOptions, WeakFsWatcher, event, watch, watch_with};

use crate::thrown::IntoResult;
use begin::begin;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The functions that take paths and a callback: each begins the promise of the same name.
// A macro, as they differ only in names, arguments and results.
macro_rules! of_promises {
    ($(
        $name:ident($($path:ident),+ $(; $option:ident: $options:ty)?) -> $output:ty: $doc:literal;
    )*) => {$(
        #[doc = $doc]
        #[doc = concat!("Calls a function with the result: see [`promises::", stringify!($name), "`].")]
        ///
        /// # Panics
        /// Outside of [`run`](crate::run).
        #[track_caller]
        pub fn $name<O: IntoResult>(
            $($path: impl AsRef<Path>,)+
            $($option: $options,)?
            callback: impl FnOnce(Result<$output, Error>) -> O + 'static,
        ) {
            $(let $path = $path.as_ref().to_owned();)+
            begin(promises::$name($($path,)+ $($option)?), callback);
        }
    )*};
}

of_promises! {
    read_file(path) -> Vec<u8>: "Reads a whole file.";
    stat(path) -> Metadata: "Reads the metadata of a file; a symbolic link is followed.";
    lstat(path) -> Metadata: "Reads the metadata of a file, or of a symbolic link itself.";
    readdir(path) -> Vec<OsString>: "Lists the names in a directory, sorted.";
    rename(from, to) -> (): "Renames a file.";
    copy_file(from, to) -> (): "Copies a file.";
    unlink(path) -> (): "Removes a file.";
    rm(path) -> (): "Removes a file, which must exist.";
    rmdir(path) -> (): "Removes an empty directory.";
    rm_with(path; options: RmOptions) -> (): "Removes a file or a directory, with options.";
    mkdir(path) -> (): "Makes a directory.";
    mkdir_with(path; options: MkdirOptions) -> (): "Makes a directory, with options.";
    mkdtemp(prefix) -> PathBuf: "Makes a directory with a unique name, which is not removed.";
    access(path) -> (): "Checks that a file exists.";
    access_with(path; access: Access) -> (): "Checks whether this process may access a file.";
    link(existing, new) -> (): "Makes a hard link.";
    symlink(target, path) -> (): "Makes a symbolic link.";
    readlink(path) -> PathBuf: "Reads the target of a symbolic link.";
    realpath(path) -> PathBuf: "Resolves a path to an absolute one, without links and dots.";
}

/// Replaces the contents of a file. See [`promises::write_file`].
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn write_file<O: IntoResult>(
    path: impl AsRef<Path>,
    data: impl Into<Vec<u8>>,
    callback: impl FnOnce(Result<(), Error>) -> O + 'static,
) {
    let (path, data) = (path.as_ref().to_owned(), data.into());
    begin(promises::write_file(path, data), callback);
}

/// Appends to a file. See [`promises::append_file`].
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn append_file<O: IntoResult>(
    path: impl AsRef<Path>,
    data: impl Into<Vec<u8>>,
    callback: impl FnOnce(Result<(), Error>) -> O + 'static,
) {
    let (path, data) = (path.as_ref().to_owned(), data.into());
    begin(promises::append_file(path, data), callback);
}

/// Calls a function with true if a file exists. Deprecated in Node, as the callback gets no error:
/// see [`access`].
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn exists<O: IntoResult>(path: impl AsRef<Path>, callback: impl FnOnce(bool) -> O + 'static) {
    access(path, |result| callback(result.is_ok()));
}

/// Opens a file. See [`promises::open`].
///
/// # Errors
/// `ERR_INVALID_ARG_VALUE` for flags that [`promises::open`] does not list.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn open<O: IntoResult>(
    path: impl AsRef<Path>,
    flags: &str,
    callback: impl FnOnce(Result<FileHandle, Error>) -> O + 'static,
) -> Result<(), Error> {
    // Checked now: Node throws for invalid flags.
    let options = handle::options(flags)?;
    begin(handle::open(path.as_ref().to_owned(), options), callback);
    Ok(())
}
