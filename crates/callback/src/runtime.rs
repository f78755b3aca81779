//! What stands between a callback and the loop: scopes, ticks, and errors that nobody caught.
//!
//! A *scope* is Node's `InternalCallbackScope`: everything that the loop calls runs in one, and at
//! its end ticks and microtasks run until there are none. A scope that ended by a throw leaves them
//! to the next one, as Node does; this is what makes the order after an error what it is.

use crate::continuation::{Once, once};
use crate::immediates::Immediates;
use crate::microtasks::Microtasks;
use crate::process::{Origin, Process};
use crate::queues::Queues;
use crate::thrown::{Outcome, Thrown};
use crate::timers::Timers;
use oneloop_core::{EventLoop, Handle, JoinHandle, Options, yield_now};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// A step of a value that an `Rc` shares. It gets that `Rc` back, to downcast it.
///
/// A closure that captures nothing coerces to it. So a socket queues a step of its own without an
/// allocation, as its `Rc` is there already.
pub(crate) type Step = fn(Rc<dyn Any>) -> Result<(), Thrown>;

/// What runs before the loop continues: an entry of Node's `nextTick` queue.
enum Tick {
    Call(Once),
    Step(Rc<dyn Any>, Step),
}

impl Tick {
    fn run(self) -> Result<(), Thrown> {
        match self {
            Tick::Call(callback) => callback(),
            Tick::Step(value, step) => step(value),
        }
    }
}

/// What a module keeps for one program, such as the streams that are open.
pub(crate) trait OfProgram: Any + Default {
    /// Drops it all at the end of the program. True if there was any.
    fn forget_all(&self) -> bool;
}

/// Erases the type of an [`OfProgram`].
trait Part: Any {
    fn forget_all(&self) -> bool;
}

impl<T: OfProgram> Part for T {
    fn forget_all(&self) -> bool {
        OfProgram::forget_all(self)
    }
}

/// One program in the callback style, on one loop.
pub(crate) struct Runtime {
    pub(crate) handle: Handle,
    /// The loop's idle time before this program.
    pub(crate) idle_before: Duration,
    ticks: RefCell<VecDeque<Tick>>,
    pub(crate) microtasks: Microtasks,
    pub(crate) timers: Timers,
    pub(crate) immediates: Immediates,
    pub(crate) queues: Queues,
    pub(crate) process: Process,
    /// What the modules above keep, one entry a type.
    parts: RefCell<Vec<Rc<dyn Part>>>,
    /// How many scopes are open, one within another.
    depth: Cell<usize>,
    /// The tasks that serve the queues.
    drivers: RefCell<Vec<JoinHandle<()>>>,
    /// The program has ended, and its sockets with it.
    over: Cell<bool>,
}

/// How often what is dropped at the end may begin something more.
const FINISH_ROUNDS: usize = 100;

/// A callback threw, and somebody heard of it: the rest of what was under way is left.
#[derive(Debug)]
pub(crate) struct Left;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
}

/// The runtime that runs this code.
///
/// # Panics
/// Outside of [`run`].
#[track_caller]
pub(crate) fn current() -> Rc<Runtime> {
    try_current().expect("callbacks need a loop that runs them: use oneloop::callback::run")
}

pub(crate) fn try_current() -> Option<Rc<Runtime>> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
}

/// Runs a program: `main` first, then the loop until nothing referenced is left. Gives the exit
/// code, as [`process`](crate::process) tells.
///
/// # Errors
/// What making a loop says: mostly `EMFILE`.
pub fn run<O: Outcome>(main: impl FnOnce() -> O + 'static) -> io::Result<u8> {
    run_on(&mut EventLoop::with(Options::default())?, main)
}

/// Like [`run`], on a loop that exists: with virtual time, say, or with tasks on it already.
///
/// # Errors
/// As [`EventLoop::run`].
pub fn run_on<O: Outcome>(
    event_loop: &mut EventLoop,
    main: impl FnOnce() -> O + 'static,
) -> io::Result<u8> {
    let entered = Entered::new(&event_loop.handle());
    entered.runtime.live(event_loop, once(main))
}

/// Lets code on a loop use this style, whoever runs the loop: async tasks that want callbacks, say, or
/// a program of its own whose end is not Node's. Until the guard is dropped, functions such as
/// [`set_timeout`](crate::set_timeout) work on this thread.
///
/// Nothing waits for what callbacks begin but the loop: with [`EventLoop::run`] it is waited for, and
/// with [`EventLoop::block_on`] it goes on meanwhile.
///
/// ```
/// use oneloop_callback::{enter, net, set_timeout};
/// let mut event_loop = oneloop_core::EventLoop::new()?;
/// let entered = enter(&event_loop.handle());
/// set_timeout(|| println!("a callback in a loop of my own"), 1);
/// event_loop.run()?;
/// assert_eq!(entered.exit_code(), None);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn enter(handle: &Handle) -> Entered {
    let entered = Entered::new(handle);
    entered.runtime.start();
    entered
}

