//! The readable half of every stream: Node's `lib/internal/streams/readable.js`, for bytes.

use super::destroy::{Stream, step};
use super::flags::*;
use crate::events::ListenerId;
use crate::stream::piping::Pipes;
use crate::thrown::{Thrown, or_rethrow};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// A stream that is read, by events or by calls of `read`.
///
/// ```text
/// reading:
///     idle ──'data' listener, resume──▶ flowing ──pause──▶ paused
///      │                                  ▲──────resume──────┘
///      └──'readable' listener──▶ read by calls
///
/// where the bytes are (READING: data was requested, and none has arrived since):
///     read ──room below the mark──▶ read_start ──▶ READING ──▶ push
///     push ─┬─ flowing, and nothing waits ──▶ 'data'
///           └─ else ──▶ buffer ──▶ 'readable', or the flow ──▶ read takes it, and emits 'data'
///
/// how it ends:
///     open ──push_end──▶ READ_ENDED ──the buffer is empty──▶ (a tick) ──▶ END_EMITTED
///     END_EMITTED ─┬─ no writable half is open ──▶ destroy
///                  └─ one is: it ends, unless ALLOW_HALF_OPEN
/// ```
///
/// The source behind it (a socket's handle, a file, a pipe) delivers on its own once it was
/// started: it calls [`push`](ReadableStream::push) until that returns false, and
/// [`push_end`](ReadableStream::push_end) at its end.
pub(crate) trait ReadableStream: Stream {
    /// True if a paused stream fills its buffer up to the high-water mark. False if it leaves the
    /// bytes to the kernel, which makes the writer wait: Node's `process.stdin`, whose handle stops
    /// at `pause`.
    const FILLS_WHILE_PAUSED: bool;

    /// True if the stream is a destination of pipes, too.
    const IS_DUPLEX: bool;

    fn readable_state(&self) -> &ReadableState;

    /// Starts the source: Node's `_read`. It delivers later, never on this stack.
    fn read_start(&self);

    fn read_stop(&self);

    /// True while the source delivers on its own.
    fn is_source_reading(&self) -> bool;

