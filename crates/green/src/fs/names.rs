//! What is done by name.

use crate::wait::wait_io;
use oneloop_fs::{self as base, Metadata, Permissions};
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// Functions of paths, each as the one of the same name in `oneloop_fs`.
macro_rules! of_paths {
    ($($name:ident($($path:ident),+) -> $output:ty: $doc:literal;)*) => {$(
        #[doc = $doc]
        #[doc = concat!("See [`oneloop_fs::", stringify!($name), "`].")]
        ///
        /// # Errors
        /// As there.
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
    read(path) -> Vec<u8>: "All bytes of a file.";
    read_to_string(path) -> String: "The text of a file.";
    metadata(path) -> Metadata: "What is known of a file; a symbolic link is followed.";
    symlink_metadata(path) -> Metadata: "What is known of a file, or of a symbolic link itself.";
    try_exists(path) -> bool: "True if there is such a file.";
    rename(from, to) -> (): "Gives a file another name.";
    copy(from, to) -> u64: "Copies a file and its permissions.";
    remove_file(path) -> (): "Removes a file.";
    remove_dir(path) -> (): "Removes an empty directory.";
    remove_dir_all(path) -> (): "Removes a directory and all that is in it.";
    create_dir(path) -> (): "Makes a directory.";
    create_dir_all(path) -> (): "Makes a directory, and those above it that are missing.";
    hard_link(original, link) -> (): "Gives a file a second name.";
    symlink(original, link) -> (): "Makes a symbolic link.";
    read_link(path) -> PathBuf: "Where a symbolic link leads.";
    canonicalize(path) -> PathBuf: "The path from the root, without links and dots.";
}

/// Makes these bytes the whole of a file. See [`oneloop_fs::write`].
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

/// Says who may do what with a file. See [`oneloop_fs::set_permissions`].
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
