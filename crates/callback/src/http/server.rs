//! Node's `http.Server`: a `net.Server` whose connections speak HTTP.

use super::connection::Connection;
use super::event::{self, ServerEvent};
use super::incoming::IncomingMessage;
use super::options::ServerOptions;
use super::response::ServerResponse;
use crate::ends::{Ends, emit_last, end_with_program};
use crate::error::Error;
use crate::events::Emitter;
use crate::milliseconds::Milliseconds;
use crate::net::{self, Endpoint, ListenOptions, Socket, event as net_event};
use crate::runtime::{Runtime, current};
use crate::tables::{identity, listening, references, weak};
use crate::thrown::{IntoResult, Thrown};
use crate::timers::{Timeout, clear_interval, set_interval};
use hyper::server::conn::http1;
use oneloop_core::{Key, Slots};
use oneloop_net::Addr;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// An HTTP server: see [`create_server`]. Clones are the same server. Behind 'close' its handlers
/// are dropped: see [`Server::keep_listeners`].
///
/// ```
/// use oneloop::callback::{http, run};
///
/// run(|| {
///     let server = http::create_server(|req, res| {
///         res.end_with(format!("{} {}\n", req.method(), req.url()));
///     });
///     server.on_close(|_| println!("closed"));
///     server.listen_then(("127.0.0.1", 0), |server| {
///         println!("port {}", server.port().expect("it listens"));
///         server.close();
///     })
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Server {
    inner: Rc<ServerInner>,
}

/// What clones of a server share.
pub(super) struct ServerInner {
    runtime: Rc<Runtime>,
    events: Emitter<event::ServerListener>,
    net: net::Server,
    /// How hyper reads and writes, the same for all connections.
    hyper: http1::Builder,
    connections: RefCell<Slots<Weak<Connection>>>,
    options: ServerOptions,
    timeout_ms: Cell<u64>,
    keep_alive_timeout_ms: Cell<u64>,
    headers_timeout_ms: Cell<u64>,
    request_timeout_ms: Cell<u64>,
    max_requests_per_socket: Cell<u64>,
    /// Looks for requests that take too long, while the server listens.
    checking: Cell<Option<Timeout>>,
    keeps_listeners: Cell<bool>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http::{:?}", self.inner.net)
    }
}

/// Makes a server that calls a function with each request: `http.createServer((req, res) => …)`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias = "createServer")]
pub fn create_server<O: IntoResult>(
    on_request: impl Fn(IncomingMessage, ServerResponse) -> O + 'static,
) -> Server {
    create_server_with(ServerOptions::default(), on_request)
}

/// Makes a server with options.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn create_server_with<O: IntoResult>(
    options: ServerOptions,
    on_request: impl Fn(IncomingMessage, ServerResponse) -> O + 'static,
) -> Server {
    let runtime = current();
    let mut socket = options.socket.clone();
    socket.allow_half_open = true;
    let net_options = net::ServerOptions {
        socket,
        pause_on_connect: false,
    };
    let mut hyper = http1::Builder::new();
    hyper
        .title_case_headers(true)
        .auto_date_header(false) // Node's place for it is ahead of `Connection`
        .max_header_size(options.max_header_size)
        .half_close(true);
    let server = Server {
        inner: Rc::new(ServerInner {
            events: Emitter::default(),
            net: net::create_server_with(net_options, |_| ()),
            hyper,
            connections: RefCell::default(),
            timeout_ms: Cell::new(0),
            keep_alive_timeout_ms: Cell::new(options.keep_alive_timeout_ms),
            headers_timeout_ms: Cell::new(options.headers_timeout_ms),
            request_timeout_ms: Cell::new(options.request_timeout_ms),
            max_requests_per_socket: Cell::new(options.max_requests_per_socket),
            options,
            checking: Cell::new(None),
            keeps_listeners: Cell::new(false),
            runtime,
        }),
    };
    end_with_program(&server.inner.runtime, &server.inner);
    server.on_request(on_request);
    server.follow_net();
    server
}

listening!(Server, ServerEvent);
references!(Server, "the server listens");
identity!(Server);
weak!(WeakServer of Server with ServerInner);

