//! Storey 5, the loop itself. Read `Run::turn` first: it is the table of contents.
//!
//! ```text
//!          ┌────────────────────────── one turn ──────────────────────────┐
//!  run ──▶ timers ──▶ pending ─▶ idle ─▶ prepare ─▶ poll ─▶ check ─▶ closing ─▶ timers
//!          (once)       ▲                                                        │
//!                       └────────── something referenced could still happen ─────┘
//!
//!  each phase: begin ──▶ find (timers, events, mail) ──▶ wake ──▶ run_ready ──▶ report
//! ```

mod collect;
mod run_task;
mod wait;

use crate::event_loop::collect::Collector;
use crate::mechanisms::budget::RUN_BYTES;
use crate::mechanisms::chaos::{Chaos, Plan};
use crate::mechanisms::clock::Clock;
use crate::mechanisms::entry::{RunningLoop, check_nesting};
use crate::mechanisms::guard::{advice, advised, drop_each, drop_guarded, report};
use crate::mechanisms::phase::{Phase, Phases};
use crate::mechanisms::reactor::Reactor;
use crate::mechanisms::ready::{Interest, Trigger};
use crate::mechanisms::slots::Key;
use crate::mechanisms::timers::Timers;
use crate::mechanisms::workers::{PoolOptions, Workers};
use crate::operations::observe::FIRST_ADDED;
use crate::operations::unhandled::drop_body;
use crate::state::{Entered, Handle, LoopState, Running};
use crate::tasks::info::UnfinishedCause;
use crate::tasks::key::Task;
use crate::tasks::record::Tasks;
use crate::tasks::registration::{Ownership, Registration};
use crate::tasks::stats::{Counters, Ran, Wake, add};
use crate::tasks::waker::{LoopInbox, RunQueue, SpareWaker, TaskWaker};
use nix::sys::epoll::Epoll;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The number of runs that one phase may add to the tasks that were ready when it had woken its
/// own.
const PHASE_RUNS: usize = 256;
/// The number of runs between two looks at the clock: a look costs about as much as a short run.
const RUNS_PER_CLOCK: usize = 8;

/// See [`Options::loopback_grace`].
const LOOPBACK_GRACE: Duration = Duration::from_millis(10);
/// Enough on a Unix socket, whose bytes arrive within the call. Over TCP, one run in a thousand
/// takes longer.
#[cfg(feature = "chaos")]
const CHAOS_GRACE: Duration = Duration::from_micros(20);

/// The options of a new loop.
#[derive(Clone, Debug)]
#[doc(alias("uv_loop_configure", "uv_loop_init"))]
pub struct Options {
    /// The source of its time.
    pub clock: Clock,
    /// The threads for jobs that block.
    pub pool: PoolOptions,
    /// The real time, on virtual time, that each jump to a timer gives the kernel to deliver bytes
    /// which are on their way over loopback: 10 ms. Mostly it delivers them within the `send(2)`.
    pub loopback_grace: Duration,
    /// What goes wrong on this loop: see `Options::chaos`. Without the feature `chaos` it is always
    /// `None`, and there all the same, so that the feature breaks no code that names all fields.
    #[cfg_attr(not(feature = "chaos"), doc(hidden))]
    pub chaos: Option<Plan>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            clock: Clock::default(),
            pool: PoolOptions::default(),
            loopback_grace: LOOPBACK_GRACE,
            chaos: None,
        }
    }
}

impl Options {
    /// Options of a loop whose time is virtual: see [`Clock::new_virtual`]. The loop waits for jobs
    /// of [`Handle::offload`] in real time, so no job may itself wait for a timer of this loop.
    #[doc(alias("start_paused", "pause", "advance", "useFakeTimers"))]
    #[doc(alias("MockTimers", "time_machine"))]
    pub fn virtual_time() -> Self {
        Options {
            clock: Clock::new_virtual(),
            ..Options::default()
        }
    }