    fn emit_read(&self, event: ReadEvent<'_>) -> Result<(), Thrown>;

    fn data_listener_count(&self) -> usize;

    fn readable_listener_count(&self) -> usize;

    // For pipes, which do not know the kind of their source.

    fn on_data_bytes(&self, f: BytesListener) -> ListenerId;

    fn once_end(&self, f: Box<dyn FnOnce()>) -> ListenerId;

    fn remove_read_listener(&self, id: ListenerId);

    fn has_read_listener(&self, id: ListenerId) -> bool;

    /// Reads or changes the pipes that start here.
    fn with_pipes<T>(&self, f: impl FnOnce(&mut Pipes) -> T) -> T;

    /// Data was emitted or read, so no pipe has to drain first.
    fn forget_awaited_drains(&self);

    /// Starts the flow, or 'readable', when a listener was added: Node's `Readable.prototype.on`.
    fn on_listener_added(&self, is_data: bool, is_readable: bool) {
        let flags = self.flags();
        if is_data {
            flags.set(DATA_LISTENING);
            if self.readable_listener_count() > 0 {
                flags.set(READABLE_LISTENING);
            }
            if !self.is_explicitly_paused() {
                ReadableStream::resume(self);
            }
        } else if is_readable && !flags.has_any(END_EMITTED | READABLE_LISTENING) {
            // 'readable' wins over 'data', as in Node: the stream stops flowing.
            flags.set(READABLE_LISTENING | NEED_READABLE | HAS_FLOWING);
            flags.clear(FLOWING | EMITTED_READABLE);
            if self.readable_state().length() > 0 {
                self.emit_readable_soon();
            } else if !flags.has(READING) {
                self.next_step(step!(|stream| stream.read_nothing()));
            }
        }
    }

    /// Re-checks which events have listeners.
    fn on_listener_removed(&self) {
        // The flow continues, as in Node, and drops its data.
        if self.data_listener_count() == 0 {
            self.flags().clear(DATA_LISTENING);
        }
        if self.flags().has(READABLE_LISTENING) && self.readable_listener_count() == 0 {
            // In a tick, as in Node: the caller may replace the listener before that.
            self.next_step(step!(|stream| {
                stream.update_readable_listening();
                Ok(())
            }));
        }
    }

    /// Node's `updateReadableListening`.
    fn update_readable_listening(&self) {
        let flags = self.flags();
        let has_listeners = self.readable_listener_count() > 0;
        flags.put(READABLE_LISTENING, has_listeners);
        if flags.has(HAS_PAUSED | RESUME_SCHEDULED) && !flags.has(PAUSED) {
            // Now, or the resume that is scheduled would not flow.
            flags.set(HAS_FLOWING | FLOWING);
        } else if flags.has(DATA_LISTENING) {
            ReadableStream::resume(self);
        } else if !has_listeners {
            flags.clear(HAS_FLOWING | FLOWING);
        }
    }

    fn is_explicitly_paused(&self) -> bool {
        self.flags().has(HAS_FLOWING) && !self.flags().has(FLOWING)
    }

    fn pause(&self) {
        let flags = self.flags();
        if !self.is_explicitly_paused() {
            flags.set(HAS_FLOWING);
            flags.clear(FLOWING);
            or_rethrow(self.emit_read(ReadEvent::Pause));
        }
        flags.set(HAS_PAUSED | PAUSED);
        // A listener of 'pause' may have resumed the stream.
        if !Self::FILLS_WHILE_PAUSED && !flags.has(FLOWING) {
            flags.clear(READING);
            self.read_stop();
        }
    }

    fn resume(&self) {
        let flags = self.flags();
        if !flags.has(FLOWING) {
            flags.set(HAS_FLOWING);
            // A listener of 'readable' stays in control: it calls `read`.
            flags.put(FLOWING, !flags.has(READABLE_LISTENING));
            if !flags.test_and_set(RESUME_SCHEDULED) {
                self.next_step(step!(Self::resume_now));
            }
        }
        flags.set(HAS_PAUSED);
        flags.clear(PAUSED);
    }

    /// Node's `resume_`: emits 'resume' even if the stream was paused or destroyed meanwhile.
    fn resume_now(&self) -> Result<(), Thrown> {
        let flags = self.flags();
        if !flags.has(READING) {
            self.read_nothing()?;
        }
        flags.clear(RESUME_SCHEDULED);
        self.emit_read(ReadEvent::Resume)?;
        self.flow()?;
        // `flow` has emptied the buffer: the source has to continue.
        if flags.has(FLOWING) && !flags.has(READING) {
            self.read_nothing()?;
        }
        Ok(())
    }

    fn flow(&self) -> Result<(), Thrown> {
        while self.flags().has(FLOWING) && self.read_amount(Amount::Any)?.is_some() {}
        Ok(())
    }

    /// `read(0)`: asks the source for more, or schedules the end.
    fn read_nothing(&self) -> Result<(), Thrown> {
        self.read_amount(Amount::Bytes(0)).map(drop)
    }

    /// Node's `Readable.prototype.read`.
    fn read_amount(&self, amount: Amount) -> Result<Option<Vec<u8>>, Thrown> {
        let (flags, state) = (self.flags(), self.readable_state());
        state.raise_mark_for(amount);
        if amount != Amount::Bytes(0) {
            flags.clear(EMITTED_READABLE);
        } else if flags.has(NEED_READABLE) && self.has_enough_to_emit() {
            // `read(0)` on a full buffer must only repeat 'readable', or the mark would be no
            // limit.
            if state.length() == 0 && flags.has(READ_ENDED) {
                self.end_readable();
            } else {
                self.emit_readable_soon();
            }
            return Ok(None);
        }
        let mut count = self.how_much(amount);
        if count == 0 && flags.has(READ_ENDED) {
            if state.length() == 0 {
                self.end_readable();
            }
            return Ok(None);
        }
        if self.wants_more(amount, count) {
            flags.set(READING | READ_SYNC);
            if state.length() == 0 {
                flags.set(NEED_READABLE);
            }
            self.read_start();
            flags.clear(READ_SYNC);
            if !flags.has(READING) {
                count = self.how_much(amount);
            }
        }
        let taken = (count > 0).then(|| state.take(count));
        self.note_taken(amount, taken.as_deref());
        if let Some(taken) = &taken
            && !flags.has_any(ERROR_EMITTED | CLOSE_EMITTED)
        {
            self.emit_read(ReadEvent::Data(taken))?;
        }
        Ok(taken)
    }

    fn note_taken(&self, amount: Amount, taken: Option<&[u8]>) {
        let (flags, state) = (self.flags(), self.readable_state());
        if taken.is_some() {
            self.forget_awaited_drains();
        } else if state.length() <= state.high_water_mark() {
            flags.set(NEED_READABLE);
        }
        if state.length() == 0 {
            let count = taken.map_or(0, <[u8]>::len);
            if !flags.has(READ_ENDED) {
                flags.set(NEED_READABLE);
            } else if amount != Amount::Bytes(count) {
                self.end_readable();
            }
        }
    }

    fn has_enough_to_emit(&self) -> bool {
        self.readable_state().is_full() || self.flags().has(READ_ENDED)
    }

    /// Node's `howMuchToRead`.
    fn how_much(&self, amount: Amount) -> usize {
        let (flags, state) = (self.flags(), self.readable_state());
        match amount {
            // A stream that flows emits the chunks as they arrived, one at a time.
            Amount::Any if flags.has(FLOWING) && state.length() > 0 => state.first_len(),
            Amount::Any => state.length(),
            Amount::Bytes(count) if count <= state.length() => count,
            Amount::Bytes(_) if flags.has(READ_ENDED) => state.length(),
            Amount::Bytes(_) => 0,
        }
    }

    /// True if taking `count` bytes makes room, and the source can deliver more.
    fn wants_more(&self, amount: Amount, count: usize) -> bool {
        let (flags, state) = (self.flags(), self.readable_state());
        if flags.has_any(READING | READ_ENDED | DESTROYED | ERRORED) {
            return false;
        }
        // `read(0)` is the machine's own wish; `read(n)` is the caller's, and wakes a paused
        // source.
        if amount == Amount::Bytes(0) && self.leaves_data_to_kernel() {
            return false;
        }
        let left = state.length() - count.min(state.length());
        flags.has(NEED_READABLE) || state.length() == 0 || left < state.high_water_mark()
    }

    fn leaves_data_to_kernel(&self) -> bool {
        !Self::FILLS_WHILE_PAUSED && self.flags().has(PAUSED) && !self.flags().has(FLOWING)
    }

    /// Takes what the source has read. Returns false when that is enough for now.
    fn push(&self, chunk: &[u8]) -> Result<bool, Thrown> {
        let flags = self.flags();
        if flags.has_any(DESTROYED | ERRORED) {
            return Ok(false);
        }
        flags.clear(READING);
        // Cleared before listeners run: they may call `read`, which asks the source again.
        self.add_chunk(chunk)?;
        let state = self.readable_state();
        let has_room = state.is_below_mark() || state.length() == 0;
        Ok(!flags.has(READ_ENDED) && has_room && !self.leaves_data_to_kernel())
    }

    /// Gives bytes back that were emitted, ahead of all others, to be emitted again.
    fn unshift(&self, bytes: &[u8]) {
        let flags = self.flags();
        if bytes.is_empty() || flags.has_any(DESTROYED | ERRORED) {
            return;
        }
        self.readable_state().unshift(bytes);
        // A paused stream waits for `resume`.
        if flags.has(FLOWING) {
            self.next_step(step!(Self::flow));
        }
    }

    /// Node's `addChunk`.
    fn add_chunk(&self, chunk: &[u8]) -> Result<(), Thrown> {
        let (flags, state) = (self.flags(), self.readable_state());
        let is_emitted = flags.has(FLOWING | DATA_LISTENING) && !flags.has(READ_SYNC);
        if is_emitted && state.length() == 0 {
            // The way of most data: no copy, no buffer.
            self.forget_awaited_drains();
            self.emit_read(ReadEvent::Data(chunk))?;
        } else {
            state.push(chunk);
            if flags.has(NEED_READABLE) {
                self.emit_readable_soon();
            }
        }
        self.read_more_soon();
        Ok(())
    }

    /// The source has read its end: Node's `onEofChunk`.
    fn push_end(&self) -> Result<(), Thrown> {
        let flags = self.flags();
        flags.clear(READING);
        if flags.test_and_set(READ_ENDED) {
            return Ok(());
        }
        if flags.has(READ_SYNC) {
            self.emit_readable_soon();
            return Ok(());
        }
        flags.clear(NEED_READABLE);
        flags.set(EMITTED_READABLE);
        self.emit_readable()
    }

    fn emit_readable_soon(&self) {
        self.flags().clear(NEED_READABLE);
        if !self.flags().test_and_set(EMITTED_READABLE) {
            self.next_step(step!(Self::emit_readable));
        }
    }

    /// Node's `emitReadable_`.
    fn emit_readable(&self) -> Result<(), Thrown> {
        let (flags, state) = (self.flags(), self.readable_state());
        let has_news = state.length() > 0 || flags.has(READ_ENDED);
        if !flags.has_any(DESTROYED | ERRORED) && has_news {
            self.emit_read(ReadEvent::Readable)?;
            flags.clear(EMITTED_READABLE);
        }
        // Without a flow, the next data has to emit 'readable' again; a full buffer does so when it
        // was read.
        let is_low = state.length() <= state.high_water_mark();
        if !flags.has_any(FLOWING | READ_ENDED) && is_low {
            flags.set(NEED_READABLE);
        }
        self.flow()
    }

    /// Asks the source for more, in the next tick: Node's `maybeReadMore`.
    fn read_more_soon(&self) {
        let (flags, state) = (self.flags(), self.readable_state());
        if flags.has(READING_MORE) {
            return;
        }
        // A source that keeps reading, and was just emptied, needs no request. Noting that at once,
        // rather than in a tick, saves a tick for each chunk.
        let is_clear = state.length() == 0 && !flags.has_any(READ_ENDED | DESTROYED | ERRORED);
        if is_clear && self.is_source_reading() {
            flags.set(READING | NEED_READABLE);
        } else {
            flags.set(READING_MORE);
            self.next_step(step!(Self::read_more));
        }
    }

    /// Node's `maybeReadMore_`: asks the source for more, while there is room.
    fn read_more(&self) -> Result<(), Thrown> {
        let (flags, state) = (self.flags(), self.readable_state());
        while !flags.has_any(READING | READ_ENDED)
            && (state.is_below_mark() || (flags.has(FLOWING) && state.length() == 0))
        {
            let before = state.length();
            self.read_nothing()?;
            if state.length() == before {
                break; // the source delivers later
            }
        }
        flags.clear(READING_MORE);
        Ok(())
    }

    fn end_readable(&self) {
        if !self.flags().has(END_EMITTED) {
            self.flags().set(READ_ENDED);
            self.next_step(step!(Self::emit_end));
        }
    }

    /// Node's `endReadableNT`.
    fn emit_end(&self) -> Result<(), Thrown> {
        let flags = self.flags();
        let is_over = flags.has_any(ERRORED | CLOSE_EMITTED | END_EMITTED);
        if is_over || self.readable_state().length() > 0 {
            return Ok(());
        }
        flags.set(END_EMITTED);
        // Before 'end' is emitted: net.js has added its listener (`onReadableStreamEnd`) first.
        let may_stay_open = flags.has(ALLOW_HALF_OPEN);
        if !may_stay_open {
            flags.set(WRITE_AFTER_FIN);
        }
        self.emit_read(ReadEvent::End)?;
        if self.flags().has_any(ENDING | DESTROYED | ERRORED) || may_stay_open {
            // Node's `autoDestroy`: a stream without a writable half has finished from the start.
            if flags.has(FINISHED) {
                self.destroy_for(None);
            }
        } else {
            self.next_step(step!(|stream| {
                stream.end_writable();
                Ok(())
            }));
        }
        Ok(())
    }
}

/// What waits to be read, and how much may.
pub(crate) struct ReadableState {
    high_water_mark: Cell<usize>,
    length: Cell<usize>,
    /// Chunks in the order in which they arrived. Boxed, because most streams have none most of the
    /// time.
    chunks: RefCell<Option<Box<Chunks>>>,
}

#[derive(Default)]
struct Chunks(VecDeque<Vec<u8>>);

/// `read(n)` raises the high-water mark up to this many bytes, as in Node.
const HIGH_WATER_MARK_MAX: usize = 1 << 30;

impl ReadableState {
    pub(crate) fn new(high_water_mark: usize) -> Self {
        ReadableState {
            high_water_mark: Cell::new(high_water_mark),
            length: Cell::new(0),
            chunks: RefCell::default(),
        }
    }

