//! Timers by deadline, up to a million at once. Usable alone: it never reads a clock.

pub use crate::mechanisms::armed::Timer;
use crate::mechanisms::armed::{Armed, Item};
use crate::mechanisms::slots::Key;
use crate::mechanisms::wheel::Wheel;

/// Timers by deadline, first in first out where deadlines are equal.
///
/// Deadlines are nanoseconds on the caller's clock, which must only move forward: a deadline before
/// one that was popped counts as that one. Stopping a timer leaves its item in the queue, to be
/// skipped later; once stale items are half of the queue, they are swept out.
///
/// ```
/// use oneloop::core::Timers;
/// let mut timers = Timers::new();
/// let late = timers.start(200, "late");
/// timers.start(100, "early");
/// timers.start(100, "early too");
/// assert_eq!(timers.next_deadline_ns(), Some(100));
/// assert_eq!(timers.pop_due(150).map(|(_, value)| value), Some("early"));
/// timers.again(late, 120);
/// assert_eq!(timers.pop_due(150).map(|(_, value)| value), Some("early too"));
/// assert_eq!(timers.stop(late), Some("late"));
/// assert!(timers.pop_due(u64::MAX).is_none());
/// ```
#[derive(Debug)]
#[doc(alias("DelayQueue", "TimerWheel"))]
pub struct Timers<T> {
    armed: Armed<T>,
    queue: Wheel<Item>,
    /// Items that [`Timers::pop_due_before`] has passed over, in order.
    held: Vec<(u64, Item)>,
    /// The number of starts so far.
    starts: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Timers {
            armed: Armed::default(),
            queue: Wheel::default(),
            held: Vec::new(),
            starts: 0,
        }
    }
}

/// With fewer items than this a sweep costs more than it saves.
const SWEEP_MIN: usize = 64;
/// After this many starts, all stale items are removed.
const SWEEP_STARTS: u64 = 1 << 30;
/// Up to this many items are scanned for the earliest live one. With more, an estimate is enough:
/// it costs the loop one wake-up.
const SCAN_MAX: usize = 32;

/// A point in the order of starts: see [`Timers::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerMark(u64);

impl<T> Timers<T> {
    /// Makes an empty set of timers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Arms a timer. It is referenced.
    pub fn start(&mut self, deadline_ns: u64, value: T) -> Key<Timer<T>> {
        let order = self.count_start();
        let (key, item) = self.armed.insert(value, order);
        self.queue.push(deadline_ns, item);
        key
    }

    /// Gives an armed timer another deadline. Among timers with the same deadline it is then the
    /// last. False if it is not armed.
    pub fn again(&mut self, key: Key<Timer<T>>, deadline_ns: u64) -> bool {
        let order = self.count_start();
        let Some(item) = self.armed.restart(key, order) else {
            return false;
        };
        self.queue.push(deadline_ns, item);
        self.sweep();
        true
    }

