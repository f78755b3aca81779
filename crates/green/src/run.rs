//! The main green thread, and the loop around it.

use crate::deadlock::{Deadlock, RunError};
use crate::thread::Builder;
use oneloop_core::{EventLoop, JoinError, OneEntry};
use std::panic::{Location, resume_unwind};

/// Makes a loop and runs the function on it as the main green thread. When that has ended, the others
/// are killed where they are, as when a gevent program ends.
///
/// If everything waits and nothing can wake, the main thread's wait fails with a [`Deadlock`]: so it
/// unwinds, unless it is caught ([`catch_deadlock`](crate::catch_deadlock)). If that is the wait of a
/// cleanup, which nothing interrupts, the main thread is left where it is. Another thread of the
/// process that is to wake something has to hold a [`Remote`](oneloop_core::Remote) or keep the loop
/// alive otherwise.
///
/// ```
/// use oneloop_green::{run, sleep, spawn};
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
/// [`RunError::Deadlock`]; [`RunError::Io`] when no loop can be made, for want of fds or memory.
///
/// # Panics
/// When the function does.
#[track_caller]
pub fn run<T: 'static>(function: impl FnOnce() -> T + 'static) -> Result<T, RunError> {
    let _one = OneEntry::new(); // nothing else can call into a loop that is on this stack
    run_at(&mut EventLoop::new()?, function, Location::caller())
}

/// Like [`run`], on a loop that is there already: one on virtual time, for tests. The other green
/// threads stay where they are, for its next run.
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
    run_at(event_loop, function, Location::caller())
}

fn run_at<T: 'static>(
    event_loop: &mut EventLoop,
    function: impl FnOnce() -> T + 'static,
    at: &'static Location<'static>,
) -> Result<T, RunError> {
    let handle = event_loop.handle();
    let main = event_loop.enter(|| Builder::new().name("main").spawn_at(function, at))?;
    main.on_exit({
        let handle = handle.clone();
        move |_| handle.stop()
    });
    while !main.is_finished() {
        event_loop.run()?;
        if !main.is_finished() && !event_loop.is_alive() {
            let tasks = event_loop.enter(|| handle.dump_tasks());
            if main.state().is_interrupted() {
                return Err(RunError::Deadlock(Deadlock { tasks })); // it waits in a cleanup
            }
            event_loop.enter(|| main.state().tell_deadlock(Deadlock { tasks }));
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
