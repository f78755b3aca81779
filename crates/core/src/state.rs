//! Storey 3, the loop's state: everything that a loop owns, and the handle by which code inside it
//! reaches that. The verbs of the handle are in `operations/`.

use crate::mechanisms::budget::Budget;
use crate::mechanisms::bug::Bug;
use crate::mechanisms::chaos::Chaos;
use crate::mechanisms::clock::Clock;
use crate::mechanisms::concurrency::thread_local;
use crate::mechanisms::entry::{self, Entry};
use crate::mechanisms::guard::wake_guarded;
use crate::mechanisms::phase::{Phase, Phases};
use crate::mechanisms::reactor::Reactor;
use crate::mechanisms::slots::{Key, Slots};
use crate::mechanisms::timers::Timers;
use crate::mechanisms::workers::Workers;
use crate::tasks::heartbeat::Heartbeat;
use crate::tasks::info::Unfinished;
use crate::tasks::join_error::Unhandled;
use crate::tasks::key::Task;
use crate::tasks::observed::TaskObserver;
use crate::tasks::record::Tasks;
use crate::tasks::registration::Registration;
use crate::tasks::stats::{Counters, PhaseReport, add};
use crate::tasks::waiter::Waiter;
use crate::tasks::waker::{CurrentQueue, LoopInbox, RunQueue, SpareWaker};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, RawWakerVTable, Wake, Waker};
use std::time::Duration;

/// Everything that a loop owns. Each `RefCell` is borrowed for one line at a time, and user code
/// runs only while none is borrowed (rules 1 and 2).
pub(crate) struct LoopState {
    pub(crate) clock: Clock,
    /// See [`Options::loopback_grace`](crate::Options::loopback_grace).
    pub(crate) loopback_grace: Duration,
    pub(crate) chaos: Chaos,
    pub(crate) reactor: RefCell<Reactor<Rc<Registration>>>,
    pub(crate) timers: RefCell<Timers<Waker>>,
    pub(crate) phases: RefCell<Phases>,
    pub(crate) tasks: RefCell<Tasks>,
    pub(crate) ready: Rc<RunQueue>,
    /// Wakers of tasks that have ended, for tasks to come.
    pub(crate) spares: RefCell<VecDeque<SpareWaker>>,
    pub(crate) inbox: Arc<LoopInbox>,
    pub(crate) budget: Budget,
    pub(crate) counters: Counters,
    /// Those of [`Handle::observe`] and [`Handle::observe_also`], each with its number.
    pub(crate) observers: RefCell<Vec<(u64, Observer)>>,
    /// The number of the next observer.
    pub(crate) next_observer: Cell<u64>,
    pub(crate) task_observer: RefCell<Option<Rc<dyn TaskObserver>>>,
    pub(crate) unhandled: RefCell<Option<UnhandledHook>>,
    pub(crate) unfinished: RefCell<Option<UnfinishedHook>>,
    /// Present while another thread may watch the loop; `is_watched` then.
    pub(crate) heartbeat: RefCell<Option<Arc<Heartbeat>>>,
    pub(crate) is_watched: Cell<bool>,
    /// The number of waits on sources and of guards that keep the loop alive. Timers, phases and
    /// remotes count their own.
    pub(crate) waits: Cell<usize>,
    pub(crate) workers: Workers,
    /// The number of jobs on other threads: virtual time waits for them.
    pub(crate) jobs_outside: Cell<usize>,
    pub(crate) stopping: Cell<bool>,
    pub(crate) running: Cell<Running>,
    /// By it and its address, the waker of the running task is known: see
    /// [`LoopState::running_task_of`].
    pub(crate) waker_vtable: &'static RawWakerVTable,
    /// The time of the last look at the clock: at the start of a phase, and at its end.
    pub(crate) lapped_ns: Cell<u64>,
    /// The phase that wakes or runs tasks now; between two runs of the loop, the last one.
    pub(crate) phase: Cell<Phase>,
    /// The loop is being dropped: it takes no more tasks.
    pub(crate) closed: Cell<bool>,
    /// Values with names that are `Send`.
    pub(crate) parked: RefCell<Slots<ParkedValue>>,
}

/// The task of this loop that runs now.
#[derive(Clone, Copy)]
pub(crate) struct Running {
    pub(crate) task: Key<Task>,
    /// The address of its waker.
    pub(crate) waker: usize,
}

impl Running {
    /// Between two runs, and while the future of `block_on` runs.
    pub(crate) const NONE: Running = Running {
        task: Task::NONE,
        waker: 0,
    };
}

/// A value of any type: see [`Handle::park`].
pub(crate) type ParkedValue = Rc<dyn Any>;

/// Is notified of panics in tasks that are not joined: see [`Handle::on_unhandled`].
pub(crate) type UnhandledHook = Rc<dyn Fn(&Unhandled)>;

/// Gets the tasks that are left at an end: see [`Handle::on_unfinished`].
pub(crate) type UnfinishedHook = Rc<dyn Fn(&Unfinished)>;

/// Gets the report of each phase: see [`Handle::observe`].
pub(crate) type Observer = Rc<RefCell<dyn FnMut(&PhaseReport)>>;

impl LoopState {
    /// Counts the begin or the end of a wait that keeps the loop alive.
    pub(crate) fn count_wait(&self, begins: bool) {
        let waits = self.waits.get();
        self.waits.set(if begins { waits + 1 } else { waits - 1 });
    }

    /// Ends `count` waits.
    pub(crate) fn end_waits(&self, count: usize) {
        self.waits.set(self.waits.get() - count);
    }

