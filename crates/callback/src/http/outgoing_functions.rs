//! The public functions of a message that this end sends, once for responses and requests.

/// The public functions of a message that this end sends, once for both.
macro_rules! outgoing_functions {
    ($message:ident, $inner:ident, $event:path, $events:ident: $Drain:ident, $Finish:ident, $Pipe:ident, $Unpipe:ident, $Error:ident, $Close:ident) => {
        impl $message {
            /// Sets a header, in place of an earlier one of this name: a text, a number, or an array
            /// of texts for a line each.
            ///
            /// # Errors
            /// `ERR_HTTP_HEADERS_SENT`, `ERR_INVALID_HTTP_TOKEN`, `ERR_INVALID_CHAR`.
            pub fn set_header(&self, name: &str, value: impl HeaderLines) -> Result<&Self, Error> {
                self.out().check_unsent("set")?;
                self.out().headers.set(name, value)?;
                Ok(self)
            }

            /// Adds a line to a header.
            ///
            /// # Errors
            /// As [`set_header`](Self::set_header).
            pub fn append_header(
                &self,
                name: &str,
                value: impl HeaderLines,
            ) -> Result<&Self, Error> {
                self.out().check_unsent("append")?;
                self.out().headers.append(name, value)?;
                Ok(self)
            }

            /// The value of a header that was set, whatever the case of its name. Several lines are
            /// joined by `, `.
            pub fn get_header(&self, name: &str) -> Option<String> {
                self.out().headers.get(name)
            }

            /// The names of the headers that were set, in lower case.
            #[doc(alias = "getHeaders")]
            pub fn get_header_names(&self) -> Vec<String> {
                self.out().headers.names(false)
            }

            /// The names of the headers that were set, as the program wrote them.
            pub fn get_raw_header_names(&self) -> Vec<String> {
                self.out().headers.names(true)
            }

            /// True if a header was set.
            pub fn has_header(&self, name: &str) -> bool {
                self.get_header(name).is_some()
            }

            /// Removes a header, also one that is sent without being set: `Date`, `Connection`,
            /// `Content-Length` and `Transfer-Encoding`.
            ///
            /// # Errors
            /// `ERR_HTTP_HEADERS_SENT`.
            pub fn remove_header(&self, name: &str) -> Result<&Self, Error> {
                self.out().check_unsent("remove")?;
                self.out().remove_header(name);
                Ok(self)
            }

            /// True once the headers can no longer be changed.
            pub fn headers_sent(&self) -> bool {
                self.out().has_head.get()
            }

            /// Sends the headers now, instead of with the first bytes of the body.
            pub fn flush_headers(&self) -> &Self {
                self.send_head();
                self
            }

            /// Writes a part of the body; the first one sends the headers. Returns false if the
            /// caller should wait for 'drain'. A write after [`end`](Self::end) is an error, which
            /// 'error' reports.
            ///
            /// A body that is written in parts is chunked, unless its length was set. Parts that are
            /// written in one callback leave together.
            pub fn write(&self, bytes: impl AsRef<[u8]>) -> bool {
                self.write_or_fail(bytes.as_ref(), None)
            }

            /// Like [`write`](Self::write), and calls a function with the result: `Ok` once the
            /// kernel has taken all bytes.
            pub fn write_then<O: IntoResult>(
                &self,
                bytes: impl AsRef<[u8]>,
                written: impl FnOnce(Result<(), Error>) -> O + 'static,
            ) -> bool {
                self.write_or_fail(bytes.as_ref(), Some(then(written)))
            }

            /// Ends the message: all of it was written.
            pub fn end(&self) -> &Self {
                self.end_bytes(None);
                self
            }

            /// Writes the rest of the body, and ends the message. If nothing was written before, the
            /// message has a `Content-Length`.
            pub fn end_with(&self, bytes: impl AsRef<[u8]>) -> &Self {
                self.end_bytes(Some(bytes.as_ref()));
                self
            }

            /// Like [`end`](Self::end), and calls a function at 'finish'.
            pub fn end_then<O: IntoResult>(
                &self,
                finished: impl FnOnce($message) -> O + 'static,
            ) -> &Self {
                self.once($events::$Finish, finished);
                self.end()
            }

            /// Adds headers that follow a chunked body. A header `Trailer` must name them before
            /// the headers are sent, and a server sends them only to a client that accepts them
            /// (`TE: trailers`); Node sends them in any case.
            ///
            /// # Errors
            /// `ERR_INVALID_HTTP_TOKEN`, `ERR_INVALID_CHAR`.
            pub fn add_trailers<'a>(
                &self,
                trailers: impl IntoIterator<Item = (&'a str, &'a str)>,
            ) -> Result<&Self, Error> {
                let headers = HeadersToSend::default();
                for (name, value) in trailers {
                    headers.append(name, value)?;
                }
                self.out().trailers.replace(Some(headers.to_map()));
                Ok(self)
            }

            /// Destroys the message, and its connection.
            pub fn destroy(&self) -> &Self {
                self.destroy_for(None);
                self
            }

            /// Destroys the message and its connection for an error.
            pub fn destroy_with(&self, error: impl Into<Error>) -> &Self {
                self.destroy_for(Some(error.into()));
                self
            }

            /// True once the message was destroyed, or has closed.
            pub fn is_destroyed(&self) -> bool {
                self.out().is_destroyed.get()
            }

            /// True after 'close'.
            pub fn is_closed(&self) -> bool {
                self.out().is_closed.get()
            }

            /// True after [`end`](Self::end).
            pub fn is_writable_ended(&self) -> bool {
                self.out().has_ended.get()
            }

            /// True once the kernel has taken the whole message: at 'finish', or shortly before.
            pub fn is_writable_finished(&self) -> bool {
                let out = self.out();
                let waits = self
                    .socket_of()
                    .is_some_and(|socket| socket.writable_length() > 0);
                out.has_finished.get() || (out.has_ended.get() && out.body.len() == 0 && !waits)
            }

            /// True if the next write should wait for 'drain'.
            pub fn needs_drain(&self) -> bool {
                let out = self.out();
                out.needs_drain.get() && !out.is_destroyed.get() && !out.has_ended.get()
            }

            /// The number of bytes that wait to be sent.
            pub fn writable_length(&self) -> usize {
                let of_socket = self
                    .socket_of()
                    .map_or(0, |socket| socket.writable_length());
                of_socket + self.out().body.len()
            }

            /// The error that destroyed the message.
            pub fn errored(&self) -> Option<Error> {
                self.out().errored.borrow().clone()
            }
        }

        impl From<$message> for Writable {
            fn from(message: $message) -> Self {
                Writable::of(message.inner)
            }
        }

        impl Dest for $inner {
            fn fmt(self: Rc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&$message { inner: self }, f)
            }

            fn is_kept_open(self: Rc<Self>) -> bool {
                false
            }

            fn write(self: Rc<Self>, bytes: &[u8]) -> bool {
                $message { inner: self }.write(bytes)
            }

            fn end(self: Rc<Self>) {
                $message { inner: self }.end();
            }

            fn has(self: Rc<Self>, flags: FlagSet) -> bool {
                // The only flag that a pipe asks a destination for.
                flags == NEED_DRAIN && self.out.needs_drain.get()
            }

            fn needs_drain(self: Rc<Self>) -> bool {
                $message { inner: self }.needs_drain()
            }

            fn on_drain(self: Rc<Self>, f: Box<dyn Fn()>) -> ListenerId {
                self.events.on($events::$Drain, move |_: $message| f())
            }

            fn listen(self: Rc<Self>, listeners: DestListeners) -> Vec<ListenerId> {
                let DestListeners {
                    at_error,
                    at_close,
                    at_finish,
                } = listeners;
                let on_error = move |(message, error): ($message, &Error)| {
                    at_error(); // it removes this listener
                    throw_if_unheard(message.listener_count($events::$Error), error)
                };
                vec![
                    self.events.prepend($events::$Error, on_error),
                    self.events
                        .once($events::$Close, move |_: $message| at_close()),
                    self.events
                        .once($events::$Finish, move |_: $message| at_finish()),
                ]
            }

            fn remove_listener(self: Rc<Self>, id: ListenerId) {
                self.events.off(id);
            }

            fn emit(self: Rc<Self>, event: WriteEvent<'_>) -> Result<(), Thrown> {
                let message = $message {
                    inner: Rc::clone(&self),
                };
                match event {
                    WriteEvent::Pipe(source) => {
                        self.events.emit($events::$Pipe, (message, source.clone()))
                    }
                    WriteEvent::Unpipe(source) => self
                        .events
                        .emit($events::$Unpipe, (message, source.clone())),
                    WriteEvent::Drain | WriteEvent::Prefinish | WriteEvent::Finish => Ok(false),
                }
                .map(drop)
            }
        }
    };
}
pub(super) use outgoing_functions;
