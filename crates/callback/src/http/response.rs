//! Node's `http.ServerResponse`.

use super::connection::Connection;
use super::event::{self, ResponseEvent};
use super::headers::{HeaderLines, HeadersToSend};
use super::incoming::IncomingMessage;
use super::outgoing::{Outgoing, OutgoingEvent, OutgoingMessage};
use super::outgoing_functions::outgoing_functions;
use super::pump::Pumped;
use super::status::status_text;
use crate::continuation::{Then, then};
use crate::ends::{Ends, emit_last, end_with_program};
use crate::error::Error;
use crate::events::{Emitter, ListenerId};
use crate::milliseconds::Milliseconds;
use crate::net::Socket;
use crate::stream::Writable;
use crate::stream::flags::{FlagSet, NEED_DRAIN};
use crate::stream::piping::{Dest, DestListeners};
use crate::stream::writable::{WriteEvent, throw_if_unheard};
use crate::tables::{identity, listening, weak};
use crate::thrown::{IntoResult, Thrown};
use hyper::ext::ReasonPhrase;
use hyper::{Response, StatusCode};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

/// The answer to a request. It is the destination of a pipe, with the functions and events of a
/// stream that is written. Clones are the same response.
///
/// Without further words the answer is `200 OK`, with a `Date`, and the connection is kept as its
/// client wishes.
///
/// ```
/// use oneloop::callback::{http, run};
///
/// run(|| {
///     let server = http::create_server(|req, res| {
///         if req.url() != "/" {
///             res.write_head(404)?.end_with("no such page\n");
///             return Ok(());
///         }
///         res.write_head_with(200, [("Content-Type", "text/plain")])?;
///         res.write("Hello ");
///         res.end_with("World\n");
///         Ok::<_, http::Error>(())
///     });
///     server.listen_then(("127.0.0.1", 0), |server| {
///         server.close();
///     })
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct ServerResponse {
    inner: Rc<ResponseInner>,
}

/// What clones of a response share.
pub(super) struct ResponseInner {
    events: Emitter<event::ResponseListener>,
    out: Outgoing,
    status: Cell<u16>,
    reason: RefCell<Option<String>>,
    req: IncomingMessage,
    connection: RefCell<Weak<Connection>>,
    expects_continue: Cell<bool>,
    has_sent_continue: Cell<bool>,
}

identity!(ServerResponse);
listening!(ServerResponse, ResponseEvent);
weak!(WeakServerResponse of ServerResponse with ResponseInner);
outgoing_functions!(
    ServerResponse, ResponseInner, ResponseEvent,
    event: Drain, Finish, Pipe, Unpipe, ResponseError, ResponseClose
);

impl fmt::Debug for ServerResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerResponse({})", self.status_code())
    }
}

impl ServerResponse {
    pub(super) fn new(req: &IncomingMessage, connection: &Rc<Connection>) -> Self {
        let out = Outgoing::new(connection.runtime());
        out.sends_date.set(true);
        out.has_body.set(req.method() != "HEAD");
        let response = ServerResponse {
            inner: Rc::new(ResponseInner {
                events: Emitter::default(),
                out,
                status: Cell::new(200),
                reason: RefCell::default(),
                req: req.clone(),
                connection: RefCell::new(Rc::downgrade(connection)),
                expects_continue: Cell::new(false),
                has_sent_continue: Cell::new(false),
            }),
        };
        end_with_program(connection.runtime(), &response.inner);
        response
    }

    /// The status: 200 unless it was set.
    pub fn status_code(&self) -> u16 {
        self.inner.status.get()
    }

    /// Sets the status.
    ///
    /// # Errors
    /// `ERR_HTTP_INVALID_STATUS_CODE` below 100 and above 999, which Node reports when it sends the
    /// headers; `ERR_HTTP_HEADERS_SENT`.
    pub fn set_status_code(&self, status: u16) -> Result<&Self, Error> {
        self.out().check_unsent("set")?;
        if StatusCode::from_u16(status).is_err() {
            let message = format!("Invalid status code: {status}");
            return Err(Error::new("ERR_HTTP_INVALID_STATUS_CODE", message));
        }
        self.inner.status.set(status);
        Ok(self)
    }

    /// The words behind the status, if they were set or sent.
    pub fn status_message(&self) -> Option<String> {
        self.inner.reason.borrow().clone()
    }

    /// Sets the words behind the status, in place of those that belong to it.
    ///
    /// # Errors
    /// `ERR_INVALID_CHAR`, `ERR_HTTP_HEADERS_SENT`.
    pub fn set_status_message(&self, reason: &str) -> Result<&Self, Error> {
        self.out().check_unsent("set")?;
        if ReasonPhrase::try_from(reason.as_bytes()).is_err() {
            let message = "Invalid character in statusMessage";
            return Err(Error::new("ERR_INVALID_CHAR", message));
        }
        self.inner.reason.replace(Some(reason.to_owned()));
        Ok(self)
    }

    /// Sets the status, and fixes the headers. They are sent with the first bytes of the body.
    ///
    /// # Errors
    /// As [`set_status_code`](ServerResponse::set_status_code).
    pub fn write_head(&self, status: u16) -> Result<&Self, Error> {
        self.write_head_with::<&str, &str>(status, [])
    }

