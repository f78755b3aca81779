//! Node's `net.Server`.

use super::event::{self, Dropped, ServerEvent};
use super::options::{Endpoint, ListenOptions, ServerOptions};
use super::socket::{Socket, WeakSocket};
use crate::abort::AbortSignal;
use crate::drive::{Drive, Driven, Pace};
use crate::ends::{Ends, emit_last, end_with_program};
use crate::error::Error;
use crate::events::Emitter;
use crate::runtime::{Runtime, current};
use crate::tables::{identity, listening, references, weak};
use crate::thrown::{IntoResult, Thrown, callback_of};
use nix::errno::Errno;
use oneloop_core::{Direction, Key, Slots};
use oneloop_net::{
    Addr, ListenOptions as NetListenOptions, Listener, Socket as NetSocket, literal_addr, resolve,
};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};

/// Node's default. The kernel admits one connection more (`sk_acceptq_is_full`).
const BACKLOG: i32 = 511;

/// What clones of a server share.
///
/// ```text
///             listen: lookup, bind(2), listen(2)
/// not listening ─────────────────────────────▶ listening ('listening', 'connection', …)
///    ▲  ▲                │ 'error'                │ close, or an fd that cannot accept
///    │  └────────────────┘                        ▼
///    └── 'close', once no connection is open ── draining
/// ```
struct ServerState {
    runtime: Rc<Runtime>,
    options: ServerOptions,
    events: Emitter<event::ServerListener>,
    /// None unless it listens.
    handle: RefCell<Option<Rc<ServerHandle>>>,
    /// The open connections.
    connections: RefCell<Slots<WeakSocket>>,
    max_connections: Cell<Option<usize>>,
    is_unreferenced: Cell<bool>,
    /// Changes with each listen and close, so that an earlier lookup has no effect.
    listening_number: Cell<u64>,
    /// `listen` was called, and no `close` since. It may have failed: the listener of 'error' may
    /// close the server and listen again, as the example in Node's documentation does.
    is_open: Cell<bool>,
    /// The number of 'close' events that are due.
    closes_due: Cell<u32>,
    keeps_listeners: Cell<bool>,
}

/// A TCP or Unix server: see [`create_server`]. Clones are the same server. Behind 'close' its
/// handlers are dropped: see [`Server::keep_listeners`].
///
/// ```
/// use oneloop::callback::{net, run};
///
/// run(|| {
///     let server = net::create_server(|socket| {
///         socket.end_with("goodbye");
///     });
///     server.on_listening(|server| {
///         println!("port {}", server.port().expect("it listens"));
///         server.close();
///     });
///     server.on_close(|_| println!("closed"));
///     server.listen(("127.0.0.1", 0))
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias = "uv_listen")]
pub struct Server {
    inner: Rc<ServerState>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address().map(|addr| addr.to_string());
        write!(
            f,
            "Server({})",
            address.as_deref().unwrap_or("not listening")
        )
    }
}

/// Makes a server that calls a function with each connection.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn create_server<O: IntoResult>(on_connection: impl Fn(Socket) -> O + 'static) -> Server {
    create_server_with(ServerOptions::default(), on_connection)
}

/// Makes a server with options.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn create_server_with<O: IntoResult>(
    options: ServerOptions,
    on_connection: impl Fn(Socket) -> O + 'static,
) -> Server {
    let server = Server {
        inner: Rc::new(ServerState {
            runtime: current(),
            options,
            events: Emitter::default(),
            handle: RefCell::default(),
            connections: RefCell::default(),
            max_connections: Cell::new(None),
            is_unreferenced: Cell::new(false),
            listening_number: Cell::new(0),
            is_open: Cell::new(false),
            closes_due: Cell::new(0),
            keeps_listeners: Cell::new(false),
        }),
    };
    end_with_program(&server.inner.runtime, &server.inner);
    server.on_connection(on_connection);
    server
}

listening!(Server, ServerEvent);
references!(Server, "the server listens");
identity!(Server);
weak!(WeakServer of Server with ServerState);

