//! Steps of a child between `fork(2)` and `exec(2)` that the standard library does not have.

use crate::execute::{ErrorSender, Image};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Resource, Rlimit, chdir, setrlimit, setsid};
use rustix::thread::{Gid, Uid, set_thread_gid, set_thread_groups, set_thread_uid};
use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

/// The number of the first fd that is passed to a child: the one behind the standard streams.
pub(crate) const FIRST_FD: RawFd = 3;

/// The steps of the child before it executes the program, in this order.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// The working directory.
    pub(crate) dir: Option<CString>,
    /// The process group; 0 for a new one.
    pub(crate) group: Option<i32>,
    pub(crate) new_session: bool,
    pub(crate) open_files_max: Option<u64>,
    pub(crate) groups: Option<Vec<Gid>>,
    pub(crate) gid: Option<Gid>,
    pub(crate) uid: Option<Uid>,
    /// What is passed to the child.
    pub(crate) fds: PassedFds,
    /// `None` if the standard library executes the program.
    pub(crate) execution: Option<(Image, ErrorSender)>,
}

impl Steps {
    /// Runs the steps, in the child.
    // Only system calls: in the child of a program with threads, fork(2) allows only functions that
    // are async-signal-safe. Another thread may have held the lock of the allocator.
    fn run(&self) -> io::Result<()> {
        let Some((image, sender)) = &self.execution else {
            return self.prepare();
        };
        let errno = match self.prepare() {
            Ok(()) => image.execute(),
            Err(error) => Errno::from_io_error(&error).unwrap_or(Errno::INVAL),
        };
        sender.fail(errno)
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
            // As the standard library does: a child that runs as another user must not keep root's
            // groups.
            None if self.uid.is_some() && rustix::process::getuid().is_root() => {
                set_thread_groups(&[])?;
            }
            None => {}
        }
        // The groups before the user: without root, setgid(2) and setgroups(2) would fail.
        if let Some(gid) = self.gid {
            set_thread_gid(gid)?;
        }
        if let Some(uid) = self.uid {
            set_thread_uid(uid)?;
        }
        // Last: none of the steps above needs an fd that this replaces.
        self.fds.place()
    }
}

/// Fds on their way to a child, which gets them with the numbers from [`FIRST_FD`] on.
///
/// ```text
///   parent:  fds ── dup ──▶ sources, all behind the numbers that the child will use
///   child:   sources ── dup2 ──▶ FIRST_FD, FIRST_FD + 1, …   (no source is a target of another)
/// ```
#[derive(Debug, Default)]
pub(crate) struct PassedFds {
    sources: Vec<OwnedFd>,
    /// Hold the targets' numbers in the parent, so that the standard library opens the pipe of its
    /// own spawn behind them.
    _reserved: Vec<OwnedFd>,
}

impl PassedFds {
    /// Duplicates the fds, for the next spawn.
    ///
    /// # Errors
    /// `EMFILE`.
    pub(crate) fn of(fds: &[OwnedFd]) -> io::Result<Self> {
        let behind = PassedFds::behind(fds);
        let copies = fds.iter().map(|fd| Ok(fcntl_dupfd_cloexec(fd, behind)?));
        let sources = copies.collect::<io::Result<Vec<_>>>()?;
        let mut reserved = Vec::new();
        if let Some(source) = sources.first() {
            loop {
                let copy = fcntl_dupfd_cloexec(source, FIRST_FD)?;
                if copy.as_raw_fd() >= behind {
                    break;
                }
                reserved.push(copy);
            }
        }
        Ok(PassedFds {
            sources,
            _reserved: reserved,
        })
    }

    /// The first number that the child does not use.
    pub(crate) fn behind(fds: &[OwnedFd]) -> RawFd {
        RawFd::try_from(fds.len()).map_or(RawFd::MAX, |count| FIRST_FD.saturating_add(count))
    }

    /// Places the fds, in the child. dup2(2) clears `CLOEXEC` in the copy.
    #[allow(unsafe_code)]
    fn place(&self) -> io::Result<()> {
        for (target, source) in (FIRST_FD..).zip(&self.sources) {
            // SAFETY: the call touches no memory. It closes an fd of this forked child, which
            // executes another program or exits next, and runs no destructor.
            if unsafe { libc::dup2(source.as_raw_fd(), target) } == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

/// The steps of one command, which may change between two spawns.
#[derive(Debug, Default)]
pub(crate) struct BeforeExec {
    /// `None` until the first step hooks into the command.
    steps: Option<Arc<Mutex<Steps>>>,
}

impl BeforeExec {
    /// Changes the steps. The first change hooks them into the command.
    pub(crate) fn change(&mut self, command: &mut Command, change: impl FnOnce(&mut Steps)) {
        let steps = self.steps.get_or_insert_with(|| hooked(command));
        change(&mut steps.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// True once the steps are hooked in. The standard library then forks and cannot use
    /// `posix_spawn(3)`.
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

/// `setpgid(2)` of this process. The function of `rustix` cannot take a negative group, for which
/// the kernel returns an error.
#[allow(unsafe_code)]
fn set_group(group: i32) -> io::Result<()> {
    // SAFETY: the call reads and writes no memory of ours.
    match unsafe { libc::setpgid(0, group) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sets the soft limit of open files, unless it has that value already: a sandbox may refuse
/// setrlimit(2).
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

/// Returns the soft limit and the hard one. `rustix` assumes that getrlimit(2) cannot fail.
#[allow(unsafe_code)]
fn open_files_limits() -> io::Result<(u64, u64)> {
    let mut limit = MaybeUninit::<libc::rlimit64>::uninit();
    // SAFETY: getrlimit(2) writes one rlimit, and `limit` has room for it.
    if unsafe { libc::getrlimit64(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, so it has written the limit.
    let limit = unsafe { limit.assume_init() };
    Ok((limit.rlim_cur, limit.rlim_max))
}

#[allow(unsafe_code)]
fn hooked(command: &mut Command) -> Arc<Mutex<Steps>> {
    let steps = Arc::new(Mutex::new(Steps::default()));
    let hooked = Arc::clone(&steps);
    let run = move || {
        // Never blocks: only the owner of the command takes this lock, and that is the thread that
        // forks.
        let steps = hooked.lock().unwrap_or_else(PoisonError::into_inner);
        steps.run()
    };
    // SAFETY: the hook allocates nothing, and takes no lock that another thread could hold at the
    // fork. It makes system calls, and calls `execvp(3)`, as the standard library does there.
    unsafe { command.pre_exec(run) };
    steps
}
