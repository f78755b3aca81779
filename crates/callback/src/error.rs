//! Errors with Node's codes and Node's wording: `connect ECONNREFUSED 127.0.0.1:8080`.

use nix::errno::Errno;
use oneloop_net::{Addr, ResolveError};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What went wrong, as Node tells it. Clones are the same error, and cheap.
///
/// ```
/// use oneloop_callback::Error;
/// let refused = std::io::Error::from_raw_os_error(111);
/// let error = Error::from(refused);
/// assert_eq!((error.code(), error.errno()), (Some("ECONNREFUSED"), Some(-111)));
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    message: String,
    code: Option<Cow<'static, str>>,
    errno: Option<i32>,
    syscall: Option<&'static str>,
    address: Option<Addr>,
    hostname: Option<String>,
    path: Option<PathBuf>,
    dest: Option<PathBuf>,
    /// What other errors it is made of.
    errors: Vec<Error>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with a code of its own.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Error::of(Inner {
            message: message.into(),
            code: Some(code.into()),
            ..Inner::default()
        })
    }

    fn of(inner: Inner) -> Self {
        Error {
            inner: Arc::new(inner),
        }
    }

    /// A failed system call: `read ECONNRESET`.
    pub(crate) fn system(syscall: &'static str, error: io::Error) -> Self {
        Error::failed(syscall, error, "", None)
    }

    /// A failed `connect` or `bind`: `connect ECONNREFUSED 127.0.0.1:8080`.
    pub(crate) fn system_at(
        syscall: &'static str,
        error: io::Error,
        addr: &Addr,
        local: Option<&Addr>,
    ) -> Self {
        let local = local.map(|local| format!(" - Local ({})", Place(local)));
        let details = format!(" {}{}", Place(addr), local.unwrap_or_default());
        Error::failed(syscall, error, &details, Some(addr))
    }

    /// The size of a buffer that the kernel does not tell or take.
    pub(crate) fn buffer_size(call: &str, error: io::Error) -> Self {
        let code = code_of(&error);
        let (name, words) = (code.as_deref().unwrap_or("UNKNOWN"), words_of(&error));
        let message = format!("Could not get or set buffer size: {call} returned {name} ({words})");
        Error::new("ERR_SOCKET_BUFFER_SIZE", message)
    }

    /// A server that cannot listen: `listen EADDRINUSE: address already in use 127.0.0.1:8080`.
    pub(crate) fn listen(error: io::Error, addr: &Addr) -> Self {
        let details = format!(": {} {}", words_of(&error), Place(addr));
        Error::failed("listen", error, &details, Some(addr))
    }

    /// A failed call for a file: `ENOENT: no such file or directory, open '/a'`; with two paths,
    /// `… rename '/a' -> '/b'`.
    pub(crate) fn file(
        syscall: &'static str,
        error: io::Error,
        path: Option<&Path>,
        dest: Option<&Path>,
    ) -> Self {
        let code = code_of_file(&error);
        let name = code.as_deref().unwrap_or("UNKNOWN");
        let path_shown = path.map(|path| format!(" '{}'", path.display()));
        let dest_shown = dest.map(|dest| format!(" -> '{}'", dest.display()));
        Error::of(Inner {
            message: format!(
                "{name}: {}, {syscall}{}{}",
                words_of(&error),
                path_shown.unwrap_or_default(),
                dest_shown.unwrap_or_default()
            ),
            errno: error.raw_os_error().map(i32::saturating_neg),
            code,
            syscall: Some(syscall),
            path: path.map(Path::to_owned),
            dest: dest.map(Path::to_owned),
            source: Some(error.into()),
            ..Inner::default()
        })
    }

    fn failed(syscall: &'static str, error: io::Error, details: &str, addr: Option<&Addr>) -> Self {
        let code = code_of(&error);
        let name = code.as_deref().unwrap_or("UNKNOWN");
        Error::of(Inner {
            message: format!("{syscall} {name}{details}"),
            errno: error.raw_os_error().map(i32::saturating_neg),
            code,
            syscall: Some(syscall),
            address: addr.cloned(),
            source: Some(error.into()),
            ..Inner::default()
        })
    }

    /// A program that cannot be started: `spawn /nowhere/program ENOENT`.
    pub(crate) fn spawn(file: &OsStr, error: io::Error) -> Self {
        let code = code_of(&error);
        let name = code.as_deref().unwrap_or("UNKNOWN");
        Error::of(Inner {
            message: format!("spawn {} {name}", file.display()),
            errno: error.raw_os_error().map(i32::saturating_neg),
            code,
            syscall: Some("spawn"),
            source: Some(error.into()),
            ..Inner::default()
        })
    }

    /// A command that failed, which its exit code tells better than a code of ours.
    pub(crate) fn command(message: String) -> Self {
        Error::of(Inner {
            message,
            ..Inner::default()
        })
    }

    /// A name that has no address: `getaddrinfo ENOTFOUND example.invalid`.
    pub(crate) fn not_found(host: &str, error: io::Error) -> Self {
        Error::look_up("getaddrinfo", host, error)
    }

    /// A failed look-up: Node's `DNSException`.
    pub(crate) fn look_up(syscall: &'static str, host: &str, error: io::Error) -> Self {
        let inside = error.get_ref().and_then(|inside| inside.downcast_ref());
        let (code, errno) = match inside.and_then(ResolveError::raw_os_error) {
            Some(errno) => (code_of(&io::Error::from_raw_os_error(errno)), -errno),
            None => {
                let (code, errno) = libuvs_code(inside.map_or("EAI_NONAME", ResolveError::code));
                (Some(code.into()), errno)
            }
        };
        let name = code.as_deref().unwrap_or("UNKNOWN");
        Error::of(Inner {
            message: format!("{syscall} {name} {host}"),
            code,
            errno: Some(errno),
            syscall: Some(syscall),
            hostname: Some(host.to_owned()),
            source: Some(error.into()),
            ..Inner::default()
        })
    }

    /// All addresses of a name failed: the code is that of the first.
    pub(crate) fn aggregate(errors: Vec<Error>) -> Self {
        Error::of(Inner {
            code: errors.first().and_then(|first| first.inner.code.clone()),
            errors,
            ..Inner::default()
        })
    }

    /// What an `AbortSignal` makes fail.
    pub(crate) fn abort() -> Self {
        Error::new("ABORT_ERR", "The operation was aborted")
    }

    pub(crate) fn write_after_end() -> Self {
        Error::new("ERR_STREAM_WRITE_AFTER_END", "write after end")
    }

    pub(crate) fn stream_destroyed(called: &str) -> Self {
        let message = format!("Cannot call {called} after a stream was destroyed");
        Error::new("ERR_STREAM_DESTROYED", message)
    }

    /// What the code is made of, such as `ECONNRESET` or `ERR_STREAM_WRITE_AFTER_END`: `error.code`.
    pub fn code(&self) -> Option<&str> {
        self.inner.code.as_deref()
    }

    /// The same as what it prints: `error.message`.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The negative number of the system's error: `error.errno`.
    pub fn errno(&self) -> Option<i32> {
        self.inner.errno
    }

    /// What the system was asked for: `error.syscall`.
    pub fn syscall(&self) -> Option<&'static str> {
        self.inner.syscall
    }

    /// Where to: `error.address` and `error.port`.
    pub fn address(&self) -> Option<&Addr> {
        self.inner.address.as_ref()
    }

    /// The name that was looked up: `error.hostname`.
    pub fn hostname(&self) -> Option<&str> {
        self.inner.hostname.as_deref()
    }

    /// Which file it was about: `error.path`.
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    /// Where a rename or a copy was to go: `error.dest`.
    pub fn dest(&self) -> Option<&Path> {
        self.inner.dest.as_deref()
    }

    /// The errors of which this is the sum, when several addresses were tried: `error.errors`.
    pub fn errors(&self) -> &[Error] {
        &self.inner.errors
    }
}

