//! The process's pool.

use oneloop_core::JobPool;
use std::env;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// libuv's number of threads, and the most that `UV_THREADPOOL_SIZE` may ask for.
const THREADS: usize = 4;
const THREADS_MAX: usize = 1024;

static POOL: AtomicPtr<JobPool> = AtomicPtr::new(ptr::null_mut());

/// The pool of this process. It is never freed: its threads end with the process.
///
/// No lock guards it, as a lock may be held in the parent during a fork.
pub(crate) fn pool() -> &'static JobPool {
    let current = POOL.load(Ordering::Acquire);
    // SAFETY: null, or a pool that is never freed.
    if let Some(pool) = unsafe { current.as_ref() }.filter(|pool| !pool.is_forked()) {
        return pool;
    }
    let asked = env::var("UV_THREADPOOL_SIZE")
        .ok()
        .and_then(|text| text.parse().ok());
    let threads = asked.unwrap_or(THREADS).clamp(1, THREADS_MAX);
    let new = JobPool::new(threads, threads.div_ceil(2)).expect("memory for a pool");
    let new = Box::into_raw(Box::new(new));
    match POOL.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: it was just made, and is never freed.
        Ok(_) => unsafe { &*new },
        Err(_) => {
            // SAFETY: another thread was faster, so no thread has this one.
            drop(unsafe { Box::from_raw(new) });
            pool()
        }
    }
}
