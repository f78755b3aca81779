//! What a child does between `fork(2)` and `exec(2)`, where the standard library has no word for it.

use crate::execute::{Image, Report};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, chdir, setrlimit, setsid};
use rustix::thread::{Gid, Uid, set_thread_gid, set_thread_groups, set_thread_uid};
use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

/// What is to be done, in this order.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(crate) dir: Option<CString>,
    pub(crate) group: Option<i32>,
    pub(crate) new_session: bool,
    pub(crate) open_files_max: Option<u64>,
    pub(crate) groups: Option<Vec<Gid>>,
    pub(crate) gid: Option<Gid>,
    pub(crate) uid: Option<Uid>,
    /// None if the standard library executes the program.
    pub(crate) execution: Option<(Image, Report)>,
}

impl Steps {
    /// Only system calls: in the child of a program with threads, nothing else may be done.
    fn take(&self) -> io::Result<()> {
        let Some((image, report)) = &self.execution else {
            return self.prepare();
        };
        let errno = match self.prepare() {
            Ok(()) => image.execute(),
            Err(error) => Errno::from_io_error(&error).unwrap_or(Errno::INVAL),
        };
        report.fail(errno)
    }

    fn prepare(&self) -> io::Result<()> {
        if let Some(dir) = &self.dir {
            chdir(dir)?;
        }
        if let Some(group) = self.group {
            set_group(group)?;
        }
        if self.new_session {
            setsid()?;
        }
        if let Some(count) = self.open_files_max {
            set_open_files_max(count)?;
        }
        match &self.groups {
            Some(groups) => set_thread_groups(groups)?,
            // As the standard library does: root's groups are not for others.
            None if self.uid.is_some() && rustix::process::getuid().is_root() => {
                set_thread_groups(&[])?;
            }
            None => {}
        }
        if let Some(gid) = self.gid {
            set_thread_gid(gid)?;
        }
        if let Some(uid) = self.uid {
            set_thread_uid(uid)?;
        }
        Ok(())
    }
}

/// The steps of one command, which may change between two spawns.
#[derive(Debug, Default)]
pub(crate) struct BeforeExec {
    /// There once the command has its hook.
    steps: Option<Arc<Mutex<Steps>>>,
}

impl BeforeExec {
    /// Changes the steps; the first time, it has the command take them.
    pub(crate) fn change(&mut self, command: &mut Command, change: impl FnOnce(&mut Steps)) {
        let steps = self.steps.get_or_insert_with(|| hooked(command));
        change(&mut steps.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// True once there is a hook, which costs `posix_spawn(3)`.
    pub(crate) fn is_hooked(&self) -> bool {
        self.steps.is_some()
    }

    pub(crate) fn is_new_session(&self) -> bool {
        let steps = self.steps.as_ref();
        steps.is_some_and(|steps| {
            let steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
            steps.new_session
        })
    }
}

/// `setpgid(2)` of this process. `rustix` has no negative numbers, which are an error of the kernel's.
#[allow(unsafe_code)]
fn set_group(group: i32) -> io::Result<()> {
    // SAFETY: it reads and writes no memory of ours.
    match unsafe { libc::setpgid(0, group) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sets the soft limit, unless it is that already: a sandbox may refuse to change it.
fn set_open_files_max(count: u64) -> io::Result<()> {
    let (current, maximum) = open_files_limits()?;
    if current != count {
        let limit = Rlimit {
            current: Some(count),
            maximum: Some(maximum),
        };
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(())
}

/// The soft limit and the hard one. `rustix` takes `getrlimit(2)` for a call that cannot fail.
#[allow(unsafe_code)]
fn open_files_limits() -> io::Result<(u64, u64)> {
    let mut limit = MaybeUninit::<libc::rlimit64>::uninit();
    // SAFETY: getrlimit(2) writes one rlimit, for which there is room.
    if unsafe { libc::getrlimit64(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it has succeeded, so it has written it.
    let limit = unsafe { limit.assume_init() };
    Ok((limit.rlim_cur, limit.rlim_max))
}

#[allow(unsafe_code)]
fn hooked(command: &mut Command) -> Arc<Mutex<Steps>> {
    let steps = Arc::new(Mutex::new(Steps::default()));
    let taken = Arc::clone(&steps);
    let take = move || {
        // Who spawns has the command, and so is the only one that could hold this lock.
        let steps = taken.lock().unwrap_or_else(PoisonError::into_inner);
        steps.take()
    };
    // SAFETY: it allocates nothing and takes no lock that another thread could hold at the fork: all it does
    // is system calls and `execvp(3)`, which the standard library calls there as well.
    unsafe { command.pre_exec(take) };
    steps
}
