//! Node's `http.IncomingMessage`: a request that a server receives, a response that a client does.

use super::event::{self, IncomingEvent};
use super::headers::Headers;
use crate::ends::{Ends, emit_last, end_with_program};
use crate::error::Error;
use crate::events::{Emitter, ListenerId};
use crate::milliseconds::Milliseconds;
use crate::net::{Socket, event as net_event};
use crate::runtime::Runtime;
use crate::stream::destroy::{Stream, shares_inner, stream_identity};
use crate::stream::flags::*;
use crate::stream::functions::readable_functions;
use crate::stream::pieces::{Pieces, Splitter};
use crate::stream::piping::{Pipes, Readable, Writable, pipe, unpipe, unpipe_all};
use crate::stream::readable::{
    Amount, BytesListener, ReadEvent, ReadableState, ReadableStream, emits_reading,
};
use crate::tables::weak;
use crate::thrown::{IntoResult, Thrown, or_rethrow};
use hyper::{HeaderMap, Version};
use oneloop_net::{FrameSplitter, LengthPrefix, LineSplitter};
use std::any::TypeId;
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

/// A message that arrives: a request at a server, a response at a client. It is a stream of the
/// body, with the functions and events of every readable stream. Clones are the same message.
///
/// The body arrives at the pace at which it is read: what is not read waits at the peer. The body
/// of a request that the server does not read is dropped when the response has finished.
///
/// ```
/// use oneloop::callback::{http, run};
///
/// run(|| {
///     let server = http::create_server(|req, res| {
///         assert_eq!((req.method(), req.url()), ("POST", "/upper?x=1"));
///         assert_eq!(req.headers().get("Content-Type"), Some("text/plain"));
///         req.on_data(move |_, bytes| {
///             assert_eq!(bytes, b"hello");
///             res.end_with(bytes.to_ascii_uppercase());
///         });
///     });
///     server.listen_then(("127.0.0.1", 0), |server| {
///         let client = oneloop::callback::net::connect(("127.0.0.1", server.port().unwrap()))?;
///         client.write("POST /upper?x=1 HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n");
///         client.write("Content-Length: 5\r\nConnection: close\r\n\r\nhello");
///         client.on_data(move |_, bytes| {
///             assert!(bytes.ends_with(b"\r\n\r\nHELLO"));
///             server.close();
///         });
///         Ok::<_, http::Error>(())
///     })
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct IncomingMessage {
    inner: Rc<IncomingInner>,
}

/// What clones of a message share.
pub(super) struct IncomingInner {
    runtime: Rc<Runtime>,
    events: Emitter<event::IncomingListener>,
    flags: Flags,
    readable: ReadableState,
    pipes: RefCell<Pipes>,
    errored: RefCell<Option<Error>>,
    head: Head,
    trailers: OnceCell<Headers>,
    /// `None` once the socket serves another message.
    socket: RefCell<Option<Socket>>,
    /// What delivers the body.
    source: RefCell<Weak<dyn BodySource>>,
    is_complete: Cell<bool>,
    is_aborted: Cell<bool>,
    is_consuming: Cell<bool>,
    is_dumped: Cell<bool>,
}

/// The first lines of a message.
pub(super) struct Head {
    pub(super) version: Version,
    pub(super) headers: Headers,
    pub(super) start: Start,
}

/// The first line of a message.
pub(super) enum Start {
    Request { method: String, url: String },
    Response { status: u16, reason: String },
}

/// What delivers the body of a message.
pub(super) trait BodySource {
    /// The message has room: the source delivers in a later tick.
    fn read_on(self: Rc<Self>);
}

/// For a message without a source.
struct NoSource;

impl BodySource for NoSource {
    fn read_on(self: Rc<Self>) {}
}

stream_identity!(IncomingMessage of IncomingInner);
weak!(WeakIncomingMessage of IncomingMessage with IncomingInner);

impl From<IncomingMessage> for Readable {
    fn from(message: IncomingMessage) -> Self {
        Readable::new(message.inner)
    }
}

impl fmt::Debug for IncomingMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner.head.start {
            Start::Request { method, url } => write!(f, "IncomingMessage({method} {url})"),
            Start::Response { status, .. } => write!(f, "IncomingMessage({status})"),
        }
    }
}

