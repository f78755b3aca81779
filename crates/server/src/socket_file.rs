//! The file of a Unix socket on which the server listens, from its lock to its removal.
//!
//! bind(2) makes the file, and nothing but a lock says whose it is: a file that an earlier server left
//! has to be removed before, one that a server listens on must not be, and an ending server must not
//! remove its successor's. So a server holds a flock(2) on `PATH.lock` from before it looks at the path
//! until the file is gone. The kernel drops the lock when the process ends, however it ends.
//!
//! Programs that know nothing of the lock are found by connecting a *datagram* socket, which is no
//! client, never waits, and so finds a server that is stopped, or whose backlog is full: unix(7) says
//! `EPROTOTYPE` if another kind of socket is bound there, and `ECONNREFUSED` if none is.

use crate::holder::Holder;
use oneloop::net::Addr;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::ffi::OsString;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tracing::warn;

/// Why a path cannot be had.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A server listens there, or is about to.
    InUse(Option<Holder>),
    /// The lock file cannot be opened.
    Lock(PathBuf, io::Error),
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Refused::Io(error)
    }
}

/// A socket's file, which goes with this unless another program has put its own there.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    id: Option<FileId>,
    lock: Lock,
}

impl SocketFile {
    /// Listens on a path that no server has. `listen` makes the file.
    pub(crate) fn listen<T>(
        path: &Path,
        listen: impl FnOnce() -> io::Result<T>,
    ) -> Result<(T, SocketFile), Refused> {
        if is_no_socket(path) {
            return Err(io::Error::from(ErrorKind::AddrInUse).into());
        }
        let lock = Lock::take(path)?;
        if is_socket(path) {
            if is_bound(path)? {
                return Err(Refused::InUse(Holder::of_addr(&Addr::UnixPath(
                    path.into(),
                ))));
            }
            std::fs::remove_file(path)?;
        }
        let listener = listen().inspect_err(|error| {
            // The file is ours if bind(2) made it, and listen(2) or what came then failed.
            if error.kind() != ErrorKind::AddrInUse && is_bound(path).is_ok_and(|bound| !bound) {
                let _ = std::fs::remove_file(path);
            }
        })?;
        let file = SocketFile {
            path: path.to_owned(),
            id: FileId::of(path),
            lock,
        };
        Ok((listener, file))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Without the lock a successor may be there by now, or come between the look and the removal.
        if self.lock.is_ours() && self.id.is_some() && FileId::of(&self.path) == self.id {
            // If it fails, the next server on this path finds the file left over, and removes it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Device, inode, and the time of birth, as inodes are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64, Option<SystemTime>);

impl FileId {
    /// The file itself, not what a link points to.
    fn of(path: &Path) -> Option<FileId> {
        let found = path.symlink_metadata().ok()?;
        Some(FileId::from(&found))
    }
}

impl From<&Metadata> for FileId {
    fn from(file: &Metadata) -> Self {
        FileId(file.dev(), file.ino(), file.created().ok())
    }
}

/// The lock on a path. Its file is removed before the lock is let go, and whoever takes a lock looks
/// whether its file is still the one that others find.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    fn take(socket: &Path) -> Result<Lock, Refused> {
        let mut path = OsString::from(socket);
        path.push(".lock");
        let path = PathBuf::from(path);
        loop {
            let file = open(&path).map_err(|error| refuse(socket, &path, error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let inode = file.metadata().map_or(0, |file| file.ino());
                    return Err(Refused::InUse(Holder::of_lock(inode)));
                }
                Err(TryLockError::Error(error)) => {
                    // A file system without locks, or a sandbox: a server alone does not need one.
                    warn!(path = %path.display(), %error, "cannot lock: nothing keeps other servers off this path");
                }
            }
            let path = path.clone();
            let lock = Lock { path, file };
            if lock.is_ours() {
                return Ok(lock);
            } // else the server that had it has removed it meanwhile
        }
    }

    /// True while the file that is locked is the one that other servers find.
    fn is_ours(&self) -> bool {
        let locked = self.file.metadata().map(|file| FileId::from(&file));
        locked.is_ok_and(|locked| FileId::of(&self.path) == Some(locked))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // One that is not empty is somebody's data, which has that name by chance.
        let is_empty = self.file.metadata().is_ok_and(|file| file.len() == 0);
        if is_empty && self.is_ours() {
            let _ = std::fs::remove_file(&self.path); // an empty file may stay
        }
    }
}

/// Opens a lock file, or makes it. flock(2) asks for no right to write.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    loop {
        // Not with O_CREAT: where /proc/sys/fs/protected_regular is set, that fails for the file of
        // another user in a sticky directory.
        let opened = File::options().read(true).custom_flags(flags).open(path);
        let made = match opened {
            Err(error) if error.kind() == ErrorKind::NotFound => File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path),
            opened => opened,
        };
        match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {} // another server made it
            Ok(file) if !file.metadata()?.is_file() => {
                return Err(io::Error::other("it is no regular file"));
            }
            made => return made,
        }
    }
}

/// Says what is wrong with the path: a server that listens there, or else the lock file, or the directory.
fn refuse(socket: &Path, lock: &Path, error: io::Error) -> Refused {
    if is_socket(socket) && is_bound(socket).is_ok_and(|bound| bound) {
        return Refused::InUse(Holder::of_addr(&Addr::UnixPath(socket.into())));
    }
    if lock.symlink_metadata().is_ok() {
        return Refused::Lock(lock.to_owned(), error);
    }
    Refused::Io(error)
}

/// True if a socket is bound to that file; the file that an earlier server left has none.
///
/// # Errors
/// Those of `connect(2)` that do not say: `EACCES` for a socket that this user may not write to.
fn is_bound(path: &Path) -> io::Result<bool> {
    // The standard library's connect refuses the longest paths.
    let look = net::socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    match net::connect(&look, &SocketAddrUnix::new(path)?) {
        Ok(()) | Err(Errno::PROTOTYPE) => Ok(true), // Ok: a datagram socket
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn is_socket(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|file| file.file_type().is_socket())
}

/// True if there is a file, and it is something else.
pub(crate) fn is_no_socket(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|file| !file.file_type().is_socket())
}
