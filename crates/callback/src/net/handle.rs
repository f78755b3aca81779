//! A socket's handle, as libuv's `uv_stream_t`: it reads in rounds, performs one write at a time,
//! shuts down, and reports its close in the closing phase.
//!
//! A handle is a task of the loop. Each report to its [`Socket`] runs in a separate scope, so
//! ticks and microtasks run after each.

use super::socket::Socket;
use crate::drive::{Drive, Driven, Pace};
use crate::ends::Ends;
use crate::error::Error;
use crate::runtime::Runtime;
use crate::stream::destroy::Stream;
use crate::stream::pending_write::PendingWrite;
use crate::stream::writable::WritableStream;
use crate::stream::write_queue::Batch;
use crate::thrown::Thrown;
use nix::errno::Errno;
use oneloop_core::{Direction, Phase, PhaseReached, Ready, YieldNow, yield_now};
use oneloop_net::{Addr, Chunk, Connecting, ReadHalf, Shutdown, Socket as NetSocket, WriteHalf};
use oneloop_posix::Refusal;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Full chunks that one round reads: `uv__read`'s `count`.
const ROUND_READS: u32 = 32;

/// The connection of a handle.
///
/// ```text
/// Idle ──connect──▶ Connecting ──it succeeds──▶ Open
///                       └────────it fails─────▶ Idle
/// Idle ──connect──▶ Refused: it failed at once ──the report in the next turn──▶ Idle
/// any  ──close────▶ Closed
/// ```
enum Io {
    Idle,
    /// The poll reports the result. A Unix socket is connected at once, but waits for the next poll
    /// and for the tasks that this poll has found: libuv reports a connect from its poll, too.
    Connecting(Box<(Connecting, Option<(PhaseReached, YieldNow)>)>),
    Refused(io::Error),
    Open(NetSocket),
    Closed,
}

pub(super) struct StreamHandle {
    pub(super) runtime: Rc<Runtime>,
    /// The socket that receives the reports. From its connect to its close, the handle keeps its
    /// socket alive.
    owner: Cell<Option<Socket>>,
    io: RefCell<Io>,
    writing: RefCell<Option<Box<PendingWrite>>>,
    pace: Pace,
    is_reading: Cell<bool>,
    is_shutting: Cell<bool>,
    /// Whether the socket emits 'close', and its `had_error`.
    closed_with_error: Cell<Option<bool>>,
    read_bytes_max: Cell<u32>,
    /// Full chunks that one round reads.
    reads_max: Cell<u32>,
    bytes_read: Cell<u64>,
    bytes_written: Cell<u64>,
}

impl StreamHandle {
    /// Creates the handle of a socket that is not connected yet.
    pub(super) fn new(owner: &Socket) -> Rc<Self> {
        Rc::new(StreamHandle {
            runtime: Rc::clone(owner.runtime()),
            owner: Cell::new(None),
            io: RefCell::new(Io::Idle),
            writing: RefCell::default(),
            pace: Pace::default(),
            is_reading: Cell::new(false),
            is_shutting: Cell::new(false),
            closed_with_error: Cell::new(None),
            read_bytes_max: Cell::new(owner.read_bytes_max()),
            reads_max: Cell::new(ROUND_READS),
            bytes_read: Cell::new(0),
            bytes_written: Cell::new(0),
        })
    }

    fn start(self: &Rc<Self>, owner: &Socket, io: Io) {
        self.owner.set(Some(owner.clone()));
        let is_open = matches!(io, Io::Open(_));
        self.io.replace(io);
        // An accepted fd comes last in epoll's list: libuv reads it in the next poll, behind the
        // fds that this poll found.
        if is_open {
            self.hold_back();
        }
        self.apply_reference();
        let handle = Rc::clone(self);
        self.runtime.handle.spawn_detached(Drive(handle));
    }

    /// Starts the handle on a connected socket.
    pub(super) fn open(self: &Rc<Self>, owner: &Socket, socket: NetSocket) {
        self.start(owner, Io::Open(socket));
    }

    /// Fails if the handle is connecting or connected.
    ///
    /// # Errors
    /// `EALREADY`, `EISCONN`.
    pub(super) fn check_unconnected(&self) -> io::Result<()> {
        // In Node a second connect(2) on the same fd fails with these. Here each attempt opens a
        // new fd, so the check stands in for the kernel.
        match &*self.io.borrow() {
            Io::Connecting(_) | Io::Refused(_) => Err(system_error(Errno::EALREADY)),
            Io::Open(_) => Err(system_error(Errno::EISCONN)),
            Io::Idle | Io::Closed => Ok(()),
        }
    }

