//! The loop itself. Read [`Inner::turn`] first: it is the table of contents.

use crate::clock::Clock;
use crate::guard::{drop_each, drop_guarded, guarded, wake_guarded};
use crate::handle::{Entered, Handle, Inner};
use crate::phases::{Phase, Phases};
use crate::pool::{Pool, PoolOptions};
use crate::reactor::Reactor;
use crate::ready::{Interest, Trigger};
use crate::remote::Shared;
use crate::run_queue::RunQueue;
use crate::slots::{Key, Slots};
use crate::source::State;
use crate::stats::{Counters, PhaseReport, Ran, Woke, add, raise};
use crate::task::{JoinError, Task, TaskBody, Unhandled};
use crate::timers::Timers;
use crate::waker::{RunningTask, Spare, TaskWaker};
use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Runs of tasks that one phase may add to those that were ready when it woke its own.
const PHASE_RUNS: usize = 256;
/// Time after which a phase leaves what it did not wake itself for later.
const PHASE_NS: u64 = 10_000_000;
/// Wakers that are kept of tasks that have ended.
const SPARES_MAX: usize = 256;
/// The clock is read once in so many runs.
const RUNS_PER_CLOCK: usize = 8;

/// How long, on virtual time, the kernel may take to deliver what was sent over loopback: mostly it
/// does so within the `send(2)`.
const LOOPBACK_GRACE: Duration = Duration::from_millis(10);

/// What to make a loop with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where its time comes from.
    pub clock: Clock,
    /// The threads for what blocks.
    pub pool: PoolOptions,
}

impl Options {
    /// A loop whose time is virtual: see [`Clock::new_virtual`]. Jobs of [`Handle::offload`] are waited
    /// for in real time, so none of them may itself wait for a timer of this loop.
    pub fn virtual_time() -> Self {
        Options {
            clock: Clock::new_virtual(),
            ..Options::default()
        }
    }
}

/// How long a turn may wait in its poll.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Until something happens, for someone who waits for it.
    WhileAlive,
    /// Until something happens, from wherever.
    Always,
    Never,
}

/// The future of `block_on`, until it is through.
type Main<'a, 'b> = Option<Pin<&'a mut (dyn Future<Output = ()> + 'b)>>;

/// An event loop on epoll, and everything that runs on it.
///
/// **After a fork** the child has a copy of the loop which it cannot use: the kernel's epoll instance is
/// one for both processes, and all tasks are in both. Running it there fails with
/// [`forked`](crate::forked), and dropping it there leaves the parent's as it is. The child makes a loop of its own; sockets
/// that it inherited are duplicated onto that. `fork(2)` itself is only for code that heeds its rules; to run
/// another program there is no need for it.
///
/// ```
/// use std::time::Duration;
/// let mut event_loop = oneloop_core::EventLoop::new()?;
/// let handle = event_loop.handle();
/// handle.spawn({
///     let handle = handle.clone();
///     async move { handle.sleep(Duration::from_millis(1)).await }
/// });
/// event_loop.run()?; // returns when nothing is left to wait for
/// assert_eq!(handle.task_count(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct EventLoop {
    inner: Rc<Inner>,
    /// What an outer loop waits for.
    backend: Rc<OwnedFd>,
    /// The reactor's key for what other threads ring.
    bell: Key<Rc<State>>,
    /// Wakers on their way from a phase to the run queue; kept for its capacity.
    wakers: VecDeque<Waker>,
    /// What wakes the future of `block_on`: the last one, once that has ended.
    main_queue: Option<Arc<TaskWaker>>,
    /// What this phase does, while somebody observes.
    report: Option<PhaseReport>,
    /// When the last poll ended.
    polled_ns: u64,
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("tasks", &self.handle().task_count())
            .finish_non_exhaustive()
    }
}

/// The loop's own fd is readable when [`EventLoop::run_nowait`] has something to do: so it can live
/// inside of another loop, which waits for it, but no longer than [`EventLoop::backend_timeout`].
/// libuv's `uv_backend_fd`.
impl AsFd for EventLoop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.backend.as_fd()
    }
}