/// While it lives, code on this thread can use callbacks: see [`enter`].
#[must_use = "dropped, there are no callbacks"]
pub struct Entered {
    runtime: Rc<Runtime>,
    before: Option<Rc<Runtime>>,
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entered(exit code: {:?})", self.exit_code())
    }
}

impl Entered {
    fn new(handle: &Handle) -> Self {
        let runtime = Rc::new(Runtime {
            handle: handle.clone(),
            idle_before: handle.stats().idle,
            ticks: RefCell::default(),
            microtasks: Microtasks::default(),
            timers: Timers::new(handle.clone()),
            immediates: Immediates::default(),
            queues: Queues::default(),
            process: Process::default(),
            parts: RefCell::default(),
            depth: Cell::new(0),
            drivers: RefCell::default(),
            over: Cell::new(false),
        });
        Entered {
            before: CURRENT.replace(Some(Rc::clone(&runtime))),
            runtime,
        }
    }

    /// The exit code, once [`process::exit`](crate::process::exit) was called or an error was
    /// uncaught: no callback runs any more.
    pub fn exit_code(&self) -> Option<u8> {
        let process = &self.runtime.process;
        process.is_ending().then(|| process.code())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.runtime.finish();
        let left = CURRENT.replace(self.before.take());
        drop(left);
    }
}

impl Runtime {
    /// Starts the tasks that serve the queues.
    fn start(self: &Rc<Self>) {
        let handle = &self.handle;
        self.drivers.replace(vec![
            handle.spawn(Rc::clone(self).drive_timers()),
            handle.spawn(Rc::clone(self).drive_immediates()),
            handle.spawn(Rc::clone(self).drive_microtasks()),
            handle.spawn(Rc::clone(self).drive_fed()),
            handle.spawn(Rc::clone(self).drive_held()),
            handle.spawn(Rc::clone(self).drive_closing()),
        ]);
    }

    /// Lets go of all that the program had: as when Node's process ends, nothing goes on. Open sockets
    /// are closed by their tasks, when the loop runs again or is dropped.
    fn finish(&self) {
        self.over.set(true);
        for driver in self.drivers.take() {
            driver.cancel();
        }
        self.process.forget_all();
        // What is dropped may begin something more; but not for ever.
        for _ in 0..FINISH_ROUNDS {
            let ticks = self.ticks.take();
            let had_some = [
                !ticks.is_empty(),
                self.microtasks.forget_all(),
                self.timers.forget_all(),
                self.immediates.forget_all(),
                self.queues.abandon_all(),
                self.forget_parts(),
            ];
            drop(ticks);
            if had_some == [false; 6] {
                break;
            }
        }
        self.handle.wake_waiting();
    }

    /// True once the program has ended: its sockets are to close.
    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    fn live(self: &Rc<Self>, event_loop: &mut EventLoop, main: Once) -> io::Result<u8> {
        // The first task: `main` runs inside the loop, so that it can use all of it.
        let runtime = Rc::clone(self);
        event_loop.block_on(async move {
            runtime.start(); // they run behind `main`
            runtime.scope(|| runtime.call(main));
            runtime.timers.wait_for_first();
        });
        while !self.process.is_ending() {
            event_loop.run()?;
            let runtime = Rc::clone(self);
            event_loop.block_on(async move {
                runtime.scope(|| runtime.call(|| runtime.process.emit_before_exit()));
                yield_now().await; // the drivers take in what was begun
            });
            if !event_loop.is_alive() {
                let runtime = Rc::clone(self);
                event_loop.block_on(async move { runtime.end() });
            }
        }
        Ok(self.process.code())
    }

    /// Calls a function before the loop continues.
    pub(crate) fn next_tick(&self, f: impl FnOnce() -> Result<(), Thrown> + 'static) {
        self.push_tick(Tick::Call(Box::new(f)));
    }

