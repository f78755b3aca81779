//! Texts that go to the caller's buffers and come from its pointers.

use crate::error;
use libc::{c_char, c_int, size_t, ssize_t};
use rustix::io::Errno;
use std::ffi::CStr;
use std::ptr::NonNull;
use std::{ptr, slice};

/// The bytes of a C text, without its NUL.
///
/// # Safety
/// `text` ends with NUL, and is there for as long as the result is used.
pub(super) unsafe fn bytes_of<'a>(text: NonNull<c_char>) -> &'a [u8] {
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_bytes()
}

/// Copies a text into a buffer whose size is at `size`, and sets that to the length of the text.
/// If there is no room, it fails with `ENOBUFS` and sets `size` to the room that is needed.
pub(super) fn fill(text: &[u8], buffer: *mut c_char, size: *mut size_t) -> c_int {
    // SAFETY: the caller passes null, or a size that can be read and written.
    let Some(size) = (unsafe { size.as_mut() }) else {
        return -libc::EINVAL;
    };
    if buffer.is_null() || *size == 0 {
        return -libc::EINVAL;
    }
    if text.len() >= *size {
        *size = text.len() + 1;
        return -libc::ENOBUFS;
    }
    copy_truncated(text, buffer, *size);
    *size = text.len();
    0
}

/// Checks a buffer as [`fill`] does, before the text is known.
pub(super) fn is_fillable(buffer: *mut c_char, size: *mut size_t) -> bool {
    // SAFETY: the caller passes null, or a size that can be read.
    !buffer.is_null() && unsafe { size.as_ref() }.is_some_and(|size| *size > 0)
}

/// Copies as much of a text as there is room for, and ends it with NUL.
pub(super) fn copy_truncated(text: &[u8], buffer: *mut c_char, size: size_t) {
    let Some(room) = size.checked_sub(1) else {
        return;
    };
    let count = text.len().min(room);
    // SAFETY: the caller's buffer has `size` bytes, and is not part of the text.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, count) };
    // SAFETY: `count` is below `size`.
    unsafe { buffer.add(count).write(0) };
}

#[unsafe(no_mangle)]
extern "C" fn uv_utf16_length_as_wtf8(utf16: *const u16, length: ssize_t) -> size_t {
    crate::wtf8::length_of(units(utf16, length))
}

#[unsafe(no_mangle)]
extern "C" fn uv_utf16_to_wtf8(
    utf16: *const u16,
    length: ssize_t,
    target: &mut *mut c_char,
    target_length: Option<&mut size_t>,
) -> c_int {
    let text = crate::wtf8::from_utf16(units(utf16, length));
    let Some(room) = target_length
        .as_deref()
        .copied()
        .filter(|_| !target.is_null())
    else {
        if let Some(length) = target_length {
            *length = text.len();
        }
        *target = super::memory::text(&text);
        return if target.is_null() { -libc::ENOMEM } else { 0 };
    };
    // The caller's own buffer has room for the text, and behind it for NUL.
    if let Some(length) = target_length {
        *length = text.len();
    }
    if text.len() > room {
        return -libc::ENOBUFS;
    }
    copy_truncated(&text, *target, text.len() + 1);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_wtf8_length_as_utf16(wtf8: NonNull<c_char>) -> ssize_t {
    // SAFETY: the caller's text ends with NUL.
    match crate::wtf8::to_utf16(unsafe { bytes_of(wtf8) }) {
        Some(units) => units.len() as ssize_t + 1, // with its NUL
        None => error::number(Errno::INVAL) as ssize_t,
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_wtf8_to_utf16(wtf8: NonNull<c_char>, utf16: *mut u16, length: size_t) {
    // SAFETY: the caller's text ends with NUL.
    let Some(units) = crate::wtf8::to_utf16(unsafe { bytes_of(wtf8) }) else {
        return;
    };
    let with_nul = units.iter().copied().chain([0]);
    for (index, unit) in with_nul.take(length).enumerate() {
        // SAFETY: the caller's buffer has `length` units.
        unsafe { utf16.add(index).write(unit) };
    }
}

/// UTF-16 of the caller; a negative length means that it ends with NUL.
fn units<'a>(utf16: *const u16, length: ssize_t) -> &'a [u16] {
    let length = usize::try_from(length).unwrap_or_else(|_| {
        // SAFETY: the caller's text ends with NUL.
        (0..)
            .take_while(|index| unsafe { *utf16.add(*index) } != 0)
            .count()
    });
    // SAFETY: that many units are there.
    unsafe { slice::from_raw_parts(utf16, length) }
}
