//! The wait of a poll, in real or in virtual time.

use crate::mechanisms::workers::{Class, ENDLESS_JOB};
use crate::state::{Handle, LoopState};
use std::fmt::Write as _;
use std::io;
use std::rc::Rc;
use std::time::Duration;

impl LoopState {
    /// The maximum time for which the poll may sleep; `None` is forever. A run that is over does
    /// not sleep.
    pub(super) fn timeout(&self, is_over: bool) -> Option<Duration> {
        let must_not_sleep = is_over || !self.ready.is_empty() || self.chaos.has_held();
        if must_not_sleep || self.phases.borrow().is_referenced() {
            return Some(Duration::ZERO);
        }
        // An unreferenced timer counts here as well: it does not keep the loop alive, but while the
        // loop lives it fires on time.
        let deadline_ns = self.timers.borrow_mut().next_deadline_ns()?;
        // From the last look at the clock, a moment ago: the poll sleeps longer by that moment,
        // never shorter (rule 10).
        let left_ns = deadline_ns.saturating_sub(self.lapped_ns.get());
        Some(Duration::from_nanos(left_ns))
    }

    pub(super) fn wait(self: &Rc<Self>, timeout: Option<Duration>) -> io::Result<()> {
        let is_job_done = self.chaos.hold().is_some() && self.run_held_job(timeout);
        let timeout = if is_job_done {
            Some(Duration::ZERO)
        } else {
            timeout
        };
        if !self.clock.is_virtual() {
            return self.wait_for_events(timeout).map(drop);
        }
        // A job takes real time, and may end before the next timer.
        if timeout != Some(Duration::ZERO) && self.jobs_outside.get() > 0 {
            return self.wait_for_others(ENDLESS_JOB);
        }
        if self.chaos.spins() {
            self.hang("the program hangs: it takes turn after turn, and no virtual time passes");
        }
        match timeout {
            None => self.wait_for_others("the program hangs: nothing on it can happen any more"),
            Some(sleep) => self.wait_virtually(sleep),
        }
    }

    /// Waits, and returns the number of events; `None` if a signal ended the wait.
    fn wait_for_events(&self, timeout: Option<Duration>) -> io::Result<Option<usize>> {
        let mut reactor = self.reactor.borrow_mut();
        let wait = |timeout| reactor.wait_unless_interrupted(timeout);
        let waited = self.inbox.wait(timeout, wait)?;
        self.chaos.stir(&mut reactor);
        Ok(waited)
    }

    /// Virtual time passes only when nothing else can happen.
    fn wait_virtually(self: &Rc<Self>, sleep: Duration) -> io::Result<()> {
        // Bytes that are on their way through loopback sockets get a moment first.
        let has_sources = self.reactor.borrow().len() > 1; // the bell is one
        let grace = if has_sources && !sleep.is_zero() {
            self.loopback_grace
        } else {
            Duration::ZERO
        };
        // With events at hand time stands still: they happened before the timer is due. After a
        // signal the loop looks again, as its handler may have made one.
        if self.wait_for_events(Some(grace))? == Some(0) && !sleep.is_zero() {
            self.clock.advance(self.chaos.pass(sleep));
            self.check_virtual_time();
        }
        Ok(())
    }

    /// Waits for another thread or process, as only that can end this wait.
    fn wait_for_others(self: &Rc<Self>, problem: &str) -> io::Result<()> {
        let hang_after = self.chaos.hang_after();
        if self.wait_for_events(hang_after)? == Some(0) && hang_after.is_some() {
            self.hang(problem);
        }
        Ok(())
    }

    /// Ends a program under chaos that only its timers keep alive.
    fn check_virtual_time(self: &Rc<Self>) {
        let is_over = |most| Duration::from_nanos(self.clock.now_ns()) > most;
        if self.chaos.time_max().is_some_and(is_over) {
            self.hang("the program hangs: it turns without end in virtual time");
        }
    }

    /// # Panics
    /// Always: chaos is for tests, and a test that hangs has failed.
    #[cold]
    fn hang(self: &Rc<Self>, problem: &str) -> ! {
        let state = Rc::clone(self);
        let mut tasks = String::new();
        for task in (Handle { state }).dump_tasks() {
            let _ = write!(tasks, "\n  {task}");
        }
        panic!("{problem}{tasks}");
    }

    /// Under chaos, the loop waits for one job at a time, so that the seed decides when its result
    /// comes. True if a job has run.
    fn run_held_job(&self, timeout: Option<Duration>) -> bool {
        let classes: Vec<_> = self.held_jobs().collect();
        let may_sleep = timeout != Some(Duration::ZERO);
        match self.chaos.choose_job(&classes, may_sleep) {
            Some(class) => self.workers.run_one(class),
            None => false,
        }
    }

    /// True while a job waits for a turn to run it, under chaos.
    pub(super) fn has_held_job(&self) -> bool {
        self.chaos.hold().is_some() && self.held_jobs().next().is_some()
    }

    /// The classes with jobs that wait.
    fn held_jobs(&self) -> impl Iterator<Item = Class> {
        let has_jobs = |class: &Class| self.workers.has_queued(*class);
        Class::ALL.into_iter().filter(has_jobs)
    }
}