    /// Calls a function with a clone of a value before the loop continues.
    pub(crate) fn next_call<T: Clone + 'static>(
        &self,
        value: &T,
        f: impl FnOnce(&T) -> Result<(), Thrown> + 'static,
    ) {
        let value = value.clone();
        self.next_tick(move || f(&value));
    }

    /// Runs a step of a value before the loop continues, without an allocation.
    pub(crate) fn next_step(&self, value: Rc<dyn Any>, step: Step) {
        self.push_tick(Tick::Step(value, step));
    }

    /// Outside of a scope, a driver opens one for the tick. Once 'exit' is emitted, no tick runs, as
    /// in Node.
    fn push_tick(&self, tick: Tick) {
        if self.process.is_exiting() {
            return;
        }
        self.ticks.borrow_mut().push_back(tick);
        if !self.is_in_scope() {
            self.microtasks.want_scope();
        }
    }

    /// What a module keeps for this program: empty at first.
    pub(crate) fn part<T: OfProgram>(&self) -> Rc<T> {
        let known = self.parts.borrow().iter().find_map(|part| {
            let part: Rc<dyn Any> = Rc::clone(part) as _;
            part.downcast().ok()
        });
        known.unwrap_or_else(|| {
            let part = Rc::<T>::default();
            self.parts.borrow_mut().push(Rc::clone(&part) as _);
            part
        })
    }

    fn forget_parts(&self) -> bool {
        let parts = self.parts.borrow().clone();
        // All of them, so no short-circuit.
        parts.iter().filter(|part| part.forget_all()).count() > 0
    }

    /// Calls a callback as the loop does: Node's `MakeCallback`.
    pub(crate) fn make_callback(self: &Rc<Self>, f: impl FnOnce() -> Result<(), Thrown>) {
        self.scope(|| self.call(f));
    }

    /// Runs something the loop calls, and then, unless it threw, all ticks and microtasks.
    pub(crate) fn scope(self: &Rc<Self>, body: impl FnOnce() -> Result<(), Left>) {
        if self.process.is_ending() {
            return;
        }
        let result = self.deeper(body);
        if self.is_drained() && !self.microtasks.has_rejected() {
            return; // as it is after most callbacks
        }
        if result.is_ok() && self.depth.get() == 0 {
            // What a tick's throw leaves is for the next scope.
            let _ = self.drain();
        }
        if !self.is_drained() {
            self.immediates.want_check();
        }
    }

    /// True inside of a scope: what is queued will be run at its end.
    pub(crate) fn is_in_scope(&self) -> bool {
        self.depth.get() > 0
    }

    fn is_drained(&self) -> bool {
        self.ticks.borrow().is_empty() && self.microtasks.is_empty()
    }

    /// Node's `processTicksAndRejections`: all ticks, then all microtasks, until there are none.
    pub(crate) fn drain(self: &Rc<Self>) -> Result<(), Left> {
        self.deeper(|| self.drain_inside())
    }

    /// Calls a function inside of one scope more.
    fn deeper<T>(&self, inside: impl FnOnce() -> T) -> T {
        struct Deeper<'a>(&'a Cell<usize>);
        impl Drop for Deeper<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        self.depth.set(self.depth.get() + 1);
        let _deeper = Deeper(&self.depth);
        inside()
    }

    fn drain_inside(self: &Rc<Self>) -> Result<(), Left> {
        loop {
            while let Some(tick) = self.pop_tick() {
                self.call(|| tick.run())?;
            }
            self.run_microtasks()?;
            if !self.is_drained() {
                continue;
            }
            let rejected = self.microtasks.take_rejected();
            if rejected.is_empty() {
                return Ok(());
            }
            for thrown in rejected {
                self.handle_thrown(thrown, Origin::UnhandledRejection)?;
            }
        }
    }

    fn pop_tick(&self) -> Option<Tick> {
        self.ticks.borrow_mut().pop_front()
    }

    /// Calls a callback. What it throws goes to `uncaught_exception`, or ends the program.
    pub(crate) fn call(
        self: &Rc<Self>,
        f: impl FnOnce() -> Result<(), Thrown>,
    ) -> Result<(), Left> {
        let thrown = match catch_unwind(AssertUnwindSafe(f)) {
            Ok(result) => result.err(),
            Err(payload) => self.thrown_by(payload),
        };
        match thrown {
            Some(thrown) => {
                self.handle_thrown(thrown, Origin::UncaughtException)?;
                Err(Left)
            }
            None if self.process.is_ending() => Err(Left),
            None => Ok(()),
        }
    }
}

/// Calls a function after the callback that runs now, before the loop goes on: `process.nextTick`.
///
/// # Panics
/// Outside of [`run`].
#[track_caller]
pub fn next_tick<O: Outcome>(f: impl FnOnce() -> O + 'static) {
    current().push_tick(Tick::Call(once(f)));
}
