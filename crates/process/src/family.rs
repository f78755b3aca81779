//! A list of the children that this library has started, and the reaping of all others.
//!
//! PID 1 of a container, or a subreaper, becomes the parent of orphans, which stay zombies until it
//! reaps them. It must not take the exit status of a child that a loop waits for.

use rustix::process::{Pid, WaitOptions, waitpid};
use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::process::{self, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// The ids of the children that this library has started and not reaped.
static OWN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Locked for reading while a child is started: for a moment it runs and is not in [`OWN`].
static STARTING: RwLock<()> = RwLock::new(());

fn own() -> MutexGuard<'static, BTreeSet<i32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps [`reap_adopted`] waiting. Held from before a child is started until it is in [`OWN`], or
/// reaped.
pub(crate) fn starting() -> RwLockReadGuard<'static, ()> {
    STARTING.read().unwrap_or_else(PoisonError::into_inner)
}

/// A child that this library has started.
#[derive(Debug)]
pub(crate) struct OwnChild {
    pid: Pid,
    is_reaped: AtomicBool,
}

impl OwnChild {
    pub(crate) fn new(pid: Pid) -> Self {
        own().insert(pid.as_raw_nonzero().get());
        OwnChild {
            pid,
            is_reaped: AtomicBool::new(false),
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Reaps the child, if it has ended.
    // Under the lock: once it is reaped, another thread may start a child with the same id, and
    // must not add that id before this removes it.
    pub(crate) fn reap(
        &self,
        reap: impl FnOnce(Pid) -> io::Result<Option<ExitStatus>>,
    ) -> io::Result<Option<ExitStatus>> {
        let mut own = own();
        let reaped = reap(self.pid);
        if !matches!(reaped, Ok(None)) {
            self.is_reaped.store(true, Ordering::Relaxed);
            own.remove(&self.pid.as_raw_nonzero().get());
        }
        reaped
    }
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        if !*self.is_reaped.get_mut() {
            own().remove(&self.pid.as_raw_nonzero().get());
        }
    }
}

/// True if orphans become children of this process: it is PID 1 of its container, or a subreaper
/// (`PR_SET_CHILD_SUBREAPER`). Such a program calls [`reap_adopted`].
#[allow(unsafe_code)]
pub fn adopts_orphans() -> bool {
    if process::id() == 1 {
        return true;
    }
    let mut is_subreaper: libc::c_int = 0;
    // SAFETY: prctl(2) writes an int to the address that it is given.
    let failed = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut is_subreaper) };
    failed == 0 && is_subreaper != 0
}

/// Which children [`reap_adopted`] has not reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// No child that has ended is left. `SIGCHLD` will report the next one.
    Nothing,
    /// A child of a [`Command`](crate::Command), which its loop reaps, and perhaps others after it:
    /// call again in some milliseconds.
    Own,
}

/// Reaps all children that have ended, except those that a [`Command`](crate::Command) of this
/// library has started: the orphans that this process adopted. It also reaps children that other
/// code has started, such as by [`std::process::Command`], so call it only in programs without such
/// code.
///
/// It waits for no child, only until no other thread is starting one.
///
/// # Errors
/// Those of `waitid(2)`: a sandbox may refuse it.
#[doc(alias("SIGCHLD", "waitpid", "zombie"))]
pub fn reap_adopted() -> io::Result<Left> {
    loop {
        let _no_start = STARTING.write().unwrap_or_else(PoisonError::into_inner);
        let own = own();
        let Some(id) = first_ended()? else {
            return Ok(Left::Nothing);
        };
        if own.contains(&id) {
            return Ok(Left::Own);
        }
        waitpid(Pid::from_raw(id), WaitOptions::NOHANG)?;
    }
}

/// Returns the id of the first child that has ended, and leaves it a zombie.
// By libc, because the function of `rustix` does not return the id.
#[allow(unsafe_code)]
fn first_ended() -> io::Result<Option<i32>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: waitid(2) writes one siginfo_t, and `info` has room for it.
    if unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) } != 0 {
        let error = io::Error::last_os_error();
        let has_none = error.raw_os_error() == Some(libc::ECHILD);
        return if has_none { Ok(None) } else { Err(error) };
    }
    // SAFETY: all zeros are a valid siginfo_t, and waitid(2) writes nothing else if it finds no
    // child.
    let info = unsafe { info.assume_init() };
    // SAFETY: waitid(2) filled it in for a child, which has a pid, or it is all zeros.
    let id = unsafe { info.si_pid() };
    Ok((id != 0).then_some(id))
}
