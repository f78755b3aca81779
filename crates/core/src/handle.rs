//! The loop as code inside it sees it: spawn, wait for time or a phase, watch, stop.

use crate::budget::Budget;
use crate::clock::Clock;
use crate::entry::{self, Entry};
use crate::guard::{drop_guarded, guarded, report, wake_guarded};
use crate::heartbeat::Heartbeat;
use crate::phases::{Phase, PhaseReached, Phases};
use crate::pool::Pool;
use crate::reactor::Reactor;
use crate::remote::{Remote, Shared};
use crate::run_queue::RunQueue;
use crate::sleep::Sleep;
use crate::slots::{Key, Slots};
use crate::source::State;
use crate::stats::{Counters, PhaseReport, Stats, add};
use crate::task::{Body, Described, Detached, JoinHandle, Task, TaskBody, Unhandled, body_of};
use crate::timers::Timers;
use crate::waker::{Spare, TaskWaker};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

/// Everything a loop is. Each `RefCell` is borrowed for one line at a time, and user code runs only
/// while none is (rules 1 and 2).
pub(crate) struct Inner {
    pub(crate) clock: Clock,
    pub(crate) reactor: RefCell<Reactor<Rc<State>>>,
    pub(crate) timers: RefCell<Timers<Waker>>,
    pub(crate) phases: RefCell<Phases>,
    pub(crate) tasks: RefCell<Slots<Task>>,
    pub(crate) ready: RunQueue,
    /// Wakers of tasks that have ended, for those to come.
    pub(crate) spares: RefCell<Vec<Spare>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) budget: Budget,
    pub(crate) counters: Counters,
    pub(crate) observer: RefCell<Option<Observer>>,
    pub(crate) unhandled: RefCell<Option<UnhandledHook>>,
    /// There once somebody watches the loop from another thread.
    pub(crate) heartbeat: OnceCell<Arc<Heartbeat>>,
    /// Things that keep the loop alive besides timers, phases and remotes: waits on sources, guards.
    pub(crate) waits: Cell<usize>,
    pub(crate) pool: Pool,
    /// Jobs that other threads have: virtual time waits for them.
    pub(crate) outside: Cell<usize>,
    pub(crate) stopping: Cell<bool>,
    /// The task that runs now; [`Task::NONE`] between runs.
    pub(crate) running: Cell<Key<Task>>,
    /// The time as it was last read: at the start of a phase, and at its end.
    pub(crate) lapped_ns: Cell<u64>,
    /// The phase that wakes or runs now; between two runs of the loop, the last one.
    pub(crate) phase: Cell<Phase>,
    /// The loop is being dropped: nothing can be spawned any more.
    pub(crate) closed: Cell<bool>,
}

/// Hears of panics that nobody joins: see [`Handle::on_unhandled`].
pub(crate) type UnhandledHook = Rc<dyn Fn(&Unhandled)>;

/// Gets each phase's report: see [`Handle::observe`].
pub(crate) type Observer = Rc<RefCell<dyn FnMut(&PhaseReport)>>;

