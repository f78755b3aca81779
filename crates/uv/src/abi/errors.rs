//! Names and messages of errors.

use super::memory;
use super::text::copy_truncated;
use crate::error::describe;
use libc::{c_char, c_int, size_t};

#[unsafe(no_mangle)]
extern "C" fn uv_strerror(error: c_int) -> *const c_char {
    match describe(error) {
        Some((_, message)) => message.as_ptr().cast(),
        None => unknown(error),
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_err_name(error: c_int) -> *const c_char {
    match describe(error) {
        Some((name, _)) => name.as_ptr().cast(),
        None => unknown(error),
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_strerror_r(error: c_int, buffer: *mut c_char, size: size_t) -> *mut c_char {
    let known = describe(error).map(|(_, message)| message);
    copy(error, known, buffer, size)
}

#[unsafe(no_mangle)]
extern "C" fn uv_err_name_r(error: c_int, buffer: *mut c_char, size: size_t) -> *mut c_char {
    let known = describe(error).map(|(name, _)| name);
    copy(error, known, buffer, size)
}

#[unsafe(no_mangle)]
extern "C" fn uv_translate_sys_error(system: c_int) -> c_int {
    // Numbers of the system are positive; one of libuv's own stays as it is.
    if system <= 0 { system } else { -system }
}

fn unknown_text(error: c_int) -> String {
    format!("Unknown system error {error}")
}

/// The text of a number that is no error. It is never freed, as libuv's documentation says.
fn unknown(error: c_int) -> *const c_char {
    let text = memory::text(unknown_text(error).as_bytes());
    if text.is_null() {
        c"Unknown system error".as_ptr()
    } else {
        text
    }
}

fn copy(error: c_int, known: Option<&str>, buffer: *mut c_char, size: size_t) -> *mut c_char {
    let text = known.map_or_else(|| unknown_text(error), str::to_owned);
    copy_truncated(text.trim_end_matches('\0').as_bytes(), buffer, size);
    buffer
}
