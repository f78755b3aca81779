//! What a phase does besides running tasks: it finds what happened, wakes for it, and reports it.

use crate::mechanisms::bug::Bug;
use crate::mechanisms::guard::{drop_guarded, guarded, report};
use crate::mechanisms::phase::Phase;
use crate::mechanisms::ready::Ready;
use crate::mechanisms::slots::Key;
use crate::state::{Handle, LoopState};
use crate::tasks::registration::Registration;
use crate::tasks::stats::{PhaseReport, Wake, Woke, add};
use crate::tasks::waiter::Waiter;
use crate::tasks::waker::QueueMark;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

/// The time in nanoseconds after which a phase leaves tasks that it has not woken itself for later.
const PHASE_NS: u64 = 10_000_000;

/// Finds what happened, for one phase after the other, and wakes the tasks that wait for it.
pub(super) struct Collector {
    state: Rc<LoopState>,
    /// The reactor's key of the inbox.
    bell: Key<Rc<Registration>>,
    /// Waiters on their way from a phase to the run queue; kept for its capacity.
    pub(super) woken: VecDeque<Waiter>,
    /// The report of the current phase, while there is an observer.
    pub(super) report: Option<PhaseReport>,
    /// The run queue as the phase found it, while there is an observer.
    queued: QueueMark,
    /// The time at which the last poll ended.
    polled_ns: u64,
}

impl Collector {
    pub(super) fn new(state: Rc<LoopState>, bell: Key<Rc<Registration>>) -> Self {
        Collector {
            state,
            bell,
            woken: VecDeque::new(),
            report: None,
            queued: QueueMark::default(),
            polled_ns: 0,
        }
    }

    /// Starts the clock of a run: time spent outside the loop is not counted.
    pub(super) fn begin_run(&mut self) {
        self.lap();
        self.polled_ns = self.state.lapped_ns.get();
    }

    /// Opens the phase's report, if there is an observer.
    pub(super) fn begin_phase(&mut self, phase: Phase) {
        // Decided once per phase: an observer that is set in the middle of one gets its first
        // report with the next.
        let turn = self.state.counters.turns.get();
        self.report = self.is_observed().then(|| {
            let clock = &self.state.clock;
            self.queued = self.state.ready.mark();
            PhaseReport::new(turn, phase, clock.at_ns(self.state.lapped_ns.get()))
        });
    }

    /// Notes the tasks that the phase has woken itself.
    pub(super) fn note_wakes(&mut self) {
        if let Some(report) = &mut self.report {
            let woken = self.state.ready.since(self.queued).into_iter();
            report.wakes.extend(woken.map(|task| Wake::new(task, None)));
        }
    }

    #[inline]
    fn is_observed(&self) -> bool {
        !self.state.observers.borrow().is_empty()
    }

    /// True if a phase has nothing to wake, nothing to run and no observer: most phases of most
    /// turns.
    #[inline]
    pub(super) fn is_idle(&self, phase: Phase) -> bool {
        self.woken.is_empty()
            && !self.is_observed()
            && self.state.ready.is_empty()
            && self.state.phases.borrow().is_idle(phase)
    }

    /// Takes the wakers of the timers that are due.
    pub(super) fn collect_timers(&mut self) {
        // The time of the last look, not a new one: libuv's `uv_now` stays the same within a phase,
        // too.
        let mut now_ns = self.state.lapped_ns.get();
        if self.state.chaos.has_bug(Bug::FiresEarly) {
            now_ns += 500_000;
        }
        let mut latest_ns = 0;
        let mut fired = 0;
        while let Some((deadline_ns, waker)) = self.state.pop_due(now_ns) {
            let late_ns = now_ns - deadline_ns;
            // The wakers are collected first and woken outside of all borrows (rule 2).
            self.note(|| Woke::Timer(Duration::from_nanos(late_ns)));
            self.woken.push_back(Waiter::Foreign(waker));
            latest_ns = latest_ns.max(late_ns);
            fired += 1;
        }
        self.state.counters.fire_timers(fired, latest_ns);
    }