    /// True while something referenced could still happen.
    pub(crate) fn is_alive(&self) -> bool {
        // The cheapest questions first; this runs in each turn.
        !self.ready.is_empty()
            || self.waits.get() > 0
            || self.timers.borrow().referenced() > 0
            || self.phases.borrow().is_referenced()
            || self.inbox.is_alive()
    }

    /// The running task, if that waker is its own: then its name is as good as the waker, and
    /// costs no reference.
    #[inline]
    pub(crate) fn running_task_of(&self, waker: &Waker) -> Option<Key<Task>> {
        let running = self.running.get();
        // Both halves, as in `Waker::will_wake`: a combinator may make a waker of its own from the
        // address of another one.
        let is_its_own =
            waker.data().addr() == running.waker && std::ptr::eq(waker.vtable(), self.waker_vtable);
        is_its_own.then_some(running.task)
    }

    /// Wakes a waiter. A panic in a foreign waker is reported and does not reach the caller.
    pub(crate) fn wake(&self, waiter: Waiter) {
        match waiter {
            Waiter::Task(task) => {
                if let Some(record) = self.tasks.borrow().get(task) {
                    record.queue.wake_by_ref(); // no foreign code, so the borrow may last
                }
            }
            Waiter::Foreign(waker) => wake_guarded(waker),
        }
    }

    /// Ends the run of a task that has had its share of I/O.
    #[inline]
    pub(crate) fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.budget.is_spent(&self.clock) {
            self.put_off(cx)
        } else {
            Poll::Ready(())
        }
    }

    /// Wakes the task in the next turn, so that between two shares of one task the poll looks for
    /// all others, and they get theirs.
    #[cold]
    fn put_off(&self, cx: &mut Context<'_>) -> Poll<()> {
        add(&self.counters.io_budget_spent, 1);
        // Rule 4: the task stopped before EAGAIN, so no edge will wake it.
        if self.chaos.has_bug(Bug::LosesShare) {
            return Poll::Pending;
        }
        let waker = cx.waker().clone();
        self.phases.borrow_mut().put_off(waker);
        Poll::Pending
    }
}

thread_local! {
    /// The loop that runs on this thread; the innermost one, if loops are nested. Without a
    /// destructor, because a loop may also run in the destructor of another thread-local. Nothing
    /// leaks: `Entered` takes the loop out when its call ends.
    static CURRENT: ManuallyDrop<RefCell<Option<Rc<LoopState>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// Makes a loop the current one on this thread, until it is dropped.
pub(crate) struct Entered {
    before: Option<Rc<LoopState>>,
    _queue: CurrentQueue,
    _entry: Entry,
}

impl Entered {
    pub(crate) fn new(state: &Rc<LoopState>) -> Self {
        Entered {
            // Loops nest: the outer one is current again when this one returns.
            before: replace_current(Some(Rc::clone(state))),
            _queue: CurrentQueue::new(&state.ready),
            _entry: Entry::new(),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = replace_current(self.before.take());
        drop(left); // the thread-local is not borrowed any more
    }
}

/// Calls a function with the loop that has this inbox, if that loop runs this code.
#[inline]
pub(crate) fn on_loop<R>(
    inbox: &Arc<LoopInbox>,
    function: impl FnOnce(&LoopState) -> R,
) -> Option<R> {
    CURRENT.with(|current| {
        let current = current.borrow();
        let state = current.as_ref()?;
        Arc::ptr_eq(&state.inbox, inbox).then(|| function(state))
    })
}

fn replace_current(with: Option<Rc<LoopState>>) -> Option<Rc<LoopState>> {
    CURRENT.with(|current| current.replace(with))
}

/// A loop, for code that runs in it.
///
/// Clones name the same loop. A handle is not `Send`: other threads use a
/// [`Remote`](crate::Remote). It does not keep the loop alive; once the
/// [`EventLoop`](crate::EventLoop) is dropped, a task that is spawned is canceled at once.
#[derive(Clone)]
pub struct Handle {
    pub(crate) state: Rc<LoopState>,
}

impl PartialEq for Handle {
    /// True if both name the same loop.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.state, &other.state)
    }
}
impl Eq for Handle {}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("stats", &self.state.counters.snapshot())
            .finish_non_exhaustive()
    }
}

/// The message of a call that needs a loop, for a reader who may know one style only.
const NO_LOOP: &str = "no event loop runs on this thread: call this inside of \
     oneloop::aio::block_on(async { … }), oneloop::green::run(|| …) or \
     oneloop::callback::run(|| …), or in a task of an EventLoop";

impl Handle {
    /// The loop that runs this code.
    ///
    /// # Panics
    /// Outside of a loop: see [`Handle::try_current`].
    #[track_caller]
    #[doc(alias("get_hub", "get_running_loop", "uv_default_loop"))]
    pub fn current() -> Handle {
        Handle::try_current().expect(NO_LOOP)
    }

    /// The loop that runs this code, if one does.
    pub fn try_current() -> Option<Handle> {
        let current = CURRENT.with(|current| current.borrow().clone());
        current.map(|state| Handle { state })
    }

    /// Calls a function as code of this loop, without running the loop: see
    /// [`EventLoop::enter`](crate::EventLoop::enter).
    pub fn enter<T>(&self, function: impl FnOnce() -> T) -> T {
        let _entered = Entered::new(&self.state);
        function()
    }

    /// The number of the innermost call into a loop that runs this code: a call to run it, enter
    /// it, drop it, or cancel one of its tasks. No other call on this thread has the same number.
    /// Outside of loops it is 0.
    pub fn entry() -> u64 {
        entry::current()
    }

    /// Makes [`EventLoop::run`](crate::EventLoop::run) return at the end of this turn.
    #[doc(alias = "uv_stop")]
    pub fn stop(&self) {
        self.state.stopping.set(true);
    }
}
