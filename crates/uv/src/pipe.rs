//! Pipes: Unix sockets with names, and fds of the caller.
#![forbid(unsafe_code)]

use crate::abi::fd::borrow;
use crate::abi::live::Live;
use crate::abi::memory::{free_text, text_for};
use crate::error;
use crate::layout::{Connect, ConnectCallback, ConnectionCallback, Loop, Pipe, Stream, flag, kind};
use crate::{stream, watch};
use oneloop_posix::address_bytes;
use rustix::fs::{self, Mode, OFlags};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::ffi::{CStr, CString, OsStr, c_int};
use std::os::fd::{BorrowedFd, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::ptr;

/// `UV_PIPE_NO_TRUNCATE`.
const NO_TRUNCATE: u32 = 1;
/// The room in `sockaddr_un`, without NUL.
const NAME_BYTES_MAX: usize = 107;

pub(crate) fn begin(owner: Live<Loop>, pipe: Live<Pipe>, is_ipc: bool) {
    stream::begin(owner, pipe.as_stream(), kind::NAMED_PIPE);
    pipe.is_ipc.set(c_int::from(is_ipc));
    pipe.name.set(ptr::null_mut());
}

/// True for a pipe over which handles travel.
pub(crate) fn carries_handles(stream: Live<Stream>) -> bool {
    stream.as_pipe().is_some_and(|pipe| pipe.is_ipc.get() != 0)
}

/// Takes over an fd of the caller, which becomes non-blocking.
pub(crate) fn open(pipe: Live<Pipe>, fd: RawFd) -> Result<(), Errno> {
    let stream = pipe.as_stream();
    if stream.handle.state().watches.borrow().get(fd).is_some() {
        return Err(Errno::EXIST);
    }
    let flags = access(fd)?;
    ioctl_fionbio(borrow(fd), true)?;
    stream::open(stream, fd, flags)
}

/// What an open fd can do, as flags of a stream.
///
/// # Errors
/// `EBADF` for a number that is no open fd.
pub(crate) fn access(fd: RawFd) -> Result<u32, Errno> {
    if fd < 0 {
        return Err(Errno::BADF);
    }
    let mode = fs::fcntl_getfl(borrow(fd))? & OFlags::ACCMODE;
    Ok(match mode {
        OFlags::RDONLY => flag::READABLE,
        OFlags::WRONLY => flag::WRITABLE,
        _ => flag::READABLE | flag::WRITABLE,
    })
}

/// Checks a name as libuv does. The first byte of an abstract name is NUL.
fn check_name(name: &[u8], flags: u32) -> Result<&[u8], Errno> {
    let has_inner_nul = name.iter().skip(1).any(|byte| *byte == 0) && name[0] != 0;
    let is_long = name.len() > NAME_BYTES_MAX;
    if flags & !NO_TRUNCATE != 0 || name.is_empty() || has_inner_nul {
        return Err(Errno::INVAL);
    }
    if is_long && flags & NO_TRUNCATE != 0 {
        return Err(Errno::INVAL);
    }
    Ok(&name[..name.len().min(NAME_BYTES_MAX)])
}

fn address(name: &[u8]) -> Result<SocketAddrUnix, Errno> {
    match name {
        [0, rest @ ..] => SocketAddrUnix::new_abstract_name(rest),
        path => SocketAddrUnix::new(OsStr::from_bytes(path)),
    }
}

fn socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

pub(crate) fn bind(pipe: Live<Pipe>, name: &[u8], flags: u32) -> Result<(), Errno> {
    let stream = pipe.as_stream();
    let name = check_name(name, flags)?;
    if stream.fd.get() >= 0 || stream.handle.is_closing() {
        return Err(Errno::INVAL);
    }
    let socket = socket()?;
    net::bind(&socket, &address(name)?).map_err(|error| match error {
        Errno::NOENT => Errno::ACCESS, // as on Windows, says libuv's documentation
        error => error,
    })?;
    if let Ok(path) = CString::new(name) {
        pipe.name.set(text_for(&path).ok_or(Errno::NOMEM)?);
    }
    stream.handle.set(flag::BOUND, true);
    stream.fd.set(socket.into_raw_fd());
    Ok(())
}

/// Removes the file that `bind` has made.
pub(crate) fn forget_name(pipe: Live<Pipe>) {
    let name = pipe.name.replace(ptr::null_mut());
    if !name.is_null() {
        if let Ok(path) = name_of(pipe, Side::Own) {
            let _ = fs::unlink(OsStr::from_bytes(&path)); // the program may have removed it
        }
        free_text(name);
    }
}

pub(crate) fn listen(
    pipe: Live<Stream>,
    backlog: c_int,
    callback: Option<ConnectionCallback>,
) -> Result<(), Errno> {
    if pipe.fd.get() == -1 || carries_handles(pipe) {
        return Err(Errno::INVAL);
    }
    net::listen(borrow(pipe.fd.get()), backlog)?;
    pipe.connection_callback.set(callback);
    Ok(())
}

/// Connects. Whatever fails is reported to the callback.
pub(crate) fn connect(
    pipe: Live<Pipe>,
    connect: Live<Connect>,
    name: &[u8],
    flags: u32,
    callback: Option<ConnectCallback>,
) -> Result<(), Errno> {
    let name = check_name(name, flags)?;
    let stream = pipe.as_stream();
    let result = begin_connect(stream, name);
    stream
        .delayed_error
        .set(result.map_or_else(error::number, |()| 0));
    stream::connect(stream, connect, callback);
    Ok(())
}

fn begin_connect(stream: Live<Stream>, name: &[u8]) -> Result<(), Errno> {
    let new = match stream.fd.get() {
        -1 => Some(socket()?),
        _ => None,
    };
    let fd = new
        .as_ref()
        .map_or_else(|| borrow(stream.fd.get()), |new| as_borrowed(new));
    match net::connect(fd, &address(name)?) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    if let Some(new) = new {
        stream::open(stream, new.into_raw_fd(), flag::READABLE | flag::WRITABLE)?;
    }
    stream::want(stream, watch::WRITE, true);
    Ok(())
}

fn as_borrowed(fd: &OwnedFd) -> BorrowedFd<'_> {
    std::os::fd::AsFd::as_fd(fd)
}

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Own,
    Peer,
}

