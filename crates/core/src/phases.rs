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
    /// Runs every turn, before the poll.
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

/// Somebody who waits for a phase.
#[derive(Debug)]
struct Waiter {
    waker: Waker,
    referenced: bool,
}

/// Who waits for one phase, by ticket number: the first in is the first out.
#[derive(Debug, Default)]
struct Line {
    first: u64,
    waiting: VecDeque<Option<Waiter>>,
    /// How many of them keep the loop alive.
    referenced: usize,
}

impl Line {
    fn join(&mut self, waker: Waker, referenced: bool) -> u64 {
        self.waiting.push_back(Some(Waiter { waker, referenced }));
        self.referenced += usize::from(referenced);
        self.first + self.waiting.len() as u64 - 1
    }

    /// The place of a ticket, unless its phase has come.
    fn place(&mut self, ticket: u64) -> Option<&mut Option<Waiter>> {
        let index = ticket.checked_sub(self.first)?;
        self.waiting.get_mut(usize::try_from(index).ok()?)
    }

    /// Takes out somebody who gave up.
    fn leave(&mut self, ticket: u64) -> Option<Waiter> {
        let waiter = self.place(ticket)?.take()?;
        self.referenced -= usize::from(waiter.referenced);
        Some(waiter)
    }

    fn set_referenced(&mut self, ticket: u64, referenced: bool) {
        if let Some(Some(waiter)) = self.place(ticket) {
            let before = std::mem::replace(&mut waiter.referenced, referenced);
            self.referenced -= usize::from(before);
            self.referenced += usize::from(referenced);
        }
    }

    fn take(&mut self, wakers: &mut VecDeque<Waker>) {
        self.first += self.waiting.len() as u64;
        self.referenced = 0;
        wakers.extend(self.waiting.drain(..).flatten().map(|waiter| waiter.waker));
    }
}

/// The lines before all phases.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    lines: [Line; Phase::ALL.len()],
}

impl Phases {
    /// Takes a snapshot: who waits from here on waits for the next turn.
    pub(crate) fn take(&mut self, phase: Phase, wakers: &mut VecDeque<Waker>) {
        self.lines[phase as usize].take(wakers);
    }

    /// Wakes this one in the next turn, before its poll.
    pub(crate) fn put_off(&mut self, waker: Waker) {
        self.lines[Phase::Pending as usize].join(waker, true);
    }

    /// True if nobody waits for this phase, nor gave up a wait for it.
    pub(crate) fn is_idle(&self, phase: Phase) -> bool {
        self.lines[phase as usize].waiting.is_empty()
    }

    /// True while somebody waits who keeps the loop alive, and the poll awake.
    pub(crate) fn is_referenced(&self) -> bool {
        self.lines.iter().any(|line| line.referenced > 0)
    }
}

/// Waits until the loop comes to a phase: see [`Handle::phase`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct PhaseReached {
    handle: Handle,
    phase: Phase,
    ticket: Option<u64>,
    referenced: bool,
}

impl PhaseReached {
    pub(crate) fn new(handle: Handle, phase: Phase) -> Self {
        PhaseReached {
            handle,
            phase,
            ticket: None,
            referenced: true,
        }
    }

    /// Says whether this wait keeps the loop alive; it does by default.
    pub fn set_referenced(&mut self, referenced: bool) {
        self.referenced = referenced;
        if let Some(ticket) = self.ticket {
            let mut phases = self.handle.inner.phases.borrow_mut();
            phases.lines[self.phase as usize].set_referenced(ticket, referenced);
        }
    }
}

impl Future for PhaseReached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone(); // foreign code, so before the borrow
        let mut phases = self.handle.inner.phases.borrow_mut();
        let line = &mut phases.lines[self.phase as usize];
        let Some(ticket) = self.ticket else {
            let ticket = line.join(waker, self.referenced);
            drop(phases);
            self.ticket = Some(ticket);
            return Poll::Pending;
        };
        let Some(Some(waiter)) = line.place(ticket) else {
            return Poll::Ready(());
        };
        let before = std::mem::replace(&mut waiter.waker, waker);
        drop(phases);
        drop(before);
        Poll::Pending
    }
}

impl Drop for PhaseReached {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let line = self.phase as usize;
        let given_up = self.handle.inner.phases.borrow_mut().lines[line].leave(ticket);
        drop(given_up);
    }
}
