//! The allocator of the caller: all memory that C sees comes from it, and the loop's state.

use super::live::Live;
use crate::layout::FsEvent;
use libc::{c_char, c_int, c_void, size_t};
use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{mem, slice};

type Malloc = unsafe extern "C" fn(size_t) -> *mut c_void;
type Realloc = unsafe extern "C" fn(*mut c_void, size_t) -> *mut c_void;
type Calloc = unsafe extern "C" fn(size_t, size_t) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);

// `realloc` is not kept: nothing here grows a block.
static MALLOC: AtomicPtr<()> = AtomicPtr::new(libc::malloc as *mut ());
static CALLOC: AtomicPtr<()> = AtomicPtr::new(libc::calloc as *mut ());
static FREE: AtomicPtr<()> = AtomicPtr::new(libc::free as *mut ());

/// Replaces the functions that allocate.
#[unsafe(no_mangle)]
extern "C" fn uv_replace_allocator(
    malloc: Option<Malloc>,
    realloc: Option<Realloc>,
    calloc: Option<Calloc>,
    free: Option<Free>,
) -> c_int {
    let (Some(malloc), Some(_), Some(calloc), Some(free)) = (malloc, realloc, calloc, free) else {
        return -libc::EINVAL;
    };
    MALLOC.store(malloc as *mut (), Ordering::SeqCst);
    CALLOC.store(calloc as *mut (), Ordering::SeqCst);
    FREE.store(free as *mut (), Ordering::SeqCst);
    0
}

/// Allocates memory that is not initialized. `None` if there is no more.
pub(super) fn allocate(bytes: usize) -> Option<NonNull<c_void>> {
    // SAFETY: only a `Malloc` is ever stored there.
    let malloc: Malloc = unsafe { mem::transmute(MALLOC.load(Ordering::SeqCst)) };
    // SAFETY: malloc(3) has no conditions, and the caller's function behaves as it does.
    NonNull::new(unsafe { malloc(bytes) })
}

/// Allocates an array of zeros.
pub(super) fn allocate_zeroed<T>(count: usize) -> Option<NonNull<T>> {
    // SAFETY: only a `Calloc` is ever stored there.
    let calloc: Calloc = unsafe { mem::transmute(CALLOC.load(Ordering::SeqCst)) };
    // SAFETY: the same as for malloc. One element at least, as calloc may return null for none.
    NonNull::new(unsafe { calloc(count.max(1), size_of::<T>()) }).map(NonNull::cast)
}

/// Frees what the functions above returned; null is nothing.
///
/// # Safety
/// `block` is null or such a block, and nothing uses it any more.
pub(super) unsafe fn free<T>(block: *mut T) {
    if block.is_null() {
        return;
    }
    // SAFETY: only a `Free` is ever stored there.
    let free: Free = unsafe { mem::transmute(FREE.load(Ordering::SeqCst)) };
    // SAFETY: the caller vouches for the block.
    unsafe { free(block.cast()) };
}

/// Moves a value into memory of the caller's allocator.
pub(super) fn place<T>(value: T) -> Option<Live<T>> {
    const { assert!(align_of::<T>() <= align_of::<libc::max_align_t>()) };
    let block = allocate(size_of::<T>())?.cast::<T>();
    // SAFETY: the block is large enough, and malloc's alignment suffices.
    unsafe { block.write(value) };
    // SAFETY: a value of the type is there, until `take` moves it out.
    Some(unsafe { Live::new(block) })
}

/// Moves a value out of the memory in which [`place`] put it, and frees that.
///
/// # Safety
/// `placed` comes from `place`, and nothing uses it any more.
pub(super) unsafe fn take<T>(placed: Live<T>) -> T {
    // SAFETY: `place` has put a value there, and no other copy of it is used.
    let value = unsafe { placed.as_ptr().read() };
    // SAFETY: `place` has allocated the block.
    unsafe { free(placed.as_ptr()) };
    value
}

/// A copy of a path, which the caller sees in its struct.
pub(crate) fn text_for(path: &CStr) -> Option<*mut c_char> {
    let copy = text(path.to_bytes());
    (!copy.is_null()).then_some(copy)
}

/// Frees a copy of [`text_for`]; null is nothing.
pub(crate) fn free_text(copy: *mut c_char) {
    // SAFETY: the structs that hold such a copy forget it with this call.
    unsafe { free(copy) };
}

/// The path of a handle that is started.
pub(crate) fn path_of(handle: Live<FsEvent>) -> CString {
    // SAFETY: a handle that is started has a copy of `text_for`.
    unsafe { CStr::from_ptr(handle.path.get()) }.to_owned()
}

/// A copy of a text for the caller, with NUL at its end. Null if there is no memory.
pub(super) fn text(bytes: &[u8]) -> *mut c_char {
    let Some(block) = allocate(bytes.len() + 1) else {
        return ptr::null_mut();
    };
    // SAFETY: the block has room for the bytes and for NUL, and is no one else's.
    let copy = unsafe { slice::from_raw_parts_mut(block.as_ptr().cast::<u8>(), bytes.len() + 1) };
    copy[..bytes.len()].copy_from_slice(bytes);
    copy[bytes.len()] = 0;
    block.as_ptr().cast()
}
