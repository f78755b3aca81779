//! The errors of libuv: their numbers, names, and messages.
#![forbid(unsafe_code)]

use rustix::io::Errno;
use std::ffi::c_int;

/// The end of a stream.
pub(crate) const EOF: c_int = -4095;

/// What most functions return: 0, or a negated error number.
pub(crate) fn code(result: Result<(), Errno>) -> c_int {
    result.map_or_else(number, |()| 0)
}

/// The number of an error: its negated errno.
pub(crate) fn number(error: Errno) -> c_int {
    -error.raw_os_error()
}

/// What a function returned that fails with -1 and sets errno: libuv negates that.
pub(crate) fn number_or(result: c_int) -> c_int {
    if result == -1 { last() } else { result }
}

/// The number of the error that the last system call has set.
pub(crate) fn last() -> c_int {
    number_of(&std::io::Error::last_os_error())
}

/// The number of an error of the standard library or of the core.
pub(crate) fn number_of(error: &std::io::Error) -> c_int {
    -error.raw_os_error().unwrap_or(libc::EIO)
}

/// The name and the message of an error, if it has any.
pub(crate) fn describe(code: c_int) -> Option<(&'static str, &'static str)> {
    let mut errors = ERRORS.iter();
    let (_, name, message) = errors.find(|(number, ..)| *number == code)?;
    Some((name, message))
}

