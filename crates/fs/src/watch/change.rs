//! The changes of watched files and directories.

use std::path::PathBuf;

/// A change of a watched file or directory. Paths begin with the path that was given to
/// [`Watcher::watch`](crate::Watcher::watch).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A file or directory was created, or moved here from a directory that is not watched.
    Created(PathBuf),
    /// The contents of a file have changed, or its length.
    Modified(PathBuf),
    /// The metadata has changed: permissions, times, owner, number of links.
    Attributes(PathBuf),
    /// A file or directory was removed, or moved to a directory that is not watched.
    Removed(PathBuf),
    /// A file or directory was renamed, perhaps into another directory, and replaced one that had
    /// the new name.
    ///
    /// An exchange of two names (`RENAME_EXCHANGE` of renameat2(2)) is two renames, as the kernel
    /// reports it: `a` to `b`, then `b` to `a`. Both names are still there.
    Renamed {
        /// The old name.
        from: PathBuf,
        /// The new name.
        to: PathBuf,
    },
    /// The path that was given to [`Watcher::watch`](crate::Watcher::watch) was removed or renamed,
    /// and is no longer watched.
    Gone(PathBuf),
    /// More events came than the kernel keeps (`fs.inotify.max_queued_events`), so some changes are
    /// lost: read everything again. Directories that were created meanwhile are watched from now
    /// on. Changes may follow that what you read then contains already.
    Overflow,
}
