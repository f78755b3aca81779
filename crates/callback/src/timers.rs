//! `setTimeout` and `setInterval`, with Node's lists and Node's milliseconds.
//!
//! As in Node's `lib/internal/timers.js`: timers of one duration are one list, in the order of their
//! insertion; lists are ordered by the time at which their first timer is due. One pass runs all that
//! was due when it began, list by list, with ticks in between. What becomes due meanwhile waits for the
//! next pass, after a turn of the loop, so slow timers do not starve I/O and immediates. Time is whole
//! milliseconds, rounded down, so a timer may fire up to a millisecond early, as Node's does.

pub mod promises;

use crate::continuation::{Once, once};
use crate::queues::Bell;
use crate::runtime::{Left, Runtime, current, try_current};
use crate::tables::references;
use crate::thrown::{Outcome, Thrown};
use oneloop_core::{Handle, Key, Sleep, Slots, report};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Longer durations do not fit into 32 bits, and become 1.
const DURATION_MAX_MS: u64 = i32::MAX as u64;

type Callback = Box<dyn FnMut() -> Result<(), Thrown>>;

struct State {
    /// Out of here while it runs.
    callback: Option<Callback>,
    duration_ms: u64,
    repeats: bool,
    referenced: bool,
    /// When it was inserted last, and under which number: entries of its list with another number
    /// are out of date.
    start_ms: u64,
    insertion: u64,
    /// True while an entry of a list stands for it.
    listed: bool,
}

/// The timers of one duration.
struct List {
    /// Timers and the number of their insertion.
    entries: VecDeque<(Key<State>, u64)>,
    /// How many entries are up to date.
    live: usize,
    /// Its place among the lists: no later than its first timer is due.
    place: (u64, u64),
}

/// A list may hold this many entries that are out of date, and as many as are up to date.
const STALE_ENTRIES_MAX: usize = 32;

#[derive(Default)]
struct Lists {
    timers: Slots<State>,
    lists: HashMap<u64, List>,
    /// (time due in ms, number) → duration.
    order: BTreeMap<(u64, u64), u64>,
    next_number: u64,
    /// Listed timers that keep the program alive.
    referenced: usize,
}

impl Lists {
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Puts a timer at the end of its duration's list.
    fn insert(&mut self, key: Key<State>, start_ms: u64) {
        let insertion = self.number();
        let Some(timer) = self.timers.get_mut(key) else {
            return;
        };
        (timer.start_ms, timer.insertion, timer.listed) = (start_ms, insertion, true);
        self.referenced += usize::from(timer.referenced);
        let duration_ms = timer.duration_ms;
        let place = (start_ms + duration_ms, insertion);
        let list = self.lists.entry(duration_ms).or_insert_with(|| {
            self.order.insert(place, duration_ms);
            List {
                entries: VecDeque::new(),
                live: 0,
                place,
            }
        });
        list.entries.push_back((key, insertion));
        list.live += 1;
        if list.entries.len() > 2 * list.live + STALE_ENTRIES_MAX {
            let timers = &self.timers;
            list.entries
                .retain(|(key, insertion)| is_current(timers, *key, *insertion));
        }
    }

    /// Takes a timer out of its list, which stays where it is.
    fn unlist(&mut self, key: Key<State>) {
        let Some(timer) = self.timers.get_mut(key).filter(|timer| timer.listed) else {
            return;
        };
        timer.listed = false;
        timer.insertion = 0;
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
            self.order.remove(&list.place);
            self.lists.remove(&duration_ms);
        }
    }

    fn first_due_ms(&self) -> Option<u64> {
        self.order.keys().next().map(|(due_ms, _)| *due_ms)
    }

    /// The first timer of a list.
    fn first_of(&mut self, duration_ms: u64) -> Option<Key<State>> {
        let list = self.lists.get_mut(&duration_ms)?;
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
        let place = (due_ms, self.number());
        if let Some(list) = self.lists.get_mut(&duration_ms) {
            self.order.remove(&list.place);
            self.order.insert(place, duration_ms);
            list.place = place;
        }
    }
}

/// True if an entry of a list stands for its timer.
fn is_current(timers: &Slots<State>, key: Key<State>, insertion: u64) -> bool {
    timers
        .get(key)
        .is_some_and(|timer| timer.insertion == insertion)
}

pub(crate) struct Timers {
    lists: RefCell<Lists>,
    handle: Handle,
    started: Instant,
    /// The time that was read last: libuv's `loop->time`.
    loop_ms: Cell<u64>,
    /// No pass begins before this time.
    next_pass_ms: Cell<u64>,
    /// Woken when the next time due, or whether it is waited for, may have changed.
    bell: Bell,
}

