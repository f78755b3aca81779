//! Whether this thread's thread-locals are being destroyed, so that its suspended stacks must rest.
//!
//! A stack that waits inside of `DATA.with(|data| …)` holds a reference to a thread-local. Once the
//! thread has begun to destroy those, `data` may be gone: to go on, or to unwind, would be a use after
//! free. Nothing says which thread-locals a stack refers to, nor in which order they go, so all stacks
//! of the thread stay where they are from then on.
//!
//! Nor does anything say that it has begun: the first destructor to run may be anybody's. But it runs
//! below the one function that calls them all, which is the same in each thread and when the process
//! exits. A thread of our own that ends shows which one that is.

use backtrace::Frame;
use oneloop_core::{Handle, report};
use std::cell::Cell;
use std::sync::{OnceLock, mpsc};
use std::thread;

const LEFT_BEHIND: &str = "oneloop: green threads are left behind, as their loop was dropped or run \
    while the thread-locals of its thread were being destroyed, which they may refer to: keep the loop on \
    a stack, as green::run does";

/// More than the C library's function that calls the destructors has.
const FUNCTION_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    /// Set when [`SENTINEL`] is destroyed: some destructors run even later, below other functions.
    static IS_OVER: Cell<bool> = const { Cell::new(false) };
    static SENTINEL: Sentinel = const { Sentinel };
    /// What was found out in which call into a loop.
    static KNOWN: Cell<(u64, bool)> = const { Cell::new((0, false)) };
    static IS_TOLD: Cell<bool> = const { Cell::new(false) };
}

struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        IS_OVER.set(true);
    }
}

/// Sees to it that the end of this thread is noticed in whatever comes after its thread-locals.
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
    // Where no thread can be had to find the function, the stacks rest: that is always sound.
    let has_begun = runner().is_none_or(is_below);
    KNOWN.set((entry, has_begun));
    has_begun
}

/// Says once that stacks of this thread are left behind.
pub(crate) fn tell() {
    if !IS_TOLD.replace(true) {
        report(LEFT_BEHIND);
    }
}

/// The functions that are on the stack, innermost first.
fn callers() -> Vec<usize> {
    let mut callers = Vec::new();
    walk(|frame| {
        callers.push(frame.symbol_address().addr());
        true
    });
    callers
}

/// True if that function is on the stack.
fn is_below(function: usize) -> bool {
    let mut is_below = false;
    walk(|frame| {
        // To find the function of a frame takes as long as to find the frame: only where it may be.
        let offset = frame.ip().addr().wrapping_sub(function);
        is_below = offset < FUNCTION_BYTES_MAX && frame.symbol_address().addr() == function;
        !is_below
    });
    is_below
}

/// Looks at the frames of the stack, innermost first, until told to stop by false.
fn walk(look: impl FnMut(&Frame) -> bool) {
    // SAFETY: the unwinder on Linux is made for many threads at a time; the lock of `backtrace::trace`
    // is for other systems, and a forked child could find it taken for good.
    unsafe { backtrace::trace_unsynchronized(look) };
}

/// The function that runs the destructors of thread-locals.
fn runner() -> Option<usize> {
    static RUNNER: OnceLock<Option<usize>> = OnceLock::new();
    *RUNNER.get_or_init(find_runner)
}

/// Ends a thread, and compares what is on its stack before and in a destructor. Of what is there only
/// then, the outermost one is what the C library calls at the end of every thread.
fn find_runner() -> Option<usize> {
    let (tell, hear) = mpsc::channel();
    let live = move || {
        AT_END.set(Some(AtEnd(tell)));
        callers()
    };
    let thread = thread::Builder::new().name("thread-end".into());
    let in_life = thread.spawn(live).ok()?.join().ok()?;
    let at_end = hear.recv().ok()?;
    at_end
        .into_iter()
        .rfind(|function| !in_life.contains(function))
}

thread_local! {
    static AT_END: Cell<Option<AtEnd>> = const { Cell::new(None) };
}

/// Tells what is on the stack when it is dropped.
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
    fn the_end_of_a_thread_is_told_from_its_life() {
        thread_local! {
            static ASKS: Cell<Option<Asks>> = const { Cell::new(None) };
        }
        let (tell, hear) = mpsc::channel();
        let thread = thread::spawn(move || {
            drop(Asks(tell.clone()));
            ASKS.set(Some(Asks(tell)));
        });
        thread.join().unwrap();
        assert_eq!(hear.iter().collect::<Vec<_>>(), [false, true]);
    }
}
