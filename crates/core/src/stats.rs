//! What the loop counts about itself: always on, a few nanoseconds a turn.

use crate::phases::Phase;
use crate::ready::Ready;
use crate::slots::Key;
use crate::task::Task;
use std::cell::Cell;
use std::fmt;
use std::os::fd::RawFd;
use std::panic::Location;
use std::time::Duration;

/// Counts since the loop was made. Take two and subtract to see what happened in between.
///
/// Time counts as spent in a phase from when the phase wakes somebody until its tasks have run; the
/// wait itself is [`Stats::idle`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Turns taken.
    pub turns: u64,
    /// Events that epoll brought.
    pub events: u64,
    /// Timers that fired.
    pub timers_fired: u64,
    /// Times that other threads rang.
    pub rings: u64,
    /// Tasks spawned.
    pub tasks_spawned: u64,
    /// Runs of tasks: each is one poll of a future.
    pub tasks_run: u64,
    /// Tasks that panicked with nobody to join them.
    pub tasks_unhandled: u64,
    /// Times that a task was put off to the next turn, as it had had its share of I/O (rule 15).
    pub io_budget_spent: u64,
    /// Phases that ended with tasks still ready, as the turn had had its share.
    pub run_budget_spent: u64,
    /// Time the loop waited for something to happen.
    pub idle: Duration,
    /// Time spent in each phase, in the order of [`Phase::ALL`].
    pub phases: [Duration; Phase::ALL.len()],
    /// How late the latest of the last timers to fire was.
    pub lag_last: Duration,
    /// How late the latest timer ever was.
    pub lag_max: Duration,
    /// The longest time from the end of a wait to the next one: what an event had to wait at worst.
    pub busy_max: Duration,
}

impl Stats {
    /// Time spent in a phase.
    pub fn phase(&self, phase: Phase) -> Duration {
        self.phases[phase as usize]
    }

    /// Time in which the loop did something.
    pub fn busy(&self) -> Duration {
        self.phases.iter().sum()
    }

    /// Busy time in the whole time, 0 to 1: Node's `eventLoopUtilization`.
    pub fn utilization(&self) -> f64 {
        let (busy, idle) = (self.busy().as_secs_f64(), self.idle.as_secs_f64());
        if busy > 0.0 {
            busy / (busy + idle)
        } else {
            0.0
        }
    }
}

/// The loop's own counters, changed in place.
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

/// Adds to a counter and gives its new value.
pub(crate) fn add(counter: &Cell<u64>, by: u64) -> u64 {
    counter.set(counter.get() + by);
    counter.get()
}

pub(crate) fn raise(counter: &Cell<u64>, to: u64) {
    counter.set(counter.get().max(to));
}

impl Counters {
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

/// Something that a phase found to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Woke {
    /// An fd is ready.
    Fd(RawFd, Ready),
    /// A timer was due, and this late.
    Timer(Duration),
    /// Another thread rang.
    Ring,
    /// So many tasks waited for this phase.
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
    /// Which task; none is the future of `block_on`.
    pub task: Option<Key<Task>>,
    /// Where it was spawned.
    pub spawned_at: Option<&'static Location<'static>>,
    /// How long it ran.
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

fn file_name(at: &'static Location<'static>) -> &'static str {
    at.file().rsplit('/').next().unwrap_or_default()
}

/// What one phase of one turn did: see [`Handle::observe`](crate::Handle::observe).
///
/// Printed, it is one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PhaseReport {
    /// The turn, from 1.
    pub turn: u64,
    /// The phase.
    pub phase: Phase,
    /// What was found to be done.
    pub woke: Vec<Woke>,
    /// What ran of it, in this order.
    pub ran: Vec<Ran>,
    /// How long the loop slept; only the poll does.
    pub slept: Duration,
    /// How long the runs took, all together.
    pub took: Duration,
}

/// How many of a kind are named in a printed report.
const NAMED_MAX: usize = 8;

impl fmt::Display for PhaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "turn {} {:<8}", self.turn, self.phase)?;
        if self.phase == Phase::Poll {
            write!(f, "slept {:.1?}; ", self.slept)?;
        }
        if self.woke.is_empty() && self.ran.is_empty() {
            return f.write_str("nothing to do");
        }
        write!(f, "woke {}", Named(&self.woke))?;
        write!(f, "; ran {}; took {:.1?}", Named(&self.ran), self.took)
    }
}

/// A count, and the first few by name.
struct Named<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Named<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.len())?;
        for (index, item) in self.0.iter().take(NAMED_MAX).enumerate() {
            write!(f, "{}{item}", if index == 0 { " (" } else { ", " })?;
        }
        f.write_str(match self.0.len() {
            0 => "",
            len if len > NAMED_MAX => ", …)",
            _ => ")",
        })
    }
}
