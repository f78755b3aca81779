//! How busy the loop is, and how late: Node's `perf_hooks`.

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
    /// Time in which the loop waited for something to happen.
    pub idle: Duration,
    /// All other time since the program's start.
    pub active: Duration,
    /// The active part of both, 0 to 1.
    pub utilization: f64,
}

impl EventLoopUtilization {
    fn new(idle: Duration, active: Duration) -> Self {
        let whole = (idle + active).as_secs_f64();
        let utilization = if whole > 0.0 {
            active.as_secs_f64() / whole
        } else {
            0.0
        };
        EventLoopUtilization {
            idle,
            active,
            utilization,
        }
    }

    /// What came to it since an earlier one: `eventLoopUtilization(earlier)`.
    pub fn since(&self, earlier: &EventLoopUtilization) -> Self {
        let idle = self.idle.saturating_sub(earlier.idle);
        EventLoopUtilization::new(idle, self.active.saturating_sub(earlier.active))
    }
}

/// The loop's idle and active time so far.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn event_loop_utilization() -> EventLoopUtilization {
    let runtime = current();
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

/// Three significant digits, as Node's.
const DIGITS: u8 = 3;

struct Delay {
    /// Nanoseconds between two ticks of the timer.
    histogram: Histogram<u64>,
    last: Instant,
}

/// Samples how long the loop takes to come round to a timer: `monitorEventLoopDelay`. It counts only
/// while it is enabled, and does not keep the program alive.
pub struct EventLoopDelayMonitor {
    delay: Rc<RefCell<Delay>>,
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

/// A monitor that looks every so often: `resolution` is at least a millisecond, and Node's default
/// is 10.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn monitor_event_loop_delay(resolution: Duration) -> EventLoopDelayMonitor {
    let histogram = Histogram::new(DIGITS).expect("3 digits are allowed");
    let delay = Rc::new(RefCell::new(Delay {
        histogram,
        last: current().handle.now(),
    }));
    EventLoopDelayMonitor {
        delay,
        resolution,
        timer: None,
    }
}

impl EventLoopDelayMonitor {
    /// Begins to sample. False if it does already.
    pub fn enable(&mut self) -> bool {
        if self.timer.is_some() {
            return false;
        }
        let delay = Rc::clone(&self.delay);
        delay.borrow_mut().last = current().handle.now();
        let sample = move || {
            let now = current().handle.now();
            let mut delay = delay.borrow_mut();
            let elapsed = now.saturating_duration_since(delay.last).as_nanos();
            // It grows as needed; what is beyond 584 years is not worth a sample.
            let _ = u64::try_from(elapsed).map(|elapsed| delay.histogram.record(elapsed));
            delay.last = now;
        };
        let timer = set_interval(sample, self.resolution.as_secs_f64() * 1e3);
        timer.unref();
        self.timer = Some(timer);
        true
    }

    /// Ends sampling. False if it does not sample.
    pub fn disable(&mut self) -> bool {
        self.timer.take().map(clear_interval).is_some()
    }

    /// The longest time between two looks, and likewise below: the resolution is included.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.delay.borrow().histogram.max())
    }

    /// The shortest.
    pub fn min(&self) -> Duration {
        Duration::from_nanos(self.delay.borrow().histogram.min())
    }

    /// The mean.
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.delay.borrow().histogram.mean() / 1e9)
    }

    /// That percentile, 0 to 100.
    pub fn percentile(&self, percentile: f64) -> Duration {
        Duration::from_nanos(
            self.delay
                .borrow()
                .histogram
                .value_at_percentile(percentile),
        )
    }

    /// How many samples there are.
    pub fn count(&self) -> u64 {
        self.delay.borrow().histogram.len()
    }

    /// Forgets all samples.
    pub fn reset(&self) {
        self.delay.borrow_mut().histogram.reset();
    }
}

impl Drop for EventLoopDelayMonitor {
    fn drop(&mut self) {
        self.disable();
    }
}
