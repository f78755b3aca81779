//! Waiting for a phase of the turn.

use crate::mechanisms::phase::Phase;
use crate::state::Handle;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

impl Handle {
    /// Waits until the loop comes to that phase: in this turn if the phase is still ahead. Cancel
    /// safe.
    ///
    /// The wait keeps the loop alive and its poll from sleeping, unless it is unreferenced
    /// ([`PhaseReached::set_referenced`]). Waiters for [`Phase::Timers`] are woken behind the
    /// timers that are due; waiters for [`Phase::Poll`] before the tasks that the poll found.
    pub fn phase(&self, phase: Phase) -> PhaseReached {
        PhaseReached {
            handle: self.clone(),
            phase,
            ticket: None,
            referenced: true,
        }
    }

    /// The phase in which this code runs.
    pub fn current_phase(&self) -> Phase {
        self.state.phase.get()
    }
}

/// The future of [`Handle::phase`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct PhaseReached {
    handle: Handle,
    phase: Phase,
    /// Its ticket among the waiters, once it has been polled.
    ticket: Option<u64>,
    referenced: bool,
}

impl PhaseReached {
    /// Sets whether this wait keeps the loop alive. It does by default.
    pub fn set_referenced(&mut self, referenced: bool) {
        self.referenced = referenced;
        if let Some(ticket) = self.ticket {
            let mut phases = self.handle.state.phases.borrow_mut();
            phases.set_referenced(self.phase, ticket, referenced);
        }
    }
}

impl Future for PhaseReached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone(); // foreign code, so before the borrow (rule 2)
        let mut phases = self.handle.state.phases.borrow_mut();
        let Some(ticket) = self.ticket else {
            let ticket = phases.join(self.phase, waker, self.referenced);
            drop(phases);
            // It waits from its first poll on, not from its creation.
            self.ticket = Some(ticket);
            return Poll::Pending;
        };
        let replaced = phases.rewake(self.phase, ticket, waker);
        drop(phases);
        match replaced {
            Ok(_) => Poll::Pending,
            Err(_) => Poll::Ready(()), // its ticket was taken, so the phase has come
        }
    }
}

impl Drop for PhaseReached {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let waker = self
            .handle
            .state
            .phases
            .borrow_mut()
            .leave(self.phase, ticket);
        drop(waker); // the borrow has ended: the drop of a waker is foreign code
    }
}
