//! One connection of a server: bytes from the socket through hyper to events, and answers back.

use super::event;
use super::headers::Headers;
use super::incoming::{BodySource, Head, IncomingMessage, Start};
use super::outgoing::OutgoingMessage;
use super::parse_error::{invalid_eof, parse_error, reset};
use super::pump::{Inbound, Line, Next, Pumped, Received};
use super::response::ServerResponse;
use super::server::Server;
use super::wire::{Outbound, Wire};
use crate::continuation::Then;
use crate::error::Error;
use crate::events::ListenerId;
use crate::net::{Socket, event as net_event};
use crate::runtime::Runtime;
use crate::thrown::Thrown;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Method, Request, Response, Version, header, server::conn::http1};
use oneloop_core::Key;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Node waits this much longer than it tells the client, so that no request crosses the close.
const KEEP_ALIVE_BUFFER_MS: u64 = 1_000;

/// Where hyper leaves a request, and finds the answer.
#[derive(Default)]
struct Mailbox {
    request: RefCell<Option<Request<Incoming>>>,
    response: RefCell<Option<Response<Outbound>>>,
}

/// The service that hyper calls within a poll. It calls no code of the program: the request waits in
/// the mailbox until the poll has ended.
struct Receive(Rc<Mailbox>);

impl Service<Request<Incoming>> for Receive {
    type Response = Response<Outbound>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        self.0.request.replace(Some(request));
        Answer(Rc::clone(&self.0))
    }
}

struct Answer(Rc<Mailbox>);

impl Future for Answer {
    type Output = Result<Response<Outbound>, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        // The code that sends a response polls hyper next.
        match self.0.response.take() {
            Some(response) => Poll::Ready(Ok(response)),
            None => Poll::Pending,
        }
    }
}

type HyperConnection = Pin<Box<http1::Connection<Wire, Receive>>>;

/// A connection. Its socket's listeners keep it.
///
/// ```text
/// 'data' ──feed──▶ Wire ──drive──▶ hyper ─┬─ mailbox ──on_request──▶ 'request'
///                                         └─ body ──Inbound──▶ 'data', 'end'
/// res.write, res.end ──▶ Outbound ──drive──▶ hyper ──▶ Wire ──send──▶ socket.write
/// ```
pub(super) struct Connection {
    server: Server,
    line: Line,
    hyper: RefCell<Option<HyperConnection>>,
    /// How hyper ended, until that is handled.
    outcome: Cell<Option<hyper::Result<()>>>,
    mailbox: Rc<Mailbox>,
    /// The requests whose responses have not finished, the oldest first.
    incoming: RefCell<VecDeque<IncomingMessage>>,
    /// The response that may be sent now: Node's `socket._httpMessage`.
    current: RefCell<Option<ServerResponse>>,
    /// The response behind it, whose request has arrived already: Node's `state.outgoing`. There is
    /// at most one, as hyper reads no further.
    next: RefCell<Option<ServerResponse>>,
    inbound: Inbound,
    /// The response to the request whose body is being read.
    reading: RefCell<Option<ServerResponse>>,
    /// When the first byte of the message that is being read arrived; `None` between messages.
    message_start: Cell<Option<Instant>>,
    is_head_complete: Cell<bool>,
    /// A part of a message has arrived, and not the whole.
    is_within_message: Cell<bool>,
    has_keep_alive_timeout: Cell<bool>,
    requests_count: Cell<u64>,
    /// The first error was reported.
    has_failed: Cell<bool>,
    listeners: RefCell<Vec<ListenerId>>,
    key: Cell<Option<Key<Weak<Connection>>>>,
}

