//! Utilization and delay of the loop: Node's `perf_hooks`.

use crate::runtime::current;
use crate::timers::{Timeout, clear_interval, set_interval};
use hdrhistogram::Histogram;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Idle and active time of the loop: `performance.eventLoopUtilization()`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EventLoopUtilization {
    /// Time that the loop spent waiting in the poll.
    pub idle: Duration,
    /// All other time since the program began.
    pub active: Duration,
    /// The active share of both, 0 to 1.
    pub utilization: f64,
}

impl EventLoopUtilization {
    fn new(idle: Duration, active: Duration) -> Self {
        let whole = (idle + active).as_secs_f64();
        let utilization = if whole > 0.0 {
            active.as_secs_f64() / whole
        } else {
            0.0 // not NaN: Node also returns 0 before the loop has run
        };
        EventLoopUtilization {
            idle,
            active,
            utilization,
        }
    }

    /// The difference from an earlier value: `eventLoopUtilization(earlier)`.
    pub fn since(&self, earlier: &EventLoopUtilization) -> Self {
        let idle = self.idle.saturating_sub(earlier.idle);
        EventLoopUtilization::new(idle, self.active.saturating_sub(earlier.active))
    }
}

/// Returns the loop's idle and active time since the program began.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn event_loop_utilization() -> EventLoopUtilization {
    let runtime = current();
    // The loop may have been idle before this program began.
    let idle = runtime
        .handle
        .stats()
        .idle
        .saturating_sub(runtime.idle_before);
    let whole = runtime
        .handle
        .now()
        .saturating_duration_since(runtime.timers.started());
    EventLoopUtilization::new(idle, whole.saturating_sub(idle))
}

/// Three significant digits, as in Node's histogram.
const DIGITS: u8 = 3;

struct DelaySamples {
    /// Nanoseconds between two calls of the timer.
    histogram: Histogram<u64>,
    /// When the timer was called last.
    last: Instant,
}

/// Samples the time between two calls of a timer: `monitorEventLoopDelay`. It samples only while it
/// is enabled, and does not keep the program alive.
pub struct EventLoopDelayMonitor {
    samples: Rc<RefCell<DelaySamples>>,
    resolution: Duration,
    timer: Option<Timeout>,
}

impl fmt::Debug for EventLoopDelayMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EventLoopDelayMonitor(every {:?}, max {:?})",
            self.resolution,
            self.max()
        )
    }
}

/// Returns a monitor with a timer of this resolution: at least a millisecond. Node's default is 10
/// ms.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn monitor_event_loop_delay(resolution: Duration) -> EventLoopDelayMonitor {
    let histogram = Histogram::new(DIGITS).expect("3 digits are allowed");
    let samples = Rc::new(RefCell::new(DelaySamples {
        histogram,
        last: current().handle.now(),
    }));
    EventLoopDelayMonitor {
        samples,
        resolution,
        timer: None,
    }
}

impl EventLoopDelayMonitor {
    /// Starts sampling. Returns false if it samples already.
    #[track_caller]
    pub fn enable(&mut self) -> bool {
        if self.timer.is_some() {
            return false;
        }
        let samples = Rc::clone(&self.samples);
        // The time while sampling was off is no delay.
        samples.borrow_mut().last = current().handle.now();
        let sample = move || {
            let now = current().handle.now();
            let mut samples = samples.borrow_mut();
            let elapsed = now.saturating_duration_since(samples.last).as_nanos();
            // The histogram grows as needed, so only a delay beyond 584 years is lost.
            let _ = u64::try_from(elapsed).map(|elapsed| samples.histogram.record(elapsed));
            samples.last = now;
        };
        let timer = set_interval(sample, self.resolution.as_secs_f64() * 1e3);
        // As in Node, measuring does not keep the program alive.
        timer.unref();
        self.timer = Some(timer);
        true
    }

    /// Stops sampling. Returns false if it did not sample.
    pub fn disable(&mut self) -> bool {
        self.timer.take().map(clear_interval).is_some()
    }

    /// The longest time between two calls of the timer. This and the other times include the
    /// resolution.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.samples.borrow().histogram.max())
    }

    /// The shortest time between two calls.
    pub fn min(&self) -> Duration {
        Duration::from_nanos(self.samples.borrow().histogram.min())
    }

    /// The mean time between two calls.
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.samples.borrow().histogram.mean() / 1e9)
    }

    /// A percentile of the times between two calls: `percentile` is 0 to 100.
    pub fn percentile(&self, percentile: f64) -> Duration {
        Duration::from_nanos(
            self.samples
                .borrow()
                .histogram
                .value_at_percentile(percentile),
        )
    }

    /// The number of samples.
    pub fn count(&self) -> u64 {
        self.samples.borrow().histogram.len()
    }

    /// Drops all samples.
    pub fn reset(&self) {
        self.samples.borrow_mut().histogram.reset();
    }
}

impl Drop for EventLoopDelayMonitor {
    fn drop(&mut self) {
        self.disable();
    }
}
