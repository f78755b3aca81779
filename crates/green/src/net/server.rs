//! Servers that run a green thread for each connection or datagram: gevent's `StreamServer` and
//! `DatagramServer`.

use super::listener::TcpListener;
use super::stream::TcpStream;
use super::udp::UdpSocket;
use crate::group::Group;
use crate::join_handle::JoinHandle;
use crate::outcome::Outcome;
use crate::pool::Pool;
use crate::record::Thread;
use crate::spawn::Builder;
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

/// No UDP datagram is longer: its length field has 16 bits.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Options of a [`StreamServer`] or a [`DatagramServer`].
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// The pool that the handlers run in. While it is full, connections wait in the backlog, and
    /// datagrams in the socket. Several servers, and other code, may share it. `None` sets no
    /// limit.
    pub pool: Option<Pool>,
}

impl ServerOptions {
    /// Limits the handlers that run at once.
    ///
    /// # Panics
    /// For a limit of zero.
    #[track_caller]
    pub fn at_most(handlers: usize) -> Self {
        ServerOptions {
            pool: Some(Pool::new(handlers)),
        }
    }
}

/// Accepts connections, and serves each on its own green thread. Clones are the same server.
///
/// A handler that panics ends its connection only; the panic is reported (see
/// [`Handle::on_unhandled`](oneloop_core::Handle::on_unhandled)). Without fds, or without memory
/// for a handler's stack, the server closes a connection and pauses accepting: see
/// [`net::Listener`](oneloop_net::Listener). Any other error of accepting closes the listener, and
/// [`until_stopped`](StreamServer::until_stopped) returns it.
///
/// ```
/// use oneloop::green::net::{StreamServer, TcpListener, TcpStream};
/// use oneloop::green::run;
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
#[doc(alias("BaseServer", "serve", "TcpServer"))]
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
    /// Serves a listener: calls the handler with each connection and the peer's address. Without
    /// memory for the acceptor's stack the server is stopped when this returns: see
    /// [`StreamServer::until_stopped`].
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
        let at_end = move || ends.close(); // otherwise clients would wait in the backlog forever
        let serving = Serving::start("acceptor", options, accept, at_end, Location::caller());
        StreamServer { listener, serving }
    }

    /// The address that the server listens on.
    ///
    /// # Errors
    /// `EBADF` once it is stopped.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What the listener counts: connections accepted; shed for lack of fds or memory; failed.
    ///
    /// # Errors
    /// `EBADF` once it is stopped.
    pub fn stats(&self) -> io::Result<ListenerStats> {
        self.listener.stats()
    }

    /// The green threads that serve connections; with a pool, all threads of the pool.
    pub fn handlers(&self) -> Vec<Thread> {
        self.serving.handlers.group().threads()
    }

    /// Stops accepting: the kernel refuses clients from now on. Open connections are not affected.
    pub fn close(&self) {
        // `until_stopped` returns now; only `stop` waits for the handlers.
        self.listener.close();
        self.serving.stopped.set();
    }

    /// Stops accepting, waits for the handlers to end, and kills those that have not ended when the
    /// timeout is over. `None` waits as long as it takes. With a pool, this waits for all its
    /// threads, including those of other servers.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn stop(&self, timeout: Option<Duration>) {
        self.close();
        self.serving.end(timeout);
    }

    /// Waits until the server is stopped: `serve_forever` of gevent.
    ///
    /// # Errors
    /// The reason why the server stopped by itself: the error of `accept(2)` for an fd that cannot
    /// listen, or the end of the accepting green thread. Every caller gets it.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    #[doc(alias = "serve_forever")]
    pub fn until_stopped(&self) -> io::Result<()> {
        self.serving.until_stopped(Location::caller())
    }
}

/// Receives datagrams, and handles each on its own green thread. Clones are the same server.
///
/// The server counts an error of `recvfrom(2)` and continues, after a pause if the error persists.
/// It does the same with a datagram for which there is no memory. Only an fd that is no socket ends
/// it.
///
/// ```
/// use oneloop::green::net::{DatagramServer, UdpSocket};
/// use oneloop::green::run;
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

/// What a [`DatagramServer`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatagramServerStats {
    /// Datagrams received.
    pub received: u64,
    /// Received datagrams that were dropped for lack of memory for a handler's stack.
    pub shed: u64,
    /// Failed calls of `recvfrom(2)`.
    pub failed: u64,
    /// Pauses of receiving, for lack of memory or after failures in a row.
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
    /// Serves a socket: calls the handler with each datagram and its sender's address. To answer,
    /// give the handler a clone of the socket.
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
        // One buffer for all: a datagram's length is known only when it is there, and then it is
        // copied.
        let mut buf = vec![0; DATAGRAM_BYTES_MAX];
        // Apart: a socket that fails and a lack of memory say nothing about each other.
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

    /// The address that the server receives on.
    ///
    /// # Errors
    /// `EBADF` once it is stopped.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What the server has counted so far.
    pub fn stats(&self) -> DatagramServerStats {
        self.stats.get()
    }

    /// The green threads that handle datagrams; with a pool, all threads of the pool.
    pub fn handlers(&self) -> Vec<Thread> {
        self.serving.handlers.group().threads()
    }

    /// Stops receiving, waits for the handlers to end, kills those that have not ended when the
    /// timeout is over, and closes the socket: see [`StreamServer::stop`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn stop(&self, timeout: Option<Duration>) {
        self.serving.stopped.set();
        self.serving.end(timeout);
        // Last, as the handlers answer on clones of it.
        self.socket.close();
    }

    /// Waits until the server is stopped: see [`StreamServer::until_stopped`].
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