    /// Bytes that wait.
    pub(crate) fn length(&self) -> usize {
        self.length.get()
    }

    pub(crate) fn high_water_mark(&self) -> usize {
        self.high_water_mark.get()
    }

    /// Raises the mark for a read of more bytes than may wait, which would otherwise wait forever:
    /// Node's `computeNewHighWaterMark`.
    fn raise_mark_for(&self, amount: Amount) {
        if let Amount::Bytes(count) = amount
            && count > self.high_water_mark.get()
        {
            let mark = count.min(HIGH_WATER_MARK_MAX).next_power_of_two();
            self.high_water_mark.set(mark);
        }
    }

    fn is_below_mark(&self) -> bool {
        self.length.get() < self.high_water_mark.get()
    }

    fn is_full(&self) -> bool {
        match self.high_water_mark.get() {
            // A mark of 0 still allows one chunk, or nothing would ever be read.
            0 => self.length.get() > 0,
            mark => self.length.get() >= mark,
        }
    }

    fn push(&self, chunk: &[u8]) {
        self.length.set(self.length.get() + chunk.len());
        let mut chunks = self.chunks.borrow_mut();
        chunks.get_or_insert_default().0.push_back(chunk.to_vec());
    }

    fn unshift(&self, bytes: &[u8]) {
        self.length.set(self.length.get() + bytes.len());
        let mut chunks = self.chunks.borrow_mut();
        chunks.get_or_insert_default().0.push_front(bytes.to_vec());
    }