thread_local! {
    /// The loop that runs on this thread right now; the innermost, if they are nested. Without a
    /// destructor, as a loop may run also in that of another thread-local; nothing is in here by then.
    static CURRENT: ManuallyDrop<RefCell<Option<Rc<Inner>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// Makes a loop the current one until it is dropped.
pub(crate) struct Entered {
    before: Option<Rc<Inner>>,
    _entry: Entry,
}

impl Entered {
    pub(crate) fn new(inner: &Rc<Inner>) -> Self {
        Entered {
            before: replace_current(Some(Rc::clone(inner))),
            _entry: Entry::new(),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = replace_current(self.before.take());
        drop(left);
    }
}

fn replace_current(with: Option<Rc<Inner>>) -> Option<Rc<Inner>> {
    CURRENT.with(|current| current.replace(with))
}

/// Queues a task of the loop that runs on this thread; false if it is another's.
#[inline]
pub(crate) fn push_ready(waker: &TaskWaker) -> bool {
    CURRENT.with(|current| match &*current.borrow() {
        Some(inner) if waker.is_of(&inner.shared) => {
            inner.ready.push(waker);
            true
        }
        _ => false,
    })
}

impl Inner {
    /// Counts something that keeps the loop alive, or its end.
    pub(crate) fn count_wait(&self, begins: bool) {
        let waits = self.waits.get();
        self.waits.set(if begins { waits + 1 } else { waits - 1 });
    }

    /// Counts the ends of so many.
    pub(crate) fn end_waits(&self, count: usize) {
        self.waits.set(self.waits.get() - count);
    }

    /// True while something referenced could still happen.
    pub(crate) fn is_alive(&self) -> bool {
        !self.ready.is_empty()
            || self.waits.get() > 0
            || self.timers.borrow().referenced() > 0
            || self.phases.borrow().is_referenced()
            || self.shared.is_alive()
    }

    /// Ends a task's run, once it has had its share of I/O.
    #[inline]
    pub(crate) fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.budget.is_spent(&self.clock) {
            self.put_off(cx)
        } else {
            Poll::Ready(())
        }
    }

    /// Has the task go on in the next turn, so that between two shares of one task all others are
    /// asked for, and have theirs.
    #[cold]
    fn put_off(&self, cx: &mut Context<'_>) -> Poll<()> {
        add(&self.counters.io_budget_spent, 1);
        // Rule 4: stopped before EAGAIN, so no edge will come.
        let waker = cx.waker().clone();
        self.phases.borrow_mut().put_off(waker);
        Poll::Pending
    }
}

/// A loop, for code that runs in it. Clones name the same loop; it is not `Send`: other threads
/// use a [`Remote`].
///
/// A handle does not keep the loop alive. Once the [`EventLoop`](crate::EventLoop) is dropped, what
/// is spawned is cancelled at once.
#[derive(Clone)]
pub struct Handle {
    pub(crate) inner: Rc<Inner>,
}

impl PartialEq for Handle {
    /// True if both name the same loop.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.inner, &other.inner)
    }
}
impl Eq for Handle {}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// The loop that runs this code.
    ///
    /// # Panics
    /// Outside of a loop: see [`Handle::try_current`].
    #[track_caller]
    pub fn current() -> Handle {
        Handle::try_current().expect("no event loop runs on this thread: use EventLoop::block_on")
    }

    /// The loop that runs this code, if one does.
    pub fn try_current() -> Option<Handle> {
        let current = CURRENT.with(|current| current.borrow().clone());
        current.map(|inner| Handle { inner })
    }

    /// Calls a function as code of this loop, without running the loop: see
    /// [`EventLoop::enter`](crate::EventLoop::enter).
    pub fn enter<T>(&self, function: impl FnOnce() -> T) -> T {
        let _entered = Entered::new(&self.inner);
        function()
    }

    /// Starts a task. It never runs before `spawn` returns: it goes behind what is ready already.
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let inner = &self.inner;
        let spawned_at = Location::caller();
        let (body, outcome) = Body::new(future, spawned_at);
        let key = if inner.closed.get() {
            drop(body);
            Task::NONE
        } else {
            self.start(body_of(body), spawned_at)
        };
        JoinHandle::new(outcome, key, self.clone(), spawned_at)
    }

    /// Starts a task for which nobody waits: it takes less than one with a [`JoinHandle`]. A panic in it
    /// is reported (see [`Handle::on_unhandled`]).
    #[track_caller]
    pub fn spawn_detached(&self, future: impl Future<Output = ()> + 'static) {
        if !self.inner.closed.get() {
            self.start(body_of(Detached { future }), Location::caller());
        }
    }

    /// Like [`Handle::spawn_detached`], for a task that says itself what it is: its `Display` is its
    /// line in [`Handle::dump_tasks`]. `spawned_at` is where the user asked for it.
    pub fn spawn_described(
        &self,
        future: impl Future<Output = ()> + fmt::Display + 'static,
        spawned_at: &'static Location<'static>,
    ) -> Key<Task> {
        if self.inner.closed.get() {
            return Task::NONE;
        }
        self.start(body_of(Described { future }), spawned_at)
    }

    fn start(&self, body: TaskBody, spawned_at: &'static Location<'static>) -> Key<Task> {
        let inner = &self.inner;
        let (spawned_by, since_ns) = (inner.running.get(), inner.lapped_ns.get());
        let key = inner.tasks.borrow_mut().insert_with(|key| {
            let spare = inner.spares.borrow_mut().pop();
            let spare = spare.unwrap_or_else(|| Spare::new(Arc::clone(&inner.shared)));
            spare.rename(key);
            inner.ready.push(&spare.queue);
            Task::new(body, spare, spawned_at, spawned_by, since_ns)
        });
        add(&inner.counters.tasks_spawned, 1);
        key
    }

    /// Has a task run again, as its waker does. Without effect on one that has ended.
    pub fn wake_task(&self, key: Key<Task>) {
        if let Some(task) = self.inner.tasks.borrow().get(key) {
            self.inner.ready.push(&task.queue);
        }
    }

    /// Has a task run before all that are ready. Without effect on one that has ended.
    pub fn wake_task_first(&self, key: Key<Task>) {
        if let Some(task) = self.inner.tasks.borrow().get(key) {
            self.inner.ready.push_first(&task.queue);
        }
    }

    /// True while a task waits for its turn in the run queue.
    pub fn is_task_ready(&self, key: Key<Task>) -> bool {
        let tasks = self.inner.tasks.borrow();
        tasks.get(key).is_some_and(|task| task.queue.is_queued())
    }

    /// Ends a task, as [`JoinHandle::cancel`] does.
    pub fn cancel_task(&self, key: Key<Task>) {
        let _entry = Entry::new();
        self.end_task(key);
    }

    /// [`Handle::cancel_task`], as part of a call into the loop.
    pub(crate) fn end_task(&self, key: Key<Task>) {
        let mut tasks = self.inner.tasks.borrow_mut();
        let running = tasks.get(key).filter(|task| task.body.is_none());
        if let Some(task) = running {
            task.queue.cancel(); // it ends with its run
            return;
        }
        let task = tasks.remove(key);
        drop(tasks);
        if let Some(task) = task {
            task.drop_body();
        }
    }

    /// How many tasks wait for their turn in the run queue.
    pub fn ready_count(&self) -> usize {
        self.inner.ready.len()
    }

    /// The task that runs this code, if one does: not in the future of `block_on`, nor in a hook.
    pub fn current_task(&self) -> Option<Key<Task>> {
        Some(self.inner.running.get()).filter(|key| *key != Task::NONE)
    }

    /// Names the innermost call into a loop that runs this code: to run it, enter it, drop it, or cancel
    /// one of its tasks. No other call on this thread has the same number; outside of loops it is 0.
    pub fn entry() -> u64 {
        entry::current()
    }

    /// How many tasks have not ended.
    pub fn task_count(&self) -> usize {
        self.inner.tasks.borrow().len()
    }

    /// A way in for other threads. It keeps the loop alive until it is dropped.
    pub fn remote(&self) -> Remote {
        Remote::new(Arc::clone(&self.inner.shared))
    }

    /// Keeps the loop alive while the guard lives: for something that only its owner knows about.
    pub fn keep_alive(&self) -> KeepAlive {
        self.inner.count_wait(true);
        KeepAlive {
            handle: self.clone(),
        }
    }

    /// Does I/O that never waits and that no [`Source`](crate::Source) is for, such as a read of what
    /// the kernel has cached, as part of the task's share of I/O: not at all once that is spent, and
    /// the task is woken in the next turn then (rule 15). `op` says how many bytes it moved.
    ///
    /// # Errors
    /// What `op` returns.
    pub fn poll_io(
        &self,
        cx: &mut Context<'_>,
        op: impl FnOnce() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.inner.poll_budget(cx));
        let moved = op();
        let bytes = moved.as_ref().copied().unwrap_or_default();
        self.inner.budget.spend(bytes);
        Poll::Ready(moved)
    }

    /// The time on the loop's clock, read now.
    pub fn now(&self) -> Instant {
        self.inner.clock.now()
    }

    /// The loop's clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Waits at least that long, from now on. Cancel safe.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::after(self.clone(), duration)
    }

    /// Waits until that time at least. Cancel safe.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep::until(self.clone(), deadline)
    }

    /// Waits until the loop comes to that phase, which is in this turn if the phase is still ahead.
    /// Cancel safe. Waiting keeps the loop alive and its poll from sleeping; unreferenced
    /// ([`PhaseReached::set_referenced`]), it does neither. Those who wait for [`Phase::Timers`] come
    /// behind the timers that are due; those who wait for [`Phase::Poll`], before whom the poll found.
    pub fn phase(&self, phase: Phase) -> PhaseReached {
        PhaseReached::new(self.clone(), phase)
    }

    /// The phase in which this code runs.
    pub fn current_phase(&self) -> Phase {
        self.inner.phase.get()
    }

    /// Wakes every task that waits for a source, though nothing happened there: for a change that
    /// all of them should see, such as a shutdown, without a list of them.
    pub fn wake_waiting(&self) {
        let mut wakers = VecDeque::new();
        let mut ended = 0;
        for (_, state) in self.inner.reactor.borrow().iter() {
            ended += state.take_waiting(&mut wakers);
        }
        self.inner.end_waits(ended);
        for waker in wakers {
            wake_guarded(waker);
        }
    }

    /// Makes [`EventLoop::run`](crate::EventLoop::run) return at the end of this turn.
    pub fn stop(&self) {
        self.inner.stopping.set(true);
    }

    /// What the loop counted so far.
    pub fn stats(&self) -> Stats {
        self.inner.counters.snapshot()
    }

    /// Has every phase of every turn reported from here on; `None` ends it. While it is on, each
    /// run of a task costs two looks at the clock.
    pub fn observe<F: FnMut(&PhaseReport) + 'static>(&self, observer: Option<F>) {
        let observer = observer.map(|f| Rc::new(RefCell::new(f)) as Observer);
        let before = self.inner.observer.replace(observer);
        drop(before);
    }

    /// Hears of panics in tasks that nobody joins. Without it, a line on stderr tells of them.
    pub fn on_unhandled(&self, hear: impl Fn(&Unhandled) + 'static) {
        let before = self.inner.unhandled.replace(Some(Rc::new(hear)));
        drop(before);
    }

    /// Tells of a panic that nobody will hear of otherwise: for a style whose tasks have results of
    /// their own. See [`Handle::on_unhandled`]. What it panicked with may panic in its drop; nothing
    /// unwinds from here.
    pub fn report_unhandled(unhandled: Unhandled) {
        if unhandled.is_exit() {
            return;
        }
        let current = Handle::try_current();
        if let Some(handle) = &current {
            add(&handle.inner.counters.tasks_unhandled, 1);
        }
        let hear = current.and_then(|handle| handle.inner.unhandled.borrow().clone());
        let heard = hear.as_ref().and_then(|hear| guarded(|| hear(&unhandled)));
        if heard.is_none() {
            report(&unhandled);
        }
        drop_guarded(hear); // it may have been replaced while it ran
        drop_guarded(unhandled);
    }
}

/// Keeps a loop alive: see [`Handle::keep_alive`].
#[derive(Debug)]
#[must_use = "the loop is kept alive only while this lives"]
pub struct KeepAlive {
    handle: Handle,
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.handle.inner.count_wait(false);
    }
}
