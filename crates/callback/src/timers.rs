//! `setTimeout` and `setInterval`, with Node's lists and Node's milliseconds.
//!
//! As in Node's `lib/internal/timers.js`: timers of one duration are one list, in the order of their
//! insertion; lists are ordered by the time at which their first timer is due. All that is overdue runs
//! in one pass, list by list, with ticks in between. Time is whole milliseconds, rounded down, so a
//! timer may fire up to a millisecond early, as Node's does.

pub mod promises;

use crate::queues::Bell;
use crate::runtime::{Left, Once, Runtime, current, once, try_current};
use crate::thrown::{Outcome, Thrown};
use oneloop_core::{Handle, Key, Sleep, Slots};
use std::cell::RefCell;
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
    /// Its place among the lists.
    place: (u64, u64),
}

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
    }

    /// Takes a timer out of its list; an empty list goes, too.
    fn unlist(&mut self, key: Key<State>) {
        let Some(timer) = self.timers.get_mut(key).filter(|timer| timer.listed) else {
            return;
        };
        timer.listed = false;
        timer.insertion = 0;
        self.referenced -= usize::from(timer.referenced);
        let duration_ms = timer.duration_ms;
        let Some(list) = self.lists.get_mut(&duration_ms) else {
            return;
        };
        list.live -= 1;
        if list.live == 0 {
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
            if self
                .timers
                .get(*key)
                .is_some_and(|timer| timer.insertion == *insertion)
            {
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

pub(crate) struct Timers {
    lists: RefCell<Lists>,
    handle: Handle,
    started: Instant,
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
            bell: Bell::default(),
        }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Whole milliseconds since the program's start, read now: Node's `getLibuvNow`.
    fn now_ms(&self) -> u64 {
        let elapsed = self.handle.now().saturating_duration_since(self.started);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
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

    /// The first list that is due by then, or when the first one is.
    fn due_list(&self, now_ms: u64) -> Result<Option<u64>, u64> {
        let lists = self.lists.borrow();
        match lists.order.first_key_value() {
            None => Ok(None),
            Some(((due_ms, _), duration_ms)) if *due_ms <= now_ms => Ok(Some(*duration_ms)),
            Some(((due_ms, _), _)) => Err(*due_ms),
        }
    }

    /// Takes the first timer out of a list, if it is due.
    fn take_due(&self, duration_ms: u64, now_ms: u64) -> Option<(Key<State>, Callback)> {
        let mut lists = self.lists.borrow_mut();
        let key = lists.first_of(duration_ms)?;
        let timer = lists.timers.get(key)?;
        if now_ms - timer.start_ms.min(now_ms) < duration_ms {
            let due_ms = (timer.start_ms + duration_ms).max(now_ms + 1);
            lists.postpone(duration_ms, due_ms);
            return None;
        }
        lists.unlist(key);
        let callback = lists.timers.get_mut(key)?.callback.take()?;
        Some((key, callback))
    }

    /// After a timer ran: an interval goes back into its list, from the time at which it began to
    /// run; a timeout is gone, and so is what was cleared meanwhile.
    fn finish(&self, key: Key<State>, callback: Callback, start_ms: u64) {
        let mut lists = self.lists.borrow_mut();
        let gone = match lists.timers.get_mut(key) {
            Some(timer) if timer.repeats => {
                timer.callback = Some(callback);
                if !timer.listed {
                    lists.insert(key, start_ms);
                }
                return;
            }
            Some(_) => {
                lists.unlist(key);
                (lists.timers.remove(key), callback)
            }
            None => (None, callback),
        };
        drop(lists);
        drop(gone);
    }
}

/// Node's rule: at least 1 ms; what does not fit into 32 bits, or is no number, is 1 ms.
fn duration_ms(ms: f64) -> u64 {
    if ms > DURATION_MAX_MS as f64 {
        eprintln!(
            "TimeoutOverflowWarning: {ms} does not fit into a 32-bit signed integer.\n\
             Timeout duration was set to 1."
        );
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

    /// Node's `RunTimers`: after a throw the pass goes on where it stopped.
    fn run_timers(self: &Rc<Self>) {
        let now_ms = self.timers.now_ms();
        self.scope(|| {
            loop {
                let left = self.process_timers(now_ms);
                if left.is_ok() || self.process.is_ending() {
                    return left;
                }
            }
        });
    }

    /// Node's `processTimers`: every list that is due, with ticks between two of them.
    fn process_timers(self: &Rc<Self>, mut now_ms: u64) -> Result<(), Left> {
        let mut first = true;
        loop {
            match self.timers.due_list(now_ms) {
                Ok(None) => return Ok(()),
                Ok(Some(duration_ms)) => {
                    if !std::mem::take(&mut first) {
                        self.drain()?;
                    }
                    self.process_list(duration_ms, now_ms)?;
                }
                Err(due_ms) => {
                    // The callbacks may have taken a while.
                    now_ms = self.timers.now_ms();
                    if due_ms > now_ms {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Node's `listOnTimeout`: every timer of a list that is due, with ticks between two of them.
    fn process_list(self: &Rc<Self>, duration_ms: u64, now_ms: u64) -> Result<(), Left> {
        let mut first = true;
        loop {
            if !first
                && self
                    .timers
                    .lists
                    .borrow_mut()
                    .first_of(duration_ms)
                    .is_some()
            {
                self.drain()?;
            }
            first = false;
            let Some((key, mut callback)) = self.timers.take_due(duration_ms, now_ms) else {
                return Ok(());
            };
            let start_ms = self.timers.now_ms();
            let result = self.call(&mut callback);
            self.timers.finish(key, callback, start_ms);
            result?;
        }
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

impl Timeout {
    /// Lets the program end before it has fired.
    pub fn unref(&self) -> &Self {
        with_timers(|timers| timers.set_referenced(self.key, false));
        self
    }

    /// Has the program wait for it, as it does by default.
    pub fn make_ref(&self) -> &Self {
        with_timers(|timers| timers.set_referenced(self.key, true));
        self
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