/// What Node calls an error of the resolver's, and libuv's number for it.
fn libuvs_code(code: &'static str) -> (&'static str, i32) {
    match code {
        "EAI_ADDRFAMILY" => (code, -3000),
        "EAI_AGAIN" => (code, -3001),
        "EAI_BADFLAGS" => (code, -3002),
        "EAI_FAIL" => (code, -3004),
        "EAI_FAMILY" => (code, -3005),
        "EAI_MEMORY" => (code, -3006),
        "EAI_NODATA" => ("ENOTFOUND", -3007),
        "EAI_SERVICE" => (code, -3010),
        "EAI_SOCKTYPE" => (code, -3011),
        _ => ("ENOTFOUND", -3008), // EAI_NONAME
    }
}

/// nix knows the names; only `ENOTSUP` has another one there.
fn code_of(error: &io::Error) -> Option<Cow<'static, str>> {
    Some(match Errno::from_raw(error.raw_os_error()?) {
        Errno::EOPNOTSUPP => "ENOTSUP".into(),
        errno => format!("{errno:?}").into(),
    })
}

/// A limit of inotify's comes with words of its own, and without the system's number.
fn code_of_file(error: &io::Error) -> Option<Cow<'static, str>> {
    code_of(error).or_else(|| match error.kind() {
        io::ErrorKind::StorageFull => Some("ENOSPC".into()),
        // Such as a path with a NUL in it, of which no system call was told.
        io::ErrorKind::InvalidInput => Some("ERR_INVALID_ARG_VALUE".into()),
        _ => None,
    })
}

