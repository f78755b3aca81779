//! The writable half of a socket: Node's `lib/internal/streams/writable.js`, as far as bytes go.
//!
//! A write goes to the kernel at once. What the kernel does not take waits in the handle, and what is
//! written meanwhile waits here, to be written together.

use super::event;
use super::flags::*;
use super::socket::{Socket, step};
use crate::continuation::{Then, then};
use crate::error::Error;
use crate::thrown::{Outcome, Thrown};
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};

/// A write that waits its turn.
struct Buffered {
    bytes: Vec<u8>,
    written: Option<Then>,
}

/// What is written, and what waits to be.
pub(super) struct Writing {
    pub(super) high_water_mark: Cell<usize>,
    /// Bytes that the kernel has not taken.
    length: Cell<usize>,
    /// Writes whose end was not told: there is no 'finish' before.
    pending: Cell<u32>,
    corked: Cell<u32>,
    /// Only while there is something in it: most of the time most sockets have nothing to wait for.
    waiting: RefCell<Option<Box<Waiting>>>,
}

#[derive(Default)]
struct Waiting {
    buffered: Vec<Buffered>,
    /// Bytes of the write that is under way.
    underway: usize,
    /// Who is told of its end.
    written: Vec<Then>,
    /// Who is told of 'finish'.
    finished: Vec<Then>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.buffered.is_empty()
            && self.underway == 0
            && self.written.is_empty()
            && self.finished.is_empty()
    }
}

impl Waiting {
    fn take_first(&mut self) -> Option<Buffered> {
        (!self.buffered.is_empty()).then(|| self.buffered.remove(0))
    }
}

impl Writing {
    pub(super) fn new(high_water_mark: usize) -> Self {
        Writing {
            high_water_mark: Cell::new(high_water_mark),
            length: Cell::new(0),
            pending: Cell::new(0),
            corked: Cell::new(0),
            waiting: RefCell::default(),
        }
    }

    pub(super) fn length(&self) -> usize {
        self.length.get()
    }

    fn add_length(&self, bytes: usize) {
        self.length.set(self.length.get() + bytes);
    }

    fn take_length(&self, bytes: usize) {
        self.length.set(self.length.get() - bytes);
    }

    /// Has something wait.
    fn wait(&self, add: impl FnOnce(&mut Waiting)) {
        add(self.waiting.borrow_mut().get_or_insert_default());
    }

    /// Takes something that has waited, if anything does.
    fn take<T: Default>(&self, take: impl FnOnce(&mut Waiting) -> T) -> T {
        let mut waiting = self.waiting.borrow_mut();
        let taken = waiting.as_deref_mut().map(take).unwrap_or_default();
        let empty = waiting.take_if(|waiting| waiting.is_empty());
        drop(waiting);
        drop(empty);
        taken
    }

    fn look<T: Default>(&self, look: impl FnOnce(&Waiting) -> T) -> T {
        let waiting = self.waiting.borrow();
        waiting.as_deref().map(look).unwrap_or_default()
    }

    /// Has bytes wait their turn. Those that wait already are written together with them, so what nobody is
    /// told of by itself needs no place of its own: many small writes cost their bytes.
    fn buffer(&self, bytes: &[u8], written: Option<Then>) {
        let joins = self.take(|waiting| match waiting.buffered.last_mut() {
            Some(last) if last.written.is_none() && written.is_none() => {
                last.bytes.extend_from_slice(bytes);
                true
            }
            _ => false,
        });
        if joins {
            return;
        }
        self.add_pending();
        let bytes = bytes.to_vec();
        self.wait(|waiting| waiting.buffered.push(Buffered { bytes, written }));
    }

    fn has_buffered(&self) -> bool {
        self.look(|waiting| !waiting.buffered.is_empty())
    }

    /// Bytes that have not reached the handle.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.look(|waiting| waiting.buffered.iter().map(|write| write.bytes.len()).sum())
    }

    /// True if somebody waits who is to hear that it came to nothing.
    fn has_waiting(&self) -> bool {
        self.look(|waiting| !waiting.buffered.is_empty() || !waiting.finished.is_empty())
    }

    fn is_corked(&self) -> bool {
        self.corked.get() > 0
    }

    fn add_pending(&self) {
        self.pending.set(self.pending.get() + 1);
    }

    fn end_pending(&self) {
        self.pending.set(self.pending.get().saturating_sub(1));
    }
}