    /// Options of a loop on virtual time whose schedule is [`Plan::new(seed)`](Plan::new): tasks,
    /// sockets and timers do what they may do at any time, in another way for each seed, and in the
    /// same way for the same seed.
    ///
    /// ```
    /// use oneloop::{EventLoop, Options};
    /// let mut event_loop = EventLoop::with(Options::chaos(7))?;
    /// event_loop.block_on(oneloop::core::yield_now());
    /// println!("{}", event_loop.handle().chaos_digest().unwrap());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// See [`chaos::check`](crate::chaos::check), which runs a program under many seeds.
    #[cfg(feature = "chaos")]
    pub fn chaos(seed: u64) -> Self {
        Options {
            loopback_grace: CHAOS_GRACE,
            chaos: Some(Plan::new(seed)),
            ..Options::virtual_time()
        }
    }
}

/// The default options with these threads.
impl From<PoolOptions> for Options {
    fn from(pool: PoolOptions) -> Self {
        Options {
            pool,
            ..Options::default()
        }
    }
}

/// An event loop on epoll, and everything that runs on it.
///
/// ```
/// use std::time::Duration;
/// let mut event_loop = oneloop::EventLoop::new()?;
/// let handle = event_loop.handle();
/// handle.spawn({
///     let handle = handle.clone();
///     async move { handle.sleep(Duration::from_millis(1)).await }
/// });
/// event_loop.run()?; // returns when nothing is left to wait for
/// assert_eq!(handle.task_count(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// **After a fork** the child has a copy of the loop that it cannot use: both processes share one
/// epoll instance, and all tasks are in both. Running it there fails with
/// [`forked`](crate::forked); dropping it there leaves the parent's loop unchanged. The child makes
/// its own loop and duplicates inherited sockets onto that. `fork(2)` itself is only for code that
/// follows its rules; to start another program there is no need for it.
#[doc(alias("Runtime", "LocalSet", "uv_loop_t", "hub", "get_event_loop"))]
#[doc(alias("new_event_loop", "ioloop"))]
pub struct EventLoop {
    state: Rc<LoopState>,
    /// Lent to an outer loop, which waits for it.
    epoll: Rc<Epoll>,
    collector: Collector,
    /// The waker of `block_on`'s future. After its end, the last one.
    main_waker: Option<Arc<TaskWaker>>,
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("tasks", &self.handle().task_count())
            .finish_non_exhaustive()
    }
}

/// The loop's own fd is readable when [`EventLoop::run_nowait`] has something to do. So the loop
/// can live inside another loop, which waits for the fd, but no longer than
/// [`EventLoop::backend_timeout`]. libuv's `uv_backend_fd`.
impl AsFd for EventLoop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

impl EventLoop {
    /// A loop on the kernel's clock.
    ///
    /// # Errors
    /// Those of `epoll_create1(2)` and `eventfd(2)`: mostly `EMFILE`. With the feature `chaos`,
    /// `InvalidInput` if the environment variable `ONELOOP_CHAOS` is no seed.
    pub fn new() -> io::Result<Self> {
        Self::with(Options::default())
    }

    /// A loop with options.
    ///
    /// # Errors
    /// As [`EventLoop::new`].
    pub fn with(options: Options) -> io::Result<Self> {
        let chaos = Chaos::new(options.chaos)?;
        let inbox = LoopInbox::new()?;
        let mut reactor = Reactor::new()?;
        let fd = inbox.as_fd().as_raw_fd();
        let registration = Registration::new(fd, Interest::READ, Ownership::Sole);
        let epoll = reactor.share_epoll();
        let bell = reactor.add(&*inbox, Interest::READ, Trigger::Edge, registration)?;
        let spare = SpareWaker::new(Arc::clone(&inbox));
        let waker_vtable = spare.waker.vtable();
        let state = Rc::new(LoopState {
            clock: options.clock,
            loopback_grace: options.loopback_grace,
            reactor: RefCell::new(reactor),
            timers: RefCell::new(Timers::new()),
            phases: RefCell::new(Phases::default()),
            tasks: RefCell::new(Tasks::default()),
            ready: RunQueue::new(Arc::clone(&inbox)),
            spares: RefCell::new(VecDeque::from([spare])),
            inbox,
            budget: Default::default(),
            counters: Counters::default(),
            observers: RefCell::default(),
            next_observer: Cell::new(FIRST_ADDED),
            task_observer: RefCell::new(None),
            unhandled: RefCell::new(None),
            unfinished: RefCell::new(None),
            heartbeat: RefCell::new(None),
            is_watched: Cell::new(false),
            waits: Cell::new(0),
            workers: Workers::make(&options.pool, chaos.hold())?,
            chaos,
            jobs_outside: Cell::new(0),
            stopping: Cell::new(false),
            running: Cell::new(Running::NONE),
            waker_vtable,
            lapped_ns: Cell::new(0),
            phase: Cell::new(Phase::Timers),
            closed: Cell::new(false),
            parked: RefCell::default(),
        });
        Ok(EventLoop {
            collector: Collector::new(Rc::clone(&state), bell),
            state,
            epoll,
            main_waker: None,
        })
    }

