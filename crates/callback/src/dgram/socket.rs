//! Node's `dgram.Socket`: a UDP socket.

use super::handle::{Owner, PacketHandle};
use super::options::{Kind, RemoteInfo, SocketOptions};
use crate::abort::AbortSignal;
use crate::ends::{Ends, emit_last, end_with_program};
use crate::error::Error;
use crate::events::{Emitter, ListenerId};
use crate::net::Endpoint;
use crate::runtime::{Runtime, current};
use crate::tables::{identity, listening, references, weak};
use crate::thrown::{IntoResult, Thrown};
use event::SocketEvent;
use nix::errno::Errno;
use oneloop_net::{Chunk, UdpOptions, UdpSocket, literal_addr, resolve};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

/// The events of a [`Socket`].
pub(super) mod event {
    use super::{RemoteInfo, Socket};
    use crate::events::EmitterEvent;
    use crate::tables::emitter;

    /// An event of a [`Socket`].
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not an event of this socket",
        label = "for 'message', write `on_message(…)`, or `on(event::Message, …)`",
        note = "an event is a type, in `oneloop::callback::dgram::event`"
    )]
    pub trait SocketEvent: EmitterEvent {}

    emitter! { Socket emits SocketEvent {
        /// `'listening'`: the socket is bound, and receives.
        Listening(socket: Socket) => on_listening;
        /// `'message'`: a datagram, and its sender.
        Message(socket: Socket, bytes: &'a [u8], from: RemoteInfo) => on_message;
        /// `'connect'`: the socket has a peer.
        Connect(socket: Socket) => on_connect;
        /// `'error'`. Without a listener, the error is thrown.
        Error(socket: Socket, error: &'a crate::Error) => on_error, else throws error;
        /// `'close'`: the socket receives no more.
        Close(socket: Socket) => on_close;
    } }
}

/// How far binding, or connecting, has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    No,
    Begun,
    Done,
}

/// An operation that waits for the socket to be bound.
type BoundStep = Box<dyn FnOnce(&Socket) -> Result<(), Error>>;

/// What clones of a socket share.
///
/// ```text
///           bind, or the first send or connect          lookup, bind(2)
/// unbound ──────────────────────────────────▶ binding ─────────────────▶ bound ('listening')
///    ▲                                           │                         │
///    └───────────────── 'error' ─────────────────┘
/// any ── close ──▶ closed ('close' in the next tick)
///
///            connect                    connect(2)
/// no peer ────────────▶ connecting ───────────────────▶ connected ('connect')
///    ▲                      │ 'error'                       │ disconnect
///    └──────────────────────┴───────────────────────────────┘
/// ```
///
/// Steps that need a bound socket wait while it is binding; if any wait, `close` waits behind them.
pub(super) struct UdpState {
    pub(super) runtime: Rc<Runtime>,
    options: SocketOptions,
    events: Emitter,
    /// None until it is bound, and once it is closed.
    handle: RefCell<Option<Rc<PacketHandle<Socket>>>>,
    bound: Cell<Progress>,
    pub(super) connected: Cell<Progress>,
    is_closed: Cell<bool>,
    is_unreferenced: Cell<bool>,
    /// The steps that wait for 'listening', and the listener that runs them.
    bound_steps: RefCell<Option<(ListenerId, Vec<BoundStep>)>>,
}

/// A UDP socket in Node's words: see [`create_socket`]. Clones are the same socket, and every
/// listener receives one.
///
/// While it is bound, the loop keeps it alive. Behind 'close', which is the last event, all
/// listeners are dropped.
#[derive(Clone)]
pub struct Socket {
    pub(super) inner: Rc<UdpState>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Ok(addr) => write!(f, "Socket({addr})"),
            Err(_) => f.write_str("Socket(not bound)"),
        }
    }
}

/// Makes a socket: `dgram.createSocket`. It receives once it is bound.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias = "uv_udp_t")]
pub fn create_socket(options: impl Into<SocketOptions>) -> Socket {
    let options = options.into();
    let signal = options.signal.clone();
    let socket = Socket {
        inner: Rc::new(UdpState {
            runtime: current(),
            options,
            events: Emitter::new(),
            handle: RefCell::default(),
            bound: Cell::new(Progress::No),
            connected: Cell::new(Progress::No),
            is_closed: Cell::new(false),
            is_unreferenced: Cell::new(false),
            bound_steps: RefCell::default(),
        }),
    };
    end_with_program(&socket.inner.runtime, &socket.inner);
    if let Some(signal) = signal {
        socket.close_on_abort(&signal);
    }
    socket
}

