//! The source of the loop's time: the kernel's monotonic clock, or a virtual one for tests.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A monotonic clock. Clones show the same time.
///
/// With a virtual clock the loop does not sleep: when nothing can happen before the next timer,
/// time jumps to that timer. A program full of sleeps then takes no time and still runs in the
/// right order.
///
/// ```
/// use oneloop::{EventLoop, Options};
/// use std::time::{Duration, Instant};
///
/// let mut event_loop = EventLoop::with(Options::virtual_time())?;
/// let handle = event_loop.handle();
/// let before = (Instant::now(), handle.now());
/// event_loop.block_on(handle.sleep(Duration::from_secs(3600)));
/// assert_eq!(handle.now() - before.1, Duration::from_secs(3600));
/// assert!(before.0.elapsed() < Duration::from_secs(60));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    /// The time by which a virtual clock was moved; `None` for the kernel's clock.
    moved: Option<Rc<Cell<Duration>>>,
}

impl Default for Clock {
    fn default() -> Self {
        Clock {
            started: Instant::now(),
            moved: None,
        }
    }
}

impl Clock {
    /// The kernel's monotonic clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    #[doc(alias("pause", "start_paused"))]
    pub fn new_virtual() -> Self {
        Clock {
            started: Instant::now(),
            moved: Some(Rc::default()),
        }
    }

    /// True for a clock made by [`Clock::new_virtual`].
    pub fn is_virtual(&self) -> bool {
        self.moved.is_some()
    }

    /// The current time.
    pub fn now(&self) -> Instant {
        match &self.moved {
            None => Instant::now(),
            Some(moved) => self.started + moved.get(),
        }
    }

    /// The nanoseconds since the clock was made.
    pub(crate) fn now_ns(&self) -> u64 {
        match &self.moved {
            None => self.to_ns(Instant::now()),
            Some(moved) => saturating_ns(moved.get()),
        }
    }

    /// The point in time that is `ns` nanoseconds after the clock was made.
    pub(crate) fn at_ns(&self, ns: u64) -> Instant {
        self.started + Duration::from_nanos(ns)
    }

    /// A point in time as nanoseconds since the clock was made; an earlier one is 0.
    pub(crate) fn to_ns(&self, time: Instant) -> u64 {
        saturating_ns(time.saturating_duration_since(self.started))
    }

    /// Moves a virtual clock forward. Has no effect on the kernel's.
    pub fn advance(&self, by: Duration) {
        if let Some(moved) = &self.moved {
            moved.set(moved.get().saturating_add(by));
        }
    }
}

/// A duration in nanoseconds, the loop's unit. 584 years fit; a longer duration never ends (rule
/// 10).
pub(crate) fn saturating_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_clock_moves_only_by_advance() {
        let clock = Clock::new_virtual();
        let start = clock.now();
        assert_eq!(clock.clone().now(), start);
        clock.advance(Duration::from_millis(5));
        assert_eq!(clock.now() - start, Duration::from_millis(5));
    }

    #[test]
    fn durations_saturate() {
        assert_eq!(saturating_ns(Duration::MAX), u64::MAX);
    }
}
