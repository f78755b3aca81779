//! The turn of a stream that is ready: which of its callbacks comes next.
#![forbid(unsafe_code)]

use crate::abi::buffers::{self, Buffer};
use crate::abi::fd::borrow;
use crate::abi::live::Live;
use crate::call::Call;
use crate::error;
use crate::layout::{Stream, flag};
use crate::pipe;
use crate::state::LoopState;
use crate::stream;
use crate::watch::{READ, WRITE};
use oneloop_core::Ready;
use rustix::io::Errno;
use rustix::net::{self, Shutdown, SocketFlags, sockopt};
use std::os::fd::{IntoRawFd as _, OwnedFd};

/// The most reads of one turn, so that others get theirs.
const READS_MAX: u32 = 32;
/// The size of the buffer that a read suggests.
pub(crate) const SUGGESTED_BYTES: usize = 64 * 1024;

/// The stream whose turn it is. A close takes it out of the loop, so its pointer is live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) stream: Live<Stream>,
    ready: Ready,
    progress: Progress,
}

/// ```text
///   Begin ─▶ Connected
///     │ ╲──▶ Accepted
///     ▼
///   Read ◀─▶ Fill ─▶ Failed ─▶ ReadDone ─▶ Write ─▶ Written ─▶ Drained
/// ```
#[derive(Clone, Copy, Debug)]
enum Progress {
    Begin,
    /// The connect callback was called with this.
    Connected(i32),
    /// The connection callback was called.
    Accepted,
    /// The number of reads that are left.
    Read(u32),
    /// The alloc callback was called, and has given a buffer.
    Fill(u32),
    /// The read callback was called with an error.
    Failed,
    ReadDone,
    Write,
    /// The number of write callbacks that are left.
    Written(usize),
    /// The same, after a connect that failed.
    Canceled(usize),
    Drained,
}

impl Turn {
    /// The turn of a stream that epoll has reported.
    pub(crate) fn new(stream: Live<Stream>, ready: Ready) -> Self {
        Turn {
            stream,
            ready,
            progress: Progress::Begin,
        }
    }
}

/// The next call of the stream whose turn it is, with the buffer that its alloc callback has given.
/// `None` at the end of its turn.
pub(crate) fn next_call(state: &LoopState, buffer: Buffer) -> Option<Call> {
    loop {
        // Taken out, so that the turn is over unless it is put back; a close in the callback that
        // came before has taken it out as well.
        let turn = state.turn.take()?;
        let Turn { stream, ready, .. } = turn;
        let go = |progress| state.turn.set(Some(Turn { progress, ..turn }));
        let call = match turn.progress {
            Progress::Begin if stream.connect.get().is_some() => connected(stream, go),
            Progress::Begin if stream.connection_callback.get().is_some() => {
                accept(state, stream, go)
            }
            Progress::Begin if ready.intersects(Ready::READ | Ready::ERROR | Ready::HANG_UP) => {
                stream.handle.set(flag::READ_PARTIAL, false);
                go(Progress::Read(READS_MAX));
                None
            }
            Progress::Begin => {
                go(Progress::Write);
                None
            }
            Progress::Connected(error) if error < 0 => {
                stream::cancel_writes(stream);
                go(Progress::Canceled(stream.written.len()));
                None
            }
            Progress::Connected(_) => None,
            Progress::Accepted => {
                if stream.accepted_fd.get() != -1 {
                    stream::want(stream, READ, false); // until the caller has accepted it
                }
                None
            }
            Progress::Read(left) => allocate(stream, left, go),
            Progress::Fill(left) => fill(state, stream, left, buffer, go),
            Progress::Failed => {
                stream::read_stop(stream);
                go(Progress::ReadDone);
                None
            }
            Progress::ReadDone => read_done(stream, ready, go),
            Progress::Write => {
                if ready.intersects(Ready::WRITE | Ready::ERROR | Ready::HANG_UP) {
                    stream::flush(stream);
                    go(Progress::Written(stream.written.len()));
                }
                None
            }
            Progress::Written(0) => {
                go(Progress::Drained);
                None
            }
            Progress::Written(left) => {
                go(Progress::Written(left - 1));
                stream::next_written(stream)
            }
            Progress::Canceled(0) => None,
            Progress::Canceled(left) => {
                go(Progress::Canceled(left - 1));
                stream::next_written(stream)
            }
            Progress::Drained => drained(stream),
        };
        if call.is_some() {
            return call;
        }
    }
}

/// The call of the request that connects.
fn connected(stream: Live<Stream>, go: impl FnOnce(Progress)) -> Option<Call> {
    let error = match stream.delayed_error.take() {
        0 => match sockopt::socket_error(borrow(stream.fd.get())) {
            Ok(Ok(())) => 0,
            Ok(Err(error)) | Err(error) => error::number(error),
        },
        error => error,
    };
    if error == -libc::EINPROGRESS {
        return None;
    }
    let connect = stream.connect.take()?;
    stream.handle.owner().end_request();
    if error < 0 || stream.writes.is_empty() {
        stream::want(stream, WRITE, false);
    }
    go(Progress::Connected(error));
    Some(Call::Connect(connect.callback.get()?, connect, error))
}

