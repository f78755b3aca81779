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

/// The code in the message of an error that has no number.
const UNKNOWN: &str = "UNKNOWN";

/// An error with Node's properties. Clones are the same error, and cheap.
///
/// ```
/// use oneloop::callback::Error;
/// let refused = std::io::Error::from_raw_os_error(111);
/// let error = Error::from(refused);
/// assert_eq!((error.code(), error.errno()), (Some("ECONNREFUSED"), Some(-111)));
/// ```
#[derive(Clone)]
pub struct Error {
    // Not an `Rc`: `io::Error::new` takes only errors that are `Send` and `Sync`.
    data: Arc<ErrorData>,
}

/// What clones of an error share: the properties of Node's error object.
#[derive(Default)]
struct ErrorData {
    message: String,
    code: Option<Cow<'static, str>>,
    errno: Option<i32>,
    syscall: Option<&'static str>,
    address: Option<Addr>,
    hostname: Option<String>,
    path: Option<PathBuf>,
    dest: Option<PathBuf>,
    /// The errors of which this one is the sum.
    errors: Vec<Error>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ErrorData {
    /// The data of a failed system call. `message` gets the code.
    fn of_call(
        syscall: &'static str,
        code: Option<Cow<'static, str>>,
        error: io::Error,
        message: impl FnOnce(&str) -> String,
    ) -> Self {
        ErrorData {
            message: message(code.as_deref().unwrap_or(UNKNOWN)),
            code,
            // libuv returns -errno. Saturating: an `io::Error` may hold any number.
            errno: error.raw_os_error().map(i32::saturating_neg),
            syscall: Some(syscall),
            source: Some(error.into()),
            ..ErrorData::default()
        }
    }
}

impl From<ErrorData> for Error {
    fn from(data: ErrorData) -> Self {
        Error {
            data: Arc::new(data),
        }
    }
}

impl Error {
    /// An error with this code: `ERR_…`, or a code that the program defines.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        let data = ErrorData {
            message: message.into(),
            code: Some(code.into()),
            ..ErrorData::default()
        };
        data.into()
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
        let local = local.map(|local| format!(" - Local ({})", ShownAddr(local)));
        let details = format!(" {}{}", ShownAddr(addr), local.unwrap_or_default());
        Error::failed(syscall, error, &details, Some(addr))
    }

    /// A server that cannot listen: `listen EADDRINUSE: address already in use 127.0.0.1:8080`.
    pub(crate) fn listen(error: io::Error, addr: &Addr) -> Self {
        // net.js throws a `UVExceptionWithHostPort` here, which adds the description; connect and
        // bind throw an `ExceptionWithHostPort` (`lib/internal/errors.js`).
        let details = format!(": {} {}", words_of(&error), ShownAddr(addr));
        Error::failed("listen", error, &details, Some(addr))
    }

    fn failed(syscall: &'static str, error: io::Error, details: &str, addr: Option<&Addr>) -> Self {
        let message = |code: &str| format!("{syscall} {code}{details}");
        let data = ErrorData {
            address: addr.cloned(),
            ..ErrorData::of_call(syscall, code_of(&error), error, message)
        };
        data.into()
    }

    /// A buffer size that the kernel does not report or accept.
    pub(crate) fn buffer_size(call: &str, error: io::Error) -> Self {
        let code = code_of(&error);
        let (code, words) = (code.as_deref().unwrap_or(UNKNOWN), words_of(&error));
        let message = format!("Could not get or set buffer size: {call} returned {code} ({words})");
        Error::new("ERR_SOCKET_BUFFER_SIZE", message)
    }

    /// A failed call about a file: `ENOENT: no such file or directory, open '/a'`; with two paths,
    /// `… rename '/a' -> '/b'`.
    pub(crate) fn file(
        syscall: &'static str,
        error: io::Error,
        path: Option<&Path>,
        dest: Option<&Path>,
    ) -> Self {
        let words = words_of(&error);
        let shown_path = path.map(|path| format!(" '{}'", path.display()));
        let shown_dest = dest.map(|dest| format!(" -> '{}'", dest.display()));
        let paths = shown_path.unwrap_or_default() + &shown_dest.unwrap_or_default();
        let message = |code: &str| format!("{code}: {words}, {syscall}{paths}");
        let data = ErrorData {
            path: path.map(Path::to_owned),
            dest: dest.map(Path::to_owned),
            ..ErrorData::of_call(syscall, code_of_file(&error), error, message)
        };
        data.into()
    }

    /// A program that cannot be started: `spawn /nowhere/program ENOENT`.
    pub(crate) fn spawn(file: &OsStr, error: io::Error) -> Self {
        let message = |code: &str| format!("spawn {} {code}", file.display());
        ErrorData::of_call("spawn", code_of(&error), error, message).into()
    }

    /// A name that has no address: `getaddrinfo ENOTFOUND example.invalid`.
    pub(crate) fn not_found(host: &str, error: io::Error) -> Self {
        Error::look_up("getaddrinfo", host, error)
    }

    /// A failed lookup: Node's `DNSException`.
    pub(crate) fn look_up(syscall: &'static str, host: &str, error: io::Error) -> Self {
        let inside = error.get_ref().and_then(|inside| inside.downcast_ref());
        let (code, errno) = match inside.and_then(ResolveError::raw_os_error) {
            // EAI_SYSTEM: the resolver itself got an error of the system.
            Some(errno) => (code_of(&io::Error::from_raw_os_error(errno)), -errno),
            None => {
                let (code, errno) = libuvs_code(inside.map_or("EAI_NONAME", ResolveError::code));
                (Some(code.into()), errno)
            }
        };
        let message = |code: &str| format!("{syscall} {code} {host}");
        let data = ErrorData {
            errno: Some(errno),
            hostname: Some(host.to_owned()),
            ..ErrorData::of_call(syscall, code, error, message)
        };
        data.into()
    }

    /// The errors of all addresses of a name: Node's `AggregateError`, with the code of the first.
    pub(crate) fn aggregate(errors: Vec<Error>) -> Self {
        // Without a message, as in Node: `error.errors` holds those of the attempts.
        let data = ErrorData {
            code: errors.first().and_then(|first| first.data.code.clone()),
            errors,
            ..ErrorData::default()
        };
        data.into()
    }

    /// The error of an operation that an `AbortSignal` canceled.
    pub(crate) fn abort() -> Self {
        Error::new("ABORT_ERR", "The operation was aborted")
    }

    pub(crate) fn write_after_end() -> Self {
        Error::new("ERR_STREAM_WRITE_AFTER_END", "write after end")
    }

    /// The error of opening something again whose listeners 'close' has dropped.
    pub(crate) fn listeners_dropped(emitter: &str, again: &str) -> Self {
        let message = format!(
            "'close' has dropped the listeners of this {emitter}: {again} in a listener of 'close', \
             call keep_listeners() before, or make a new {emitter}"
        );
        Error::new("ERR_LISTENERS_DROPPED", message)
    }

    pub(crate) fn stream_destroyed(called: &str) -> Self {
        let message = format!("Cannot call {called} after a stream was destroyed");
        Error::new("ERR_STREAM_DESTROYED", message)
    }

    /// The code, such as `ECONNRESET` or `ERR_STREAM_WRITE_AFTER_END`: `error.code`.
    pub fn code(&self) -> Option<&str> {
        self.data.code.as_deref()
    }

    /// The text that the error prints: `error.message`.
    pub fn message(&self) -> &str {
        &self.data.message
    }

    /// The system's error number, negated: `error.errno`.
    pub fn errno(&self) -> Option<i32> {
        self.data.errno
    }

    /// The system call that failed: `error.syscall`.
    pub fn syscall(&self) -> Option<&'static str> {
        self.data.syscall
    }

    /// The address of the failed call: `error.address` and `error.port`.
    pub fn address(&self) -> Option<&Addr> {
        self.data.address.as_ref()
    }

    /// The name that was looked up: `error.hostname`.
    pub fn hostname(&self) -> Option<&str> {
        self.data.hostname.as_deref()
    }

    /// The path of the failed call: `error.path`.
    pub fn path(&self) -> Option<&Path> {
        self.data.path.as_deref()
    }

    /// The second path of a rename or a copy: `error.dest`.
    pub fn dest(&self) -> Option<&Path> {
        self.data.dest.as_deref()
    }

    /// The error of each address, when a connect tried several: `error.errors`.
    pub fn errors(&self) -> &[Error] {
        &self.data.errors
    }
}

