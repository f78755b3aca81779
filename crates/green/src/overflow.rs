//! A green stack that overflows says whose it was, instead of a bare SIGSEGV.
//!
//! As the standard library does for its threads: a handler on an alternate stack looks whether the
//! address is in the guard page of the green thread that runs; if so it tells and aborts. A signal that
//! comes when the stack is almost full is told apart: its handler needs room, unless it has an
//! alternate stack, too. All other faults go where they went before.

use crate::state::State;
use crate::{stack, switch, thread_end};
use oneloop_core::Handle;
use oneloop_posix::alternate_stack;
use oneloop_posix::fault::{self, Fault};
use std::cell::Cell;

/// What our handlers need, with room to spare: those of signals, and the line below.
const HANDLER_BYTES: usize = 16 * 1024;

/// The x86-64 ABI lets a function use that much below its stack pointer; the kernel leaves it alone.
const RED_ZONE_BYTES: usize = 128;

const NO_FRAME: &str =
    " got a signal whose handler, which has no SA_ONSTACK, does not fit on its stack of ";

thread_local! {
    static WATCHED_IN: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Sees to it that green stacks can overflow on this thread, and signals come upon them. Once for each
/// call into a loop: what was there in another one, the thread's end may have taken away.
pub(crate) fn watch_this_thread() {
    let entry = Some(Handle::entry());
    if WATCHED_IN.replace(entry) != entry {
        // SAFETY: `look` does only what signal-safety(7) allows.
        unsafe { fault::watch(look) };
        // Without memory for it, handlers run on the stack that they come upon.
        let _ = alternate_stack::ensure(HANDLER_BYTES);
        thread_end::watch_this_thread();
    }
}

/// Looks at a fault, in its handler.
fn look(fault: Fault) {
    switch::with_running(|thread| {
        let guard = stack::guard_of(&thread.stack);
        match fault {
            Fault::At(address) if guard.contains(&address) => {
                tell(thread, " has overflowed its stack of ");
                // SAFETY: abort(3) is async-signal-safe.
                unsafe { libc::abort() };
            }
            Fault::NoFrame(at) if thread.stack.contains(&at) => {
                if at.saturating_sub(guard.end) < alternate_stack::frame_bytes() + RED_ZONE_BYTES {
                    tell(thread, NO_FRAME);
                }
            }
            Fault::At(_) | Fault::NoFrame(_) | Fault::Other => {}
        }
    });
}

/// Says what happened to a green thread and its stack. Async-signal-safe.
fn tell(thread: &State, what: &str) {
    let mut line = Line::default();
    line.push("\ngreen thread '");
    line.push(thread.name.get().unwrap_or("unnamed"));
    line.push("' spawned at ");
    line.push(thread.spawned_at.file());
    line.push(":");
    line.push_number(thread.spawned_at.line() as usize);
    line.push(what);
    line.push_number(thread.stack.len() / 1024);
    line.push(" KiB: see Builder::stack_bytes\n");
    line.write();
}

/// A line of text that needs no allocation; what does not fit is cut.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Line {
            bytes: [0; 512],
            len: 0,
        }
    }
}

impl Line {
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
        // SAFETY: the buffer is that long; write(2) is async-signal-safe. If it fails, there is nobody
        // to tell.
        unsafe { libc::write(libc::STDERR_FILENO, self.bytes.as_ptr().cast(), self.len) };
    }
}
