//! The runtime of a program: all its queues, and which program's code runs on this thread.

use super::immediate_queue::ImmediateQueue;
use super::microtask_queue::MicrotaskQueue;
use super::parts::{OfProgram, Parts};
use super::poll_queues::PollQueues;
use super::process::Process;
use super::tick::Tick;
use super::timer_lists::Timers;
use oneloop_core::{Handle, JoinHandle};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// One program in the callback style, on one loop.
pub(crate) struct Runtime {
    pub(crate) handle: Handle,
    /// The loop's idle time before this program began.
    #[cfg_attr(
        not(feature = "monitor"),
        expect(dead_code, reason = "for `perf_hooks`")
    )]
    pub(crate) idle_before: Duration,
    pub(super) ticks: RefCell<VecDeque<Tick>>,
    pub(crate) microtasks: MicrotaskQueue,
    pub(crate) timers: Timers,
    pub(crate) immediates: ImmediateQueue,
    pub(crate) queues: PollQueues,
    pub(crate) process: Process,
    parts: Parts,
    /// The tasks that serve the queues.
    pub(crate) drivers: RefCell<Vec<JoinHandle<()>>>,
    /// The number of scopes that are open, one within another.
    pub(super) depth: Cell<usize>,
    /// The program has ended: its sockets close.
    over: Cell<bool>,
}

/// How many times the end drops everything, as dropping a value may begin something more.
const FINISH_ROUNDS: usize = 100;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
}

/// The runtime of the program that runs this code.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub(crate) fn current() -> Rc<Runtime> {
    let Some(runtime) = try_current() else {
        no_runtime()
    };
    runtime
}

#[cold]
#[track_caller]
fn no_runtime() -> ! {
    match Handle::try_current() {
        None => panic!("callbacks need a loop that runs them: use oneloop::callback::run"),
        // `run` refuses to run inside of a loop.
        Some(_) => panic!(
            "callbacks need their queues on the loop that runs this code: keep the guard of \
             oneloop::callback::enter(&oneloop::Handle::current()) meanwhile"
        ),
    }
}

/// None outside of [`run`](crate::run), and while this thread destroys its thread-locals.
pub(crate) fn try_current() -> Option<Rc<Runtime>> {
    // Wakers and drops may run while the thread ends, when there is no thread-local any more.
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
}

/// Makes a runtime this thread's current one, and returns the one before.
pub(crate) fn enter(runtime: Option<Rc<Runtime>>) -> Option<Rc<Runtime>> {
    CURRENT.replace(runtime)
}

impl Runtime {
    pub(crate) fn new(handle: &Handle) -> Rc<Self> {
        Rc::new(Runtime {
            handle: handle.clone(),
            idle_before: handle.stats().idle,
            ticks: RefCell::default(),
            microtasks: MicrotaskQueue::default(),
            timers: Timers::new(handle.clone()),
            immediates: ImmediateQueue::default(),
            queues: PollQueues::default(),
            process: Process::default(),
            parts: Parts::default(),
            drivers: RefCell::default(),
            depth: Cell::new(0),
            over: Cell::new(false),
        })
    }

    /// The state that a module keeps for this program: empty at first.
    pub(crate) fn part<T: OfProgram>(&self) -> Rc<T> {
        self.parts.get()
    }

    /// True once the program has ended: its sockets close.
    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Polls a future until it is ready, or, with `None`, until the program has ended: a task that
    /// waits outside of the queues must not outlive its program.
    pub(crate) async fn until_over<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            // The end of the program wakes all tasks.
            if self.is_over() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }

    /// Drops all that the program had, as the end of Node's process does. Open sockets are closed
    /// by their tasks, when the loop runs again or is dropped.
    pub(crate) fn finish(&self) {
        self.over.set(true);
        // First the drivers: nothing that is dropped below is called any more.
        for driver in self.drivers.take() {
            driver.cancel();
        }
        self.process.forget_all();
        // A value's drop may begin something more, but not forever.
        for _ in 0..FINISH_ROUNDS {
            let ticks = self.ticks.take();
            // All of them in each round: what one drops may have queued something in another.
            let had_some = [
                !ticks.is_empty(),
                self.microtasks.forget_all(),
                self.timers.forget_all(),
                self.immediates.forget_all(),
                self.queues.abandon_all(),
                self.parts.forget_all(),
            ];
            drop(ticks);
            if had_some == [false; 6] {
                break;
            }
        }
        // Tasks of sockets and streams look for `is_over` when they are polled.
        self.handle.wake_waiting();
    }
}
