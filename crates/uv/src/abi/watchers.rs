//! Handles: their functions, which lead to the mechanisms.

use super::live::Live;
use super::message::abort_with;
use super::text::fill;
use crate::error::code;
use crate::layout::{
    Async, AsyncCallback, CloseCallback, FsEvent, FsEventCallback, FsPoll, FsPollCallback, Handle,
    Loop, PhaseCallback, PhaseHandle, Poll, PollCallback, Signal, SignalCallback, Timer,
    TimerCallback, kind,
};
use crate::{asynchronous, files, handle, phase, poll, signals, stat_watch, timer};
use libc::{c_char, c_int, c_uint, size_t};
use std::ffi::{CStr, CString};
use std::ptr::NonNull;

#[unsafe(no_mangle)]
pub(super) extern "C" fn uv_close(of: Live<Handle>, callback: Option<CloseCallback>) {
    if let Err(problem) = handle::close(of, callback) {
        abort_with(problem);
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_is_active(of: Live<Handle>) -> c_int {
    c_int::from(of.is_active())
}

#[unsafe(no_mangle)]
extern "C" fn uv_is_closing(of: Live<Handle>) -> c_int {
    c_int::from(of.is_closing())
}

#[unsafe(no_mangle)]
extern "C" fn uv_ref(of: Live<Handle>) {
    of.set_referenced(true);
}

#[unsafe(no_mangle)]
extern "C" fn uv_unref(of: Live<Handle>) {
    of.set_referenced(false);
}

#[unsafe(no_mangle)]
extern "C" fn uv_has_ref(of: Live<Handle>) -> c_int {
    c_int::from(of.has(crate::layout::flag::REFERENCED))
}

/// The fd of a handle that has one.
#[unsafe(no_mangle)]
extern "C" fn uv_fileno(of: Live<Handle>, fd: &mut c_int) -> c_int {
    match handle::fd(of) {
        Ok(number) => *fd = number,
        Err(error) => return crate::error::number(error),
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_timer_init(of: Live<Loop>, timer: Live<Timer>) -> c_int {
    timer::begin(of, timer);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_timer_start(
    timer: Live<Timer>,
    callback: Option<TimerCallback>,
    timeout_ms: u64,
    repeat_ms: u64,
) -> c_int {
    code(timer::start(timer, callback, timeout_ms, repeat_ms))
}

#[unsafe(no_mangle)]
extern "C" fn uv_timer_stop(timer: Live<Timer>) -> c_int {
    timer::stop(timer);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_timer_again(timer: Live<Timer>) -> c_int {
    code(timer::again(timer))
}

#[unsafe(no_mangle)]
extern "C" fn uv_timer_set_repeat(timer: Live<Timer>, repeat_ms: u64) {
    timer.repeat_ms.set(repeat_ms);
}

#[unsafe(no_mangle)]
extern "C" fn uv_timer_get_repeat(timer: Live<Timer>) -> u64 {
    timer.repeat_ms.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_timer_get_due_in(timer: Live<Timer>) -> u64 {
    timer::due_in_ms(timer)
}

/// Exports the three functions of a kind of handle that is called in each turn.
macro_rules! phases {
    ($($kind:ident: $init:ident $start:ident $stop:ident;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $init(of: Live<Loop>, handle: Live<PhaseHandle>) -> c_int {
            phase::begin(of, handle, kind::$kind);
            0
        }

        #[unsafe(no_mangle)]
        extern "C" fn $start(handle: Live<PhaseHandle>, callback: Option<PhaseCallback>) -> c_int {
            code(phase::start(handle, callback))
        }

        #[unsafe(no_mangle)]
        extern "C" fn $stop(handle: Live<PhaseHandle>) -> c_int {
            phase::stop(handle);
            0
        }
    )*};
}

phases! {
    IDLE: uv_idle_init uv_idle_start uv_idle_stop;
    PREPARE: uv_prepare_init uv_prepare_start uv_prepare_stop;
    CHECK: uv_check_init uv_check_start uv_check_stop;
}

#[unsafe(no_mangle)]
extern "C" fn uv_async_init(
    of: Live<Loop>,
    handle: Live<Async>,
    callback: Option<AsyncCallback>,
) -> c_int {
    asynchronous::begin(of, handle, callback);
    0
}

/// May be called in signal handlers.
#[unsafe(no_mangle)]
extern "C" fn uv_async_send(handle: Live<Async>) -> c_int {
    asynchronous::send(handle);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_poll_init(of: Live<Loop>, handle: Live<Poll>, fd: c_int) -> c_int {
    code(poll::begin(of, handle, fd))
}

#[unsafe(no_mangle)]
extern "C" fn uv_poll_init_socket(of: Live<Loop>, handle: Live<Poll>, fd: c_int) -> c_int {
    code(poll::begin(of, handle, fd))
}

#[unsafe(no_mangle)]
extern "C" fn uv_poll_start(
    handle: Live<Poll>,
    events: c_int,
    callback: Option<PollCallback>,
) -> c_int {
    code(poll::start(handle, events, callback))
}

#[unsafe(no_mangle)]
extern "C" fn uv_poll_stop(handle: Live<Poll>) -> c_int {
    poll::stop(handle);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_signal_init(of: Live<Loop>, handle: Live<Signal>) -> c_int {
    signals::begin(of, handle);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_signal_start(
    handle: Live<Signal>,
    callback: Option<SignalCallback>,
    number: c_int,
) -> c_int {
    code(signals::start(handle, callback, number, false))
}

#[unsafe(no_mangle)]
extern "C" fn uv_signal_start_oneshot(
    handle: Live<Signal>,
    callback: Option<SignalCallback>,
    number: c_int,
) -> c_int {
    code(signals::start(handle, callback, number, true))
}

#[unsafe(no_mangle)]
extern "C" fn uv_signal_stop(handle: Live<Signal>) -> c_int {
    signals::stop(handle);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_event_init(of: Live<Loop>, handle: Live<FsEvent>) -> c_int {
    files::begin(of, handle);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_event_start(
    handle: Live<FsEvent>,
    callback: Option<FsEventCallback>,
    path: NonNull<c_char>,
    _flags: c_uint, // none of them has a meaning on Linux
) -> c_int {
    // SAFETY: the caller's text ends with NUL.
    let path = unsafe { CStr::from_ptr(path.as_ptr()) };
    code(files::start(handle, callback, path))
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_event_stop(handle: Live<FsEvent>) -> c_int {
    files::stop(handle);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_event_getpath(
    handle: Live<FsEvent>,
    buffer: *mut c_char,
    size: *mut size_t,
) -> c_int {
    path_to(files::path(handle), buffer, size)
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_poll_init(of: Live<Loop>, handle: Live<FsPoll>) -> c_int {
    stat_watch::begin(of, handle);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_poll_start(
    handle: Live<FsPoll>,
    callback: Option<FsPollCallback>,
    path: NonNull<c_char>,
    interval_ms: c_uint,
) -> c_int {
    // SAFETY: the caller's text ends with NUL.
    let path = unsafe { CStr::from_ptr(path.as_ptr()) };
    code(stat_watch::start(handle, callback, path, interval_ms))
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_poll_stop(handle: Live<FsPoll>) -> c_int {
    stat_watch::stop(handle);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_poll_getpath(
    handle: Live<FsPoll>,
    buffer: *mut c_char,
    size: *mut size_t,
) -> c_int {
    path_to(stat_watch::path(handle), buffer, size)
}

/// Writes the path of a handle that is started.
fn path_to(path: Option<CString>, buffer: *mut c_char, size: *mut size_t) -> c_int {
    path.map_or(-libc::EINVAL, |path| fill(path.as_bytes(), buffer, size))
}
