//! Chaos: what the kernel may do at any time, done often, and chosen by a seed.
//!
//! `no_chaos.rs` has the same functions for a build without the feature. They do nothing there, so
//! that the loop asks at each seam without a condition, and pays nothing.

use crate::mechanisms::bug::Bug;
use crate::mechanisms::reactor::Reactor;
use crate::mechanisms::ready::Direction;
use crate::mechanisms::workers::{Class, Hold};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::time::Duration;

/// The environment variable with the seed for loops that have no [`Plan`].
pub(crate) const VARIABLE: &str = "ONELOOP_CHAOS";

/// The occasions of which each number of a [`Plan`] is a part.
const OCCASIONS: u64 = 1024;
/// The part of failures that still lets a call succeed now and then.
const MOSTLY: u16 = OCCASIONS as u16 - 1;
/// The number of steps that a loop remembers.
const STEPS_MAX: usize = 1 << 16;
/// A virtual timer is late by less than this.
const LATE_NS_MAX: u64 = 20_000_000;
/// A short read or write moves mostly less than this.
const SHORT_BYTES: usize = 16;
/// A small share has at most this number of bytes for one run of a task, and fewer than this number
/// of runs for one phase.
const SMALL_SHARE_BYTES: usize = 4096;
const SMALL_SHARE_RUNS: usize = 4;

/// What may go wrong on a loop, and how often: each number counts among 1,024 occasions.
///
/// A plan does only what the kernel may do as well, so a program that fails under a plan has a bug,
/// or the loop has one.
///
/// ```
/// use oneloop::chaos::{self, Plan};
/// let plans = (0..20).map(|seed| {
///     let mut plan = Plan::new(seed);
///     plan.short = 1024; // each read and each write
///     plan
/// });
/// chaos::check_plans(plans, |event_loop| {
///     event_loop.block_on(oneloop::core::yield_now());
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The source of every choice.
    pub seed: u64,
    /// Events of one wait are spread over several turns.
    pub split: u16,
    /// An fd is reported as ready that is not.
    pub invented: u16,
    /// A system call fails with `EAGAIN` that would have succeeded; an event for the fd follows. At
    /// most 1,023, as a call that always fails makes no progress.
    pub would_block: u16,
    /// A system call fails with `EINTR`. At most 1,023.
    pub interrupted: u16,
    /// A read or a write moves fewer bytes than it could. Datagrams stay whole.
    pub short: u16,
    /// The share of a run in bytes, or of a phase in runs, is small.
    pub small_share: u16,
    /// Virtual time passes beyond the next timer, by up to 20 ms.
    pub late: u16,
    /// A connection is reset. Never in [`Plan::new`].
    pub reset: u16,
    /// `accept`, `socket`, `socketpair` or `pipe` fails for lack of fds or memory. Never in
    /// [`Plan::new`].
    pub shortage: u16,
    /// Jobs on worker threads run one at a time, when the seed says so, and the loop waits for each.
    pub jobs_in_turn: bool,
    /// The virtual time after which a program counts as hanging, and its loop panics: an hour.
    pub time_max: Duration,
    /// The number of turns, with no virtual time passing, after which a program counts as hanging,
    /// and its loop panics: a million. A task that wakes itself without end is such a program.
    pub turns_max: u64,
    /// The real time after which a loop with virtual time counts as hanging when nothing on it can
    /// happen any more, or when it waits for a job on a worker thread, and panics: 2 seconds. A
    /// program whose jobs take longer, or that waits for a child process or for a thread of its own,
    /// needs more, or `None`.
    pub hang_after: Option<Duration>,
    /// A bug of the loop, for the test of chaos itself.
    #[doc(hidden)]
    pub bug: Option<Bug>,
}

impl Plan {
    /// Everything that a correct program does not notice: disorder, spurious wake-ups, short reads
    /// and writes, late timers. No operation fails.
    pub fn new(seed: u64) -> Self {
        Plan {
            seed,
            split: 512,
            invented: 64,
            would_block: 64,
            interrupted: 32,
            short: 200,
            small_share: 256,
            late: 256,
            reset: 0,
            shortage: 0,
            jobs_in_turn: true,
            time_max: Duration::from_secs(3600),
            turns_max: 1_000_000,
            hang_after: Some(Duration::from_secs(2)),
            bug: None,
        }
    }

