//! Deadlines in order: a million can be armed at once. A mechanism by itself: it never asks the time.

use crate::slots::{Key, Slots};
use crate::wheel::Wheel;

/// A timer's value and the one entry of the queue that stands for it.
#[derive(Debug)]
pub struct Timer<T> {
    value: T,
    order: u64,
    referenced: bool,
}

/// What stands for a timer in the queue; stale once the timer has another `order` or is gone.
#[derive(Debug)]
struct Entry<T> {
    /// Counts up with every start.
    order: u64,
    key: Key<Timer<T>>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Entry<T> {}

/// Timers by deadline, first in first out where deadlines are equal.
///
/// Deadlines are nanoseconds on whatever clock the caller has, which goes forward only: a deadline
/// before one that was popped counts as that one. Stopping a timer leaves its entry in the queue, to
/// be skipped later; when half of the queue is such entries, they are swept out.
///
/// ```
/// use oneloop_core::Timers;
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
pub struct Timers<T> {
    armed: Slots<Timer<T>>,
    queue: Wheel<Entry<T>>,
    next_order: u64,
    referenced: usize,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Timers {
            armed: Slots::new(),
            queue: Wheel::default(),
            next_order: 0,
            referenced: 0,
        }
    }
}

/// Below this many entries a sweep is not worth its while.
const SWEEP_MIN: usize = 64;
/// Among so many entries the earliest live one is looked for; among more, an estimate will do.
const SCAN_MAX: usize = 32;

impl<T> Timers<T> {
    /// No timers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Arms a timer, referenced.
    pub fn start(&mut self, deadline_ns: u64, value: T) -> Key<Timer<T>> {
        let order = self.order();
        let key = self.armed.insert(Timer {
            value,
            order,
            referenced: true,
        });
        self.referenced += 1;
        self.queue.push(deadline_ns, Entry { order, key });
        key
    }

    /// Gives an armed timer another deadline; among equal ones it is now the last. False if it is
    /// not armed.
    pub fn again(&mut self, key: Key<Timer<T>>, deadline_ns: u64) -> bool {
        let order = self.order();
        let Some(timer) = self.armed.get_mut(key) else {
            return false;
        };
        timer.order = order;
        self.queue.push(deadline_ns, Entry { order, key });
        self.sweep();
        true
    }

    /// The values of all timers, in no order.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.armed.into_values().map(|timer| timer.value)
    }

    /// Disarms a timer and gives its value back.
    pub fn stop(&mut self, key: Key<Timer<T>>) -> Option<T> {
        let timer = self.armed.remove(key)?;
        self.referenced -= usize::from(timer.referenced);
        self.sweep();
        Some(timer.value)
    }

    /// The value of an armed timer.
    pub fn get_mut(&mut self, key: Key<Timer<T>>) -> Option<&mut T> {
        self.armed.get_mut(key).map(|timer| &mut timer.value)
    }

    /// Says whether this timer counts in [`Timers::referenced`].
    pub fn set_referenced(&mut self, key: Key<Timer<T>>, referenced: bool) {
        if let Some(timer) = self.armed.get_mut(key) {
            self.referenced -= usize::from(timer.referenced);
            self.referenced += usize::from(referenced);
            timer.referenced = referenced;
        }
    }

    /// How many armed timers are referenced.
    pub fn referenced(&self) -> usize {
        self.referenced
    }

    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.armed.len()
    }

    /// True when no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// When the first timer is due; or earlier, if many timers stand around it and some of them
    /// were stopped. It is exact again once that time has come.
    pub fn next_deadline_ns(&mut self) -> Option<u64> {
        loop {
            let (deadline_ns, entry) = self.queue.peek()?;
            if is_live(&self.armed, entry) || self.queue.first_len() > SCAN_MAX {
                return Some(deadline_ns);
            }
            let armed = &self.armed;
            self.queue.retain_first(|entry| is_live(armed, entry));
        }
    }

    /// Takes out the first timer, if it is due: never before its deadline.
    pub fn pop_due(&mut self, now_ns: u64) -> Option<(u64, T)> {
        loop {
            self.queue
                .peek()
                .filter(|(deadline_ns, _)| *deadline_ns <= now_ns)?;
            let (deadline_ns, entry) = self.queue.pop()?;
            if is_live(&self.armed, &entry) {
                let timer = self.armed.remove(entry.key)?;
                self.referenced -= usize::from(timer.referenced);
                return Some((deadline_ns, timer.value));
            }
        }
    }

    fn order(&mut self) -> u64 {
        self.next_order += 1;
        self.next_order
    }

    /// Keeps the queue within twice the armed timers, at a constant cost for each stop.
    fn sweep(&mut self) {
        if self.queue.len() > SWEEP_MIN && self.queue.len() > 2 * self.armed.len() {
            let armed = &self.armed;
            self.queue.retain(|entry| is_live(armed, entry));
        }
    }
}

fn is_live<T>(armed: &Slots<Timer<T>>, entry: &Entry<T>) -> bool {
    armed
        .get(entry.key)
        .is_some_and(|timer| timer.order == entry.order)
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
    }

    /// Few different ones near by, so that equal ones are common; and some from all over the range.
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
        ]
    }

    proptest! {
        /// The model is a map from (deadline, order of arming) to the timer's number.
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