impl Timers {
    pub(crate) fn new(handle: Handle) -> Self {
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
    fn now_ms(&self) -> u64 {
        let elapsed = self.handle.now().saturating_duration_since(self.started);
        let now_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.loop_ms.set(now_ms);
        now_ms
    }

    /// Node takes more than a millisecond to start, so that timers of 0 and 1 ms which the program
    /// begins with are due before its first poll, and before its immediates. Here they are waited
    /// for.
    pub(crate) fn wait_for_first(&self) {
        let now_ms = self.now_ms();
        if self.lists.borrow().first_due_ms() == Some(now_ms + 1) {
            let clock = self.handle.clock();
            let left = Duration::from_millis(1);
            if clock.is_virtual() {
                clock.advance(left)
            } else {
                std::thread::sleep(left)
            }
        }
    }

    fn start(&self, callback: Callback, ms: f64, repeats: bool) -> Key<State> {
        let timer = State {
            callback: Some(callback),
            duration_ms: duration_ms(ms),
            repeats,
            referenced: true,
            start_ms: 0,
            insertion: 0,
            listed: false,
        };
        let now_ms = self.now_ms();
        let mut lists = self.lists.borrow_mut();
        let key = lists.timers.insert(timer);
        lists.insert(key, now_ms);
        drop(lists);
        self.bell.ring();
        key
    }

    fn clear(&self, key: Key<State>) {
        let mut lists = self.lists.borrow_mut();
        lists.unlist(key);
        let timer = lists.timers.remove(key);
        if let Some(timer) = &timer {
            lists.remove_empty(timer.duration_ms);
        }
        drop(lists);
        drop(timer);
        self.bell.ring();
    }

    /// `setTimeout`, for code that has its runtime at hand.
    pub(crate) fn start_once(&self, f: Once, ms: f64) -> Timeout {
        let mut f = Some(f);
        let callback = move || f.take().map_or(Ok(()), |f| f());
        Timeout {
            key: self.start(Box::new(callback), ms, false),
        }
    }

    pub(crate) fn clear_timeout(&self, timeout: Timeout) {
        self.clear(timeout.key);
    }

    pub(crate) fn refresh_timeout(&self, timeout: Timeout) {
        self.refresh(timeout.key);
    }

    pub(crate) fn unref(&self, timeout: Timeout) {
        self.set_referenced(timeout.key, false);
    }

    /// Forgets all timers. True if there were any.
    pub(crate) fn forget_all(&self) -> bool {
        let lists = self.lists.take();
        !lists.timers.is_empty()
    }

    fn set_referenced(&self, key: Key<State>, referenced: bool) {
        let mut lists = self.lists.borrow_mut();
        let Some(timer) = lists.timers.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut timer.referenced, referenced);
        if timer.listed {
            lists.referenced -= usize::from(before);
            lists.referenced += usize::from(referenced);
        }
        drop(lists);
        self.bell.ring();
    }

    fn refresh(&self, key: Key<State>) {
        let now_ms = self.now_ms();
        let mut lists = self.lists.borrow_mut();
        if lists.timers.contains(key) {
            lists.unlist(key);
            lists.insert(key, now_ms);
        }
        drop(lists);
        self.bell.ring();
    }

    /// The first list that is due by then.
    fn due_list(&self, now_ms: u64) -> Option<u64> {
        let lists = self.lists.borrow();
        let ((due_ms, _), duration_ms) = lists.order.first_key_value()?;
        (*due_ms <= now_ms).then_some(*duration_ms)
    }

    /// The first timer of a list, if it is due by then. If none is, the list moves to where its first
    /// timer will be due, or goes if it is empty.
    fn first_due(&self, duration_ms: u64, now_ms: u64) -> Option<Key<State>> {
        let mut lists = self.lists.borrow_mut();
        let Some(key) = lists.first_of(duration_ms) else {
            lists.remove_empty(duration_ms);
            return None;
        };
        let start_ms = lists.timers.get(key)?.start_ms;
        if now_ms.saturating_sub(start_ms) >= duration_ms {
            return Some(key);
        }
        lists.postpone(duration_ms, (start_ms + duration_ms).max(now_ms + 1));
        None
    }

    /// Takes a timer out of its list and gives its callback, and when it begins to run if it repeats.
    /// None if the timer was cleared.
    fn take(&self, key: Key<State>) -> Option<(Callback, Option<u64>)> {
        let mut lists = self.lists.borrow_mut();
        lists.unlist(key);
        let timer = lists.timers.get_mut(key)?;
        let start_ms = timer.repeats.then(|| self.now_ms());
        Some((timer.callback.take()?, start_ms))
    }

