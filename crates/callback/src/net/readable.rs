//! The readable half of a socket: Node's `lib/internal/streams/readable.js`, as far as bytes go.
//!
//! Data is told as it comes while the stream flows and nothing waits; else it waits in the buffer, up
//! to the high-water mark, and then the handle stops reading.

use super::event;
use super::flags::*;
use super::socket::{Socket, step};
use crate::error::Error;
use crate::thrown::{Thrown, or_rethrow};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// What waits to be read.
pub(super) struct Reading {
    pub(super) high_water_mark: Cell<usize>,
    length: Cell<usize>,
    /// Only while there is something in it.
    buffer: RefCell<Option<Box<Buffer>>>,
}

/// Chunks in the order in which they came.
#[derive(Default)]
struct Buffer {
    chunks: VecDeque<Vec<u8>>,
}

impl Reading {
    pub(super) fn new(high_water_mark: usize) -> Self {
        Reading {
            high_water_mark: Cell::new(high_water_mark),
            length: Cell::new(0),
            buffer: RefCell::default(),
        }
    }

    pub(super) fn length(&self) -> usize {
        self.length.get()
    }

    fn is_below_mark(&self) -> bool {
        self.length.get() < self.high_water_mark.get()
    }

    fn push(&self, chunk: &[u8]) {
        self.length.set(self.length.get() + chunk.len());
        let mut buffer = self.buffer.borrow_mut();
        let chunks = &mut buffer.get_or_insert_default().chunks;
        chunks.push_back(chunk.to_vec());
    }

    fn first_len(&self) -> usize {
        let buffer = self.buffer.borrow();
        let first = buffer.as_ref().and_then(|buffer| buffer.chunks.front());
        first.map_or(0, Vec::len)
    }