impl Connection {
    pub(super) fn start(server: &Server, socket: &Socket, builder: &http1::Builder) {
        let (line, mailbox) = (Line::new(socket), Rc::<Mailbox>::default());
        let receive = Receive(Rc::clone(&mailbox));
        let hyper = Box::pin(builder.serve_connection(line.wire.clone(), receive));
        let connection = Rc::new(Connection {
            server: server.clone(),
            line,
            hyper: RefCell::new(Some(hyper)),
            outcome: Cell::new(None),
            mailbox,
            incoming: RefCell::default(),
            current: RefCell::default(),
            next: RefCell::default(),
            inbound: Inbound::default(),
            reading: RefCell::default(),
            // From the start, so that a client that sends nothing is timed out, too.
            message_start: Cell::new(Some(server.now())),
            is_head_complete: Cell::new(false),
            is_within_message: Cell::new(false),
            has_keep_alive_timeout: Cell::new(false),
            requests_count: Cell::new(0),
            has_failed: Cell::new(false),
            listeners: RefCell::default(),
            key: Cell::new(None),
        });
        let key = server.keep(Rc::downgrade(&connection));
        connection.key.set(Some(key));
        connection.listen();
    }

    fn listen(self: &Rc<Self>) {
        let socket = self.socket();
        let timeout_ms = self.server.timeout_ms();
        if timeout_ms > 0 {
            socket.set_timeout(timeout_ms);
        }
        let [timeout, data, error, end, close, drain] = [(); 6].map(|()| Rc::clone(self));
        let ids = [
            socket.on(net_event::Timeout, move |_| timeout.on_timeout()),
            socket.on(net_event::Data, move |(_, bytes)| data.on_data(bytes)),
            socket.on(net_event::Error, move |(_, cause): (Socket, &Error)| {
                error.fail(cause.clone())
            }),
            socket.on(net_event::End, move |_| end.on_end()),
            socket.on(net_event::Close, move |_| close.on_close()),
            socket.on(net_event::Drain, move |_| drain.on_drain()),
        ];
        self.listeners.borrow_mut().extend(ids);
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.line.socket
    }

    // What the server asks.

    /// True between messages: Node's `ConnectionsList::Idle`, and nothing is left to send.
    pub(super) fn is_idle(&self) -> bool {
        let current = self.current.borrow();
        self.message_start.get().is_none()
            && current
                .as_ref()
                .is_none_or(ServerResponse::is_writable_ended)
    }

    /// Fails if the message that is being read takes too long: Node's `ConnectionsList::Expired`.
    pub(super) fn check_time(&self, head: Duration, message: Duration) -> Result<(), Thrown> {
        let Some(start) = self.message_start.get() else {
            return Ok(());
        };
        let elapsed = self.server.now().saturating_duration_since(start);
        let is_over = |limit: Duration| !limit.is_zero() && elapsed > limit;
        if (is_over(head) && !self.is_head_complete.get()) || is_over(message) {
            self.fail(Error::new("ERR_HTTP_REQUEST_TIMEOUT", "Request timeout"))?;
        }
        Ok(())
    }

    // The events of the socket.

    fn on_data(self: &Rc<Self>, bytes: &[u8]) -> Result<(), Thrown> {
        if self.message_start.get().is_none() {
            self.message_start.set(Some(self.server.now()));
        }
        self.is_within_message.set(true);
        self.line.wire.feed(bytes);
        self.pump()
    }

    /// Node's `socketOnEnd`. As in Node, a client that ends its side receives only what was written
    /// before.
    fn on_end(self: &Rc<Self>) -> Result<(), Thrown> {
        self.inbound.end();
        self.pump()?;
        if self.is_within_message.get() {
            return self.fail(invalid_eof());
        }
        self.socket().end();
        Ok(())
    }

    fn on_timeout(&self) -> Result<(), Thrown> {
        let on_req = self
            .inbound
            .message()
            .map_or(Ok(false), |req| req.emit_timeout())?;
        let current = self.current.borrow().clone();
        let on_res = current.map_or(Ok(false), |res| res.emit_timeout())?;
        let on_server = (self.server).emit(event::ServerTimeout, self.socket().clone())?;
        if !on_req && !on_res && !on_server {
            self.socket().destroy();
        }
        Ok(())
    }

