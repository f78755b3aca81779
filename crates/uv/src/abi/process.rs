//! The title of the process: the memory in which the kernel put the program's arguments.

use super::memory;
use super::text::{bytes_of, copy_truncated};
use libc::{c_char, c_int, size_t};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The title, and where `ps` reads it.
struct Title {
    /// The address of the first argument.
    start: usize,
    /// The room there, with NUL.
    room: usize,
    text: Vec<u8>,
    /// The address of the copies, which the caller uses to the end of the process.
    _copies: usize,
}

static TITLE: Mutex<Option<Title>> = Mutex::new(None);

fn title() -> MutexGuard<'static, Option<Title>> {
    // A panic cannot leave it half-changed.
    TITLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes over the memory of the arguments, and returns a copy of them.
#[unsafe(no_mangle)]
extern "C" fn uv_setup_args(count: c_int, arguments: *mut *mut c_char) -> *mut *mut c_char {
    if count <= 0 || arguments.is_null() {
        return arguments;
    }
    // SAFETY: the caller passes on what its `main` got.
    let originals = unsafe { slice::from_raw_parts(arguments, count as usize) };
    let texts: Vec<&[u8]> = originals
        .iter()
        // SAFETY: the arguments end with NUL.
        .filter_map(|text| NonNull::new(*text).map(|text| unsafe { bytes_of(text) }))
        .collect();
    let Some(copies) = memory::allocate_zeroed::<*mut c_char>(texts.len() + 1) else {
        return arguments;
    };
    let block = memory::text(&texts.join(&0));
    if block.is_null() || texts.len() != originals.len() {
        return arguments;
    }
    let mut at = 0;
    for (index, text) in texts.iter().enumerate() {
        // SAFETY: there is a pointer for each text, and each text is in the block.
        unsafe { copies.add(index).write(block.add(at)) };
        at += text.len() + 1;
    }
    // The kernel lays them out one behind the other (execve(2)).
    let mut room = 0;
    for (original, text) in originals.iter().zip(&texts) {
        if *original as usize != originals[0] as usize + room {
            break;
        }
        room += text.len() + 1;
    }
    *title() = Some(Title {
        start: originals[0] as usize,
        room,
        text: texts[0].to_vec(),
        _copies: copies.as_ptr() as usize,
    });
    copies.as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn uv_set_process_title(text: NonNull<c_char>) -> c_int {
    let mut title = title();
    let Some(title) = &mut *title else {
        return -libc::ENOBUFS;
    };
    // SAFETY: the caller's text ends with NUL.
    let text = unsafe { bytes_of(text) };
    title.text = text[..text.len().min(title.room.saturating_sub(1))].to_vec();
    let place: *mut c_char = ptr::with_exposed_provenance_mut(title.start);
    // SAFETY: `uv_setup_args` has taken this memory from the caller, which has a copy instead.
    unsafe { ptr::write_bytes(place, 0, title.room) };
    copy_truncated(&title.text, place, title.room);
    let mut name: [c_char; 16] = [0; 16];
    copy_truncated(text, name.as_mut_ptr(), name.len());
    // SAFETY: the name ends with NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_get_process_title(buffer: *mut c_char, size: size_t) -> c_int {
    if buffer.is_null() || size == 0 {
        return -libc::EINVAL;
    }
    match &*title() {
        Some(title) if title.text.len() < size => {
            copy_truncated(&title.text, buffer, size);
            0
        }
        _ => -libc::ENOBUFS,
    }
}

/// Forgets the title.
#[unsafe(no_mangle)]
extern "C" fn uv_library_shutdown() {
    *title() = None;
}
