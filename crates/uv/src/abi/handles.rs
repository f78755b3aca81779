//! What all handles and requests have, and their sizes.

use super::buffers::Buffer;
use super::guess::guess;
use super::live::Live;
use crate::layout::{HANDLE_BYTES, Handle, Loop, REQUEST_BYTES, Request};
use libc::{c_char, c_int, c_uint, c_void, size_t};
use std::ffi::CStr;
use std::ptr;

#[unsafe(no_mangle)]
extern "C" fn uv_buf_init(base: *mut c_char, length: c_uint) -> Buffer {
    Buffer {
        base,
        length: length as size_t,
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_loop_size() -> size_t {
    size_of::<Loop>()
}

#[unsafe(no_mangle)]
extern "C" fn uv_handle_size(kind: c_int) -> size_t {
    size_of_kind(&HANDLE_BYTES, kind)
}

#[unsafe(no_mangle)]
extern "C" fn uv_req_size(kind: c_int) -> size_t {
    size_of_kind(&REQUEST_BYTES, kind)
}

/// The size of a kind, or -1 as the largest number, if there is no such kind.
fn size_of_kind(bytes: &[usize], kind: c_int) -> size_t {
    let known = usize::try_from(kind).ok().and_then(|kind| bytes.get(kind));
    known
        .copied()
        .filter(|bytes| *bytes > 0)
        .unwrap_or(usize::MAX)
}

const HANDLE_NAMES: [&CStr; 17] = [
    c"async",
    c"check",
    c"fs_event",
    c"fs_poll",
    c"handle",
    c"idle",
    c"pipe",
    c"poll",
    c"prepare",
    c"process",
    c"stream",
    c"tcp",
    c"timer",
    c"tty",
    c"udp",
    c"signal",
    c"file",
];
const REQUEST_NAMES: [&CStr; 10] = [
    c"req",
    c"connect",
    c"write",
    c"shutdown",
    c"udp_send",
    c"fs",
    c"work",
    c"getaddrinfo",
    c"getnameinfo",
    c"random",
];

/// The name of a kind; null if there is no such kind. Kind 0 has no name.
fn name_of_kind(names: &[&'static CStr], kind: c_int) -> *const c_char {
    let index = usize::try_from(kind)
        .ok()
        .and_then(|kind| kind.checked_sub(1));
    index
        .and_then(|index| names.get(index))
        .map_or(ptr::null(), |name| name.as_ptr())
}

/// The name of a kind of handle.
pub(super) fn handle_name(kind: c_int) -> &'static CStr {
    let index = usize::try_from(kind)
        .ok()
        .and_then(|kind| kind.checked_sub(1));
    index
        .and_then(|index| HANDLE_NAMES.get(index))
        .copied()
        .unwrap_or(c"unknown")
}

#[unsafe(no_mangle)]
extern "C" fn uv_handle_type_name(kind: c_int) -> *const c_char {
    name_of_kind(&HANDLE_NAMES, kind)
}

#[unsafe(no_mangle)]
extern "C" fn uv_req_type_name(kind: c_int) -> *const c_char {
    name_of_kind(&REQUEST_NAMES, kind)
}

#[unsafe(no_mangle)]
extern "C" fn uv_handle_get_type(handle: Live<Handle>) -> c_int {
    handle.kind.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_handle_get_loop(handle: Live<Handle>) -> *mut Loop {
    handle.owner.get().map_or(ptr::null_mut(), Live::as_ptr)
}

#[unsafe(no_mangle)]
extern "C" fn uv_handle_get_data(handle: Live<Handle>) -> *mut c_void {
    handle.data.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_handle_set_data(handle: Live<Handle>, data: *mut c_void) {
    handle.data.set(data);
}

#[unsafe(no_mangle)]
extern "C" fn uv_req_get_type(request: Live<Request>) -> c_int {
    request.kind.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_req_get_data(request: Live<Request>) -> *mut c_void {
    request.data.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_req_set_data(request: Live<Request>, data: *mut c_void) {
    request.data.set(data);
}

#[unsafe(no_mangle)]
extern "C" fn uv_loop_get_data(of: Live<Loop>) -> *mut c_void {
    of.data.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_loop_set_data(of: Live<Loop>, data: *mut c_void) {
    of.data.set(data);
}

/// The kind of handle that fits an open fd.
#[unsafe(no_mangle)]
extern "C" fn uv_guess_handle(fd: c_int) -> c_int {
    guess(fd)
}