impl IncomingMessage {
    pub(super) fn new(runtime: &Rc<Runtime>, socket: &Socket, head: Head) -> Self {
        let message = IncomingMessage {
            inner: Rc::new(IncomingInner {
                runtime: Rc::clone(runtime),
                events: Emitter::default(),
                flags: Flags::default(),
                readable: ReadableState::new(socket.readable_high_water_mark()),
                pipes: RefCell::default(),
                errored: RefCell::default(),
                head,
                trailers: OnceCell::new(),
                socket: RefCell::new(Some(socket.clone())),
                source: RefCell::new(Weak::<NoSource>::new()),
                is_complete: Cell::new(false),
                is_aborted: Cell::new(false),
                is_consuming: Cell::new(false),
                is_dumped: Cell::new(false),
            }),
        };
        // There is no writable half: it has ended and finished from the start. The other two are
        // Node's state of a message that the program has not begun to read: nothing asks for more,
        // and what arrives waits in the buffer.
        let unread = READING_MORE | READ_SYNC;
        message.inner.flags.set(ENDING | FINISHED | unread);
        end_with_program(runtime, &message.inner);
        message
    }

    pub(super) fn set_source(&self, source: Weak<dyn BodySource>) {
        self.inner.source.replace(source);
    }

    /// The method of a request, such as `GET`; empty for a response.
    pub fn method(&self) -> &str {
        match &self.inner.head.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => "",
        }
    }

    /// What the client requests: the path with its query; empty for a response.
    pub fn url(&self) -> &str {
        match &self.inner.head.start {
            Start::Request { url, .. } => url,
            Start::Response { .. } => "",
        }
    }

    /// The status of a response, such as 200; 0 for a request.
    pub fn status_code(&self) -> u16 {
        match &self.inner.head.start {
            Start::Request { .. } => 0,
            Start::Response { status, .. } => *status,
        }
    }

    /// The words behind the status of a response, such as `OK`; empty for a request.
    pub fn status_message(&self) -> &str {
        match &self.inner.head.start {
            Start::Request { .. } => "",
            Start::Response { reason, .. } => reason,
        }
    }

    /// The version of HTTP: `1.1` or `1.0`.
    pub fn http_version(&self) -> &'static str {
        match self.inner.head.version {
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        }
    }

    /// The headers.
    #[doc(alias("rawHeaders", "headersDistinct"))]
    pub fn headers(&self) -> &Headers {
        &self.inner.head.headers
    }

    /// The headers behind a chunked body, at and after 'end', if there are any.
    pub fn trailers(&self) -> Option<&Headers> {
        self.inner.trailers.get()
    }

    /// True once the whole message has arrived.
    pub fn is_complete(&self) -> bool {
        self.inner.is_complete.get()
    }

    /// True once the message was cut off: see [`on_aborted`](IncomingMessage::on_aborted).
    pub fn is_aborted(&self) -> bool {
        self.inner.is_aborted.get()
    }

    /// True once the message is destroyed, or has ended.
    pub fn is_destroyed(&self) -> bool {
        self.inner.flags.has(DESTROYED)
    }

    /// The error that destroyed the message.
    pub fn errored(&self) -> Option<Error> {
        self.first_error()
    }

    /// The connection; `None` at a client whose agent has it back.
    pub fn socket(&self) -> Option<Socket> {
        self.inner.socket.borrow().clone()
    }

    /// Sets the timeout of the connection: see [`Socket::set_timeout`].
    pub fn set_timeout(&self, ms: impl Milliseconds) -> &Self {
        if let Some(socket) = self.socket() {
            socket.set_timeout(ms);
        }
        self
    }

    /// Emits no 'data' until [`resume`](IncomingMessage::resume). What arrives meanwhile waits in
    /// the buffer; beyond the high-water mark it waits at the peer.
    ///
    /// # Panics
    /// When a listener of 'pause' throws, with what it throws: in JavaScript `pause()` throws it.
    pub fn pause(&self) -> &Self {
        ReadableStream::pause(self);
        self
    }

    /// Destroys the message, and its connection unless the message was read to its end: 'aborted'
    /// and 'close' follow.
    ///
    /// # Panics
    /// When a listener of 'aborted' throws, with what it throws.
    pub fn destroy(&self) -> &Self {
        self.destroy_for(None);
        self
    }

    /// Like [`destroy`](IncomingMessage::destroy), and 'error' reports the error.
    ///
    /// # Panics
    /// As [`destroy`](IncomingMessage::destroy).
    pub fn destroy_with(&self, error: impl Into<Error>) -> &Self {
        self.destroy_for(Some(error.into()));
        self
    }

    /// True once the program, or the dump, has read anything: Node's `_consuming`, or a flow that
    /// is scheduled.
    pub(super) fn is_consumed(&self) -> bool {
        self.inner.is_consuming.get() || self.inner.flags.has(RESUME_SCHEDULED)
    }

    /// Node's `_dump`: what was not read is dropped.
    pub(super) fn dump(&self) {
        if !self.inner.is_dumped.replace(true) {
            self.remove_all_listeners(event::Data);
            self.resume();
        }
    }

    /// Bytes of the body: Node's `parserOnBody`. Returns false if there is no room for more.
    pub(super) fn on_body(&self, bytes: &[u8]) -> Result<bool, Thrown> {
        match self.inner.is_dumped.get() {
            true => Ok(true),
            false => self.push(bytes),
        }
    }

    pub(super) fn set_trailers(&self, trailers: HeaderMap) {
        let _ = self.inner.trailers.set(Headers::new(trailers)); // hyper reads trailers once
    }

    pub(super) fn set_complete(&self) {
        self.inner.is_complete.set(true);
    }

    /// The end of the body: Node's `parserOnMessageComplete`.
    pub(super) fn on_complete(&self) -> Result<(), Thrown> {
        self.set_complete();
        self.push_end()
    }

    /// Node's `stream.push(null)`, for a response whose connection was closed.
    pub(super) fn end_input(&self) -> Result<(), Thrown> {
        self.push_end()
    }

    pub(super) fn leave_socket(&self) {
        let socket = self.inner.socket.take();
        drop(socket);
    }

    pub(super) fn emit_timeout(&self) -> Result<bool, Thrown> {
        (self.inner.events).emit(event::Timeout, self.clone())
    }

    /// The rest of `_destroy`, in a tick: Node's `onError` of `_http_incoming.js`.
    fn report_destroyed(&self, error: Option<Error>) -> Result<(), Thrown> {
        let error = error.filter(|_| self.listener_count(event::Error) > 0);
        self.inner.flags.set(CLOSED);
        self.next_call(move |message| {
            if let Some(error) = error {
                message.emit_error(&error)?;
            }
            message.inner.flags.set(CLOSE_EMITTED);
            let inner = &message.inner;
            let message = message.clone();
            emit_last(&inner.runtime, inner, &inner.events, event::Close, message)
        });
        Ok(())
    }
}

