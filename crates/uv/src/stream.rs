//! Streams: what TCP sockets, pipes and terminals have in common.
//!
//! ```text
//!            uv_write                flush                     in a later phase
//!   request ─────────▶ Stream::writes ────▶ Stream::written ──────────────────▶ write callback
//! ```
#![forbid(unsafe_code)]

use crate::abi::buffers::{self, Buffer};
use crate::abi::fd::{borrow, close as close_fd, own};
use crate::abi::live::{Live, Typed};
use crate::call::Call;
use crate::error;
use crate::handle;
use crate::layout::{
    AllocCallback, Connect, ConnectCallback, Handle, Loop, ReadCallback, Request, Shutdown,
    ShutdownCallback, Stream, Write, WriteCallback, flag, kind, request,
};
use crate::state::{Member, rings};
use crate::watch::{Owner, READ, WRITE};
use crate::{pipe, tcp, tty, udp};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::ffi::c_int;
use std::os::fd::RawFd;

/// `UV_NONBLOCK_PIPE`.
pub(crate) const NONBLOCK_PIPE: c_int = 0x40;

/// The most requests that one flush writes, so that others get their turn.
const WRITES_MAX: u32 = 32;

pub(crate) fn begin(owner: Live<Loop>, stream: Live<Stream>, kind: c_int) {
    handle::begin(owner, stream.as_handle(), kind);
    stream.write_queue_bytes.set(0);
    stream.alloc_callback.set(None);
    stream.read_callback.set(None);
    stream.connect.set(None);
    stream.shutdown.set(None);
    stream.pending_place.set(0);
    stream.wanted.set(0);
    stream.fd.set(-1);
    stream.writes.clear();
    stream.written.clear();
    stream.connection_callback.set(None);
    stream.delayed_error.set(0);
    stream.accepted_fd.set(-1);
}

/// Gives a stream its fd, and marks what it can do.
pub(crate) fn open(stream: Live<Stream>, fd: RawFd, flags: u32) -> Result<(), Errno> {
    let current = stream.fd.get();
    if current != -1 && current != fd {
        return Err(Errno::BUSY);
    }
    stream.handle.set(flags, true);
    stream.fd.set(fd);
    if stream.handle.kind.get() == kind::TCP {
        tcp::apply_options(stream)?;
    }
    Ok(())
}

/// Adds or removes something that epoll is to report.
pub(crate) fn want(stream: Live<Stream>, bit: u32, is_wanted: bool) {
    let watched = (stream.fd.get(), Owner::Stream(stream));
    let state = stream.handle.state();
    let mut watches = state.watches.borrow_mut();
    watches.want(watched, &stream.wanted, bit, is_wanted);
}

/// Puts a stream among those whose requests are done, so that a phase calls their callbacks.
pub(crate) fn feed(stream: Live<Stream>) {
    if stream.pending_place.get() == 0 {
        let state = stream.handle.state();
        let member = Member::Stream(stream);
        let place = state.rings.borrow_mut().push_back(rings::PENDING, member);
        stream.pending_place.set(place);
    }
}

pub(crate) fn read_start(
    stream: Live<Stream>,
    alloc: AllocCallback,
    read: ReadCallback,
) -> Result<(), Errno> {
    if stream.handle.is_closing() {
        return Err(Errno::INVAL);
    }
    if stream.handle.has(flag::READING) {
        return Err(Errno::ALREADY);
    }
    if !stream.handle.has(flag::READABLE) {
        return Err(Errno::NOTCONN);
    }
    stream.handle.set(flag::READING, true);
    stream.handle.set(flag::READ_EOF, false);
    stream.alloc_callback.set(Some(alloc));
    stream.read_callback.set(Some(read));
    want(stream, READ, true);
    stream.handle.activate();
    Ok(())
}

pub(crate) fn read_stop(stream: Live<Stream>) {
    if stream.handle.has(flag::READING) {
        stream.handle.set(flag::READING, false);
        want(stream, READ, false);
        stream.handle.deactivate();
        stream.alloc_callback.set(None);
        stream.read_callback.set(None);
    }
}

