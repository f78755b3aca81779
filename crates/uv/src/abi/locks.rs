//! Mutexes, read-write locks, semaphores, conditions, barriers, and what runs once: POSIX's own.
//!
//! A failure of a function without a result is a misuse of the lock, and ends the process.

use super::message::abort_with;
use libc::{
    c_int, c_uint, pthread_barrier_t, pthread_cond_t, pthread_mutex_t, pthread_rwlock_t, sem_t,
    timespec,
};
use std::mem::MaybeUninit;

/// Exports functions over one of POSIX, with the same arguments. Those that return a code negate
/// it; those that return nothing end the process if it fails.
macro_rules! over_posix {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $code:ident)? = $call:expr;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name($($argument: $type),*) $(-> $code)? {
            // SAFETY: the arguments are the caller's, which keeps to POSIX's contract of them.
            let error: c_int = unsafe { $call };
            over_posix!(@end $name error $($code)?)
        }
    )*};
    (@end $name:ident $error:ident c_int) => { -$error };
    (@end $name:ident $error:ident) => { check($error, stringify!($name)) };
}

over_posix! {
    uv_mutex_init(mutex: *mut pthread_mutex_t) -> c_int = init_mutex(mutex, libc::PTHREAD_MUTEX_NORMAL);
    uv_mutex_init_recursive(mutex: *mut pthread_mutex_t) -> c_int =
        init_mutex(mutex, libc::PTHREAD_MUTEX_RECURSIVE);
    uv_mutex_destroy(mutex: *mut pthread_mutex_t) = libc::pthread_mutex_destroy(mutex);
    uv_mutex_lock(mutex: *mut pthread_mutex_t) = libc::pthread_mutex_lock(mutex);
    uv_mutex_trylock(mutex: *mut pthread_mutex_t) -> c_int = libc::pthread_mutex_trylock(mutex);
    uv_mutex_unlock(mutex: *mut pthread_mutex_t) = libc::pthread_mutex_unlock(mutex);

    uv_rwlock_init(lock: *mut pthread_rwlock_t) -> c_int = libc::pthread_rwlock_init(lock, std::ptr::null());
    uv_rwlock_destroy(lock: *mut pthread_rwlock_t) = libc::pthread_rwlock_destroy(lock);
    uv_rwlock_rdlock(lock: *mut pthread_rwlock_t) = libc::pthread_rwlock_rdlock(lock);
    uv_rwlock_tryrdlock(lock: *mut pthread_rwlock_t) -> c_int = libc::pthread_rwlock_tryrdlock(lock);
    uv_rwlock_rdunlock(lock: *mut pthread_rwlock_t) = libc::pthread_rwlock_unlock(lock);
    uv_rwlock_wrlock(lock: *mut pthread_rwlock_t) = libc::pthread_rwlock_wrlock(lock);
    uv_rwlock_trywrlock(lock: *mut pthread_rwlock_t) -> c_int = libc::pthread_rwlock_trywrlock(lock);
    uv_rwlock_wrunlock(lock: *mut pthread_rwlock_t) = libc::pthread_rwlock_unlock(lock);

    uv_sem_init(semaphore: *mut sem_t, value: c_uint) -> c_int = errno_of(libc::sem_init(semaphore, 0, value));
    uv_sem_destroy(semaphore: *mut sem_t) = errno_of(libc::sem_destroy(semaphore));
    uv_sem_post(semaphore: *mut sem_t) = errno_of(libc::sem_post(semaphore));
    uv_sem_wait(semaphore: *mut sem_t) = uninterrupted(|| libc::sem_wait(semaphore));
    uv_sem_trywait(semaphore: *mut sem_t) -> c_int = uninterrupted(|| libc::sem_trywait(semaphore));

    uv_cond_init(condition: *mut pthread_cond_t) -> c_int = init_condition(condition);
    uv_cond_destroy(condition: *mut pthread_cond_t) = libc::pthread_cond_destroy(condition);
    uv_cond_signal(condition: *mut pthread_cond_t) = libc::pthread_cond_signal(condition);
    uv_cond_broadcast(condition: *mut pthread_cond_t) = libc::pthread_cond_broadcast(condition);
    uv_cond_wait(condition: *mut pthread_cond_t, mutex: *mut pthread_mutex_t) =
        libc::pthread_cond_wait(condition, mutex);
    uv_cond_timedwait(condition: *mut pthread_cond_t, mutex: *mut pthread_mutex_t, timeout_ns: u64) -> c_int =
        libc::pthread_cond_timedwait(condition, mutex, &deadline(timeout_ns));

    uv_barrier_init(barrier: *mut pthread_barrier_t, count: c_uint) -> c_int =
        libc::pthread_barrier_init(barrier, std::ptr::null(), count);
    uv_barrier_destroy(barrier: *mut pthread_barrier_t) = libc::pthread_barrier_destroy(barrier);
}