impl Server {
    /// Listens on a port of all addresses, on a host and port, or on the path of a Unix socket. The
    /// text `HOST:PORT` is a host and port, and not a path as in Node: see [`Endpoint`]. Port 0 lets
    /// the kernel choose. Returns the server itself.
    ///
    /// 'listening' or 'error' follows in a later tick. A listener of 'close' can listen again; later
    /// than that, only [`Server::keep_listeners`] makes it possible.
    ///
    /// # Errors
    /// `ERR_SERVER_ALREADY_LISTEN`, `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ADDRESS`;
    /// `ERR_LISTENERS_DROPPED` after 'close'.
    pub fn listen(&self, endpoint: impl Into<Endpoint>) -> Result<Server, Error> {
        self.listen_with(endpoint, ListenOptions::default())
    }

    /// Like [`Server::listen`], and calls a function at 'listening': Node's
    /// `server.listen(port, callback)`.
    ///
    /// ```
    /// use oneloop::callback::{net, run};
    ///
    /// run(|| {
    ///     net::create_server(|_| ()).listen_then(("127.0.0.1", 0), |server| {
    ///         println!("port {}", server.port().expect("it listens"));
    ///         server.close();
    ///     })
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Server::listen`].
    pub fn listen_then<O: IntoResult>(
        &self,
        endpoint: impl Into<Endpoint>,
        listening: impl FnOnce(Server) -> O + 'static,
    ) -> Result<Server, Error> {
        self.listen_with_then(endpoint, ListenOptions::default(), listening)
    }

    /// Listens with options, and calls a function at 'listening'.
    ///
    /// # Errors
    /// As [`Server::listen`].
    pub fn listen_with_then<O: IntoResult>(
        &self,
        endpoint: impl Into<Endpoint>,
        options: ListenOptions,
        listening: impl FnOnce(Server) -> O + 'static,
    ) -> Result<Server, Error> {
        let server = self.listen_with(endpoint, options)?;
        // 'listening' never comes on this stack.
        server.once(event::Listening, listening);
        Ok(server)
    }

    /// Listens with options.
    ///
    /// # Errors
    /// As [`Server::listen`].
    pub fn listen_with(
        &self,
        endpoint: impl Into<Endpoint>,
        options: ListenOptions,
    ) -> Result<Server, Error> {
        if self.is_listening() {
            let message = "Listen method has been called more than once without closing.";
            return Err(Error::new("ERR_SERVER_ALREADY_LISTEN", message));
        }
        if self.inner.events.is_ended() {
            return Err(Error::listeners_dropped("server", "listen"));
        }
        let number = self.next_listening_number();
        // As in net.js, a path or a port alone is bound on this stack, and a host or an address in
        // a later tick, behind its lookup.
        if let Some(signal) = &options.signal {
            self.close_on_abort(signal);
        }
        match endpoint.into() {
            Endpoint::Malformed(problem) => return Err(Endpoint::refused(problem)),
            Endpoint::Path(path) => self.listen_on(Endpoint::unix_addr(&path), &options),
            Endpoint::Addr(addr) => self.listen_soon(addr, options, number),
            Endpoint::Port { host, port } => {
                let port = Endpoint::checked_port(port, "options.port")?;
                match host {
                    None => self.listen_everywhere(port, &options),
                    Some(host) => self.look_up_and_listen(host, port, options, number),
                }
            }
        }
        self.inner.is_open.set(true);
        Ok(self.clone())
    }

    fn close_on_abort(&self, signal: &AbortSignal) {
        if signal.is_aborted() {
            return self.next_call(|server| {
                server.close();
                Ok(())
            });
        }
        // Weak: a signal does not keep the server alive that it could close.
        let server = Rc::downgrade(&self.inner);
        let listening = signal.on_abort(move |_| {
            if let Some(inner) = server.upgrade() {
                Server { inner }.close();
            }
        });
        let signal = signal.clone();
        let events = &self.inner.events;
        events.once(event::ServerClose, move |_: Server| signal.off(listening));
    }

    fn next_listening_number(&self) -> u64 {
        let number = self.inner.listening_number.get() + 1;
        self.inner.listening_number.set(number);
        number
    }

    /// Listens on IPv6 and IPv4 together, or on IPv4 alone where the machine has no IPv6, as Node
    /// does.
    fn listen_everywhere(&self, port: u16, options: &ListenOptions) {
        let v6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port).into();
        match self.bind(&v6, options) {
            // Any other error of `::` counts as "no IPv6", as in Node's `setupListenHandle`.
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port).into();
                self.listen_on(v4, options);
            }
            bound => self.on_bound(&v6, bound),
        }
    }

    fn listen_on(&self, addr: Addr, options: &ListenOptions) {
        let bound = self.bind(&addr, options);
        self.on_bound(&addr, bound);
    }

    fn listen_soon(&self, addr: SocketAddr, options: ListenOptions, number: u64) {
        self.next_call(move |server| {
            if server.inner.listening_number.get() == number {
                server.listen_on(addr.into(), &options);
            }
            Ok(())
        });
    }

    fn look_up_and_listen(&self, host: String, port: u16, options: ListenOptions, number: u64) {
        // An IP address needs no lookup, but Node listens in a tick all the same.
        if let Ok(Some(addr)) = literal_addr(&host, port) {
            return self.listen_soon(addr, options, number);
        }
        let server = self.clone();
        self.inner.runtime.handle.spawn(async move {
            let found = resolve(&host, port).await;
            server.inner.runtime.make_callback(|| {
                // The server was closed, or listens elsewhere, since the lookup began.
                if server.inner.listening_number.get() != number {
                    return Ok(());
                }
                let none = || io::Error::other("the host has no address");
                match found.and_then(|addrs| addrs.first().copied().ok_or_else(none)) {
                    Ok(addr) => server.listen_on(addr.into(), &options),
                    Err(error) => server.emit_error(&Error::not_found(&host, error))?,
                }
                Ok(())
            });
        });
    }

    fn bind(&self, addr: &Addr, options: &ListenOptions) -> io::Result<Listener> {
        let options = NetListenOptions {
            backlog: options.backlog.unwrap_or(BACKLOG),
            reuse_port: options.reuse_port,
            v6_only: Some(options.ipv6_only),
            // Each accepted socket sets both, as in Node.
            nodelay: false,
            keepalive: None,
        };
        // Before the loop runs (`enter`), no loop is current.
        (self.inner.runtime.handle).enter(|| Listener::bind(addr, options))
    }

    fn on_bound(&self, addr: &Addr, bound: io::Result<Listener>) {
        match bound {
            Ok(listener) => {
                let handle = ServerHandle::start(self, listener);
                handle.set_referenced(!self.inner.is_unreferenced.get());
                self.inner.handle.replace(Some(handle));
                // In a tick, so that a listener can be added behind `listen`.
                self.next_call(|server| {
                    if server.is_listening() {
                        server.emit(event::Listening, server.clone())?;
                    }
                    Ok(())
                });
            }
            Err(error) => {
                let error = Error::listen(as_libuv_reports(error, addr), addr);
                self.next_call(move |server| server.emit_error(&error));
            }
        }
    }

    fn next_call(&self, f: impl FnOnce(&Server) -> Result<(), Thrown> + 'static) {
        self.inner.runtime.next_call(self, f);
    }

    fn emit<E: ServerEvent>(&self, event: E, args: E::Args<'_>) -> Result<bool, Thrown> {
        self.inner.events.emit(event, args)
    }

    fn emit_error(&self, error: &Error) -> Result<(), Thrown> {
        self.emit(event::ServerError, (self.clone(), error))
            .map(drop)
    }

    fn handle(&self) -> Option<Rc<ServerHandle>> {
        self.inner.handle.borrow().clone()
    }

    /// True while it listens.
    pub fn is_listening(&self) -> bool {
        self.inner.handle.borrow().is_some()
    }

    /// The address on which it listens, with the port that the kernel chose.
    pub fn address(&self) -> Option<Addr> {
        self.handle()?.local_addr()
    }

    /// The port on which it listens.
    pub fn port(&self) -> Option<u16> {
        self.address()?.port()
    }

    /// Stops accepting. Open connections stay open, and 'close' comes when the last one is closed:
    /// see [`Server::close_all`].
    pub fn close(&self) -> &Self {
        // A lookup for an earlier `listen` has no effect now.
        self.next_listening_number();
        self.inner.is_open.set(false);
        let handle = self.inner.handle.take();
        if let Some(handle) = handle {
            handle.close();
        }
        self.close_if_drained();
        self
    }

    /// Like [`Server::close`], and calls a function at 'close': with `ERR_SERVER_NOT_RUNNING` if it
    /// did not listen.
    pub fn close_then<O: IntoResult>(
        &self,
        closed: impl FnOnce(Result<(), Error>) -> O + 'static,
    ) -> &Self {
        // Checked now: at 'close', the server does not listen in either case.
        let result = if self.is_listening() {
            Ok(())
        } else {
            Err(Error::new(
                "ERR_SERVER_NOT_RUNNING",
                "Server is not running.",
            ))
        };
        let events = &self.inner.events;
        // A server that has ended emits one more 'close', for this call.
        events.begin_again();
        events.once(event::ServerClose, move |_: Server| closed(result));
        self.close()
    }

    /// Stops accepting, and destroys all connections.
    pub fn close_all(&self) -> &Self {
        self.close();
        // A snapshot, as each `destroy` removes a connection.
        for socket in self.connections() {
            socket.destroy();
        }
        self
    }

    /// Returns the open connections.
    pub fn connections(&self) -> Vec<Socket> {
        let connections = self.inner.connections.borrow();
        connections
            .iter()
            .filter_map(|(_, socket)| socket.upgrade())
            .collect()
    }

    /// Calls a function with the number of open connections, in the next tick.
    pub fn get_connections<O: IntoResult>(&self, f: impl FnOnce(usize) -> O + 'static) -> &Self {
        // Never on this stack: in Node, connections of child processes count as well, and those
        // have to answer first.
        let count = self.connection_count();
        let of = callback_of(&f);
        self.next_call(move |_| of.result(f(count)));
        self
    }

    fn connection_count(&self) -> usize {
        self.inner.connections.borrow().len()
    }

    /// Sets the maximum number of open connections. Further ones are accepted, closed at once, and
    /// reported by 'drop'.
    pub fn set_max_connections(&self, max: Option<usize>) -> &Self {
        // net.js: `if (self.maxConnections && …)`, so 0 sets no limit.
        self.inner.max_connections.set(max.filter(|max| *max > 0));
        self
    }

    /// The maximum number of open connections.
    pub fn max_connections(&self) -> Option<usize> {
        self.inner.max_connections.get()
    }

    fn set_referenced(&self, referenced: bool) {
        self.inner.is_unreferenced.set(!referenced);
        if let Some(handle) = self.handle() {
            handle.set_referenced(referenced);
        }
    }

    fn close_if_drained(&self) {
        // Node's `_emitCloseIfDrained`, which emits in a tick.
        if !self.is_listening() && self.connection_count() == 0 {
            let closes_due = &self.inner.closes_due;
            closes_due.set(closes_due.get() + 1);
            self.next_call(Server::emit_closed);
        }
    }

    fn emit_closed(&self) -> Result<(), Thrown> {
        let inner = &self.inner;
        inner.closes_due.set(inner.closes_due.get() - 1);
        emit_last(
            &inner.runtime,
            inner,
            &inner.events,
            event::ServerClose,
            self.clone(),
        )
    }

    /// Keeps the listeners after 'close', for a server that listens again later than in a listener
    /// of 'close'. Without this call, 'close' is the last event: the listeners are dropped a tick
    /// after it, and then [`Server::listen`] fails.
    ///
    /// A listener that captures a clone of this server then keeps it in memory, until the program
    /// ends or [`Server::remove_all_listeners`] removes that listener.
    pub fn keep_listeners(&self) -> &Self {
        self.inner.keeps_listeners.set(true);
        self
    }

    /// A connection was destroyed.
    pub(super) fn forget(&self, key: Key<WeakSocket>) {
        let gone = self.inner.connections.borrow_mut().remove(key);
        drop(gone);
        self.close_if_drained();
    }

    fn is_full(&self) -> bool {
        let max = self.inner.max_connections.get();
        max.is_some_and(|max| self.connection_count() >= max)
    }

    /// Called by the handle for each connection.
    fn on_accepted(&self, accepted: NetSocket) -> Result<(), Thrown> {
        // Accepted and closed, as in Node: in the backlog, the client would wait for an answer.
        if self.is_full() {
            let dropped = Dropped {
                local: accepted.local_addr().ok(),
                remote: accepted.peer_addr().ok(),
            };
            self.emit(event::Drop, (self.clone(), dropped))?;
            return Ok(());
        }
        let options = &self.inner.options;
        let socket = Socket::accepted(
            Rc::clone(&self.inner.runtime),
            &options.socket,
            options.pause_on_connect,
            accepted,
        );
        // Before 'connection': a listener may change them.
        socket.apply_options();
        // Weak: an open connection keeps itself alive, and its server; the server must not keep it.
        let weak = socket.downgrade();
        let key = self.inner.connections.borrow_mut().insert(weak);
        socket.set_server(self.clone(), key);
        self.emit(event::Connection, (self.clone(), socket))
            .map(drop)
    }

    /// Calls `f` on `'connection'`: a client has connected.
    pub fn on_connection<O: IntoResult>(&self, f: impl Fn(Socket) -> O + 'static) -> &Self {
        self.on(event::Connection, move |(_, socket)| f(socket));
        self
    }
}

impl Ends for ServerState {
    fn end(&self) {
        self.events.end();
    }

    fn is_over(&self) -> bool {
        // It may have been opened again before 'close' was emitted, or by a listener of it.
        !self.is_open.get() && !self.keeps_listeners.get() && self.closes_due.get() == 0
    }
}

/// libuv reports a missing directory as `EACCES`, as Windows does (`uv_pipe_bind`).
fn as_libuv_reports(error: io::Error, addr: &Addr) -> io::Error {
    match addr {
        Addr::UnixPath(_) if error.kind() == io::ErrorKind::NotFound => {
            io::Error::from_raw_os_error(Errno::EACCES as i32)
        }
        _ => error,
    }
}

/// A listening socket on the loop. It accepts one connection a turn, as libuv does, so that the
/// callbacks of different connections alternate with those of other handles.
struct ServerHandle {
    runtime: Rc<Runtime>,
    owner: RefCell<Option<Server>>,
    listener: RefCell<Option<Listener>>,
    pace: Pace,
}

impl ServerHandle {
    fn start(owner: &Server, listener: Listener) -> Rc<Self> {
        let runtime = Rc::clone(&owner.inner.runtime);
        let handle = Rc::new(ServerHandle {
            owner: RefCell::new(Some(owner.clone())),
            listener: RefCell::new(Some(listener)),
            pace: Pace::default(),
            runtime,
        });
        let drive = Drive(Rc::clone(&handle));
        handle.runtime.handle.spawn_detached(drive);
        handle
    }

    fn set_referenced(&self, referenced: bool) {
        self.refer(referenced);
        if let Some(listener) = &*self.listener.borrow() {
            listener.source().set_referenced(referenced);
        }
    }

    fn local_addr(&self) -> Option<Addr> {
        self.listener.borrow().as_ref()?.local_addr().ok()
    }

    /// Removes the file of a Unix socket before the socket is closed, as libuv does: a client that
    /// finds the file can connect.
    fn close(self: &Rc<Self>) {
        if let Some(Addr::UnixPath(path)) = self.local_addr() {
            let _ = std::fs::remove_file(path); // another process may have removed it
        }
        let listener = self.listener.take();
        drop(listener);
        self.report_closed_soon();
    }
}

impl Driven for ServerHandle {
    fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn pace(&self) -> &Pace {
        &self.pace
    }

    /// libuv's `uv__server_io`: one connection, and then the next turn if more wait.
    fn poll_io(self: &Rc<Self>, cx: &mut Context<'_>) {
        let accepted = match &*self.listener.borrow() {
            Some(listener) if !self.pace.is_held() => listener.poll_accept(cx),
            _ => return,
        };
        let Poll::Ready(accepted) = accepted else {
            return;
        };
        let owner = self.owner.borrow().clone();
        if let Some(owner) = owner {
            self.runtime.make_callback(|| match accepted {
                Ok((socket, _)) => owner.on_accepted(socket),
                Err(error) => {
                    owner.close(); // the fd cannot listen; 'close' comes behind 'error'
                    owner.emit_error(&Error::system("accept", error))
                }
            });
        }
        // ET: the connections that wait produce no further edge (rule 3).
        let has_more = match &*self.listener.borrow() {
            Some(listener) => listener.source().poll_ready(cx, Direction::Read).is_ready(),
            None => false,
        };
        if has_more {
            self.hold();
        }
    }

    fn is_closed(&self) -> bool {
        self.listener.borrow().is_none()
    }

    fn on_closed(self: Rc<Self>) {
        // The server itself emits 'close', once its last connection is closed.
        let owner = self.owner.take();
        drop(owner);
    }

    fn abandon(&self) {
        let gone = (self.listener.take(), self.owner.take());
        drop(gone);
    }
}
