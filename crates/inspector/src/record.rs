//! Traces on request: loops record for some seconds, and the client gets the whole.

use crate::answer::Answer;
use crate::asked::Asked;
use crate::probe::{Loops, Probe};
use crate::trace::{TraceBuffer, TraceFormat};
use hyper::StatusCode;
use oneloop_aio::sleep;
use oneloop_core::{Observing, Parked};
use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Slices of one trace: some tens of megabytes at the worst.
const WEIGHT_MAX: usize = 300_000;

/// How long a trace may last.
const SECONDS_MAX: f64 = 30.0;

/// A loop that records, until this is dropped.
struct Recording {
    probe: Probe,
    observing: Arc<Mutex<Option<Parked<Observing>>>>,
}

impl Recording {
    fn begin(probe: Probe, buffer: &TraceBuffer) -> Self {
        let observing = Arc::<Mutex<Option<Parked<Observing>>>>::default();
        let (slot, buffer, name) = (Arc::clone(&observing), buffer.clone(), probe.name.clone());
        // A loop that has ended records nothing.
        let _ = probe.run(move |handle| {
            let parked = handle.park(buffer.observe(&name, handle));
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(parked);
        });
        Recording { probe, observing }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let slot = Arc::clone(&self.observing);
        // After the job that began it, also on a loop that is stuck.
        let _ = self.probe.run(move |_| {
            drop(slot.lock().unwrap_or_else(PoisonError::into_inner).take());
        });
    }
}

/// Sets a flag until it is dropped.
struct Busy<'a>(&'a Cell<bool>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Records all loops for `secs` seconds, and answers with the trace in the `format`.
pub(crate) async fn answer(loops: Loops, is_busy: &Cell<bool>, asked: Asked) -> Answer {
    let refuse = |text: &str| Answer::text(text).with_status(StatusCode::BAD_REQUEST);
    let seconds = asked.parameter("secs").map_or(Ok(5.0), |secs| secs.parse());
    let Some(seconds) = seconds
        .ok()
        .filter(|secs| *secs > 0.0 && *secs <= SECONDS_MAX)
    else {
        return refuse("secs is a number of seconds, at most 30\n");
    };
    let format = match asked.parameter("format").as_deref() {
        None | Some("perfetto") => TraceFormat::Perfetto,
        Some("chrome") => TraceFormat::Chrome,
        Some(_) => return refuse("format is perfetto or chrome\n"),
    };
    if is_busy.replace(true) {
        let text = "another trace is being recorded\n";
        return Answer::text(text).with_status(StatusCode::CONFLICT);
    }
    let _busy = Busy(is_busy);
    let (buffer, began) = (TraceBuffer::new(WEIGHT_MAX), Instant::now());
    let probes = loops.probes().into_iter();
    let recordings: Vec<_> = probes
        .map(|probe| Recording::begin(probe, &buffer))
        .collect();
    sleep(Duration::from_secs_f64(seconds)).await;
    drop(recordings);
    Answer::of(format.content_type(), buffer.write_all(format, began))
}
