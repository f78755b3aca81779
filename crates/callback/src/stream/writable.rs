//! The writable half of every stream: Node's `lib/internal/streams/writable.js`, for bytes.

use super::destroy::{Stream, step};
use super::flags::*;
use super::pieces::bad_frame;
use super::piping::{DestListeners, Readable};
use super::write_queue::{Batch, WritableState, WriteQueue};
use crate::continuation::Then;
use crate::error::Error;
use crate::events::ListenerId;
use crate::thrown::{Thrown, or_rethrow};
use oneloop_net::LengthPrefix;
use std::io::IoSlice;

/// A stream that is written.
///
/// ```text
/// where the bytes are:
///     write ─┬─ nothing is under way ──▶ sink ─┬─ it takes all ──▶ done
///            │                                 └─ WRITING ──on_write_end──▶ done
///            └─ WRITING, corked, OPENING ──▶ buffer ──then all of it at once──▶ sink
///
/// how many wait:
///     below the mark ──a write returns false──▶ NEED_DRAIN ──none──▶ 'drain'
///
/// how it ends:
///     open ──end──▶ ENDING ──none waits──▶ FINAL_CALLED ──on_shut_down──▶ 'prefinish'
///                          (without a final, 'prefinish' follows at once)
///     'prefinish' ──all callbacks were called──▶ FINISHED, 'finish'
///     'finish' ──no readable half is open──▶ destroy
/// ```
///
/// A failed write fails all that waits, and destroys the stream. No callback runs on the stack of
/// `write`.
pub(crate) trait WritableStream: Stream {
    fn writable_state(&self) -> &WritableState;

