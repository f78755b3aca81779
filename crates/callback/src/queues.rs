//! libuv's queues around the poll: what was fed, what goes on in the next turn, what closes.
//!
//! ```text
//! pending ── POLL ─────────────────────────── check ── closing ── timers
//!   fed      held ▶ fds ▶ held back ▶ fed by the poll  closed
//! ```
//!
//! What is *fed* is done without an event of the kernel's: just after the poll, if the poll's callbacks
//! fed it, and else before the next one. What is *held* had its round in this turn, and has its next
//! one in the next poll before any new event, as with libuv's level-triggered epoll; what begins to read
//! is *held back* behind the events, as libuv adds it to epoll only then. What is *closed* tells so in the
//! closing phase, the last one first.

use crate::runtime::Runtime;
use oneloop_core::{Phase, PhaseReached};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Wakes the task that serves a queue.
#[derive(Default)]
pub(crate) struct Bell {
    waker: Cell<Option<Waker>>,
}

impl Bell {
    /// Has the next ring wake this task.
    pub(crate) fn wait(&self, cx: &mut Context<'_>) {
        self.waker.set(Some(cx.waker().clone()));
    }

    /// Something changed in the queue.
    pub(crate) fn ring(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Something with an fd, as the queues see it.
pub(crate) trait Queued {
    /// Does what it was fed for.
    fn serve(self: Rc<Self>);

    /// Has its next round now.
    fn release(self: Rc<Self>);

    /// Has its next round behind all tasks that are ready.
    fn release_soon(&self);

    /// True while it keeps the program alive.
    fn is_referenced(&self) -> bool;

    /// Tells that it is closed.
    fn finish_close(self: Rc<Self>);

    /// Lets go of everything: the program has ended.
    fn abandon(&self);
}

/// How often what is fed by what was fed is served within one phase, as in libuv.
const FED_ROUNDS: usize = 8;

#[derive(Default)]
pub(crate) struct Queues {
    fed: RefCell<VecDeque<Rc<dyn Queued>>>,
    fed_bell: Bell,
    held: RefCell<Vec<Rc<dyn Queued>>>,
    held_back: RefCell<Vec<Rc<dyn Queued>>>,
    held_bell: Bell,
    closing: RefCell<Vec<Rc<dyn Queued>>>,
    closing_bell: Bell,
}

impl Queues {
    /// libuv's `uv__io_feed`.
    pub(crate) fn feed(&self, queued: Rc<dyn Queued>) {
        self.fed.borrow_mut().push_back(queued);
        self.fed_bell.ring();
    }

    /// Has it go on in the next turn.
    pub(crate) fn hold(&self, queued: Rc<dyn Queued>) {
        self.held.borrow_mut().push(queued);
        self.held_bell.ring();
    }

    /// Has it go on in the next turn, behind whom the poll finds.
    pub(crate) fn hold_back(&self, queued: Rc<dyn Queued>) {
        self.held_back.borrow_mut().push(queued);
        self.held_bell.ring();
    }

    /// Who is held may keep the program alive now, or no longer.
    pub(crate) fn look_at_held(&self) {
        if self.is_holding() {
            self.held_bell.ring();
        }
    }

    /// Lets go of everything that is queued: nothing of it is told any more. True if anything was.
    pub(crate) fn abandon_all(&self) -> bool {
        let fed = self.fed.take();
        let held = self.held.take();
        let held_back = self.held_back.take();
        let closing = self.closing.take();
        let queued = fed.into_iter().chain(held).chain(held_back).chain(closing);
        queued.map(|queued| queued.abandon()).count() > 0
    }

    /// Has it tell that it is closed.
    pub(crate) fn close(&self, queued: Rc<dyn Queued>) {
        self.closing.borrow_mut().push(queued);
        self.closing_bell.ring();
    }

    fn is_holding(&self) -> bool {
        !self.held.borrow().is_empty() || !self.held_back.borrow().is_empty()
    }

    fn is_held_referenced(&self) -> bool {
        let (held, held_back) = (self.held.borrow(), self.held_back.borrow());
        held.iter()
            .chain(held_back.iter())
            .any(|queued| queued.is_referenced())
    }

    fn serve_fed(&self) {
        for _ in 0..FED_ROUNDS {
            let fed = self.fed.take();
            if fed.is_empty() {
                return;
            }
            fed.into_iter().for_each(Queued::serve);
        }
    }

    fn release_held(&self) {
        let (held, held_back) = (self.held.take(), self.held_back.take());
        for queued in held_back {
            queued.release_soon(); // whom the poll found is in the run queue already
        }
        held.into_iter().for_each(Queued::release);
    }

    fn finish_closing(&self) {
        let closing = self.closing.take();
        closing.into_iter().rev().for_each(Queued::finish_close);
    }
}

impl Runtime {
    pub(crate) async fn drive_fed(self: Rc<Self>) {
        let queues = &self.queues;
        self.serve(
            &queues.fed_bell,
            Phase::Pending,
            || (!queues.fed.borrow().is_empty()).then_some(true),
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
            || (!queues.closing.borrow().is_empty()).then_some(true),
            || queues.finish_closing(),
        )
        .await;
    }

    /// Serves a queue in its phase, whenever there is something in it. `wanted` is none while there
    /// is nothing, and else whether it keeps the program alive.
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
                // What the poll's callbacks feed is served just behind them.
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
                wait = None;
                serve();
                is_served = true;
            }
        })
        .await;
    }
}