impl EventLoop {
    /// A loop on the kernel's clock.
    ///
    /// # Errors
    /// What `epoll_create1(2)` or `eventfd(2)` say: mostly `EMFILE`.
    pub fn new() -> io::Result<Self> {
        Self::with(Options::default())
    }

    /// A loop made to order.
    ///
    /// # Errors
    /// As [`EventLoop::new`].
    pub fn with(options: Options) -> io::Result<Self> {
        let shared = Shared::new()?;
        let mut reactor = Reactor::new()?;
        let state = State::new_internal(shared.bell().as_raw_fd());
        let backend = reactor.share_fd();
        let bell = reactor.add(shared.bell(), Interest::READ, Trigger::Edge, state)?;
        let inner = Rc::new(Inner {
            clock: options.clock,
            reactor: RefCell::new(reactor),
            timers: RefCell::new(Timers::new()),
            phases: RefCell::new(Phases::default()),
            tasks: RefCell::new(Slots::new()),
            ready: RunQueue::default(),
            spares: RefCell::default(),
            shared,
            budget: Default::default(),
            counters: Counters::default(),
            observer: RefCell::new(None),
            unhandled: RefCell::new(None),
            heartbeat: OnceCell::new(),
            waits: Cell::new(0),
            pool: Pool::new(&options.pool)?,
            outside: Cell::new(0),
            stopping: Cell::new(false),
            running: Cell::new(Task::NONE),
            lapped_ns: Cell::new(0),
            phase: Cell::new(Phase::Timers),
            closed: Cell::new(false),
        });
        Ok(EventLoop {
            inner,
            backend,
            bell,
            wakers: VecDeque::new(),
            main_queue: None,
            report: None,
            polled_ns: 0,
        })
    }

    /// The loop, for code that will run in it.
    pub fn handle(&self) -> Handle {
        Handle {
            inner: Rc::clone(&self.inner),
        }
    }

    /// Calls a function inside of the loop, without running it: what it spawns runs later.
    pub fn enter<T>(&self, function: impl FnOnce() -> T) -> T {
        let _entered = Entered::new(&self.inner);
        function()
    }

    /// Runs until nothing referenced is left that could happen, or until [`Handle::stop`].
    ///
    /// # Errors
    /// [`forked`](crate::forked), in a process that was forked from the one that made the loop; else what
    /// `epoll_pwait2(2)` says: a correct program sees none.
    pub fn run(&mut self) -> io::Result<()> {
        self.inner.reactor.borrow().check_process()?;
        let _entered = Entered::new(&self.inner);
        self.begin_run();
        if self.inner.is_alive() {
            self.timers(&mut None); // once before the first poll
        }
        while self.inner.is_alive() && !self.inner.stopping.get() {
            self.turn(Wait::WhileAlive, &mut None)?;
        }
        self.inner.stopping.set(false);
        Ok(())
    }

    /// Takes one turn, waiting if need be. True if there is more to do.
    ///
    /// # Errors
    /// As [`EventLoop::run`].
    pub fn run_once(&mut self) -> io::Result<bool> {
        self.run_turn(Wait::WhileAlive)
    }

    /// Takes one turn without waiting. True if there is more to do.
    ///
    /// # Errors
    /// As [`EventLoop::run`].
    pub fn run_nowait(&mut self) -> io::Result<bool> {
        self.run_turn(Wait::Never)
    }

    fn run_turn(&mut self, wait: Wait) -> io::Result<bool> {
        let _entered = Entered::new(&self.inner);
        self.begin_run();
        // Once something has run, the turn has made its progress and does not wait for more.
        let wait = if self.inner.ready.is_empty() {
            wait
        } else {
            Wait::Never
        };
        self.turn(wait, &mut None)?;
        self.inner.stopping.set(false);
        Ok(self.inner.is_alive())
    }

    /// How long an outer loop may wait for this loop's fd before it calls [`EventLoop::run_nowait`]: until
    /// the next timer, not at all while there is something to do, and for ever (`None`) while only an fd or
    /// another thread can bring something. libuv's `uv_backend_timeout`.
    ///
    /// A loop with nothing left to wait for says zero, too: `run_nowait` has told by then.
    pub fn backend_timeout(&self) -> Option<Duration> {
        let timeout = self.timeout(Wait::WhileAlive, &None)?;
        // It is told from when the time was last read.
        let now_ns = self.inner.clock.now_ns();
        let since_ns = now_ns.saturating_sub(self.inner.lapped_ns.get());
        Some(timeout.saturating_sub(Duration::from_nanos(since_ns)))
    }

