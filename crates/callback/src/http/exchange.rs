//! One request and its response on a connection of a client.

use super::client_request::{ClientRequest, Information};
use super::event;
use super::headers::Headers;
use super::incoming::{BodySource, Head, IncomingMessage, Start};
use super::outgoing::OutgoingMessage;
use super::parse_error::{parse_error, reset};
use super::pump::{Inbound, Line, Next, Pumped, Received};
use super::status::status_text;
use super::wire::{Outbound, Wire};
use crate::continuation::Then;
use crate::error::Error;
use crate::events::ListenerId;
use crate::net::{Socket, event as net_event};
use crate::runtime::Runtime;
use crate::thrown::Thrown;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::ext::{ReasonPhrase, on_informational};
use hyper::{HeaderMap, Response, Version, header};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

type HyperConnection = http1::Connection<Wire, Outbound>;
type Answer = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>>>>;

/// Statuses below 200, until they are emitted. hyper demands what threads can share.
type Informed = Arc<Mutex<VecDeque<(u16, HeaderMap)>>>;

/// A request and its response. The socket's listeners keep it, and so does the request, until the
/// response has ended or the connection is closed.
pub(super) struct Exchange {
    request: ClientRequest,
    line: Line,
    hyper: RefCell<Option<HyperConnection>>,
    /// hyper has ended; the connection stays for its last bytes.
    is_over: Cell<bool>,
    sender: RefCell<Option<http1::SendRequest<Outbound>>>,
    answer: RefCell<Option<Answer>>,
    answered: RefCell<Option<hyper::Result<Response<Incoming>>>>,
    informed: Informed,
    inbound: Inbound,
    listeners: RefCell<Vec<ListenerId>>,
}

impl Exchange {
    pub(super) fn start(request: &ClientRequest, socket: &Socket) -> Rc<Self> {
        let line = Line::new(socket);
        let mut builder = http1::Builder::new();
        builder
            .title_case_headers(true)
            .max_header_size(request.options().max_header_size);
        let mut handshake = pin!(builder.handshake(line.wire.clone()));
        // It sends nothing, and waits for nothing.
        let shaken = line.driver.drive(|cx| handshake.as_mut().poll(cx));
        let (sender, hyper) = match shaken {
            Poll::Ready(Ok((sender, hyper))) => (Some(sender), Some(hyper)),
            Poll::Ready(Err(_)) | Poll::Pending => (None, None),
        };
        let exchange = Rc::new(Exchange {
            request: request.clone(),
            line,
            hyper: RefCell::new(hyper),
            is_over: Cell::new(false),
            sender: RefCell::new(sender),
            answer: RefCell::default(),
            answered: RefCell::default(),
            informed: Informed::default(),
            inbound: Inbound::default(),
            listeners: RefCell::default(),
        });
        exchange.listen();
        exchange
    }

    fn listen(self: &Rc<Self>) {
        let socket = self.socket();
        let [error, data, end, close, drain, timeout] = [(); 6].map(|()| Rc::clone(self));
        let ids = [
            socket.on(net_event::Error, move |(_, cause): (Socket, &Error)| {
                error.on_error(cause)
            }),
            socket.on(net_event::Data, move |(_, bytes)| {
                data.line.wire.feed(bytes);
                data.pump()
            }),
            socket.on(net_event::End, move |_| end.on_end()),
            socket.on(net_event::Close, move |_| close.on_close()),
            socket.on(net_event::Drain, move |_| drain.request.on_socket_drain()),
            socket.on(net_event::Timeout, move |_| {
                timeout.request.on_socket_timeout()
            }),
        ];
        self.listeners.borrow_mut().extend(ids);
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.line.socket
    }

    /// Ends the exchange; the connection stays open.
    pub(super) fn leave(&self) {
        for id in self.listeners.take() {
            self.socket().off(id);
        }
        let gone = (self.hyper.take(), self.sender.take(), self.answer.take());
        drop(gone);
        self.inbound.clear();
    }