/// Node's name of a resolver's error, and libuv's number for it.
fn libuvs_code(code: &'static str) -> (&'static str, i32) {
    match code {
        // libuv numbers these apart from errno. Node reports both forms of "no address" as
        // ENOTFOUND.
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

/// The name of an error number. Node prints `ENOTSUP` where Linux has `EOPNOTSUPP`: one number.
fn code_of(error: &io::Error) -> Option<Cow<'static, str>> {
    Some(match Errno::from_raw(error.raw_os_error()?) {
        Errno::EOPNOTSUPP => "ENOTSUP".into(),
        errno => format!("{errno:?}").into(), // its name in C
    })
}

/// The code of a failed call about a file, which need not come from the kernel.
fn code_of_file(error: &io::Error) -> Option<Cow<'static, str>> {
    code_of(error).or_else(|| match error.kind() {
        // A limit of inotify, which `oneloop_fs` explains in words instead of a number.
        io::ErrorKind::StorageFull => Some("ENOSPC".into()),
        // A path with a NUL in it, say: no system call was made.
        io::ErrorKind::InvalidInput => Some("ERR_INVALID_ARG_VALUE".into()),
        _ => None,
    })
}

/// libuv's description of an error: the C library's, except for some.
fn words_of(error: &io::Error) -> String {
    let Some(errno) = error.raw_os_error() else {
        return error.to_string();
    };
    match Errno::from_raw(errno) {
        // `UV_ERRNO_MAP` of libuv words these by itself; the others are strerror(3)'s in lower
        // case.
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

/// An address as Node prints it in an error: without brackets, and without the port 0.
struct ShownAddr<'a>(&'a Addr);

impl fmt::Display for ShownAddr<'_> {
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
                // Port 0 means "any", and Node does not print it.
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
        f.write_str(&self.data.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code().unwrap_or("Error");
        write!(f, "Error({code}: {})", self.data.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.data.source.as_deref()?;
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
        let data = ErrorData {
            message,
            ..ErrorData::default()
        };
        data.into()
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let data = ErrorData {
            message: error.to_string(),
            code: code_of(&error),
            errno: error.raw_os_error().map(i32::saturating_neg),
            source: Some(error.into()),
            ..ErrorData::default()
        };
        data.into()
    }
}

impl From<Box<dyn std::error::Error + Send + Sync>> for Error {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        let data = ErrorData {
            message: error.to_string(),
            source: Some(error),
            ..ErrorData::default()
        };
        data.into()
    }
}

impl From<Error> for io::Error {
    /// Keeps the kind of the system's error, if there is one.
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
    fn the_descriptions_are_those_of_libuv() {
        // util.getSystemErrorMap() of Node 20.
        let expected = [
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
        let differ: Vec<_> = expected
            .iter()
            .map(|(errno, words)| (words_of(&(*errno).into()), *words))
            .filter(|(here, there)| here != there)
            .collect();
        assert_eq!(differ, []);
    }
}