/// Makes a socket that calls a function with each datagram: Node's
/// `dgram.createSocket(type, callback)`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn create_socket_then<O: IntoResult>(
    options: impl Into<SocketOptions>,
    on_message: impl Fn(Socket, &[u8], RemoteInfo) -> O + 'static,
) -> Socket {
    let socket = create_socket(options);
    socket.on_message(on_message);
    socket
}

listening!(Socket, SocketEvent);
references!(Socket, "the socket is open");
identity!(Socket);
weak!(WeakSocket of Socket with UdpState);

impl Socket {
    pub(super) fn kind(&self) -> Kind {
        self.inner.options.kind
    }

    pub(super) fn handle(&self) -> Option<Rc<PacketHandle<Socket>>> {
        self.inner.handle.borrow().clone()
    }

    fn close_on_abort(&self, signal: &AbortSignal) {
        // Weak: a signal keeps none of the sockets alive that it could close.
        let weak = Rc::downgrade(&self.inner);
        let close = move || {
            if let Some(inner) = weak.upgrade() {
                let _ = Socket { inner }.close(); // fails if it is closed already
            }
        };
        if let Some(listener) = signal.call_when_aborted(close) {
            let signal = signal.clone();
            let events = &self.inner.events;
            events.once(event::Close, move |_: Socket| signal.off(listener));
        }
    }

    // Binding.

    /// Binds the socket to a port of all addresses, or of one host; port 0 lets the kernel choose.
    /// 'listening' follows, or 'error'.
    ///
    /// # Errors
    /// `ERR_SOCKET_ALREADY_BOUND`, `ERR_SOCKET_DGRAM_NOT_RUNNING`, `ERR_SOCKET_BAD_PORT`.
    pub fn bind(&self, endpoint: impl Into<Endpoint>) -> Result<Socket, Error> {
        self.check_running()?;
        let (host, port) = host_and_port(endpoint)?;
        let port = Endpoint::checked_port(port, "Port")?;
        if self.inner.bound.get() != Progress::No {
            let message = "Socket is already bound";
            return Err(Error::new("ERR_SOCKET_ALREADY_BOUND", message));
        }
        // Set before the lookup, so that a second `bind` is refused meanwhile.
        self.inner.bound.set(Progress::Begun);
        let all = self.kind().unspecified();
        self.look_up(host, (all, port).into(), move |socket, found| {
            if socket.inner.is_closed.get() {
                return Ok(());
            }
            match found {
                Ok(addr) => socket.bind_to(addr),
                Err(error) => socket.fail_to_bind(&error),
            }
        });
        Ok(self.clone())
    }

    /// Like [`Socket::bind`], and calls a function at 'listening'. As in Node, this adds a listener
    /// of 'error', which only removes the function: an error of binding is not thrown then.
    ///
    /// # Errors
    /// As [`Socket::bind`].
    pub fn bind_then<O: IntoResult>(
        &self,
        endpoint: impl Into<Endpoint>,
        listening: impl FnOnce(Socket) -> O + 'static,
    ) -> Result<Socket, Error> {
        let bound = self.bind(endpoint)?;
        let listeners = Rc::new(Cell::new(None));
        let remove = {
            let listeners = Rc::clone(&listeners);
            move |socket: &Socket| {
                if let Some((on_error, on_listening)) = listeners.take() {
                    socket.off(on_error);
                    socket.off(on_listening);
                }
            }
        };
        let remove_at_error = remove.clone();
        let on_error = self.on(event::Error, move |(socket, _): (Socket, &Error)| {
            remove_at_error(&socket)
        });
        let on_listening = self.once(event::Listening, move |socket: Socket| {
            remove(&socket);
            listening(socket)
        });
        listeners.set(Some((on_error, on_listening)));
        Ok(bound)
    }

