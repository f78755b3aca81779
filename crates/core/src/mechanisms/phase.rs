//! The phases of a turn, and the waiters for each of them.

use std::collections::VecDeque;
use std::fmt;
use std::task::Waker;

/// One step of a turn, in libuv's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Wakes the timers that are due: once before the first poll, then after each poll.
    Timers,
    /// Wakes the tasks that the last turn put off.
    Pending,
    /// Runs in each turn, before the poll.
    #[doc(alias = "uv_idle_t")]
    Idle,
    /// Runs just before the poll.
    #[doc(alias = "uv_prepare_t")]
    Prepare,
    /// Waits for fds, for other threads, or for the next timer.
    Poll,
    /// Runs just after the poll: Node runs `setImmediate` here.
    #[doc(alias = "uv_check_t")]
    Check,
    /// Runs after everything else: Node emits 'close' here.
    Closing,
}

impl Phase {
    /// All phases, in the order of [`Phase as usize`](Phase).
    pub const ALL: [Phase; 7] = [
        Phase::Timers,
        Phase::Pending,
        Phase::Idle,
        Phase::Prepare,
        Phase::Poll,
        Phase::Check,
        Phase::Closing,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Timers => "timers",
            Phase::Pending => "pending",
            Phase::Idle => "idle",
            Phase::Prepare => "prepare",
            Phase::Poll => "poll",
            Phase::Check => "check",
            Phase::Closing => "closing",
        })
    }
}

/// A task that waits for a phase.
#[derive(Debug)]
struct Waiter {
    waker: Waker,
    referenced: bool,
}

/// The waiters for one phase, first in first out, each named by its ticket.
///
/// ```text
///  first            first + len
///    ▼                   ▼
///   [ W ][   ][ W ][ W ]      join ──▶ a ticket at the end
///          └── left: its waiter gave up
///
///  The phase comes: all waiters are taken at once, and `first` moves behind them.
///  A ticket below `first` means that its phase has come.
/// ```
#[derive(Debug, Default)]
struct WaitersOfPhase {
    /// The ticket of the first waiter.
    first: u64,
    /// `None` stands for a waiter that gave up, so that the tickets behind it stay right.
    waiting: VecDeque<Option<Waiter>>,
    /// The number of waiters that keep the loop alive.
    referenced: usize,
}

impl WaitersOfPhase {
    fn join(&mut self, waker: Waker, referenced: bool) -> u64 {
        self.waiting.push_back(Some(Waiter { waker, referenced }));
        self.referenced += usize::from(referenced);
        // 64 bits of tickets never run out: a million waiters a second take 584,000 years.
        self.first + self.waiting.len() as u64 - 1
    }

    /// The waiter with this ticket, unless its phase has come or it gave up.
    fn waiter(&mut self, ticket: u64) -> Option<&mut Option<Waiter>> {
        let index = ticket.checked_sub(self.first)?;
        self.waiting.get_mut(usize::try_from(index).ok()?)
    }
}

/// The waiters for all phases.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    phases: [WaitersOfPhase; Phase::ALL.len()],
}

impl Phases {
    /// Adds a waiter and returns its ticket.
    pub(crate) fn join(&mut self, phase: Phase, waker: Waker, referenced: bool) -> u64 {
        self.phases[phase as usize].join(waker, referenced)
    }

    /// Removes a waiter that gives up, and returns its waker.
    pub(crate) fn leave(&mut self, phase: Phase, ticket: u64) -> Option<Waker> {
        let waiters = &mut self.phases[phase as usize];
        // An empty place stays until the phase comes. To close the gap would move the tickets
        // behind it.
        let waiter = waiters.waiter(ticket)?.take()?;
        waiters.referenced -= usize::from(waiter.referenced);
        Some(waiter.waker)
    }

    /// Replaces a waiter's waker and returns the old one. Returns the new one if the phase has
    /// come.
    pub(crate) fn rewake(
        &mut self,
        phase: Phase,
        ticket: u64,
        waker: Waker,
    ) -> Result<Waker, Waker> {
        match self.phases[phase as usize].waiter(ticket) {
            Some(Some(waiter)) => Ok(std::mem::replace(&mut waiter.waker, waker)),
            _ => Err(waker),
        }
    }

    /// Sets whether a waiter keeps the loop alive.
    pub(crate) fn set_referenced(&mut self, phase: Phase, ticket: u64, referenced: bool) {
        let waiters = &mut self.phases[phase as usize];
        if let Some(Some(waiter)) = waiters.waiter(ticket) {
            let before = std::mem::replace(&mut waiter.referenced, referenced);
            waiters.referenced -= usize::from(before);
            waiters.referenced += usize::from(referenced);
        }
    }

    /// Takes the waiters of a phase that has come. It is a snapshot: a task that waits for the
    /// phase from then on waits for the next turn, or the phase would never end.
    pub(crate) fn take<W: From<Waker>>(&mut self, phase: Phase, woken: &mut VecDeque<W>) {
        let waiters = &mut self.phases[phase as usize];
        if waiters.waiting.is_empty() {
            return; // most phases of most turns: a drain would cost 100 instructions
        }
        waiters.first += waiters.waiting.len() as u64;
        waiters.referenced = 0;
        let left = waiters.waiting.drain(..).flatten();
        woken.extend(left.map(|waiter| W::from(waiter.waker)));
    }

    /// Wakes this task in the next turn, before its poll.
    pub(crate) fn put_off(&mut self, waker: Waker) {
        // Referenced, so that the poll of this turn does not sleep: the task has more to do.
        self.join(Phase::Pending, waker, true);
    }

    /// True if the phase has neither waiters nor empty places of waiters that gave up.
    pub(crate) fn is_idle(&self, phase: Phase) -> bool {
        self.phases[phase as usize].waiting.is_empty()
    }

    /// True while a waiter keeps the loop alive and its poll awake.
    pub(crate) fn is_referenced(&self) -> bool {
        self.phases.iter().any(|waiters| waiters.referenced > 0)
    }
}
