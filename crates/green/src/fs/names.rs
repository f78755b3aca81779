//! Operations on paths.

use crate::wait::wait_io;
use oneloop_fs::{self as base, Metadata, Permissions};
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// Functions that take paths, each as the one of the same name in `oneloop::fs`.
// A macro, as the functions differ only in their names and outputs.
macro_rules! of_paths {
    ($($name:ident($($path:ident),+) -> $output:ty: $doc:literal;)*) => {$(
        #[doc = $doc]
        ///
        /// # Errors
        #[doc = concat!(
            "Those of [`oneloop::fs::", stringify!($name), "`](oneloop_fs::", stringify!($name), ")."
        )]
        ///
        /// # Panics
        /// Outside of a green thread.
        #[track_caller]
        pub fn $name($($path: impl AsRef<Path>),+) -> io::Result<$output> {
            wait_io(base::$name($($path),+), Location::caller())
        }
    )*};
}

of_paths! {
    read(path) -> Vec<u8>: "Reads a whole file.";
    read_to_string(path) -> String: "Reads a whole file as text.";
    metadata(path) -> Metadata: "The metadata of a file; follows symbolic links.";
    symlink_metadata(path) -> Metadata: "The metadata of a file, or of a symbolic link itself.";
    try_exists(path) -> bool: "True if there is such a file.";
    rename(from, to) -> (): "Renames a file.";
    copy(from, to) -> u64: "Copies a file and its permissions.";
    remove_file(path) -> (): "Removes a file.";
    remove_dir(path) -> (): "Removes an empty directory.";
    remove_dir_all(path) -> (): "Removes a directory and everything in it.";
    create_dir(path) -> (): "Creates a directory.";
    create_dir_all(path) -> (): "Creates a directory and its missing parents.";
    hard_link(original, link) -> (): "Creates a hard link.";
    symlink(original, link) -> (): "Creates a symbolic link.";
    read_link(path) -> PathBuf: "The target of a symbolic link.";
    canonicalize(path) -> PathBuf: "The absolute path, without symbolic links and dots.";
}

/// Writes a whole file, and replaces its contents. See [`oneloop::fs::write`](oneloop_fs::write).
///
/// # Errors
/// As there.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    wait_io(base::write(path, contents), Location::caller())
}

/// Sets the permissions of a file. See
/// [`oneloop::fs::set_permissions`](oneloop_fs::set_permissions).
///
/// # Errors
/// As there.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    wait_io(base::set_permissions(path, permissions), Location::caller())
}