    fn bind_to(&self, addr: SocketAddr) -> Result<(), Thrown> {
        let options = &self.inner.options;
        let udp_options = UdpOptions {
            reuse_addr: options.reuse_addr,
            // Otherwise the system's default applies (`net.ipv6.bindv6only`), as with libuv.
            v6_only: options.ipv6_only.then_some(true),
            recv_buffer_bytes: options.recv_buffer_size,
            send_buffer_bytes: options.send_buffer_size,
            ..UdpOptions::default()
        };
        let runtime = &self.inner.runtime;
        // libuv parses the address as one of the socket's family, and refuses another with EINVAL.
        let socket = match self.check_family(addr) {
            // A program may bind before its loop runs, on no current loop.
            Ok(()) => (runtime.handle).enter(|| UdpSocket::bind_with(addr, udp_options)),
            Err(error) => Err(error),
        };
        match socket {
            Ok(socket) => {
                let is_referenced = !self.inner.is_unreferenced.get();
                let handle = PacketHandle::start(runtime, self.clone(), socket, is_referenced);
                self.inner.handle.replace(Some(handle));
                self.inner.bound.set(Progress::Done);
                // On this stack, which is the lookup's callback: Node's `startListening` does so,
                // too.
                self.emit(event::Listening, self.clone()).map(drop)
            }
            Err(error) => self.fail_to_bind(&Error::system_at("bind", error, &addr.into(), None)),
        }
    }

    fn fail_to_bind(&self, error: &Error) -> Result<(), Thrown> {
        self.inner.bound.set(Progress::No);
        self.emit_error(error)
    }

    /// Calls a function with the address of a host, in a later tick or by the loop: never on this
    /// stack, as Node's `dns.lookup`. Without a host it is the default, which has the port.
    pub(super) fn look_up(
        &self,
        host: Host,
        default: SocketAddr,
        then: impl FnOnce(&Socket, Result<SocketAddr, Error>) -> Result<(), Thrown> + 'static,
    ) {
        let port = default.port();
        let host = match host {
            Host::Default => return self.next_call(move |socket| then(socket, Ok(default))),
            Host::Addr(addr) => return self.next_call(move |socket| then(socket, Ok(addr))),
            Host::Name(host) => host,
        };
        // An IP address needs no lookup, but Node calls back in a tick all the same.
        if let Ok(Some(addr)) = literal_addr(&host, port) {
            return self.next_call(move |socket| then(socket, Ok(addr)));
        }
        let socket = self.clone();
        self.inner.runtime.handle.spawn_detached(async move {
            let found = resolve(&host, port).await;
            // Node asks its resolver for the socket's family only.
            let kind = socket.kind();
            let first =
                |addrs: Vec<SocketAddr>| addrs.into_iter().find(|addr| kind.takes(addr.ip()));
            let none = || io::Error::other("the host has no address of that family");
            let found = found.and_then(|addrs| first(addrs).ok_or_else(none));
            let found = found.map_err(|error| Error::not_found(&host, error));
            let runtime = Rc::clone(&socket.inner.runtime);
            runtime.make_callback(|| then(&socket, found));
        });
    }

    /// Runs a step once the socket is bound; a socket that is not binding is bound for it.
    pub(super) fn once_bound(&self, step: BoundStep) -> Result<(), Error> {
        if self.inner.bound.get() == Progress::No {
            self.bind(0)?;
        }
        if self.inner.bound.get() == Progress::Done {
            return step(self);
        }
        let mut bound_steps = self.inner.bound_steps.borrow_mut();
        let (_, steps) = bound_steps.get_or_insert_with(|| {
            let run = |socket: Socket| socket.run_bound_steps();
            (self.inner.events.once(event::Listening, run), Vec::new())
        });
        steps.push(step);
        Ok(())
    }

    fn run_bound_steps(&self) -> Result<(), Thrown> {
        let bound_steps = self.inner.bound_steps.take();
        let steps = bound_steps.map(|(_, steps)| steps).unwrap_or_default();
        for step in steps {
            self.check_running()?; // an earlier step may have closed the socket
            step(self)?;
        }
        Ok(())
    }

    // Closing.

    /// Stops receiving, and closes the socket; 'close' comes in the next tick. A socket that is
    /// binding for a send closes after that send.
    ///
    /// # Errors
    /// `ERR_SOCKET_DGRAM_NOT_RUNNING` if it is closed already.
    pub fn close(&self) -> Result<(), Error> {
        // Node's `close` waits in the same queue, behind earlier sends.
        if let Some((_, steps)) = &mut *self.inner.bound_steps.borrow_mut() {
            steps.push(Box::new(Socket::close));
            return Ok(());
        }
        self.check_running()?;
        self.inner.is_closed.set(true);
        let handle = self.inner.handle.take();
        if let Some(handle) = handle {
            handle.close();
        }
        self.next_call(|socket| {
            let inner = &socket.inner;
            emit_last(
                &inner.runtime,
                inner,
                &inner.events,
                event::Close,
                socket.clone(),
            )
        });
        Ok(())
    }

