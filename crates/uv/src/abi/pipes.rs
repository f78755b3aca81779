//! Pipes and terminals: their functions, which lead to the mechanisms.

use super::buffers::socket_pair;
use super::guess::guess;
use super::live::Live;
use super::terminal;
use super::text::bytes_of;
use crate::error::{self, code};
use crate::layout::{Connect, ConnectCallback, Loop, Pipe, Tty};
use crate::pipe::{self, Side};
use crate::tty;
use libc::{c_char, c_int, c_uint, size_t};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd as _;
use std::ptr::NonNull;
use std::slice;

#[unsafe(no_mangle)]
extern "C" fn uv_pipe_init(of: Live<Loop>, pipe: Live<Pipe>, is_ipc: c_int) -> c_int {
    pipe::begin(of, pipe, is_ipc != 0);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_pipe_open(pipe: Live<Pipe>, fd: c_int) -> c_int {
    code(pipe::open(pipe, fd))
}

#[unsafe(no_mangle)]
extern "C" fn uv_pipe_bind(pipe: Live<Pipe>, name: Option<NonNull<c_char>>) -> c_int {
    let Some(name) = name else {
        return -libc::EINVAL;
    };
    // SAFETY: the caller's text ends with NUL.
    code(pipe::bind(pipe, unsafe { bytes_of(name) }, 0))
}

/// A name of the caller that may have NUL in it.
fn name_of<'a>(name: Option<NonNull<c_char>>, length: size_t) -> Option<&'a [u8]> {
    // SAFETY: the caller's name has that many bytes.
    name.map(|name| unsafe { slice::from_raw_parts(name.as_ptr().cast(), length) })
}

#[unsafe(no_mangle)]
extern "C" fn uv_pipe_bind2(
    pipe: Live<Pipe>,
    name: Option<NonNull<c_char>>,
    length: size_t,
    flags: c_uint,
) -> c_int {
    let Some(name) = name_of(name, length) else {
        return -libc::EINVAL;
    };
    code(pipe::bind(pipe, name, flags))
}

#[unsafe(no_mangle)]
extern "C" fn uv_pipe_connect(
    request: Live<Connect>,
    pipe: Live<Pipe>,
    name: NonNull<c_char>,
    callback: Option<ConnectCallback>,
) {
    // SAFETY: the caller's text ends with NUL.
    let name = unsafe { bytes_of(name) };
    if let Err(error) = pipe::connect(pipe, request, name, 0, callback) {
        pipe::fail_connect(pipe, request, error, callback);
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_pipe_connect2(
    request: Live<Connect>,
    pipe: Live<Pipe>,
    name: Option<NonNull<c_char>>,
    length: size_t,
    flags: c_uint,
    callback: Option<ConnectCallback>,
) -> c_int {
    let Some(name) = name_of(name, length) else {
        return -libc::EINVAL;
    };
    code(pipe::connect(pipe, request, name, flags, callback))
}

#[unsafe(no_mangle)]
extern "C" fn uv_pipe_getsockname(
    pipe: Live<Pipe>,
    buffer: *mut c_char,
    size: *mut size_t,
) -> c_int {
    name_to(pipe, Side::Own, buffer, size)
}

#[unsafe(no_mangle)]
extern "C" fn uv_pipe_getpeername(
    pipe: Live<Pipe>,
    buffer: *mut c_char,
    size: *mut size_t,
) -> c_int {
    name_to(pipe, Side::Peer, buffer, size)
}

fn name_to(pipe: Live<Pipe>, side: Side, buffer: *mut c_char, size: *mut size_t) -> c_int {
    // SAFETY: the caller passes null, or a size that can be read and written.
    let Some(size) = (unsafe { size.as_mut() }) else {
        return -libc::EINVAL;
    };
    if buffer.is_null() || *size == 0 {
        return -libc::EINVAL;
    }
    let name = match pipe::name_of(pipe, side) {
        Ok(name) => name,
        Err(error) => {
            *size = 0;
            return error::number(error);
        }
    };
    if name.len() >= *size {
        *size = name.len() + 1;
        return -libc::ENOBUFS;
    }
    super::text::copy_truncated(&name, buffer, *size);
    *size = name.len();
    0
}

const READABLE: c_int = 1;
const WRITABLE: c_int = 2;

#[unsafe(no_mangle)]
extern "C" fn uv_pipe_chmod(pipe: Option<Live<Pipe>>, mode: c_int) -> c_int {
    let Some(pipe) = pipe.filter(|pipe| pipe.stream.fd.get() != -1) else {
        return -libc::EBADF;
    };
    if !(READABLE..=READABLE | WRITABLE).contains(&mode) {
        return -libc::EINVAL;
    }
    code(pipe::chmod(
        pipe,
        mode & READABLE != 0,
        mode & WRITABLE != 0,
    ))
}

/// Changes nothing: it is for Windows.
#[unsafe(no_mangle)]
extern "C" fn uv_pipe_pending_instances(_pipe: Live<Pipe>, _count: c_int) {}

#[unsafe(no_mangle)]
extern "C" fn uv_pipe_pending_count(pipe: Live<Pipe>) -> c_int {
    if pipe.is_ipc.get() == 0 || pipe.stream.accepted_fd.get() == -1 {
        return 0;
    }
    let stream = pipe.as_stream();
    1 + stream.handle.state().count_received(stream) as c_int
}

/// The kind of the handle that is accepted next; 0 if there is none.
#[unsafe(no_mangle)]
extern "C" fn uv_pipe_pending_type(pipe: Live<Pipe>) -> c_int {
    if pipe.is_ipc.get() == 0 {
        return 0;
    }
    guess(pipe.stream.accepted_fd.get())
}

#[unsafe(no_mangle)]
extern "C" fn uv_pipe(fds: &mut [c_int; 2], read_flags: c_int, write_flags: c_int) -> c_int {
    let mut pair = [MaybeUninit::<c_int>::uninit(); 2];
    // SAFETY: there is room for two.
    if unsafe { libc::pipe2(pair.as_mut_ptr().cast(), libc::O_CLOEXEC) } != 0 {
        return error::last();
    }
    // SAFETY: pipe2(2) has filled them in.
    let pair = pair.map(|fd| super::fd::own(unsafe { fd.assume_init() }));
    for (fd, flags) in pair.iter().zip([read_flags, write_flags]) {
        if flags & crate::stream::NONBLOCK_PIPE != 0
            && let Err(error) = rustix::io::ioctl_fionbio(fd, true)
        {
            return error::number(error);
        }
    }
    *fds = pair.map(|fd| fd.into_raw_fd());
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_socketpair(
    kind: c_int,
    protocol: c_int,
    fds: &mut [c_int; 2],
    first_flags: c_int,
    second_flags: c_int,
) -> c_int {
    match socket_pair(kind, protocol, [first_flags, second_flags]) {
        Ok(pair) => *fds = pair.map(|fd| fd.into_raw_fd()),
        Err(error) => return error::number(error),
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_tty_init(of: Live<Loop>, tty: Live<Tty>, fd: c_int, _unused: c_int) -> c_int {
    code(tty::begin(of, tty, fd))
}

#[unsafe(no_mangle)]
extern "C" fn uv_tty_set_mode(tty: Live<Tty>, mode: c_int) -> c_int {
    code(tty::set_mode(tty, mode))
}

#[unsafe(no_mangle)]
extern "C" fn uv_tty_get_winsize(tty: Live<Tty>, width: &mut c_int, height: &mut c_int) -> c_int {
    match terminal::size(tty.stream.fd.get()) {
        Ok(size) => (*width, *height) = size,
        Err(error) => return error::number(error),
    }
    0
}

/// Changes nothing: it is for Windows.
#[unsafe(no_mangle)]
extern "C" fn uv_tty_set_vterm_state(_state: c_int) {}

/// Changes nothing: it is for Windows.
#[unsafe(no_mangle)]
extern "C" fn uv_tty_get_vterm_state(_state: *mut c_int) -> c_int {
    error::number(Errno::OPNOTSUPP)
}
