//! Whether this is still the process that made something, or one that was forked from it.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many forks lie between the first process that used this and the one that runs now.
static FORKS: AtomicU32 = AtomicU32::new(0);

static IS_HEARD: Mutex<bool> = Mutex::new(false);

/// The process that made this value. A child that was forked from it has a copy of the value, and is
/// another one: what the kernel holds for the two of them, such as an epoll instance, is shared.
///
/// The look costs one load; no system call. A `clone(2)` that goes past libc is not noticed.
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
        let mut is_heard = IS_HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_heard {
            hear_of_forks()?;
            *is_heard = true;
        }
        Ok(Process { forks: forks() })
    }

    /// True if this is the process that made the value.
    #[inline]
    pub fn is_this(self) -> bool {
        self.forks == forks()
    }
}

#[inline]
fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

fn hear_of_forks() -> io::Result<()> {
    // SAFETY: the function stays where it is for as long as the process lives, as nothing unloads this
    // library while it is linked; in the child it only adds to an atomic, which any code may do there.
    match unsafe { libc::pthread_atfork(None, None, Some(count_fork)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
