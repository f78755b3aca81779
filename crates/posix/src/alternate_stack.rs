//! A stack for the handlers of signals, for threads with small stacks (`sigaltstack(2)`).
//!
//! The standard library gives its threads 8 KiB, from their start until their function returns. The
//! kernel's frame alone takes 3.5 KiB with AVX-512, and more on later processors. Threads that
//! other code starts have none. So a thread that asks for room gets one of our stacks, until it
//! ends.

use crate::handler::use_alternate_stacks;
use libc::{SS_DISABLE, SS_ONSTACK, stack_t};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use rustix::param::page_size;
use std::cell::OnceCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::LazyLock;
use std::{io, ptr};

/// The room in bytes for a handler on one of our stacks: enough for one that unwinds, in a debug
/// build.
pub const ROOM_BYTES: usize = 128 * 1024;

/// From linux/auxvec.h: since Linux 5.14, and on x86 only.
const AT_MINSIGSTKSZ: libc::c_ulong = 51;

/// The size in bytes of the largest frame that the kernel pushes for a handler.
static FRAME_BYTES: LazyLock<usize> = LazyLock::new(|| {
    // SAFETY: getauxval(3) has no conditions.
    let bytes = unsafe { libc::getauxval(AT_MINSIGSTKSZ) };
    (bytes as usize).max(libc::MINSIGSTKSZ)
});

thread_local! {
    /// This thread's stack, if it has one of ours.
    static OURS: OnceCell<Mapping> = const { OnceCell::new() };
}

/// The size in bytes of the largest frame that the kernel pushes for a handler. Async-signal-safe
/// once [`ensure`] was called.
pub fn frame_bytes() -> usize {
    *FRAME_BYTES
}

/// Ensures an alternate stack with `room_bytes` of room, at most [`ROOM_BYTES`], for the handlers
/// on this thread that ask for one (`SA_ONSTACK`): the present one, or one of ours until the thread
/// ends. From the first call on, the handlers of [`Listener`](crate::Listener) ask for it.
///
/// # Errors
/// `ENOMEM`; `EPERM` in a handler that runs on an alternate stack.
pub fn ensure(room_bytes: usize) -> io::Result<()> {
    use_alternate_stacks();
    let present = present()?;
    let is_there = present.ss_flags & SS_DISABLE == 0;
    if is_there && present.ss_size >= frame_bytes() + room_bytes {
        return Ok(());
    }
    // Fails in the last destructors of thread-locals, when ours is gone.
    let installed = OURS.try_with(|ours| {
        if ours.get().is_none() {
            // Only this thread sets it, and `Mapping::new` does not.
            let _ = ours.set(Mapping::new(present)?);
        }
        ours.get().map_or(Ok(()), |ours| set(&ours.stack).map(drop))
    });
    installed.map_err(io::Error::other)?
}

/// One of our stacks.
///
/// ```text
///  low                                                      low + bytes
///   │ guard page │ room, ROOM_BYTES ◀── grows down │ frame │
///                └─ stack.ss_sp ────────── stack.ss_size ──┘
/// ```
struct Mapping {
    low: *mut c_void,
    bytes: usize,
    stack: stack_t,
    /// The thread's alternate stack before ours.
    before: stack_t,
}

impl Mapping {
    fn new(before: stack_t) -> io::Result<Self> {
        let guard_bytes = page_size();
        let ss_size = (frame_bytes() + ROOM_BYTES).next_multiple_of(guard_bytes);
        let bytes = guard_bytes + ss_size;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::STACK;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the address, so no memory in use is replaced.
        let low = unsafe { mmap_anonymous(ptr::null_mut(), bytes, access, flags) }?;
        let stack = stack_t {
            ss_sp: low.wrapping_byte_add(guard_bytes),
            ss_flags: 0,
            ss_size,
        };
        let mapping = Mapping {
            low,
            bytes,
            stack,
            before,
        };
        // SAFETY: the page belongs to this new mapping, and nothing is on it.
        unsafe { mprotect(low, guard_bytes, MprotectFlags::empty()) }?;
        Ok(mapping)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let Ok(present) = present() else { return };
        if present.ss_flags & SS_ONSTACK != 0 {
            return; // a handler on this stack ends the process: the stack stays mapped
        }
        // If other code has replaced our stack, the one before ours may be unmapped: the standard
        // library unmaps its own when it removes it. If ours is still set, the code that set the
        // one before expects it back.
        let is_ours = present.ss_flags & SS_DISABLE == 0 && present.ss_sp == self.stack.ss_sp;
        if is_ours && set(&self.before).is_err() {
            return; // the thread still uses it
        }
        // SAFETY: no handler runs on it, and none will: the thread uses another one.
        let _ = unsafe { munmap(self.low, self.bytes) };
    }
}

fn present() -> io::Result<stack_t> {
    // SAFETY: null sets nothing.
    unsafe { sigaltstack(ptr::null()) }
}

fn set(stack: &stack_t) -> io::Result<stack_t> {
    // SAFETY: it is one of our stacks, which `Mapping` replaces before it unmaps it, or the
    // thread's previous one.
    unsafe { sigaltstack(stack) }
}

/// `sigaltstack(2)`, which sets nothing if `set` is null.
///
/// # Safety
/// `set` is null, or describes memory that stays mapped until another stack is set.
unsafe fn sigaltstack(set: *const stack_t) -> io::Result<stack_t> {
    let mut before = MaybeUninit::uninit();
    // SAFETY: the caller vouches for `set`; `before` has room for the previous stack.
    match unsafe { libc::sigaltstack(set, before.as_mut_ptr()) } {
        // SAFETY: sigaltstack(2) has succeeded and filled it in.
        0 => Ok(unsafe { before.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}