/// Number, name, and message; both texts with NUL at their end, for C.
const ERRORS: &[(c_int, &str, &str)] = &[
    (-libc::E2BIG, "E2BIG\0", "argument list too long\0"),
    (-libc::EACCES, "EACCES\0", "permission denied\0"),
    (
        -libc::EADDRINUSE,
        "EADDRINUSE\0",
        "address already in use\0",
    ),
    (
        -libc::EADDRNOTAVAIL,
        "EADDRNOTAVAIL\0",
        "address not available\0",
    ),
    (
        -libc::EAFNOSUPPORT,
        "EAFNOSUPPORT\0",
        "address family not supported\0",
    ),
    (
        -libc::EAGAIN,
        "EAGAIN\0",
        "resource temporarily unavailable\0",
    ),
    (-3000, "EAI_ADDRFAMILY\0", "address family not supported\0"),
    (-3001, "EAI_AGAIN\0", "temporary failure\0"),
    (-3002, "EAI_BADFLAGS\0", "bad ai_flags value\0"),
    (-3013, "EAI_BADHINTS\0", "invalid value for hints\0"),
    (-3003, "EAI_CANCELED\0", "request canceled\0"),
    (-3004, "EAI_FAIL\0", "permanent failure\0"),
    (-3005, "EAI_FAMILY\0", "ai_family not supported\0"),
    (-3006, "EAI_MEMORY\0", "out of memory\0"),
    (-3007, "EAI_NODATA\0", "no address\0"),
    (-3008, "EAI_NONAME\0", "unknown node or service\0"),
    (-3009, "EAI_OVERFLOW\0", "argument buffer overflow\0"),
    (-3014, "EAI_PROTOCOL\0", "resolved protocol is unknown\0"),
    (
        -3010,
        "EAI_SERVICE\0",
        "service not available for socket type\0",
    ),
    (-3011, "EAI_SOCKTYPE\0", "socket type not supported\0"),
    (
        -libc::EALREADY,
        "EALREADY\0",
        "connection already in progress\0",
    ),
    (-libc::EBADF, "EBADF\0", "bad file descriptor\0"),
    (-libc::EBUSY, "EBUSY\0", "resource busy or locked\0"),
    (-libc::ECANCELED, "ECANCELED\0", "operation canceled\0"),
    (-4080, "ECHARSET\0", "invalid Unicode character\0"),
    (
        -libc::ECONNABORTED,
        "ECONNABORTED\0",
        "software caused connection abort\0",
    ),
    (
        -libc::ECONNREFUSED,
        "ECONNREFUSED\0",
        "connection refused\0",
    ),
    (
        -libc::ECONNRESET,
        "ECONNRESET\0",
        "connection reset by peer\0",
    ),
    (
        -libc::EDESTADDRREQ,
        "EDESTADDRREQ\0",
        "destination address required\0",
    ),
    (-libc::EEXIST, "EEXIST\0", "file already exists\0"),
    (
        -libc::EFAULT,
        "EFAULT\0",
        "bad address in system call argument\0",
    ),
    (-libc::EFBIG, "EFBIG\0", "file too large\0"),
    (
        -libc::EHOSTUNREACH,
        "EHOSTUNREACH\0",
        "host is unreachable\0",
    ),
    (-libc::EINTR, "EINTR\0", "interrupted system call\0"),
    (-libc::EINVAL, "EINVAL\0", "invalid argument\0"),
    (-libc::EIO, "EIO\0", "i/o error\0"),
    (-libc::EISCONN, "EISCONN\0", "socket is already connected\0"),
    (
        -libc::EISDIR,
        "EISDIR\0",
        "illegal operation on a directory\0",
    ),
    (
        -libc::ELOOP,
        "ELOOP\0",
        "too many symbolic links encountered\0",
    ),
    (-libc::EMFILE, "EMFILE\0", "too many open files\0"),
    (-libc::EMSGSIZE, "EMSGSIZE\0", "message too long\0"),
    (-libc::ENAMETOOLONG, "ENAMETOOLONG\0", "name too long\0"),
    (-libc::ENETDOWN, "ENETDOWN\0", "network is down\0"),
    (
        -libc::ENETUNREACH,
        "ENETUNREACH\0",
        "network is unreachable\0",
    ),
    (-libc::ENFILE, "ENFILE\0", "file table overflow\0"),
    (-libc::ENOBUFS, "ENOBUFS\0", "no buffer space available\0"),
    (-libc::ENODEV, "ENODEV\0", "no such device\0"),
    (-libc::ENOENT, "ENOENT\0", "no such file or directory\0"),
    (-libc::ENOMEM, "ENOMEM\0", "not enough memory\0"),
    (-libc::ENONET, "ENONET\0", "machine is not on the network\0"),
    (
        -libc::ENOPROTOOPT,
        "ENOPROTOOPT\0",
        "protocol not available\0",
    ),
    (-libc::ENOSPC, "ENOSPC\0", "no space left on device\0"),
    (-libc::ENOSYS, "ENOSYS\0", "function not implemented\0"),
    (-libc::ENOTCONN, "ENOTCONN\0", "socket is not connected\0"),
    (-libc::ENOTDIR, "ENOTDIR\0", "not a directory\0"),
    (-libc::ENOTEMPTY, "ENOTEMPTY\0", "directory not empty\0"),
    (
        -libc::ENOTSOCK,
        "ENOTSOCK\0",
        "socket operation on non-socket\0",
    ),
    (
        -libc::EOPNOTSUPP,
        "ENOTSUP\0",
        "operation not supported on socket\0",
    ),
    (
        -libc::EOVERFLOW,
        "EOVERFLOW\0",
        "value too large for defined data type\0",
    ),
    (-libc::EPERM, "EPERM\0", "operation not permitted\0"),
    (-libc::EPIPE, "EPIPE\0", "broken pipe\0"),
    (-libc::EPROTO, "EPROTO\0", "protocol error\0"),
    (
        -libc::EPROTONOSUPPORT,
        "EPROTONOSUPPORT\0",
        "protocol not supported\0",
    ),
    (
        -libc::EPROTOTYPE,
        "EPROTOTYPE\0",
        "protocol wrong type for socket\0",
    ),
    (-libc::ERANGE, "ERANGE\0", "result too large\0"),
    (-libc::EROFS, "EROFS\0", "read-only file system\0"),
    (
        -libc::ESHUTDOWN,
        "ESHUTDOWN\0",
        "cannot send after transport endpoint shutdown\0",
    ),
    (-libc::ESPIPE, "ESPIPE\0", "invalid seek\0"),
    (-libc::ESRCH, "ESRCH\0", "no such process\0"),
    (-libc::ETIMEDOUT, "ETIMEDOUT\0", "connection timed out\0"),
    (-libc::ETXTBSY, "ETXTBSY\0", "text file is busy\0"),
    (-libc::EXDEV, "EXDEV\0", "cross-device link not permitted\0"),
    (-4094, "UNKNOWN\0", "unknown error\0"),
    (EOF, "EOF\0", "end of file\0"),
    (-libc::ENXIO, "ENXIO\0", "no such device or address\0"),
    (-libc::EMLINK, "EMLINK\0", "too many links\0"),
    (-libc::EHOSTDOWN, "EHOSTDOWN\0", "host is down\0"),
    (-libc::EREMOTEIO, "EREMOTEIO\0", "remote I/O error\0"),
    (
        -libc::ENOTTY,
        "ENOTTY\0",
        "inappropriate ioctl for device\0",
    ),
    (-4028, "EFTYPE\0", "inappropriate file type or format\0"),
    (-libc::EILSEQ, "EILSEQ\0", "illegal byte sequence\0"),
    (
        -libc::ESOCKTNOSUPPORT,
        "ESOCKTNOSUPPORT\0",
        "socket type not supported\0",
    ),
    (-libc::ENODATA, "ENODATA\0", "no data available\0"),
    (
        -libc::EUNATCH,
        "EUNATCH\0",
        "protocol driver not attached\0",
    ),
];