/// The name of an end: empty if it has none.
pub(crate) fn name_of(pipe: Live<Pipe>, side: Side) -> Result<Vec<u8>, Errno> {
    let fd = pipe.as_stream().fd.get();
    if fd == -1 {
        return Err(Errno::BADF);
    }
    let address = match side {
        Side::Own => net::getsockname(borrow(fd))?,
        Side::Peer => {
            let peer = net::getpeername(borrow(fd))?;
            peer.ok_or(Errno::NOTCONN)?
        }
    };
    let name = &address_bytes(&address)[2..];
    Ok(match name {
        [] | [0, ..] => name.to_vec(),
        // unix(7): the NUL behind a path counts, unless the path fills all of the room.
        path => CStr::from_bytes_until_nul(path)
            .map_or(path, CStr::to_bytes)
            .to_vec(),
    })
}

/// Opens the file of a pipe to other users: for reads, writes, or both.
pub(crate) fn chmod(pipe: Live<Pipe>, readable: bool, writable: bool) -> Result<(), Errno> {
    let path = name_of(pipe, Side::Own)?;
    let path = OsStr::from_bytes(&path);
    let before = Mode::from_raw_mode(fs::stat(path)?.st_mode);
    let mut mode = before;
    if readable {
        mode |= Mode::RUSR | Mode::RGRP | Mode::ROTH;
    }
    if writable {
        mode |= Mode::WUSR | Mode::WGRP | Mode::WOTH;
    }
    if mode == before {
        return Ok(());
    }
    fs::chmod(path, mode & (Mode::RWXU | Mode::RWXG | Mode::RWXO))
}

/// Reports a name that cannot be connected to.
pub(crate) fn fail_connect(
    pipe: Live<Pipe>,
    connect: Live<Connect>,
    error: Errno,
    callback: Option<ConnectCallback>,
) {
    let stream = pipe.as_stream();
    stream.delayed_error.set(error::number(error));
    stream::connect(stream, connect, callback);
}