impl Socket {
    /// Writes bytes: at once what the kernel takes; the rest waits. False if so much waits that the
    /// caller should wait for 'drain', or if nothing can be written any more.
    ///
    /// After [`Socket::end`] or [`Socket::destroy`] it is an error, of which 'error' tells.
    pub fn write(&self, bytes: impl AsRef<[u8]>) -> bool {
        self.write_unless_ended(bytes.as_ref(), None)
    }

    /// Writes at once what the kernel takes, and keeps none of the rest: `uv_try_write`. Gives how many
    /// bytes it took: 0 while something waits, before the socket is connected, and when nothing can be written
    /// any more, of which the next [`Socket::write`] tells.
    ///
    /// Nothing reports when the kernel has room again. A writer that has more can write one byte, and wait for
    /// the end of that write.
    pub fn try_write(&self, bytes: impl AsRef<[u8]>) -> usize {
        let unable = ENDING | DESTROYED | ERRORED | WRITING | CONNECTING;
        if self.inner.flags.has_any(unable) || self.inner.writing.is_corked() {
            return 0;
        }
        let written = self.with_handle(|handle| handle.try_write_some(bytes.as_ref()));
        let written = written.and_then(Result::ok).unwrap_or(0);
        if written > 0 {
            self.put_timeout_off();
        }
        written
    }

    /// Like [`Socket::write`], and calls a function when the kernel has all of it, or why it has not.
    pub fn write_then<O: Outcome>(
        &self,
        bytes: impl AsRef<[u8]>,
        written: impl FnOnce(Result<(), Error>) -> O + 'static,
    ) -> bool {
        self.write_unless_ended(bytes.as_ref(), Some(then(written)))
    }

    fn write_unless_ended(&self, bytes: &[u8], written: Option<Then>) -> bool {
        if self.inner.flags.has(WRITE_AFTER_FIN | ENDING) {
            // It was the peer who ended, not the caller, who may not know.
            let error = Error::new("EPIPE", "This socket has been ended by the other party");
            self.tell_soon(written, Err(error.clone()));
            self.destroy_with(error);
            return false;
        }
        let tried = self.try_at_once(bytes, written.is_some());
        if matches!(tried, Some(Ok(count)) if count == bytes.len()) {
            return true;
        }
        self.write_bytes(bytes, written, tried).unwrap_or(false)
    }

    /// The way of most writes: nothing waits, nobody is to be told, and the kernel has room for all of
    /// it. Then there is nothing else to do; if not, this was the first try of the write.
    fn try_at_once(&self, bytes: &[u8], is_told: bool) -> Option<io::Result<usize>> {
        let unusual =
            ENDING | DESTROYED | ERRORED | WRITING | CONNECTING | NEED_DRAIN | HAS_TIMEOUT;
        if is_told || self.inner.flags.has_any(unusual) || self.inner.writing.is_corked() {
            return None;
        }
        self.with_handle(|handle| handle.try_write(bytes))
    }

    /// Writes bytes, of which some may have been written by a first try.
    fn write_bytes(
        &self,
        bytes: &[u8],
        written: Option<Then>,
        tried: Option<io::Result<usize>>,
    ) -> Result<bool, Error> {
        let flags = &self.inner.flags;
        let failed = if flags.has(ENDING) {
            Error::write_after_end()
        } else if flags.has(DESTROYED) {
            Error::stream_destroyed("write")
        } else {
            return Ok(self.write_or_buffer(bytes, written, tried));
        };
        self.tell_soon(written, Err(failed.clone()));
        self.error_or_destroy(failed.clone());
        Err(failed)
    }

    fn tell_soon(&self, written: Option<Then>, result: Result<(), Error>) {
        if let Some(written) = written {
            self.runtime().next_tick(move || written(result));
        }
    }

    fn write_or_buffer(
        &self,
        bytes: &[u8],
        written: Option<Then>,
        tried: Option<io::Result<usize>>,
    ) -> bool {
        let (flags, writing) = (&self.inner.flags, &self.inner.writing);
        writing.add_length(bytes.len());
        if flags.has_any(WRITING | ERRORED) || writing.is_corked() {
            writing.buffer(bytes, written);
        } else {
            writing.add_pending();
            let written = written.into_iter().collect();
            self.dispatch(&[IoSlice::new(bytes)], written, tried);
        }
        let length = writing.length();
        let is_low = length < writing.high_water_mark.get() || length == 0;
        if !is_low {
            flags.set(NEED_DRAIN);
        }
        is_low && !flags.has_any(DESTROYED | ERRORED)
    }

