//! The public functions of the readable and the writable half, once for all kinds of streams.

/// The public functions of Node's `Readable`, and the listeners that it watches.
macro_rules! readable_functions {
    ($stream:ident, $event:path) => {
        impl $stream {
            /// Adds a listener. The `on_…` functions do the same for most events, and are shorter.
            ///
            /// A listener of 'data' starts the flow, unless the stream is paused; one of 'readable'
            /// stops it.
            pub fn on<E: $event, O: IntoResult>(
                &self,
                event: E,
                f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
            ) -> ListenerId {
                let id = self.inner.events.on(event, f);
                self.note_listener::<E>();
                id
            }

            /// Like [`on`](Self::on), ahead of all other listeners.
            pub fn prepend<E: $event, O: IntoResult>(
                &self,
                event: E,
                f: impl for<'a> Fn(E::Args<'a>) -> O + 'static,
            ) -> ListenerId {
                let id = self.inner.events.prepend(event, f);
                self.note_listener::<E>();
                id
            }

            /// Adds a listener for the next such event only.
            pub fn once<E: $event, O: IntoResult>(
                &self,
                event: E,
                f: impl for<'a> FnOnce(E::Args<'a>) -> O + 'static,
            ) -> ListenerId {
                // Node removes the listener before it calls it: `f` must find a stream that knows.
                let stream = Rc::downgrade(&self.inner);
                let id = self.inner.events.once(event, move |args: E::Args<'_>| {
                    if let Some(inner) = stream.upgrade() {
                        $stream { inner }.on_listener_removed();
                    }
                    f(args)
                });
                self.note_listener::<E>();
                id
            }

            fn note_listener<E: 'static>(&self) {
                // An event is a type, so its type says which one it is.
                let id = TypeId::of::<E>();
                let is_data = id == TypeId::of::<event::Data>();
                self.on_listener_added(is_data, id == TypeId::of::<event::Readable>());
            }

            /// Removes a listener. Returns false if it was removed already.
            pub fn off(&self, id: ListenerId) -> bool {
                let was_on = self.inner.events.off(id);
                self.on_listener_removed();
                was_on
            }

            /// Removes all listeners of an event.
            pub fn remove_all_listeners<E: $event>(&self, event: E) {
                self.inner.events.remove_all(event);
                self.on_listener_removed();
            }

            /// The number of listeners of an event.
            pub fn listener_count<E: $event>(&self, event: E) -> usize {
                self.inner.events.listener_count(event)
            }

            /// Calls `f` with each line, without its end: `readline.createInterface({ input })` and
            /// its 'line'. A line ends at `\n`, `\r\n` or a `\r` alone, and a last line needs no
            /// end, as in Node; the two bytes of a `\r\n` belong together however late the second
            /// one arrives (Node's `crlfDelay: Infinity`). Bytes that are not UTF-8 become `U+FFFD`;
            /// [`on_byte_lines`](Self::on_byte_lines) leaves them as they are.
            ///
            /// A line of more than `bytes_max` bytes destroys the stream with the error
            /// `ERR_LINE_TOO_LONG`, so a peer that sends no end of a line costs that much memory at
            /// most. A line within one chunk is not copied. After [`pause`](Self::pause) and
            /// [`destroy`](Self::destroy) no further line comes, not even one that has already
            /// arrived.
            ///
            /// A listener of 'data' beside this one receives the bytes behind a line that paused the
            /// stream twice.
            ///
            /// ```
            /// use oneloop::callback::stream::{ReadStream, WriteStream};
            /// use oneloop::callback::{run, Thrown};
            ///
            /// let code = run(|| {
            ///     let (reader, writer) = std::io::pipe()?;
            ///     WriteStream::from_fd(writer)?.end_with("2\n3\r\n4");
            ///     ReadStream::from_fd(reader)?.on_lines(80, |_, line| {
            ///         let number: u32 = line.parse()?;
            ///         assert!((2..=4).contains(&number));
            ///         Ok::<_, Thrown>(())
            ///     });
            ///     Ok::<_, Thrown>(())
            /// })?;
            /// assert_eq!(code, 0);
            /// # Ok::<(), std::io::Error>(())
            /// ```
            #[doc(alias("readline", "readLines", "createInterface"))]
            pub fn on_lines<O: IntoResult>(
                &self,
                bytes_max: usize,
                f: impl Fn($stream, &str) -> O + 'static,
            ) -> &Self {
                let of = $crate::thrown::callback_of(&f);
                // Borrowed, unless something has to be replaced.
                let f =
                    move |stream, line: &[u8]| of.result(f(stream, &String::from_utf8_lossy(line)));
                self.listen_to_pieces(LineSplitter::with_returns(bytes_max), f)
            }

            /// Like [`on_lines`](Self::on_lines), for protocols: the line may hold any bytes, and ends
            /// at `\n` or `\r\n`, not at a `\r` alone.
            ///
            /// A listener that calls `remove_all_listeners(event::Data)` receives no further line:
            /// the bytes behind this one are for the next listener of 'data', as the body is that
            /// follows a head of lines.
            pub fn on_byte_lines<O: IntoResult>(
                &self,
                bytes_max: usize,
                f: impl Fn($stream, &[u8]) -> O + 'static,
            ) -> &Self {
                self.listen_to_pieces(LineSplitter::new(bytes_max), f)
            }

            /// Calls `f` with each frame, without the length in front of it. A frame within one
            /// chunk is not copied. After [`pause`](Self::pause) and [`destroy`](Self::destroy) no
            /// further frame comes, not even one that has already arrived.
            ///
            /// These errors destroy the stream: `ERR_FRAME_TOO_LONG` as soon as the length of a
            /// frame of more than `bytes_max` bytes arrives, `ERR_FRAME_BAD_VARINT`, and
            /// `ERR_FRAME_CUT_OFF` if the stream ends within a frame.
            ///
            /// ```
            /// use oneloop::callback::stream::{ReadStream, WriteStream};
            /// use oneloop::callback::{run, Thrown};
            /// use oneloop::net::LengthPrefix::U32Be;
            ///
            /// let code = run(|| {
            ///     let (reader, writer) = std::io::pipe()?;
            ///     let writer = WriteStream::from_fd(writer)?;
            ///     writer.write_frame(U32Be, "tea");
            ///     writer.write_frame(U32Be, "toast");
            ///     writer.end();
            ///     ReadStream::from_fd(reader)?.on_frames(U32Be, 80, |_, frame| {
            ///         assert!(frame == b"tea" || frame == b"toast");
            ///     });
            ///     Ok::<_, Thrown>(())
            /// })?;
            /// assert_eq!(code, 0);
            /// # Ok::<(), std::io::Error>(())
            /// ```
            #[doc(alias("readUInt32BE", "length-prefixed-stream"))]
            pub fn on_frames<O: IntoResult>(
                &self,
                prefix: LengthPrefix,
                bytes_max: usize,
                f: impl Fn($stream, &[u8]) -> O + 'static,
            ) -> &Self {
                self.listen_to_pieces(FrameSplitter::new(prefix, bytes_max), f)
            }

            fn listen_to_pieces<P: Splitter + 'static, O: IntoResult>(
                &self,
                splitter: P,
                f: impl Fn($stream, &[u8]) -> O + 'static,
            ) -> &Self {
                let of = $crate::thrown::callback_of(&f);
                let on_piece = Box::new(move |stream, piece: &[u8]| of.result(f(stream, piece)));
                let pieces = Rc::new(Pieces::new(splitter, on_piece));
                let at_end = Rc::clone(&pieces);
                let id = self.on(event::Data, move |(stream, bytes): ($stream, &[u8])| {
                    pieces.on_data(&stream, bytes)
                });
                at_end.set_listener(id);
                // Ahead of the program's own listeners: the last line comes before 'end'.
                self.prepend(event::End, move |stream: $stream| at_end.on_end(&stream));
                self
            }

            /// Emits 'data' from the next tick on. Without a listener, the data is dropped.
            #[doc(alias = "uv_read_start")]
            pub fn resume(&self) -> &Self {
                ReadableStream::resume(self);
                self
            }

            /// True after [`pause`](Self::pause), until [`resume`](Self::resume).
            pub fn is_paused(&self) -> bool {
                // Node's `isPaused` also tests `readableFlowing === false`.
                self.inner.flags.has(PAUSED) || self.is_explicitly_paused()
            }

            /// Reads all bytes that wait in the buffer, or one chunk of them while the stream
            /// flows. `None` if there are none: 'readable' is emitted when there are. What is read
            /// is emitted as 'data', too.
            ///
            /// # Panics
            /// When a listener of 'data' throws, with what it throws.
            pub fn read(&self) -> Option<Vec<u8>> {
                or_rethrow(self.read_amount(Amount::Any))
            }

            /// Reads exactly `count` bytes, or, after the end, what is left. `None` while fewer
            /// wait.
            ///
            /// # Panics
            /// When a listener of 'data' throws, with what it throws.
            pub fn read_bytes(&self, count: usize) -> Option<Vec<u8>> {
                or_rethrow(self.read_amount(Amount::Bytes(count)))
            }

            /// True until 'end', `destroy` or an error.
            pub fn is_readable(&self) -> bool {
                let over = DESTROYED | ERROR_EMITTED | END_EMITTED;
                !self.inner.flags.has_any(over)
            }

            /// True after 'end'.
            pub fn is_readable_ended(&self) -> bool {
                self.inner.flags.has(END_EMITTED)
            }

            /// True while the stream flows, false while it does not; `None` before a listener,
            /// `pause` or `resume` has decided: `readable.readableFlowing`.
            pub fn readable_flowing(&self) -> Option<bool> {
                let flags = &self.inner.flags;
                flags.has(HAS_FLOWING).then(|| flags.has(FLOWING))
            }

            /// Bytes that wait in the buffer to be read.
            pub fn readable_length(&self) -> usize {
                self.readable_state().length()
            }

            /// The stream stops reading once this many bytes wait in the buffer.
            pub fn readable_high_water_mark(&self) -> usize {
                self.readable_state().high_water_mark()
            }

            /// Writes all that this stream reads to a socket or a write stream, and ends that one
            /// after this one's end, unless it is the standard output. Pauses this stream while the
            /// other one is full. Returns the other one.
            ///
            /// # Panics
            /// When a listener of 'pipe' throws, with what it throws.
            pub fn pipe<'a, D: Clone + Into<Writable>>(&self, dest: &'a D) -> &'a D {
                pipe(&self.clone().into(), &dest.clone().into(), true);
                dest
            }

            /// Like [`pipe`](Self::pipe), but leaves the other stream open after
            /// this one's end.
            ///
            /// # Panics
            /// As [`pipe`](Self::pipe).
            #[track_caller]
            pub fn pipe_and_keep_open<'a, D: Clone + Into<Writable>>(&self, dest: &'a D) -> &'a D {
                pipe(&self.clone().into(), &dest.clone().into(), false);
                dest
            }

            /// Removes a pipe, and pauses this stream if it was the last one. The other stream
            /// stays open.
            ///
            /// # Panics
            /// When a listener of 'unpipe' or 'pause' throws, with what it throws.
            pub fn unpipe<D: Clone + Into<Writable>>(&self, dest: &D) -> &Self {
                unpipe(&self.clone().into(), &dest.clone().into());
                self
            }

            /// Removes all pipes of this stream, and pauses it.
            ///
            /// # Panics
            /// As [`unpipe`](Self::unpipe).
            #[track_caller]
            pub fn unpipe_all(&self) -> &Self {
                unpipe_all(&self.clone().into());
                self
            }
        }
    };
}
pub(crate) use readable_functions;

