//! Node's `http.ClientRequest`.

use super::agent::{Agent, global_agent};
use super::event::{self, RequestEvent};
use super::exchange::Exchange;
use super::headers::{HeaderLines, Headers, HeadersToSend};
use super::incoming::IncomingMessage;
use super::options::{IntoRequestOptions, RequestOptions};
use super::outgoing::{Outgoing, OutgoingEvent, OutgoingMessage};
use super::outgoing_functions::outgoing_functions;
use super::parse_error::reset;
use crate::continuation::{Then, then};
use crate::ends::{Ends, emit_last, end_with_program};
use crate::error::Error;
use crate::events::{Emitter, ListenerId};
use crate::milliseconds::Milliseconds;
use crate::net::{Socket, event as net_event};
use crate::runtime::current;
use crate::stream::Writable;
use crate::stream::flags::{FlagSet, NEED_DRAIN};
use crate::stream::piping::{Dest, DestListeners};
use crate::stream::writable::{WriteEvent, throw_if_unheard};
use crate::tables::{identity, listening, weak};
use crate::thrown::{IntoResult, Thrown};
use hyper::{Method, Request, Uri};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// A request of a client: see [`request`] and [`get`]. It is the destination of a pipe, with the
/// functions and events of a stream that is written. Clones are the same request.
///
/// ```
/// use oneloop::callback::http::{self, RequestOptions};
/// use oneloop::callback::run;
///
/// run(|| {
///     let server = http::create_server(|req, res| {
///         req.pipe(&res);
///     });
///     server.listen_then(("127.0.0.1", 0), |server| {
///         let url = format!("http://127.0.0.1:{}/", server.port().expect("it listens"));
///         let mut options = RequestOptions::of_url(&url)?;
///         options.method = "POST".into();
///         let req = http::request_then(options, move |res| {
///             res.on_data(|_, bytes| assert_eq!(bytes, b"hello"));
///             server.close();
///         })?;
///         req.on_error(|_, error| eprintln!("{error}"));
///         req.end_with("hello");
///         Ok::<_, http::Error>(())
///     })
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct ClientRequest {
    inner: Rc<RequestInner>,
}

/// What clones of a request share.
pub(super) struct RequestInner {
    events: Emitter<event::RequestListener>,
    out: Outgoing,
    options: RequestOptions,
    method: Method,
    target: Uri,
    agent: Agent,
    /// Once the request has a connection.
    exchange: RefCell<Option<Rc<Exchange>>>,
    /// Stays after the exchange: `req.socket`.
    socket: RefCell<Option<Socket>>,
    res: RefCell<Option<IncomingMessage>>,
    /// The next 'timeout' of the socket is one of the request.
    awaits_timeout: Cell<bool>,
    timeout_ms: Cell<Option<f64>>,
    is_aborted: Cell<bool>,
    is_reused: Cell<bool>,
    /// 'error' was emitted: Node's `socket._hadError`.
    has_failed: Cell<bool>,
    /// The response was read to its end.
    has_response_ended: Cell<bool>,
    /// The connection went back to the agent.
    is_released: Cell<bool>,
}

/// A status below 200, which comes ahead of the response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Information {
    /// The status, such as 100 or 103.
    pub status_code: u16,
    /// The headers.
    pub headers: Rc<Headers>,
}

identity!(ClientRequest);
listening!(ClientRequest, RequestEvent);
weak!(WeakClientRequest of ClientRequest with RequestInner);
outgoing_functions!(
    ClientRequest, RequestInner, RequestEvent,
    event: RequestDrain, RequestFinish, RequestPipe, RequestUnpipe, RequestError, RequestClose
);

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientRequest({} {})", self.method(), self.path())
    }
}

/// Begins a request to a URL or with [`RequestOptions`]. [`end`](ClientRequest::end) sends it.
///
/// # Errors
/// `ERR_INVALID_URL`, `ERR_INVALID_PROTOCOL`, `ERR_INVALID_HTTP_TOKEN`, `ERR_UNESCAPED_CHARACTERS`,
/// `ERR_INVALID_CHAR`, and those of [`net::connect`](crate::net::connect).
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn request(target: impl IntoRequestOptions) -> Result<ClientRequest, Error> {
    ClientRequest::new(target.into_options()?)
}

/// Like [`request`], and calls a function with the response.
///
/// # Errors
/// As [`request`].
///
/// # Panics
/// As [`request`].
#[track_caller]
pub fn request_then<O: IntoResult>(
    target: impl IntoRequestOptions,
    on_response: impl FnOnce(IncomingMessage) -> O + 'static,
) -> Result<ClientRequest, Error> {
    let request = request(target)?;
    request.once(event::Response, on_response);
    Ok(request)
}

