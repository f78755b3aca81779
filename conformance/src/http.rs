//! HTTP for the one program that speaks it: hyper over the async style's sockets, with the time-outs and
//! the close of Node's `http.Server`. Oneloop itself has no HTTP.

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1 as client;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use oneloop::Handle;
use oneloop::aio::{TcpListener, TcpStream, spawn};
use oneloop::callback::next_tick;
use oneloop::net::{ByteStream, CHUNK_BYTES, ReadHalf, Shutdown, WriteHalf};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// A connection as hyper reads and writes it.
struct Io(TcpStream);

impl Read for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buf.remaining().min(CHUNK_BYTES);
        if let Some(chunk) = ready!(self.0.socket().poll_read_chunk(cx, room))? {
            buf.put_slice(&chunk);
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.socket().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // nothing is held back
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.shutdown(Shutdown::Write))
    }
}

/// How long a client may take: Node's defaults.
#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    /// Between two requests.
    pub(crate) keep_alive: Duration,
    /// For the head of the first request.
    pub(crate) headers: Duration,
    /// For a request and its answer.
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

/// What a connection is at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Request,
    Idle,
}

/// `http.createServer((q, r) => r.end(answer))`
#[derive(Clone)]
pub(crate) struct Server {
    inner: Rc<Inner>,
}

struct Inner {
    answer: &'static str,
    timeouts: Timeouts,
    connections: Cell<usize>,
    is_closing: Cell<bool>,
    /// Those who are to hear of the close: the acceptor and all connections.
    waiting: RefCell<Vec<Waker>>,
    closed: Cell<Option<Box<dyn FnOnce()>>>,
}

impl Server {
    pub(crate) fn new(answer: &'static str) -> Self {
        let inner = Inner {
            answer,
            timeouts: Timeouts::default(),
            connections: Cell::new(0),
            is_closing: Cell::new(false),
            waiting: RefCell::default(),
            closed: Cell::new(None),
        };
        Server {
            inner: Rc::new(inner),
        }
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.inner.timeouts
    }

    /// Listens on a port of the kernel's choice.
    pub(crate) fn listen(&self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let inner = Rc::clone(&self.inner);
        spawn(async move { inner.accept(listener).await });
        Ok(addr)
    }

    /// Stops accepting, closes the connections that are idle, and tells when none is left.
    pub(crate) fn close(&self, closed: impl FnOnce() + 'static) {
        self.inner.is_closing.set(true);
        self.inner.closed.set(Some(Box::new(closed)));
        self.inner.waiting.take().into_iter().for_each(Waker::wake);
        self.inner.tell_if_closed();
    }
}

impl Inner {
    /// Ready once the server closes.
    fn poll_closing(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_closing.get() {
            return Poll::Ready(());
        }
        self.waiting.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }

    fn tell_if_closed(&self) {
        if self.is_closing.get()
            && self.connections.get() == 0
            && let Some(closed) = self.closed.take()
        {
            next_tick(closed);
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
            spawn(Rc::clone(&self).serve(Io(stream)));
        }
    }

    async fn serve(self: Rc<Self>, io: Io) {
        let stage = Rc::new(Cell::new(Stage::Head));
        let (inner, inside) = (Rc::clone(&self), Rc::clone(&stage));
        let service = service_fn(move |_: Request<Incoming>| {
            inside.set(Stage::Request);
            let (answer, inside) = (inner.answer, Rc::clone(&inside));
            async move {
                inside.set(Stage::Idle);
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer))))
            }
        });
        let mut connection = pin!(server::Builder::new().serve_connection(io, service));
        let mut timed = (stage.get(), self.sleep(stage.get()));
        poll_fn(|cx| {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if timed.0 != stage.get() {
                timed = (stage.get(), self.sleep(stage.get()));
            }
            if timed.0 == Stage::Idle && self.poll_closing(cx).is_ready() {
                connection.as_mut().graceful_shutdown();
                return connection.as_mut().poll(cx).map(drop);
            }
            Pin::new(&mut timed.1).poll(cx)
        })
        .await;
        self.connections.set(self.connections.get() - 1);
        self.tell_if_closed();
    }

    fn sleep(&self, stage: Stage) -> oneloop::Sleep {
        Handle::current().sleep(match stage {
            Stage::Head => self.timeouts.headers,
            Stage::Request => self.timeouts.request,
            Stage::Idle => self.timeouts.keep_alive,
        })
    }
}

/// `new http.Agent({ keepAlive: true })`: it keeps the connection of the last request.
#[derive(Default)]
pub(crate) struct Agent {
    kept: RefCell<Option<client::SendRequest<Empty<Bytes>>>>,
}

impl Agent {
    /// `http.get({ agent })`: the whole body of the answer.
    pub(crate) async fn get(&self, addr: SocketAddr) -> Result<Bytes, Box<dyn std::error::Error>> {
        let kept = self.kept.take().filter(|sender| !sender.is_closed());
        let mut sender = match kept {
            Some(sender) => sender,
            None => {
                let io = Io(TcpStream::connect(addr).await?);
                let (sender, connection) = client::handshake(io).await?;
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