    /// The loop, for code that will run in it.
    pub fn handle(&self) -> Handle {
        Handle {
            state: Rc::clone(&self.state),
        }
    }

    /// Calls a function inside of the loop without running the loop: a task that it spawns runs
    /// later.
    pub fn enter<T>(&self, function: impl FnOnce() -> T) -> T {
        let _entered = Entered::new(&self.state);
        function()
    }

    /// Runs until nothing referenced could happen any more, or until [`Handle::stop`]. Tasks that
    /// still wait then stay, for the next run; [`Handle::on_unfinished`] finds those that the loop
    /// drops.
    ///
    /// # Errors
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy), inside of a running loop, which this one
    /// would block; [`forked`](crate::forked), in a process that was forked from the loop's owner;
    /// else those of `epoll_wait(2)` and `epoll_pwait2(2)`, of which a correct program sees none.
    #[doc(alias("uv_run", "run_forever"))]
    #[track_caller]
    pub fn run(&mut self) -> io::Result<()> {
        check_nesting("EventLoop::run")?;
        // Before the first phase: a forked child must run no task, as the parent runs the same
        // ones.
        self.state.reactor.borrow().check_process()?;
        let mut run = Run::new(self, Sleeps::WhileAlive);
        if run.state.is_alive() {
            run.timers(); // once before the first poll
        }
        while run.state.is_alive() && !run.state.stopping.get() {
            run.turn()?;
        }
        run.state.stopping.set(false);
        Ok(())
    }

    /// Takes one turn and waits if there is nothing to do. True if there is more to do.
    ///
    /// # Errors
    /// As [`EventLoop::run`].
    #[doc(alias = "UV_RUN_ONCE")]
    #[track_caller]
    pub fn run_once(&mut self) -> io::Result<bool> {
        check_nesting("EventLoop::run_once")?;
        // With tasks that are ready, the turn makes progress and does not wait for more.
        // libuv's UV_RUN_ONCE promises progress, and a ready task is that.
        let sleeps = if self.state.ready.is_empty() {
            Sleeps::WhileAlive
        } else {
            Sleeps::Never
        };
        self.run_turn(sleeps)
    }

    /// Takes one turn without waiting. True if there is more to do. Code of another loop may call
    /// it: see [`EventLoop::backend_timeout`].
    ///
    /// # Errors
    /// As [`EventLoop::run`], except for `ResourceBusy`.
    #[doc(alias = "UV_RUN_NOWAIT")]
    pub fn run_nowait(&mut self) -> io::Result<bool> {
        self.run_turn(Sleeps::Never)
    }

    fn run_turn(&mut self, sleeps: Sleeps) -> io::Result<bool> {
        let mut run = Run::new(self, sleeps);
        run.turn()?;
        run.state.stopping.set(false);
        Ok(run.state.is_alive())
    }

    /// The maximum time for which an outer loop may wait for this loop's fd before it calls
    /// [`EventLoop::run_nowait`]: until the next timer; zero while there is something to do;
    /// unlimited (`None`) while only an fd or another thread can wake the loop. libuv's
    /// `uv_backend_timeout`.
    ///
    /// It is zero, too, for a loop with nothing left to wait for, as `run_nowait` has reported by
    /// then.
    #[doc(alias = "uv_backend_timeout")]
    pub fn backend_timeout(&self) -> Option<Duration> {
        let is_over = self.state.stopping.get() || !self.state.is_alive();
        if self.state.has_held_job() {
            return Some(Duration::ZERO); // only a turn runs it, and no fd tells of it
        }
        let timeout = self.state.timeout(is_over)?;
        // The timeout counts from the last look at the clock.
        let now_ns = self.state.clock.now_ns();
        let since_ns = now_ns.saturating_sub(self.state.lapped_ns.get());
        Some(timeout.saturating_sub(Duration::from_nanos(since_ns)))
    }

    /// True while something referenced could still happen: [`EventLoop::run`] waits for that.
    #[doc(alias = "uv_loop_alive")]
    pub fn is_alive(&self) -> bool {
        self.state.is_alive()
    }

    /// Runs until this future is ready, and everything else meanwhile. Tasks that have not ended by
    /// then stay, for the next run.
    ///
    /// It waits for as long as the future takes: only another thread may know what will wake it.
    /// [`Handle::stop`] does not end it. Where nothing on the loop can wake a task any more,
    /// [`Handle::on_unfinished`] reports it.
    ///
    /// # Panics
    /// If the future panics; inside of a running loop, which this one would block; and in a process
    /// that was forked from the loop's owner.
    #[doc(alias("run_until_complete", "run_until"))]
    #[track_caller]
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        let at = Location::caller();
        if let Err(refused) = self.check_block_on() {
            panic!("{refused}");
        }
        let mut output = None;
        {
            let mut main = pin!(async { output = Some(future.await) });
            let mut run = Run::new(self, Sleeps::UntilMainEnds(at));
            run.begin_main(main.as_mut());
            run.phase(Phase::Timers); // before any turn, the tasks run that are ready
            while run.main.is_some() {
                if let Err(error) = run.turn() {
                    panic!("{error}"); // our epoll fd and its buffer are valid, so we were forked
                }
            }
        }
        self.state.stopping.set(false);
        output.expect("the future has completed")
    }

    #[track_caller]
    fn check_block_on(&self) -> io::Result<()> {
        check_nesting("block_on")?;
        self.state.reactor.borrow().check_process()
    }
}

