//! Serves HTTP for the one program that needs it: hyper on the sockets of the async style, with the
//! timeouts and the close of Node's `http.Server`. Oneloop itself has no HTTP.

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use oneloop::Handle;
use oneloop::aio::{TcpListener, TcpStream, spawn};
use oneloop::callback::next_tick;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The times that a client may take. The defaults are Node's.
#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    /// The time between two requests: `server.keepAliveTimeout`.
    pub(crate) keep_alive: Duration,
    /// The time until the head of the first request is complete: `server.headersTimeout`.
    pub(crate) headers: Duration,
    /// The time for a request and its answer: `server.requestTimeout`.
    pub(crate) request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            keep_alive: Duration::from_secs(5),
            headers: Duration::from_secs(60),
            request: Duration::from_secs(300),
        }
    }
}

/// What a connection waits for, which selects its timeout.
///
/// ```text
///         a request arrives            the answer is ready
/// Head ─────────────────────▶ Request ─────────────────────▶ Idle
///                                ▲                             │
///                                └─────────────────────────────┘
///                                       a request arrives
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum Activity {
    Head,
    Request,
    Idle,
}

/// `http.createServer((q, r) => r.end(answer))`
#[derive(Clone)]
pub(crate) struct Server {
    state: Rc<ServerState>,
}

struct ServerState {
    answer: &'static str,
    timeouts: Timeouts,
    connections: Cell<usize>,
    is_closing: Cell<bool>,
    /// Wakers of the acceptor and of all connections, which wait for the close.
    waiters: RefCell<Vec<Waker>>,
    /// The callback of `close`, until it runs.
    on_closed: Cell<Option<Box<dyn FnOnce()>>>,
}

impl Server {
    pub(crate) fn new(answer: &'static str) -> Self {
        let state = ServerState {
            answer,
            timeouts: Timeouts::default(),
            connections: Cell::new(0),
            is_closing: Cell::new(false),
            waiters: RefCell::default(),
            on_closed: Cell::new(None),
        };
        Server {
            state: Rc::new(state),
        }
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.state.timeouts
    }

    /// Listens on a port that the kernel chooses.
    pub(crate) fn listen(&self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let state = Rc::clone(&self.state);
        spawn(async move { state.accept(listener).await });
        Ok(addr)
    }

    /// Stops accepting, closes idle connections, and calls the function when no connection is left.
    pub(crate) fn close(&self, on_closed: impl FnOnce() + 'static) {
        self.state.is_closing.set(true);
        self.state.on_closed.set(Some(Box::new(on_closed)));
        self.state.waiters.take().into_iter().for_each(Waker::wake);
        self.state.report_if_closed();
    }
}

impl ServerState {
    /// Returns ready once the server closes.
    fn poll_closing(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_closing.get() {
            return Poll::Ready(());
        }
        self.waiters.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }

    fn report_if_closed(&self) {
        if self.is_closing.get()
            && self.connections.get() == 0
            && let Some(on_closed) = self.on_closed.take()
        {
            next_tick(on_closed); // Node emits 'close' in a tick, not inside `close()`
        }
    }

    async fn accept(self: Rc<Self>, listener: TcpListener) {
        loop {
            let mut accept = pin!(listener.accept());
            let accepted = poll_fn(|cx| match self.poll_closing(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => accept.as_mut().poll(cx).map(Result::ok),
            });
            let Some((stream, _)) = accepted.await else {
                return;
            };
            self.connections.set(self.connections.get() + 1);
            spawn(Rc::clone(&self).serve(stream));
        }
    }

    async fn serve(self: Rc<Self>, stream: TcpStream) {
        let activity = Rc::new(Cell::new(Activity::Head));
        let (state, inside) = (Rc::clone(&self), Rc::clone(&activity));
        let service = service_fn(move |_: Request<Incoming>| {
            inside.set(Activity::Request);
            let (answer, inside) = (state.answer, Rc::clone(&inside));
            async move {
                inside.set(Activity::Idle);
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer))))
            }
        });
        let mut connection = pin!(server::Builder::new().serve_connection(stream, service));
        let mut timed = (activity.get(), self.sleep(activity.get()));
        // Three things end a connection: hyper, the close of the server, and the timeout.
        poll_fn(|cx| {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if timed.0 != activity.get() {
                timed = (activity.get(), self.sleep(activity.get()));
            }
            if timed.0 == Activity::Idle && self.poll_closing(cx).is_ready() {
                connection.as_mut().graceful_shutdown();
                return connection.as_mut().poll(cx).map(drop);
            }
            Pin::new(&mut timed.1).poll(cx)
        })
        .await;
        self.connections.set(self.connections.get() - 1);
        self.report_if_closed();
    }

    fn sleep(&self, activity: Activity) -> oneloop::core::Sleep {
        Handle::current().sleep(match activity {
            Activity::Head => self.timeouts.headers,
            Activity::Request => self.timeouts.request,
            Activity::Idle => self.timeouts.keep_alive,
        })
    }
}

/// `new http.Agent({ keepAlive: true })`: keeps the connection of the last request.
#[derive(Default)]
pub(crate) struct Agent {
    kept: RefCell<Option<client::SendRequest<Empty<Bytes>>>>,
}

impl Agent {
    /// `http.get({ agent })`: returns the whole body of the answer.
    pub(crate) async fn get(&self, addr: SocketAddr) -> Result<Bytes, Box<dyn std::error::Error>> {
        let kept = self.kept.take().filter(|sender| !sender.is_closed());
        let mut sender = match kept {
            Some(sender) => sender,
            None => {
                let stream = TcpStream::connect(addr).await?;
                let (sender, connection) = client::handshake(stream).await?;
                spawn(connection);
                sender
            }
        };
        let request = Request::get("/").header("host", addr.to_string());
        let answer = sender.send_request(request.body(Empty::new())?).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        self.kept.replace(Some(sender));
        Ok(body)
    }
}