    /// Sends what was written to the request.
    pub(super) fn transmit(self: &Rc<Self>, written: Option<Then>) -> bool {
        if self.socket().is_destroyed() {
            return false;
        }
        let request = self.request.take_head(self.request.out().body.clone());
        if let Some(mut request) = request {
            let informed = Arc::clone(&self.informed);
            on_informational(&mut request, move |information| {
                let status = information.status().as_u16();
                let headers = information.headers().clone();
                let mut informed = informed.lock().unwrap_or_else(PoisonError::into_inner);
                informed.push_back((status, headers));
            });
            let sender = self.sender.borrow_mut().take();
            if let Some(mut sender) = sender {
                let answer = sender.send_request(request);
                self.answer.replace(Some(Box::pin(answer)));
                // Without a sender, hyper takes the connection for unused.
                self.sender.replace(Some(sender));
            }
        }
        self.push_out(written)
    }

    // The events of the socket.

    /// Node's `socketErrorListener`.
    fn on_error(&self, error: &Error) -> Result<(), Thrown> {
        self.request.fail(error)?;
        self.inbound.clear();
        self.socket().destroy();
        Ok(())
    }

    /// Node's `socketOnEnd`.
    fn on_end(self: &Rc<Self>) -> Result<(), Thrown> {
        // The end may be that of a body without a length.
        self.line.wire.end_input();
        self.inbound.end();
        self.pump()?;
        if self.request.res().is_none() {
            self.request.fail(&reset("socket hang up"))?;
        }
        self.socket().destroy();
        Ok(())
    }

    /// Node's `socketCloseListener`.
    fn on_close(&self) -> Result<(), Thrown> {
        let request = &self.request;
        request.out().is_destroyed.set(true);
        let res = request.res();
        if let Some(res) = &res {
            if !res.is_complete() {
                res.destroy_with(reset("aborted"));
            }
        } else {
            request.fail(&reset("socket hang up"))?;
        }
        request.close_once()?;
        if let Some(res) = res
            && !res.is_aborted()
            && res.is_readable()
        {
            res.end_input()?;
        }
        request.leave();
        Ok(())
    }

    // What hyper has read.

    fn emit_informed(&self) -> Result<bool, Thrown> {
        let mut informed = self.informed.lock().unwrap_or_else(PoisonError::into_inner);
        let next = informed.pop_front();
        drop(informed);
        let Some((status_code, headers)) = next else {
            return Ok(false);
        };
        let (request, events) = (&self.request, self.request.events());
        if status_code == 100 {
            events.emit(event::Continue, request.clone())?;
        }
        let information = Information {
            status_code,
            headers: Rc::new(Headers::new(headers)),
        };
        events.emit(event::InformationReceived, (request.clone(), &information))?;
        Ok(true)
    }

    /// Node's `parserOnIncomingClient`.
    fn on_response(self: &Rc<Self>, response: Response<Incoming>) -> Result<(), Thrown> {
        let request = &self.request;
        let (parts, body) = response.into_parts();
        let status = parts.status.as_u16();
        let reason = parts
            .extensions
            .get::<ReasonPhrase>()
            .map(ReasonPhrase::as_bytes);
        let reason = match reason {
            Some(reason) => String::from_utf8_lossy(reason).into_owned(),
            None => status_text(status).unwrap_or_default().to_owned(),
        };
        let headers = Headers::new(parts.headers);
        let has_body = !matches!(status, 204 | 304) && request.method() != "HEAD";
        let keeps_alive = match parts.version {
            Version::HTTP_11 => !headers.has_token(&header::CONNECTION, "close"),
            _ => headers.has_token(&header::CONNECTION, "keep-alive"),
        };
        // A body without a length ends with its connection.
        let has_end = !has_body
            || headers.contains("content-length")
            || headers.has_token(&header::TRANSFER_ENCODING, "chunked");
        let head = Head {
            version: parts.version,
            headers,
            start: Start::Response { status, reason },
        };
        let res = IncomingMessage::new(self.runtime(), self.socket(), head);
        request.set_res(&res);
        if status == 101 || request.method() == "CONNECT" {
            return self.hand_over(res);
        }
        if !keeps_alive || !has_end {
            request.out().should_keep_alive.set(false);
        }
        let this: Rc<Self> = Rc::clone(self);
        let source: Rc<dyn BodySource> = this;
        res.set_source(Rc::downgrade(&source));
        let ended = request.clone();
        res.once(event::End, move |res: IncomingMessage| {
            ended.on_response_end(&res)
        });
        self.inbound.begin(&res, body);
        let has_listener =
            !request.is_aborted() && request.events().emit(event::Response, res.clone())?;
        if !has_listener {
            res.dump();
        }
        Ok(())
    }

