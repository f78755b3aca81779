//! A stack for the handlers of signals, for threads whose other stacks are small (`sigaltstack(2)`).
//!
//! The standard library gives its threads 8 KiB, from their start until their function returns; the
//! kernel's frame alone takes 3.5 KiB with AVX-512, and more with what comes. Threads of other makers
//! have none. So a thread that asks gets one of ours, until it ends.

use crate::handler::heed_small_stacks;
use libc::{SS_DISABLE, SS_ONSTACK, stack_t};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use rustix::param::page_size;
use std::cell::OnceCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::LazyLock;
use std::{io, ptr};

/// The room for a handler on a stack of ours: enough for one that unwinds, in a debug build.
pub const ROOM_BYTES: usize = 128 * 1024;

/// linux/auxvec.h, since 5.14 and on x86 only.
const AT_MINSIGSTKSZ: libc::c_ulong = 51;

/// The size of the largest frame that the kernel pushes for a handler.
static FRAME_BYTES: LazyLock<usize> = LazyLock::new(|| {
    // SAFETY: getauxval(3) has no conditions.
    let bytes = unsafe { libc::getauxval(AT_MINSIGSTKSZ) };
    (bytes as usize).max(libc::MINSIGSTKSZ)
});

thread_local! {
    static OURS: OnceCell<Mapping> = const { OnceCell::new() };
}

/// The size of the largest frame that the kernel pushes for a handler. Async-signal-safe once
/// [`ensure`] was called.
pub fn frame_bytes() -> usize {
    *FRAME_BYTES
}

/// Sees to it that the handlers on this thread that ask for it (`SA_ONSTACK`) have a stack with that
/// much room, at most [`ROOM_BYTES`]: the one that is there, or one of ours until the thread ends.
/// From the first call on, the handlers of [`Listener`](crate::Listener) ask for it.
///
/// # Errors
/// `ENOMEM`; `EPERM` in a handler that runs on an alternate stack.
pub fn ensure(room_bytes: usize) -> io::Result<()> {
    heed_small_stacks();
    let present = present()?;
    let is_there = present.ss_flags & SS_DISABLE == 0;
    if is_there && present.ss_size >= frame_bytes() + room_bytes {
        return Ok(());
    }
    // In the last destructors of a thread-local there is none any more.
    let installed = OURS.try_with(|ours| {
        if ours.get().is_none() {
            // Only this thread can have set it meanwhile, and it has not.
            let _ = ours.set(Mapping::new(present)?);
        }
        ours.get().map_or(Ok(()), |ours| set(&ours.stack).map(drop))
    });
    installed.map_err(io::Error::other)?
}

/// A stack of ours: its lowest page is a guard.
struct Mapping {
    low: *mut c_void,
    bytes: usize,
    stack: stack_t,
    /// What the thread had before.
    before: stack_t,
}

impl Mapping {
    fn new(before: stack_t) -> io::Result<Self> {
        let guard_bytes = page_size();
        let ss_size = (frame_bytes() + ROOM_BYTES).next_multiple_of(guard_bytes);
        let bytes = guard_bytes + ss_size;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::STACK;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the place, so no memory in use is mapped over.
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
        // SAFETY: the page belongs to this mapping, which is new: nothing is on it.
        unsafe { mprotect(low, guard_bytes, MprotectFlags::empty()) }?;
        Ok(mapping)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let Ok(present) = present() else { return };
        if present.ss_flags & SS_ONSTACK != 0 {
            return; // this runs on it, in a handler that ends the process: it stays
        }
        // If somebody has taken ours away, what was before may be gone, too: the standard library
        // unmaps its own then. If nobody has, whoever made it waits for it to be there again.
        let is_ours = present.ss_flags & SS_DISABLE == 0 && present.ss_sp == self.stack.ss_sp;
        if is_ours && set(&self.before).is_err() {
            return; // it is still the thread's
        }
        // SAFETY: no handler runs on it, and none will.
        let _ = unsafe { munmap(self.low, self.bytes) };
    }
}

fn present() -> io::Result<stack_t> {
    // SAFETY: nothing is set.
    unsafe { sigaltstack(ptr::null()) }
}

fn set(stack: &stack_t) -> io::Result<stack_t> {
    // SAFETY: it is one of ours, which `Mapping` takes back before it unmaps it; or what the thread had.
    unsafe { sigaltstack(stack) }
}

/// `sigaltstack(2)`, which sets nothing if it is given null.
///
/// # Safety
/// What is to be set is null or describes memory that stays until another one is set.
unsafe fn sigaltstack(set: *const stack_t) -> io::Result<stack_t> {
    let mut before = MaybeUninit::uninit();
    // SAFETY: the caller's; there is room for what was set.
    match unsafe { libc::sigaltstack(set, before.as_mut_ptr()) } {
        // SAFETY: sigaltstack(2) has filled it in.
        0 => Ok(unsafe { before.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}