    /// Sets the status and headers, and fixes them: Node's `res.writeHead(200, headers)`.
    ///
    /// # Errors
    /// As [`set_status_code`](ServerResponse::set_status_code) and
    /// [`set_header`](ServerResponse::set_header).
    pub fn write_head_with<N: AsRef<str>, V: HeaderLines>(
        &self,
        status: u16,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<&Self, Error> {
        self.out().check_unsent("write")?;
        self.set_status_code(status)?;
        for (name, value) in headers {
            self.out().headers.set(name.as_ref(), value)?;
        }
        self.implicit_head()?;
        Ok(self)
    }

    /// Tells a client that expects it to send its body: `100 Continue`. hyper sends it, and only to
    /// a client that expects it.
    pub fn write_continue(&self) -> &Self {
        self.inner.has_sent_continue.set(true);
        if let Some(connection) = self.connection() {
            connection.send_continue(self);
        }
        self
    }

    /// The request.
    pub fn req(&self) -> &IncomingMessage {
        &self.inner.req
    }

    /// The connection, until the response has finished.
    pub fn socket(&self) -> Option<Socket> {
        self.socket_of()
    }

    /// Sets the timeout of the connection: see [`Socket::set_timeout`].
    pub fn set_timeout(&self, ms: impl Milliseconds) -> &Self {
        if let Some(socket) = self.socket_of() {
            socket.set_timeout(ms);
        }
        self
    }

    /// Sets whether the response has a `Date`, which it has by default.
    pub fn set_send_date(&self, sends: bool) -> &Self {
        self.out().sends_date.set(sends);
        self
    }

    /// Sets whether the connection is kept after this response, if its client wishes so.
    pub fn set_should_keep_alive(&self, keep: bool) -> &Self {
        self.out().should_keep_alive.set(keep);
        self
    }

    fn connection(&self) -> Option<Rc<Connection>> {
        self.inner.connection.borrow().upgrade()
    }

    pub(super) fn expect_continue(&self) {
        self.inner.expects_continue.set(true);
    }

    /// True while the client waits for `100 Continue`, and must not get it.
    pub(super) fn holds_body(&self) -> bool {
        self.inner.expects_continue.get() && !self.inner.has_sent_continue.get()
    }

    /// Leaves the connection, which serves other responses from now on.
    pub(super) fn detach(&self) {
        self.inner.connection.replace(Weak::new());
    }

    pub(super) fn emit_timeout(&self) -> Result<bool, Thrown> {
        (self.inner.events).emit(event::ResponseTimeout, self.clone())
    }

    /// The head for hyper, the first time.
    pub(super) fn take_head<B>(&self, body: B) -> Option<Response<B>> {
        let out = self.out();
        let head = out.head.take()?;
        out.is_head_sent.set(true);
        let status = StatusCode::from_u16(self.status_code());
        let status = status.expect("it was checked when it was set");
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = head;
        let reason = self.inner.reason.borrow();
        if let Some(reason) = &*reason
            && status.canonical_reason() != Some(reason)
            && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
        {
            response.extensions_mut().insert(reason);
        }
        Some(response)
    }
}

impl OutgoingMessage for ServerResponse {
    fn out(&self) -> &Outgoing {
        &self.inner.out
    }

    fn socket_of(&self) -> Option<Socket> {
        Some(self.connection()?.socket().clone())
    }

    /// Node's `writeHead`.
    fn implicit_head(&self) -> Result<(), Error> {
        let (out, status) = (self.out(), self.status_code());
        let mut reason = self.inner.reason.borrow_mut();
        reason.get_or_insert_with(|| status_text(status).unwrap_or("unknown").to_owned());
        if matches!(status, 100..=199 | 204 | 304) {
            out.has_body.set(false);
        }
        // The client may send its body although it got no `100 Continue`.
        if self.holds_body() {
            out.should_keep_alive.set(false);
        }
        out.store_head(false, Some(status));
        Ok(())
    }

    fn transmit(&self, written: Option<Then>) -> bool {
        match self.connection() {
            Some(connection) => connection.transmit(self, written),
            None => false,
        }
    }

    fn emit_outgoing(&self, event: OutgoingEvent<'_>) -> Result<(), Thrown> {
        let (inner, res) = (&self.inner, self.clone());
        let events = &inner.events;
        match event {
            OutgoingEvent::Drain => events.emit(event::Drain, res),
            OutgoingEvent::Finish => {
                // Node's own listener, which is the first.
                let connection = self.connection();
                connection.map_or(Ok(()), |connection| connection.on_finish(self))?;
                events.emit(event::Finish, res)
            }
            OutgoingEvent::Error(error) => events.emit(event::ResponseError, (res, error)),
            OutgoingEvent::Close => {
                let runtime = &inner.out.runtime;
                return emit_last(runtime, inner, events, event::ResponseClose, res);
            }
        }
        .map(drop)
    }
}

impl Ends for ResponseInner {
    fn end(&self) {
        self.events.end();
    }
}