    fn on_drain(&self) -> Result<(), Thrown> {
        let current = self.current.borrow().clone();
        current.map_or(Ok(()), |res| res.on_socket_drain())
    }

    fn on_close(&self) -> Result<(), Thrown> {
        self.leave();
        let incoming = self.incoming.take();
        for req in incoming {
            req.destroy_with(reset("aborted"));
        }
        if let Some(next) = self.next.take() {
            next.detach();
        }
        match self.current.take() {
            Some(res) => {
                res.detach();
                res.close_once()
            }
            None => Ok(()),
        }
    }

    /// Ends HTTP on this connection.
    fn leave(&self) {
        let gone = self.hyper.take();
        drop(gone);
        self.inbound.clear();
        if let Some(key) = self.key.take() {
            self.server.forget(key);
        }
    }

    /// Node's `socketOnError`: an error of the socket, of the parser, or of a timeout.
    fn fail(&self, error: Error) -> Result<(), Thrown> {
        if self.has_failed.replace(true) {
            return Ok(()); // later errors are mostly results of the first one
        }
        let socket = self.socket();
        if (self.server).emit(event::ClientError, (&error, socket.clone()))? {
            return Ok(());
        }
        let current = self.current.borrow().clone();
        let has_begun = current.is_some_and(|res| res.out().is_head_sent.get());
        if socket.is_writable() && !has_begun {
            let status = match error.code() {
                Some("HPE_HEADER_OVERFLOW") => "431 Request Header Fields Too Large",
                Some("HPE_CHUNK_EXTENSIONS_OVERFLOW") => "413 Payload Too Large",
                Some("ERR_HTTP_REQUEST_TIMEOUT") => "408 Request Timeout",
                _ => "400 Bad Request",
            };
            socket.write(format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n"));
        }
        socket.destroy_with(error);
        Ok(())
    }

    // Between hyper and the program.

    fn on_outcome(&self, outcome: hyper::Result<()>) -> Result<(), Thrown> {
        let Err(error) = outcome else {
            return Ok(()); // the response that was the last one ends the socket at 'finish'
        };
        match parse_error(&error) {
            Some(error) => self.fail(error),
            None => {
                // The program has written less than the length that it had set.
                self.socket().destroy();
                Ok(())
            }
        }
    }

    fn receive(&self) -> Result<Next, Thrown> {
        // The client waits, and hyper tells it to continue once its body is wanted.
        let reading = self.reading.borrow().clone();
        if reading.is_some_and(|res| res.holds_body()) {
            return Ok(Next::Nothing);
        }
        match self.inbound.receive(&self.line.driver)? {
            Received::Nothing => return Ok(Next::Nothing),
            Received::Part => return Ok(Next::Later),
            Received::More => {}
            Received::Whole(req) => {
                self.message_start.set(None);
                self.is_head_complete.set(false);
                self.is_within_message.set(false);
                req.on_complete()?;
            }
            Received::Failed(error) => {
                // Other errors say that the connection is closed, which 'close' reports.
                if let Some(error) = parse_error(&error) {
                    self.fail(error)?;
                }
            }
        }
        Ok(Next::More)
    }

    /// Node's `parserOnIncoming`.
    fn on_request(self: &Rc<Self>, request: Request<Incoming>) -> Result<(), Thrown> {
        if self.has_keep_alive_timeout.replace(false) {
            self.socket().set_timeout(self.server.timeout_ms());
        }
        let start = self.message_start.get();
        self.message_start.set(start.or(Some(self.server.now())));
        self.is_head_complete.set(true);
        self.is_within_message.set(true);
        let (parts, body) = request.into_parts();
        let headers = Headers::new(parts.headers);
        let is_connect = parts.method == Method::CONNECT;
        let is_upgrade = headers.has_token(&header::CONNECTION, "upgrade")
            && headers.contains("upgrade")
            && self.server.listener_count(event::Upgrade) > 0;
        let keeps_alive = match parts.version {
            Version::HTTP_11 => !headers.has_token(&header::CONNECTION, "close"),
            _ => headers.has_token(&header::CONNECTION, "keep-alive"),
        };
        let head = Head {
            version: parts.version,
            headers,
            start: Start::Request {
                method: parts.method.as_str().to_owned(),
                url: parts.uri.to_string(),
            },
        };
        let req = IncomingMessage::new(self.runtime(), self.socket(), head);
        if is_connect || is_upgrade {
            return self.hand_over(req, is_connect);
        }
        let this: Rc<Self> = Rc::clone(self);
        let source: Rc<dyn BodySource> = this;
        req.set_source(Rc::downgrade(&source));
        let res = ServerResponse::new(&req, self);
        let out = res.out();
        out.should_keep_alive.set(keeps_alive);
        out.is_chunked_by_default
            .set(parts.version == Version::HTTP_11);
        out.keep_alive_timeout_ms
            .set(self.server.keep_alive_timeout_ms());
        self.incoming.borrow_mut().push_back(req.clone());
        let place = match self.current.borrow().is_some() {
            true => &self.next,
            false => &self.current,
        };
        place.replace(Some(res.clone()));
        self.reading.replace(Some(res.clone()));
        self.inbound.begin(&req, body);
        self.emit_request(req, res)
    }

    fn emit_request(&self, req: IncomingMessage, res: ServerResponse) -> Result<(), Thrown> {
        let server = &self.server;
        if req.http_version() == "1.1" {
            if server.requires_host() && !req.headers().contains("host") {
                refuse(&res, 400, true);
                return Ok(());
            }
            let max = server.max_requests_per_socket();
            if max > 0 {
                let count = self.requests_count.get() + 1;
                self.requests_count.set(count);
                res.out().requests_max.set(max);
                res.out().is_last_allowed.set(max <= count);
                if max < count {
                    server.emit(event::DropRequest, (req, self.socket().clone()))?;
                    refuse(&res, 503, false);
                    return Ok(());
                }
            }
            if let Some(expected) = req.headers().get("expect") {
                let expects_continue = expected.to_ascii_lowercase().contains("100-continue");
                return self.emit_expectation(expects_continue, req, res);
            }
        }
        server.emit(event::Request, (req, res)).map(drop)
    }

    fn emit_expectation(
        &self,
        expects_continue: bool,
        req: IncomingMessage,
        res: ServerResponse,
    ) -> Result<(), Thrown> {
        let server = &self.server;
        if expects_continue {
            res.expect_continue();
            if server.listener_count(event::CheckContinue) > 0 {
                return server.emit(event::CheckContinue, (req, res)).map(drop);
            }
            res.write_continue();
            return server.emit(event::Request, (req, res)).map(drop);
        }
        if !server.emit(event::CheckExpectation, (req, res.clone()))? {
            refuse(&res, 417, false);
        }
        Ok(())
    }

    /// Leaves the connection to a listener that speaks another protocol.
    fn hand_over(&self, req: IncomingMessage, is_connect: bool) -> Result<(), Thrown> {
        let (server, socket) = (&self.server, self.socket());
        let mut head = Vec::new();
        let hyper = self.hyper.take();
        if let Some(hyper) = hyper {
            head.extend_from_slice(&Pin::into_inner(hyper).into_parts().read_buf);
        }
        head.extend(self.line.wire.take_unread());
        self.leave();
        for id in self.listeners.take() {
            socket.off(id);
        }
        let args = (req, socket.clone(), &head[..]);
        let has_listener = match is_connect {
            true => server.emit(event::Connect, args)?,
            false => server.emit(event::Upgrade, args)?,
        };
        if !has_listener {
            socket.destroy();
        }
        Ok(())
    }

    // What a response asks.

    /// Sends what was written to a response.
    pub(super) fn transmit(self: &Rc<Self>, res: &ServerResponse, written: Option<Then>) -> bool {
        if self.socket().is_destroyed() {
            return false;
        }
        if self.next.borrow().as_ref() == Some(res) {
            return res.wait_for_turn(written);
        }
        let response = res.take_head(res.out().body.clone());
        if let Some(response) = response {
            self.mailbox.response.replace(Some(response));
        }
        self.push_out(written)
    }

    /// Tells the client to send its body: hyper does so when the body is polled for the first time.
    pub(super) fn send_continue(self: &Rc<Self>, res: &ServerResponse) {
        if self.reading.borrow().as_ref() == Some(res) {
            self.inbound.want(&self.line.driver);
            self.push_out(None);
            self.pump_soon();
        }
    }

    /// Node's `resOnFinish`.
    pub(super) fn on_finish(self: &Rc<Self>, res: &ServerResponse) -> Result<(), Thrown> {
        let req = res.req();
        self.incoming.borrow_mut().retain(|other| other != req);
        if !req.is_consumed() {
            req.dump();
        }
        res.detach();
        let next = self.next.take();
        let finished = self.current.replace(next.clone());
        debug_assert!(
            finished.as_ref() == Some(res),
            "only the current one is sent"
        );
        let closed = res.clone();
        self.runtime().next_tick(move || closed.close_once());
        if res.out().is_last.get() || self.hyper.borrow().is_none() {
            self.socket().destroy_soon();
            return Ok(());
        }
        let timeout_ms = self.server.keep_alive_timeout_ms();
        if let Some(next) = next {
            next.take_turn()?;
        } else if timeout_ms > 0 {
            self.socket().set_timeout(timeout_ms + KEEP_ALIVE_BUFFER_MS);
            self.has_keep_alive_timeout.set(true);
        }
        self.pump_soon();
        Ok(())
    }
}

impl Pumped for Connection {
    fn line(&self) -> &Line {
        &self.line
    }

