//! Numbers for the calls into loops, so that code can tell whether it still runs in the same call.
//!
//! Each call gets a new number. If code on a thread sees the same number twice, the same call was
//! on that thread's stack all the while, so neither the thread nor its thread-locals ended in
//! between. The green style relies on that: a stack whose thread-locals are gone must not run again
//! (rule 12).

use crate::mechanisms::concurrency::thread_local;
use oneloop_posix::Process;
use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::panic::Location;

thread_local! {
    /// The innermost call.
    static CURRENT: Cell<Current> = const { Cell::new(OUTSIDE) };
    /// The number of the latest call.
    static LATEST: Cell<u64> = const { Cell::new(0) };
    /// The process of the loop that runs on this thread: code that it calls must not block. A
    /// process that was forked meanwhile has this thread and a copy of this value, and runs no loop.
    static RUNNING: Cell<Option<Process>> = const { Cell::new(None) };
}

/// Marks a call that runs a loop, and does not only enter it, until it is dropped.
pub(crate) struct RunningLoop {
    before: Option<Process>,
}

impl RunningLoop {
    /// `process` is the one that made the loop, and the only one that can run it.
    pub(crate) fn new(process: Process) -> Self {
        RunningLoop {
            before: RUNNING.replace(Some(process)),
        }
    }
}

impl Drop for RunningLoop {
    fn drop(&mut self) {
        RUNNING.set(self.before);
    }
}

/// Refuses a call that would run a loop until that has finished while another loop, or the same
/// one, runs on this thread: the outer loop would stand still meanwhile. tokio panics there, too:
/// "Cannot start a runtime from within a runtime".
///
/// `call` names the function, for the message. Allowed are
/// [`EventLoop::run_nowait`](crate::EventLoop::run_nowait), which does not wait, a loop on another
/// thread, and a new loop in a process that was forked inside of a loop.
///
/// # Errors
/// [`ResourceBusy`](io::ErrorKind::ResourceBusy), inside of a running loop. The message has the
/// place of the call, and says what to do instead.
#[track_caller]
pub fn check_nesting(call: &str) -> io::Result<()> {
    match RUNNING.get().is_some_and(Process::is_this) {
        false => Ok(()),
        true => Err(nested(call, Location::caller())),
    }
}

#[cold]
fn nested(call: &str, at: &Location<'_>) -> io::Error {
    let problem = format!(
        "{call} at {at} would block the loop that runs this code: use `.await` in an async task, \
         `.wait()` in a green thread, and `spawn_micro` in a callback; or run the other loop on a thread \
         of its own, as `offload` does"
    );
    io::Error::new(io::ErrorKind::ResourceBusy, problem)
}

/// A call into a loop, as its thread-local holds it.
#[derive(Clone, Copy, Debug)]
struct Current {
    number: u64,
    /// True if the next call gets the same number.
    is_shared: bool,
}

const OUTSIDE: Current = Current {
    number: 0,
    is_shared: false,
};

/// The number of the innermost call, or 0 outside of loops.
pub(crate) fn current() -> u64 {
    CURRENT.get().number
}

/// Marks one call into a loop, until it is dropped.
pub(crate) struct Entry {
    before: Current,
}

impl Entry {
    pub(crate) fn new() -> Self {
        let before = CURRENT.get();
        // Inside of a `OneEntry` the next call keeps the number; its own nested calls get new ones.
        let number = if before.is_shared {
            before.number
        } else {
            next()
        };
        let is_shared = false;
        CURRENT.set(Current { number, is_shared });
        Entry { before }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Makes several calls of one function into its loop count as one.
///
/// Until it is dropped, these calls have the same [`Handle::entry`](crate::Handle::entry). Only the
/// function's own code may run between them.
#[derive(Debug)]
pub struct OneEntry {
    before: Current,
    /// `!Send`: the numbers are the thread's.
    not_send: PhantomData<*const ()>,
}

impl OneEntry {
    /// Makes the next calls count as one, until the guard is dropped.
    #[expect(clippy::new_without_default, reason = "it is a guard")]
    pub fn new() -> Self {
        let before = CURRENT.get();
        let (number, is_shared) = (next(), true);
        CURRENT.set(Current { number, is_shared });
        let not_send = PhantomData;
        OneEntry { before, not_send }
    }
}

impl Drop for OneEntry {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

fn next() -> u64 {
    LATEST.set(LATEST.get() + 1);
    LATEST.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_its_own_number_unless_it_shares_one() {
        assert_eq!(current(), 0);
        let outer = Entry::new();
        let first = current();
        drop(Entry::new());
        assert_eq!(current(), first);
        let one = OneEntry::new();
        let shared = {
            let _call = Entry::new();
            let shared = current();
            let _inside = Entry::new(); // the user's code calls into a loop again
            assert_ne!(current(), shared);
            shared
        };
        let again = Entry::new();
        assert_eq!(current(), shared);
        drop((again, one, outer));
        assert_eq!(current(), 0);
    }
}
