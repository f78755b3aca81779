//! `--max-per-source` and `--rate-per-source`: how much one source of clients may have.

use super::rate::{FullAt, Pace, Rate};
use crate::refusals::RefusalReason;
use oneloop::net::Addr;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How many sources are remembered for their rate: the ones that came last. One takes about 100
/// bytes.
const REMEMBERED_MAX: usize = 65_536;

/// How many leading bits of an address make clients the same source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceBits {
    v4: u8,
    v6: u8,
}

impl SourceBits {
    /// The source of a client; `None` for a Unix client, which has no address.
    fn source(self, addr: &Addr) -> Option<IpAddr> {
        Some(match addr.inet()?.ip().to_canonical() {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.v4)).unwrap_or(0);
                Ipv4Addr::from(u32::from(ip) & mask).into()
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.v6)).unwrap_or(0);
                Ipv6Addr::from(u128::from(ip) & mask).into()
            }
        })
    }
}

impl FromStr for SourceBits {
    type Err = String;

    /// `IPV4,IPV6`
    fn from_str(text: &str) -> Result<Self, String> {
        let bits = |text: &str, max: u8| text.parse().ok().filter(|bits| (1..=max).contains(bits));
        let parts = text.split_once(',');
        let parts = parts.and_then(|(v4, v6)| Some((bits(v4, 32)?, bits(v6, 128)?)));
        let (v4, v6) = parts.ok_or("give the bits of IPv4 and of IPv6 addresses, such as 32,64")?;
        Ok(SourceBits { v4, v6 })
    }
}

impl fmt::Display for SourceBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.v4, self.v6)
    }
}

/// What one source may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceLimits {
    pub(crate) bits: SourceBits,
    pub(crate) open_max: Option<u32>,
    pub(crate) rate: Option<Rate>,
}

/// What each source has, for all threads.
#[derive(Debug)]
pub(crate) struct Sources {
    limits: SourceLimits,
    pace: Option<Pace>,
    tables: Arc<Tables>,
}

/// What each source has, whatever the limits are.
#[derive(Debug)]
struct Tables {
    /// The time 0 of the buckets.
    epoch: Instant,
    state: Mutex<SourcesState>,
}

impl Tables {
    fn lock(&self) -> MutexGuard<'_, SourcesState> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both tables are bounded: the first by the number of open connections, the second by
/// [`REMEMBERED_MAX`].
#[derive(Debug, Default)]
struct SourcesState {
    /// How many connections of a source are open; a source without one is not in it.
    open: HashMap<IpAddr, u32>,
    buckets: HashMap<IpAddr, FullAt>,
    /// The sources with a bucket, in the order of their first connection.
    order: VecDeque<IpAddr>,
}

impl Sources {
    /// New limits for what each source has by those `before`, if sources are the same by both.
    pub(crate) fn new(limits: SourceLimits, before: Option<&Sources>) -> Self {
        let before = before.filter(|before| before.limits.bits == limits.bits);
        let tables = match before {
            Some(before) => Arc::clone(&before.tables),
            None => Arc::new(Tables {
                epoch: Instant::now(),
                state: Mutex::default(),
            }),
        };
        Sources {
            limits,
            pace: limits.rate.map(|rate| Pace::new(rate, tables.epoch)),
            tables,
        }
    }

    /// Counts one connection more against the rate of its source.
    ///
    /// # Errors
    /// The source is too fast.
    pub(crate) fn count_new(&self, addr: &Addr, now: Instant) -> Result<(), RefusalReason> {
        let Some((pace, source)) = self.pace.zip(self.limits.bits.source(addr)) else {
            return Ok(());
        };
        match self.tables.lock().take(source, &pace, now) {
            true => Ok(()),
            false => Err(RefusalReason::RatePerSource),
        }
    }

    /// Takes a place for an open connection, until the slot is dropped. `None` for a client without
    /// a limit.
    ///
    /// # Errors
    /// The source has no place left.
    pub(crate) fn open(&self, addr: &Addr) -> Result<Option<SourceSlot>, RefusalReason> {
        let limited = self.limits.open_max.zip(self.limits.bits.source(addr));
        let Some((open_max, source)) = limited else {
            return Ok(None);
        };
        let mut state = self.tables.lock();
        let open = state.open.entry(source).or_default();
        if *open >= open_max {
            return Err(RefusalReason::MaxPerSource);
        }
        *open += 1;
        drop(state);
        let tables = Arc::clone(&self.tables);
        Ok(Some(SourceSlot { tables, source }))
    }
}

impl SourcesState {
    /// Takes a token of a source's bucket, if one is left.
    fn take(&mut self, source: IpAddr, pace: &Pace, now: Instant) -> bool {
        if let Some(full_at) = self.buckets.get_mut(&source) {
            let taken = pace.take(*full_at, now);
            *full_at = taken.unwrap_or(*full_at);
            return taken.is_some();
        }
        self.forget(pace, now);
        let taken = pace.take(FullAt::default(), now).unwrap_or_default();
        self.buckets.insert(source, taken);
        self.order.push_back(source);
        true
    }