/// The longest sleep of a turn's poll.
#[derive(Clone, Copy)]
enum Sleeps {
    /// Until something happens, while something referenced could.
    WhileAlive,
    /// Until something happens, from anywhere, while `block_on`'s future has not completed.
    UntilMainEnds(&'static Location<'static>),
    Never,
}

/// One call that runs the loop: `run`, `run_once`, `run_nowait` or `block_on`.
struct Run<'l, 'f> {
    event_loop: &'l mut EventLoop,
    /// The future of `block_on`, until it has completed.
    main: Option<Pin<&'l mut (dyn Future<Output = ()> + 'f)>>,
    sleeps: Sleeps,
    /// The loop's: one step nearer on the hot path.
    state: Rc<LoopState>,
    /// It has been reported that `block_on` waits for what this loop cannot do.
    is_hang_reported: bool,
    _entered: Entered,
    _running: RunningLoop,
}

impl<'l, 'f> Run<'l, 'f> {
    fn new(event_loop: &'l mut EventLoop, sleeps: Sleeps) -> Self {
        let state = Rc::clone(&event_loop.state);
        let _entered = Entered::new(&state);
        let _running = RunningLoop::new(state.reactor.borrow().process());
        event_loop.collector.begin_run();
        Run {
            event_loop,
            main: None,
            sleeps,
            state,
            is_hang_reported: false,
            _entered,
            _running,
        }
    }

