//! Node's `net.Socket`: its life, its addresses, its options and its timeout.

use super::connecting::Attempts;
use super::event::{self, SocketEvent};
use super::handle::StreamHandle;
use super::server::Server;
use crate::abort::AbortSignal;
use crate::ends::{Ends, emit_last, end_with_program};
use crate::error::Error;
use crate::events::Emitter;
use crate::net::SocketOptions;
use crate::runtime::{Runtime, current};
use crate::stream::flags::*;
use crate::stream::piping::Pipes;
use crate::stream::readable::{ReadableState, ReadableStream};
use crate::stream::write_queue::WritableState;
use crate::tables::{references, weak};
use crate::thrown::Thrown;
use crate::timers::Timeout;
use oneloop_core::Key;
use oneloop_net::{Addr, CHUNK_BYTES, Keepalive, Socket as NetSocket};
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// What the clones of a socket share.
pub(super) struct SocketInner {
    pub(super) runtime: Rc<Runtime>,
    handle: Cell<Option<Rc<StreamHandle>>>,
    pub(super) events: Emitter<event::SocketListener>,
    pub(super) flags: Flags,
    pub(super) readable: ReadableState,
    pub(super) writable: WritableState,
    read_bytes_max: Cell<u32>,
    /// The number of 'close' events that are due: one for each connection that has ended.
    pub(super) closes_due: Cell<u32>,
    /// Boxed, as a client's socket has none.
    accepted_by: OnceCell<Box<AcceptedBy>>,
    rare: RefCell<Option<Box<RareState>>>,
}

// Each idle connection pays for this, and for the handle's 128 bytes.
const _: () = assert!(size_of::<SocketInner>() <= 168);

/// The server that accepted a socket.
struct AcceptedBy {
    server: Server,
    /// The socket's key in the server's list, until the socket is destroyed.
    key: Cell<Option<Key<WeakSocket>>>,
}

/// The state that most sockets never need.
#[derive(Default)]
pub(super) struct RareState {
    /// The timeout in milliseconds: the time without I/O after which 'timeout' is emitted.
    pub(super) timeout_ms: f64,
    /// `None` once the timer has fired: the next activity starts another one.
    pub(super) timeout: Option<Timeout>,
    /// Bytes in the handle's write queue when it was last checked. If there are fewer now, the peer
    /// still reads.
    pub(super) last_queue_bytes: usize,
    keep_alive_delay: Duration,
    remote: Option<Addr>,
    /// Bytes read and written, once the handle is dropped.
    counts: (u64, u64),
    pub(super) errored: Option<Error>,
    /// Bytes of a write that waits for the connection: part of `bytes_written`.
    pub(super) pending_data_bytes: usize,
    pub(super) attempts: Option<Attempts>,
    pub(super) pipes: Pipes,
}

/// A TCP or Unix connection with Node's functions and Node's order of events.
///
/// Clones are the same socket, and every handler receives one. An open connection keeps its socket
/// alive. 'close' is the last event: behind it all handlers are dropped, with what they capture,
/// and so is each handler that is added later. In Node they stay, which only a socket that connects
/// again can tell: see [`Socket::keep_listeners`].
///
/// ```
/// use oneloop::callback::{net, run};
///
/// run(|| {
///     let server = net::create_server(|socket| {
///         socket.pipe(&socket);
///     });
///     server.listen(("127.0.0.1", 0))?.on_listening(|server| {
///         let port = server.port().expect("it listens");
///         let client = net::connect(("127.0.0.1", port))?;
///         client.write("hello");
///         client.on_data(move |client, bytes| {
///             assert_eq!(bytes, b"hello");
///             client.end();
///             server.close();
///         });
///         Ok::<_, net::Error>(())
///     });
///     Ok::<_, net::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias("Duplex", "uv_tcp_t"))]
pub struct Socket {
    pub(super) inner: Rc<SocketInner>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.ready_state())
    }
}

