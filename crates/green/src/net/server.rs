//! A server that gives each connection a green thread: gevent's `StreamServer`.

use super::listener::TcpListener;
use super::stream::TcpStream;
use crate::group::{Group, Pool};
use crate::thread::{JoinHandle, NO_STACK, Thread};
use crate::wait::wait_at;
use oneloop_sync::Event;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// What a [`StreamServer`] is made with.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// How many connections are served at once; beyond that they wait in the backlog. `None` is as many
    /// as there are fds for.
    pub connections_max: Option<usize>,
}

/// Accepts connections, and serves each on a green thread of its own. Clones are the same server.
///
/// A handler that panics ends its connection only; the panic is reported (see
/// [`Handle::on_unhandled`](oneloop_core::Handle::on_unhandled)). A lack of fds pauses accepting: see
/// [`net::Listener`](oneloop_net::Listener).
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
    inner: Rc<Inner>,
}

struct Inner {
    listener: TcpListener,
    handlers: Handlers,
    acceptor: RefCell<Option<JoinHandle<()>>>,
    stopped: Event,
}

/// Where connections are served.
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

    /// Waits for a place before there is a connection: those who cannot be served stay in the backlog.
    fn wait_for_place(&self) {
        if let Handlers::Pool(pool) = self {
            pool.wait_for_place();
        }
    }

    fn spawn(&self, serve: impl FnOnce() + 'static) {
        drop(match self {
            Handlers::Group(group) => group.spawn(serve),
            Handlers::Pool(pool) => pool.spawn(serve),
        });
    }
}

impl fmt::Debug for StreamServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.connections();
        write!(
            f,
            "StreamServer({:?}, {connections} connections)",
            self.inner.listener
        )
    }
}

impl StreamServer {
    /// Serves a listener: each connection is given to the handler, with the peer's address.
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
    /// Outside of a loop, and for a server of no connections.
    #[track_caller]
    pub fn start_with(
        listener: TcpListener,
        options: ServerOptions,
        handler: impl Fn(TcpStream, SocketAddr) + 'static,
    ) -> Self {
        let handlers = match options.connections_max {
            None => Handlers::Group(Group::new()),
            Some(max) => Handlers::Pool(Pool::new(max)),
        };
        let (accepts, into) = (listener.clone(), handlers.clone());
        let accept = move || accept_all(&accepts, &into, Rc::new(handler));
        let acceptor = crate::Builder::new().name("acceptor");
        let acceptor = acceptor
            .spawn_at(accept, Location::caller())
            .expect(NO_STACK);
        StreamServer {
            inner: Rc::new(Inner {
                listener,
                handlers,
                acceptor: RefCell::new(Some(acceptor)),
                stopped: Event::new(),
            }),
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// `EBADF` once it is stopped.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.listener.local_addr()
    }

    /// How many connections are served now.
    pub fn connections(&self) -> usize {
        self.inner.handlers.group().len()
    }

    /// The green threads that serve the connections.
    pub fn handlers(&self) -> Vec<Thread> {
        self.inner.handlers.group().threads()
    }

    /// Stops accepting: from here on clients are refused. Connections go on.
    pub fn close(&self) {
        self.inner.listener.close();
        self.inner.stopped.set();
    }

    /// Stops accepting, waits so long for the connections to end, and kills those that have not. `None`
    /// waits for as long as it takes; zero kills at once.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn stop(&self, timeout: Option<Duration>) {
        self.close();
        let acceptor = self.inner.acceptor.take();
        if let Some(acceptor) = acceptor {
            acceptor.kill();
        }
        let group = self.inner.handlers.group();
        let ended = match timeout {
            None => {
                group.join();
                Ok(())
            }
            Some(timeout) => group.join_timeout(timeout),
        };
        if ended.is_err() {
            group.kill();
        }
    }

    /// Waits until somebody stops the server: `serve_forever` of gevent.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn until_stopped(&self) {
        wait_at(self.inner.stopped.until_set(), Location::caller());
    }
}

/// Accepts until the listener is closed.
fn accept_all(
    listener: &TcpListener,
    handlers: &Handlers,
    handler: Rc<impl Fn(TcpStream, SocketAddr) + 'static>,
) {
    loop {
        handlers.wait_for_place();
        let Ok((stream, peer)) = listener.accept() else {
            return;
        };
        let handler = Rc::clone(&handler);
        handlers.spawn(move || handler(stream, peer));
    }
}
