//! The file of a Unix socket on which the server listens, from its lock to its removal.
//!
//! bind(2) makes the file, and only a lock shows which server owns it. A file that an earlier
//! server left behind must be removed first; a file that a server listens on must stay; and a
//! server that ends must not remove the file of its successor. So a server holds a flock(2) on
//! `PATH.lock` from before it looks at the path until the file is removed. The kernel releases the
//! lock when the process ends, however it ends.
//!
//! A program that does not use the lock is found by connecting a *datagram* socket. That is no
//! client, and never waits, so it also finds a server that is stopped, or whose backlog is full:
//! connect(2) fails with `EPROTOTYPE` if a socket of another type is bound there, and with
//! `ECONNREFUSED` if none is.

use crate::holder::Holder;
use crate::permissions::Permissions;
use crate::systemd::passed::Passed;
use oneloop::net::Addr;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::cell::Cell;
use std::ffi::OsString;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
#[cfg(feature = "systemd")]
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tracing::warn;

/// Why the server cannot listen on an address.
#[derive(Debug)]
pub(crate) enum ListenError {
    /// A server listens there, or is about to.
    InUse(Option<Holder>),
    /// The lock file cannot be opened.
    Lock(PathBuf, io::Error),
    /// The files cannot be given to their owner.
    Owner(io::Error),
    Io(io::Error),
}

impl From<io::Error> for ListenError {
    fn from(error: io::Error) -> Self {
        ListenError::Io(error)
    }
}

/// A socket's file. It is removed when this is dropped, unless another program has put its own
/// there.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    id: Option<FileId>,
    lock: Lock,
}

impl SocketFile {
    /// Listens on a path that no other server has. `listen` makes the file.
    pub(crate) fn listen<T>(
        path: &Path,
        permissions: Permissions,
        listen: impl FnOnce() -> io::Result<T>,
    ) -> Result<(T, SocketFile), ListenError> {
        if is_no_socket(path) {
            return Err(io::Error::from(ErrorKind::AddrInUse).into());
        }
        // A file that is no socket is refused before the lock is taken: not even a lock file may
        // appear beside a user's file.
        let lock = Lock::take(path)?;
        permissions
            .give_away_open(&lock.file)
            .map_err(ListenError::Owner)?;
        // The lock is ours, so no server of ours listens there. Another program may, which uses
        // no lock.
        if is_socket(path) {
            if is_bound(path)? {
                return Err(ListenError::InUse(Holder::of_addr(&Addr::UnixPath(
                    path.into(),
                ))));
            }
            std::fs::remove_file(path)?;
        }
        let listener = permissions.bind(listen).inspect_err(|error| {
            // Then bind(2) has made the file, and listen(2) or a later call has failed.
            if error.kind() != ErrorKind::AddrInUse && is_bound(path).is_ok_and(|bound| !bound) {
                let _ = std::fs::remove_file(path);
            }
        })?;
        let file = SocketFile {
            path: path.to_owned(),
            id: FileId::of(path),
            lock,
        };
        // If that fails, the file is removed by the drop.
        permissions.give_away(path).map_err(ListenError::Owner)?;
        Ok((listener, file))
    }

    /// The file of a socket that a predecessor has passed to this process, with its lock. It stays
    /// the predecessor's until [`SocketFile::take_over`].
    pub(crate) fn inherit(path: &Path, passed: &mut Passed) -> Option<SocketFile> {
        let lock = Lock::path_of(path);
        let file = passed.take_lock(|file| {
            let found = file.metadata().map(|found| FileId::from(&found));
            found.is_ok_and(|found| FileId::of(&lock) == Some(found))
        })?; // none for the socket of a service manager, whose file stays
        Some(SocketFile {
            path: path.to_owned(),
            id: FileId::of(path),
            lock: Lock {
                path: lock,
                file,
                is_anothers: Cell::new(true),
            },
        })
    }

    /// The predecessor accepts no more: from now on this process removes the file.
    #[cfg(feature = "systemd")]
    pub(crate) fn take_over(&self) {
        self.lock.is_anothers.set(false);
    }

