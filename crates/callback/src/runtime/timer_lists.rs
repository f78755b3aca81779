//! Node's lists of timers: `lib/internal/timers.js`.
//!
//! Timers of one duration form one list, in the order of their insertion, which is the order in
//! which they are due. The lists are ordered by the time at which their first timer is due.
//!
//! ```text
//! order: (due_ms, number) ─▶ duration        lists: duration ─▶ entries, the oldest first
//!        (105, 7) ─────────▶   5 ms  ─────────────▶   5 ms ──▶ t3  t9  t4
//!        (130, 2) ─────────▶ 100 ms  ─────────────▶ 100 ms ──▶ t1  t2
//! ```
//!
//! A timer:
//!
//! ```text
//!        start            pass: take              finish, of a timeout
//! ─────────────▶ listed ─────────────▶ running ─────────────────────────▶ removed
//!                 │  ▲                  │   │                               ▲
//!                 │  └──────────────────┘   └────────── clear ──────────────┤
//!                 │   finish, of an interval                                │
//!                 └──────────────────────── clear ──────────────────────────┘
//! ```
//!
//! `refresh` moves a listed timer to the end of its list. It lists a running timer, too: a timeout
//! whose function can be called again stays listed then, and `finish` overrides it for the others.

use super::bell::Bell;
use crate::continuation::Once;
use crate::thrown::Thrown;
use oneloop_core::{Handle, Key, Slots, report};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Longer durations do not fit into 32 bits; Node makes them 1 ms.
const DURATION_MAX_MS: u64 = i32::MAX as u64;

/// A list may hold this many stale entries more than it holds live ones.
const STALE_ENTRIES_MAX: usize = 32;

/// What a timer calls: once, or, for an interval, each time.
pub(crate) type TimerCallback = Box<dyn FnMut() -> Result<(), Thrown>>;

/// A timer in Node's sense: see [`set_timeout`](crate::set_timeout). Dropping it leaves the timer
/// as it is.
#[derive(Clone, Copy)]
pub struct Timeout {
    pub(crate) key: Key<Timer>,
}

/// When a timer runs again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    Never,
    /// If it refreshes itself while it runs.
    WhenRefreshed,
    /// It is an interval.
    Always,
}

pub(crate) struct Timer {
    /// None while it runs.
    callback: Option<TimerCallback>,
    duration_ms: u64,
    repeats: Repeats,
    referenced: bool,
    /// The time of its last insertion.
    start_ms: u64,
    /// The number of its last insertion: entries of its list with another number are out of date.
    insertion: u64,
    /// True while an entry of a list stands for it.
    listed: bool,
}

/// The timers of one duration.
struct TimerList {
    /// Timers, each with the number of its insertion.
    entries: VecDeque<(Key<Timer>, u64)>,
    /// The number of entries that are up to date.
    live: usize,
    /// Its key in the order of the lists: no later than its first timer is due.
    position: (u64, u64),
}

#[derive(Default)]
struct Lists {
    timers: Slots<Timer>,
    lists: HashMap<u64, TimerList>,
    /// (time due in ms, number) → duration in ms.
    order: BTreeMap<(u64, u64), u64>,
    next_number: u64,
    /// The number of listed timers that keep the program alive.
    referenced: usize,
}

impl Lists {
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Puts a timer at the end of its duration's list.
    fn insert(&mut self, key: Key<Timer>, start_ms: u64) {
        let insertion = self.number();
        let Some(timer) = self.timers.get_mut(key) else {
            return;
        };
        (timer.start_ms, timer.insertion, timer.listed) = (start_ms, insertion, true);
        self.referenced += usize::from(timer.referenced);
        let duration_ms = timer.duration_ms;
        let position = (start_ms + duration_ms, insertion);
        // Only a new list is sorted in: in a list of one duration, the first timer inserted is the
        // first due.
        let list = self.lists.entry(duration_ms).or_insert_with(|| {
            self.order.insert(position, duration_ms);
            TimerList {
                entries: VecDeque::new(),
                live: 0,
                position,
            }
        });
        list.entries.push_back((key, insertion));
        list.live += 1;
        // A socket refreshes its timeout with each read. Sweeping in batches keeps that O(1).
        if list.entries.len() > 2 * list.live + STALE_ENTRIES_MAX {
            let timers = &self.timers;
            list.entries
                .retain(|(key, insertion)| is_current(timers, *key, *insertion));
        }
    }

