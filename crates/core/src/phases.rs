//! The phases of a turn, and who waits for one of them.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::handle::Handle;

/// One step of a turn, in libuv's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Timers that are due; once before the first poll, then after every poll.
    Timers,
    /// What the last turn put off.
    Pending,
    /// Runs every turn; whoever waits for it keeps the poll from sleeping.
    Idle,
    /// Just before the poll.
    Prepare,
    /// Waits for fds, for other threads, or for the next timer.
    Poll,
    /// Just after the poll: where Node runs `setImmediate`.
    Check,
    /// After everything else: where Node runs 'close'.
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

    /// True for a phase whose waiters want it now rather than after a sleep.
    fn keeps_poll_awake(self) -> bool {
        matches!(self, Phase::Pending | Phase::Idle | Phase::Closing)
    }
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

/// Who waits for one phase, by ticket number: the first in is the first out.
#[derive(Debug, Default)]
struct Line {
    first: u64,
    waiting: VecDeque<Option<Waker>>,
    /// How many of them have not given up.
    live: usize,
}

impl Line {
    fn join(&mut self, waker: Waker) -> u64 {
        self.waiting.push_back(Some(waker));
        self.live += 1;
        self.first + self.waiting.len() as u64 - 1
    }

    /// The place of a ticket, unless its phase has come.
    fn place(&mut self, ticket: u64) -> Option<&mut Option<Waker>> {
        let index = ticket.checked_sub(self.first)?;
        self.waiting.get_mut(usize::try_from(index).ok()?)
    }

    fn take(&mut self, wakers: &mut Vec<Waker>) {
        self.first += self.waiting.len() as u64;
        self.live = 0;
        wakers.extend(self.waiting.drain(..).flatten());
    }
}

/// The lines before all phases.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    lines: [Line; Phase::ALL.len()],
}

impl Phases {
    /// Takes a snapshot: who waits from here on waits for the next turn.
    pub(crate) fn take(&mut self, phase: Phase, wakers: &mut Vec<Waker>) {
        self.lines[phase as usize].take(wakers);
    }

    /// Wakes this one in the next turn, before its poll.
    pub(crate) fn put_off(&mut self, waker: Waker) {
        self.lines[Phase::Pending as usize].join(waker);
    }

    /// True if nobody waits for this phase, nor gave up a wait for it.
    pub(crate) fn is_idle(&self, phase: Phase) -> bool {
        self.lines[phase as usize].waiting.is_empty()
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.lines.iter().any(|line| line.live > 0)
    }

    pub(crate) fn keep_poll_awake(&self) -> bool {
        let mut lines = Phase::ALL.iter().filter(|phase| phase.keeps_poll_awake());
        lines.any(|phase| self.lines[*phase as usize].live > 0)
    }
}

/// Waits until the loop comes to a phase: see [`Handle::phase`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct PhaseReached {
    handle: Handle,
    phase: Phase,
    ticket: Option<u64>,
}

impl PhaseReached {
    pub(crate) fn new(handle: Handle, phase: Phase) -> Self {
        PhaseReached {
            handle,
            phase,
            ticket: None,
        }
    }
}

impl Future for PhaseReached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let phase = self.phase;
        let Some(ticket) = self.ticket else {
            let mut phases = self.handle.inner.phases.borrow_mut();
            let ticket = phases.lines[phase as usize].join(cx.waker().clone());
            drop(phases);
            self.ticket = Some(ticket);
            return Poll::Pending;
        };
        let mut phases = self.handle.inner.phases.borrow_mut();
        let Some(place) = phases.lines[phase as usize].place(ticket) else {
            return Poll::Ready(());
        };
        let old = place.replace(cx.waker().clone());
        drop(phases);
        drop(old);
        Poll::Pending
    }
}

impl Drop for PhaseReached {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut phases = self.handle.inner.phases.borrow_mut();
        let line = &mut phases.lines[self.phase as usize];
        let given_up = line.place(ticket).and_then(Option::take);
        line.live -= usize::from(given_up.is_some());
        drop(phases);
        drop(given_up);
    }
}
