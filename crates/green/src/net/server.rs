//! Servers that give each connection, or each datagram, a green thread: gevent's `StreamServer` and
//! `DatagramServer`.

use super::listener::TcpListener;
use super::stream::TcpStream;
use super::udp::UdpSocket;
use crate::group::Group;
use crate::outcome::Outcome;
use crate::pool::Pool;
use crate::thread::{Builder, JoinHandle, Thread};
use crate::wait::wait_at;
use oneloop_core::JoinError;
use oneloop_net::{Backoff, ListenerStats};
use oneloop_sync::Event;
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// The longest datagram that UDP has.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// What a [`StreamServer`] or a [`DatagramServer`] is made with.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Where the handlers run. While it is full, connections wait in the backlog, and datagrams in the
    /// socket; several servers, and others, may share it. `None` is a green thread for whatever comes.
    pub pool: Option<Pool>,
}

impl ServerOptions {
    /// So many handlers at once.
    ///
    /// # Panics
    /// For none at all.
    #[track_caller]
    pub fn at_most(handlers: usize) -> Self {
        ServerOptions {
            pool: Some(Pool::new(handlers)),
        }
    }
}

/// Accepts connections, and serves each on a green thread of its own. Clones are the same server.
///
/// A handler that panics ends its connection only; the panic is reported (see
/// [`Handle::on_unhandled`](oneloop_core::Handle::on_unhandled)). A lack of fds, or of memory for a
/// handler's stack, closes a connection and pauses accepting: see
/// [`net::Listener`](oneloop_net::Listener). Whatever else ends the accepting closes the listener, and
/// [`until_stopped`](StreamServer::until_stopped) says why.
///
/// ```
/// use oneloop_green::net::{StreamServer, TcpListener, TcpStream};
/// use oneloop_green::run;
/// use std::io::{copy, Read, Write};
/// let answer = run(|| {
///     let listener = TcpListener::bind(("127.0.0.1", 0))?;
///     let addr = listener.local_addr()?;
///     let server = StreamServer::start(listener, |stream: TcpStream, _peer| {
///         let _ = copy(&mut &stream, &mut &stream); // until the client has no more
///     });
///     let mut client = TcpStream::connect(addr)?;
///     client.write_all(b"hello")?;
///     client.shutdown(std::net::Shutdown::Write)?;
///     let mut answer = String::new();
///     client.read_to_string(&mut answer)?;
///     server.stop(None);
///     Ok::<_, std::io::Error>(answer)
/// })??;
/// assert_eq!(answer, "hello");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct StreamServer {
    listener: TcpListener,
    serving: Rc<Serving>,
}

impl fmt::Debug for StreamServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handlers = self.handlers().len();
        write!(f, "StreamServer({:?}, {handlers} handlers)", self.listener)
    }
}

impl StreamServer {
    /// Serves a listener: each connection is given to the handler, with the peer's address. Without
    /// memory for a stack it has stopped when this returns: see [`StreamServer::until_stopped`].
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn start(listener: TcpListener, handler: impl Fn(TcpStream, SocketAddr) + 'static) -> Self {
        Self::start_with(listener, ServerOptions::default(), handler)
    }

    /// Serves a listener, with options.
    ///
    /// # Panics
    /// As [`StreamServer::start`].
    #[track_caller]
    pub fn start_with(
        listener: TcpListener,
        options: ServerOptions,
        handler: impl Fn(TcpStream, SocketAddr) + 'static,
    ) -> Self {
        let accepts = listener.clone();
        let handler = Rc::new(handler);
        let accept = move |handlers: &Handlers| {
            let (stream, peer) = accepts.accept()?;
            let handler = Rc::clone(&handler);
            if handlers.spawn(move || handler(stream, peer)).is_err() {
                accepts.shed_accepted(); // the connection is closed already
            }
            Ok(())
        };
        let ends = listener.clone();
        let at_end = move || ends.close(); // else clients would wait in the backlog
        let serving = Serving::start("acceptor", options, accept, at_end, Location::caller());
        StreamServer { listener, serving }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// `EBADF` once it is stopped.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What it counted: connections accepted; shed for want of fds or memory; failed.
    ///
    /// # Errors
    /// `EBADF` once it is stopped.
    pub fn stats(&self) -> io::Result<ListenerStats> {
        self.listener.stats()
    }

    /// The green threads that serve the connections; those of its pool, if it has one.
    pub fn handlers(&self) -> Vec<Thread> {
        self.serving.handlers.group().threads()
    }

    /// Stops accepting: from here on clients are refused. Connections go on.
    pub fn close(&self) {
        self.listener.close();
        self.serving.stopped.set();
    }

    /// Stops accepting, waits so long for the handlers to end, and kills those that have not. `None`
    /// waits for as long as it takes. A pool is emptied, whoever filled it.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn stop(&self, timeout: Option<Duration>) {
        self.close();
        self.serving.end(timeout);
    }