    /// Failures as well: connections are reset, and fds run out.
    pub fn with_failures(seed: u64) -> Self {
        Plan {
            reset: 6,
            shortage: 40,
            ..Plan::new(seed)
        }
    }

    /// The plan of the environment variable `ONELOOP_CHAOS`, for programs that were not written for
    /// chaos. Such a loop may wait for others, so it does not count as hanging. Its jobs may wait for
    /// each other, so they run on the pool's threads. Where its time is virtual, the program counts on
    /// exact times, so timers are not late.
    fn of_environment() -> io::Result<Option<Self>> {
        let seed = seed_of_environment()?;
        Ok(seed.map(|seed| Plan {
            late: 0,
            jobs_in_turn: false,
            time_max: Duration::MAX,
            turns_max: u64::MAX,
            hang_after: None,
            ..Plan::new(seed)
        }))
    }
}

/// The seed in the environment variable `ONELOOP_CHAOS`; none if it is unset or empty.
///
/// # Errors
/// `InvalidInput` for any other text.
pub(crate) fn seed_of_environment() -> io::Result<Option<u64>> {
    parse_seed(env::var_os(VARIABLE).unwrap_or_default())
}

fn parse_seed(value: OsString) -> io::Result<Option<u64>> {
    if value.is_empty() {
        return Ok(None);
    }
    let seed = value.to_str().and_then(|value| value.parse().ok());
    let seed = seed.ok_or_else(|| {
        let problem = format!(
            "{VARIABLE}={}: a seed is a number below 2^64",
            value.display()
        );
        io::Error::new(io::ErrorKind::InvalidInput, problem)
    });
    seed.map(Some)
}

/// One choice of chaos, or one event that reached the program: see
/// [`Handle::chaos_steps`](crate::Handle::chaos_steps).
///
/// Sources and tasks are named as in [`Key`](crate::Key): `3.0` is the first one in slot 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The source got an event with these bits of `epoll_ctl(2)`.
    Event(Name, u32),
    /// A call failed with `EAGAIN`, and an event will follow.
    WouldBlock(Name, Direction),
    /// A call failed with `EINTR`.
    Interrupted(Name, Direction),
    /// A call moved this number of bytes.
    Moved(Name, Direction, usize),
    /// The connection was reset.
    Reset(Name),
    /// A call failed for lack of fds or memory: the errno.
    Shortage(i32),
    /// The task ran.
    Ran(Name),
    /// These nanoseconds of virtual time passed.
    Passed(u64),
    /// A job of this class ran.
    Job(Class),
    /// Bytes of a file counted as not cached, so that a job reads them.
    CacheMiss,
}

/// The index and the generation of a source or a task; `main` for the future of
/// [`EventLoop::block_on`](crate::EventLoop::block_on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(u64);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u64::MAX => f.write_str("main"),
            name => write!(f, "{}.{}", name as u32, name >> 32),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Step::Event(name, bits) => {
                let flags = EventFlags::from_bits_retain(bits);
                write!(f, "source {name}: event ")?;
                bitflags_text(flags, f)
            }
            Step::WouldBlock(name, direction) => {
                write!(f, "source {name}: {direction:?} fails with EAGAIN")
            }
            Step::Interrupted(name, direction) => {
                write!(f, "source {name}: {direction:?} fails with EINTR")
            }
            Step::Moved(name, direction, bytes) => {
                write!(f, "source {name}: {direction:?} moves {bytes} bytes")
            }
            Step::Reset(name) => write!(f, "source {name}: the connection is reset"),
            Step::Shortage(errno) => write!(f, "{}", io::Error::from_raw_os_error(errno)),
            Step::Ran(name) => write!(f, "task {name} runs"),
            Step::Passed(ns) => write!(f, "{:?} pass", Duration::from_nanos(ns)),
            Step::Job(class) => write!(f, "a job runs: {class:?}"),
            Step::CacheMiss => f.write_str("a file counts as not cached"),
        }
    }
}

