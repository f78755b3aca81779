//! The drivers of the poll queues: each serves one queue in its phase.

use super::bell::Bell;
use super::current::Runtime;
use oneloop_core::{Phase, PhaseReached};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

impl Runtime {
    /// True while an immediate, a timer or a queue keeps the program alive.
    pub(crate) fn has_work(&self) -> bool {
        let awaits_timer = || {
            let next = self.timers.next_pass();
            next.is_some_and(|(_, referenced)| referenced)
        };
        let queues = &self.queues;
        let is_queued = queues.is_fed() || queues.is_closing() || queues.is_held_referenced();
        is_queued || self.immediates.is_referenced() || awaits_timer()
    }

    pub(crate) async fn drive_fed(self: Rc<Self>) {
        let queues = &self.queues;
        self.serve(
            &queues.fed_bell,
            Phase::Pending,
            // Always referenced: `uv__loop_alive` counts what is pending or closing.
            || queues.is_fed().then_some(true),
            || queues.serve_fed(),
        )
        .await;
    }

    pub(crate) async fn drive_held(self: Rc<Self>) {
        let queues = &self.queues;
        self.serve(
            &queues.held_bell,
            Phase::Poll,
            || queues.is_holding().then(|| queues.is_held_referenced()),
            || queues.release_held(),
        )
        .await;
    }

    pub(crate) async fn drive_closing(self: Rc<Self>) {
        let queues = &self.queues;
        self.serve(
            &queues.closing_bell,
            Phase::Closing,
            || queues.is_closing().then_some(true),
            || queues.finish_closing(),
        )
        .await;
    }

    /// Serves a queue in its phase, whenever there is something in it. `wanted` returns None while
    /// the queue is empty, and otherwise whether it keeps the program alive.
    async fn serve(
        self: &Rc<Self>,
        bell: &Bell,
        phase: Phase,
        wanted: impl Fn() -> Option<bool>,
        serve: impl Fn(),
    ) {
        let mut wait: Option<PhaseReached> = None;
        poll_fn(|cx| {
            let mut is_served = false;
            loop {
                bell.wait(cx);
                let Some(referenced) = wanted() else {
                    wait = None;
                    return Poll::<()>::Pending;
                };
                // libuv runs its pending queue once more just after the poll, so what a callback of
                // the poll feeds does not wait for the pending phase of the next turn.
                let is_now = phase == Phase::Pending
                    && !is_served
                    && matches!(self.handle.current_phase(), Phase::Pending | Phase::Poll);
                if !is_now {
                    let reached = wait.get_or_insert_with(|| self.handle.phase(phase));
                    reached.set_referenced(referenced);
                    if Pin::new(reached).poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                // Dropped first: what is queued while the queue is served waits for the next such
                // phase.
                wait = None;
                serve();
                is_served = true;
            }
        })
        .await;
    }
}