    /// Waits for a connect that has begun. An immediate failure is reported in the next turn.
    pub(super) fn connect(self: &Rc<Self>, owner: &Socket, connecting: io::Result<Connecting>) {
        match connecting {
            Ok(connecting) => {
                let polled = self.runtime.handle.phase(Phase::Poll);
                let polled = Some((polled, yield_now()));
                self.start(owner, Io::Connecting(Box::new((connecting, polled))));
            }
            Err(error) => {
                self.owner.set(Some(owner.clone()));
                self.io.replace(Io::Refused(error));
                // libuv's `delayed_error`: uv__io_feed reports it in the next turn.
                self.runtime.queues.feed(Rc::clone(self) as _);
            }
        }
    }

    pub(super) fn is_reading(&self) -> bool {
        self.is_reading.get()
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.get()
    }

    pub(super) fn bytes_written(&self) -> u64 {
        self.bytes_written.get()
    }

    /// Bytes that the kernel has not taken.
    pub(super) fn write_queue_bytes(&self) -> usize {
        self.writing
            .borrow()
            .as_ref()
            .map_or(0, |write| write.bytes_left())
    }

    pub(super) fn set_read_bytes_max(&self, bytes: u32) {
        self.read_bytes_max.set(bytes);
    }

    pub(super) fn set_reads_max(&self, reads: u32) {
        self.reads_max.set(reads.max(1)); // a round without a read would be held forever
    }

    fn read_bytes_max(&self) -> usize {
        self.read_bytes_max.get() as usize
    }

    /// Calls a function with the socket inside, if it is open.
    pub(super) fn with_socket<T>(
        &self,
        f: impl FnOnce(&NetSocket) -> io::Result<T>,
    ) -> io::Result<T> {
        match &*self.io.borrow() {
            Io::Open(socket) => f(socket),
            _ => Err(not_connected()),
        }
    }

    pub(super) fn set_referenced(&self, referenced: bool) {
        self.refer(referenced);
        self.apply_reference();
    }

    fn apply_reference(&self) {
        let referenced = self.pace.is_referenced();
        match &mut *self.io.borrow_mut() {
            Io::Connecting(connecting) => connecting.0.set_referenced(referenced),
            Io::Open(socket) => socket.source().set_referenced(referenced),
            _ => {}
        }
    }

    /// Starts to read from the next poll on.
    pub(super) fn read_start(self: &Rc<Self>) {
        if !self.is_reading.replace(true) {
            // libuv adds the fd to epoll now, behind the fds that are in its list.
            self.hold_back();
        }
    }

    pub(super) fn read_stop(&self) {
        self.is_reading.set(false);
        if let Io::Open(socket) = &*self.io.borrow() {
            socket.source().cancel(Direction::Read); // a wait would keep the program alive
        }
        self.look_at_watch();
    }

    /// Re-checks whether the handle watches for a reset.
    pub(super) fn look_at_watch(&self) {
        self.pace.kick_from_outside(); // a round ends with this check
    }

    /// Watches for a reset while the handle reads nothing, if its socket wants that. libuv takes
    /// the fd out of epoll then, and learns of the reset from the next read or write.
    fn watch_round(&self, cx: &mut Context<'_>) {
        if self.is_reading.get() || !self.owner_watches() {
            return;
        }
        let reset = match &*self.io.borrow() {
            Io::Open(socket) => socket.poll_reset(cx),
            _ => return,
        };
        if let Poll::Ready(error) = reset {
            let error = Error::system("read", error);
            self.tell(|owner| owner.on_read_error(error));
        }
    }

    fn owner_watches(&self) -> bool {
        let owner = self.owner.take();
        let watches = owner.as_ref().is_some_and(Socket::watches_resets);
        self.owner.set(owner);
        watches
    }

    pub(super) fn is_hung_up(&self) -> bool {
        self.ready().contains(Ready::HANG_UP)
    }

    fn ready(&self) -> Ready {
        match &*self.io.borrow() {
            Io::Open(socket) => socket.source().ready(),
            _ => Ready::NONE,
        }
    }