/// libuv's words, which are the C library's but for some.
fn words_of(error: &io::Error) -> String {
    let Some(errno) = error.raw_os_error() else {
        return error.to_string();
    };
    match Errno::from_raw(errno) {
        Errno::EADDRNOTAVAIL => "address not available".to_owned(),
        Errno::EAFNOSUPPORT => "address family not supported".to_owned(),
        Errno::EAGAIN => "resource temporarily unavailable".to_owned(),
        Errno::EBADF => "bad file descriptor".to_owned(),
        Errno::EBUSY => "resource busy or locked".to_owned(),
        Errno::EEXIST => "file already exists".to_owned(),
        Errno::EIO => "i/o error".to_owned(),
        Errno::EISDIR => "illegal operation on a directory".to_owned(),
        Errno::ELOOP => "too many symbolic links encountered".to_owned(),
        Errno::ENFILE => "file table overflow".to_owned(),
        Errno::ENAMETOOLONG => "name too long".to_owned(),
        Errno::ENOMEM => "not enough memory".to_owned(),
        Errno::EOPNOTSUPP => "operation not supported on socket".to_owned(),
        Errno::ESPIPE => "invalid seek".to_owned(),
        Errno::ETXTBSY => "text file is busy".to_owned(),
        Errno::EXDEV => "cross-device link not permitted".to_owned(),
        errno => errno.desc().to_lowercase(),
    }
}

/// As Node writes an address behind an error.
struct Place<'a>(&'a Addr);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Addr::Inet(addr) => {
                write!(f, "{}", addr.ip())?;
                match addr {
                    SocketAddr::V6(addr) if addr.scope_id() != 0 => {
                        write!(f, "%{}", addr.scope_id())?
                    }
                    _ => {}
                }
                match addr.port() {
                    0 => Ok(()),
                    port => write!(f, ":{port}"),
                }
            }
            Addr::UnixPath(path) => write!(f, "{}", path.display()),
            other => write!(f, "{other}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code().unwrap_or("Error");
        write!(f, "Error({code}: {})", self.inner.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.inner.source.as_deref()?;
        Some(source)
    }
}

impl From<&str> for Error {
    /// `new Error(message)`: it has no code.
    fn from(message: &str) -> Self {
        Error::from(message.to_owned())
    }
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Error::of(Inner {
            message,
            ..Inner::default()
        })
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::of(Inner {
            message: error.to_string(),
            code: code_of(&error),
            errno: error.raw_os_error().map(i32::saturating_neg),
            source: Some(error.into()),
            ..Inner::default()
        })
    }
}

impl From<Box<dyn std::error::Error + Send + Sync>> for Error {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Error::of(Inner {
            message: error.to_string(),
            source: Some(error),
            ..Inner::default()
        })
    }
}

impl From<Error> for io::Error {
    /// With the kind of the system's error, where it was one.
    fn from(error: Error) -> Self {
        let errno = error.errno().map(|errno| errno.saturating_neg());
        let kind = errno.map_or(io::ErrorKind::Other, |errno| {
            io::Error::from_raw_os_error(errno).kind()
        });
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_libuvs() {
        // util.getSystemErrorMap() of Node 20.
        let told = [
            (Errno::E2BIG, "argument list too long"),
            (Errno::EACCES, "permission denied"),
            (Errno::EAGAIN, "resource temporarily unavailable"),
            (Errno::EBADF, "bad file descriptor"),
            (Errno::EBUSY, "resource busy or locked"),
            (Errno::EEXIST, "file already exists"),
            (Errno::EFBIG, "file too large"),
            (Errno::EINTR, "interrupted system call"),
            (Errno::EINVAL, "invalid argument"),
            (Errno::EIO, "i/o error"),
            (Errno::EISDIR, "illegal operation on a directory"),
            (Errno::ELOOP, "too many symbolic links encountered"),
            (Errno::EMFILE, "too many open files"),
            (Errno::EMLINK, "too many links"),
            (Errno::ENAMETOOLONG, "name too long"),
            (Errno::ENFILE, "file table overflow"),
            (Errno::ENODEV, "no such device"),
            (Errno::ENOENT, "no such file or directory"),
            (Errno::ENOMEM, "not enough memory"),
            (Errno::ENOSPC, "no space left on device"),
            (Errno::ENOSYS, "function not implemented"),
            (Errno::ENOTDIR, "not a directory"),
            (Errno::ENOTEMPTY, "directory not empty"),
            (Errno::ENXIO, "no such device or address"),
            (Errno::EPERM, "operation not permitted"),
            (Errno::EPIPE, "broken pipe"),
            (Errno::EROFS, "read-only file system"),
            (Errno::ESPIPE, "invalid seek"),
            (Errno::ETXTBSY, "text file is busy"),
            (Errno::EXDEV, "cross-device link not permitted"),
        ];
        let differ: Vec<_> = told
            .iter()
            .map(|(errno, words)| (words_of(&(*errno).into()), *words))
            .filter(|(here, there)| here != there)
            .collect();
        assert_eq!(differ, []);
    }
}