fn bitflags_text(flags: EventFlags, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let names = flags.iter_names().map(|(name, _)| name);
    f.write_str(&names.collect::<Vec<_>>().join("|"))
}

impl Step {
    /// A number for the digest.
    fn hash(self) -> u64 {
        let of = |kind: u64, name: Name, value: u64| mix(mix(kind, name.0), value);
        match self {
            Step::Event(name, bits) => of(1, name, bits.into()),
            Step::WouldBlock(name, direction) => of(2, name, direction as u64),
            Step::Interrupted(name, direction) => of(3, name, direction as u64),
            Step::Moved(name, direction, bytes) => of(4 + direction as u64, name, bytes as u64),
            Step::Reset(name) => of(6, name, 0),
            Step::Shortage(errno) => mix(7, errno as u64),
            Step::Ran(name) => of(8, name, 0),
            Step::Passed(ns) => mix(9, ns),
            Step::Job(class) => mix(10, class as u64),
            Step::CacheMiss => 11,
        }
    }
}

/// Adds a value to a hash: FNV-1a over words, with a shift that spreads the high bits.
fn mix(hash: u64, value: u64) -> u64 {
    let mixed = (hash ^ value).wrapping_mul(0x100_0000_01b3);
    mixed ^ (mixed >> 29)
}

/// Names a schedule: two runs with the same digest took the same steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest {
    hash: u64,
    steps: u64,
}

impl Digest {
    /// The number of steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    fn add(self, step: Step) -> Self {
        Digest {
            hash: mix(self.hash, step.hash()),
            steps: self.steps + 1,
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.steps == 1 { "step" } else { "steps" };
        write!(f, "{:016x} after {} {unit}", self.hash, self.steps)
    }
}

/// The chaos of one loop.
#[derive(Debug, Default)]
pub(crate) struct Chaos {
    inner: Option<Box<Active>>,
}

#[derive(Debug)]
struct Active {
    plan: Plan,
    random: Cell<u64>,
    /// Events for a later turn.
    held: RefCell<Vec<(u64, u32)>>,
    /// The number of turns since virtual time has passed.
    turns: Cell<u64>,
    digest: Cell<Digest>,
    /// The last steps.
    steps: RefCell<VecDeque<Step>>,
}