/// Waits for the others. One of the threads gets 1, and may destroy the barrier.
#[unsafe(no_mangle)]
extern "C" fn uv_barrier_wait(barrier: *mut pthread_barrier_t) -> c_int {
    // SAFETY: the caller has initialized the barrier.
    match unsafe { libc::pthread_barrier_wait(barrier) } {
        libc::PTHREAD_BARRIER_SERIAL_THREAD => 1,
        error => {
            check(error, "uv_barrier_wait");
            0
        }
    }
}

unsafe extern "C-unwind" {
    /// As libc's, which may unwind: the function that runs is the caller's.
    fn pthread_once(guard: *mut c_int, run: extern "C-unwind" fn()) -> c_int;
}

/// Calls a function unless it was called with this guard before.
#[unsafe(no_mangle)]
extern "C-unwind" fn uv_once(guard: *mut c_int, run: extern "C-unwind" fn()) {
    // SAFETY: the caller has initialized the guard. Nothing here has to be dropped if it unwinds.
    let error = unsafe { pthread_once(guard, run) };
    check(error, "uv_once");
}

fn check(error: c_int, name: &str) {
    if error != 0 {
        let problem = std::io::Error::from_raw_os_error(error);
        abort_with(&format!("{name}: {problem}"));
    }
}

/// The error of a function that returns -1 and sets errno.
fn errno_of(result: c_int) -> c_int {
    if result == 0 {
        0
    } else {
        std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO)
    }
}

fn uninterrupted(mut call: impl FnMut() -> c_int) -> c_int {
    loop {
        match errno_of(call()) {
            libc::EINTR => {}
            error => return error,
        }
    }
}

/// # Safety
/// `mutex` has room for a mutex.
unsafe fn init_mutex(mutex: *mut pthread_mutex_t, kind: c_int) -> c_int {
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: there is room for the attributes.
    let error = unsafe { libc::pthread_mutexattr_init(attributes.as_mut_ptr()) };
    if error != 0 {
        return error;
    }
    // SAFETY: they are initialized.
    let error = unsafe { libc::pthread_mutexattr_settype(attributes.as_mut_ptr(), kind) };
    if error != 0 {
        return error;
    }
    // SAFETY: the caller vouches for the mutex. On Linux attributes hold nothing to destroy.
    unsafe { libc::pthread_mutex_init(mutex, attributes.as_ptr()) }
}

/// # Safety
/// `condition` has room for a condition.
unsafe fn init_condition(condition: *mut pthread_cond_t) -> c_int {
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: there is room for the attributes.
    let error = unsafe { libc::pthread_condattr_init(attributes.as_mut_ptr()) };
    if error != 0 {
        return error;
    }
    // Timeouts are durations, so a clock that is set must not change them.
    // SAFETY: they are initialized.
    let error =
        unsafe { libc::pthread_condattr_setclock(attributes.as_mut_ptr(), libc::CLOCK_MONOTONIC) };
    if error != 0 {
        return error;
    }
    // SAFETY: the caller vouches for the condition. On Linux attributes hold nothing to destroy.
    unsafe { libc::pthread_cond_init(condition, attributes.as_ptr()) }
}

/// The time at which a wait that begins now ends.
fn deadline(timeout_ns: u64) -> timespec {
    let end_ns = super::time::now_ns().saturating_add(timeout_ns);
    timespec {
        tv_sec: (end_ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (end_ns % 1_000_000_000) as libc::c_long,
    }
}
