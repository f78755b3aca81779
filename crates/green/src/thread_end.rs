//! Whether this thread is destroying its thread-locals, so that its suspended stacks must not run.
//!
//! A stack that waits inside of `DATA.with(|data| …)` holds a reference to a thread-local. Once the
//! thread has begun to destroy its thread-locals, `data` may be gone: to resume the stack, even to
//! unwind it, would be a use after free. It is unknown which thread-locals a stack refers to, and
//! in which order they are destroyed, so from then on no stack of the thread runs.
//!
//! The C library does not report that it has begun, and the first destructor may be any library's.
//! But all destructors run below one function, which is the same in each thread and when the
//! process exits (`__call_tls_dtors` in glibc). To learn its address, this module ends a thread and
//! looks at the call stack in one of its destructors.

use crate::unwinder::walk;
use oneloop_core::{Handle, report};
use std::cell::Cell;
use std::sync::{OnceLock, mpsc};
use std::thread;

const LEFT_BEHIND: &str = "oneloop: green threads are left behind: their loop was run or dropped \
    while its thread was destroying its thread-locals, to which their stacks may refer. Keep the \
    loop in a local variable, as green::run does";

/// More bytes than the code of the function that calls the destructors has.
const FUNCTION_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    /// Set when [`SENTINEL`] is destroyed: some destructors run even later, below other functions
    /// (pthread_key_create(3)).
    static IS_OVER: Cell<bool> = const { Cell::new(false) };
    static SENTINEL: Sentinel = const { Sentinel };
    /// The last answer, and the call into a loop that it holds for.
    static KNOWN: Cell<(u64, bool)> = const { Cell::new((0, false)) };
    static IS_REPORTED: Cell<bool> = const { Cell::new(false) };
}

struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        IS_OVER.set(true);
    }
}

/// Registers the sentinel of this thread: for destructors that run after the thread-locals.
pub(crate) fn watch_this_thread() {
    let _ = SENTINEL.try_with(|_| ());
}

/// True if a thread-local of this thread may be gone. The answer holds for one call into a loop
/// ([`Handle::entry`]): the destructors do not return to code that they did not begin in.
pub(crate) fn has_begun() -> bool {
    if IS_OVER.get() {
        return true;
    }
    let entry = Handle::entry();
    let (known_of, known) = KNOWN.get();
    if entry != 0 && known_of == entry {
        return known;
    }
    // If no thread can be started to find the function, no stack runs: a leak, but sound.
    let has_begun = runner().is_none_or(is_below);
    KNOWN.set((entry, has_begun));
    has_begun
}

/// Reports, once for each thread, that its stacks are left behind.
pub(crate) fn report_left_behind() {
    if !IS_REPORTED.replace(true) {
        report(LEFT_BEHIND);
    }
}

/// The functions on the call stack, innermost first.
fn callers() -> Vec<usize> {
    let mut callers = Vec::new();
    walk(|frame| {
        callers.push(frame.function());
        true
    });
    callers
}

/// True if that function is on the call stack.
fn is_below(function: usize) -> bool {
    let mut is_below = false;
    walk(|frame| {
        // Finding a frame's function takes as long as finding the frame: only where it may be this
        // one.
        let offset = frame.call().wrapping_sub(function);
        is_below = offset < FUNCTION_BYTES_MAX && frame.function() == function;
        !is_below
    });
    is_below
}

/// The function that runs the destructors of thread-locals.
fn runner() -> Option<usize> {
    static RUNNER: OnceLock<Option<usize>> = OnceLock::new();
    *RUNNER.get_or_init(find_runner)
}

/// Ends a thread, and compares its call stack in a destructor with that before. Of the functions
/// that are only in the former, the outermost one is the one that the C library calls at every
/// thread's end.
fn find_runner() -> Option<usize> {
    let (sender, receiver) = mpsc::channel();
    let live = move || {
        AT_END.set(Some(AtEnd(sender)));
        callers()
    };
    let thread = thread::Builder::new().name("thread-end".into());
    let in_life = thread.spawn(live).ok()?.join().ok()?;
    let at_end = receiver.recv().ok()?;
    at_end
        .into_iter()
        .rfind(|function| !in_life.contains(function))
}

thread_local! {
    static AT_END: Cell<Option<AtEnd>> = const { Cell::new(None) };
}

/// Sends the functions on the call stack when it is dropped.
struct AtEnd(mpsc::Sender<Vec<usize>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        let _ = self.0.send(callers());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Asks(mpsc::Sender<bool>);

    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.send(has_begun()).unwrap();
        }
    }

    #[test]
    fn a_destructor_of_a_thread_local_sees_that_its_thread_ends() {
        thread_local! {
            static ASKS: Cell<Option<Asks>> = const { Cell::new(None) };
        }
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            drop(Asks(sender.clone()));
            ASKS.set(Some(Asks(sender)));
        });
        thread.join().unwrap();
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [false, true]);
    }
}
