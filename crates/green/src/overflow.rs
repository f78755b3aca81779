//! Reports which green stack has overflowed, instead of a bare SIGSEGV.
//!
//! It works as the standard library's for its threads: the handler runs on an alternate stack
//! (sigaltstack(2)), as the full one has no room for it. If the faulting address is in the guard
//! page of the green thread that runs, it prints a line and aborts. The kernel also raises SIGSEGV
//! when a signal arrives and its frame does not fit on the stack; that gets its own line. All other
//! faults go where they went before.

use crate::record::ThreadRecord;
use crate::{current, stack, thread_end};
use oneloop_core::Handle;
use oneloop_posix::alternate_stack;
use oneloop_posix::fault::{self, Fault};
use std::cell::Cell;

/// Enough for our signal handlers and the line below, with room to spare.
const HANDLER_BYTES: usize = 16 * 1024;

/// The x86-64 ABI lets a leaf function use this much below its stack pointer, so the kernel puts a
/// signal's frame below that.
const RED_ZONE_BYTES: usize = 128;

const NO_FRAME: &str =
    " got a signal whose handler, which has no SA_ONSTACK, does not fit on its stack of ";

thread_local! {
    /// The call into a loop in which this thread was last prepared.
    static WATCHED_IN: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Prepares this thread for overflows of green stacks, and for signals that arrive on them. Once
/// for each call into a loop: between two calls, the thread's end may have taken the alternate
/// stack away.
pub(crate) fn watch_this_thread() {
    let entry = Some(Handle::entry());
    if WATCHED_IN.replace(entry) != entry {
        // SAFETY: `examine` does only what signal-safety(7) allows.
        unsafe { fault::watch(examine) };
        // Without memory for it, handlers run on the stack that they interrupt.
        let _ = alternate_stack::ensure(HANDLER_BYTES);
        thread_end::watch_this_thread();
    }
}

/// Examines a fault, in its handler.
fn examine(fault: Fault) {
    current::with_running(|thread| {
        let guard = stack::guard_of(&thread.stack());
        match fault {
            Fault::At(address) if guard.contains(&address) => {
                print(thread, " has overflowed its stack of ");
                // SAFETY: abort(3) is async-signal-safe.
                unsafe { libc::abort() };
            }
            Fault::NoFrame(at) if thread.stack().contains(&at) => {
                // With room for the frame above the guard, the SIGSEGV has another cause.
                if at.saturating_sub(guard.end) < alternate_stack::frame_bytes() + RED_ZONE_BYTES {
                    print(thread, NO_FRAME); // the signal is lost, and SIGSEGV ends the process by default
                }
            }
            Fault::At(_) | Fault::NoFrame(_) | Fault::Other => {}
        }
    });
}

/// Prints what happened to a green thread and its stack. Async-signal-safe.
fn print(thread: &ThreadRecord, what: &str) {
    let mut line = FixedLine::default();
    line.push("\ngreen thread '");
    line.push(thread.name.get().unwrap_or("unnamed"));
    line.push("' spawned at ");
    line.push(thread.spawned_at.file());
    line.push(":");
    line.push_number(thread.spawned_at.line() as usize);
    line.push(what);
    line.push_number(thread.stack().len() / 1024);
    line.push(" KiB: see Builder::stack_bytes\n");
    line.write();
}

/// A line of text that allocates nothing, as malloc(3) is not async-signal-safe; a longer text is
/// cut.
struct FixedLine {
    bytes: [u8; 512],
    len: usize,
}

impl Default for FixedLine {
    fn default() -> Self {
        FixedLine {
            bytes: [0; 512],
            len: 0,
        }
    }
}

impl FixedLine {
    fn push(&mut self, text: &str) {
        for byte in text.bytes().take(self.bytes.len() - self.len) {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
    }

    fn push_number(&mut self, number: usize) {
        if number >= 10 {
            self.push_number(number / 10);
        }
        let digit = [b'0' + (number % 10) as u8];
        self.push(str::from_utf8(&digit).unwrap_or_default());
    }

    fn write(&self) {
        // SAFETY: the buffer is that long; write(2) is async-signal-safe. Its failure cannot be
        // reported.
        unsafe { libc::write(libc::STDERR_FILENO, self.bytes.as_ptr().cast(), self.len) };
    }
}