    /// Like [`Socket::close`], and calls a function at 'close'.
    ///
    /// # Errors
    /// As [`Socket::close`].
    pub fn close_then<O: IntoResult>(
        &self,
        closed: impl FnOnce(Socket) -> O + 'static,
    ) -> Result<(), Error> {
        self.once(event::Close, closed);
        self.close()
    }

    fn set_referenced(&self, referenced: bool) {
        self.inner.is_unreferenced.set(!referenced);
        if let Some(handle) = self.handle() {
            handle.set_referenced(referenced);
        }
    }

    // The kernel's socket.

    /// The address to which the socket is bound.
    ///
    /// # Errors
    /// `EBADF` before it is bound; `ERR_SOCKET_DGRAM_NOT_RUNNING`.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.with_socket("getsockname", UdpSocket::local_addr)
    }

    /// Calls a function on the kernel's socket. Node's name of the call stands in the error.
    pub(super) fn with_socket<T>(
        &self,
        call: &'static str,
        f: impl FnOnce(&UdpSocket) -> io::Result<T>,
    ) -> Result<T, Error> {
        self.try_socket(f, |error| Error::system(call, error))
    }

    pub(super) fn try_socket<T>(
        &self,
        f: impl FnOnce(&UdpSocket) -> io::Result<T>,
        to_error: impl FnOnce(io::Error) -> Error,
    ) -> Result<T, Error> {
        self.check_running()?;
        let result = match self.handle().and_then(|handle| handle.socket()) {
            Some(socket) => f(&socket),
            None => Err(Errno::EBADF.into()),
        };
        result.map_err(to_error)
    }

    pub(super) fn check_running(&self) -> Result<(), Error> {
        if self.inner.is_closed.get() {
            return Err(Error::new("ERR_SOCKET_DGRAM_NOT_RUNNING", "Not running"));
        }
        Ok(())
    }

    pub(super) fn check_family(&self, addr: SocketAddr) -> io::Result<()> {
        if self.kind().takes(addr.ip()) {
            Ok(())
        } else {
            Err(Errno::EINVAL.into())
        }
    }

    // Emitting.

    pub(super) fn next_call(&self, f: impl FnOnce(&Socket) -> Result<(), Thrown> + 'static) {
        self.inner.runtime.next_call(self, f);
    }

    pub(super) fn emit<E: SocketEvent>(&self, event: E, args: E::Args<'_>) -> Result<bool, Thrown> {
        self.inner.events.emit(event, args)
    }

    /// Emits 'error', and drops the steps that wait for the socket to be bound, as Node does.
    pub(super) fn emit_error(&self, error: &Error) -> Result<(), Thrown> {
        let bound_steps = self.inner.bound_steps.take();
        if let Some((listener, steps)) = bound_steps {
            self.off(listener);
            drop(steps);
        }
        self.emit(event::Error, (self.clone(), error)).map(drop)
    }
}

impl Ends for UdpState {
    fn end(&self) {
        self.events.end();
        // Steps own the callbacks of what waits to be sent.
        let bound_steps = self.bound_steps.take();
        drop(bound_steps);
    }
}

/// The host of an endpoint, besides its port.
pub(super) enum Host {
    /// The default of the operation: this machine, or all its addresses.
    Default,
    Name(String),
    Addr(SocketAddr),
}

pub(super) fn host_and_port(endpoint: impl Into<Endpoint>) -> Result<(Host, i64), Error> {
    match endpoint.into() {
        Endpoint::Port { host, port } => Ok((host.map_or(Host::Default, Host::Name), port)),
        Endpoint::Addr(addr) => Ok((Host::Addr(addr), addr.port().into())),
        Endpoint::Malformed(problem) => Err(Endpoint::refused(problem)),
        Endpoint::Path(path) => {
            let message = format!("a UDP socket has a port, not a path: {}", path.display());
            Err(Error::new("ERR_INVALID_ARG_VALUE", message))
        }
    }
}

impl Owner for Socket {
    type Packets = UdpSocket;

    fn on_message(&self, (bytes, addr): (Chunk, SocketAddr)) -> Result<(), Thrown> {
        let size = bytes.len();
        let from = RemoteInfo { addr, size };
        self.emit(event::Message, (self.clone(), &bytes, from))
            .map(drop)
    }

    fn on_end(&self) -> Result<(), Thrown> {
        Ok(()) // UDP has no end
    }

    fn on_error(&self, error: io::Error) -> Result<(), Thrown> {
        self.emit_error(&Error::system("recvmsg", error))
    }
}