    /// Writes at once what the kernel takes, unless the batch was tried before. Returns true if
    /// bytes are left; [`Socket::on_written`] reports the end of their write.
    ///
    /// # Errors
    /// Those of `send(2)`.
    pub(super) fn write(&self, mut batch: Batch<'_>) -> io::Result<bool> {
        let wanted = batch.len();
        self.count_written(wanted); // failed bytes count, too, as in Node
        let written = batch.try_once(|bufs| self.try_write_vectored(bufs));
        let written = written.inspect_err(|_| self.lose_bytes())?;
        if written == wanted {
            return Ok(false);
        }
        let rest = PendingWrite::rest_of(batch.bufs(), written);
        self.writing.replace(Some(Box::new(rest)));
        // The task asks for write readiness only now, at the first EAGAIN (rule 7).
        self.pace.kick();
        Ok(true)
    }

    /// The first try of a write, while nothing waits. If the kernel does not take all bytes,
    /// [`StreamHandle::write`] must follow.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.try_write_vectored(&[IoSlice::new(bytes)])?;
        if written == bytes.len() {
            self.count_written(written);
        }
        Ok(written)
    }

    /// Writes what the kernel takes, while nothing waits, and counts only that.
    pub(super) fn try_write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.try_write_vectored(&[IoSlice::new(bytes)])?;
        self.count_written(written);
        Ok(written)
    }

    fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match &*self.io.borrow() {
            Io::Open(_) if bufs.iter().all(|buf| buf.is_empty()) => Ok(0),
            Io::Open(socket) => socket.try_write_vectored(bufs),
            _ => Err(not_connected()),
        }
    }

    fn count_written(&self, bytes: usize) {
        self.bytes_written
            .set(self.bytes_written.get() + bytes as u64);
    }

    /// Tries to write what waits before the poll reports room. Returns whether the kernel took any
    /// bytes.
    pub(super) fn retry_write(&self) -> bool {
        let written = match (&*self.io.borrow(), &*self.writing.borrow()) {
            (Io::Open(socket), Some(write)) => {
                // The kernel reports room only once a third of its buffer is free
                // (`sk_stream_is_writeable`): forget the EAGAIN, and ask it.
                socket.source().assume_ready(Direction::Write);
                write.with_slices(|slices| socket.try_write_vectored(slices))
            }
            _ => return false,
        };
        let written = written.unwrap_or(0); // the poll reports an error
        self.advance_write(written);
        self.pace.kick(); // the task reports the end of the write
        written > 0
    }

    /// Sends the end of the stream once everything is written.
    pub(super) fn shutdown(self: &Rc<Self>) {
        self.is_shutting.set(true);
        // uv_shutdown feeds an idle stream: the end is sent after this callback, not on the stack
        // of `end`.
        if self.writing.borrow().is_none() {
            self.runtime.queues.feed(Rc::clone(self) as _);
        }
    }

    /// Closes the fd now. The closing phase reports the operations that were under way, and emits
    /// 'close' if `tell_with_error` is set.
    pub(super) fn close(self: &Rc<Self>, owner: &Socket, tell_with_error: Option<bool>) {
        let io = self.io.replace(Io::Closed);
        if matches!(io, Io::Closed) {
            return;
        }
        // uv__stream_close: the fd closes now, and only the report waits for the closing phase.
        drop(io);
        self.is_reading.set(false);
        self.closed_with_error.set(tell_with_error);
        self.owner.set(Some(owner.clone()));
        self.report_closed_soon();
    }

    /// Closes the connection with a reset instead of an orderly end.
    ///
    /// # Errors
    /// `EINVAL` while a shutdown is under way, and those of `setsockopt(2)`; the handle stays open
    /// then.
    pub(super) fn close_with_reset(
        self: &Rc<Self>,
        owner: &Socket,
        with_error: bool,
    ) -> io::Result<()> {
        // uv_tcp_close_reset refuses this: the FIN may be sent already.
        if self.is_shutting.get() {
            return Err(system_error(Errno::EINVAL));
        }
        if let Io::Open(socket) = &*self.io.borrow() {
            socket.reset_on_close()?;
        }
        self.close(owner, Some(with_error));
        Ok(())
    }

    fn tell(&self, f: impl FnOnce(&Socket) -> Result<(), Thrown>) {
        // The owner is out of its cell meanwhile. Nothing that the socket does in `f` looks for it
        // there.
        if let Some(owner) = self.owner.take() {
            self.runtime.make_callback(|| f(&owner));
            self.owner.set(Some(owner));
        }
    }

    fn poll_connect(self: &Rc<Self>, cx: &mut Context<'_>) {
        let connected = match &mut *self.io.borrow_mut() {
            Io::Connecting(connecting) => {
                let (connecting, polled) = &mut **connecting;
                if let Some((reached, yielded)) = polled {
                    if Pin::new(reached).poll(cx).is_pending()
                        || Pin::new(yielded).poll(cx).is_pending()
                    {
                        return;
                    }
                    *polled = None;
                }
                Pin::new(connecting).poll(cx)
            }
            _ => return,
        };
        if let Poll::Ready(connected) = connected {
            self.finish_connect(connected);
        }
    }

    fn finish_connect(&self, connected: io::Result<NetSocket>) {
        let result = match connected {
            Ok(socket) => {
                self.io.replace(Io::Open(socket));
                self.apply_reference();
                Ok(())
            }
            Err(error) => {
                // Not `Closed`: the socket closes this handle, which then reports its close.
                let failed = self.io.replace(Io::Idle);
                drop(failed);
                Err(error)
            }
        };
        self.tell(|owner| owner.on_connected(self, result));
    }

    /// libuv's `uv__read`: reads until the kernel has no more, but at most `reads_max` full chunks.
    fn read_round(self: &Rc<Self>, cx: &mut Context<'_>) {
        for _ in 0..self.reads_max.get() {
            // A listener has paused or destroyed the socket.
            if !self.is_reading.get() {
                return;
            }
            match self.try_chunk() {
                Poll::Pending => break,
                Poll::Ready(Ok(Some(chunk))) => {
                    let is_short = chunk.len() < self.read_bytes_max();
                    let is_last = is_short && self.is_hung_up() && self.unread_bytes() == 0;
                    self.take_chunk(chunk);
                    if is_last && self.is_reading.get() {
                        // Once both directions are shut, the end comes in the same round. One more
                        // recv(2) could return ECONNRESET instead of the end.
                        return self.end_reading();
                    }
                    // A short read found the kernel empty, which saves the recv(2) that returns
                    // EAGAIN. After a hang-up the end is still to be read (rule 3).
                    if is_short && !self.is_hung_up() {
                        break;
                    }
                }
                Poll::Ready(Ok(None)) => return self.end_reading(),
                Poll::Ready(Err(error)) => {
                    self.is_reading.set(false);
                    self.lose_bytes();
                    let error = Error::system("read", error);
                    return self.tell(|owner| owner.on_read_error(error));
                }
            }
        }
        self.finish_round(cx);
    }

    fn try_chunk(&self) -> Poll<io::Result<Option<Chunk>>> {
        match &*self.io.borrow() {
            Io::Open(socket) => socket.try_read_chunk(self.read_bytes_max()),
            _ => Poll::Pending,
        }
    }

    fn take_chunk(&self, chunk: Chunk) {
        self.bytes_read
            .set(self.bytes_read.get() + chunk.len() as u64);
        self.tell(|owner| owner.on_read(&chunk));
    }

    fn unread_bytes(&self) -> u64 {
        self.with_socket(NetSocket::unread_bytes).unwrap_or(0)
    }

    fn end_reading(&self) {
        self.is_reading.set(false);
        self.tell(Socket::on_read_end);
    }

    /// Waits for more. What the kernel still has is read in the next turn.
    fn finish_round(self: &Rc<Self>, cx: &mut Context<'_>) {
        if !self.is_reading.get() {
            return;
        }
        // ET: what is left produces no further edge, so the handle holds a place in the next poll,
        // where level-triggered epoll would report the fd again.
        let is_left = match &*self.io.borrow() {
            Io::Open(socket) => socket.source().poll_ready(cx, Direction::Read).is_ready(),
            _ => false,
        };
        if is_left {
            self.hold();
        }
    }

    /// libuv's `uv__write`, `uv__write_callbacks` and `uv__drain`.
    fn write_round(self: &Rc<Self>, cx: &mut Context<'_>) {
        // The callback of a write may start the next one.
        while let Some(poll) = self.poll_write(cx) {
            let result = match poll {
                Poll::Pending => return,
                Poll::Ready(Ok(count)) => {
                    if self.advance_write(count) {
                        continue;
                    }
                    Ok(())
                }
                Poll::Ready(Err(error)) => {
                    self.lose_bytes();
                    Err(error)
                }
            };
            self.finish_write(result);
            self.drain();
        }
    }

    /// Makes the close a reset, because bytes are lost: an orderly end would make what the peer has
    /// received look whole. libuv closes in order.
    fn lose_bytes(&self) {
        let _ = self.with_socket(NetSocket::reset_on_close); // a sandbox may forbid it
    }

    fn poll_write(&self, cx: &mut Context<'_>) -> Option<Poll<io::Result<usize>>> {
        let writing = self.writing.borrow();
        match &*self.io.borrow() {
            Io::Open(socket) => Some(match writing.as_ref()? {
                write if write.is_written() => Poll::Ready(Ok(0)),
                write => write.with_slices(|slices| socket.poll_write_vectored(cx, slices)),
            }),
            _ => None,
        }
    }

    /// Notes `count` bytes as written. Returns true if bytes are left.
    fn advance_write(&self, count: usize) -> bool {
        match &mut *self.writing.borrow_mut() {
            Some(write) => {
                write.advance(count);
                !write.is_written()
            }
            None => false,
        }
    }

    fn finish_write(&self, result: io::Result<()>) {
        let done = self.writing.take();
        drop(done);
        self.tell(|owner| owner.on_written(result));
    }

    /// Shuts down, if that was requested and everything is written.
    fn drain(&self) {
        if !self.is_shutting.get() || self.writing.borrow().is_some() || self.is_closed() {
            return;
        }
        self.is_shutting.set(false);
        let shut = self.with_socket(|socket| socket.shutdown(Shutdown::Write));
        self.tell(|owner| match shut {
            // Not in Node, which ignores this: the peer would wait for the end forever.
            Err(error) if Refusal::of_error(&error) == Some(Refusal::Everywhere) => {
                owner.on_not_shut_down(Error::system("shutdown", error))
            }
            // ENOTCONN: a peer that has reset the connection needs no end.
            _ => owner.on_shut_down(),
        });
    }

    /// This end's address.
    pub(super) fn local_addr(&self) -> Option<Addr> {
        self.with_socket(NetSocket::local_addr).ok()
    }

    pub(super) fn remote_addr(&self) -> Option<Addr> {
        self.with_socket(NetSocket::peer_addr).ok()
    }
}