    /// Forgets the oldest sources while their buckets are full, which loses nothing, and the oldest
    /// one in any case if there are too many. At most two for each new one, so that a flood of
    /// sources waits for no long search.
    fn forget(&mut self, pace: &Pace, now: Instant) {
        for _ in 0..2 {
            let Some(oldest) = self.order.front() else {
                return;
            };
            let full_at = self.buckets.get(oldest).copied().unwrap_or_default();
            if self.order.len() < REMEMBERED_MAX && !pace.is_full(full_at, now) {
                return;
            }
            self.buckets.remove(oldest);
            self.order.pop_front();
        }
    }
}

/// The place of an open connection among those of its source.
#[derive(Debug)]
pub(crate) struct SourceSlot {
    tables: Arc<Tables>,
    source: IpAddr,
}

impl Drop for SourceSlot {
    fn drop(&mut self) {
        let mut state = self.tables.lock();
        if let Some(open) = state.open.get_mut(&self.source) {
            *open -= 1;
            if *open == 0 {
                state.open.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sources(bits: &str, open_max: Option<u32>, rate: Option<&str>) -> Sources {
        Sources::new(limits(bits, open_max, rate), None)
    }

    fn limits(bits: &str, open_max: Option<u32>, rate: Option<&str>) -> SourceLimits {
        SourceLimits {
            bits: bits.parse().unwrap(),
            open_max,
            rate: rate.map(|text| text.parse().unwrap()),
        }
    }

    fn addr(text: &str) -> Addr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_with_the_same_leading_bits_are_one_source() {
        let source = |bits: &str, text: &str| {
            let bits: SourceBits = bits.parse().unwrap();
            bits.source(&addr(text)).map(|ip| ip.to_string())
        };
        for (bits, client, expected) in [
            ("32,64", "10.1.2.3:4", Some("10.1.2.3")),
            ("24,64", "10.1.2.3:4", Some("10.1.2.0")),
            ("32,64", "[::ffff:10.1.2.3]:4", Some("10.1.2.3")),
            ("32,64", "[2001:db8:1:2:3:4:5:6]:7", Some("2001:db8:1:2::")),
            ("32,128", "[2001:db8::1]:7", Some("2001:db8::1")),
            ("1,1", "[ffff::1]:7", Some("8000::")),
            ("32,64", "unix:/x", None),
        ] {
            assert_eq!(source(bits, client).as_deref(), expected, "{client}");
        }
        for wrong in [
            "", "32", "0,64", "33,64", "32,129", "32,0", "32,64,1", "a,b",
        ] {
            assert!(wrong.parse::<SourceBits>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_source_has_so_many_places_and_gets_them_back() {
        let sources = sources("32,64", Some(2), None);
        let (first, second) = (addr("[2001:db8::1]:1"), addr("[2001:db8::2]:1"));
        let a = sources.open(&first).unwrap();
        let _b = sources.open(&second).unwrap();
        assert_eq!(
            sources.open(&first).unwrap_err(),
            RefusalReason::MaxPerSource
        );
        let _other = sources.open(&addr("[2001:db8:0:1::1]:1")).unwrap();
        drop(a);
        let again = sources.open(&first).unwrap();
        assert!(again.is_some());
        let reloaded = Sources::new(limits("32,64", Some(2), None), Some(&sources));
        assert!(
            reloaded.open(&first).is_err(),
            "other limits count the same connections"
        );
        drop((again, _b, _other));
        assert!(
            sources.tables.lock().open.is_empty(),
            "nothing is left of a source that has gone"
        );
        assert!(sources.open(&Addr::UnixUnnamed).unwrap().is_none());
    }

    #[test]
    fn a_source_that_is_too_fast_leaves_the_others_alone() {
        let sources = sources("32,64", None, Some("2/s"));
        let now = Instant::now();
        let (fast, other) = (addr("10.0.0.1:1"), addr("10.0.0.2:1"));
        assert_eq!(sources.count_new(&fast, now), Ok(()));
        assert_eq!(sources.count_new(&fast, now), Ok(()));
        assert_eq!(
            sources.count_new(&fast, now),
            Err(RefusalReason::RatePerSource)
        );
        assert_eq!(sources.count_new(&other, now), Ok(()));
        let later = now + Duration::from_millis(500);
        assert_eq!(sources.count_new(&fast, later), Ok(()));
        assert_eq!(
            sources.count_new(&fast, later),
            Err(RefusalReason::RatePerSource)
        );
    }

    #[test]
    fn the_table_of_rates_is_bounded_and_shrinks() {
        let sources = sources("32,64", None, Some("1/h"));
        let now = Instant::now();
        let client = |number: u32| Addr::Inet((Ipv4Addr::from(number), 1).into());
        let many = u32::try_from(REMEMBERED_MAX).unwrap() + 1000;
        (0..many).for_each(|number| assert_eq!(sources.count_new(&client(number), now), Ok(())));
        let remembered = || {
            let state = sources.tables.lock();
            (state.buckets.len(), state.order.len())
        };
        assert_eq!(remembered(), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(
            sources.count_new(&client(many - 1), now).is_err(),
            "the last is remembered"
        );
        assert!(
            sources.count_new(&client(0), now).is_ok(),
            "the first is not"
        );
        let later = now + Duration::from_secs(7200);
        let again = |number| sources.count_new(&client(number), later).is_ok();
        assert!((0..many).all(again));
        assert_eq!(remembered(), (REMEMBERED_MAX, REMEMBERED_MAX));
        let much_later = later + Duration::from_secs(7200);
        let other = |number| {
            sources
                .count_new(&client(u32::MAX - number), much_later)
                .is_ok()
        };
        assert!((0..many / 2).all(other));
        assert!(
            remembered().0 < REMEMBERED_MAX / 2 + 1000,
            "{:?}",
            remembered()
        );
    }
}