    /// True while something referenced could still happen: what [`EventLoop::run`] waits for.
    pub fn is_alive(&self) -> bool {
        self.inner.is_alive()
    }

    /// Runs until this future is ready, and everything else meanwhile. What has not ended by then
    /// stays as it is, for the next run.
    ///
    /// It waits for as long as it takes: whatever could still wake the future may be known to
    /// another thread only. [`Handle::stop`] does not end it.
    ///
    /// # Panics
    /// When the future does, and in a process that was forked from the one that made the loop.
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        let refused = self.inner.reactor.borrow().check_process();
        refused.unwrap_or_else(|error| panic!("{error}"));
        let mut output = None;
        {
            let mut main = pin!(async { output = Some(future.await) });
            let mut main: Main<'_, '_> = Some(main.as_mut());
            let _entered = Entered::new(&self.inner);
            let queue = TaskWaker::new(Task::MAIN, Arc::clone(&self.inner.shared));
            self.inner.ready.push(&queue);
            self.main_queue = Some(queue);
            self.begin_run();
            self.phase(Phase::Timers, &mut main); // what is ready runs, before any turn
            while main.is_some() {
                if let Err(error) = self.turn(Wait::Always, &mut main) {
                    panic!("{error}"); // our epoll fd and its buffer are valid, so we were forked
                }
            }
        }
        self.inner.stopping.set(false);
        output.expect("the future has ended")
    }

    /// One turn, in libuv's order (1.45 and later: timers after the poll). Each phase wakes those
    /// who wait for it, and then runs what is ready; no phase runs user code but through that.
    fn turn(&mut self, wait: Wait, main: &mut Main<'_, '_>) -> io::Result<()> {
        self.inner.reactor.borrow().check_process()?; // before anything runs that the parent runs as well
        add(&self.inner.counters.turns, 1);
        self.phase(Phase::Pending, main);
        self.phase(Phase::Idle, main);
        self.phase(Phase::Prepare, main);
        self.poll(wait, main)?;
        self.phase(Phase::Check, main);
        self.phase(Phase::Closing, main);
        self.timers(main);
        Ok(())
    }

    fn phase(&mut self, phase: Phase, main: &mut Main<'_, '_>) {
        self.begin(phase);
        self.run_phase(phase, main);
    }

    /// True if a phase has nothing to wake, nothing to run and nobody to report to: most phases of
    /// most turns.
    fn is_idle(&self, phase: Phase) -> bool {
        self.wakers.is_empty()
            && self.report.is_none()
            && self.inner.ready.is_empty()
            && self.inner.phases.borrow().is_idle(phase)
    }

    fn timers(&mut self, main: &mut Main<'_, '_>) {
        self.begin(Phase::Timers);
        let now_ns = self.inner.lapped_ns.get();
        let mut latest_ns = 0;
        let mut fired = 0;
        while let Some((deadline_ns, waker)) = self.inner.pop_due(now_ns) {
            let late_ns = now_ns - deadline_ns;
            self.note(|| Woke::Timer(Duration::from_nanos(late_ns)));
            self.wakers.push_back(waker);
            latest_ns = latest_ns.max(late_ns);
            fired += 1;
        }
        if fired > 0 {
            let counters = &self.inner.counters;
            add(&counters.timers_fired, fired);
            counters.lag_last_ns.set(latest_ns);
            raise(&counters.lag_max_ns, latest_ns);
        }
        self.run_phase(Phase::Timers, main);
    }

    fn poll(&mut self, wait: Wait, main: &mut Main<'_, '_>) -> io::Result<()> {
        self.begin(Phase::Poll);
        raise(
            &self.inner.counters.busy_max_ns,
            self.inner.lapped_ns.get().saturating_sub(self.polled_ns),
        );
        let timeout = self.timeout(wait, main);
        self.wait(timeout)?;
        let slept_ns = self.lap();
        self.polled_ns = self.inner.lapped_ns.get();
        if timeout != Some(Duration::ZERO) {
            add(&self.inner.counters.idle_ns, slept_ns);
            if let Some(report) = &mut self.report {
                report.slept = Duration::from_nanos(slept_ns);
            }
        } else {
            add(
                &self.inner.counters.phases_ns[Phase::Poll as usize],
                slept_ns,
            );
        }
        self.collect_waiters(Phase::Poll); // they are first, before whom the poll found
        if self.mark() {
            self.empty_inbox();
        }
        self.run_phase(Phase::Poll, main);
        Ok(())
    }

    /// How long the poll may sleep; `None` is for ever.
    fn timeout(&self, wait: Wait, main: &Main<'_, '_>) -> Option<Duration> {
        let inner = &self.inner;
        let is_through = match wait {
            Wait::Never => true,
            Wait::Always => main.is_none(),
            Wait::WhileAlive => inner.stopping.get() || !inner.is_alive(),
        };
        if is_through || !inner.ready.is_empty() || inner.phases.borrow().is_referenced() {
            return Some(Duration::ZERO);
        }
        let deadline_ns = inner.timers.borrow_mut().next_deadline_ns()?;
        Some(Duration::from_nanos(
            deadline_ns.saturating_sub(self.inner.lapped_ns.get()),
        ))
    }

    fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let inner = &self.inner;
        let Some(sleep) = timeout.filter(|_| inner.clock.is_virtual()) else {
            inner.reactor.borrow_mut().wait(timeout)?;
            return Ok(());
        };
        if !sleep.is_zero() && inner.outside.get() > 0 {
            inner.reactor.borrow_mut().wait(None)?;
            return Ok(());
        }
        // Virtual time passes only when there is nothing to do but to let it pass. The kernel has a
        // moment for what is on its way through loopback sockets already.
        let has_sources = inner.reactor.borrow().len() > 1; // the bell is one
        let grace = if has_sources && !sleep.is_zero() {
            LOOPBACK_GRACE
        } else {
            Duration::ZERO
        };
        if inner.reactor.borrow_mut().wait(Some(grace))? == 0 {
            inner.clock.advance(sleep);
        }
        Ok(())
    }

    /// Marks every source that epoll named and collects who waits for it. True if another thread
    /// rang.
    fn mark(&mut self) -> bool {
        let mut rung = false;
        let mut ended = 0;
        let mut events = 0;
        let reactor = self.inner.reactor.borrow();
        for (key, state, ready) in reactor.events() {
            rung |= key == self.bell;
            ended += state.mark(ready, &mut self.wakers);
            events += 1;
            if let Some(report) = self.report.as_mut().filter(|_| key != self.bell) {
                report.woke.push(Woke::Fd(state.fd(), ready));
            }
        }
        self.inner.end_waits(ended);
        add(&self.inner.counters.events, events);
        rung
    }

    /// Takes in what other threads sent.
    fn empty_inbox(&mut self) {
        self.note(|| Woke::Ring);
        add(&self.inner.counters.rings, 1);
        let inbox = self.inner.shared.take();
        if inbox.stop {
            self.inner.stopping.set(true);
        }
        for waker in inbox.wakes {
            waker.arrive();
            self.inner.ready.push(&waker);
        }
        let handle = self.handle();
        for job in inbox.jobs {
            let inside = handle.clone();
            handle.spawn(async move { job(&inside) });
        }
    }

    /// Opens a phase's report, if somebody observes.
    fn begin(&mut self, phase: Phase) {
        let observed = self.inner.observer.borrow().is_some();
        self.report = observed.then(|| PhaseReport {
            turn: self.inner.counters.turns.get(),
            phase,
            woke: Vec::new(),
            ran: Vec::new(),
            slept: Duration::ZERO,
            took: Duration::ZERO,
        });
    }

    fn note(&mut self, woke: impl FnOnce() -> Woke) {
        if let Some(report) = &mut self.report {
            report.woke.push(woke());
        }
    }

    /// Wakes whom the phase found and who waited for it; then runs what is ready.
    fn run_phase(&mut self, phase: Phase, main: &mut Main<'_, '_>) {
        if self.is_idle(phase) {
            return;
        }
        self.inner.phase.set(phase);
        self.collect_waiters(phase);
        while let Some(waker) = self.wakers.pop_front() {
            wake_guarded(waker);
        }
        if !self.inner.ready.is_empty() {
            self.run_ready(main);
            let took_ns = self.lap();
            add(&self.inner.counters.phases_ns[phase as usize], took_ns);
        }
        self.finish();
    }

    /// Takes those who wait for a phase behind whom it found.
    fn collect_waiters(&mut self, phase: Phase) {
        let found = self.wakers.len();
        self.inner.phases.borrow_mut().take(phase, &mut self.wakers);
        let waiters = self.wakers.len() - found;
        if waiters > 0 {
            self.note(|| Woke::Waiters(waiters));
        }
    }

    /// Hands the phase's report to the observer.
    fn finish(&mut self) {
        let Some(mut report) = self.report.take() else {
            return;
        };
        report.took = report.ran.iter().map(|ran| ran.took).sum();
        let observer = self.inner.observer.borrow().clone();
        if let Some(observer) = &observer
            && guarded(|| (*observer.borrow_mut())(&report)).is_none()
        {
            crate::report("an observer of the loop panicked");
        }
        drop_guarded(observer); // it may have been replaced while it ran
        let observed_ns = self.lap();
        add(
            &self.inner.counters.phases_ns[report.phase as usize],
            observed_ns,
        );
    }

    /// Runs ready tasks, first in first out: the only place where user code runs, with nothing
    /// borrowed. Whom the phase itself woke, it runs; then it stops at its budget, so that tasks
    /// which wake each other without end cannot keep the loop from its other phases (rule 15).
    fn run_ready(&mut self, main: &mut Main<'_, '_>) {
        let runs_min = self.inner.ready.len();
        for run in 1..=runs_min + PHASE_RUNS {
            let Some(task) = self.inner.ready.pop() else {
                return;
            };
            self.run_task(task, main);
            if run >= runs_min && run % RUNS_PER_CLOCK == 0 && self.is_late() {
                break;
            }
        }
        if !self.inner.ready.is_empty() {
            add(&self.inner.counters.run_budget_spent, 1);
        }
    }

    fn run_task(&mut self, key: Key<Task>, main: &mut Main<'_, '_>) {
        add(&self.inner.counters.tasks_run, 1);
        let began_ns = self.report.as_ref().map(|_| self.inner.clock.now_ns());
        let spawned_at = began_ns.and_then(|_| self.inner.spawned_at(key));
        let beat = self.inner.beat(key);
        if key == Task::MAIN {
            self.run_main(main);
        } else {
            self.inner.run(key);
        }
        drop(beat);
        self.inner.budget.refill();
        if let (Some(report), Some(began_ns)) = (&mut self.report, began_ns) {
            let took = Duration::from_nanos(self.inner.clock.now_ns() - began_ns);
            let task = Some(key).filter(|key| *key != Task::MAIN);
            report.ran.push(Ran {
                task,
                spawned_at,
                took,
            });
        }
    }

    /// A wake may be left of an earlier `block_on`, or come after this one's end.
    fn run_main(&mut self, main: &mut Main<'_, '_>) {
        let Some(queue) = &self.main_queue else {
            return;
        };
        queue.begin_run();
        let waker = Waker::from(Arc::clone(queue));
        let mut cx = Context::from_waker(&waker);
        let Some(future) = main else { return };
        if future.as_mut().poll(&mut cx).is_ready() {
            *main = None;
        }
    }

    fn is_late(&self) -> bool {
        self.inner.clock.now_ns() - self.inner.lapped_ns.get() > PHASE_NS
    }

    /// The time outside of the loop is in no book.
    fn begin_run(&mut self) {
        self.lap();
        self.polled_ns = self.inner.lapped_ns.get();
    }

    /// Reads the clock for the books: nanoseconds since the last time.
    fn lap(&mut self) -> u64 {
        let now_ns = self.inner.clock.now_ns();
        now_ns - self.inner.lapped_ns.replace(now_ns)
    }
}

