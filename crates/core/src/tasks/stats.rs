//! The loop's own counters and reports. The counters are always on: a few nanoseconds a turn.

use crate::mechanisms::phase::Phase;
use crate::mechanisms::ready::Ready;
use crate::mechanisms::slots::Key;
use crate::tasks::key::Task;
use std::cell::Cell;
use std::fmt;
use std::os::fd::RawFd;
use std::panic::Location;
use std::time::{Duration, Instant};

/// Counts since the loop was made. The difference of two `Stats` covers the time between them.
///
/// Time counts as spent in a phase from its first wake-up until its tasks have run. The wait itself
/// is [`Stats::idle`]. Time spent outside the loop is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Turns.
    pub turns: u64,
    /// Events that epoll reported.
    pub events: u64,
    /// Timers that fired.
    pub timers_fired: u64,
    /// Wake-ups of the loop by other threads.
    pub rings: u64,
    /// Tasks spawned.
    pub tasks_spawned: u64,
    /// Runs of tasks. Each run is one poll of a future.
    pub tasks_run: u64,
    /// Tasks that panicked and were not joined.
    pub tasks_unhandled: u64,
    /// Times that a task was put off to the next turn because it had its share of I/O (rule 15).
    pub io_budget_spent: u64,
    /// Phases that ended with tasks still ready because the phase had its share of runs (rule 15).
    pub run_budget_spent: u64,
    /// Time for which the loop waited in its poll.
    pub idle: Duration,
    /// Time spent in each phase, in the order of [`Phase::ALL`].
    pub phases: [Duration; Phase::ALL.len()],
    /// The largest delay among the timers that fired last.
    pub lag_last: Duration,
    /// The largest delay of any timer.
    pub lag_max: Duration,
    /// The longest time from the end of one poll to the start of the next: the maximum time for
    /// which an event had to wait.
    pub busy_max: Duration,
}

impl Stats {
    /// Time spent in a phase.
    pub fn phase(&self, phase: Phase) -> Duration {
        self.phases[phase as usize]
    }

    /// Time for which the loop worked.
    pub fn busy(&self) -> Duration {
        self.phases.iter().sum()
    }

    /// The busy share of the whole time, 0 to 1: Node's `eventLoopUtilization`.
    pub fn utilization(&self) -> f64 {
        // Before the first turn there is neither, and 0 / 0 is no number.
        let (busy, idle) = (self.busy().as_secs_f64(), self.idle.as_secs_f64());
        if busy > 0.0 {
            busy / (busy + idle)
        } else {
            0.0
        }
    }
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) turns: Cell<u64>,
    pub(crate) events: Cell<u64>,
    pub(crate) timers_fired: Cell<u64>,
    pub(crate) rings: Cell<u64>,
    pub(crate) tasks_spawned: Cell<u64>,
    pub(crate) tasks_run: Cell<u64>,
    pub(crate) tasks_unhandled: Cell<u64>,
    pub(crate) io_budget_spent: Cell<u64>,
    pub(crate) run_budget_spent: Cell<u64>,
    pub(crate) idle_ns: Cell<u64>,
    pub(crate) phases_ns: [Cell<u64>; Phase::ALL.len()],
    pub(crate) lag_last_ns: Cell<u64>,
    pub(crate) lag_max_ns: Cell<u64>,
    pub(crate) busy_max_ns: Cell<u64>,
}

pub(crate) fn add(counter: &Cell<u64>, by: u64) {
    counter.set(counter.get() + by);
}

fn raise(counter: &Cell<u64>, to: u64) {
    counter.set(counter.get().max(to));
}

impl Counters {
    /// Counts time in nanoseconds spent in a phase.
    pub(crate) fn spend(&self, phase: Phase, ns: u64) {
        add(&self.phases_ns[phase as usize], ns);
    }

    /// Counts timers that fired together, and the largest of their delays in nanoseconds.
    pub(crate) fn fire_timers(&self, count: u64, latest_ns: u64) {
        if count > 0 {
            add(&self.timers_fired, count);
            self.lag_last_ns.set(latest_ns);
            raise(&self.lag_max_ns, latest_ns);
        }
    }

