//! Streams: their functions, which lead to the mechanisms.

use super::buffers::{self, Buffer};
use super::live::Live;
use crate::error::code;
use crate::layout::{
    AllocCallback, ConnectionCallback, Handle, ReadCallback, Shutdown, ShutdownCallback, Stream,
    Write, WriteCallback, flag, kind,
};
use crate::{error, pipe, stream, tcp, watch};
use libc::{c_int, c_uint, size_t};
use rustix::io::{Errno, ioctl_fionbio};

#[unsafe(no_mangle)]
extern "C" fn uv_listen(
    of: Live<Stream>,
    backlog: c_int,
    callback: Option<ConnectionCallback>,
) -> c_int {
    if of.handle.is_closing() {
        return -libc::EINVAL;
    }
    let listening = match of.handle.kind.get() {
        kind::TCP => tcp::listen(of, backlog, callback),
        kind::NAMED_PIPE => pipe::listen(of, backlog, callback),
        _ => return -libc::EINVAL,
    };
    if listening.is_ok() {
        of.handle.state().reserve_fd();
        stream::want(of, watch::READ, true);
        of.handle.activate();
    }
    code(listening)
}

#[unsafe(no_mangle)]
extern "C" fn uv_accept(server: Live<Stream>, client: Live<Handle>) -> c_int {
    code(stream::accept(server, client))
}

#[unsafe(no_mangle)]
extern "C" fn uv_read_start(
    of: Option<Live<Stream>>,
    alloc: Option<AllocCallback>,
    read: Option<ReadCallback>,
) -> c_int {
    let (Some(of), Some(alloc), Some(read)) = (of, alloc, read) else {
        return -libc::EINVAL;
    };
    code(stream::read_start(of, alloc, read))
}

#[unsafe(no_mangle)]
extern "C" fn uv_read_stop(of: Live<Stream>) -> c_int {
    stream::read_stop(of);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_write(
    write: Live<Write>,
    of: Live<Stream>,
    parts: *const Buffer,
    count: c_uint,
    callback: Option<WriteCallback>,
) -> c_int {
    uv_write2(write, of, parts, count, None, callback)
}

#[unsafe(no_mangle)]
extern "C" fn uv_write2(
    write: Live<Write>,
    of: Live<Stream>,
    parts: *const Buffer,
    count: c_uint,
    sent: Option<Live<Handle>>,
    callback: Option<WriteCallback>,
) -> c_int {
    // SAFETY: the caller has that many buffers there.
    let parts = unsafe { buffers::of_call(parts, count) };
    code(stream::write(of, write, parts, sent, callback))
}

#[unsafe(no_mangle)]
extern "C" fn uv_try_write(of: Live<Stream>, parts: *const Buffer, count: c_uint) -> c_int {
    uv_try_write2(of, parts, count, None)
}

#[unsafe(no_mangle)]
extern "C" fn uv_try_write2(
    of: Live<Stream>,
    parts: *const Buffer,
    count: c_uint,
    sent: Option<Live<Handle>>,
) -> c_int {
    // SAFETY: the caller has that many buffers there.
    let parts = unsafe { buffers::of_call(parts, count) };
    let written = stream::try_write(of, sent, |fd, sent| buffers::send(fd, parts, sent));
    written.map_or_else(error::number, |bytes| {
        c_int::try_from(bytes).unwrap_or(c_int::MAX)
    })
}

#[unsafe(no_mangle)]
extern "C" fn uv_shutdown(
    request: Live<Shutdown>,
    of: Live<Stream>,
    callback: Option<ShutdownCallback>,
) -> c_int {
    code(stream::shutdown(of, request, callback))
}

#[unsafe(no_mangle)]
extern "C" fn uv_is_readable(of: Live<Stream>) -> c_int {
    c_int::from(of.handle.has(flag::READABLE))
}

#[unsafe(no_mangle)]
extern "C" fn uv_is_writable(of: Live<Stream>) -> c_int {
    c_int::from(of.handle.has(flag::WRITABLE))
}

#[unsafe(no_mangle)]
extern "C" fn uv_stream_get_write_queue_size(of: Live<Stream>) -> size_t {
    of.write_queue_bytes.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_stream_set_blocking(of: Live<Stream>, is_blocking: c_int) -> c_int {
    let fd = of.fd.get();
    if fd == -1 {
        return -libc::EBADF;
    }
    code(ioctl_fionbio(super::fd::borrow(fd), is_blocking == 0))
}

/// Which of a socket's buffers.
#[derive(Clone, Copy)]
enum Room {
    Send,
    Receive,
}

#[unsafe(no_mangle)]
extern "C" fn uv_send_buffer_size(of: Option<Live<Handle>>, bytes: Option<&mut c_int>) -> c_int {
    room(of, bytes, Room::Send)
}

#[unsafe(no_mangle)]
extern "C" fn uv_recv_buffer_size(of: Option<Live<Handle>>, bytes: Option<&mut c_int>) -> c_int {
    room(of, bytes, Room::Receive)
}

/// Sets the size of a socket's buffer; 0 asks for it.
fn room(of: Option<Live<Handle>>, bytes: Option<&mut c_int>, room: Room) -> c_int {
    let (Some(of), Some(bytes)) = (of, bytes) else {
        return -libc::EINVAL;
    };
    if !matches!(of.kind.get(), kind::TCP | kind::NAMED_PIPE | kind::UDP) {
        return -libc::ENOTSUP;
    }
    let changed = crate::handle::fd(of).and_then(|fd| {
        if *bytes == 0 {
            *bytes = get_room(fd, room)?;
            return Ok(());
        }
        set_room(fd, room, *bytes)
    });
    code(changed)
}

fn get_room(fd: c_int, room: Room) -> Result<c_int, Errno> {
    use rustix::net::sockopt::{socket_recv_buffer_size, socket_send_buffer_size};
    let fd = super::fd::borrow(fd);
    let bytes = match room {
        Room::Send => socket_send_buffer_size(fd)?,
        Room::Receive => socket_recv_buffer_size(fd)?,
    };
    Ok(c_int::try_from(bytes).unwrap_or(c_int::MAX))
}

fn set_room(fd: c_int, room: Room, bytes: c_int) -> Result<(), Errno> {
    use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
    let fd = super::fd::borrow(fd);
    let bytes = usize::try_from(bytes).map_err(|_| Errno::INVAL)?;
    match room {
        Room::Send => set_socket_send_buffer_size(fd, bytes),
        Room::Receive => set_socket_recv_buffer_size(fd, bytes),
    }
}