impl Inner {
    fn pop_due(&self, now_ns: u64) -> Option<(u64, Waker)> {
        self.timers.borrow_mut().pop_due(now_ns)
    }

    pub(crate) fn spawned_at(&self, key: Key<Task>) -> Option<&'static Location<'static>> {
        self.tasks.borrow().get(key).map(|task| task.spawned_at)
    }

    /// Polls a task's body, which is out of its slot meanwhile (rule 8): the task may spawn, end or
    /// cancel any other, and itself. Whatever panics ends this task only (rule 13): the future's own
    /// panic is its outcome; the rest, from the drop of an output or from a waker, is reported.
    fn run(&self, key: Key<Task>) {
        let Some((mut body, running)) = self.take_body(key) else {
            return; // woken after its end
        };
        let before = self.running.replace(key);
        let polled = catch_unwind(AssertUnwindSafe(|| body.as_mut().run()));
        drop(running);
        let left = if matches!(polled, Ok(Poll::Pending)) {
            self.put_back(key, body)
        } else {
            Some(body)
        };
        if let Some(body) = left {
            self.end(key, body, polled.err());
        }
        self.running.set(before);
    }

    #[inline]
    fn take_body(&self, key: Key<Task>) -> Option<(TaskBody, RunningTask)> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get_mut(key)?;
        task.queue.begin_run();
        let body = task.body.take()?;
        Some((body, task.queue.running()))
    }

    /// Gives the body back to its task; or to the caller, if the task was cancelled meanwhile.
    fn put_back(&self, key: Key<Task>, body: TaskBody) -> Option<TaskBody> {
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks.get_mut(key).filter(|task| !task.queue.is_cancelled()) else {
            return Some(body);
        };
        task.body = Some(body);
        task.since_ns = self.lapped_ns.get();
        if task.queue.end_run() {
            self.ready.push(&task.queue);
        }
        None
    }

    /// Lets go of a task that has ended, or was cancelled while it ran.
    fn end(&self, key: Key<Task>, mut body: TaskBody, panicked: Option<Box<dyn Any + Send>>) {
        let task = self.tasks.borrow_mut().remove(key);
        let task = task.expect("a task keeps its slot while it runs");
        if let Some(payload) = panicked {
            report_panic(payload, task.spawned_at);
        }
        let waker = body.as_mut().take_waker();
        drop_body(body, task.spawned_at);
        let spare = Spare::of_ended(task.queue, waker);
        let mut spares = self.spares.borrow_mut();
        if spares.len() < SPARES_MAX {
            spares.extend(spare);
        }
    }
}