/// Requests a URL, or what [`RequestOptions`] say, without a body.
///
/// # Errors
/// As [`request`].
///
/// # Panics
/// As [`request`].
#[track_caller]
pub fn get(target: impl IntoRequestOptions) -> Result<ClientRequest, Error> {
    let request = request(target)?;
    request.end();
    Ok(request)
}

/// Like [`get`], and calls a function with the response: `http.get(url, (res) => …)`.
///
/// # Errors
/// As [`request`].
///
/// # Panics
/// As [`request`].
#[track_caller]
pub fn get_then<O: IntoResult>(
    target: impl IntoRequestOptions,
    on_response: impl FnOnce(IncomingMessage) -> O + 'static,
) -> Result<ClientRequest, Error> {
    let request = request_then(target, on_response)?;
    request.end();
    Ok(request)
}

impl ClientRequest {
    /// Node's constructor.
    #[track_caller]
    fn new(options: RequestOptions) -> Result<Self, Error> {
        let runtime = current();
        let method = options.method.to_ascii_uppercase();
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| {
            let message = format!("Method must be a valid HTTP token [\"{}\"]", options.method);
            Error::new("ERR_INVALID_HTTP_TOKEN", message)
        })?;
        let target = options.path.parse().map_err(|_| {
            let message = "Request path contains unescaped characters";
            Error::new("ERR_UNESCAPED_CHARACTERS", message)
        })?;
        let agent = options.agent.clone().unwrap_or_else(global_agent);
        let out = Outgoing::new(&runtime);
        out.should_keep_alive.set(agent.reuses());
        out.is_last.set(!agent.reuses());
        out.is_chunked_by_default.set(!matches!(
            method,
            Method::GET
                | Method::HEAD
                | Method::DELETE
                | Method::OPTIONS
                | Method::TRACE
                | Method::CONNECT
        ));
        let request = ClientRequest {
            inner: Rc::new(RequestInner {
                events: Emitter::default(),
                out,
                method,
                target,
                agent: agent.clone(),
                exchange: RefCell::default(),
                socket: RefCell::default(),
                res: RefCell::default(),
                awaits_timeout: Cell::new(options.timeout_ms.is_some()),
                timeout_ms: Cell::new(None),
                is_aborted: Cell::new(false),
                is_reused: Cell::new(false),
                has_failed: Cell::new(false),
                has_response_ended: Cell::new(false),
                is_released: Cell::new(false),
                options,
            }),
        };
        request.set_own_headers()?;
        agent.add_request(&request)?;
        end_with_program(&runtime, &request.inner);
        request.destroy_on_abort();
        Ok(request)
    }

    fn set_own_headers(&self) -> Result<(), Error> {
        let (options, headers) = (&self.inner.options, &self.inner.out.headers);
        for (name, lines) in &options.headers {
            headers.set(name, lines.clone())?;
        }
        if options.sets_host && headers.get("host").is_none() {
            let mut host = match options.host.contains(':') {
                true => format!("[{}]", options.host),
                false => options.host.clone(),
            };
            if options.port != 80 {
                host.push_str(&format!(":{}", options.port));
            }
            headers.set("Host", host)?;
        }
        if let Some(auth) = &options.auth
            && headers.get("authorization").is_none()
        {
            headers.set(
                "Authorization",
                format!("Basic {}", base64(auth.as_bytes())),
            )?;
        }
        // The body waits for 'continue', and the head does not wait for the body.
        if headers.get("expect").is_some() {
            self.send_head();
        }
        Ok(())
    }

    fn destroy_on_abort(&self) {
        let Some(signal) = &self.inner.options.signal else {
            return;
        };
        if signal.is_aborted() {
            return self.destroy_for(Some(Error::abort()));
        }
        // Weak: a signal must not keep a request in memory.
        let weak = self.downgrade();
        let listening = signal.call_when_aborted(move || {
            if let Some(request) = weak.upgrade() {
                request.destroy_for(Some(Error::abort()));
            }
        });
        if let Some(listening) = listening {
            let signal = signal.clone();
            self.once(event::RequestClose, move |_| signal.off(listening));
        }
    }

    /// The method, such as `GET`.
    pub fn method(&self) -> &str {
        self.inner.method.as_str()
    }

    /// The path with its query.
    pub fn path(&self) -> &str {
        &self.inner.options.path
    }

    /// The host to which the request goes.
    pub fn host(&self) -> &str {
        &self.inner.options.host
    }

    /// The connection, from 'socket' on.
    pub fn socket(&self) -> Option<Socket> {
        self.inner.socket.borrow().clone()
    }

    /// True if the connection has served another request before.
    pub fn is_socket_reused(&self) -> bool {
        self.inner.is_reused.get()
    }

    /// True after [`abort`](ClientRequest::abort).
    pub fn is_aborted(&self) -> bool {
        self.inner.is_aborted.get()
    }

    /// Destroys the request, with the event 'abort' in the next tick. Node recommends
    /// [`destroy`](ClientRequest::destroy).
    pub fn abort(&self) -> &Self {
        if !self.inner.is_aborted.replace(true) {
            self.next_call(|request| {
                let events = &request.inner.events;
                events.emit(event::Abort, request.clone()).map(drop)
            });
            self.destroy_for(None);
        }
        self
    }

    /// Emits 'timeout' after `ms` milliseconds without I/O on the connection; the request stays.
    pub fn set_timeout(&self, ms: impl Milliseconds) -> &Self {
        if !self.inner.has_response_ended.get() {
            let ms = ms.to_ms();
            self.inner.awaits_timeout.set(true);
            self.inner.timeout_ms.set(Some(ms));
            if let Some(socket) = self.socket() {
                set_socket_timeout(&socket, ms);
            }
        }
        self
    }

    /// Like [`set_timeout`](ClientRequest::set_timeout), and calls a function at 'timeout'.
    pub fn set_timeout_then<O: IntoResult>(
        &self,
        ms: impl Milliseconds,
        timed_out: impl FnOnce(ClientRequest) -> O + 'static,
    ) -> &Self {
        self.once(event::RequestTimeout, timed_out);
        self.set_timeout(ms)
    }

    pub(super) fn options(&self) -> &RequestOptions {
        &self.inner.options
    }

    pub(super) fn set_reused(&self) {
        self.inner.is_reused.set(true);
    }

    pub(super) fn res(&self) -> Option<IncomingMessage> {
        self.inner.res.borrow().clone()
    }

    pub(super) fn set_res(&self, res: &IncomingMessage) {
        self.inner.res.replace(Some(res.clone()));
    }

    pub(super) fn events(&self) -> &Emitter<event::RequestListener> {
        &self.inner.events
    }

    /// The agent has a connection, or none: Node's `onSocket`.
    pub(super) fn on_agent_socket(&self, found: Result<Socket, Error>) {
        self.next_call(move |request| match found {
            Ok(socket) if !request.is_destroyed() => request.begin(&socket),
            Ok(socket) => request.decline(&socket),
            Err(error) => {
                request.fail(&error)?;
                request.close_once()
            }
        });
    }

    /// Node's `tickOnSocket`.
    fn begin(&self, socket: &Socket) -> Result<(), Thrown> {
        let inner = &self.inner;
        inner.socket.replace(Some(socket.clone()));
        let exchange = Exchange::start(self, socket);
        inner.exchange.replace(Some(exchange));
        if inner.agent.timeout_ms() > 0 {
            inner.awaits_timeout.set(true);
        }
        if let Some(ms) = inner.timeout_ms.get() {
            set_socket_timeout(socket, ms);
        }
        inner.events.emit(event::RequestSocket, socket.clone())?;
        self.take_turn()
    }

    /// Node's `onSocketNT`, for a request that was destroyed before it had a connection.
    fn decline(&self, socket: &Socket) -> Result<(), Thrown> {
        let error = self.errored();
        if error.is_none() && !socket.is_destroyed() {
            // For a request that waits: as in Node, an agent keeps no connection without a response.
            self.out().should_keep_alive.set(false);
            self.inner.agent.on_free(socket, self, None);
        } else {
            socket.destroy();
        }
        let error = error.or_else(|| (!self.is_aborted()).then(|| reset("socket hang up")));
        if let Some(error) = error {
            self.fail(&error)?;
        }
        self.close_once()
    }

    /// Emits 'error', once for a connection.
    pub(super) fn fail(&self, error: &Error) -> Result<(), Thrown> {
        if self.inner.has_failed.replace(true) {
            return Ok(());
        }
        let events = &self.inner.events;
        events
            .emit(event::RequestError, (self.clone(), error))
            .map(drop)
    }

    pub(super) fn on_socket_timeout(&self) -> Result<(), Thrown> {
        if self.inner.awaits_timeout.replace(false) {
            let events = &self.inner.events;
            events.emit(event::RequestTimeout, self.clone())?;
        }
        self.res()
            .map_or(Ok(()), |res| res.emit_timeout().map(drop))
    }

    /// The request for hyper, the first time.
    pub(super) fn take_head<B>(&self, body: B) -> Option<Request<B>> {
        let out = self.out();
        let head = out.head.take()?;
        out.is_head_sent.set(true);
        let mut request = Request::new(body);
        *request.method_mut() = self.inner.method.clone();
        *request.uri_mut() = self.inner.target.clone();
        *request.headers_mut() = head;
        Some(request)
    }

    /// Node's `responseOnEnd`.
    pub(super) fn on_response_end(&self, res: &IncomingMessage) {
        let inner = &self.inner;
        inner.has_response_ended.set(true);
        let Some(socket) = self.socket() else {
            return;
        };
        if !inner.out.should_keep_alive.get() {
            if socket.is_writable() {
                socket.destroy_soon();
            }
        } else if self.is_writable_finished() && !res.is_aborted() {
            self.release(&socket);
        }
    }

    /// Gives the connection back, for another request: Node's `responseKeepAlive`.
    fn release(&self, socket: &Socket) {
        if self.inner.is_released.replace(true) {
            return;
        }
        self.leave();
        self.inner.out.is_destroyed.set(true);
        let res = self.res();
        if let Some(res) = &res {
            res.leave_socket();
        }
        let socket = socket.clone();
        self.next_call(move |request| {
            request.close_once()?;
            let res = res.as_ref();
            let hint = res.and_then(|res| res.headers().get("keep-alive"));
            request.inner.agent.on_free(&socket, request, hint);
            Ok(())
        });
    }

    /// Leaves the exchange, whose connection serves something else from now on.
    pub(super) fn leave(&self) {
        let exchange = self.inner.exchange.take();
        if let Some(exchange) = exchange {
            exchange.leave();
        }
    }

    /// The connection belongs to the program: it speaks another protocol.
    pub(super) fn hand_over(&self, socket: &Socket) -> Result<(), Thrown> {
        self.leave();
        self.inner.agent.release(socket, self.options())
    }
}