    /// Leaves the connection to a listener that speaks another protocol.
    fn hand_over(&self, res: IncomingMessage) -> Result<(), Thrown> {
        let (request, socket) = (&self.request, self.socket().clone());
        let mut head = Vec::new();
        let hyper = self.hyper.take();
        if let Some(hyper) = hyper {
            head.extend_from_slice(&hyper.into_parts().read_buf);
        }
        head.extend(self.line.wire.take_unread());
        let is_connect = request.method() == "CONNECT";
        let count = match is_connect {
            true => request.listener_count(event::ClientConnect),
            false => request.listener_count(event::ClientUpgrade),
        };
        if count == 0 {
            socket.destroy();
            return Ok(());
        }
        request.hand_over(&socket)?;
        let args = (res, socket, &head[..]);
        match is_connect {
            true => request.events().emit(event::ClientConnect, args)?,
            false => request.events().emit(event::ClientUpgrade, args)?,
        };
        request.close_once()
    }

    /// What arrives is no HTTP.
    fn fail_to_parse(&self, error: &Error) -> Result<(), Thrown> {
        self.socket().destroy();
        self.request.fail(error)
    }
}

impl Pumped for Exchange {
    fn line(&self) -> &Line {
        &self.line
    }

    fn runtime(&self) -> &Rc<Runtime> {
        &self.request.out().runtime
    }

    fn drive(&self) {
        let (mut hyper, mut answer) = (self.hyper.borrow_mut(), self.answer.borrow_mut());
        let polled = self.line.driver.drive(|cx| {
            if let Some(hyper) = hyper.as_mut()
                && !self.is_over.get()
            {
                // Its errors come with the answer, or with the body.
                self.is_over.set(hyper.poll_without_shutdown(cx).is_ready());
            }
            match answer.as_mut() {
                Some(answer) => answer.as_mut().poll(cx),
                None => Poll::Pending,
            }
        });
        if let Poll::Ready(answered) = polled {
            let done = answer.take();
            drop((hyper, answer));
            drop(done);
            self.answered.replace(Some(answered));
        }
    }

    fn emit_next(self: &Rc<Self>) -> Result<Next, Thrown> {
        if self.emit_informed()? {
            return Ok(Next::More);
        }
        let answered = self.answered.take();
        match answered {
            Some(Ok(response)) => return self.on_response(response).map(|()| Next::More),
            Some(Err(error)) => {
                // Other errors say that the connection is closed, which 'end' and 'close' report.
                if let Some(error) = parse_error(&error) {
                    self.fail_to_parse(&error)?;
                }
            }
            None => {}
        }
        match self.inbound.receive(&self.line.driver)? {
            Received::Nothing => return Ok(Next::Nothing),
            Received::Part => return Ok(Next::Later),
            Received::More => {}
            Received::Whole(res) => res.on_complete()?,
            Received::Failed(error) => {
                if let Some(error) = parse_error(&error) {
                    self.fail_to_parse(&error)?;
                }
            }
        }
        Ok(Next::More)
    }

    fn has_news(&self) -> bool {
        self.answered.borrow().is_some()
    }

    fn is_reading(&self) -> bool {
        self.hyper.borrow().is_some() && !self.is_over.get()
    }
}

impl BodySource for Exchange {
    fn read_on(self: Rc<Self>) {
        if self.inbound.make_room() {
            self.pump_soon();
        }
    }
}