    fn first_len(&self) -> usize {
        let chunks = self.chunks.borrow();
        let first = chunks.as_ref().and_then(|chunks| chunks.0.front());
        first.map_or(0, Vec::len)
    }

    /// Takes `count` bytes off the front. The buffer holds at least as many.
    fn take(&self, count: usize) -> Vec<u8> {
        self.length.set(self.length.get() - count);
        let mut buffer = self.chunks.borrow_mut();
        let Some(Chunks(chunks)) = buffer.as_deref_mut() else {
            return Vec::new();
        };
        let mut taken = chunks.pop_front().unwrap_or_default();
        while taken.len() < count {
            taken.extend(chunks.pop_front().unwrap_or_default());
        }
        if taken.len() > count {
            chunks.push_front(taken.split_off(count));
        }
        if chunks.is_empty() {
            *buffer = None;
        }
        taken
    }
}

/// How much `read` takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    /// All that waits; while the stream flows, one chunk.
    Any,
    Bytes(usize),
}

/// A listener of 'data' that needs only the bytes.
pub(crate) type BytesListener = Box<dyn Fn(&[u8])>;

/// What the readable half emits.
pub(crate) enum ReadEvent<'a> {
    Data(&'a [u8]),
    Readable,
    End,
    Pause,
    Resume,
}