impl Ends for RequestInner {
    fn end(&self) {
        self.events.end();
        // Each keeps the other.
        let exchange = self.exchange.take();
        drop(exchange);
    }
}

/// Node's `setSocketTimeout`: connecting does not count.
fn set_socket_timeout(socket: &Socket, ms: f64) {
    if socket.is_connecting() {
        socket.once(net_event::Connect, move |socket: Socket| {
            socket.set_timeout(ms);
        });
    } else {
        socket.set_timeout(ms);
    }
}

/// RFC 4648, for `Authorization`.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let group = u32::from_be_bytes(group);
        for index in 0..4 {
            let digit = (group >> (18 - 6 * index)) & 63;
            text.push(match index <= chunk.len() {
                true => char::from(DIGITS[digit as usize]),
                false => '=',
            });
        }
    }
    text
}

impl OutgoingMessage for ClientRequest {
    fn out(&self) -> &Outgoing {
        &self.inner.out
    }

    fn socket_of(&self) -> Option<Socket> {
        let exchange = self.inner.exchange.borrow();
        exchange.as_ref().map(|exchange| exchange.socket().clone())
    }

    fn implicit_head(&self) -> Result<(), Error> {
        self.out().check_unsent("render")?;
        self.out().store_head(true, None);
        Ok(())
    }

