//! The bytes of a writable half: the writes that wait, and a batch on its way to the sink.

use crate::continuation::Then;
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};

/// Bytes on their way to the sink, and the result of the first try to write them, if there was one.
// The first try is made before the callback of a write is looked at and the bytes are counted,
// which most writes never need. Its result has to reach the sink, or bytes would be written twice.
pub(crate) struct Batch<'a> {
    bufs: &'a [IoSlice<'a>],
    tried: Option<io::Result<usize>>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(bufs: &'a [IoSlice<'a>]) -> Self {
        Batch { bufs, tried: None }
    }

    pub(crate) fn tried(bufs: &'a [IoSlice<'a>], tried: Option<io::Result<usize>>) -> Self {
        Batch { bufs, tried }
    }

    pub(crate) fn bufs(&self) -> &'a [IoSlice<'a>] {
        self.bufs
    }

    /// The number of bytes, including those of the first try.
    pub(crate) fn len(&self) -> usize {
        self.bufs.iter().map(|buf| buf.len()).sum()
    }

    pub(crate) fn concat(&self) -> Vec<u8> {
        let bufs: Vec<_> = self.bufs.iter().map(|buf| &**buf).collect();
        bufs.concat()
    }

    /// How many bytes the kernel has taken, at the first try or now. An empty write needs no system
    /// call.
    pub(crate) fn try_once(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        match self.tried.take() {
            Some(tried) => tried,
            None if self.bufs.iter().all(|buf| buf.is_empty()) => Ok(0),
            None => write(self.bufs),
        }
    }
}

/// A write that waits its turn.
pub(super) struct Buffered {
    pub(super) bytes: Vec<u8>,
    pub(super) written: Option<Then>,
}

/// What is written, and what waits to be.
pub(crate) struct WritableState {
    high_water_mark: Cell<usize>,
    /// Bytes that wait here, and those of the write that is under way.
    length: Cell<usize>,
    /// Writes whose end was not reported, and a final that was not: 'finish' waits for them. Node's
    /// `pendingcb`.
    pub(super) pending: Cell<u32>,
    /// Calls of `cork` that no `uncork` has undone.
    pub(super) corked: Cell<u32>,
    /// Boxed, and only while there is something in it: most streams have nothing that waits.
    waiting: RefCell<Option<Box<WriteQueue>>>,
}

#[derive(Default)]
pub(super) struct WriteQueue {
    pub(super) buffered: Vec<Buffered>,
    /// Bytes of the write that is under way.
    pub(super) underway: usize,
    /// The callbacks of the write that is under way.
    pub(super) written: Vec<Then>,
    /// The callbacks of `end`.
    pub(super) finished: Vec<Then>,
}

impl WriteQueue {
    fn is_empty(&self) -> bool {
        self.buffered.is_empty()
            && self.underway == 0
            && self.written.is_empty()
            && self.finished.is_empty()
    }

    pub(super) fn take_first(&mut self) -> Option<Buffered> {
        // Only a stream that has failed takes its writes one by one.
        (!self.buffered.is_empty()).then(|| self.buffered.remove(0))
    }
}

impl WritableState {
    pub(crate) fn new(high_water_mark: usize) -> Self {
        WritableState {
            high_water_mark: Cell::new(high_water_mark),
            length: Cell::new(0),
            pending: Cell::new(0),
            corked: Cell::new(0),
            waiting: RefCell::default(),
        }
    }

    pub(crate) fn high_water_mark(&self) -> usize {
        self.high_water_mark.get()
    }

    pub(crate) fn length(&self) -> usize {
        self.length.get()
    }

    pub(super) fn add_length(&self, bytes: usize) {
        self.length.set(self.length.get() + bytes);
    }

    pub(super) fn take_length(&self, bytes: usize) {
        self.length.set(self.length.get() - bytes);
    }

    /// Adds something that waits.
    pub(super) fn wait(&self, add: impl FnOnce(&mut WriteQueue)) {
        add(self.waiting.borrow_mut().get_or_insert_default());
    }

    /// Takes something that has waited, if anything has.
    pub(super) fn take<T: Default>(&self, take: impl FnOnce(&mut WriteQueue) -> T) -> T {
        let mut waiting = self.waiting.borrow_mut();
        let taken = waiting.as_deref_mut().map(take).unwrap_or_default();
        // An idle connection must not pay for a queue that it once had.
        let empty = waiting.take_if(|waiting| waiting.is_empty());
        drop(waiting);
        drop(empty);
        taken
    }

    pub(super) fn look<T: Default>(&self, look: impl FnOnce(&WriteQueue) -> T) -> T {
        let waiting = self.waiting.borrow();
        waiting.as_deref().map(look).unwrap_or_default()
    }

    /// Keeps a write that has to wait its turn. Those that wait are written together, so a write
    /// without a callback joins the one before it: many small writes cost their bytes, and no entry
    /// each.
    pub(super) fn buffer(&self, batch: Batch<'_>, written: Option<Then>) {
        let joins = self.take(|waiting| match waiting.buffered.last_mut() {
            Some(last) if last.written.is_none() && written.is_none() => {
                batch
                    .bufs
                    .iter()
                    .for_each(|buf| last.bytes.extend_from_slice(buf));
                true
            }
            _ => false,
        });
        if joins {
            return;
        }
        self.add_pending();
        let bytes = batch.concat();
        self.wait(|waiting| waiting.buffered.push(Buffered { bytes, written }));
    }

    pub(super) fn has_buffered(&self) -> bool {
        self.look(|waiting| !waiting.buffered.is_empty())
    }

    /// Bytes that have not reached the sink.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.look(|waiting| waiting.buffered.iter().map(|write| write.bytes.len()).sum())
    }

    /// Takes the bytes that have not reached the sink, and drops all callbacks: the program has
    /// ended.
    pub(crate) fn abandon(&self) -> Vec<Vec<u8>> {
        let waiting = self.waiting.take();
        self.length.set(0);
        let buffered = waiting.map(|waiting| waiting.buffered).unwrap_or_default();
        buffered.into_iter().map(|write| write.bytes).collect()
    }

    /// True if something waits that fails when the stream is destroyed.
    pub(super) fn has_waiting(&self) -> bool {
        self.look(|waiting| !waiting.buffered.is_empty() || !waiting.finished.is_empty())
    }

    pub(crate) fn is_corked(&self) -> bool {
        self.corked.get() > 0
    }

    pub(crate) fn corked(&self) -> u32 {
        self.corked.get()
    }

    pub(super) fn add_pending(&self) {
        self.pending.set(self.pending.get() + 1);
    }

    pub(super) fn end_pending(&self) {
        self.pending.set(self.pending.get().saturating_sub(1));
    }
}
