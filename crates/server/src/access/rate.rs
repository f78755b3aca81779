//! `--accept-rate` and `--rate-per-source`: how many connections begin in a time.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str = "give a count for a second, a minute or an hour such as 100/s, 30/m or 500/h";

/// That many connections in that time, at once or one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    count: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Unit {
    fn parse(text: &str) -> Option<Unit> {
        match text {
            "s" | "second" => Some(Unit::Second),
            "m" | "minute" => Some(Unit::Minute),
            "h" | "hour" => Some(Unit::Hour),
            _ => None,
        }
    }

    fn period(self) -> Duration {
        Duration::from_secs(match self {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3600,
        })
    }
}

impl Rate {
    /// The time in which the bucket gets one more token.
    fn interval_ns(self) -> u64 {
        to_ns(self.unit.period()) / u64::from(self.count)
    }
}

impl FromStr for Rate {
    type Err = String;

    /// `COUNT`, which is for a second, or `COUNT/UNIT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (count, unit) = match text.split_once('/') {
            Some((count, unit)) => (count, Unit::parse(unit)),
            None => (text, Some(Unit::Second)),
        };
        // A million in a second is far beyond what accept(2) can do, and still a microsecond each.
        let count = count.parse().ok();
        let count = count.filter(|count| (1..=1_000_000).contains(count));
        let rate = count.zip(unit).map(|(count, unit)| Rate { count, unit });
        rate.ok_or_else(|| USAGE.to_owned())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => "s",
            Unit::Minute => "m",
            Unit::Hour => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// When the bucket will be full again, in nanoseconds since an epoch. That one number is the whole
/// state of a token bucket (GCRA): each token taken moves it by an interval, and a token is there
/// while it is less than a period minus an interval ahead.
///
/// ```text
///            now                        full_at
///   ──────────┼────────────────────────────┼─────────▶ time
///             │◀── tokens that are taken ──▶│
///             │◀──────────── at most a period ──────────▶│
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FullAt(pub(crate) u64);

/// How fast a bucket is filled, and how much it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    interval_ns: u64,
    /// How far ahead the bucket may be full while a token is left.
    ahead_max_ns: u64,
    epoch: Instant,
}

impl Pace {
    pub(crate) fn new(rate: Rate, epoch: Instant) -> Self {
        let interval_ns = rate.interval_ns();
        Pace {
            interval_ns,
            ahead_max_ns: interval_ns * u64::from(rate.count - 1),
            epoch,
        }
    }

    fn ns(&self, now: Instant) -> u64 {
        to_ns(now.saturating_duration_since(self.epoch))
    }

    /// The state after one token more was taken. `None` if no token is left.
    pub(crate) fn take(&self, full_at: FullAt, now: Instant) -> Option<FullAt> {
        let taken = self.charge(full_at, now);
        (self.wait(full_at, now) == Duration::ZERO).then_some(taken)
    }

    /// The state after one token more was taken, although none may be left.
    fn charge(&self, full_at: FullAt, now: Instant) -> FullAt {
        FullAt(full_at.0.max(self.ns(now)) + self.interval_ns)
    }

    /// How long it takes until there is a token.
    fn wait(&self, full_at: FullAt, now: Instant) -> Duration {
        let ahead = full_at.0.saturating_sub(self.ns(now));
        Duration::from_nanos(ahead.saturating_sub(self.ahead_max_ns))
    }

    /// True if all tokens are there: the bucket can be forgotten.
    pub(crate) fn is_full(&self, full_at: FullAt, now: Instant) -> bool {
        full_at.0 <= self.ns(now)
    }
}

/// A bucket that all threads share.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) rate: Rate,
    pace: Pace,
    full_at: AtomicU64,
}

impl Bucket {
    pub(crate) fn new(rate: Rate) -> Self {
        Bucket {
            rate,
            pace: Pace::new(rate, Instant::now()),
            full_at: AtomicU64::new(0),
        }
    }

    /// Takes a token, if one is left.
    pub(crate) fn try_take(&self, now: Instant) -> bool {
        let take = |full_at| Some(self.pace.take(FullAt(full_at), now)?.0);
        self.full_at
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .is_ok()
    }

    /// Takes a token, although another thread may have taken the last one meanwhile. The bucket
    /// then needs longer to fill, so the rate holds over time.
    pub(crate) fn take(&self, now: Instant) {
        let charge = |full_at| Some(self.pace.charge(FullAt(full_at), now).0);
        let _ = self
            .full_at
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, charge);
    }

    /// How long it takes until there is a token; zero if there is one.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let full_at = FullAt(self.full_at.load(Ordering::Acquire));
        self.pace.wait(full_at, now)
    }
}

/// 584 years of nanoseconds fit.
fn to_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_bucket_holds_one_period_and_is_filled_evenly() {
        let bucket = Bucket::new(rate("10/s"));
        let start = bucket.pace.epoch;
        let at = |ms| start + Duration::from_millis(ms);
        let taken = (0..100).filter(|_| bucket.try_take(at(0))).count();
        assert_eq!(taken, 10, "at once");
        assert_eq!(bucket.wait(at(0)), Duration::from_millis(100));
        assert!(!bucket.try_take(at(99)));
        assert!(bucket.try_take(at(100)));
        assert!(!bucket.try_take(at(100)));
        // A rest of more than a period is no more than a period.
        let taken = (0..100).filter(|_| bucket.try_take(at(9_000))).count();
        assert_eq!(taken, 10);
    }

    #[test]
    fn a_token_too_many_is_paid_for_later() {
        let bucket = Bucket::new(rate("2/s"));
        let now = bucket.pace.epoch;
        (0..3).for_each(|_| bucket.take(now));
        assert_eq!(bucket.wait(now), Duration::from_secs(1));
    }

    #[test]
    fn a_rate_of_one_takes_one_at_a_time() {
        let bucket = Bucket::new(rate("1/m"));
        let now = bucket.pace.epoch;
        assert!(bucket.try_take(now));
        assert_eq!(bucket.wait(now), Duration::from_secs(60));
    }

    #[test]
    fn a_rate_has_a_count_and_a_time() {
        assert_eq!(rate("100"), rate("100/s"));
        assert_eq!(rate("100/second"), rate("100/s"));
        assert_eq!(rate("30/m").to_string(), "30/m");
        for wrong in [
            "", "0", "0/s", "1/d", "x/s", "-1", "1/s/s", "1000001", "1.5/s", "1 /s",
        ] {
            assert_eq!(wrong.parse::<Rate>().unwrap_err(), USAGE, "{wrong}");
        }
    }
}
