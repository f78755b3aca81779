//! The owner and the mode of a Unix socket's file.

use rustix::fs::Mode;
use rustix::process::umask;
use std::fs::File;
use std::io;
use std::os::unix::fs::{fchown, lchown};
use std::path::Path;

/// The owner and the mode of a socket's file. What is `None` is as for any new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permissions {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

impl Permissions {
    /// Makes a socket's file, by `bind`.
    ///
    /// # Errors
    /// That of `bind`.
    pub(crate) fn bind<T>(&self, bind: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(mode) = self.mode else {
            return bind();
        };
        // A chmod(2) behind it would leave a moment in which any user may connect. The umask is the
        // process's, but no other thread makes files while the server starts.
        let before = umask(Mode::from_bits_truncate(0o777 & !mode));
        let bound = bind();
        umask(before);
        bound
    }

    /// Gives the file to its owner.
    ///
    /// # Errors
    /// Those of `chown(2)`: `EPERM`, as only root may give files away.
    pub(crate) fn give_away(&self, path: &Path) -> io::Result<()> {
        match self.has_owner() {
            true => lchown(path, self.uid, self.gid),
            false => Ok(()),
        }
    }

    /// The same for an open file.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn give_away_open(&self, file: &File) -> io::Result<()> {
        match self.has_owner() {
            true => fchown(file, self.uid, self.gid),
            false => Ok(()),
        }
    }

    fn has_owner(&self) -> bool {
        self.uid.is_some() || self.gid.is_some()
    }
}