/// `socket.readyState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyState {
    /// The socket is connecting.
    Opening,
    /// Both directions are open.
    Open,
    /// This end has ended; the peer has not.
    ReadOnly,
    /// The peer has ended; this end has not.
    WriteOnly,
    /// Neither direction is open.
    Closed,
}

impl fmt::Display for ReadyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ReadyState::Opening => "opening",
            ReadyState::Open => "open",
            ReadyState::ReadOnly => "readOnly",
            ReadyState::WriteOnly => "writeOnly",
            ReadyState::Closed => "closed",
        })
    }
}

references!(Socket, "the socket is open");
weak!(WeakSocket of Socket with SocketInner);

impl Default for Socket {
    fn default() -> Self {
        Socket::new()
    }
}

impl Socket {
    /// Creates a socket that is not connected yet: see [`Socket::connect`].
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn new() -> Self {
        Socket::with(SocketOptions::default())
    }

    /// Creates a socket that is not connected yet, with options.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn with(options: SocketOptions) -> Self {
        let runtime = current();
        let socket = Socket::on_runtime(Rc::clone(&runtime), &options);
        // It may never have a connection, whose task would end it.
        end_with_program(&runtime, &socket.inner);
        socket.listen_to(options.signal.as_ref());
        if socket.is_destroyed() {
            socket.forget_past(); // as in Node, which emits 'error' and 'close' in the next tick
        }
        socket
    }

    pub(super) fn on_runtime(runtime: Rc<Runtime>, options: &SocketOptions) -> Self {
        let socket = Socket {
            inner: Rc::new(SocketInner {
                runtime,
                handle: Cell::new(None),
                events: Emitter::default(),
                flags: Flags::default(),
                readable: ReadableState::new(options.high_water_mark),
                writable: WritableState::new(options.high_water_mark),
                read_bytes_max: Cell::new(CHUNK_BYTES as u32),
                closes_due: Cell::new(0),
                accepted_by: OnceCell::new(),
                rare: RefCell::default(),
            }),
        };
        let flags = &socket.inner.flags;
        flags.put(ALLOW_HALF_OPEN, options.allow_half_open);
        flags.put(NO_DELAY, options.no_delay);
        flags.put(KEEP_ALIVE, options.keep_alive.is_some());
        if let Some(delay) = options.keep_alive.filter(|delay| !delay.is_zero()) {
            socket.with_rare(|rare| rare.keep_alive_delay = delay);
        }
        socket
    }

    fn listen_to(&self, signal: Option<&AbortSignal>) {
        if let Some(signal) = signal {
            self.destroy_on_abort(signal);
        }
    }

    /// Creates a socket from a connected one: `new net.Socket({ fd })`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn from_connected(connected: NetSocket, options: SocketOptions) -> Self {
        let socket = Socket::accepted(current(), &options, false, connected);
        socket.apply_options();
        socket.listen_to(options.signal.as_ref());
        socket
    }

    /// Creates a socket that is never read: a child's standard input.
    pub(crate) fn write_only(runtime: Rc<Runtime>, connected: NetSocket) -> Self {
        let socket = Socket::accepted(runtime, &SocketOptions::default(), true, connected);
        // As if it had ended: the stream is destroyed once it has finished.
        socket.inner.flags.set(READ_ENDED | END_EMITTED);
        socket
    }

    /// Creates the socket of a connection that a server has accepted.
    pub(super) fn accepted(
        runtime: Rc<Runtime>,
        options: &SocketOptions,
        pause_on_connect: bool,
        accepted: NetSocket,
    ) -> Self {
        let socket = Socket::on_runtime(runtime, options);
        let handle = StreamHandle::new(&socket);
        handle.open(&socket, accepted);
        socket.set_handle(handle);
        if pause_on_connect {
            // net.js `pauseOnCreate`: paused before it ever read.
            socket.inner.flags.set(HAS_FLOWING);
        } else {
            // There is no listener yet, so nothing can be thrown.
            let _ = socket.read_nothing();
        }
        socket
    }

    pub(super) fn handle(&self) -> Option<Rc<StreamHandle>> {
        self.with_handle(Rc::clone)
    }

    /// Calls a function with the handle, if there is one. The function must not call user code: the
    /// handle is out of its cell meanwhile.
    pub(super) fn with_handle<T>(&self, f: impl FnOnce(&Rc<StreamHandle>) -> T) -> Option<T> {
        let handle = self.inner.handle.take();
        let done = handle.as_ref().map(f);
        self.inner.handle.set(handle);
        done
    }

    pub(super) fn has_handle(&self) -> bool {
        self.with_handle(|_| ()).is_some()
    }

    pub(super) fn set_handle(&self, handle: Rc<StreamHandle>) -> Option<Rc<StreamHandle>> {
        self.inner.handle.replace(Some(handle))
    }

    pub(super) fn take_handle(&self) -> Option<Rc<StreamHandle>> {
        let handle = self.inner.handle.take()?;
        // `bytesRead` and `bytesWritten` stay known after 'close'. Most closed sockets moved no
        // bytes, and need no memory for that.
        let counts = (handle.bytes_read(), handle.bytes_written());
        if counts != (0, 0) {
            self.with_rare(|rare| rare.counts = counts);
        }
        Some(handle)
    }

    pub(super) fn set_server(&self, server: Server, key: Key<WeakSocket>) {
        let key = Cell::new(Some(key));
        let accepted_by = Box::new(AcceptedBy { server, key });
        let was_free = self.inner.accepted_by.set(accepted_by).is_ok();
        debug_assert!(was_free, "a socket is accepted once");
    }

    /// Removes the socket from the list of its server.
    pub(super) fn leave_server(&self) {
        if let Some(accepted_by) = self.inner.accepted_by.get()
            && let Some(key) = accepted_by.key.take()
        {
            accepted_by.server.forget(key);
        }
    }

    /// The server that accepted the socket, if any: `socket.server`.
    pub fn server(&self) -> Option<Server> {
        let accepted_by = self.inner.accepted_by.get()?;
        Some(accepted_by.server.clone())
    }

    /// Calls a function with the rare state, and allocates that state if need be.
    pub(super) fn with_rare<T>(&self, f: impl FnOnce(&mut RareState) -> T) -> T {
        f(self.inner.rare.borrow_mut().get_or_insert_default())
    }

    /// Calls a function with the rare state, if there is any.
    pub(super) fn rare<T>(&self, f: impl FnOnce(&RareState) -> Option<T>) -> Option<T> {
        self.inner.rare.borrow().as_deref().and_then(f)
    }

    /// Calls a function with the rare state, which it may change, if there is any.
    pub(super) fn rare_mut<T>(&self, f: impl FnOnce(&mut RareState) -> Option<T>) -> Option<T> {
        self.inner.rare.borrow_mut().as_deref_mut().and_then(f)
    }

    pub(super) fn emit<E: SocketEvent>(&self, event: E, args: E::Args<'_>) -> Result<bool, Thrown> {
        self.inner.events.emit(event, args)
    }

    /// The error that destroyed the socket.
    pub fn errored(&self) -> Option<Error> {
        self.rare(|rare| rare.errored.clone())
    }

    /// Resets the state of an earlier connection: Node lets a closed socket connect again.
    pub(super) fn forget_past(&self) {
        let ended = DESTROYED | ERRORED | ERROR_EMITTED | CLOSED | CLOSE_EMITTED;
        let read = READING | READ_ENDED | END_EMITTED;
        let written = ENDING | FINAL_CALLED | PREFINISHED | FINISHED | WRITE_AFTER_FIN;
        self.inner.flags.clear(ended | read | written);
        let errored = self.rare_mut(|rare| {
            rare.remote = None;
            rare.counts = (0, 0);
            rare.errored.take()
        });
        drop(errored); // user code may run: the error may hold any value
    }

    // State.

    /// True while the socket is connecting.
    pub fn is_connecting(&self) -> bool {
        self.inner.flags.has(CONNECTING)
    }

    /// True until the socket is connected: `socket.pending`.
    pub fn is_pending(&self) -> bool {
        self.is_connecting() || !self.has_handle()
    }

    /// True once the socket is destroyed: it transfers nothing any more.
    pub fn is_destroyed(&self) -> bool {
        self.inner.flags.has(DESTROYED)
    }

    /// True after 'close', or once 'close' is scheduled.
    pub fn is_closed(&self) -> bool {
        self.inner.flags.has(CLOSED)
    }

    /// `socket.readyState`.
    pub fn ready_state(&self) -> ReadyState {
        match (self.is_readable(), self.is_writable()) {
            // First, as a socket that connects is writable already.
            _ if self.is_connecting() => ReadyState::Opening,
            (true, true) => ReadyState::Open,
            (true, false) => ReadyState::ReadOnly,
            (false, true) => ReadyState::WriteOnly,
            (false, false) => ReadyState::Closed,
        }
    }

    /// True if the socket stays open for writing after the peer's end: `socket.allowHalfOpen`.
    pub fn allow_half_open(&self) -> bool {
        self.inner.flags.has(ALLOW_HALF_OPEN)
    }

    /// Sets whether the socket stays open for writing after the peer's end.
    pub fn set_allow_half_open(&self, allow: bool) -> &Self {
        self.inner.flags.put(ALLOW_HALF_OPEN, allow);
        self
    }

    /// Bytes received so far: `socket.bytesRead`.
    pub fn bytes_read(&self) -> u64 {
        match self.handle() {
            Some(handle) => handle.bytes_read(),
            None => self.rare(|rare| Some(rare.counts.0)).unwrap_or(0),
        }
    }

    /// Bytes written so far, including those that wait: `socket.bytesWritten`.
    pub fn bytes_written(&self) -> u64 {
        let dispatched = match self.handle() {
            Some(handle) => handle.bytes_written(),
            None => self.rare(|rare| Some(rare.counts.1)).unwrap_or(0),
        };
        // net.js counts `_pendingData` as well: a write that waits for 'connect'.
        let pending = self.rare(|rare| Some(rare.pending_data_bytes)).unwrap_or(0);
        let waiting = self.inner.writable.buffered_bytes() + pending;
        dispatched + waiting as u64
    }

    /// This end's address, while it is connected.
    pub fn local_addr(&self) -> Option<Addr> {
        self.handle()?.local_addr()
    }

    /// The peer's address, which each call asks the kernel for.
    pub fn connected_to(&self) -> Option<Addr> {
        self.handle()?.remote_addr()
    }

    /// The peer's address. After a first call while the socket is connected, it stays known
    /// after the close.
    pub fn remote_addr(&self) -> Option<Addr> {
        if let Some(known) = self.rare(|rare| rare.remote.clone()) {
            return Some(known);
        }
        if self.is_connecting() {
            return None;
        }
        let addr = self.handle()?.remote_addr()?;
        // getpeername(2) fails once the peer has reset the connection: net.js caches `_peername`,
        // too.
        self.with_rare(|rare| rare.remote = Some(addr.clone()));
        Some(addr)
    }

    /// `socket.localAddress`.
    pub fn local_address(&self) -> Option<IpAddr> {
        Some(self.local_addr()?.inet()?.ip())
    }

    /// `socket.localPort`.
    pub fn local_port(&self) -> Option<u16> {
        self.local_addr()?.port()
    }

    /// `socket.remoteAddress`.
    pub fn remote_address(&self) -> Option<IpAddr> {
        Some(self.remote_addr()?.inet()?.ip())
    }

    /// `socket.remotePort`.
    pub fn remote_port(&self) -> Option<u16> {
        self.remote_addr()?.port()
    }

    /// `socket.localFamily`: `IPv4` or `IPv6`.
    pub fn local_family(&self) -> Option<&'static str> {
        self.local_address().map(family)
    }

    /// `socket.remoteFamily`: `IPv4` or `IPv6`.
    pub fn remote_family(&self) -> Option<&'static str> {
        self.remote_address().map(family)
    }

    /// Bytes that the kernel has received and that were not read, without those in this socket's
    /// buffer (`FIONREAD`); 0 once the socket is closed.
    pub fn unread_bytes(&self) -> u64 {
        let unread = self
            .handle()
            .map(|handle| handle.with_socket(NetSocket::unread_bytes));
        unread.and_then(io::Result::ok).unwrap_or(0)
    }

    /// Bytes for which the kernel has room (`SO_MEMINFO`); 0 once the socket is closed, and where
    /// the kernel does not report it.
    pub fn send_room(&self) -> usize {
        let room = self
            .handle()
            .map(|handle| handle.with_socket(NetSocket::send_room));
        room.and_then(io::Result::ok).unwrap_or(0)
    }

    /// Sets the maximum size of a 'data' chunk in bytes, at least 1; 64 KiB by default. In Node,
    /// `onread`'s buffer sets it.
    pub fn set_read_bytes_max(&self, bytes: usize) -> &Self {
        let bytes = bytes.clamp(1, CHUNK_BYTES) as u32;
        self.inner.read_bytes_max.set(bytes);
        self.with_handle(|handle| handle.set_read_bytes_max(bytes));
        self
    }

    pub(super) fn read_bytes_max(&self) -> u32 {
        self.inner.read_bytes_max.get()
    }

    /// Sets how many full chunks the socket reads in one turn; 32 by default, as in libuv. A
    /// smaller number is fairer to other connections. Has no effect before the socket is connected.
    pub fn set_reads_per_turn_max(&self, reads: u32) -> &Self {
        self.with_handle(|handle| handle.set_reads_max(reads));
        self
    }

    /// Tries to write what waits before the kernel reports room, which it does once a third of its
    /// buffer is free. Returns whether the kernel took any bytes.
    pub fn retry_write(&self) -> bool {
        self.handle().is_some_and(|handle| handle.retry_write())
    }

    /// Emits 'error' for a reset by the peer at once, even while the socket reads nothing; received
    /// bytes that were not read are lost then. A socket that is piped to a destination does so
    /// until its end: a source that waits for its destination must not outlive its peer. Node
    /// reports a reset at the next read or write, which may never come.
    pub fn watch_resets(&self) -> &Self {
        self.inner.flags.set(WATCHES_RESETS);
        self.with_handle(|handle| handle.look_at_watch());
        self
    }

    pub(super) fn watches_resets(&self) -> bool {
        let flags = &self.inner.flags;
        let is_piped = || self.rare(|rare| Some(rare.pipes.is_piped())) == Some(true);
        flags.has(WATCHES_RESETS) || (!flags.has(READ_ENDED) && is_piped())
    }

    /// True once both directions are shut. Bytes of the peer may still be unread.
    pub fn is_hung_up(&self) -> bool {
        self.with_handle(|handle| handle.is_hung_up()) == Some(true)
    }

    // The kernel's options.

    /// Sends small writes at once instead of collecting them (`TCP_NODELAY`). Off by default, as in
    /// Node.
    pub fn set_no_delay(&self, no_delay: bool) -> &Self {
        let flags = &self.inner.flags;
        // net.js skips the system call if nothing changes.
        if flags.has(NO_DELAY) != no_delay {
            flags.put(NO_DELAY, no_delay);
            self.apply(|socket| socket.set_nodelay(no_delay));
        }
        self
    }

    /// Sets after how much silence the kernel probes the peer, in whole seconds; zero leaves the
    /// time to the system. `None` turns probing off, which is the default.
    pub fn set_keep_alive(&self, initial_delay: Option<Duration>) -> &Self {
        self.inner.flags.put(KEEP_ALIVE, initial_delay.is_some());
        if let Some(delay) = initial_delay {
            self.with_rare(|rare| rare.keep_alive_delay = delay);
        }
        self.apply(|socket| socket.set_keepalive(initial_delay.map(as_libuv_keeps_alive)));
        self
    }

    /// Sets a kernel option on the socket, if there is one. Errors are ignored, as in Node: Unix
    /// sockets have none of these options.
    fn apply(&self, set: impl FnOnce(&NetSocket) -> io::Result<()>) {
        if let Some(handle) = self.handle() {
            let _ = handle.with_socket(set);
        }
    }

    /// Sets the options that were requested before there was a connection.
    pub(super) fn apply_options(&self) {
        let flags = &self.inner.flags;
        if flags.has(NO_DELAY) {
            self.apply(|socket| socket.set_nodelay(true));
        }
        if flags.has(KEEP_ALIVE) {
            let delay = self.rare(|rare| Some(rare.keep_alive_delay));
            let keepalive = as_libuv_keeps_alive(delay.unwrap_or_default());
            self.apply(|socket| socket.set_keepalive(Some(keepalive)));
        }
    }

    fn set_referenced(&self, referenced: bool) {
        match self.handle() {
            Some(handle) => handle.set_referenced(referenced),
            // There is nothing to reference before there is a handle: net.js waits for 'connect',
            // too.
            None => {
                let set = move |socket: Socket| socket.set_referenced(referenced);
                self.inner.events.once(event::Connect, set);
            }
        }
    }

    /// Keeps the listeners after 'close', for a socket that connects again later than in a listener
    /// of 'close'. Without this call, 'close' is the last event: the listeners are dropped a tick
    /// after it, and then [`Socket::connect`] fails.
    ///
    /// A listener that captures a clone of this socket then keeps it in memory, until the program
    /// ends or [`Socket::remove_all_listeners`] removes that listener.
    pub fn keep_listeners(&self) -> &Self {
        if !self.inner.flags.has(KEEPS_LISTENERS) {
            self.inner.flags.set(KEEPS_LISTENERS);
            // The task of an accepted socket ends with its connection.
            end_with_program(&self.inner.runtime, &self.inner);
        }
        self
    }

    /// Called by the handle.
    pub(super) fn emit_closed(&self, had_error: bool) -> Result<(), Thrown> {
        let inner = &self.inner;
        inner.closes_due.set(inner.closes_due.get() - 1);
        emit_last(
            &inner.runtime,
            inner,
            &inner.events,
            event::Close,
            (self.clone(), had_error),
        )
    }
}

impl Ends for SocketInner {
    fn end(&self) {
        self.events.end();
        // A callback of an `end` after `destroy`, for example, which is never called.
        let never_called = self.writable.abandon();
        let attempts = self
            .rare
            .borrow_mut()
            .as_mut()
            .map(|rare| rare.attempts.take());
        drop((never_called, attempts));
    }

    fn is_over(&self) -> bool {
        // A listener of 'close' may have connected the socket again.
        self.flags.has(DESTROYED) && !self.flags.has(KEEPS_LISTENERS) && self.closes_due.get() == 0
    }
}

/// libuv's `uv__tcp_keepalive`: after the delay, in whole seconds, ten probes a second apart.
/// Without a delay, the system's settings apply.
fn as_libuv_keeps_alive(delay: Duration) -> Keepalive {
    let (interval, count) = match delay.as_secs() {
        0 => (Duration::ZERO, 0),
        _ => (Duration::from_secs(1), 10),
    };
    Keepalive {
        idle: delay,
        interval,
        count,
        user_timeout: None,
    }
}

fn family(ip: IpAddr) -> &'static str {
    match ip {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    }
}