    /// Waits until somebody stops the server: `serve_forever` of gevent.
    ///
    /// # Errors
    /// Why the server stopped by itself: what `accept(2)` said of an fd that cannot listen, or how the
    /// accepting green thread ended. Each caller is given it.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn until_stopped(&self) -> io::Result<()> {
        self.serving.until_stopped(Location::caller())
    }
}

/// Receives datagrams, and gives each to a green thread of its own. Clones are the same server.
///
/// An error of `recvfrom(2)` is counted and passed over, after a pause if it lasts, and so is a datagram
/// for which there is no memory; only an fd that is no socket ends it.
///
/// ```
/// use oneloop_green::net::{DatagramServer, UdpSocket};
/// use oneloop_green::run;
/// let answer = run(|| {
///     let socket = UdpSocket::bind(("127.0.0.1", 0))?;
///     let addr = socket.local_addr()?;
///     let answers = socket.clone();
///     let server = DatagramServer::start(socket, move |datagram, from| {
///         let _ = answers.send_to(&datagram, from);
///     });
///     let client = UdpSocket::bind(("127.0.0.1", 0))?;
///     client.send_to(b"hello", addr)?;
///     let mut buf = [0; 16];
///     let (answer, _) = client.recv_from(&mut buf)?;
///     server.stop(None);
///     Ok::<_, std::io::Error>(buf[..answer.bytes].to_vec())
/// })??;
/// assert_eq!(answer, b"hello");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct DatagramServer {
    socket: UdpSocket,
    serving: Rc<Serving>,
    stats: Rc<Cell<DatagramServerStats>>,
}

/// What a [`DatagramServer`] counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatagramServerStats {
    /// Datagrams received.
    pub received: u64,
    /// Those of them that were dropped for want of memory for a handler's stack.
    pub shed: u64,
    /// Times that `recvfrom(2)` failed.
    pub failed: u64,
    /// Times that receiving paused, for want of memory or after failures in a row.
    pub pauses: u64,
}

fn count(stats: &Cell<DatagramServerStats>, change: impl FnOnce(&mut DatagramServerStats)) {
    let mut changed = stats.get();
    change(&mut changed);
    stats.set(changed);
}

impl fmt::Debug for DatagramServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handlers = self.handlers().len();
        write!(f, "DatagramServer({:?}, {handlers} handlers)", self.socket)
    }
}

impl DatagramServer {
    /// Serves a socket: each datagram is given to the handler, with its sender. A clone of the socket is
    /// for the answers.
    ///
    /// # Panics
    /// As [`StreamServer::start`].
    #[track_caller]
    pub fn start(socket: UdpSocket, handler: impl Fn(Vec<u8>, SocketAddr) + 'static) -> Self {
        Self::start_with(socket, ServerOptions::default(), handler)
    }

    /// Serves a socket, with options.
    ///
    /// # Panics
    /// As [`StreamServer::start`].
    #[track_caller]
    pub fn start_with(
        socket: UdpSocket,
        options: ServerOptions,
        handler: impl Fn(Vec<u8>, SocketAddr) + 'static,
    ) -> Self {
        let receives = socket.clone();
        let handler = Rc::new(handler);
        let stats = Rc::new(Cell::new(DatagramServerStats::default()));
        let counts = Rc::clone(&stats);
        let mut buf = vec![0; DATAGRAM_BYTES_MAX];
        let (mut backoff, mut shortage) = (Backoff::default(), Backoff::default());
        let receive = move |handlers: &Handlers| {
            let on_failure = |_: &io::Error, pauses| {
                count(&counts, |stats| {
                    stats.failed += 1;
                    stats.pauses += u64::from(pauses);
                });
            };
            let received = receives.recv_from_past_failures(&mut buf, &mut backoff, on_failure);
            let (datagram, from) = received?;
            count(&counts, |stats| stats.received += 1);
            let (bytes, handler) = (buf[..datagram.bytes].to_vec(), Rc::clone(&handler));
            match handlers.spawn(move || handler(bytes, from)) {
                Ok(()) => shortage.succeed(),
                Err(_) => {
                    let lasts = shortage.fall_short(receives.socket()?.source());
                    count(&counts, |stats| {
                        stats.shed += 1;
                        stats.pauses += u64::from(lasts);
                    });
                    wait_at(poll_fn(|cx| shortage.poll_pause(cx)), Location::caller());
                }
            }
            Ok(())
        };
        let serving = Serving::start("receiver", options, receive, || (), Location::caller());
        DatagramServer {
            socket,
            serving,
            stats,
        }
    }

    /// Where it receives.
    ///
    /// # Errors
    /// `EBADF` once it is stopped.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What it counted so far.
    pub fn stats(&self) -> DatagramServerStats {
        self.stats.get()
    }

    /// The green threads that are at a datagram; those of its pool, if it has one.
    pub fn handlers(&self) -> Vec<Thread> {
        self.serving.handlers.group().threads()
    }

