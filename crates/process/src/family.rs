//! Which children this library has started, and reaping those that nobody here has.
//!
//! As PID 1 of a container, or as a subreaper, a process becomes the parent of orphans, and they stay
//! zombies until it reaps them. That must not take the exit status of a child that a loop waits for.

use rustix::process::{Pid, WaitOptions, waitpid};
use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::process::{self, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// The children that were started here, and not reaped yet.
static OWN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Read while a child is started, which is not known as ours for a moment.
static STARTING: RwLock<()> = RwLock::new(());

fn own() -> MutexGuard<'static, BTreeSet<i32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held from before a child is started until it is known as ours, or reaped.
pub(crate) fn starting() -> RwLockReadGuard<'static, ()> {
    STARTING.read().unwrap_or_else(PoisonError::into_inner)
}

/// A child that was started here.
#[derive(Debug)]
pub(crate) struct Own {
    pid: Pid,
    is_reaped: AtomicBool,
}

impl Own {
    pub(crate) fn new(pid: Pid) -> Self {
        own().insert(pid.as_raw_nonzero().get());
        Own {
            pid,
            is_reaped: AtomicBool::new(false),
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Reaps it, if it has ended. Its number may be another child's at once: that is not known before
    /// this one is forgotten.
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

impl Drop for Own {
    fn drop(&mut self) {
        if !*self.is_reaped.get_mut() {
            own().remove(&self.pid.as_raw_nonzero().get());
        }
    }
}

/// True if orphans become children of this process: it is the first one of its container, or a
/// `PR_SET_CHILD_SUBREAPER`. [`reap_adopted`] is for such a program.
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

/// What [`reap_adopted`] has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// No child that has ended. `SIGCHLD` tells of the next one.
    Nothing,
    /// A child of a [`Command`](crate::Command), whose loop reaps it, and perhaps others behind it: call
    /// again in some milliseconds.
    Own,
}

/// Reaps children that have ended, but for those that a [`Command`](crate::Command) of this library has started: the
/// orphans that became this process's. Children that other parts of the program have started otherwise,
/// such as by [`std::process::Command`], are taken as well, so it is for programs that know of none.
///
/// It waits for no child, but until no other thread is starting one.
///
/// # Errors
/// Those of `waitid(2)`: a sandbox may refuse it.
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

/// The first child that has ended, which stays a zombie. `rustix` does not tell which one it is.
#[allow(unsafe_code)]
fn first_ended() -> io::Result<Option<i32>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: waitid(2) fills in a siginfo_t, for which there is room.
    if unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) } != 0 {
        let error = io::Error::last_os_error();
        let has_none = error.raw_os_error() == Some(libc::ECHILD);
        return if has_none { Ok(None) } else { Err(error) };
    }
    // SAFETY: it may be all zeros, and is so if waitid(2) has found no child.
    let info = unsafe { info.assume_init() };
    // SAFETY: of a child, or all zeros, it has a pid.
    let id = unsafe { info.si_pid() };
    Ok((id != 0).then_some(id))
}