/// Drops a body, or a job, that will not run again; a panic from it ends nothing else.
pub(crate) fn drop_body<T>(body: T, spawned_at: &'static Location<'static>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(body))) {
        report_panic(payload, spawned_at);
    }
}

fn report_panic(payload: Box<dyn Any + Send>, spawned_at: &'static Location<'static>) {
    Handle::report_unhandled(Unhandled {
        error: JoinError::Panicked(payload),
        spawned_at,
    });
}

impl Drop for EventLoop {
    /// Drops all tasks, outside of borrows: what they do in their drops finds a loop (rule 8).
    fn drop(&mut self) {
        let _entered = Entered::new(&self.inner);
        let inner = &self.inner;
        inner.closed.set(true);
        let inbox = inner.shared.close();
        for job in inbox.jobs {
            drop_body(job, Location::caller());
        }
        // Nothing can be spawned any more, so one round takes them all; one by one, as the end of one
        // may have to be the end of others (`scope` of the green style).
        let keys: Vec<_> = inner.tasks.borrow().iter().map(|(key, _)| key).collect();
        let handle = self.handle();
        keys.into_iter().for_each(|key| handle.end_task(key));
        while inner.ready.pop().is_some() {}
        let timers = inner.timers.take();
        drop_each(timers.into_values());
        for phase in Phase::ALL {
            inner.phases.borrow_mut().take(phase, &mut self.wakers);
        }
        drop_each(self.wakers.drain(..));
        drop_guarded(inner.observer.take());
        drop_guarded(inner.unhandled.take());
    }
}
