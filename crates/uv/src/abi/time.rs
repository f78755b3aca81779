//! The clocks, by libc's functions: those of rustix crash under valgrind in a shared library.

use libc::{c_int, c_uint, timespec};
use std::time::Duration;

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// Times as libuv's `uv_timespec64_t` and `uv_timeval64_t`: the fraction has the clock's unit.
#[repr(C)]
struct Time64 {
    seconds: i64,
    fraction: i32,
}

fn read(clock: libc::clockid_t) -> timespec {
    let mut now = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: clock_gettime(2) writes the time; these clocks are always there.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now
}

/// The monotonic time in nanoseconds.
pub(crate) fn now_ns() -> u64 {
    let now = read(libc::CLOCK_MONOTONIC);
    now.tv_sec as u64 * NS_PER_S + now.tv_nsec as u64
}

/// The monotonic time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    now_ns() / NS_PER_MS
}

#[unsafe(no_mangle)]
extern "C" fn uv_hrtime() -> u64 {
    now_ns()
}

#[unsafe(no_mangle)]
extern "C" fn uv_clock_gettime(clock: c_int, time: Option<&mut Time64>) -> c_int {
    let Some(time) = time else {
        return -libc::EFAULT;
    };
    let clock = match clock {
        0 => libc::CLOCK_MONOTONIC,
        1 => libc::CLOCK_REALTIME,
        _ => return -libc::EINVAL,
    };
    let now = read(clock);
    time.seconds = now.tv_sec;
    time.fraction = now.tv_nsec as i32;
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_gettimeofday(time: Option<&mut Time64>) -> c_int {
    let Some(time) = time else {
        return -libc::EINVAL;
    };
    let now = read(libc::CLOCK_REALTIME);
    time.seconds = now.tv_sec;
    time.fraction = (now.tv_nsec / 1000) as i32;
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_sleep(ms: c_uint) {
    std::thread::sleep(Duration::from_millis(ms.into()));
}