/// Checks whether a stream can write, and whether a handle can travel over it.
fn check_before_write(stream: Live<Stream>, sent: Option<Live<Handle>>) -> Result<(), Errno> {
    if stream.fd.get() < 0 {
        return Err(Errno::BADF);
    }
    if !stream.handle.has(flag::WRITABLE) {
        return Err(Errno::PIPE);
    }
    let Some(sent) = sent else { return Ok(()) };
    if !pipe::carries_handles(stream) {
        return Err(Errno::INVAL);
    }
    handle::fd(sent).map(drop)
}

/// Begins a request, which keeps the loop alive until its callback.
fn begin_request(stream: Live<Stream>, request: Live<Request>, kind: c_int) {
    request.kind.set(kind);
    stream.handle.owner().begin_request();
}

pub(crate) fn write(
    stream: Live<Stream>,
    write: Live<Write>,
    parts: &[Buffer],
    sent: Option<Live<Handle>>,
    callback: Option<WriteCallback>,
) -> Result<(), Errno> {
    check_before_write(stream, sent)?;
    if parts.is_empty() {
        return Err(Errno::INVAL);
    }
    buffers::keep(write, parts)?;
    begin_request(stream, write.as_request(), request::WRITE);
    write.callback.set(callback);
    write.sent_handle.set(sent);
    write.stream.set(Some(stream));
    write.error.set(0);
    let was_empty = stream.write_queue_bytes.get() == 0;
    let bytes = buffers::bytes_left(&write);
    stream
        .write_queue_bytes
        .set(stream.write_queue_bytes.get() + bytes);
    stream.writes.push(write);
    if stream.connect.get().is_some() {
        // Once it is connected, epoll reports that it can be written to.
    } else if was_empty {
        flush(stream);
    } else {
        want(stream, WRITE, true);
    }
    Ok(())
}

/// Writes at once what the kernel takes. Returns the number of bytes.
pub(crate) fn try_write(
    stream: Live<Stream>,
    sent: Option<Live<Handle>>,
    send: impl FnOnce(RawFd, Option<RawFd>) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    if stream.connect.get().is_some() || stream.write_queue_bytes.get() > 0 {
        return Err(Errno::AGAIN);
    }
    check_before_write(stream, sent)?;
    send(stream.fd.get(), sent.map(handle::fd).transpose()?)
}

/// Writes what the kernel takes of the queue.
pub(crate) fn flush(stream: Live<Stream>) {
    let fd = stream.fd.get();
    let mut left = WRITES_MAX;
    while let Some(write) = stream.writes.first() {
        let sent = write.sent_handle.get().map(handle::fd).transpose();
        let result = sent.and_then(|sent| buffers::write(fd, &write, sent));
        match result {
            Ok(bytes) => {
                write.sent_handle.set(None); // it went with the first bytes
                let queued = stream.write_queue_bytes.get();
                stream.write_queue_bytes.set(queued - bytes);
                if buffers::advance(&write, bytes) {
                    finish(stream);
                    left -= 1;
                    if left == 0 {
                        return;
                    }
                    continue;
                }
            }
            Err(Errno::AGAIN) => {}
            Err(error) => {
                write.error.set(error::number(error));
                finish(stream);
                return want(stream, WRITE, false);
            }
        }
        if !stream.handle.has(flag::BLOCKING_WRITES) {
            return want(stream, WRITE, true);
        }
        // What is wrong with the fd, the next write tells.
        let _ = poll(
            &mut [PollFd::from_borrowed_fd(borrow(fd), PollFlags::OUT)],
            None,
        );
    }
}

/// Ends the first write: its callback comes later.
fn finish(stream: Live<Stream>) {
    if let Some(write) = stream.writes.pop() {
        if write.error.get() == 0 {
            buffers::forget(&write);
        }
        stream.written.push(write);
        feed(stream);
    }
}

/// Ends all writes with an error.
pub(crate) fn cancel_writes(stream: Live<Stream>) {
    while let Some(write) = stream.writes.pop() {
        write.error.set(-libc::ECANCELED);
        stream.written.push(write);
    }
}

/// The call of the first write that is done.
pub(crate) fn next_written(stream: Live<Stream>) -> Option<Call> {
    while let Some(write) = stream.written.pop() {
        stream.handle.owner().end_request();
        // What was not written counted until now, so that the caller saw that it should not write.
        let left = buffers::bytes_left(&write);
        let queued = stream.write_queue_bytes.get();
        stream.write_queue_bytes.set(queued - left);
        buffers::forget(&write);
        if let Some(callback) = write.callback.get() {
            return Some(Call::Write(callback, write, write.error.get()));
        }
    }
    None
}