    /// Hands bytes to the handle. What comes of it is told later, never on this stack.
    fn dispatch(&self, bufs: &[IoSlice<'_>], written: Vec<Then>, tried: Option<io::Result<usize>>) {
        let flags = &self.inner.flags;
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        flags.set(WRITING);
        let result = if flags.has(CONNECTING) {
            self.dispatch_once_connected(bufs);
            None
        } else {
            self.dispatch_now(bufs, tried)
        };
        let Some(result) = result else {
            return self.inner.writing.wait(|waiting| {
                waiting.underway = bytes;
                waiting.written = written;
            });
        };
        self.end_write(bytes, &result);
        match result {
            Ok(()) => self.after_sync_write(written),
            Err(error) => self.next_call(move |socket| socket.on_write_error(error, written)),
        }
    }

    /// Gives the write's end, if it has come already.
    fn dispatch_now(
        &self,
        bufs: &[IoSlice<'_>],
        tried: Option<io::Result<usize>>,
    ) -> Option<Result<(), Error>> {
        let Some(handle) = self.handle() else {
            return Some(Err(Error::new("ERR_SOCKET_CLOSED", "Socket is closed")));
        };
        self.put_timeout_off();
        match handle.write(bufs, tried) {
            Ok(true) => {
                self.note_queue(handle.write_queue_bytes());
                None
            }
            Ok(false) => Some(Ok(())),
            Err(error) => Some(Err(Error::system("write", error))),
        }
    }

    /// What is written before the connection stands is sent when it does.
    fn dispatch_once_connected(&self, bufs: &[IoSlice<'_>]) {
        let bytes = bufs.iter().map(|buf| &**buf).collect::<Vec<_>>().concat();
        self.with_rare(|rare| rare.pending_data_bytes = bytes.len());
        let closed = self
            .inner
            .events
            .once(event::Close, |(socket, _): (Socket, bool)| {
                let message = "Socket closed before the connection was established";
                let code = "ERR_SOCKET_CLOSED_BEFORE_CONNECTION";
                socket.on_write_end(Err(Error::new(code, message)))
            });
        self.inner
            .events
            .once(event::Connect, move |socket: Socket| {
                socket.inner.events.off(closed);
                socket.with_rare(|rare| rare.pending_data_bytes = 0);
                match socket.dispatch_now(&[IoSlice::new(&bytes)], None) {
                    Some(result) => socket.on_write_end(result),
                    None => Ok(()),
                }
            });
    }

    /// Called by the handle.
    pub(super) fn on_written(&self, result: io::Result<()>) -> Result<(), Thrown> {
        if !self.is_destroyed() {
            self.put_timeout_off();
            self.note_queue(0);
        }
        // Whoever destroyed the socket knows; the write just ends.
        let result = match result {
            Err(error) if !self.is_destroyed() => Err(Error::system("write", error)),
            _ => Ok(()),
        };
        self.on_write_end(result)
    }

    /// The write that was under way has ended: Node's `onwrite`.
    fn on_write_end(&self, result: Result<(), Error>) -> Result<(), Thrown> {
        let (bytes, written) = self.inner.writing.take(|waiting| {
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
        self.inner.flags.clear(WRITING);
        self.inner.writing.take_length(bytes);
        match result {
            Ok(()) => self.write_buffered(),
            Err(error) => self.note_error(error),
        }
    }

    fn after_sync_write(&self, written: Vec<Then>) {
        let (flags, writing) = (&self.inner.flags, &self.inner.writing);
        if !written.is_empty() {
            return self.next_call(move |socket| socket.after_write(written));
        }
        let needs_drain = flags.has(NEED_DRAIN) && writing.length() == 0;
        if needs_drain && !flags.test_and_set(AFTER_WRITE_PENDING) {
            return self.next_tick(step!(|socket| socket.after_write(Vec::new())));
        }
        writing.end_pending();
        self.finish_maybe();
    }

    fn after_write(&self, written: Vec<Then>) -> Result<(), Thrown> {
        let (flags, writing) = (&self.inner.flags, &self.inner.writing);
        flags.clear(AFTER_WRITE_PENDING);
        let needs_drain = flags.has(NEED_DRAIN) && !flags.has_any(ENDING | DESTROYED);
        if needs_drain && writing.length() == 0 {
            flags.clear(NEED_DRAIN);
            self.emit(event::Drain, self.clone())?;
        }
        writing.end_pending();
        for written in written {
            written(Ok(()))?;
        }
        if flags.has(DESTROYED) {
            self.fail_buffered()?;
        }
        self.finish_maybe();
        Ok(())
    }

    fn on_write_error(&self, error: Error, written: Vec<Then>) -> Result<(), Thrown> {
        self.inner.writing.end_pending();
        for written in written {
            written(Err(error.clone()))?;
        }
        self.fail_buffered()?;
        self.error_or_destroy(error);
        Ok(())
    }

    /// Writes all that has waited, together.
    fn write_buffered(&self) {
        let (flags, writing) = (&self.inner.flags, &self.inner.writing);
        let is_kept = flags.has_any(DESTROYED | BUFFER_PROCESSING) || writing.is_corked();
        if is_kept || !writing.has_buffered() {
            return;
        }
        flags.set(BUFFER_PROCESSING);
        let buffered = writing.take(|waiting| std::mem::take(&mut waiting.buffered));
        // Together they are one write, and end once.
        (1..buffered.len()).for_each(|_| writing.end_pending());
        let (bytes, written): (Vec<_>, Vec<_>) = buffered
            .into_iter()
            .map(|write| (write.bytes, write.written))
            .unzip();
        let bufs: Vec<_> = bytes.iter().map(|bytes| IoSlice::new(bytes)).collect();
        self.dispatch(&bufs, written.into_iter().flatten().collect(), None);
        flags.clear(BUFFER_PROCESSING);
    }

    /// Tells all who wait that it came to nothing.
    pub(super) fn fail_buffered(&self) -> Result<(), Thrown> {
        let writing = &self.inner.writing;
        if self.inner.flags.has(WRITING) {
            return Ok(());
        }
        let error = self.errored();
        // One by one: a callback may add another.
        while let Some(write) = writing.take(Waiting::take_first) {
            writing.take_length(write.bytes.len());
            if let Some(written) = write.written {
                let error = error.clone();
                written(Err(
                    error.unwrap_or_else(|| Error::stream_destroyed("write"))
                ))?;
            }
        }
        let error = error.unwrap_or_else(|| Error::stream_destroyed("end"));
        self.tell_finished(Err(error))
    }

    fn tell_finished(&self, result: Result<(), Error>) -> Result<(), Thrown> {
        let writing = &self.inner.writing;
        let finished = writing.take(|waiting| std::mem::take(&mut waiting.finished));
        finished
            .into_iter()
            .try_for_each(|finished| finished(result.clone()))
    }

    /// Has whoever waits be told, when the socket is destroyed.
    pub(super) fn fail_buffered_soon(&self) {
        if self.inner.writing.has_waiting() {
            self.next_tick(step!(Socket::fail_buffered));
        }
    }

    /// Has writes wait, to be sent together with one system call: [`Socket::uncork`] as often.
    pub fn cork(&self) -> &Self {
        let corked = &self.inner.writing.corked;
        corked.set(corked.get() + 1);
        self
    }

    /// Sends what has waited since [`Socket::cork`].
    pub fn uncork(&self) -> &Self {
        let corked = &self.inner.writing.corked;
        if corked.get() > 0 {
            corked.set(corked.get() - 1);
            if !self.inner.flags.has(WRITING) {
                self.write_buffered();
            }
        }
        self
    }

    /// Sends what waits, and then the end: the peer's 'end'. Nothing can be written after it.
    pub fn end(&self) -> &Self {
        self.end_stream(None);
        self
    }

    /// Writes bytes, and then the end.
    pub fn end_with(&self, bytes: impl AsRef<[u8]>) -> &Self {
        self.end_bytes(bytes.as_ref(), None);
        self
    }

    /// Like [`Socket::end`], and calls a function at 'finish', or with why there is none.
    pub fn end_then<O: Outcome>(
        &self,
        finished: impl FnOnce(Result<(), Error>) -> O + 'static,
    ) -> &Self {
        let failed = self.end_stream(None);
        self.tell_at_finish(failed, then(finished));
        self
    }

    /// Writes bytes, then the end, and calls a function at 'finish', or with why there is none.
    pub fn end_with_then<O: Outcome>(
        &self,
        bytes: impl AsRef<[u8]>,
        finished: impl FnOnce(Result<(), Error>) -> O + 'static,
    ) -> &Self {
        self.end_bytes(bytes.as_ref(), Some(then(finished)));
        self
    }

    fn end_bytes(&self, bytes: &[u8], finished: Option<Then>) {
        let wrote = self.write_bytes(bytes, None, None);
        let failed = self.end_stream(wrote.err());
        if let Some(finished) = finished {
            self.tell_at_finish(failed, finished);
        }
    }

    /// Begins the end; gives why it cannot.
    fn end_stream(&self, failed: Option<Error>) -> Option<Error> {
        let (flags, writing) = (&self.inner.flags, &self.inner.writing);
        if writing.is_corked() {
            writing.corked.set(1);
            self.uncork();
        }
        if failed.is_some() {
            return failed;
        }
        if !flags.has_any(ENDING | ERRORED) {
            flags.set(ENDING);
            self.finish_maybe();
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

    fn tell_at_finish(&self, failed: Option<Error>, finished: Then) {
        let flags = &self.inner.flags;
        let errored = || self.errored().filter(|_| flags.has(ERRORED));
        match failed.or_else(errored) {
            Some(error) => self.tell_soon(Some(finished), Err(error)),
            None if flags.has(FINISHED) => self.tell_soon(Some(finished), Ok(())),
            None => {
                let writing = &self.inner.writing;
                writing.wait(|waiting| waiting.finished.push(finished));
            }
        }
    }

    fn needs_finish(&self) -> bool {
        let flags = &self.inner.flags;
        let is_kept = DESTROYED | FINISHED | WRITING | ERROR_EMITTED | CLOSE_EMITTED | ERRORED;
        flags.has(ENDING)
            && !flags.has_any(is_kept)
            && !self.inner.writing.has_buffered()
            && self.inner.writing.length() == 0
    }

    /// Once everything is written, sends the end. 'finish' waits until the callbacks of all writes
    /// were called, too.
    fn finish_maybe(&self) {
        if !self.needs_finish() {
            return;
        }
        if !self.inner.flags.test_and_set(FINAL_CALLED) {
            self.inner.writing.add_pending();
            self.shut_down();
        }
        if self.inner.writing.pending.get() == 0 {
            self.inner.writing.add_pending();
            self.next_tick(step!(|socket| {
                if socket.needs_finish() {
                    socket.finish()
                } else {
                    socket.inner.writing.end_pending();
                    Ok(())
                }
            }));
        }
    }

    /// Node's `_final`.
    fn shut_down(&self) {
        if self.is_pending() {
            self.inner.events.once(event::Connect, |socket: Socket| {
                socket.shut_down();
            });
        } else if let Some(handle) = self.handle() {
            handle.shutdown();
        }
    }

    /// Called by the handle: the end is sent.
    pub(super) fn on_shut_down(&self) -> Result<(), Thrown> {
        let flags = &self.inner.flags;
        self.inner.writing.end_pending();
        if self.needs_finish() && !flags.test_and_set(PREFINISHED) {
            self.emit(event::Prefinish, self.clone())?;
            self.inner.writing.add_pending();
            self.next_tick(step!(Socket::finish));
        }
        Ok(())
    }

    /// Called by the handle: a sandbox forbids sending the end.
    pub(super) fn on_not_shut_down(&self, error: io::Error) -> Result<(), Thrown> {
        self.inner.writing.end_pending();
        self.destroy_with(Error::system("shutdown", error));
        Ok(())
    }

    fn finish(&self) -> Result<(), Thrown> {
        let flags = &self.inner.flags;
        self.inner.writing.end_pending();
        flags.set(FINISHED);
        self.tell_finished(Ok(()))?;
        self.emit(event::Finish, self.clone())?;
        if flags.has(END_EMITTED) {
            self.destroy();
        }
        Ok(())
    }

    /// True until [`Socket::end`], [`Socket::destroy`] or an error.
    pub fn is_writable(&self) -> bool {
        !self.inner.flags.has_any(ENDING | DESTROYED | ERRORED)
    }

    /// True once [`Socket::end`] was called.
    pub fn is_writable_ended(&self) -> bool {
        self.inner.flags.has(ENDING)
    }

    /// True after 'finish'.
    pub fn is_writable_finished(&self) -> bool {
        self.inner.flags.has(FINISHED)
    }

    /// True when a write said that the caller should wait for 'drain'.
    pub fn needs_drain(&self) -> bool {
        self.inner.flags.has(NEED_DRAIN) && !self.inner.flags.has_any(DESTROYED | ENDING)
    }

    /// How often [`Socket::cork`] was called and not undone.
    pub fn writable_corked(&self) -> u32 {
        self.inner.writing.corked.get()
    }

    /// Bytes that were written and that the kernel has not taken.
    pub fn writable_length(&self) -> usize {
        self.inner.writing.length()
    }

    /// How much may wait before a write says so, in bytes.
    pub fn writable_high_water_mark(&self) -> usize {
        self.inner.writing.high_water_mark.get()
    }
}
