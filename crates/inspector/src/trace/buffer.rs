//! What loops have recorded and no file has yet: with a limit, because a busy loop records more
//! than a disk takes.

use super::TraceFormat;
use super::slices::{Recorded, TraceWriter};
use oneloop_core::{Handle, Observing};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What loops have recorded. A clone names the same buffer.
#[derive(Clone, Debug)]
pub(crate) struct TraceBuffer {
    shared: Arc<TraceState>,
}

#[derive(Debug)]
struct TraceState {
    weight_max: usize,
    state: Mutex<Buffered>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct Buffered {
    /// The names of the loops, by their tracks.
    names: Vec<String>,
    /// Names that are written already.
    named: usize,
    recorded: Vec<(u64, Recorded)>,
    weight: usize,
    /// Phases for which there was no room.
    lost: u64,
    closed: bool,
}

impl TraceBuffer {
    /// A buffer for about `weight_max` slices, some hundred bytes each.
    pub(crate) fn new(weight_max: usize) -> Self {
        TraceBuffer {
            shared: Arc::new(TraceState {
                weight_max,
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buffered> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what a loop does until the returned value is dropped.
    pub(crate) fn observe(&self, name: &str, handle: &Handle) -> Observing {
        let mut state = self.lock();
        let track = state.names.len() as u64;
        state.names.push(name.to_owned());
        drop(state);
        let buffer = self.clone();
        handle.observe_also(move |report| {
            if let Some(recorded) = Recorded::of(report) {
                buffer.push(track, recorded);
            }
        })
    }

    fn push(&self, track: u64, recorded: Recorded) {
        let mut state = self.lock();
        if state.weight >= self.shared.weight_max {
            state.lost += 1;
            return;
        }
        state.weight += recorded.weight();
        state.recorded.push((track, recorded));
        let is_half_full = state.weight >= self.shared.weight_max / 2;
        drop(state);
        if is_half_full {
            self.shared.changed.notify_one();
        }
    }

    /// Takes what was recorded.
    pub(crate) fn take(&self) -> Taken {
        let mut state = self.lock();
        let names = state.names.iter().enumerate().skip(state.named);
        let names: Vec<_> = names
            .map(|(track, name)| (track as u64, name.clone()))
            .collect();
        state.named = state.names.len();
        state.weight = 0;
        Taken {
            names,
            recorded: std::mem::take(&mut state.recorded),
            lost: state.lost,
            closed: state.closed,
        }
    }

    /// Waits until the buffer is half full, for a time, or until it is closed; then takes what was
    /// recorded.
    pub(crate) fn take_later(&self, pause: Duration) -> Taken {
        let state = self.lock();
        let half = self.shared.weight_max / 2;
        let waits = |state: &mut Buffered| state.weight < half && !state.closed;
        drop(self.shared.changed.wait_timeout_while(state, pause, waits));
        self.take()
    }

    /// Ends the waits of [`TraceBuffer::take_later`].
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.shared.changed.notify_all();
    }

    /// A whole trace of what was recorded since `began`.
    pub(crate) fn write_all(&self, format: TraceFormat, began: Instant) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = TraceWriter::begin(format.writer(), began, &mut out);
        self.take().write(&mut writer, &mut out);
        writer.end(&mut out);
        out
    }
}

/// What was taken out of a buffer.
#[derive(Debug)]
pub(crate) struct Taken {
    names: Vec<(u64, String)>,
    recorded: Vec<(u64, Recorded)>,
    /// Phases that were lost so far.
    pub(crate) lost: u64,
    pub(crate) closed: bool,
}

impl Taken {
    pub(crate) fn write(&self, writer: &mut TraceWriter, out: &mut Vec<u8>) {
        for (track, name) in &self.names {
            writer.track(out, *track, name);
        }
        for (track, recorded) in &self.recorded {
            writer.phase(out, *track, recorded);
        }
    }
}
