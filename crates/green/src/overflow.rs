//! A green stack that overflows says whose it was, instead of a bare SIGSEGV.
//!
//! As the standard library does for its threads: a handler on an alternate stack looks whether the
//! address is in the guard page of the green thread that runs; if so it tells and aborts. Other faults
//! go to whoever handled them before.

use crate::{switch, thread_end};
use std::cell::Cell;
use std::ffi::c_int;
use std::mem::{MaybeUninit, zeroed};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

/// What the handler needs, with room to spare.
const ALTERNATE_BYTES: usize = 32 * 1024;

/// Who handled the signals before.
struct Before {
    segv: libc::sigaction,
    bus: libc::sigaction,
}

static BEFORE: OnceLock<Before> = OnceLock::new();

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Sees to it that an overflow on this thread can be told of.
pub(crate) fn watch_this_thread() {
    if !WATCHED.replace(true) {
        BEFORE.get_or_init(|| Before {
            segv: install(libc::SIGSEGV),
            bus: install(libc::SIGBUS),
        });
        ensure_alternate_stack();
        thread_end::watch_this_thread();
    }
}

fn install(signal: c_int) -> libc::sigaction {
    // SAFETY: all zeros is a valid sigaction: no flags, the default handler, an empty mask.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = on_fault as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    let mut before = MaybeUninit::zeroed();
    // SAFETY: both point to sigactions; the handler is async-signal-safe.
    unsafe { libc::sigaction(signal, &action, before.as_mut_ptr()) };
    // SAFETY: zeroed is valid, and the call can only have written a valid one over it.
    unsafe { before.assume_init() }
}

/// The standard library gives its threads an alternate stack; other threads get one here, for good.
fn ensure_alternate_stack() {
    // SAFETY: all zeros is a valid stack_t.
    let mut present: libc::stack_t = unsafe { zeroed() };
    // SAFETY: it only reads, into a stack_t.
    unsafe { libc::sigaltstack(null(), &mut present) };
    if present.ss_flags & libc::SS_DISABLE != 0 {
        let memory = Box::leak(vec![0_u8; ALTERNATE_BYTES].into_boxed_slice());
        let stack = libc::stack_t {
            ss_sp: memory.as_mut_ptr().cast(),
            ss_flags: 0,
            ss_size: ALTERNATE_BYTES,
        };
        // SAFETY: the memory is leaked, so it is there for as long as the thread.
        unsafe { libc::sigaltstack(&stack, null_mut()) };
    }
}

/// The handler: only what is async-signal-safe happens here.
extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO a valid siginfo, of a fault.
    let address = unsafe { (*info).si_addr() } as usize;
    switch::with_overflowed(address, |name, at, bytes| {
        let mut line = Line::default();
        line.push("\ngreen thread '");
        line.push(name.unwrap_or("unnamed"));
        line.push("' spawned at ");
        line.push(at.file());
        line.push(":");
        line.push_number(at.line() as usize);
        line.push(" has overflowed its stack of ");
        line.push_number(bytes / 1024);
        line.push(" KiB: see Builder::stack_bytes\n");
        line.write();
        // SAFETY: abort(3) is async-signal-safe.
        unsafe { libc::abort() };
    });
    let Some(before) = BEFORE.get() else { return };
    let action = if signal == libc::SIGBUS {
        &before.bus
    } else {
        &before.segv
    };
    // SAFETY: it is what was installed before. Back in the program the fault happens again, and finds
    // that handler.
    unsafe { libc::sigaction(signal, action, null_mut()) };
    // SAFETY: as above, a valid siginfo.
    if unsafe { (*info).si_code } <= 0 {
        // SAFETY: raise(3) is async-signal-safe. Somebody sent this one: it would not come again.
        unsafe { libc::raise(signal) };
    }
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