/// The public functions of Node's `Writable`.
macro_rules! writable_functions {
    ($stream:ident) => {
        impl $stream {
            /// Writes bytes: the kernel takes what it has room for at once, and the rest waits.
            /// Returns false if the caller should wait for 'drain', or if the stream cannot be
            /// written any more.
            ///
            /// A write after [`end`](Self::end) or
            /// [`destroy`](Self::destroy) is an error, which 'error' reports.
            #[doc(alias = "uv_write")]
            pub fn write(&self, bytes: impl AsRef<[u8]>) -> bool {
                self.write_or_fail(bytes.as_ref(), None)
            }

            /// Like [`write`](Self::write), and calls a function with the result:
            /// `Ok` once the kernel has taken all bytes.
            pub fn write_then<O: IntoResult>(
                &self,
                bytes: impl AsRef<[u8]>,
                written: impl FnOnce(Result<(), Error>) -> O + 'static,
            ) -> bool {
                self.write_or_fail(bytes.as_ref(), Some(then(written)))
            }

            /// Writes a frame behind its length, with one system call, as [`write`](Self::write)
            /// does. [`on_frames`](crate::stream::ReadStream::on_frames) has an example.
            ///
            /// A frame whose length the prefix cannot express is the error `ERR_FRAME_TOO_LONG`,
            /// which 'error' reports.
            #[doc(alias = "writeUInt32BE")]
            pub fn write_frame(&self, prefix: LengthPrefix, frame: impl AsRef<[u8]>) -> bool {
                WritableStream::write_frame(self, prefix, frame.as_ref())
            }

            /// Collects writes, to send them with one system call: undo each call with
            /// [`uncork`](Self::uncork).
            pub fn cork(&self) -> &Self {
                WritableStream::cork(self);
                self
            }

            /// Writes what was collected since [`cork`](Self::cork).
            pub fn uncork(&self) -> &Self {
                WritableStream::uncork(self);
                self
            }

            /// Writes bytes, and then ends the stream.
            pub fn end_with(&self, bytes: impl AsRef<[u8]>) -> &Self {
                self.end_bytes(Some(bytes.as_ref()), None);
                self
            }

            /// Like [`end`](Self::end), and calls a function at 'finish', or with the error that
            /// prevents it. As in Node, it is never called if the stream was destroyed before
            /// without an error, while nothing waited to be written.
            pub fn end_then<O: IntoResult>(
                &self,
                finished: impl FnOnce(Result<(), Error>) -> O + 'static,
            ) -> &Self {
                self.end_bytes(None, Some(then(finished)));
                self
            }

            /// Writes bytes, and then ends as [`end_then`](Self::end_then) does.
            pub fn end_with_then<O: IntoResult>(
                &self,
                bytes: impl AsRef<[u8]>,
                finished: impl FnOnce(Result<(), Error>) -> O + 'static,
            ) -> &Self {
                self.end_bytes(Some(bytes.as_ref()), Some(then(finished)));
                self
            }

            /// True until `end`, `destroy` or an error.
            pub fn is_writable(&self) -> bool {
                !self.inner.flags.has_any(ENDING | DESTROYED | ERRORED)
            }

            /// True after [`end`](Self::end).
            pub fn is_writable_ended(&self) -> bool {
                self.inner.flags.has(ENDING)
            }

            /// True after 'finish'.
            pub fn is_writable_finished(&self) -> bool {
                self.inner.flags.has(FINISHED)
            }

            /// True if the next write should wait for 'drain'.
            pub fn needs_drain(&self) -> bool {
                WritableStream::needs_drain(self)
            }

            /// The number of calls of [`cork`](Self::cork) that were not undone.
            pub fn writable_corked(&self) -> u32 {
                self.writable_state().corked()
            }

            /// The number of bytes that wait in the buffer or belong to the write that is under
            /// way.
            pub fn writable_length(&self) -> usize {
                self.writable_state().length()
            }

            /// A write returns false once this many bytes wait.
            pub fn writable_high_water_mark(&self) -> usize {
                self.writable_state().high_water_mark()
            }
        }
    };
}
pub(crate) use writable_functions;