/// The call for a connection that has come.
fn accept(state: &LoopState, stream: Live<Stream>, go: impl FnOnce(Progress)) -> Option<Call> {
    let callback = stream.connection_callback.get()?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let accepted = match net::accept_with(borrow(stream.fd.get()), flags) {
        Err(Errno::MFILE | Errno::NFILE) => {
            state.shed_connection(stream.fd.get());
            return None;
        }
        // The peer has gone again, or another process was faster.
        accepted => accepted.ok()?,
    };
    stream.accepted_fd.set(accepted.into_raw_fd());
    go(Progress::Accepted);
    Some(Call::Connection(callback, stream, 0))
}

/// The call that gets the next buffer.
fn allocate(stream: Live<Stream>, left: u32, go: impl FnOnce(Progress)) -> Option<Call> {
    let is_reading = stream.handle.has(flag::READING) && stream.read_callback.get().is_some();
    match stream.alloc_callback.get() {
        Some(callback) if is_reading && left > 0 => {
            go(Progress::Fill(left - 1));
            Some(Call::Allocate(callback, stream.as_handle()))
        }
        _ => {
            go(Progress::ReadDone);
            None
        }
    }
}

/// The read callback for what a read into the buffer has returned.
fn fill(
    state: &LoopState,
    stream: Live<Stream>,
    left: u32,
    buffer: Buffer,
    go: impl FnOnce(Progress),
) -> Option<Call> {
    let Some(callback) = stream.read_callback.get() else {
        go(Progress::ReadDone); // the alloc callback has stopped it
        return None;
    };
    let (progress, count) = if buffer.is_empty() {
        (Progress::ReadDone, -(libc::ENOBUFS as isize))
    } else {
        match read(state, stream, buffer) {
            Ok(0) => {
                stream.handle.set(flag::READ_EOF, true);
                stream::read_stop(stream);
                (Progress::ReadDone, error::EOF as isize)
            }
            Ok(count) if count < buffer.len() => {
                stream.handle.set(flag::READ_PARTIAL, true);
                (Progress::ReadDone, count as isize)
            }
            Ok(count) => (Progress::Read(left), count as isize),
            Err(Errno::AGAIN) => (Progress::ReadDone, 0),
            Err(error) => {
                stream.handle.set(flag::READABLE, false);
                stream.handle.set(flag::WRITABLE, false);
                (Progress::Failed, error::number(error) as isize)
            }
        }
    };
    go(progress);
    Some(Call::Read(callback, stream, count, buffer))
}

/// Reads bytes, and what travels with them.
fn read(state: &LoopState, stream: Live<Stream>, buffer: Buffer) -> Result<usize, Errno> {
    let fd = stream.fd.get();
    if !pipe::carries_handles(stream) {
        return buffers::read(fd, buffer);
    }
    let (count, fds) = buffers::receive(fd, buffer)?;
    state.keep_received(stream, fds);
    Ok(count)
}

/// After the reads: a hang-up is the end, also if the last read did not get that far.
fn read_done(stream: Live<Stream>, ready: Ready, go: impl FnOnce(Progress)) -> Option<Call> {
    go(Progress::Write);
    let is_end = ready.contains(Ready::HANG_UP)
        && stream.handle.has(flag::READING)
        && stream.handle.has(flag::READ_PARTIAL)
        && !stream.handle.has(flag::READ_EOF);
    let callback = stream.read_callback.get().filter(|_| is_end)?;
    stream.handle.set(flag::READ_EOF, true);
    stream::read_stop(stream);
    Some(Call::Read(
        callback,
        stream,
        error::EOF as isize,
        Buffer::NONE,
    ))
}

/// The shutdown callback, once all is written.
fn drained(stream: Live<Stream>) -> Option<Call> {
    if !stream.writes.is_empty() {
        return None;
    }
    stream::want(stream, WRITE, false);
    let shutdown = stream.shutdown.take()?;
    stream.handle.owner().end_request();
    let status = match net::shutdown(borrow(stream.fd.get()), Shutdown::Write) {
        Ok(()) => {
            stream.handle.set(flag::SHUT, true);
            0
        }
        Err(error) => error::number(error),
    };
    Some(Call::Shutdown(shutdown.callback.get()?, shutdown, status))
}

/// The call for an fd that epoll refuses, such as a file's or one that was closed.
pub(crate) fn refused(stream: Live<Stream>, error: Errno) -> Option<Call> {
    stream.wanted.set(0);
    let callback = stream.read_callback.get()?;
    stream::read_stop(stream);
    stream.handle.set(flag::READABLE, false);
    let count = error::number(error) as isize;
    Some(Call::Read(callback, stream, count, Buffer::NONE))
}

/// Accepts and closes a connection for which the process has no fd left, so that its peer does not
/// wait, and so that the loop does not spin. It needs the reserved fd for that.
pub(crate) fn shed(listener: i32, reserve: &mut Option<OwnedFd>) {
    if reserve.take().is_some() {
        let flags = SocketFlags::CLOEXEC;
        while net::accept_with(borrow(listener), flags).is_ok() {} // closed at once
        *reserve = reserved();
    }
}

/// An fd that is kept for that.
pub(crate) fn reserved() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(Into::into)
}
