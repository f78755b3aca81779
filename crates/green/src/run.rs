//! The main green thread, and the loop around it.

use crate::deadlock::{Deadlock, RunError};
use crate::spawn::Builder;
use oneloop_core::{EventLoop, JoinError, OneEntry, check_nesting};
use std::panic::{Location, resume_unwind};

/// Makes a loop, and runs the function on it as the main green thread. When that has ended, the
/// other green threads are killed, as when a gevent program ends.
///
/// If every task waits and nothing can wake one, the main thread's wait fails with a [`Deadlock`]:
/// it unwinds, unless that is caught ([`catch_deadlock`](crate::catch_deadlock)). If a drop waits
/// there, which nothing interrupts, the main thread's stack is left behind. If another OS thread is
/// going to wake a task, let it hold a [`Remote`](oneloop_core::Remote), or keep the loop alive in
/// another way.
///
/// ```
/// use oneloop::green::{run, sleep, spawn};
/// use std::time::Duration;
/// let greeting = run(|| {
///     let hello = spawn(|| {
///         sleep(Duration::from_millis(1));
///         "hello"
///     });
///     hello.join().unwrap()
/// })?;
/// assert_eq!(greeting, "hello");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// [`RunError::Deadlock`]; [`RunError::Io`] when no loop can be made, for lack of fds or memory, and
/// inside of a running loop, which this call would block: use [`spawn`](crate::spawn) there.
///
/// # Panics
/// When the function does.
#[track_caller]
#[doc(alias("hub", "block_on", "joinall"))]
pub fn run<T: 'static>(function: impl FnOnce() -> T + 'static) -> Result<T, RunError> {
    check_nesting("green::run")?;
    let _one = OneEntry::new(); // no other code can enter a loop on this stack: see `thread_end`
    run_at(&mut EventLoop::new()?, function, Location::caller())
}

/// Runs the function as [`run`] does, on a loop that exists already, such as one on virtual time in
/// a test. The other green threads continue in the loop's next run.
///
/// # Errors
/// As [`run`].
///
/// # Panics
/// As [`run`].
#[track_caller]
pub fn run_on<T: 'static>(
    event_loop: &mut EventLoop,
    function: impl FnOnce() -> T + 'static,
) -> Result<T, RunError> {
    check_nesting("green::run_on")?;
    run_at(event_loop, function, Location::caller())
}

fn run_at<T: 'static>(
    event_loop: &mut EventLoop,
    function: impl FnOnce() -> T + 'static,
    at: &'static Location<'static>,
) -> Result<T, RunError> {
    let handle = event_loop.handle();
    let main = event_loop.enter(|| Builder::new().name("main").spawn_at(function, at))?;
    // Without this, the loop would run until the other green threads have ended, too.
    main.on_exit({
        let handle = handle.clone();
        move |_| handle.stop()
    });
    while !main.is_finished() {
        // `run` also returns when a task stops the loop: then it runs again, until the main thread
        // has ended.
        event_loop.run()?;
        // Nothing referenced is left, and no task is ready: no wait can ever end.
        if !main.is_finished() && !event_loop.is_alive() {
            let tasks = event_loop.enter(|| handle.dump_tasks());
            if main.record().is_interrupted() {
                // It was interrupted in an earlier round, and still waits: in a drop.
                return Err(RunError::Deadlock(Deadlock { tasks }));
            }
            event_loop.enter(|| main.record().interrupt(Box::new(Deadlock { tasks })));
        }
    }
    match main.take_result() {
        Ok(value) => Ok(value),
        Err(JoinError::Panicked(payload)) => match payload.downcast::<Deadlock>() {
            Ok(deadlock) => Err(RunError::Deadlock(*deadlock)),
            Err(payload) => resume_unwind(payload),
        },
        Err(_) => Err(RunError::Killed),
    }
}