    /// After a timer ran: an interval goes back into its list, from the time at which it began to
    /// run; a timeout is gone, and so is what was cleared meanwhile.
    fn finish(&self, key: Key<State>, callback: Callback, start_ms: Option<u64>) {
        let mut lists = self.lists.borrow_mut();
        lists.unlist(key); // it may have been refreshed
        if let (Some(timer), Some(start_ms)) = (lists.timers.get_mut(key), start_ms) {
            timer.callback = Some(callback);
            lists.insert(key, start_ms);
            return;
        }
        let gone = (lists.timers.remove(key), callback);
        drop(lists);
        drop(gone);
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
    if ms >= 1.0 { ms as u64 } else { 1 }
}

impl Runtime {
    pub(crate) async fn drive_timers(self: Rc<Self>) {
        let timers = &self.timers;
        let mut armed: Option<(u64, Sleep)> = None;
        poll_fn(|cx| {
            loop {
                timers.bell.wait(cx);
                let (first_due_ms, referenced) = {
                    let lists = timers.lists.borrow();
                    (lists.first_due_ms(), lists.referenced > 0)
                };
                let Some(due_ms) = first_due_ms.filter(|_| !self.process.is_ending()) else {
                    armed = None;
                    return Poll::<()>::Pending;
                };
                let due_ms = due_ms.max(timers.next_pass_ms.get());
                if armed
                    .as_ref()
                    .is_none_or(|(armed_ms, _)| *armed_ms != due_ms)
                {
                    let deadline = timers.started + Duration::from_millis(due_ms);
                    armed = Some((due_ms, self.handle.sleep_until(deadline)));
                }
                let Some((_, sleep)) = &mut armed else {
                    return Poll::Pending;
                };
                sleep.set_referenced(referenced);
                if Pin::new(sleep).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                armed = None;
                self.run_timers();
            }
        })
        .await;
    }

    /// Node's `RunTimers`: after a throw the pass goes on where it stopped. The next one comes a
    /// millisecond later at the earliest, as Node sets libuv's timer.
    fn run_timers(self: &Rc<Self>) {
        let timers = &self.timers;
        let now_ms = timers.now_ms();
        self.scope(|| {
            loop {
                let left = self.process_timers(now_ms);
                if left.is_ok() || self.process.is_ending() {
                    timers.next_pass_ms.set(timers.loop_ms.get() + 1);
                    return left;
                }
            }
        });
    }

    /// Node's `processTimers`: every list that is due, with ticks between two of them.
    fn process_timers(self: &Rc<Self>, now_ms: u64) -> Result<(), Left> {
        let mut is_first = true;
        while let Some(duration_ms) = self.timers.due_list(now_ms) {
            if !std::mem::take(&mut is_first) {
                self.drain()?;
            }
            self.process_list(duration_ms, now_ms)?;
        }
        Ok(())
    }

    /// Node's `listOnTimeout`: every timer of a list that is due, with ticks between two of them.
    fn process_list(self: &Rc<Self>, duration_ms: u64, now_ms: u64) -> Result<(), Left> {
        let mut is_first = true;
        while let Some(key) = self.timers.first_due(duration_ms, now_ms) {
            if !std::mem::take(&mut is_first) {
                self.drain()?;
            }
            let Some((mut callback, start_ms)) = self.timers.take(key) else {
                continue; // a tick cleared it
            };
            let result = self.call(&mut callback);
            self.timers.finish(key, callback, start_ms);
            result?;
        }
        Ok(())
    }
}

/// A timer in Node's sense: see [`set_timeout`]. Dropping it leaves the timer as it is.
#[derive(Clone, Copy)]
pub struct Timeout {
    key: Key<State>,
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timeout({})", self.key)
    }
}

references!(Timeout, "the timer waits");

impl Timeout {
    fn set_referenced(&self, referenced: bool) {
        with_timers(|timers| timers.set_referenced(self.key, referenced));
    }

    /// True while it keeps the program alive.
    pub fn has_ref(&self) -> bool {
        let runtime = try_current();
        let referenced = |runtime: Rc<Runtime>| {
            let lists = runtime.timers.lists.borrow();
            lists
                .timers
                .get(self.key)
                .is_some_and(|timer| timer.referenced)
        };
        runtime.is_some_and(referenced)
    }

    /// Begins anew: its whole duration from now on. Without effect on a timeout that has fired.
    pub fn refresh(&self) -> &Self {
        with_timers(|timers| timers.refresh(self.key));
        self
    }
}

fn with_timers(f: impl FnOnce(&Timers)) {
    if let Some(runtime) = try_current() {
        f(&runtime.timers);
    }
}

/// Calls a function once, after that many milliseconds: at least 1, and 1 for what does not fit into
/// 32 bits, with a warning on stderr.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn set_timeout<O: Outcome>(f: impl FnOnce() -> O + 'static, ms: impl Into<f64>) -> Timeout {
    current().timers.start_once(once(f), ms.into())
}

/// Calls a function every so many milliseconds, until it is cleared.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn set_interval<O: Outcome>(mut f: impl FnMut() -> O + 'static, ms: impl Into<f64>) -> Timeout {
    let callback = move || f().into_result();
    Timeout {
        key: current().timers.start(Box::new(callback), ms.into(), true),
    }
}

/// Has a timer not fire any more.
pub fn clear_timeout(timeout: Timeout) {
    with_timers(|timers| timers.clear(timeout.key));
}

/// The same as [`clear_timeout`]: as in Node, each clears what the other's twin has set.
pub fn clear_interval(timeout: Timeout) {
    clear_timeout(timeout);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(lists: &mut Lists, duration_ms: u64) -> Key<State> {
        let key = lists.timers.insert(State {
            callback: None,
            duration_ms,
            repeats: false,
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