fn not_connected() -> io::Error {
    system_error(Errno::ENOTCONN)
}

fn system_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno as i32)
}

impl Driven for StreamHandle {
    fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn pace(&self) -> &Pace {
        &self.pace
    }

    /// libuv's `uv__stream_io`: handles what the poll reported, or re-checks the fd.
    fn poll_io(self: &Rc<Self>, cx: &mut Context<'_>) {
        self.poll_connect(cx);
        let was_hung_up = self.ready().intersects(Ready::HANG_UP | Ready::ERROR);
        // uv__stream_io reads before it writes. A held handle has had its round in this turn.
        if !self.pace.is_held() {
            self.read_round(cx);
        }
        self.write_round(cx);
        if was_hung_up {
            self.drain(); // uv__stream_io: POLLHUP and POLLERR run the write side, too
        }
        self.watch_round(cx);
    }

    fn is_closed(&self) -> bool {
        matches!(*self.io.borrow(), Io::Closed)
    }

    fn on_fed(self: Rc<Self>) {
        let io = self.io.replace(Io::Idle);
        if let Io::Refused(error) = io {
            return self.finish_connect(Err(error));
        }
        self.io.replace(io);
        self.drain();
    }

    /// libuv's `uv__stream_destroy`, and then the callback of the close.
    fn on_closed(self: Rc<Self>) {
        // libuv completes the operations that were under way before the close: the write, then the
        // shutdown.
        if self.writing.borrow().is_some() {
            self.finish_write(Err(system_error(Errno::ECANCELED)));
        }
        if self.is_shutting.replace(false) {
            self.tell(WritableStream::on_shut_down);
        }
        if let Some(with_error) = self.closed_with_error.get() {
            self.tell(|owner| owner.emit_closed(with_error));
        }
        let owner = self.owner.take();
        drop(owner);
    }

    fn abandon(&self) {
        let io = self.io.replace(Io::Closed);
        let owner = self.owner.take();
        if let Some(owner) = &owner {
            owner.inner.end();
        }
        drop((io, owner));
    }
}
