//! A program from its first callback to its exit code, and callbacks on a loop of other code.

use crate::continuation::{Once, once};
use crate::runtime::{Runtime, enter as enter_runtime};
use crate::thrown::IntoResult;
use oneloop_core::{EventLoop, Handle, Options, check_nesting, yield_now};
use std::fmt;
use std::io;
use std::rc::Rc;

/// Runs a program: `main` first, then the loop until nothing referenced is left. Returns the exit
/// code, as [`process`](crate::process) defines it, for [`ExitCode::from`]:
///
/// ```
/// use oneloop::callback::{process, run, set_timeout};
/// use std::process::ExitCode;
///
/// fn main() -> std::io::Result<ExitCode> {
///     let code = run(|| {
///         set_timeout(|| process::exit(0), 1);
///     })?;
///     Ok(ExitCode::from(code))
/// }
/// ```
///
/// A `run(…)?;` that drops the code reports success even after an uncaught error.
///
/// [`ExitCode::from`]: std::process::ExitCode
///
/// # Errors
/// Those of making a loop: mostly `EMFILE`; and [`ResourceBusy`](io::ErrorKind::ResourceBusy),
/// inside of a running loop, which this call would block: see [`enter`].
#[doc(alias("node", "main"))]
#[track_caller]
pub fn run<O: IntoResult>(main: impl FnOnce() -> O + 'static) -> io::Result<u8> {
    check_nesting("callback::run")?;
    run_on(&mut EventLoop::with(Options::default())?, main)
}

/// Like [`run`], on an existing loop: one with virtual time, or with tasks on it already.
///
/// # Errors
/// As [`EventLoop::run`].
#[track_caller]
pub fn run_on<O: IntoResult>(
    event_loop: &mut EventLoop,
    main: impl FnOnce() -> O + 'static,
) -> io::Result<u8> {
    check_nesting("callback::run_on")?; // before `main`, which `block_on` would begin
    let entered = Entered::new(&event_loop.handle());
    entered.run_to_exit(event_loop, once(main))
}

/// Makes callbacks available on a loop, whatever runs that loop: for async tasks that want
/// callbacks, or for a program that ends by rules other than Node's. Until the guard is dropped,
/// functions such as [`set_timeout`](crate::set_timeout) work on this thread.
///
/// Only the loop waits for what callbacks begin: [`EventLoop::run`] waits for all of it, and
/// [`EventLoop::block_on`] runs it meanwhile.
///
/// ```
/// use oneloop::callback::{enter, net, set_timeout};
/// let mut event_loop = oneloop::EventLoop::new()?;
/// let entered = enter(&event_loop.handle());
/// set_timeout(|| println!("a callback in a loop of my own"), 1);
/// event_loop.run()?;
/// assert_eq!(entered.exit_code(), None);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn enter(handle: &Handle) -> Entered {
    let entered = Entered::new(handle);
    start_drivers(&entered.runtime);
    entered
}

/// While it lives, code on this thread can use callbacks: see [`enter`].
#[must_use = "dropping it ends the callbacks"]
pub struct Entered {
    runtime: Rc<Runtime>,
    /// The program around this one, if there is one.
    before: Option<Rc<Runtime>>,
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entered(exit code: {:?})", self.exit_code())
    }
}

impl Entered {
    fn new(handle: &Handle) -> Self {
        let runtime = Runtime::new(handle);
        Entered {
            // Programs nest: a callback may run a loop with another program.
            before: enter_runtime(Some(Rc::clone(&runtime))),
            runtime,
        }
    }

    /// The exit code, once [`process::exit`](crate::process::exit) was called or an error was
    /// uncaught: no callback runs any more.
    pub fn exit_code(&self) -> Option<u8> {
        let process = &self.runtime.process;
        process.is_stopped().then(|| process.code())
    }

    /// Node's `SpinEventLoop`: the loop, then 'beforeExit', which may begin something more; else
    /// 'exit'.
    fn run_to_exit(&self, event_loop: &mut EventLoop, main: Once) -> io::Result<u8> {
        // `main` runs as the loop's first task, so that it can use the loop. The drivers are
        // spawned before, but first run after it.
        let runtime = Rc::clone(&self.runtime);
        event_loop.block_on(async move {
            start_drivers(&runtime);
            runtime.scope(|| runtime.call(main));
            runtime.timers.wait_for_first();
        });
        while !self.runtime.process.is_stopped() {
            // Returns when nothing referenced is left, as `uv_run` does.
            event_loop.run()?;
            let runtime = Rc::clone(&self.runtime);
            let has_begun = event_loop.block_on(async move {
                runtime.scope(|| runtime.call(|| runtime.process.emit_before_exit()));
                // Asked now, too: while many tasks are ready, the loop turns before it is asked, and
                // an immediate may have run by then.
                let has_begun = runtime.has_work();
                // The drivers run now, and wait for what was begun: only then is the loop alive.
                yield_now().await;
                has_begun
            });
            // If 'beforeExit' began something, the loop runs again.
            if !has_begun && !event_loop.is_alive() {
                let runtime = Rc::clone(&self.runtime);
                event_loop.block_on(async move { end(&runtime) });
            }
        }
        Ok(self.runtime.process.code())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // While the runtime is still current: values that are dropped may call our functions.
        self.runtime.finish();
        let left = enter_runtime(self.before.take());
        drop(left);
    }
}

/// Starts the tasks that serve the queues, timers first, as after libuv's poll.
fn start_drivers(runtime: &Rc<Runtime>) {
    let handle = &runtime.handle;
    runtime.drivers.replace(vec![
        handle.spawn(Rc::clone(runtime).drive_timers()),
        handle.spawn(Rc::clone(runtime).drive_immediates()),
        handle.spawn(Rc::clone(runtime).drive_microtasks()),
        handle.spawn(Rc::clone(runtime).drive_fed()),
        handle.spawn(Rc::clone(runtime).drive_held()),
        handle.spawn(Rc::clone(runtime).drive_closing()),
    ]);
}

/// Ends the program because nothing is left to do. As in Node, the listeners' microtasks run, but
/// no ticks.
fn end(runtime: &Rc<Runtime>) {
    runtime.scope(|| runtime.call(|| runtime.emit_exit()));
    runtime.stop();
}