/// The common part of both servers: the *intake*, a green thread that accepts or receives, and the
/// threads of the handlers.
///
/// ```text
///   serving ──close, stop──────────────────▶ stopped
///      └──the intake fails, panics, is killed──▶ stopped, failed: why
/// ```
struct Serving {
    handlers: Handlers,
    /// The green thread that accepts or receives, until `stop` kills it.
    intake: RefCell<Option<JoinHandle<()>>>,
    stopped: Event,
    /// Why the server stopped by itself.
    failed: RefCell<Option<StopReason>>,
}

/// An `io::Error` that can be cloned: every caller of `until_stopped` gets it.
#[derive(Clone)]
enum StopReason {
    Errno(Errno),
    Message(ErrorKind, String),
}

impl From<io::Error> for StopReason {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => StopReason::Errno(errno),
            None => StopReason::Message(error.kind(), error.to_string()),
        }
    }
}

impl From<StopReason> for io::Error {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Errno(errno) => errno.into(),
            StopReason::Message(kind, message) => io::Error::new(kind, message),
        }
    }
}

/// The group or pool in which the handlers run.
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

    /// Waits for a permit of the pool before accepting: while it is full, clients stay in the
    /// kernel's backlog, which refuses them when it overflows, instead of in this process's memory.
    fn wait_for_permit(&self) {
        if let Handlers::Pool(pool) = self {
            pool.wait_for_permit();
        }
    }

    /// # Errors
    /// Fails without memory for a stack.
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
            intake: RefCell::new(None),
            stopped: Event::new(),
            failed: RefCell::new(None),
        });
        // Weak: the intake must not keep a server alive that has no other owner.
        let inside = Rc::downgrade(&serving);
        let handlers = serving.handlers.clone();
        let run_intake = move || {
            let failed = loop {
                handlers.wait_for_permit();
                match take(&handlers) {
                    Ok(()) => {}
                    // The user has set a timeout on the socket: no reason to stop.
                    Err(error) if error.kind() == ErrorKind::TimedOut => {}
                    Err(error) => break error,
                }
            };
            if let Some(serving) = inside.upgrade() {
                serving.stop_for(failed);
            }
        };
        // Named, so that a dump of the tasks shows what it is.
        match Builder::new().name(name).spawn_at(run_intake, at) {
            Ok(intake) => serving.watch(intake, at_end),
            Err(no_memory) => {
                serving.stop_for(no_memory);
                at_end();
            }
        }
        serving
    }

    /// Stops the server when its intake ends, by a panic or a kill as well.
    fn watch(self: &Rc<Self>, intake: JoinHandle<()>, at_end: impl FnOnce() + 'static) {
        let inside = Rc::downgrade(self);
        intake.on_exit(move |_| {
            if let Some(serving) = inside.upgrade()
                && let Some(error) = serving.why_intake_ended()
            {
                serving.stop_for(error);
            }
            at_end();
        });
        self.intake.replace(Some(intake));
    }

    fn why_intake_ended(&self) -> Option<io::Error> {
        let intake = self.intake.borrow();
        intake.as_ref()?.peek(why_it_ended).flatten()
    }

    /// Stops, with an error unless the server was closed or stopped before.
    fn stop_for(&self, error: io::Error) {
        // `EBADF` is the user's own close of the listener or socket, which stops the server as
        // well.
        let is_closed = Errno::from_io_error(&error) == Some(Errno::BADF);
        if !self.stopped.is_set() && !is_closed {
            self.failed.replace(Some(error.into()));
        }
        self.stopped.set();
    }

    /// Ends the intake, waits for the handlers, and kills those that are left after the timeout.
    #[track_caller]
    fn end(&self, timeout: Option<Duration>) {
        // First, so that no connection is accepted while the handlers are waited for.
        if let Some(intake) = self.intake.take() {
            intake.kill();
        }
        let group = self.handlers.group();
        let Some(timeout) = timeout else {
            return group.join();
        };
        if group.join_timeout(timeout).is_err() {
            group.kill();
        }
    }

    #[track_caller]
    fn until_stopped(&self, at: &'static Location<'static>) -> io::Result<()> {
        wait_at(self.stopped.until_set(), at);
        let failed = self.failed.borrow().clone();
        failed.map_or(Ok(()), |reason| Err(reason.into()))
    }
}

fn why_it_ended(result: &Result<(), JoinError>) -> Option<io::Error> {
    let error = result.as_ref().err()?;
    let how = Outcome::of(result);
    let panicked = error.panic_message().map(|message| format!(": {message}"));
    let panicked = panicked.unwrap_or_default();
    Some(io::Error::other(format!(
        "the server stopped by itself: {how}{panicked}"
    )))
}