    /// Receives no more, waits so long for the handlers to end, and kills those that have not; then the
    /// socket is closed. See [`StreamServer::stop`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn stop(&self, timeout: Option<Duration>) {
        self.serving.stopped.set();
        self.serving.end(timeout);
        self.socket.close();
    }

    /// Waits until somebody stops the server: see [`StreamServer::until_stopped`].
    ///
    /// # Errors
    /// As [`StreamServer::until_stopped`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn until_stopped(&self) -> io::Result<()> {
        self.serving.until_stopped(Location::caller())
    }
}

/// What servers have in common: a green thread that takes in what comes, and those that serve it.
struct Serving {
    handlers: Handlers,
    taker: RefCell<Option<JoinHandle<()>>>,
    stopped: Event,
    failed: RefCell<Option<Failure>>,
}

/// An error for each of several callers.
#[derive(Clone)]
enum Failure {
    Errno(Errno),
    Words(ErrorKind, String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => Failure::Errno(errno),
            None => Failure::Words(error.kind(), error.to_string()),
        }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Errno(errno) => errno.into(),
            Failure::Words(kind, words) => io::Error::new(kind, words),
        }
    }
}

/// Where the handlers run.
#[derive(Clone)]
enum Handlers {
    Group(Group),
    Pool(Pool),
}

impl Handlers {
    fn group(&self) -> &Group {
        match self {
            Handlers::Group(group) => group,
            Handlers::Pool(pool) => pool.group(),
        }
    }

    /// Waits for a place before there is anything to serve: what cannot be served stays in the kernel.
    fn wait_for_place(&self) {
        if let Handlers::Pool(pool) = self {
            pool.wait_for_place();
        }
    }

    /// # Errors
    /// There is no memory for a stack.
    #[track_caller]
    fn spawn(&self, serve: impl FnOnce() + 'static) -> io::Result<()> {
        let at = Location::caller();
        match self {
            Handlers::Group(group) => group.add(Builder::new().spawn_at(serve, at)?.thread()),
            Handlers::Pool(pool) => drop(pool.spawn_at(serve, at)?),
        }
        Ok(())
    }
}

impl Serving {
    fn start(
        name: &str,
        options: ServerOptions,
        mut take: impl FnMut(&Handlers) -> io::Result<()> + 'static,
        at_end: impl FnOnce() + 'static,
        at: &'static Location<'static>,
    ) -> Rc<Self> {
        let serving = Rc::new(Serving {
            handlers: options
                .pool
                .map_or_else(|| Handlers::Group(Group::new()), Handlers::Pool),
            taker: RefCell::new(None),
            stopped: Event::new(),
            failed: RefCell::new(None),
        });
        let inside = Rc::downgrade(&serving);
        let handlers = serving.handlers.clone();
        let take_all = move || {
            let failed = loop {
                handlers.wait_for_place();
                match take(&handlers) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::TimedOut => {} // its own affair
                    Err(error) => break error,
                }
            };
            if let Some(serving) = inside.upgrade() {
                serving.stop_for(failed);
            }
        };
        match Builder::new().name(name).spawn_at(take_all, at) {
            Ok(taker) => serving.watch(taker, at_end),
            Err(no_memory) => {
                serving.stop_for(no_memory);
                at_end();
            }
        }
        serving
    }

    /// Whatever ends the taker, be it a panic or a kill, stops the server.
    fn watch(self: &Rc<Self>, taker: JoinHandle<()>, at_end: impl FnOnce() + 'static) {
        let inside = Rc::downgrade(self);
        taker.on_exit(move |_| {
            if let Some(serving) = inside.upgrade()
                && let Some(error) = serving.why_taker_ended()
            {
                serving.stop_for(error);
            }
            at_end();
        });
        self.taker.replace(Some(taker));
    }

    fn why_taker_ended(&self) -> Option<io::Error> {
        let taker = self.taker.borrow();
        taker.as_ref()?.peek(why_it_ended).flatten()
    }

    /// Stops, with an error unless it was told to.
    fn stop_for(&self, error: io::Error) {
        let is_closed = Errno::from_io_error(&error) == Some(Errno::BADF);
        if !self.stopped.is_set() && !is_closed {
            self.failed.replace(Some(error.into()));
        }
        self.stopped.set();
    }

    /// Takes in no more, waits for the handlers, and kills those that are left.
    #[track_caller]
    fn end(&self, timeout: Option<Duration>) {
        if let Some(taker) = self.taker.take() {
            taker.kill();
        }
        let group = self.handlers.group();
        let Some(timeout) = timeout else {
            return group.join();
        };
        if group.join_timeout(timeout).is_err() {
            group.kill();
        }
    }

    fn until_stopped(&self, at: &'static Location<'static>) -> io::Result<()> {
        wait_at(self.stopped.until_set(), at);
        let failed = self.failed.borrow().clone();
        failed.map_or(Ok(()), |failure| Err(failure.into()))
    }
}

fn why_it_ended(result: &Result<(), JoinError>) -> Option<io::Error> {
    let error = result.as_ref().err()?;
    let how = Outcome::of(result);
    let panicked = error.panic_message().map(|words| format!(": {words}"));
    let panicked = panicked.unwrap_or_default();
    Some(io::Error::other(format!(
        "nothing is taken in any more, as {how}{panicked}"
    )))
}
