//! What a response and a request that this end sends have in common: Node's `OutgoingMessage`.
//!
//! ```text
//! open ──the first write, flush_headers, end──▶ the head is stored ──▶ it is sent, with what was written
//!      ──end──▶ finished ──the kernel has all──▶ 'finish'
//! any  ──destroy, the connection is closed──▶ closed: 'close'
//! ```

use super::headers::HeadersToSend;
use super::wire::Outbound;
use crate::continuation::Then;
use crate::error::Error;
use crate::net::Socket;
use crate::runtime::Runtime;
use crate::thrown::Thrown;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::SystemTime;

/// The state of a message that this end sends.
pub(super) struct Outgoing {
    pub(super) runtime: Rc<Runtime>,
    pub(super) headers: HeadersToSend,
    /// The stored head, until it is sent.
    pub(super) head: RefCell<Option<HeaderMap>>,
    pub(super) body: Outbound,
    pub(super) trailers: RefCell<Option<HeaderMap>>,
    pub(super) errored: RefCell<Option<Error>>,
    /// The head is stored: no header can be changed any more.
    pub(super) has_head: Cell<bool>,
    pub(super) is_head_sent: Cell<bool>,
    pub(super) has_body: Cell<bool>,
    pub(super) content_length: Cell<Option<u64>>,
    pub(super) is_chunked: Cell<bool>,
    pub(super) is_chunked_by_default: Cell<bool>,
    pub(super) should_keep_alive: Cell<bool>,
    /// The connection ends behind this message.
    pub(super) is_last: Cell<bool>,
    pub(super) sends_date: Cell<bool>,
    /// The time of the `Keep-Alive` header in milliseconds; 0 sends none.
    pub(super) keep_alive_timeout_ms: Cell<u64>,
    /// The limit of requests on one connection, and whether this is the last of them.
    pub(super) requests_max: Cell<u64>,
    pub(super) is_last_allowed: Cell<bool>,
    pub(super) needs_drain: Cell<bool>,
    /// `end` was called: Node's `finished`.
    pub(super) has_ended: Cell<bool>,
    pub(super) has_finished: Cell<bool>,
    pub(super) is_destroyed: Cell<bool>,
    pub(super) is_closed: Cell<bool>,
    removed: RefCell<Vec<HeaderName>>,
    /// The callbacks of writes that wait for the connection.
    waiting: RefCell<Vec<Then>>,
}

/// How much may wait for the connection: Node's high-water mark of a message.
const WAITING_BYTES_MAX: usize = 16 * 1024;

impl Outgoing {
    pub(super) fn new(runtime: &Rc<Runtime>) -> Self {
        Outgoing {
            runtime: Rc::clone(runtime),
            headers: HeadersToSend::default(),
            head: RefCell::default(),
            body: Outbound::default(),
            trailers: RefCell::default(),
            errored: RefCell::default(),
            has_head: Cell::new(false),
            is_head_sent: Cell::new(false),
            has_body: Cell::new(true),
            content_length: Cell::new(None),
            is_chunked: Cell::new(false),
            is_chunked_by_default: Cell::new(true),
            should_keep_alive: Cell::new(true),
            is_last: Cell::new(false),
            sends_date: Cell::new(false),
            keep_alive_timeout_ms: Cell::new(0),
            requests_max: Cell::new(0),
            is_last_allowed: Cell::new(false),
            needs_drain: Cell::new(false),
            has_ended: Cell::new(false),
            has_finished: Cell::new(false),
            is_destroyed: Cell::new(false),
            is_closed: Cell::new(false),
            removed: RefCell::default(),
            waiting: RefCell::default(),
        }
    }

    /// # Errors
    /// `ERR_HTTP_HEADERS_SENT`. The verb stands in the message.
    pub(super) fn check_unsent(&self, verb: &str) -> Result<(), Error> {
        match self.has_head.get() {
            true => {
                let message = format!("Cannot {verb} headers after they are sent to the client");
                Err(Error::new("ERR_HTTP_HEADERS_SENT", message))
            }
            false => Ok(()),
        }
    }

