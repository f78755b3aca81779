//! Memory for green stacks: one mapping each, a guard page at its low end, and a pool of free ones.
//!
//! ```text
//!   low                                                     high
//!    ├───────────┬──────────────────────┬────────────────────┤
//!    │ guard page│ reserved, untouched  │ committed pages  ◀─│ base
//!    └───────────┴──────────────────────┴────────────────────┘
//!      SIGSEGV     no memory yet          grows down on touch
//! ```
//!
//! A new stack costs three system calls and a page fault, a pooled one a few nanoseconds. Where the
//! kernel has `MADV_GUARD_INSTALL` (6.13), the guard is an entry of the page table, and neighboring
//! stacks merge into one mapping; elsewhere each stack is two mappings, and `vm.max_map_count`
//! allows some 32,000 stacks.

use corosensei::stack::valgrind::ValgrindStackRegistration;
use corosensei::stack::{STACK_ALIGNMENT, Stack, StackPointer};
use oneloop_posix::Refusal;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::cell::RefCell;
use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr::{NonNull, null_mut};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The default size of a stack in bytes: enough for ordinary Rust with formatting, collections and
/// some recursion, also in debug builds.
pub const STACK_BYTES: usize = 256 * 1024;

/// The smallest size of a stack in bytes: about what a green thread that starts and waits needs in
/// debug builds.
pub const STACK_BYTES_MIN: usize = 16 * 1024;

/// The number of free stacks of each size that an OS thread keeps.
const POOLED_MAX: usize = 4096;

/// From linux/mman-common.h, since 6.13: a touch of these pages is SIGSEGV, and they need no
/// separate mapping. Neither libc nor rustix has it yet.
const MADV_GUARD_INSTALL: i32 = 102;

/// Cached, as rustix asks the C library each time.
static PAGE_BYTES: LazyLock<usize> = LazyLock::new(rustix::param::page_size);

/// False once the kernel or a sandbox has refused `MADV_GUARD_INSTALL`.
static HAS_GUARD_INSTALL: AtomicBool = AtomicBool::new(true);

/// A mapped stack, which owns its pages.
struct Mapping {
    low: NonNull<c_void>,
    bytes: usize,
    _valgrind: ValgrindStackRegistration,
}

impl Mapping {
    fn new(bytes: usize) -> io::Result<Self> {
        // NORESERVE: with the kernel's default overcommit, 100,000 stacks of 256 KiB are 25 GB of
        // address space that count for nothing until they are touched.
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::STACK;
        // SAFETY: the kernel chooses the address, so this maps over no memory in use.
        let low = unsafe {
            mmap_anonymous(null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, flags)
        }?;
        let low = NonNull::new(low).expect("mmap(2) maps at 0 only with MAP_FIXED");
        let mapping = Mapping {
            low,
            bytes,
            _valgrind: ValgrindStackRegistration::new(low.as_ptr().cast(), bytes),
        };
        mapping.guard()?;
        Ok(mapping)
    }

    /// Makes the lowest page the guard. An overflow runs into it, before it reaches a neighbor.
    fn guard(&self) -> io::Result<()> {
        if HAS_GUARD_INSTALL.load(Ordering::Relaxed) {
            let Err(error) = self.install_guard() else {
                return Ok(());
            };
            if Refusal::of_error(&error).is_none() {
                return Err(error);
            }
            HAS_GUARD_INSTALL.store(false, Ordering::Relaxed);
        }
        self.protect_guard()
    }