    /// Makes a timer's entry stale. Its list keeps its position, even if it is empty now, as a pass
    /// may be walking it.
    fn unlist(&mut self, key: Key<Timer>) {
        let Some(timer) = self.timers.get_mut(key).filter(|timer| timer.listed) else {
            return;
        };
        timer.listed = false;
        timer.insertion = 0; // numbers begin at 1, so no entry stands for it any more
        self.referenced -= usize::from(timer.referenced);
        if let Some(list) = self.lists.get_mut(&timer.duration_ms) {
            list.live -= 1;
        }
    }

    /// Removes a list if no timer is left in it.
    fn remove_empty(&mut self, duration_ms: u64) {
        if let Some(list) = self.lists.get(&duration_ms)
            && list.live == 0
        {
            self.order.remove(&list.position);
            self.lists.remove(&duration_ms);
        }
    }

    fn first_due_ms(&self) -> Option<u64> {
        self.order.keys().next().map(|(due_ms, _)| *due_ms)
    }

    /// The first timer of a list.
    fn first_of(&mut self, duration_ms: u64) -> Option<Key<Timer>> {
        let list = self.lists.get_mut(&duration_ms)?;
        // Stale entries are dropped here. Dropping them when a timer is cleared would take a
        // search.
        while let Some((key, insertion)) = list.entries.front() {
            if is_current(&self.timers, *key, *insertion) {
                return Some(*key);
            }
            list.entries.pop_front();
        }
        None
    }

    /// Moves a list to where its first timer is due.
    fn postpone(&mut self, duration_ms: u64, due_ms: u64) {
        let position = (due_ms, self.number());
        if let Some(list) = self.lists.get_mut(&duration_ms) {
            self.order.remove(&list.position);
            self.order.insert(position, duration_ms);
            list.position = position;
        }
    }
}

/// True if an entry of a list stands for its timer.
fn is_current(timers: &Slots<Timer>, key: Key<Timer>, insertion: u64) -> bool {
    timers
        .get(key)
        .is_some_and(|timer| timer.insertion == insertion)
}

/// All timers of a program, and the time as it sees it.
pub(crate) struct Timers {
    lists: RefCell<Lists>,
    handle: Handle,
    started: Instant,
    /// The last time that was read: libuv's `loop->time`.
    loop_ms: Cell<u64>,
    /// No pass begins before this time.
    next_pass_ms: Cell<u64>,
    /// Rings when the next time due, or whether it keeps the program alive, may have changed.
    pub(crate) bell: Bell,
}