impl Server {
    /// Emits what the server below emits. Its listeners end with its 'close', or with the program.
    fn follow_net(&self) {
        let net = &self.inner.net;
        let server = self.clone();
        net.on(net_event::Listening, move |_| server.on_net_listening());
        let server = self.clone();
        net.on(net_event::Connection, move |(_, socket)| {
            Connection::start(&server, &socket, &server.inner.hyper);
            server.emit(event::Connection, socket).map(drop)
        });
        let server = self.clone();
        net.on(net_event::Drop, move |(_, dropped)| {
            server
                .emit(event::Drop, (server.clone(), dropped))
                .map(drop)
        });
        let server = self.clone();
        net.on(
            net_event::ServerError,
            move |(_, error): (net::Server, &Error)| {
                server
                    .emit(event::ServerError, (server.clone(), error))
                    .map(drop)
            },
        );
        let server = self.clone();
        net.on(net_event::ServerClose, move |_| {
            let inner = &server.inner;
            let (runtime, events) = (&inner.runtime, &inner.events);
            emit_last(runtime, inner, events, event::ServerClose, server.clone())
        });
    }

    /// Node's `setupConnectionsTracking`.
    fn on_net_listening(&self) -> Result<(), Thrown> {
        clear_interval(self.inner.checking.take());
        let weak = self.downgrade();
        let check = move || {
            weak.upgrade()
                .map_or(Ok(()), |server| server.check_connections())
        };
        let interval_ms = self.inner.options.connections_checking_interval_ms;
        let checking = set_interval(check, interval_ms);
        checking.unref();
        self.inner.checking.set(Some(checking));
        self.emit(event::Listening, self.clone()).map(drop)
    }

    fn check_connections(&self) -> Result<(), Thrown> {
        let head = Duration::from_millis(self.headers_timeout_ms());
        let message = Duration::from_millis(self.request_timeout_ms());
        let connections = self.http_connections();
        connections
            .iter()
            .try_for_each(|connection| connection.check_time(head, message))
    }

    fn http_connections(&self) -> Vec<Rc<Connection>> {
        let connections = self.inner.connections.borrow();
        connections
            .iter()
            .filter_map(|(_, connection)| connection.upgrade())
            .collect()
    }

    pub(super) fn keep(&self, connection: Weak<Connection>) -> Key<Weak<Connection>> {
        self.inner.connections.borrow_mut().insert(connection)
    }

    pub(super) fn forget(&self, key: Key<Weak<Connection>>) {
        let gone = self.inner.connections.borrow_mut().remove(key);
        drop(gone);
    }

    pub(super) fn runtime(&self) -> &Rc<Runtime> {
        &self.inner.runtime
    }

    pub(super) fn now(&self) -> Instant {
        self.inner.runtime.handle.now()
    }

    pub(super) fn emit<E: ServerEvent>(&self, event: E, args: E::Args<'_>) -> Result<bool, Thrown> {
        self.inner.events.emit(event, args)
    }

    pub(super) fn requires_host(&self) -> bool {
        self.inner.options.require_host_header
    }

    /// Listens, as [`net::Server::listen`] does, and returns the server itself.
    ///
    /// # Errors
    /// As [`net::Server::listen`].
    pub fn listen(&self, endpoint: impl Into<Endpoint>) -> Result<Server, Error> {
        self.listen_with(endpoint, ListenOptions::default())
    }

    /// Like [`Server::listen`], and calls a function at 'listening'.
    ///
    /// # Errors
    /// As [`net::Server::listen`].
    pub fn listen_then<O: IntoResult>(
        &self,
        endpoint: impl Into<Endpoint>,
        listening: impl FnOnce(Server) -> O + 'static,
    ) -> Result<Server, Error> {
        let server = self.listen(endpoint)?;
        // 'listening' never comes on this stack.
        server.once(event::Listening, listening);
        Ok(server)
    }

    /// Listens with options.
    ///
    /// # Errors
    /// As [`net::Server::listen`].
    pub fn listen_with(
        &self,
        endpoint: impl Into<Endpoint>,
        options: ListenOptions,
    ) -> Result<Server, Error> {
        self.inner.net.listen_with(endpoint, options)?;
        Ok(self.clone())
    }

    /// True while it listens.
    pub fn is_listening(&self) -> bool {
        self.inner.net.is_listening()
    }

    /// The address on which it listens, with the port that the kernel chose.
    pub fn address(&self) -> Option<Addr> {
        self.inner.net.address()
    }

    /// The port on which it listens.
    pub fn port(&self) -> Option<u16> {
        self.inner.net.port()
    }

    /// Stops accepting, and closes the connections that are idle. Those with a request stay until
    /// it is answered and their client, or the time that an idle connection may stay, closes them;
    /// 'close' follows the last one.
    pub fn close(&self) -> &Self {
        self.before_close();
        self.inner.net.close();
        self
    }