    fn runtime(&self) -> &Rc<Runtime> {
        self.server.runtime()
    }

    fn drive(&self) {
        let mut hyper = self.hyper.borrow_mut();
        let Some(connection) = hyper.as_mut() else {
            return;
        };
        let polled = self.line.driver.drive(|cx| connection.as_mut().poll(cx));
        if let Poll::Ready(outcome) = polled {
            let ended = hyper.take();
            drop(hyper);
            drop(ended);
            if matches!(&outcome, Err(error) if error.is_parse()) {
                self.line.wire.drop_error_head();
            }
            self.outcome.set(Some(outcome));
        }
    }

    fn emit_next(self: &Rc<Self>) -> Result<Next, Thrown> {
        // The body first: hyper may have read it, and the next head behind it.
        match self.receive()? {
            Next::Nothing => {}
            next => return Ok(next),
        }
        let request = self.mailbox.request.take();
        if let Some(request) = request {
            self.on_request(request)?;
            return Ok(Next::More);
        }
        match self.outcome.take() {
            Some(outcome) => self.on_outcome(outcome).map(|()| Next::More),
            None => Ok(Next::Nothing),
        }
    }

    fn has_news(&self) -> bool {
        let outcome = self.outcome.take();
        let has_outcome = outcome.is_some();
        self.outcome.set(outcome);
        has_outcome || self.mailbox.request.borrow().is_some()
    }

    fn is_reading(&self) -> bool {
        self.hyper.borrow().is_some()
    }
}

impl BodySource for Connection {
    fn read_on(self: Rc<Self>) {
        if self.inbound.make_room() {
            self.pump_soon();
        }
    }
}

/// Answers a request that no listener sees.
fn refuse(res: &ServerResponse, status: u16, closes: bool) {
    let connection = closes.then_some(("Connection", "close"));
    // It fails only if the headers are sent already.
    let _ = res.write_head_with(status, connection);
    res.end();
}