    fn begin_main(&mut self, main: Pin<&'l mut (dyn Future<Output = ()> + 'f)>) {
        let state = &self.state;
        // A new waker, as an earlier future's may still be on its way through the inbox.
        let waker = TaskWaker::new(Task::MAIN, Arc::clone(&state.inbox));
        // Each future is polled once without a wake.
        state.ready.push(&waker);
        self.event_loop.main_waker = Some(waker);
        self.main = Some(main);
    }

    /// One turn, in libuv's order (1.45 and later: timers after the poll). Each phase wakes its
    /// waiters and then runs the tasks that are ready; no phase runs user code otherwise.
    fn turn(&mut self) -> io::Result<()> {
        self.state.reactor.borrow().check_process()?;
        add(&self.state.counters.turns, 1);
        // Pending comes first: a task that has spent its share of I/O continues before the poll
        // finds more.
        self.phase(Phase::Pending);
        self.phase(Phase::Idle);
        self.phase(Phase::Prepare);
        self.poll()?;
        self.phase(Phase::Check);
        self.phase(Phase::Closing);
        // Behind the poll, so that a timer that became due while the loop slept fires in this turn.
        self.timers();
        Ok(())
    }

    #[inline(always)] // five times a turn; a call of it costs 33 instructions
    fn phase(&mut self, phase: Phase) {
        // Asked before anything else is done: most phases of most turns are idle.
        if !self.event_loop.collector.is_idle(phase) {
            self.event_loop.collector.begin_phase(phase);
            self.run_phase(phase);
        }
    }

    fn timers(&mut self) {
        let collector = &mut self.event_loop.collector;
        collector.begin_phase(Phase::Timers);
        collector.collect_timers();
        if !collector.is_idle(Phase::Timers) {
            self.run_phase(Phase::Timers);
        }
    }

    fn poll(&mut self) -> io::Result<()> {
        self.event_loop.collector.begin_phase(Phase::Poll);
        let state = &self.state;
        let is_over = match self.sleeps {
            Sleeps::Never => true,
            Sleeps::UntilMainEnds(at) => {
                // The first question of `is_alive` first: in a server, the answer is there.
                if state.waits.get() == 0 && !self.is_hang_reported {
                    self.report_hang(at);
                }
                self.main.is_none()
            }
            Sleeps::WhileAlive => state.stopping.get() || !state.is_alive(),
        };
        let state = &self.state;
        let timeout = state.timeout(is_over);
        self.event_loop.collector.wait(timeout)?;
        self.event_loop.collector.collect_waiters(Phase::Poll); // before the tasks that the poll found
        if self.event_loop.collector.collect_events() {
            self.event_loop.collector.empty_inbox();
        }
        self.run_phase(Phase::Poll);
        Ok(())
    }

    /// Reports, once, that `block_on` waits while nothing referenced can happen on this loop.
    #[cold]
    fn report_hang(&mut self, at: &'static Location<'static>) {
        let state = &self.state;
        if self.main.is_none() || state.is_alive() || state.jobs_outside.get() > 0 {
            return;
        }
        // What is not referenced keeps no loop alive, and wakes a task all the same: a signal.
        let has_timer = !state.timers.borrow().is_empty();
        let reactor = state.reactor.borrow();
        let has_waiter = reactor.iter().any(|(_, source)| source.has_waiter());
        drop(reactor);
        if has_timer || has_waiter {
            return;
        }
        self.is_hang_reported = true;
        let waker = self.event_loop.main_waker.as_ref();
        let is_lost = waker.is_some_and(|waker| Arc::strong_count(waker) == 1);
        state.report_unfinished(match is_lost && state.tasks.borrow().len() == 0 {
            true => UnfinishedCause::Lost(at),
            false => UnfinishedCause::Stuck(at),
        });
    }

    /// Wakes the tasks that the phase found, then its waiters; then runs the tasks that are ready.
    fn run_phase(&mut self, phase: Phase) {
        self.event_loop.collector.wake(phase);
        self.event_loop.collector.note_wakes();
        if !self.state.ready.is_empty() {
            self.run_ready();
            let took_ns = self.event_loop.collector.lap();
            self.state.counters.spend(phase, took_ns);
        }
        self.event_loop.collector.end_phase();
    }

    /// Runs ready tasks, first in first out, with nothing borrowed: the only place where user code
    /// runs. All tasks that the phase itself woke run; then it stops at its budget, so that tasks
    /// that wake each other without end cannot keep the loop from its other phases (rule 15).
    fn run_ready(&mut self) {
        // Counted before the first run, so that the tasks that this phase has woken all run in it,
        // in their order, however long they take.
        let runs_min = self.state.ready.len();
        for run in 1..=runs_min + self.state.chaos.runs_max(PHASE_RUNS) {
            let Some(task) = self.state.ready.pop() else {
                return;
            };
            self.run_task(task);
            if run >= runs_min && run % RUNS_PER_CLOCK == 0 && self.event_loop.collector.is_late() {
                break;
            }
        }
        if !self.state.ready.is_empty() {
            add(&self.state.counters.run_budget_spent, 1);
        }
    }

    fn run_task(&mut self, key: Key<Task>) {
        let state = &self.state;
        add(&state.counters.tasks_run, 1);
        state.chaos.note_run(key.to_u64());
        let is_observed = self.event_loop.collector.report.is_some();
        if key == Task::MAIN || is_observed || state.is_watched.get() {
            self.run_special(key);
        } else {
            state.run(key);
        }
        // After the run, not before: code outside of tasks, such as a callback of an outer loop,
        // finds a full share as well.
        let bytes = self.state.chaos.share_bytes(RUN_BYTES);
        self.state.budget.refill(bytes);
    }

    /// Runs the future of `block_on`, or a task whose runs are observed or watched.
    #[inline(never)] // the frame of an ordinary run stays small
    fn run_special(&mut self, key: Key<Task>) {
        let state = &self.state;
        let is_observed = self.event_loop.collector.report.is_some();
        let observed = is_observed.then(|| {
            let queued = state.ready.mark();
            (state.clock.now(), state.spawned_at(key), queued)
        });
        let heartbeat = state.heartbeat_if_watched();
        let beat = heartbeat.map(|heartbeat| heartbeat.begin(key, state.spawned_at(key)));
        if key == Task::MAIN {
            self.run_main();
        } else {
            state.run(key);
        }
        drop(beat);
        if let (Some(report), Some((began, spawned_at, queued))) =
            (&mut self.event_loop.collector.report, observed)
        {
            let by = Some(report.ran.len());
            let woken = self.state.ready.since(queued).into_iter();
            report.wakes.extend(woken.map(|task| Wake::new(task, by)));
            report.ran.push(Ran {
                task: Some(key).filter(|key| *key != Task::MAIN),
                spawned_at,
                began,
                took: self.state.clock.now() - began,
            });
        }
    }

    /// Polls `block_on`'s future. A wake may remain from an earlier `block_on`, or come after the
    /// end.
    fn run_main(&mut self) {
        let Some(queue) = &self.event_loop.main_waker else {
            return;
        };
        queue.begin_run();
        // Once per run of the main future only; the wakers of tasks are stored with their bodies.
        let waker = Waker::from(Arc::clone(queue));
        let mut cx = Context::from_waker(&waker);
        let Some(main) = &mut self.main else { return };
        match catch_unwind(AssertUnwindSafe(|| main.as_mut().poll(&mut cx))) {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => self.main = None,
            Err(payload) => {
                // The panic's own message has been printed, without the advice.
                if let Some(advice) = advice(&*payload) {
                    report(advice);
                }
                resume_unwind(advised(payload));
            }
        }
    }
}