    /// A successor has the socket and the lock: this process leaves the file.
    #[cfg(feature = "systemd")]
    pub(crate) fn hand_over(&self) {
        self.lock.is_anothers.set(true);
    }

    /// Duplicates the lock, for a successor: flock(2) holds it until all duplicates are closed.
    #[cfg(feature = "systemd")]
    pub(crate) fn lock_fd(&self) -> io::Result<OwnedFd> {
        Ok(self.lock.file.try_clone()?.into())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Without the lock, the file may be a successor's, or become that between the look and the
        // removal.
        if self.lock.is_ours() && self.id.is_some() && FileId::of(&self.path) == self.id {
            // If it fails, the next server on this path finds the file left over, and removes it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Device, inode, and time of birth: inode numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64, Option<SystemTime>);

impl FileId {
    /// Identifies the file itself, not the target of a link.
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

/// The lock on a path. Its file is removed before the lock is released. So a server that gets a
/// lock must check that other servers would still find the file that it has locked.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
    /// In a hot restart: the lock and the socket's file belong to another process.
    is_anothers: Cell<bool>,
}

impl Lock {
    pub(crate) fn path_of(socket: &Path) -> PathBuf {
        let mut path = OsString::from(socket);
        path.push(".lock");
        PathBuf::from(path)
    }

    fn take(socket: &Path) -> Result<Lock, ListenError> {
        let path = Lock::path_of(socket);
        loop {
            let file = open(&path).map_err(|error| explain(socket, &path, error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let inode = file.metadata().map_or(0, |file| file.ino());
                    return Err(ListenError::InUse(Holder::of_lock(inode)));
                }
                Err(TryLockError::Error(error)) => {
                    // A file system without locks, or a sandbox. A server that is alone needs no
                    // lock.
                    warn!(path = %path.display(), %error, "cannot lock the path: another server may take it over");
                }
            }
            let path = path.clone();
            // flock(2) locks the open file, not its name. Between open and lock, the last owner
            // may have removed the file, and another server made a new one.
            let lock = Lock {
                path,
                file,
                is_anothers: Cell::new(false),
            };
            if lock.is_ours() {
                return Ok(lock);
            } // else its last owner has removed the file: lock the next one
        }
    }

    /// True while the file that is locked is the one that other servers find.
    fn is_ours(&self) -> bool {
        if self.is_anothers.get() {
            return false;
        }
        let locked = self.file.metadata().map(|file| FileId::from(&file));
        locked.is_ok_and(|locked| FileId::of(&self.path) == Some(locked))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file with content is a user's, which has that name by chance.
        let is_empty = self.file.metadata().is_ok_and(|file| file.len() == 0);
        if is_empty && self.is_ours() {
            let _ = std::fs::remove_file(&self.path); // an empty file may stay
        }
    }
}

/// Opens a lock file, or makes it. flock(2) works on a file that is open for reading only.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    loop {
        // Without O_CREAT: where fs.protected_regular is set (proc_sys_fs(5)), that fails for
        // another user's file in a sticky directory such as /tmp.
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
                return Err(io::Error::other("it is not a regular file"));
            }
            made => return made,
        }
    }
}

/// Explains why there is no lock: a server listens there, the lock file is unusable, or the
/// directory is.
fn explain(socket: &Path, lock: &Path, error: io::Error) -> ListenError {
    if is_socket(socket) && is_bound(socket).is_ok_and(|bound| bound) {
        return ListenError::InUse(Holder::of_addr(&Addr::UnixPath(socket.into())));
    }
    if lock.symlink_metadata().is_ok() {
        return ListenError::Lock(lock.to_owned(), error);
    }
    ListenError::Io(error)
}

/// True if a socket is bound to that file. None is to the file that an earlier server left behind.
///
/// # Errors
/// Those of `connect(2)` that leave it open: `EACCES` for a socket that this user may not write to.
fn is_bound(path: &Path) -> io::Result<bool> {
    // The standard library's connect refuses paths that fill `sun_path`; the kernel does not.
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

/// True if there is a file, and it is not a socket.
pub(crate) fn is_no_socket(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|file| !file.file_type().is_socket())
}