    /// # Errors
    /// `EINVAL` before Linux 6.13; in a sandbox, the error that it sets.
    fn install_guard(&self) -> io::Result<()> {
        // SAFETY: the page belongs to this mapping, which is new, so it holds no value.
        let failed = unsafe { libc::madvise(self.low.as_ptr(), *PAGE_BYTES, MADV_GUARD_INSTALL) };
        if failed == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// # Errors
    /// `ENOMEM` when the process has as many mappings as it may.
    fn protect_guard(&self) -> io::Result<()> {
        let none = MprotectFlags::empty();
        // SAFETY: the page belongs to this mapping, which is new, so it holds no value.
        Ok(unsafe { mprotect(self.low.as_ptr(), *PAGE_BYTES, none) }?)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this value owns the pages, and nothing runs on them: a coroutine owns its stack
        // until it has ended. munmap(2) fails only when it would split a mapping and exceed the
        // limit: then the pages leak.
        let _ = unsafe { munmap(self.low.as_ptr(), self.bytes) };
    }
}

/// The free stacks of one size.
struct SizeClass {
    bytes: usize,
    free: Vec<Mapping>,
}

thread_local! {
    /// Last in, first out: the stack that was used last is in the caches.
    static POOL: RefCell<Vec<SizeClass>> = const { RefCell::new(Vec::new()) };
}

/// A stack for one green thread. When dropped, it returns to the pool of its OS thread.
pub(crate) struct GreenStack {
    mapping: Option<Mapping>,
}

impl GreenStack {
    /// A stack of at least `bytes`, guard page included.
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        let bytes = bytes
            .max(STACK_BYTES_MIN)
            .max(4 * *PAGE_BYTES) // with pages of 64 KiB, the guard alone would exceed the minimum
            .checked_next_multiple_of(*PAGE_BYTES)
            .ok_or(io::ErrorKind::OutOfMemory)?;
        // A thread that ends may have destroyed its pool.
        let pooled = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            let class = pool.iter_mut().find(|class| class.bytes == bytes)?;
            class.free.pop()
        });
        let mapping = match pooled.ok().flatten() {
            Some(mapping) => mapping,
            None => Mapping::new(bytes)?,
        };
        Ok(GreenStack {
            mapping: Some(mapping),
        })
    }

    fn mapping(&self) -> &Mapping {
        self.mapping.as_ref().expect("only drop takes it")
    }

    /// Its addresses, guard page included.
    pub(crate) fn range(&self) -> Range<usize> {
        let low = self.mapping().low.as_ptr() as usize;
        low..low + self.mapping().bytes
    }
}

/// The addresses of a stack's guard page. Async-signal-safe once there is a stack.
pub(crate) fn guard_of(stack: &Range<usize>) -> Range<usize> {
    stack.start..stack.start + *PAGE_BYTES
}

impl Drop for GreenStack {
    fn drop(&mut self) {
        let Some(mapping) = self.mapping.take() else {
            return;
        };
        let mut mapping = Some(mapping);
        // As in `new`; without a pool, the drop of `mapping` unmaps the pages.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            let bytes = mapping.as_ref().map_or(0, |mapping| mapping.bytes);
            let index = pool.iter().position(|class| class.bytes == bytes);
            let index = index.unwrap_or_else(|| {
                let free = Vec::new();
                pool.push(SizeClass { bytes, free });
                pool.len() - 1
            });
            if pool[index].free.len() < POOLED_MAX {
                pool[index].free.extend(mapping.take());
            }
        });
    }
}

// SAFETY: base and limit are those of one mapping, which lives as long as the value; both are page
// aligned; the lowest page is a guard, and `STACK_BYTES_MIN` leaves more than `MIN_STACK_SIZE`
// above it.
unsafe impl Stack for GreenStack {
    fn base(&self) -> StackPointer {
        let mapping = self.mapping();
        let high = mapping.low.as_ptr() as usize + mapping.bytes;
        debug_assert_eq!(high % STACK_ALIGNMENT, 0);
        StackPointer::new(high).expect("it is above the low end")
    }

    fn limit(&self) -> StackPointer {
        let low = self.mapping().low.as_ptr() as usize;
        StackPointer::new(low).expect("a mapping is not at 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_dropped_stack_is_reused_for_the_next_one_of_its_size() {
        let first = GreenStack::new(STACK_BYTES).unwrap();
        let base = first.base();
        drop(first);
        let other = GreenStack::new(2 * STACK_BYTES).unwrap();
        assert_ne!(other.base(), base);
        assert_eq!(GreenStack::new(STACK_BYTES).unwrap().base(), base);
    }

    /// True if a write to that address fails. The kernel checks it in read(2), without a fault.
    fn is_guarded(address: usize) -> bool {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&writer, &[1]).unwrap();
        // SAFETY: read(2) checks the address itself; the byte belongs to a mapping of this test.
        let read = unsafe { libc::read(reader.as_raw_fd(), address as *mut c_void, 1) };
        read == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
    }

    #[test]
    fn both_kinds_of_guard_protect_the_lowest_page() {
        for guard in [Mapping::guard, Mapping::protect_guard] {
            let stack = GreenStack::new(3 * STACK_BYTES).unwrap();
            guard(stack.mapping()).unwrap();
            let Range { start, end } = guard_of(&stack.range());
            assert!(is_guarded(start) && is_guarded(end - 1));
            assert!(!is_guarded(end));
            std::mem::forget(stack); // two guards: not for the pool
        }
    }

    #[test]
    fn a_size_beyond_the_address_space_is_an_error() {
        assert!(GreenStack::new(usize::MAX).is_err());
        assert!(GreenStack::new(1 << 60).is_err());
    }
}