impl Stream for IncomingMessage {
    shares_inner!(IncomingMessage);

    fn first_error(&self) -> Option<Error> {
        self.inner.errored.borrow().clone()
    }

    fn store_first_error(&self, error: Error) {
        self.inner.errored.replace(Some(error));
    }

    /// Node's `IncomingMessage.prototype._destroy`.
    fn close(&self, error: Option<Error>) {
        let has_ended = self.inner.flags.has(END_EMITTED) && self.is_complete();
        if !has_ended {
            self.inner.is_aborted.set(true);
            or_rethrow((self.inner.events).emit(event::Aborted, self.clone()));
        }
        match self.socket().filter(|socket| !socket.is_destroyed()) {
            Some(socket) if !has_ended => {
                match &error {
                    Some(error) => socket.destroy_with(error.clone()),
                    None => socket.destroy(),
                };
                let message = self.clone();
                socket.once(net_event::Close, move |_| {
                    message.next_call(move |message| message.report_destroyed(error));
                });
            }
            _ => self.next_call(move |message| message.report_destroyed(error)),
        }
    }

    fn emit_error_event(&self, error: &Error) -> Result<(), Thrown> {
        let args = (self.clone(), error);
        self.inner.events.emit(event::Error, args).map(drop)
    }
}

impl ReadableStream for IncomingMessage {
    const FILLS_WHILE_PAUSED: bool = true;
    const IS_DUPLEX: bool = false;

    emits_reading!(IncomingMessage, event);

    fn readable_state(&self) -> &ReadableState {
        &self.inner.readable
    }

    fn read_start(&self) {
        if !self.inner.is_consuming.replace(true) {
            self.inner.flags.clear(READING_MORE);
        }
        let source = self.inner.source.borrow().upgrade();
        if let Some(source) = source {
            source.read_on();
        }
    }

    /// The source stops by itself when a push returns false.
    fn read_stop(&self) {}

    fn is_source_reading(&self) -> bool {
        self.inner.is_consuming.get() && !self.is_complete()
    }

    fn with_pipes<T>(&self, f: impl FnOnce(&mut Pipes) -> T) -> T {
        f(&mut self.inner.pipes.borrow_mut())
    }

    fn forget_awaited_drains(&self) {
        self.inner.pipes.borrow_mut().forget_awaited();
    }
}

readable_functions!(IncomingMessage, IncomingEvent);

impl Ends for IncomingInner {
    fn end(&self) {
        self.events.end();
    }
}
