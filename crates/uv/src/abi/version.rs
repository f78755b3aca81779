//! The version of libuv whose interface this is.

use std::ffi::{CStr, c_char, c_uint};

const MAJOR: c_uint = 1;
const MINOR: c_uint = 52;
const PATCH: c_uint = 0;
const TEXT: &CStr = c"1.52.0";

#[unsafe(no_mangle)]
extern "C" fn uv_version() -> c_uint {
    MAJOR << 16 | MINOR << 8 | PATCH
}

#[unsafe(no_mangle)]
extern "C" fn uv_version_string() -> *const c_char {
    TEXT.as_ptr()
}