    /// Waits for events, and counts the time.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let state = &self.state;
        // From one poll's end to the next poll's start: the time for which an event at the worst
        // moment waits.
        let busy_ns = state.lapped_ns.get().saturating_sub(self.polled_ns);
        state.counters.end_busy(busy_ns);
        state.wait(timeout)?;
        let slept_ns = self.lap();
        self.polled_ns = self.state.lapped_ns.get();
        // A poll that does not sleep is work of the loop; one that may sleep is idle time.
        if timeout == Some(Duration::ZERO) {
            self.state.counters.spend(Phase::Poll, slept_ns);
        } else {
            add(&self.state.counters.idle_ns, slept_ns);
            if let Some(report) = &mut self.report {
                report.slept = Duration::from_nanos(slept_ns);
            }
        }
        Ok(())
    }

    /// Marks each source that epoll reported and takes its waiters. True if another thread rang.
    pub(super) fn collect_events(&mut self) -> bool {
        let mut rung = false;
        let mut ended = 0;
        let mut events = 0;
        let reactor = self.state.reactor.borrow();
        let tasks = self.state.tasks.borrow();
        let forgets = self.state.chaos.has_bug(Bug::ForgetsWriting);
        for (key, registration, ready) in reactor.events() {
            let is_both = ready.contains(Ready::READ | Ready::WRITE);
            let ready = if forgets && is_both {
                Ready::READ
            } else {
                ready
            };
            // The bell's registration has no waiter, so marking it wakes no task.
            rung |= key == self.bell;
            let woken = &mut self.woken;
            ended += registration.mark(ready, |waiter| match waiter {
                // Each waiter before it is queued already, so the order is the same.
                Waiter::Task(task) if woken.is_empty() => tasks.queue(task, &self.state.ready),
                waiter => woken.push_back(waiter),
            });
            events += 1;
            if let Some(report) = self.report.as_mut().filter(|_| key != self.bell) {
                report.woke.push(Woke::Fd(registration.fd(), ready));
            }
        }
        // Once for all events: each registration has counted those of its waiters that are
        // referenced.
        self.state.end_waits(ended);
        add(&self.state.counters.events, events);
        rung
    }

    /// Takes the mail of other threads.
    pub(super) fn empty_inbox(&mut self) {
        self.note(|| Woke::Ring);
        add(&self.state.counters.rings, 1);
        let arrivals = self.state.inbox.take();
        if arrivals.stop {
            self.state.stopping.set(true);
        }
        // Wakes before jobs, whatever came first: a job runs as a new task, behind the tasks that
        // are ready.
        for waker in arrivals.wakes {
            waker.arrive();
            self.state.ready.push(&waker);
        }
        let handle = Handle {
            state: Rc::clone(&self.state),
        };
        for job in arrivals.jobs {
            // As a task, so that a panic in the job ends the job only (rule 13).
            handle.spawn(async move { job() });
        }
    }

    /// Takes the waiters for a phase, behind the tasks that it found.
    pub(super) fn collect_waiters(&mut self, phase: Phase) {
        let found = self.woken.len();
        // Behind what the phase found. Only the poll has collected its waiters before its events.
        self.state.phases.borrow_mut().take(phase, &mut self.woken);
        let waiters = self.woken.len() - found;
        if waiters > 0 {
            self.note(|| Woke::Waiters(waiters));
        }
    }

    /// Wakes the tasks that the phase found, then its waiters.
    pub(super) fn wake(&mut self, phase: Phase) {
        self.state.phase.set(phase);
        self.collect_waiters(phase);
        while let Some(waiter) = self.woken.pop_front() {
            self.state.wake(waiter);
        }
    }

    fn note(&mut self, woke: impl FnOnce() -> Woke) {
        if let Some(report) = &mut self.report {
            report.woke.push(woke());
        }
    }

    /// Passes the phase's report to the observer.
    pub(super) fn end_phase(&mut self) {
        let Some(mut phase_report) = self.report.take() else {
            return;
        };
        phase_report.took = phase_report.ran.iter().map(|ran| ran.took).sum();
        let observers = self.state.observers.borrow().clone();
        for (_, observer) in observers {
            if guarded(|| (*observer.borrow_mut())(&phase_report)).is_none() {
                report("an observer of the loop panicked");
            }
            drop_guarded(observer); // it may have been replaced while it ran
        }
        let observed_ns = self.lap();
        self.state.counters.spend(phase_report.phase, observed_ns);
    }

    pub(super) fn is_late(&self) -> bool {
        self.state.clock.now_ns() - self.state.lapped_ns.get() > PHASE_NS
    }

    /// Looks at the clock, and returns the nanoseconds since the last look.
    pub(super) fn lap(&mut self) -> u64 {
        let now_ns = self.state.clock.now_ns();
        now_ns - self.state.lapped_ns.replace(now_ns)
    }
}

impl LoopState {
    /// A function, as the borrow must not last for the body of a `while let`.
    fn pop_due(&self, now_ns: u64) -> Option<(u64, Waker)> {
        self.timers.borrow_mut().pop_due(now_ns)
    }
}