    /// Node's `removeHeader`: what it adds by itself stays away, too.
    pub(super) fn remove_header(&self, name: &str) {
        self.headers.remove(name);
        let Ok(name) = name.parse::<HeaderName>() else {
            return;
        };
        if name == header::DATE {
            self.sends_date.set(false);
        }
        self.removed.borrow_mut().push(name);
    }

    fn is_removed(&self, name: &HeaderName) -> bool {
        self.removed.borrow().contains(name)
    }

    /// Stores the head: Node's `_storeHeader`. `has_agent` is true for a request with an agent,
    /// `status` is that of a response.
    pub(super) fn store_head(&self, has_agent: bool, status: Option<u16>) {
        let mut map = self.headers.to_map();
        if self.sends_date.get() && !map.contains_key(header::DATE) {
            let now = httpdate::fmt_http_date(SystemTime::now());
            insert(&mut map, header::DATE, &now);
        }
        let has_length = map.contains_key(header::CONTENT_LENGTH);
        let has_encoding = map.contains_key(header::TRANSFER_ENCODING);
        self.is_chunked
            .set(has_word(&map, &header::TRANSFER_ENCODING, "chunked"));
        // Node's answer to a program that sets an encoding on a response that has no body.
        if self.is_chunked.get() && matches!(status, Some(204 | 304)) {
            map.remove(header::TRANSFER_ENCODING);
            self.is_chunked.set(false);
            self.should_keep_alive.set(false);
        }
        self.add_connection(&mut map, has_length, has_agent);
        if !has_length && !has_encoding {
            self.add_length(&mut map);
        } else if !self.has_body.get() && status.is_some_and(|status| status != 200) {
            self.drop_lengths(&mut map, status);
        }
        self.has_head.set(true);
        self.head.replace(Some(map));
    }

    /// Whether the connection is kept, in the words of the `Connection` header.
    fn add_connection(&self, map: &mut HeaderMap, has_length: bool, has_agent: bool) {
        if map.contains_key(header::CONNECTION) {
            match has_word(map, &header::CONNECTION, "close") {
                true => self.is_last.set(true),
                false => self.should_keep_alive.set(true),
            }
            return;
        }
        if self.is_removed(&header::CONNECTION) {
            return self.is_last.set(!self.should_keep_alive.get());
        }
        let has_frame = has_length || self.is_chunked_by_default.get() || has_agent;
        if !self.should_keep_alive.get() || !has_frame {
            self.is_last.set(true);
            return insert(map, header::CONNECTION, "close");
        }
        if self.is_last_allowed.get() {
            return insert(map, header::CONNECTION, "close");
        }
        insert(map, header::CONNECTION, "keep-alive");
        let timeout_ms = self.keep_alive_timeout_ms.get();
        let name = HeaderName::from_static("keep-alive");
        if timeout_ms > 0 && !map.contains_key(&name) {
            let max = match self.requests_max.get() {
                0 => String::new(),
                max => format!(", max={max}"),
            };
            insert(map, name, &format!("timeout={}{max}", timeout_ms / 1000));
        }
    }

    /// How the receiver finds the end of the body.
    fn add_length(&self, map: &mut HeaderMap) {
        if !self.has_body.get() {
            return;
        }
        let length = self.content_length.get();
        if !self.is_chunked_by_default.get() {
            self.is_last.set(true);
        } else if let Some(length) = length
            && !map.contains_key(header::TRAILER)
            && !self.is_removed(&header::CONTENT_LENGTH)
        {
            insert(map, header::CONTENT_LENGTH, &length.to_string());
        } else if !self.is_removed(&header::TRANSFER_ENCODING) {
            insert(map, header::TRANSFER_ENCODING, "chunked");
            self.is_chunked.set(true);
        } else {
            self.is_last.set(true);
        }
    }

