//! From `--listen` to listening sockets.

use crate::endpoint::Endpoint;
use crate::options::Options;
use oneloop::Handle;
use oneloop::net::{Addr, ListenOptions, Listener};
use std::io;
use std::net::{Ipv6Addr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tracing::warn;

/// The addresses to listen on, all names looked up.
pub(crate) fn resolve(options: &Options) -> Result<Vec<Addr>, String> {
    let mut addrs = Vec::new();
    for text in &options.listen {
        for addr in resolve_one(text)? {
            // Port 0 is another port each time.
            if has_port_0(&addr) || !addrs.contains(&addr) {
                addrs.push(addr);
            }
        }
    }
    Ok(addrs)
}

fn resolve_one(text: &str) -> Result<Vec<Addr>, String> {
    let wrong = || format!("cannot listen on '{text}': give HOST:PORT, PORT or unix:PATH");
    match Endpoint::parse(text).ok_or_else(wrong)? {
        Endpoint::Addrs(addrs) => Ok(addrs),
        Endpoint::Name(host, port) => {
            let found = (host, port).to_socket_addrs();
            let found = found
                .map_err(|error| format!("cannot listen on '{text}': {}", in_words(&error)))?;
            Ok(found.map(Addr::Inet).collect())
        }
    }
}

fn has_port_0(addr: &Addr) -> bool {
    addr.inet().is_some_and(|addr| addr.port() == 0)
}

/// A place where the server listens, for each of its threads to open.
#[derive(Debug)]
pub(crate) enum Place {
    /// Each thread has a socket of its own, and the kernel spreads connections over them.
    Inet(Addr),
    /// All threads share one socket.
    Unix(OwnedFd),
}

impl Place {
    /// The listener's place, for one more thread.
    pub(crate) fn of(listener: &Listener) -> io::Result<Place> {
        match listener.local_addr()? {
            addr @ Addr::Inet(_) => Ok(Place::Inet(addr)),
            _ => Ok(Place::Unix(listener.try_clone_fd()?)),
        }
    }

    pub(crate) fn listen(self, handle: &Handle, options: &Options) -> Result<Listener, String> {
        match self {
            Place::Inet(addr) => {
                listen(handle, &addr, options).map_err(|error| explain(&addr, &error))
            }
            Place::Unix(fd) => {
                Listener::from_fd(handle, fd, false).map_err(|error| error.to_string())
            }
        }
    }
}

/// Listens on all of these for the first thread. A machine without IPv6 is told of, and served on
/// what it has. The files of Unix sockets are noted as they are made.
pub(crate) fn listen_all(
    handle: &Handle,
    addrs: &[Addr],
    options: &Options,
    files: &mut SocketFiles,
) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for addr in addrs {
        match listen_alone(handle, addr, options) {
            Ok(listener) => {
                files.note(addr);
                listeners.push(listener);
            }
            Err(error) if is_ipv6_missing(addr, &error) && addrs.len() > 1 => {
                warn!(%addr, "this machine has no IPv6: not listening there");
            }
            Err(error) => return Err(explain(addr, &error)),
        }
    }
    Ok(listeners)
}

/// Listens where nobody else does.
fn listen_alone(handle: &Handle, addr: &Addr, options: &Options) -> io::Result<Listener> {
    match (addr, options.threads) {
        (Addr::UnixPath(path), _) => match listen(handle, addr, options) {
            Err(error) if is_left_over(path, &error) => {
                std::fs::remove_file(path)?;
                listen(handle, addr, options)
            }
            other => other,
        },
        (Addr::Inet(_), 2..) => {
            // Sockets that share their port would share it with those of another server, too: one
            // that does not share tells whether there is one, and which port 0 is to be.
            let alone = Listener::bind(handle, addr, ListenOptions::default())?;
            let addr = alone.local_addr()?;
            drop(alone);
            listen(handle, &addr, options)
        }
        _ => listen(handle, addr, options),
    }
}

fn listen(handle: &Handle, addr: &Addr, options: &Options) -> io::Result<Listener> {
    let how = ListenOptions {
        backlog: options.backlog,
        reuse_port: options.threads > 1,
        ..ListenOptions::default()
    };
    Listener::bind(handle, addr, how)
}

/// True for a socket file on which nobody listens any more.
fn is_left_over(path: &Path, error: &io::Error) -> bool {
    let is_dead =
        || UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
    error.kind() == io::ErrorKind::AddrInUse && is_socket(path) && is_dead()
}

fn is_socket(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|file| file.file_type().is_socket())
}

fn is_ipv6_missing(addr: &Addr, error: &io::Error) -> bool {
    let is_loopback6 = addr
        .inet()
        .is_some_and(|addr| addr.ip() == Ipv6Addr::LOCALHOST);
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    is_loopback6
        && (error.kind() == io::ErrorKind::AddrNotAvailable
            || error.raw_os_error() == Some(unsupported))
}

/// One sentence that says what to do.
fn explain(addr: &Addr, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => match addr {
            Addr::UnixPath(path) if !is_socket(path) => {
                "a file that is no socket is there already".to_owned()
            }
            _ => "the address is in use: stop what listens there, or give another --listen"
                .to_owned(),
        },
        io::ErrorKind::PermissionDenied => permission_needed(addr).to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::NotFound => "the directory does not exist".to_owned(),
        _ => in_words(error),
    };
    format!("cannot listen on {addr}: {advice}")
}

fn permission_needed(addr: &Addr) -> &'static str {
    match addr {
        Addr::UnixPath(_) => {
            "permission denied: this user may not create a socket in that directory"
        }
        Addr::Inet(addr) if addr.port() < 1024 && addr.port() > 0 => {
            "permission denied: ports below 1024 need root or CAP_NET_BIND_SERVICE"
        }
        _ => "permission denied: a policy of this machine forbids it",
    }
}

/// What the system said, without its number.
pub(crate) fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or(&text)
        .to_lowercase()
}

/// Removes the files of Unix sockets when the server ends, unless somebody else has put others there.
#[derive(Debug, Default)]
pub(crate) struct SocketFiles {
    files: Vec<(PathBuf, FileId)>,
}

/// Device and inode: the file itself, whatever its name.
type FileId = (u64, u64);

fn file_id(path: &Path) -> Option<FileId> {
    path.symlink_metadata()
        .ok()
        .map(|file| (file.dev(), file.ino()))
}

impl SocketFiles {
    fn note(&mut self, addr: &Addr) {
        if let Addr::UnixPath(path) = addr
            && let Some(id) = file_id(path)
        {
            self.files.push((path.clone(), id));
        }
    }
}

impl Drop for SocketFiles {
    fn drop(&mut self) {
        for (path, id) in &self.files {
            if file_id(path) == Some(*id) {
                // If it fails, the next server on this path finds it left over, and removes it.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_low_port_is_said_to_need_root() {
        let said = |addr: &str| {
            let error = io::ErrorKind::PermissionDenied.into();
            explain(&addr.parse().unwrap(), &error)
        };
        for addr in ["127.0.0.1:80", "[::1]:1023"] {
            assert!(said(addr).contains("ports below 1024"), "{}", said(addr));
        }
        for addr in ["unix:/run/x", "unix:@x", "127.0.0.1:1024", "127.0.0.1:0"] {
            assert!(!said(addr).contains("port"), "{}", said(addr));
            assert!(said(addr).contains("permission denied"), "{}", said(addr));
        }
    }
}