impl Timers {
    pub(super) fn new(handle: Handle) -> Self {
        let started = handle.now();
        Timers {
            lists: RefCell::default(),
            handle,
            started,
            loop_ms: Cell::new(0),
            next_pass_ms: Cell::new(0),
            bell: Bell::default(),
        }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Whole milliseconds since the program's start, read now: Node's `getLibuvNow`.
    pub(crate) fn now_ms(&self) -> u64 {
        // Node's timers know whole milliseconds only; with a finer clock, timers of different
        // durations would fire in another order.
        let elapsed = self.handle.now().saturating_duration_since(self.started);
        let now_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.loop_ms.set(now_ms);
        now_ms
    }

    /// Waits until a timer of 0 or 1 ms that `main` started is due.
    ///
    /// Node takes more than a millisecond to start, so such a timer fires before its first poll,
    /// and before its immediates. A program here starts in microseconds; programs that rely on the
    /// order would see another one.
    pub(crate) fn wait_for_first(&self) {
        let now_ms = self.now_ms();
        if self.lists.borrow().first_due_ms() == Some(now_ms + 1) {
            // The loop has not polled yet, so a blocked thread delays nothing that is ready.
            let clock = self.handle.clock();
            let left = Duration::from_millis(1);
            if clock.is_virtual() {
                clock.advance(left)
            } else {
                std::thread::sleep(left)
            }
        }
    }

    /// Starts a timer. `callback` makes what it calls of its own name.
    pub(crate) fn start(
        &self,
        callback: impl FnOnce(Timeout) -> TimerCallback,
        ms: f64,
        repeats: Repeats,
    ) -> Timeout {
        let duration_ms = duration_ms(ms);
        let now_ms = self.now_ms();
        let mut lists = self.lists.borrow_mut();
        let key = lists.timers.insert_with(|key| Timer {
            callback: Some(callback(Timeout { key })),
            duration_ms,
            repeats,
            referenced: true,
            start_ms: 0,
            insertion: 0,
            listed: false,
        });
        lists.insert(key, now_ms);
        drop(lists);
        self.bell.ring();
        Timeout { key }
    }

    /// `setTimeout`, for code that has its runtime at hand.
    pub(crate) fn start_once(&self, f: Once, ms: f64) -> Timeout {
        let mut f = Some(f);
        let callback = move || f.take().map_or(Ok(()), |f| f());
        self.start(|_| Box::new(callback), ms, Repeats::Never)
    }

    pub(crate) fn clear(&self, Timeout { key }: Timeout) {
        let mut lists = self.lists.borrow_mut();
        lists.unlist(key);
        let timer = lists.timers.remove(key);
        if let Some(timer) = &timer {
            lists.remove_empty(timer.duration_ms);
        }
        drop(lists);
        drop(timer); // after the borrow: the callback owns values of the program
        self.bell.ring();
    }

    pub(crate) fn refresh(&self, Timeout { key }: Timeout) {
        let now_ms = self.now_ms();
        let mut lists = self.lists.borrow_mut();
        if lists.timers.contains(key) {
            lists.unlist(key);
            lists.insert(key, now_ms);
        }
        drop(lists);
        self.bell.ring();
    }

    pub(crate) fn set_referenced(&self, Timeout { key }: Timeout, referenced: bool) {
        let mut lists = self.lists.borrow_mut();
        let Some(timer) = lists.timers.get_mut(key) else {
            return;
        };
        // A timer that runs is counted when it is listed again.
        let before = std::mem::replace(&mut timer.referenced, referenced);
        if timer.listed {
            lists.referenced -= usize::from(before);
            lists.referenced += usize::from(referenced);
        }
        drop(lists);
        self.bell.ring();
    }

    pub(crate) fn is_referenced(&self, Timeout { key }: Timeout) -> bool {
        let lists = self.lists.borrow();
        lists.timers.get(key).is_some_and(|timer| timer.referenced)
    }

    /// Drops all timers. True if there were any.
    pub(crate) fn forget_all(&self) -> bool {
        let lists = self.lists.take();
        !lists.timers.is_empty()
    }

    /// The time in ms at which the next pass begins, and whether it keeps the program alive. None
    /// without a timer.
    pub(crate) fn next_pass(&self) -> Option<(u64, bool)> {
        let lists = self.lists.borrow();
        let due_ms = lists.first_due_ms()?.max(self.next_pass_ms.get());
        Some((due_ms, lists.referenced > 0))
    }

    /// Keeps the next pass from beginning in the millisecond in which this one ends, as Node, which
    /// starts libuv's timer for 1 ms at least. So slow timers do not starve I/O and immediates.
    pub(crate) fn end_pass(&self) {
        self.next_pass_ms.set(self.loop_ms.get() + 1);
    }

    /// The duration of the first list that is due by `now_ms`.
    pub(crate) fn due_list(&self, now_ms: u64) -> Option<u64> {
        let lists = self.lists.borrow();
        let ((due_ms, _), duration_ms) = lists.order.first_key_value()?;
        (*due_ms <= now_ms).then_some(*duration_ms)
    }

    /// The first timer of a list, if it is due by `now_ms`. If none is, the list moves to where its
    /// first timer will be due; an empty list is removed.
    pub(crate) fn first_due(&self, duration_ms: u64, now_ms: u64) -> Option<Timeout> {
        let mut lists = self.lists.borrow_mut();
        let Some(key) = lists.first_of(duration_ms) else {
            lists.remove_empty(duration_ms);
            return None;
        };
        let start_ms = lists.timers.get(key)?.start_ms;
        if now_ms.saturating_sub(start_ms) >= duration_ms {
            return Some(Timeout { key });
        }
        // At least a millisecond after this pass, as in `listOnTimeout`, so that the pass ends.
        lists.postpone(duration_ms, (start_ms + duration_ms).max(now_ms + 1));
        None
    }

    /// Takes the callback of a timer that is about to run, and the current time if the timer
    /// repeats. None if the timer was cleared.
    pub(crate) fn take(&self, Timeout { key }: Timeout) -> Option<(TimerCallback, Option<u64>)> {
        let mut lists = self.lists.borrow_mut();
        lists.unlist(key);
        let timer = lists.timers.get_mut(key)?;
        // Read before the callback runs, as in Node's `listOnTimeout`: a slow interval keeps its
        // period.
        let is_interval = timer.repeats == Repeats::Always;
        let start_ms = is_interval.then(|| self.now_ms());
        Some((timer.callback.take()?, start_ms))
    }

    /// After a timer ran: an interval returns to its list, counted from when it began to run. A
    /// timeout is removed; so is a timer that was cleared while it ran.
    pub(crate) fn finish(
        &self,
        Timeout { key }: Timeout,
        callback: TimerCallback,
        start_ms: Option<u64>,
    ) {
        let mut lists = self.lists.borrow_mut();
        if let Some(timer) = lists.timers.get_mut(key)
            && timer.listed
            && timer.repeats == Repeats::WhenRefreshed
        {
            timer.callback = Some(callback);
            return;
        }
        lists.unlist(key); // its callback may have refreshed it
        if let (Some(timer), Some(start_ms)) = (lists.timers.get_mut(key), start_ms) {
            timer.callback = Some(callback);
            lists.insert(key, start_ms);
            return;
        }
        let removed = (lists.timers.remove(key), callback);
        drop(lists);
        drop(removed);
    }
}

/// Node's rule: at least 1 ms; what does not fit into 32 bits, or is no number, is 1 ms.
fn duration_ms(ms: f64) -> u64 {
    if ms > DURATION_MAX_MS as f64 {
        report(format_args!(
            "TimeoutOverflowWarning: {ms} does not fit into a 32-bit signed integer.\n\
             Timeout duration was set to 1."
        ));
        return 1;
    }
    // 1 also for NaN, which compares false.
    if ms >= 1.0 { ms as u64 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(lists: &mut Lists, duration_ms: u64) -> Key<Timer> {
        let key = lists.timers.insert(Timer {
            callback: None,
            duration_ms,
            repeats: Repeats::Never,
            referenced: true,
            start_ms: 0,
            insertion: 0,
            listed: false,
        });
        lists.insert(key, 0);
        key
    }

    #[test]
    fn refreshed_timers_leave_no_more_entries_than_there_are_timers() {
        let mut lists = Lists::default();
        let timers = [start(&mut lists, 1000), start(&mut lists, 1000)];
        for now_ms in 1..=10_000 {
            for timer in timers {
                lists.unlist(timer);
                lists.insert(timer, now_ms);
            }
        }
        let list = &lists.lists[&1000];
        assert!(list.entries.len() <= 2 * timers.len() + STALE_ENTRIES_MAX);
        assert_eq!((list.live, lists.first_of(1000)), (2, Some(timers[0])));
    }
}