pub(crate) fn shutdown(
    stream: Live<Stream>,
    shutdown: Live<Shutdown>,
    callback: Option<ShutdownCallback>,
) -> Result<(), Errno> {
    let is_shut = stream.handle.has(flag::SHUT) || stream.shutdown.get().is_some();
    if !stream.handle.has(flag::WRITABLE) || is_shut || stream.handle.is_closing() {
        return Err(Errno::NOTCONN);
    }
    begin_request(stream, shutdown.as_request(), request::SHUTDOWN);
    shutdown.stream.set(Some(stream));
    shutdown.callback.set(callback);
    stream.shutdown.set(Some(shutdown));
    stream.handle.set(flag::WRITABLE, false);
    if stream.writes.is_empty() {
        feed(stream);
    }
    Ok(())
}

/// Begins a request that connects. Its result is `delayed_error`, or what the socket says once
/// epoll reports it.
pub(crate) fn connect(
    stream: Live<Stream>,
    connect: Live<Connect>,
    callback: Option<ConnectCallback>,
) {
    begin_request(stream, connect.as_request(), request::CONNECT);
    connect.stream.set(Some(stream));
    connect.callback.set(callback);
    stream.connect.set(Some(connect));
    if stream.delayed_error.get() != 0 {
        feed(stream);
    }
}

/// Gives a connection that has come, or a received fd, to a handle of the caller.
pub(crate) fn accept(server: Live<Stream>, client: Live<Handle>) -> Result<(), Errno> {
    let fd = server.accepted_fd.get();
    if fd == -1 {
        return Err(Errno::AGAIN);
    }
    let opened = match client.typed() {
        Typed::Stream(client) if client.handle.kind.get() != kind::TTY => {
            open(client, fd, flag::READABLE | flag::WRITABLE)
        }
        Typed::Udp(client) => udp::open(client, fd, 0),
        _ => return Err(Errno::INVAL),
    };
    match opened {
        Ok(()) => client.set(flag::BOUND, true),
        Err(_) => drop(own(fd)),
    }
    let state = server.handle.state();
    let next = state.take_received(server);
    server.accepted_fd.set(next);
    if next == -1 && opened.is_ok() && !server.handle.is_closing() && is_reading(server) {
        want(server, READ, true);
    }
    opened
}

/// True for a stream that waits for connections or bytes.
fn is_reading(stream: Live<Stream>) -> bool {
    stream.connection_callback.get().is_some() || stream.handle.has(flag::READING)
}

/// Takes a stream out of everything, and closes its fd. Its requests end in the closing phase.
pub(crate) fn close(stream: Live<Stream>) {
    let state = stream.handle.state();
    let fd = stream.fd.get();
    if let Some(pipe) = stream.as_pipe() {
        pipe::forget_name(pipe);
    }
    if stream.handle.kind.get() == kind::TTY {
        tty::forget_mode(fd);
    }
    let owner = Owner::Stream(stream);
    state
        .watches
        .borrow_mut()
        .stop(fd, owner, &mut state.reactor.borrow_mut());
    stream.wanted.set(0);
    state.forget_stream(stream);
    for flag in [flag::READING, flag::READABLE, flag::WRITABLE] {
        stream.handle.set(flag, false);
    }
    stream.handle.deactivate();
    for fd in [&stream.fd, &stream.accepted_fd] {
        close_fd(fd.replace(-1));
    }
}

/// The next call of a stream that was closed: its requests are canceled before its own callback.
pub(crate) fn next_canceled(stream: Live<Stream>) -> Option<Call> {
    if let Some(connect) = stream.connect.take() {
        stream.handle.owner().end_request();
        if let Some(callback) = connect.callback.get() {
            return Some(Call::Connect(callback, connect, -libc::ECANCELED));
        }
    }
    cancel_writes(stream);
    if let Some(call) = next_written(stream) {
        return Some(call);
    }
    let shutdown = stream.shutdown.take()?;
    stream.handle.owner().end_request();
    let callback = shutdown.callback.get()?;
    Some(Call::Shutdown(callback, shutdown, -libc::ECANCELED))
}