    /// Hands bytes to the sink: Node's `_write` and `_writev`. Returns the result of the write;
    /// `None` if the sink reports it later, by [`WritableStream::on_write_end`].
    fn write_to_sink(&self, batch: Batch<'_>) -> Option<Result<(), Error>>;

    /// True if the sink has to be ended before 'finish': whether Node's stream has a `_final`.
    fn has_final(&self) -> bool {
        true
    }

    /// Ends the sink: Node's `_final`. It reports that by [`WritableStream::on_shut_down`].
    fn shut_down(&self);

    fn emit_write(&self, event: WriteEvent<'_>) -> Result<(), Thrown>;

    /// True for the standard output and error, which the end of a pipe leaves open.
    fn is_kept_open(&self) -> bool {
        false
    }

    // For pipes, which do not know the kind of their destination.

    fn on_drained(&self, f: Box<dyn Fn()>) -> ListenerId;

    /// Listens to what breaks a pipe.
    fn listen_as_dest(&self, listeners: DestListeners) -> Vec<ListenerId>;

    fn remove_write_listener(&self, id: ListenerId);

    /// Writes, or reports why not by `written` and 'error'. Returns false if the caller should wait
    /// for 'drain', or if the stream cannot be written any more.
    fn write_or_fail(&self, bytes: &[u8], written: Option<Then>) -> bool {
        let bufs = [IoSlice::new(bytes)];
        self.write_batch(Batch::new(&bufs), written)
            .unwrap_or(false)
    }

    /// Writes a frame behind its length.
    fn write_frame(&self, prefix: LengthPrefix, frame: &[u8]) -> bool {
        match prefix.encode(frame.len()) {
            Ok(prefix) => {
                let bufs = [IoSlice::new(&prefix), IoSlice::new(frame)];
                self.write_batch(Batch::new(&bufs), None).unwrap_or(false)
            }
            Err(error) => {
                self.error_or_destroy(bad_frame(error));
                false
            }
        }
    }

    /// Node's `_write` of `writable.js`, with its checks.
    fn write_batch(&self, batch: Batch<'_>, written: Option<Then>) -> Result<bool, Error> {
        let flags = self.flags();
        // In Node's order, which decides the error of a stream that was ended and destroyed.
        let failed = if flags.has(ENDING) {
            Error::write_after_end()
        } else if flags.has(DESTROYED) {
            Error::stream_destroyed("write")
        } else {
            return Ok(self.write_or_buffer(batch, written));
        };
        self.call_soon(written, Err(failed.clone()));
        self.error_or_destroy(failed.clone());
        Err(failed)
    }

    /// Calls the callback of a write or an end in the next tick.
    fn call_soon(&self, written: Option<Then>, result: Result<(), Error>) {
        if let Some(written) = written {
            self.runtime().next_tick(move || written(result));
        }
    }

    /// Node's `writeOrBuffer`.
    fn write_or_buffer(&self, batch: Batch<'_>, written: Option<Then>) -> bool {
        let (flags, state) = (self.flags(), self.writable_state());
        state.add_length(batch.len());
        if flags.has_any(WRITING | ERRORED | OPENING) || state.is_corked() {
            state.buffer(batch, written);
        } else {
            state.add_pending();
            self.dispatch(batch, written.into_iter().collect());
        }
        // Node looks before it writes. Here a write that the kernel took whole leaves nothing to
        // drain.
        let length = state.length();
        let is_low = length < state.high_water_mark() || length == 0;
        if !is_low {
            flags.set(NEED_DRAIN);
        }
        is_low && !flags.has_any(DESTROYED | ERRORED)
    }

    /// Hands bytes to the sink. The result is reported later, never on this stack.
    fn dispatch(&self, batch: Batch<'_>, written: Vec<Then>) {
        let bytes = batch.len();
        self.flags().set(WRITING);
        let Some(result) = self.write_to_sink(batch) else {
            return self.writable_state().wait(|waiting| {
                waiting.underway = bytes;
                waiting.written = written;
            });
        };
        self.end_write(bytes, &result);
        match result {
            Ok(()) => self.after_sync_write(written),
            Err(error) => self.next_call(move |stream| stream.on_write_error(error, written)),
        }
    }

    /// The write that was under way has ended: Node's `onwrite`.
    fn on_write_end(&self, result: Result<(), Error>) -> Result<(), Thrown> {
        let (bytes, written) = self.writable_state().take(|waiting| {
            let underway = std::mem::take(&mut waiting.underway);
            (underway, std::mem::take(&mut waiting.written))
        });
        self.end_write(bytes, &result);
        match result {
            Ok(()) => self.after_write(written),
            Err(error) => self.on_write_error(error, written),
        }
    }

    fn end_write(&self, bytes: usize, result: &Result<(), Error>) {
        self.flags().clear(WRITING);
        self.writable_state().take_length(bytes);
        // The next write starts before the callbacks of this one: Node's `clearBuffer` in
        // `onwrite`.
        match result {
            Ok(()) => self.write_buffered(),
            Err(error) => self.note_error(error),
        }
    }

    fn after_sync_write(&self, written: Vec<Then>) {
        let (flags, state) = (self.flags(), self.writable_state());
        if !written.is_empty() {
            return self.next_call(move |stream| stream.after_write(written));
        }
        let needs_drain = flags.has(NEED_DRAIN) && state.length() == 0;
        // One tick serves all writes of a callback: Node's `afterWriteTickInfo`.
        if needs_drain && !flags.test_and_set(AFTER_WRITE_PENDING) {
            return self.next_step(step!(|stream| stream.after_write(Vec::new())));
        }
        state.end_pending();
        or_rethrow(self.finish_maybe());
    }

    /// Node's `afterWrite`: 'drain' comes before the callbacks.
    fn after_write(&self, written: Vec<Then>) -> Result<(), Thrown> {
        let (flags, state) = (self.flags(), self.writable_state());
        flags.clear(AFTER_WRITE_PENDING);
        if self.needs_drain() && state.length() == 0 {
            flags.clear(NEED_DRAIN);
            self.emit_write(WriteEvent::Drain)?;
        }
        state.end_pending();
        for written in written {
            written(Ok(()))?;
        }
        if flags.has(DESTROYED) {
            self.fail_buffered()?;
        }
        self.finish_maybe()
    }

    /// Node's `onwriteError`.
    fn on_write_error(&self, error: Error, written: Vec<Then>) -> Result<(), Thrown> {
        self.writable_state().end_pending();
        for written in written {
            written(Err(error.clone()))?;
        }
        // Callbacks first, 'error' last: Node's `onwriteError`.
        self.fail_buffered()?;
        self.error_or_destroy(error);
        Ok(())
    }

    /// Node's `clearBuffer`: writes all that waits, together.
    fn write_buffered(&self) {
        let (flags, state) = (self.flags(), self.writable_state());
        let is_kept = flags.has_any(DESTROYED | BUFFER_PROCESSING | OPENING) || state.is_corked();
        if is_kept || !state.has_buffered() {
            return;
        }
        flags.set(BUFFER_PROCESSING);
        let buffered = state.take(|waiting| std::mem::take(&mut waiting.buffered));
        // Together they are one write, and end once.
        (1..buffered.len()).for_each(|_| state.end_pending());
        let (bytes, written): (Vec<_>, Vec<_>) = buffered
            .into_iter()
            .map(|write| (write.bytes, write.written))
            .unzip();
        let bufs: Vec<_> = bytes.iter().map(|bytes| IoSlice::new(bytes)).collect();
        self.dispatch(Batch::new(&bufs), written.into_iter().flatten().collect());
        flags.clear(BUFFER_PROCESSING);
    }

    /// Node's `errorBuffer`: fails all writes and ends that wait.
    fn fail_buffered(&self) -> Result<(), Thrown> {
        let state = self.writable_state();
        if self.flags().has(WRITING) {
            return Ok(()); // the end of that write comes here again
        }
        let error = self.first_error();
        // One by one: a callback may add another.
        while let Some(write) = state.take(WriteQueue::take_first) {
            state.take_length(write.bytes.len());
            if let Some(written) = write.written {
                let error = error.clone();
                written(Err(
                    error.unwrap_or_else(|| Error::stream_destroyed("write"))
                ))?;
            }
        }
        let error = error.unwrap_or_else(|| Error::stream_destroyed("end"));
        self.call_finished(Err(error))
    }

    /// [`Stream::fail_buffered_soon`], for a stream with this half.
    fn fail_waiting_soon(&self) {
        if self.writable_state().has_waiting() {
            self.next_step(step!(Self::fail_buffered));
        }
    }

    fn call_finished(&self, result: Result<(), Error>) -> Result<(), Thrown> {
        // Taken first: a callback may call `end` again.
        let finished = self
            .writable_state()
            .take(|waiting| std::mem::take(&mut waiting.finished));
        finished
            .into_iter()
            .try_for_each(|finished| finished(result.clone()))
    }

    fn cork(&self) {
        let corked = &self.writable_state().corked;
        corked.set(corked.get() + 1);
    }

    fn uncork(&self) {
        let corked = &self.writable_state().corked;
        if corked.get() > 0 {
            corked.set(corked.get() - 1);
            if !self.flags().has(WRITING) {
                self.write_buffered();
            }
        }
    }

    /// Writes bytes, then ends. `finished` is called at 'finish', or with the reason why there is
    /// none.
    fn end_bytes(&self, bytes: Option<&[u8]>, finished: Option<Then>) {
        let failed = bytes.and_then(|bytes| {
            let bufs = [IoSlice::new(bytes)];
            self.write_batch(Batch::new(&bufs), None).err()
        });
        let failed = self.end_stream(failed);
        if let Some(finished) = finished {
            self.call_at_finish(failed, finished);
        }
    }

    /// Node's `Writable.prototype.end`. Returns the reason if the stream cannot end.
    fn end_stream(&self, failed: Option<Error>) -> Option<Error> {
        let (flags, state) = (self.flags(), self.writable_state());
        // `end` undoes every `cork`, or the end would wait forever.
        if state.is_corked() {
            state.corked.set(1);
            self.uncork();
        }
        if failed.is_some() {
            return failed;
        }
        if !flags.has_any(ENDING | ERRORED) {
            flags.set(ENDING);
            or_rethrow(self.finish_maybe());
            None
        } else if flags.has(FINISHED) {
            let message = "Cannot call end after a stream was finished";
            Some(Error::new("ERR_STREAM_ALREADY_FINISHED", message))
        } else if flags.has(DESTROYED) {
            Some(Error::stream_destroyed("end"))
        } else {
            None
        }
    }

    fn call_at_finish(&self, failed: Option<Error>, finished: Then) {
        let flags = self.flags();
        let errored = || self.first_error().filter(|_| flags.has(ERRORED));
        match failed.or_else(errored) {
            Some(error) => self.call_soon(Some(finished), Err(error)),
            None if flags.has(FINISHED) => self.call_soon(Some(finished), Ok(())),
            None if self.has_ended() => drop(finished), // it may own the stream
            None => {
                let state = self.writable_state();
                state.wait(|waiting| waiting.finished.push(finished));
            }
        }
    }

    /// Node's `needFinish`.
    fn needs_finish(&self) -> bool {
        let (flags, state) = (self.flags(), self.writable_state());
        let is_kept =
            DESTROYED | FINISHED | WRITING | OPENING | ERROR_EMITTED | CLOSE_EMITTED | ERRORED;
        flags.has(ENDING) && !flags.has_any(is_kept) && !state.has_buffered() && state.length() == 0
    }

    /// Node's `finishMaybe`: 'finish' comes in a tick, as the caller of `end` may still add a
    /// listener of it.
    fn finish_maybe(&self) -> Result<(), Thrown> {
        self.prefinish()?;
        if self.needs_finish() && self.writable_state().pending.get() == 0 {
            self.writable_state().add_pending();
            self.next_step(step!(|stream| {
                if stream.needs_finish() {
                    stream.finish()
                } else {
                    stream.writable_state().end_pending();
                    Ok(())
                }
            }));
        }
        Ok(())
    }

    /// Node's `prefinish`: once everything is written, ends the sink. 'finish' waits until the
    /// callbacks of all writes were called, too.
    fn prefinish(&self) -> Result<(), Thrown> {
        let flags = self.flags();
        if !self.needs_finish() || flags.has_any(PREFINISHED | FINAL_CALLED) {
            return Ok(());
        }
        if self.has_final() {
            // The final counts as pending until it is reported: 'finish' waits for it.
            flags.set(FINAL_CALLED);
            self.writable_state().add_pending();
            self.shut_down();
            Ok(())
        } else {
            flags.set(PREFINISHED);
            self.emit_write(WriteEvent::Prefinish)
        }
    }

    /// The sink has ended.
    fn on_shut_down(&self) -> Result<(), Thrown> {
        self.writable_state().end_pending();
        if self.needs_finish() && !self.flags().test_and_set(PREFINISHED) {
            self.emit_write(WriteEvent::Prefinish)?;
            self.writable_state().add_pending();
            self.next_step(step!(Self::finish));
        }
        Ok(())
    }

    /// The sink cannot end.
    fn on_not_shut_down(&self, error: Error) -> Result<(), Thrown> {
        self.writable_state().end_pending();
        self.destroy_for(Some(error));
        Ok(())
    }

    fn finish(&self) -> Result<(), Thrown> {
        let flags = self.flags();
        self.writable_state().end_pending();
        flags.set(FINISHED);
        // Node's `finish` calls the callbacks of `end` before it emits 'finish'.
        self.call_finished(Ok(()))?;
        self.emit_write(WriteEvent::Finish)?;
        // Node's `autoDestroy`: a stream without a readable half has emitted 'end' from the start.
        if flags.has(END_EMITTED) {
            self.destroy_for(None);
        }
        Ok(())
    }

    /// True if a write has returned false, and 'drain' can still follow.
    fn needs_drain(&self) -> bool {
        self.flags().has(NEED_DRAIN) && !self.flags().has_any(DESTROYED | ENDING)
    }
}

/// What the writable half emits.
pub(crate) enum WriteEvent<'a> {
    Drain,
    Prefinish,
    Finish,
    Pipe(&'a Readable),
    Unpipe(&'a Readable),
}

/// An error that only the pipe has listened to is thrown, as if nothing had.
pub(crate) fn throw_if_unheard(other_listeners: usize, error: &Error) -> Result<(), Thrown> {
    match other_listeners {
        0 => Err(error.clone().into()),
        _ => Ok(()),
    }
}

/// The part of [`WritableStream`] that names event types, for a stream with `inner.events` and a
/// module with its events.
macro_rules! emits_writing {
    ($stream:ident, $event:ident, $error:ident, $close:ident) => {
        fn emit_write(&self, event: WriteEvent<'_>) -> Result<(), Thrown> {
            let (events, stream) = (&self.inner.events, self.clone());
            match event {
                WriteEvent::Drain => events.emit($event::Drain, stream),
                WriteEvent::Prefinish => events.emit($event::Prefinish, stream),
                WriteEvent::Finish => events.emit($event::Finish, stream),
                WriteEvent::Pipe(source) => events.emit($event::Pipe, (stream, source.clone())),
                WriteEvent::Unpipe(source) => events.emit($event::Unpipe, (stream, source.clone())),
            }
            .map(drop)
        }

        fn on_drained(&self, f: Box<dyn Fn()>) -> ListenerId {
            self.inner.events.on($event::Drain, move |_: $stream| f())
        }

        fn listen_as_dest(&self, listeners: DestListeners) -> Vec<ListenerId> {
            let events = &self.inner.events;
            let DestListeners {
                at_error,
                at_close,
                at_finish,
            } = listeners;
            let on_error = move |(stream, error): ($stream, &Error)| {
                at_error(); // it removes this listener
                throw_if_unheard(stream.inner.events.listener_count($event::$error), error)
            };
            let on_close = move |_: <$event::$close as EmitterEvent>::Args<'_>| at_close();
            vec![
                events.prepend($event::$error, on_error),
                events.once($event::$close, on_close),
                events.once($event::Finish, move |_: $stream| at_finish()),
            ]
        }

        fn remove_write_listener(&self, id: ListenerId) {
            self.inner.events.off(id);
        }
    };
}
pub(crate) use emits_writing;
