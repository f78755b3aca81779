//! Tells a process from one that was forked from it.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// The number of forks between the first process that used this and the current one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// True once the handler that counts forks is registered.
static IS_COUNTING: Mutex<bool> = Mutex::new(false);

/// The process that made this value.
///
/// A forked child has a copy of the value and is another process, although both share kernel
/// objects such as an epoll instance. [`Process::is_this`] costs one load and no system call. A
/// `clone(2)` that bypasses libc is not noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    forks: u32,
}

impl Process {
    /// The process that calls this.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn this() -> io::Result<Self> {
        // A panic cannot leave it half-changed.
        let mut is_counting = IS_COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_counting {
            start_counting()?;
            *is_counting = true;
        }
        Ok(Process { forks: forks() })
    }

    /// True in the process that made the value.
    #[inline]
    pub fn is_this(self) -> bool {
        self.forks == forks()
    }
}

#[inline]
fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Registers a handler for forks. A process id would not do: `getpid(2)` is a system call since
/// libc no longer caches it, and each poll of each loop checks its process.
fn start_counting() -> io::Result<()> {
    // SAFETY: the function stays in memory for as long as the process lives, because nothing
    // unloads a linked library; in the child it only adds to an atomic, which is allowed there.
    match unsafe { libc::pthread_atfork(None, None, Some(count_fork)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