/// The part of [`ReadableStream`] that names event types, for a stream with `inner.events` and a
/// module with its events.
macro_rules! emits_reading {
    ($stream:ident, $event:ident) => {
        fn emit_read(&self, event: ReadEvent<'_>) -> Result<(), Thrown> {
            let (events, stream) = (&self.inner.events, self.clone());
            match event {
                ReadEvent::Data(bytes) => events.emit($event::Data, (stream, bytes)),
                ReadEvent::Readable => events.emit($event::Readable, stream),
                ReadEvent::End => events.emit($event::End, stream),
                ReadEvent::Pause => events.emit($event::Pause, stream),
                ReadEvent::Resume => events.emit($event::Resume, stream),
            }
            .map(drop)
        }

        fn data_listener_count(&self) -> usize {
            self.inner.events.listener_count($event::Data)
        }

        fn readable_listener_count(&self) -> usize {
            self.inner.events.listener_count($event::Readable)
        }

        fn on_data_bytes(&self, f: BytesListener) -> ListenerId {
            self.on($event::Data, move |(_, bytes): ($stream, &[u8])| f(bytes))
        }

        fn once_end(&self, f: Box<dyn FnOnce()>) -> ListenerId {
            self.inner.events.once($event::End, |_: $stream| f())
        }

        fn remove_read_listener(&self, id: ListenerId) {
            self.off(id);
        }

        fn has_read_listener(&self, id: ListenerId) -> bool {
            self.inner.events.has(id)
        }
    };
}
pub(crate) use emits_reading;