    /// hyper refuses a length on a response that must not have a body.
    fn drop_lengths(&self, map: &mut HeaderMap, status: Option<u16>) {
        if matches!(status, Some(100..=199 | 204 | 304)) {
            map.remove(header::CONTENT_LENGTH);
            map.remove(header::TRANSFER_ENCODING);
        }
    }
}

fn insert(map: &mut HeaderMap, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("dates, numbers and known words are ASCII");
    map.append(name, value);
}

/// True if a word stands in a header: Node's `RE_CONN_CLOSE` and `RE_TE_CHUNKED`.
fn has_word(map: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = map.get_all(name).into_iter();
    let mut texts = values.filter_map(|value| value.to_str().ok());
    texts.any(|text| {
        let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.any(|other| other.eq_ignore_ascii_case(word))
    })
}

/// What such a message emits.
pub(super) enum OutgoingEvent<'a> {
    Drain,
    Finish,
    Error(&'a Error),
    Close,
}

/// A message that this end sends: its clones share an [`Outgoing`].
pub(super) trait OutgoingMessage: Clone + 'static {
    fn out(&self) -> &Outgoing;

    /// The connection, once there is one, and while it serves this message.
    fn socket_of(&self) -> Option<Socket>;

    /// Stores the head with what was set: Node's `_implicitHeader`.
    fn implicit_head(&self) -> Result<(), Error>;

    /// Hands over what was written. `written` is called when the kernel has taken it. Returns
    /// false if the program should wait for 'drain'.
    fn transmit(&self, written: Option<Then>) -> bool;

    fn emit_outgoing(&self, event: OutgoingEvent<'_>) -> Result<(), Thrown>;

    fn next_call(&self, f: impl FnOnce(&Self) -> Result<(), Thrown> + 'static) {
        self.out().runtime.next_call(self, f);
    }

    /// Node's `OutgoingMessage.prototype.write`.
    fn write_or_fail(&self, bytes: &[u8], written: Option<Then>) -> bool {
        let has_room = self.write_some(bytes, written);
        if !has_room {
            self.out().needs_drain.set(true);
        }
        has_room
    }

    fn write_some(&self, bytes: &[u8], written: Option<Then>) -> bool {
        let out = self.out();
        if let Err(error) = self.check_writable().and_then(|()| self.ensure_head()) {
            self.refuse(error, written);
            return false;
        }
        if !out.has_body.get() {
            if let Some(written) = written {
                out.runtime.next_tick(move || written(Ok(())));
            }
            return true;
        }
        self.cork_for_tick();
        out.body.push(bytes);
        self.transmit(written)
    }

    fn check_writable(&self) -> Result<(), Error> {
        let out = self.out();
        if out.has_ended.get() {
            Err(Error::write_after_end())
        } else if out.is_destroyed.get() {
            Err(Error::stream_destroyed("write"))
        } else {
            Ok(())
        }
    }

    fn ensure_head(&self) -> Result<(), Error> {
        match self.out().has_head.get() {
            true => Ok(()),
            false => self.implicit_head(),
        }
    }

    /// Reports a write that cannot be, in a tick: Node's `onError` of `_http_outgoing.js`.
    fn refuse(&self, error: Error, written: Option<Then>) {
        self.next_call(move |message| {
            if let Some(written) = written {
                written(Err(error.clone()))?;
            }
            match message.out().is_destroyed.get() {
                true => Ok(()),
                false => message.emit_outgoing(OutgoingEvent::Error(&error)),
            }
        });
    }

    /// Writes of one callback leave together: Node's `connectionCorkNT`.
    fn cork_for_tick(&self) {
        if let Some(socket) = self.socket_of()
            && socket.writable_corked() == 0
        {
            socket.cork();
            self.next_call(move |_| {
                socket.uncork();
                Ok(())
            });
        }
    }

    /// Node's `OutgoingMessage.prototype.end`.
    fn end_bytes(&self, bytes: Option<&[u8]>) {
        let out = self.out();
        if out.has_ended.get() {
            if bytes.is_some() {
                self.refuse(Error::write_after_end(), None);
            }
            return;
        }
        if bytes.is_some()
            && let Err(error) = self.check_writable()
        {
            return self.refuse(error, None);
        }
        if !out.has_head.get() {
            let length = bytes.map_or(0, <[u8]>::len);
            out.content_length.set(Some(length as u64));
            if let Err(error) = self.implicit_head() {
                return self.refuse(error, None);
            }
        }
        if out.has_body.get() {
            out.body.push(bytes.unwrap_or_default());
        }
        let socket = self.socket_of();
        let waits = socket
            .as_ref()
            .is_some_and(|socket| socket.writable_length() > 0);
        let sends_bytes = bytes.is_some_and(|bytes| !bytes.is_empty());
        let has_more = out.is_chunked.get() || !out.is_head_sent.get() || waits || sends_bytes;
        out.body.end(out.trailers.take());
        out.has_ended.set(true);
        let message = self.clone();
        let finish: Then = Box::new(move |_| message.finish());
        if has_more {
            self.transmit(Some(finish));
        } else {
            self.transmit(None);
            out.runtime.next_tick(move || finish(Ok(())));
        }
        if let Some(socket) = socket {
            while socket.writable_corked() > 0 {
                socket.uncork();
            }
        }
    }

    fn finish(&self) -> Result<(), Thrown> {
        self.out().has_finished.set(true);
        self.emit_outgoing(OutgoingEvent::Finish)
    }

    /// Keeps what was written until the connection serves this message. Returns false if that is
    /// enough: Node's `_writeRaw`.
    fn wait_for_turn(&self, written: Option<Then>) -> bool {
        let out = self.out();
        out.waiting.borrow_mut().extend(written);
        out.body.len() < WAITING_BYTES_MAX
    }

    /// Sends what waits: Node's `_flush`.
    fn take_turn(&self) -> Result<(), Thrown> {
        let out = self.out();
        if !out.has_head.get() {
            return Ok(());
        }
        let waiting = out.waiting.take();
        let written = (!waiting.is_empty()).then(|| -> Then {
            Box::new(move |result: Result<(), Error>| {
                let mut callbacks = waiting.into_iter();
                callbacks.try_for_each(|written| written(result.clone()))
            })
        });
        if self.transmit(written) && out.needs_drain.get() {
            self.on_socket_drain()?;
        }
        Ok(())
    }

    /// Sends the head now: Node's `flushHeaders`.
    fn send_head(&self) {
        match self.ensure_head() {
            Ok(()) => drop(self.transmit(None)),
            Err(error) => self.refuse(error, None),
        }
    }

    /// The socket has drained: Node's `socketOnDrain`.
    fn on_socket_drain(&self) -> Result<(), Thrown> {
        let out = self.out();
        if !out.has_ended.get() && out.needs_drain.replace(false) {
            self.emit_outgoing(OutgoingEvent::Drain)?;
        }
        Ok(())
    }

    /// Emits 'close', once: Node's `emitCloseNT`.
    fn close_once(&self) -> Result<(), Thrown> {
        let out = self.out();
        out.is_destroyed.set(true);
        if out.is_closed.replace(true) {
            return Ok(());
        }
        out.body.clear();
        let never_called = out.waiting.take();
        drop(never_called);
        self.emit_outgoing(OutgoingEvent::Close)
    }

    fn destroy_for(&self, error: Option<Error>) {
        let out = self.out();
        if out.is_destroyed.replace(true) {
            return;
        }
        out.errored.replace(error.clone());
        if let Some(socket) = self.socket_of() {
            match error {
                Some(error) => socket.destroy_with(error),
                None => socket.destroy(),
            };
        }
    }
}