    /// Like [`Server::close`], and calls a function at 'close': with `ERR_SERVER_NOT_RUNNING` if it
    /// did not listen.
    pub fn close_then<O: IntoResult>(
        &self,
        closed: impl FnOnce(Result<(), Error>) -> O + 'static,
    ) -> &Self {
        self.before_close();
        self.inner.net.close_then(closed);
        self
    }

    /// Node's `httpServerPreClose`.
    fn before_close(&self) {
        self.close_idle_connections();
        clear_interval(self.inner.checking.take());
    }

    /// Destroys the connections that have carried a request, and wait for the next one.
    pub fn close_idle_connections(&self) -> &Self {
        for connection in self.http_connections() {
            if connection.is_idle() {
                connection.socket().destroy();
            }
        }
        self
    }

    /// Destroys all connections that speak HTTP, also those that are being answered.
    pub fn close_all_connections(&self) -> &Self {
        for connection in self.http_connections() {
            connection.socket().destroy();
        }
        self
    }

    /// Returns the open connections, those that were upgraded included.
    pub fn connections(&self) -> Vec<Socket> {
        self.inner.net.connections()
    }

    /// Calls a function with the number of open connections, in the next tick.
    pub fn get_connections<O: IntoResult>(&self, f: impl FnOnce(usize) -> O + 'static) -> &Self {
        self.inner.net.get_connections(f);
        self
    }

    /// Sets the maximum number of open connections: see [`net::Server::set_max_connections`].
    pub fn set_max_connections(&self, max: Option<usize>) -> &Self {
        self.inner.net.set_max_connections(max);
        self
    }

    /// The maximum number of open connections.
    pub fn max_connections(&self) -> Option<usize> {
        self.inner.net.max_connections()
    }

    /// Sets the timeout of each further connection in milliseconds; 0, the default, sets none.
    /// 'timeout' follows on the message, the response and the server; without a listener on any of
    /// them, the connection is closed.
    pub fn set_timeout(&self, ms: impl Milliseconds) -> &Self {
        self.inner.timeout_ms.set(ms.to_ms() as u64);
        self
    }

    pub(super) fn timeout_ms(&self) -> u64 {
        self.inner.timeout_ms.get()
    }

    /// See [`ServerOptions::keep_alive_timeout_ms`].
    pub fn keep_alive_timeout_ms(&self) -> u64 {
        self.inner.keep_alive_timeout_ms.get()
    }

    /// Sets for how long a connection without a request is kept: `server.keepAliveTimeout`.
    pub fn set_keep_alive_timeout(&self, ms: impl Milliseconds) -> &Self {
        self.inner.keep_alive_timeout_ms.set(ms.to_ms() as u64);
        self
    }

    /// See [`ServerOptions::headers_timeout_ms`].
    pub fn headers_timeout_ms(&self) -> u64 {
        self.inner.headers_timeout_ms.get()
    }

    /// Sets the time that the head of a request may take: `server.headersTimeout`.
    pub fn set_headers_timeout(&self, ms: impl Milliseconds) -> &Self {
        self.inner.headers_timeout_ms.set(ms.to_ms() as u64);
        self
    }

    /// See [`ServerOptions::request_timeout_ms`].
    pub fn request_timeout_ms(&self) -> u64 {
        self.inner.request_timeout_ms.get()
    }

    /// Sets the time that a whole request may take: `server.requestTimeout`.
    pub fn set_request_timeout(&self, ms: impl Milliseconds) -> &Self {
        self.inner.request_timeout_ms.set(ms.to_ms() as u64);
        self
    }

    /// See [`ServerOptions::max_requests_per_socket`].
    pub fn max_requests_per_socket(&self) -> u64 {
        self.inner.max_requests_per_socket.get()
    }

    /// Sets how many requests a connection may carry: `server.maxRequestsPerSocket`.
    pub fn set_max_requests_per_socket(&self, max: u64) -> &Self {
        self.inner.max_requests_per_socket.set(max);
        self
    }

    /// Keeps the listeners after 'close', for a server that listens again later than in a listener
    /// of 'close': see [`net::Server::keep_listeners`].
    pub fn keep_listeners(&self) -> &Self {
        self.inner.keeps_listeners.set(true);
        self.inner.net.keep_listeners();
        self
    }

    fn set_referenced(&self, referenced: bool) {
        match referenced {
            true => self.inner.net.make_ref(),
            false => self.inner.net.unref(),
        };
    }
}

impl Ends for ServerInner {
    fn end(&self) {
        self.events.end();
    }

    fn is_over(&self) -> bool {
        // A listener of 'close' may listen again.
        !self.keeps_listeners.get() && !self.net.is_listening()
    }
}