impl LoopState {
    fn spawned_at(&self, key: Key<Task>) -> Option<&'static Location<'static>> {
        self.tasks.borrow().spawned_at(key)
    }
}

impl Drop for EventLoop {
    /// Drops all tasks, with nothing borrowed: their drops may use the loop (rule 8).
    fn drop(&mut self) {
        // So that `Handle::current()` works in the drops of tasks.
        let _entered = Entered::new(&self.state);
        let state = &self.state;
        state.report_dropped();
        state.closed.set(true);
        for job in state.inbox.close().jobs {
            drop_body(job, Location::caller());
        }
        // No task can be spawned any more, so one round takes them all. One by one, as the end of
        // one may require the end of others first (`scope` of the green style).
        let keys = state.tasks.borrow().names();
        let handle = self.handle();
        keys.into_iter().for_each(|key| handle.end_task(key));
        state.drop_parked(); // those whose names are on other threads
        // The keys of the tasks that have just been dropped.
        while state.ready.pop().is_some() {}
        // Taken out first: the drop of a waker is foreign code and may arm timers (rule 2).
        let timers = state.timers.take();
        drop_each(timers.into_values());
        let mut woken = mem::take(&mut self.collector.woken);
        for phase in Phase::ALL {
            state.phases.borrow_mut().take(phase, &mut woken);
        }
        drop_each(woken);
        drop_each(state.observers.take());
        drop_guarded(state.unhandled.take());
        drop_guarded(state.unfinished.take());
    }
}