    /// The values of all timers, in no particular order.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.armed.into_values()
    }

    /// The values of the armed timers, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.armed.values()
    }

    /// Disarms a timer and returns its value.
    pub fn stop(&mut self, key: Key<Timer<T>>) -> Option<T> {
        // Its item stays in the queue: to find it there would take a search. It is skipped when its
        // time comes, and swept out before such items are too many.
        let value = self.armed.remove(key)?;
        self.sweep();
        Some(value)
    }

    /// The value of an armed timer.
    pub fn get_mut(&mut self, key: Key<Timer<T>>) -> Option<&mut T> {
        self.armed.get_mut(key)
    }

    /// Sets whether this timer counts in [`Timers::referenced`].
    pub fn set_referenced(&mut self, key: Key<Timer<T>>, referenced: bool) {
        self.armed.set_referenced(key, referenced);
    }

    /// The number of armed timers that are referenced.
    pub fn referenced(&self) -> usize {
        self.armed.referenced()
    }

    /// The number of armed timers.
    pub fn len(&self) -> usize {
        self.armed.len()
    }

    /// True when no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The deadline of the first timer; or an earlier time, if many timers are near it and some of
    /// them were stopped. The deadline is exact again once that time has come.
    pub fn next_deadline_ns(&mut self) -> Option<u64> {
        self.release();
        loop {
            let (deadline_ns, item) = self.queue.peek()?;
            // A stale item gives an early deadline. Among few items the true one is found at once;
            // among many the loop wakes once for nothing and then knows.
            if self.armed.is_live(item) || self.queue.first_len() > SCAN_MAX {
                return Some(deadline_ns);
            }
            self.queue.retain_first(|item| self.armed.is_live(item));
        }
    }

    /// Takes out the first timer if it is due: never before its deadline. Returns its deadline,
    /// too.
    pub fn pop_due(&mut self, now_ns: u64) -> Option<(u64, T)> {
        self.release();
        loop {
            let is_live = |item| self.armed.is_live(item);
            let (deadline_ns, item) = self.queue.pop_due(now_ns, is_live)?;
            if let Some(value) = self.armed.remove_live(item) {
                return Some((deadline_ns, value));
            }
        }
    }

    /// Marks this moment in the order of starts: see [`Timers::pop_due_before`].
    pub fn mark(&self) -> TimerMark {
        TimerMark(self.starts)
    }

    /// Takes out the first timer that is due and was started before the mark, as
    /// [`Timers::pop_due`] does. A timer that [`Timers::again`] has restarted since counts as
    /// started since.
    ///
    /// A pass over the timers needs it if it calls code that may start timers: one that is due at
    /// once belongs to the next pass, or the pass may never end. libuv's `uv__run_timers`.
    ///
    /// ```
    /// use oneloop::core::Timers;
    /// let mut timers = Timers::new();
    /// timers.start(10, "a");
    /// timers.start(20, "b");
    /// let (now_ns, mark) = (20, timers.mark());
    /// let mut fired = Vec::new();
    /// while let Some((_, value)) = timers.pop_due_before(now_ns, mark) {
    ///     fired.push(value);
    ///     timers.start(now_ns, "started by a callback");
    /// }
    /// assert_eq!(fired, ["a", "b"]);
    /// assert_eq!(timers.len(), 2); // for the next pass
    /// ```
    pub fn pop_due_before(&mut self, now_ns: u64, mark: TimerMark) -> Option<(u64, T)> {
        loop {
            let is_live = |item| self.armed.is_live(item);
            let Some((deadline_ns, item)) = self.queue.pop_due(now_ns, is_live) else {
                self.release();
                return None;
            };
            if !self.armed.is_live(item) {
                continue;
            }
            if self.armed.order(item) > mark.0 {
                // Held until the pass ends: if it went back at once, the next pop would find it
                // again.
                self.held.push((deadline_ns, item));
                continue;
            }
            let value = self.armed.remove_live(item)?;
            return Some((deadline_ns, value));
        }
    }

    /// Returns the items that a pass has held to their place: before all that are in the queue.
    #[inline]
    fn release(&mut self) {
        if !self.held.is_empty() {
            self.release_held();
        }
    }

    #[cold]
    fn release_held(&mut self) {
        while let Some((deadline_ns, item)) = self.held.pop() {
            self.queue.push_first(deadline_ns, item);
        }
    }

    fn count_start(&mut self) -> u64 {
        self.starts += 1;
        // The counts by which items are recognized have 32 bits, and a start adds at most two to
        // one of them: before they wrap around, no stale item is left.
        if self.starts.is_multiple_of(SWEEP_STARTS) {
            self.remove_stale();
        }
        self.starts
    }

    /// Keeps the queue within twice the number of armed timers. A sweep removes at least half of
    /// the items, so each stop pays a constant share of it.
    fn sweep(&mut self) {
        if self.queue.len() > SWEEP_MIN && self.queue.len() > 2 * self.armed.len() {
            self.remove_stale();
        }
    }

    #[cold]
    fn remove_stale(&mut self) {
        self.queue.retain(|item| self.armed.is_live(item));
        self.held.retain(|(_, item)| self.armed.is_live(*item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Step {
        Start(u64),
        Stop(usize),
        Again(usize, u64),
        Advance(u64),
        /// A pass at a later time: each timer that fires starts another one; perhaps it stops
        /// early.
        Pass(u64, u64, Option<usize>),
    }

    /// A few near durations, so that equal ones are common, and some from the whole range.
    fn duration() -> impl Strategy<Value = u64> {
        prop_oneof![
            3 => 0..50_u64,
            1 => (1..50_u64, 0..50_u32).prop_map(|(digits, shift)| digits << shift),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => duration().prop_map(Step::Start),
            2 => any::<usize>().prop_map(Step::Stop),
            2 => (any::<usize>(), duration()).prop_map(|(i, d)| Step::Again(i, d)),
            1 => duration().prop_map(Step::Advance),
            1 => (duration(), duration(), prop::option::of(0..4_usize))
                .prop_map(|(by, after, stop)| Step::Pass(by, after, stop)),
        ]
    }

    proptest! {
        /// The model is a map from (deadline, order of the start) to the timer's number.
        #[test]
        fn timers_behave_as_an_ordered_map(steps in prop::collection::vec(step(), 1..400)) {
            let (mut timers, mut model) = (Timers::new(), BTreeMap::new());
            let (mut keys, mut places) = (Vec::new(), Vec::new());
            let (mut now, mut order) = (0, 0);
            for step in steps {
                order += 1;
                match step {
                    Step::Start(after) => {
                        let number = keys.len();
                        keys.push(timers.start(now + after, number));
                        places.push(Some((now + after, order)));
                        model.insert((now + after, order), number);
                    }
                    Step::Stop(pick) if !keys.is_empty() => {
                        let number = pick % keys.len();
                        let expected = places[number].take().and_then(|place| model.remove(&place));
                        prop_assert_eq!(timers.stop(keys[number]), expected);
                    }
                    Step::Again(pick, after) if !keys.is_empty() => {
                        let number = pick % keys.len();
                        let armed = places[number].and_then(|place| model.remove(&place)).is_some();
                        prop_assert_eq!(timers.again(keys[number], now + after), armed);
                        if armed {
                            places[number] = Some((now + after, order));
                            model.insert((now + after, order), number);
                        }
                    }
                    Step::Advance(by) => {
                        now += by;
                        while let Some((deadline, number)) = timers.pop_due(now) {
                            let ((expected, _), first) = model.pop_first().expect("as many as the model");
                            prop_assert_eq!((deadline, number), (expected, first));
                            places[number] = None;
                        }
                        prop_assert!(model.keys().all(|(deadline, _)| *deadline > now));
                    }
                    Step::Pass(by, after, stop) => {
                        now += by;
                        let (mark, before) = (timers.mark(), order);
                        let mut fired = 0;
                        while stop != Some(fired) {
                            let due = model.iter().find(|((deadline, place), _)| *deadline <= now && *place <= before);
                            let due = due.map(|(place, number)| (*place, *number));
                            let popped = timers.pop_due_before(now, mark);
                            prop_assert_eq!(popped, due.map(|((deadline, _), number)| (deadline, number)));
                            let Some((place, number)) = due else { break };
                            model.remove(&place);
                            places[number] = None;
                            (fired, order) = (fired + 1, order + 1);
                            let (deadline, started) = (now + after, keys.len());
                            keys.push(timers.start(deadline, started));
                            places.push(Some((deadline, order)));
                            model.insert((deadline, order), started);
                        }
                    }
                    Step::Stop(_) | Step::Again(..) => {}
                }
                prop_assert_eq!(timers.len(), model.len());
                prop_assert_eq!(timers.referenced(), model.len());
                let (next, expected) = (timers.next_deadline_ns(), model.keys().next().map(|(deadline, _)| *deadline));
                if timers.queue.len() <= SCAN_MAX {
                    prop_assert_eq!(next, expected);
                } else {
                    prop_assert!(next.is_some() && next <= expected);
                }
                prop_assert!(timers.queue.len() <= SWEEP_MIN.max(2 * timers.len()) + 1);
            }
        }
    }

    #[test]
    fn a_million_timers_fire_in_order() {
        let mut timers = Timers::new();
        for i in 0..1_000_000_u64 {
            // An odd multiplier visits every residue: all deadlines differ, in no order.
            timers.start(i.wrapping_mul(0x9E37_79B1) % (1 << 20), i);
        }
        let mut last = 0;
        let mut fired = 0;
        while let Some((deadline, _)) = timers.pop_due(u64::MAX) {
            assert!(deadline >= last);
            (last, fired) = (deadline, fired + 1);
        }
        assert_eq!(fired, 1_000_000);
    }

    #[test]
    fn the_end_of_time_is_a_deadline() {
        let mut timers = Timers::new();
        timers.start(u64::MAX, "never");
        timers.start(0, "now");
        assert_eq!(timers.pop_due(0), Some((0, "now")));
        assert_eq!(timers.pop_due(u64::MAX - 1), None);
        assert_eq!(timers.pop_due(u64::MAX), Some((u64::MAX, "never")));
        timers.start(5, "too late, so at once");
        assert_eq!(timers.next_deadline_ns(), Some(5));
        assert_eq!(timers.pop_due(u64::MAX), Some((5, "too late, so at once")));
    }

    #[test]
    fn a_deadline_in_the_past_counts_as_the_last_that_fired() {
        let mut timers = Timers::new();
        for name in ["a", "b", "c"] {
            timers.start(1_000_000, name); // one bucket, which is sorted as a whole
        }
        timers.start(2_000_000, "later");
        assert_eq!(timers.pop_due(3_000_000), Some((1_000_000, "a")));
        timers.start(5, "late");
        let fired = std::iter::from_fn(|| timers.pop_due(3_000_000));
        let expected = [(1_000_000, "b"), (1_000_000, "c"), (5, "late")];
        assert!(fired.eq(expected.into_iter().chain([(2_000_000, "later")])));
    }

    /// More timers than fit in a run, with equal deadlines among them, and others that start and
    /// end while a run is taken out.
    #[test]
    fn thousands_of_timers_fire_as_a_sorted_list_would() {
        let (mut timers, mut model) = (Timers::new(), BTreeMap::new());
        let mut random = 1_u64;
        let mut next_random = |below: u64| {
            random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            (random >> 33) % below
        };
        let mut now = 0;
        for order in 0..40_000 {
            // Half of the deadlines are near, and a third of those equal to others.
            let spread = [30, 10_000, 1 << 20, 1 << 33][next_random(4) as usize];
            let deadline = now + next_random(spread);
            let key = timers.start(deadline, order);
            match next_random(4) {
                0 => assert_eq!(timers.stop(key), Some(order)),
                _ => drop(model.insert((deadline, order), ())),
            }
            if order % 3000 == 0 {
                now += next_random(1 << 19);
            }
            while next_random(3) == 0
                && let Some((deadline, fired)) = timers.pop_due(now)
            {
                let ((expected, order), ()) = model.pop_first().unwrap();
                assert_eq!((deadline, fired), (expected, order));
            }
        }
        while let Some((deadline, fired)) = timers.pop_due(u64::MAX) {
            let ((expected, order), ()) = model.pop_first().unwrap();
            assert_eq!((deadline, fired), (expected, order));
        }
        assert!(model.is_empty() && timers.is_empty());
    }

    #[test]
    fn an_unreferenced_timer_is_not_counted() {
        let mut timers = Timers::new();
        let key = timers.start(1, ());
        timers.set_referenced(key, false);
        timers.set_referenced(key, false);
        assert_eq!((timers.len(), timers.referenced()), (1, 0));
        timers.set_referenced(key, true);
        assert_eq!(timers.referenced(), 1);
        timers.stop(key);
        assert_eq!(timers.referenced(), 0);
    }
}