impl Active {
    /// The next number of the seed's sequence: splitmix64, which is enough to choose from a few.
    fn next(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is at least 1.
    fn below(&self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn happens(&self, times: u16) -> bool {
        times > 0 && self.next() % OCCASIONS < u64::from(times)
    }

    fn note(&self, step: Step) {
        self.digest.set(self.digest.get().add(step));
        let mut steps = self.steps.borrow_mut();
        if steps.len() == STEPS_MAX {
            steps.pop_front();
        }
        steps.push_back(step);
    }

    fn hold(&self, key: u64, direction: Direction) {
        let flags = match direction {
            Direction::Read => EventFlags::IN,
            Direction::Write => EventFlags::OUT,
        };
        self.held.borrow_mut().push((key, flags.bits()));
    }

    /// Replaces the events of a wait: in another order, some held back, one invented.
    fn stir(
        &self,
        mut events: Vec<(u64, u32)>,
        keys: &[u64],
        events_max: usize,
    ) -> Vec<(u64, u32)> {
        // A source may have gone since its event was held.
        let is_there = |held: &(u64, u32)| keys.contains(&held.0);
        events.extend(self.held.take().into_iter().filter(is_there));
        if !keys.is_empty() && self.happens(self.plan.invented) {
            let flags = [EventFlags::IN, EventFlags::OUT][self.below(2)];
            events.push((keys[self.below(keys.len())], flags.bits()));
        }
        // The kernel's order depends on more than the seed, so the shuffle starts from another one.
        events.sort_unstable();
        events.dedup_by(|next, first| {
            let is_same = next.0 == first.0;
            first.1 |= if is_same { next.1 } else { 0 };
            is_same
        });
        for index in (1..events.len()).rev() {
            events.swap(index, self.below(index + 1));
        }
        let mut count = events.len();
        if count > 1 && self.happens(self.plan.split) {
            count = 1 + self.below(count);
        }
        let held = events.split_off(count.min(events_max));
        self.held.replace(held);
        for (key, flags) in &events {
            self.note(Step::Event(Name(*key), *flags));
        }
        events
    }

    fn limit(&self, len: usize) -> usize {
        if len < 2 || !self.happens(self.plan.short) {
            return len;
        }
        let is_tiny = self.happens(OCCASIONS as u16 / 2);
        1 + self.below(if is_tiny { len.min(SHORT_BYTES) } else { len })
    }
}

impl Chaos {
    /// # Errors
    /// `InvalidInput` if there is no plan and the environment has a text that is no seed.
    pub(crate) fn new(plan: Option<Plan>) -> io::Result<Self> {
        let plan = match plan {
            None => Plan::of_environment()?,
            plan => plan,
        };
        let inner = plan.map(|plan| {
            Box::new(Active {
                random: Cell::new(plan.seed),
                plan,
                held: RefCell::default(),
                turns: Cell::new(0),
                digest: Cell::default(),
                steps: RefCell::default(),
            })
        });
        Ok(Chaos { inner })
    }

    pub(crate) fn is_on(&self) -> bool {
        self.inner.is_some()
    }

    /// See [`Plan::jobs_in_turn`].
    pub(crate) fn hold(&self) -> Option<Hold> {
        let plan = &self.inner.as_ref()?.plan;
        let patience = plan.hang_after;
        plan.jobs_in_turn.then_some(Hold { patience })
    }

    pub(crate) fn has_bug(&self, bug: Bug) -> bool {
        let active = self.inner.as_ref();
        active.is_some_and(|active| active.plan.bug == Some(bug))
    }

    /// See [`Plan::hang_after`].
    pub(crate) fn hang_after(&self) -> Option<Duration> {
        self.inner.as_ref()?.plan.hang_after
    }

    /// See [`Plan::time_max`].
    pub(crate) fn time_max(&self) -> Option<Duration> {
        self.inner.as_ref().map(|active| active.plan.time_max)
    }

    /// True after too many turns without virtual time passing: see [`Plan::turns_max`].
    pub(crate) fn spins(&self) -> bool {
        let active = self.inner.as_ref();
        active.is_some_and(|active| active.turns.get() > active.plan.turns_max)
    }

    pub(crate) fn digest(&self) -> Option<Digest> {
        self.inner.as_ref().map(|active| active.digest.get())
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        let steps = self.inner.as_ref().map(|active| active.steps.borrow());
        steps
            .iter()
            .flat_map(|steps| steps.iter())
            .copied()
            .collect()
    }

    /// True while events are held back, so that the loop must not sleep.
    pub(crate) fn has_held(&self) -> bool {
        let active = self.inner.as_ref();
        active.is_some_and(|active| !active.held.borrow().is_empty())
    }

    /// Changes the events of the last wait.
    pub(crate) fn stir<T>(&self, reactor: &mut Reactor<T>) {
        if let Some(active) = &self.inner {
            active.turns.set(active.turns.get() + 1);
            let keys: Vec<_> = reactor.iter().map(|(key, _)| key.to_u64()).collect();
            reactor.replace_events(|events, max| active.stir(events, &keys, max));
        }
    }

    /// The error that a system call on a source has instead of a result.
    pub(crate) fn before_call(&self, key: u64, direction: Direction) -> Option<io::Error> {
        let active = self.inner.as_ref()?;
        if active.happens(active.plan.interrupted.min(MOSTLY)) {
            active.note(Step::Interrupted(Name(key), direction));
            return Some(io::ErrorKind::Interrupted.into());
        }
        if active.happens(active.plan.would_block.min(MOSTLY)) {
            active.note(Step::WouldBlock(Name(key), direction));
            // On an edge-triggered fd, EAGAIN promises that an event follows.
            active.hold(key, direction);
            return Some(io::ErrorKind::WouldBlock.into());
        }
        None
    }

    pub(crate) fn after_call(&self, key: u64, direction: Direction, bytes: usize) {
        if let Some(active) = &self.inner {
            active.note(Step::Moved(Name(key), direction, bytes));
        }
    }

    /// The number of bytes of `len` that one call on a byte stream may move.
    pub(crate) fn limit(&self, len: usize) -> usize {
        self.inner.as_ref().map_or(len, |active| active.limit(len))
    }

    /// True if a connection has been reset here: `reset` returns false for an fd that is none.
    pub(crate) fn resets(&self, key: u64, reset: impl FnOnce() -> bool) -> bool {
        let Some(active) = &self.inner else {
            return false;
        };
        let is_reset = active.happens(active.plan.reset) && reset();
        if is_reset {
            active.note(Step::Reset(Name(key)));
        }
        is_reset
    }

    /// True if a read of a file shall find nothing in the page cache.
    pub(crate) fn misses(&self) -> bool {
        let Some(active) = &self.inner else {
            return false;
        };
        let misses = active.happens(active.plan.would_block);
        if misses {
            active.note(Step::CacheMiss);
        }
        misses
    }

    /// The error, one of these, of a call that needs a new fd.
    pub(crate) fn shortage(&self, errnos: &[Errno]) -> Option<Errno> {
        let active = self.inner.as_ref()?;
        let is_short = active.happens(active.plan.shortage);
        is_short.then(|| {
            let errno = errnos[active.below(errnos.len())];
            active.note(Step::Shortage(errno.raw_os_error()));
            errno
        })
    }

    pub(crate) fn note_run(&self, task: u64) {
        if let Some(active) = &self.inner {
            active.note(Step::Ran(Name(task)));
        }
    }

    /// The number of tasks that a phase may run beyond those that it has woken.
    pub(crate) fn runs_max(&self, most: usize) -> usize {
        match &self.inner {
            Some(active) if active.happens(active.plan.small_share) => {
                active.below(SMALL_SHARE_RUNS)
            }
            _ => most,
        }
    }

    /// The bytes that one run of a task may move.
    pub(crate) fn share_bytes(&self, most: usize) -> usize {
        match &self.inner {
            Some(active) if active.happens(active.plan.small_share) => {
                1 + active.below(SMALL_SHARE_BYTES)
            }
            _ => most,
        }
    }

    /// The time that passes instead of `sleep`: never less.
    pub(crate) fn pass(&self, sleep: Duration) -> Duration {
        let Some(active) = &self.inner else {
            return sleep;
        };
        let late_ns = match active.happens(active.plan.late) {
            true => active.next() % LATE_NS_MAX,
            false => 0,
        };
        let passed = sleep.saturating_add(Duration::from_nanos(late_ns));
        active.turns.set(0);
        active.note(Step::Passed(passed.as_nanos() as u64));
        passed
    }

    /// The class whose next job runs now, of those with jobs that wait. With `must`, there is one.
    pub(crate) fn choose_job(&self, classes: &[Class], must: bool) -> Option<Class> {
        let active = self.inner.as_ref()?;
        if classes.is_empty() || !(must || active.happens(OCCASIONS as u16 / 2)) {
            return None;
        }
        let class = classes[active.below(classes.len())];
        active.note(Step::Job(class));
        Some(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(plan: Plan) -> Active {
        *Chaos::new(Some(plan)).unwrap().inner.unwrap()
    }

    #[test]
    fn the_same_seed_makes_the_same_choices_whatever_order_the_kernel_has() {
        for seed in 0..100 {
            let (a, b) = (active(Plan::new(seed)), active(Plan::new(seed)));
            let events = [(1, 1), (2, 4), (3, 1)];
            let mut reversed = events;
            reversed.reverse();
            for _ in 0..10 {
                assert_eq!(
                    a.stir(events.to_vec(), &[1, 2, 3, 7], 8),
                    b.stir(reversed.to_vec(), &[1, 2, 3, 7], 8)
                );
            }
            assert_eq!(a.digest, b.digest);
        }
    }

    #[test]
    fn no_event_is_lost() {
        for seed in 0..100 {
            let chaos = active(Plan {
                invented: 0,
                ..Plan::new(seed)
            });
            let mut got = chaos.stir(vec![(1, 1), (2, 4), (3, 1)], &[1, 2, 3], 2);
            while !chaos.held.borrow().is_empty() {
                got.extend(chaos.stir(Vec::new(), &[1, 2, 3], 2));
            }
            got.sort_unstable();
            assert_eq!(got, [(1, 1), (2, 4), (3, 1)]);
        }
    }

    #[test]
    fn an_eagain_is_followed_by_an_event() {
        let chaos = Chaos::new(Some(Plan {
            would_block: 1023,
            interrupted: 0,
            ..Plan::new(1)
        }))
        .unwrap();
        let error = chaos.before_call(5, Direction::Write).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(chaos.has_held());
        let active = chaos.inner.unwrap();
        let events = active.stir(Vec::new(), &[5], 8);
        assert_eq!(events, [(5, EventFlags::OUT.bits())]);
    }

    #[test]
    fn a_held_event_goes_with_its_source() {
        let chaos = active(Plan {
            invented: 0,
            ..Plan::new(1)
        });
        chaos.hold(5, Direction::Read);
        assert_eq!(chaos.stir(Vec::new(), &[6], 8), []);
        assert!(chaos.held.borrow().is_empty());
        assert_eq!(chaos.digest.get().steps(), 0);
    }

    #[test]
    fn a_limit_is_never_zero_and_never_more() {
        let chaos = Chaos::new(Some(Plan::new(3))).unwrap();
        for len in [1, 2, 15, 16, 17, 65_536] {
            assert!((0..1000).all(|_| (1..=len).contains(&chaos.limit(len))));
        }
        assert_eq!(chaos.limit(0), 0);
    }

    #[test]
    fn time_passes_at_least_as_asked() {
        let chaos = Chaos::new(Some(Plan::new(3))).unwrap();
        let sleep = Duration::from_millis(1);
        assert!((0..1000).all(|_| chaos.pass(sleep) >= sleep));
    }

    #[test]
    fn no_call_fails_forever() {
        // One after the other: both at once need a million calls, which Miri makes in an hour.
        for (interrupted, would_block) in [(u16::MAX, 0), (0, u16::MAX)] {
            let chaos = Chaos::new(Some(Plan {
                interrupted,
                would_block,
                ..Plan::new(1)
            }))
            .unwrap();
            let mut calls = (0..100_000).map(|_| chaos.before_call(5, Direction::Read));
            assert!(calls.any(|failed| failed.is_none()));
        }
    }

    #[test]
    fn a_variable_that_is_no_seed_is_an_error() {
        let seed = |text: &str| parse_seed(text.into()).map_err(|error| error.to_string());
        assert_eq!(seed(""), Ok(None));
        assert_eq!(seed("18446744073709551615"), Ok(Some(u64::MAX)));
        for text in ["seven", "-1", "0x7", "7 ", "18446744073709551616"] {
            let error = format!("ONELOOP_CHAOS={text}: a seed is a number below 2^64");
            assert_eq!(seed(text), Err(error));
        }
    }

    #[test]
    fn what_is_no_connection_is_not_reset() {
        let chaos = Chaos::new(Some(Plan {
            reset: 1024,
            ..Plan::new(1)
        }))
        .unwrap();
        assert!(!chaos.resets(1, || false));
        assert_eq!(chaos.steps(), []);
        assert!(chaos.resets(1, || true));
        assert_eq!(chaos.steps(), [Step::Reset(Name(1))]);
    }

    #[test]
    fn steps_print_as_sentences() {
        let steps = [
            Step::Event(Name(3 << 32 | 2), 5),
            Step::Moved(Name(2), Direction::Read, 7),
            Step::Passed(1_000_000),
            Step::Shortage(24),
            Step::Ran(Name(u64::MAX)),
        ];
        let texts: Vec<_> = steps.iter().map(Step::to_string).collect();
        assert_eq!(texts[0], "source 2.3: event IN|OUT");
        assert_eq!(texts[1], "source 2.0: Read moves 7 bytes");
        assert_eq!(texts[2], "1ms pass");
        assert!(texts[3].starts_with("Too many open files"), "{}", texts[3]);
        assert_eq!(texts[4], "task main runs");
    }
}