    /// Counts the time in nanoseconds from the end of one poll to the start of the next.
    pub(crate) fn end_busy(&self, busy_ns: u64) {
        raise(&self.busy_max_ns, busy_ns);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            turns: self.turns.get(),
            events: self.events.get(),
            timers_fired: self.timers_fired.get(),
            rings: self.rings.get(),
            tasks_spawned: self.tasks_spawned.get(),
            tasks_run: self.tasks_run.get(),
            tasks_unhandled: self.tasks_unhandled.get(),
            io_budget_spent: self.io_budget_spent.get(),
            run_budget_spent: self.run_budget_spent.get(),
            idle: Duration::from_nanos(self.idle_ns.get()),
            phases: self
                .phases_ns
                .each_ref()
                .map(|ns| Duration::from_nanos(ns.get())),
            lag_last: Duration::from_nanos(self.lag_last_ns.get()),
            lag_max: Duration::from_nanos(self.lag_max_ns.get()),
            busy_max: Duration::from_nanos(self.busy_max_ns.get()),
        }
    }
}

/// An event that a phase found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Woke {
    /// An fd is ready.
    Fd(RawFd, Ready),
    /// A timer was due, with this delay.
    Timer(Duration),
    /// Another thread woke the loop.
    Ring,
    /// This number of tasks waited for the phase.
    Waiters(usize),
}

impl fmt::Display for Woke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Woke::Fd(fd, ready) => write!(f, "fd {fd} {ready}"),
            Woke::Timer(late) => write!(f, "timer {late:.1?} late"),
            Woke::Ring => f.write_str("another thread"),
            Woke::Waiters(1) => f.write_str("1 waiter"),
            Woke::Waiters(count) => write!(f, "{count} waiters"),
        }
    }
}

/// One run of a task.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Ran {
    /// The task; `None` is the future of `block_on`.
    pub task: Option<Key<Task>>,
    /// The place where it was spawned.
    pub spawned_at: Option<&'static Location<'static>>,
    /// The time at which the run began, on the loop's clock.
    pub began: Instant,
    /// The length of the run.
    pub took: Duration,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.task, self.spawned_at) {
            (None, _) => write!(f, "main"),
            (Some(task), None) => write!(f, "task {task}"),
            (Some(task), Some(at)) => write!(f, "task {task} of {}:{}", file_name(at), at.line()),
        }?;
        write!(f, " {:.1?}", self.took)
    }
}

/// One wake of a task that was not queued already, on the loop's own thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wake {
    /// The task that was woken.
    pub task: Key<Task>,
    /// What woke it: the run with this index in [`PhaseReport::ran`]; `None` for the phase itself,
    /// which found an event, a timer or mail of another thread.
    pub by: Option<usize>,
}

impl Wake {
    pub(crate) fn new(task: Key<Task>, by: Option<usize>) -> Self {
        Wake { task, by }
    }
}

fn file_name(at: &'static Location<'static>) -> &'static str {
    at.file().rsplit('/').next().unwrap_or_default()
}

/// A report of one phase of one turn: see [`Handle::observe`](crate::Handle::observe). It prints as
/// one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PhaseReport {
    /// The number of the turn, from 1.
    pub turn: u64,
    /// The phase.
    pub phase: Phase,
    /// The events that the phase found.
    pub woke: Vec<Woke>,
    /// The runs of tasks, in their order.
    pub ran: Vec<Ran>,
    /// The tasks that the phase and its runs have woken, in their order. They run in this phase or
    /// later.
    pub wakes: Vec<Wake>,
    /// The time at which the phase began, on the loop's clock.
    pub began: Instant,
    /// The time for which the loop slept. Only the poll sleeps.
    pub slept: Duration,
    /// The length of all runs together.
    pub took: Duration,
}

/// The maximum number of items of one kind that a printed report lists.
const LISTED_MAX: usize = 8;

impl PhaseReport {
    pub(crate) fn new(turn: u64, phase: Phase, began: Instant) -> Self {
        PhaseReport {
            turn,
            phase,
            woke: Vec::new(),
            ran: Vec::new(),
            wakes: Vec::new(),
            began,
            slept: Duration::ZERO,
            took: Duration::ZERO,
        }
    }
}

impl fmt::Display for PhaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "turn {} {:<8}", self.turn, self.phase)?;
        if self.phase == Phase::Poll {
            write!(f, "slept {:.1?}; ", self.slept)?;
        }
        if self.woke.is_empty() && self.ran.is_empty() {
            return f.write_str("nothing to do");
        }
        write!(f, "woke {}", Listed(&self.woke))?;
        write!(f, "; ran {}; took {:.1?}", Listed(&self.ran), self.took)
    }
}

/// Prints a count and the first few items.
struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.len())?;
        for (index, item) in self.0.iter().take(LISTED_MAX).enumerate() {
            write!(f, "{}{item}", if index == 0 { " (" } else { ", " })?;
        }
        f.write_str(match self.0.len() {
            0 => "",
            len if len > LISTED_MAX => ", …)",
            _ => ")",
        })
    }
}