    /// Takes so many bytes, which are there, off the front.
    fn take(&self, count: usize) -> Vec<u8> {
        self.length.set(self.length.get() - count);
        let mut buffer = self.buffer.borrow_mut();
        let Some(Buffer { chunks }) = buffer.as_deref_mut() else {
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

/// More than this is never read ahead, as in Node.
const HIGH_WATER_MARK_MAX: usize = 1 << 30;

/// How much to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Amount {
    /// What waits; while the stream flows, a chunk of it.
    Any,
    Bytes(usize),
}

impl Socket {
    /// Has the stream flow, or tell that it is readable, now that somebody listens.
    pub(super) fn on_listener_added(&self, is_data: bool, is_readable: bool) {
        let flags = &self.inner.flags;
        if is_data {
            flags.set(DATA_LISTENING);
            if self.inner.events.listener_count(event::Readable) > 0 {
                flags.set(READABLE_LISTENING);
            }
            if !self.is_explicitly_paused() {
                self.resume();
            }
        } else if is_readable && !flags.has_any(END_EMITTED | READABLE_LISTENING) {
            flags.set(READABLE_LISTENING | NEED_READABLE | HAS_FLOWING);
            flags.clear(FLOWING | EMITTED_READABLE);
            if self.inner.reading.length() > 0 {
                self.emit_readable_soon();
            } else if !flags.has(READING) {
                self.next_tick(step!(|socket| socket.read_nothing()));
            }
        }
    }

    /// Looks anew who listens.
    pub(super) fn on_listener_removed(&self) {
        if self.inner.events.listener_count(event::Data) == 0 {
            self.inner.flags.clear(DATA_LISTENING);
        }
        if self.inner.flags.has(READABLE_LISTENING)
            && self.inner.events.listener_count(event::Readable) == 0
        {
            self.next_tick(step!(|socket| {
                socket.update_readable_listening();
                Ok(())
            }));
        }
    }

    fn update_readable_listening(&self) {
        let flags = &self.inner.flags;
        let is_heard = self.inner.events.listener_count(event::Readable) > 0;
        flags.put(READABLE_LISTENING, is_heard);
        if flags.has(HAS_PAUSED | RESUME_SCHEDULED) && !flags.has(PAUSED) {
            flags.set(HAS_FLOWING | FLOWING);
        } else if flags.has(DATA_LISTENING) {
            self.resume();
        } else if !is_heard {
            flags.clear(HAS_FLOWING | FLOWING);
        }
    }

    fn is_explicitly_paused(&self) -> bool {
        self.inner.flags.has(HAS_FLOWING) && !self.inner.flags.has(FLOWING)
    }

    /// True after [`Socket::pause`], until [`Socket::resume`].
    pub fn is_paused(&self) -> bool {
        self.inner.flags.has(PAUSED) || self.is_explicitly_paused()
    }

    /// Has 'data' be told no more. What comes meanwhile waits in the buffer, and beyond the
    /// high-water mark in the kernel and then at the peer.
    ///
    /// # Panics
    /// When a listener of 'pause' throws, with what it throws: in JavaScript `pause()` throws it.
    pub fn pause(&self) -> &Self {
        let flags = &self.inner.flags;
        if !self.is_explicitly_paused() {
            flags.set(HAS_FLOWING);
            flags.clear(FLOWING);
            or_rethrow(self.emit(event::Pause, self.clone()));
        }
        flags.set(HAS_PAUSED | PAUSED);
        self
    }

    /// Has 'data' be told, from the next tick on. Without a listener, what comes is dropped.
    pub fn resume(&self) -> &Self {
        let flags = &self.inner.flags;
        if !flags.has(FLOWING) {
            flags.set(HAS_FLOWING);
            flags.put(FLOWING, !flags.has(READABLE_LISTENING));
            if !flags.test_and_set(RESUME_SCHEDULED) {
                self.next_tick(step!(Socket::resume_now));
            }
        }
        flags.set(HAS_PAUSED);
        flags.clear(PAUSED);
        self
    }

    fn resume_now(&self) -> Result<(), Thrown> {
        let flags = &self.inner.flags;
        if !flags.has(READING) {
            self.read_nothing()?;
        }
        flags.clear(RESUME_SCHEDULED);
        self.emit(event::Resume, self.clone())?;
        self.flow()?;
        if flags.has(FLOWING) && !flags.has(READING) {
            self.read_nothing()?;
        }
        Ok(())
    }

    fn flow(&self) -> Result<(), Thrown> {
        while self.inner.flags.has(FLOWING) && self.read_amount(Amount::Any)?.is_some() {}
        Ok(())
    }

    /// Reads what waits in the buffer: all of it, or, while the stream flows, a chunk. `None` if nothing
    /// does; 'readable' tells when something does again. What is read is told as 'data', too.
    ///
    /// # Panics
    /// When a listener of 'data' throws, with what it throws.
    pub fn read(&self) -> Option<Vec<u8>> {
        or_rethrow(self.read_amount(Amount::Any))
    }

    /// Reads just so many bytes, or, after the peer's end, what is left.
    ///
    /// # Panics
    /// When a listener of 'data' throws, with what it throws.
    pub fn read_bytes(&self, count: usize) -> Option<Vec<u8>> {
        or_rethrow(self.read_amount(Amount::Bytes(count)))
    }

    /// `read(0)`: sees to it that more is on its way, or that the end is told.
    pub(super) fn read_nothing(&self) -> Result<(), Thrown> {
        self.read_amount(Amount::Bytes(0)).map(drop)
    }

    fn read_amount(&self, amount: Amount) -> Result<Option<Vec<u8>>, Thrown> {
        let (flags, reading) = (&self.inner.flags, &self.inner.reading);
        if let Amount::Bytes(count) = amount
            && count > reading.high_water_mark.get()
        {
            let mark = count.min(HIGH_WATER_MARK_MAX).next_power_of_two();
            reading.high_water_mark.set(mark);
        }
        if amount != Amount::Bytes(0) {
            flags.clear(EMITTED_READABLE);
        } else if flags.has(NEED_READABLE) && self.has_enough_to_tell() {
            if reading.length() == 0 && flags.has(READ_ENDED) {
                self.end_readable();
            } else {
                self.emit_readable_soon();
            }
            return Ok(None);
        }
        let mut count = self.how_much(amount);
        if count == 0 && flags.has(READ_ENDED) {
            if reading.length() == 0 {
                self.end_readable();
            }
            return Ok(None);
        }
        if self.wants_more(count) {
            flags.set(READING | READ_SYNC);
            if reading.length() == 0 {
                flags.set(NEED_READABLE);
            }
            self.start_reading();
            flags.clear(READ_SYNC);
            if !flags.has(READING) {
                count = self.how_much(amount);
            }
        }
        let taken = (count > 0).then(|| reading.take(count));
        if taken.is_none() {
            if reading.length() <= reading.high_water_mark.get() {
                flags.set(NEED_READABLE);
            }
            count = 0;
        } else {
            self.forget_awaited_drains();
        }
        if reading.length() == 0 {
            if !flags.has(READ_ENDED) {
                flags.set(NEED_READABLE);
            } else if amount != Amount::Bytes(count) {
                self.end_readable();
            }
        }
        if let Some(taken) = &taken
            && !flags.has_any(ERROR_EMITTED | CLOSE_EMITTED)
        {
            self.emit(event::Data, (self.clone(), taken))?;
        }
        Ok(taken)
    }

    fn has_enough_to_tell(&self) -> bool {
        let reading = &self.inner.reading;
        let is_full = match reading.high_water_mark.get() {
            0 => reading.length() > 0,
            mark => reading.length() >= mark,
        };
        is_full || self.inner.flags.has(READ_ENDED)
    }

    fn how_much(&self, amount: Amount) -> usize {
        let (flags, reading) = (&self.inner.flags, &self.inner.reading);
        match amount {
            Amount::Any if flags.has(FLOWING) && reading.length() > 0 => reading.first_len(),
            Amount::Any => reading.length(),
            Amount::Bytes(count) if count <= reading.length() => count,
            Amount::Bytes(_) if flags.has(READ_ENDED) => reading.length(),
            Amount::Bytes(_) => 0,
        }
    }

    /// True if taking so much makes room, and the handle can be asked for more.
    fn wants_more(&self, count: usize) -> bool {
        let (flags, reading) = (&self.inner.flags, &self.inner.reading);
        if flags.has_any(READING | READ_ENDED | DESTROYED | ERRORED) {
            return false;
        }
        let left = reading.length() - count.min(reading.length());
        flags.has(NEED_READABLE) || reading.length() == 0 || left < reading.high_water_mark.get()
    }

    /// Has the handle read; one that is not connected begins once it is.
    fn start_reading(&self) {
        if self.inner.flags.has(CONNECTING) || !self.has_handle() {
            self.inner.events.once(event::Connect, |socket: Socket| {
                socket.start_reading();
            });
        } else if let Some(handle) = self.handle().filter(|handle| !handle.is_reading()) {
            handle.read_start();
        }
    }

    /// What the handle read. False once it is enough for now.
    pub(super) fn push(&self, chunk: &[u8]) -> Result<bool, Thrown> {
        let flags = &self.inner.flags;
        if flags.has_any(DESTROYED | ERRORED) {
            return Ok(false);
        }
        flags.clear(READING);
        self.add_chunk(chunk)?;
        let reading = &self.inner.reading;
        Ok(!flags.has(READ_ENDED) && (reading.is_below_mark() || reading.length() == 0))
    }

    fn add_chunk(&self, chunk: &[u8]) -> Result<(), Thrown> {
        let (flags, reading) = (&self.inner.flags, &self.inner.reading);
        let is_told = flags.has(FLOWING | DATA_LISTENING) && !flags.has(READ_SYNC);
        if is_told && reading.length() == 0 {
            self.forget_awaited_drains();
            self.emit(event::Data, (self.clone(), chunk))?;
        } else {
            reading.push(chunk);
            if flags.has(NEED_READABLE) {
                self.emit_readable_soon();
            }
        }
        self.read_more_soon();
        Ok(())
    }

    /// The handle read the end.
    pub(super) fn push_end(&self) -> Result<(), Thrown> {
        let flags = &self.inner.flags;
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
        self.inner.flags.clear(NEED_READABLE);
        if !self.inner.flags.test_and_set(EMITTED_READABLE) {
            self.next_tick(step!(Socket::emit_readable));
        }
    }

    fn emit_readable(&self) -> Result<(), Thrown> {
        let (flags, reading) = (&self.inner.flags, &self.inner.reading);
        let has_news = reading.length() > 0 || flags.has(READ_ENDED);
        if !flags.has_any(DESTROYED | ERRORED) && has_news {
            self.emit(event::Readable, self.clone())?;
            flags.clear(EMITTED_READABLE);
        }
        let is_low = reading.length() <= reading.high_water_mark.get();
        if !flags.has_any(FLOWING | READ_ENDED) && is_low {
            flags.set(NEED_READABLE);
        }
        self.flow()
    }

    /// Has the handle asked for more, in the next tick. Of a handle that reads on and has just been
    /// emptied nothing has to be asked: it is noted at once, and saves a tick for each chunk.
    fn read_more_soon(&self) {
        let (flags, reading) = (&self.inner.flags, &self.inner.reading);
        if flags.has(READING_MORE) {
            return;
        }
        let is_clear = reading.length() == 0 && !flags.has_any(READ_ENDED | DESTROYED | ERRORED);
        if is_clear && self.with_handle(|handle| handle.is_reading()) == Some(true) {
            flags.set(READING | NEED_READABLE);
        } else {
            flags.set(READING_MORE);
            self.next_tick(step!(Socket::read_more));
        }
    }

    /// Asks the handle for more, while there is room.
    fn read_more(&self) -> Result<(), Thrown> {
        let (flags, reading) = (&self.inner.flags, &self.inner.reading);
        while !flags.has_any(READING | READ_ENDED)
            && (reading.is_below_mark() || (flags.has(FLOWING) && reading.length() == 0))
        {
            let before = reading.length();
            self.read_nothing()?;
            if reading.length() == before {
                break;
            }
        }
        flags.clear(READING_MORE);
        Ok(())
    }

    fn end_readable(&self) {
        if !self.inner.flags.has(END_EMITTED) {
            self.inner.flags.set(READ_ENDED);
            self.next_tick(step!(Socket::emit_end));
        }
    }

    fn emit_end(&self) -> Result<(), Thrown> {
        let flags = &self.inner.flags;
        let is_over = flags.has_any(ERRORED | CLOSE_EMITTED | END_EMITTED);
        if is_over || self.inner.reading.length() > 0 {
            return Ok(());
        }
        flags.set(END_EMITTED);
        let may_stay_open = flags.has(ALLOW_HALF_OPEN);
        if !may_stay_open {
            flags.set(WRITE_AFTER_FIN);
        }
        self.emit(event::End, self.clone())?;
        if self.is_writable() && !may_stay_open {
            self.next_tick(step!(|socket| {
                if socket.is_writable() {
                    socket.end();
                }
                Ok(())
            }));
        } else if flags.has(FINISHED) {
            self.destroy();
        }
        Ok(())
    }

    /// Called by the handle.
    pub(super) fn on_read(&self, chunk: &[u8]) -> Result<(), Thrown> {
        self.put_timeout_off();
        if self.is_destroyed() {
            return Ok(());
        }
        if !self.push(chunk)? {
            self.with_handle(|handle| handle.read_stop());
        }
        Ok(())
    }

    /// Called by the handle.
    pub(super) fn on_read_end(&self) -> Result<(), Thrown> {
        self.put_timeout_off();
        if self.inner.flags.has(END_EMITTED) {
            return Ok(());
        }
        self.push_end()?;
        self.read_nothing()
    }

    /// Called by the handle.
    pub(super) fn on_read_error(&self, error: Error) -> Result<(), Thrown> {
        self.put_timeout_off();
        self.destroy_with(error);
        Ok(())
    }
}