    fn transmit(&self, written: Option<Then>) -> bool {
        let exchange = self.inner.exchange.borrow().clone();
        match exchange {
            Some(exchange) => exchange.transmit(written),
            None => self.wait_for_turn(written),
        }
    }

    fn emit_outgoing(&self, event: OutgoingEvent<'_>) -> Result<(), Thrown> {
        let (inner, request) = (&self.inner, self.clone());
        let events = &inner.events;
        match event {
            OutgoingEvent::Drain => events.emit(event::RequestDrain, request),
            OutgoingEvent::Finish => {
                events.emit(event::RequestFinish, request)?;
                // Node's `requestOnFinish`: the response was there before.
                if inner.has_response_ended.get()
                    && inner.out.should_keep_alive.get()
                    && let Some(socket) = self.socket()
                {
                    self.release(&socket);
                }
                return Ok(());
            }
            OutgoingEvent::Error(error) => events.emit(event::RequestError, (request, error)),
            OutgoingEvent::Close => {
                let runtime = &inner.out.runtime;
                return emit_last(runtime, inner, events, event::RequestClose, request);
            }
        }
        .map(drop)
    }

    /// Node's `ClientRequest.prototype.destroy`.
    fn destroy_for(&self, error: Option<Error>) {
        if self.out().is_destroyed.replace(true) {
            return;
        }
        if let Some(res) = self.res() {
            res.dump();
        }
        self.out().errored.replace(error.clone());
        if let Some(socket) = self.socket_of() {
            match error {
                Some(error) => socket.destroy_with(error),
                None => socket.destroy(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn a_user_and_a_password_become_base64() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("user:pässword", "dXNlcjpww6Rzc3dvcmQ="),
        ] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }
}
