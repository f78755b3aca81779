//! A child as an fd that is readable once it has ended: a pidfd, or a stand-in where a sandbox refuses them.
//!
//! The stand-in is a pipe, whose other end a thread closes that waits for the child. As long as it is not
//! reaped, which is for us to do, its number is its own and as good as a pidfd.

use crate::family::Own;
use oneloop_posix::{Optional, Refusal};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, pidfd_open, waitid, waitpid,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::{ptr, thread};

/// `PIDFD_SIGNAL_PROCESS_GROUP` of Linux 6.9: to the group that it leads, or has led.
const TO_GROUP: u32 = 1 << 2;

/// What a thread that waits for a child needs: it makes system calls, and may run a signal handler.
const STACK_BYTES: usize = 64 * 1024;

/// An end, whose exit status is left.
const ENDED: WaitIdOptions = WaitIdOptions::EXITED.union(WaitIdOptions::NOWAIT);

static PIDFD_OPEN: Optional = Optional::new();
static PIDFD_SEND_SIGNAL: Optional = Optional::new();
/// `waitid(2)` by a pidfd, which Linux 5.3 does not have: `EINVAL`.
static WAITID: Optional = Optional::new();

/// What is held while a child is started, so that there is an fd for it.
#[derive(Debug)]
pub(crate) enum Reserved {
    /// The first process's pidfd, as any will do, which keeps a place among the open files free.
    Pidfd(OwnedFd),
    StandIn {
        reader: OwnedFd,
        writer: OwnedFd,
    },
}

/// # Errors
/// [`Unsupported`](io::ErrorKind::Unsupported) where nothing tells of a child's end; `EMFILE`, `ENFILE`.
pub(crate) fn reserve() -> io::Result<Reserved> {
    if PIDFD_OPEN.is_available() {
        match pidfd_open(Pid::INIT, PidfdFlags::empty()) {
            Ok(pidfd) => return Ok(Reserved::Pidfd(pidfd)),
            Err(error) if PIDFD_OPEN.is_refused_by(&error.into()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let options = ENDED | WaitIdOptions::NOHANG;
    match waitid(WaitId::Pid(Pid::INIT), options) {
        Err(error) if Refusal::of(error) == Some(Refusal::Everywhere) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "child processes need pidfd_open(2) or waitid(2), and both are refused: {error}"
            ),
        )),
        _ => {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            Ok(Reserved::StandIn { reader, writer })
        }
    }
}

impl Reserved {
    /// The fd of a child that was just started; none if the kernel has reaped it, as `SIGCHLD` is ignored.
    ///
    /// # Errors
    /// `EMFILE`; `EAGAIN` if there is no thread for it.
    pub(crate) fn into_child(self, pid: Pid) -> io::Result<Option<ChildFd>> {
        let (fd, is_pidfd) = match self {
            Reserved::Pidfd(reserved) => {
                drop(reserved);
                match pidfd_open(pid, PidfdFlags::empty()) {
                    Ok(pidfd) => (pidfd, true),
                    Err(Errno::SRCH) => return Ok(None),
                    Err(error) => return Err(error.into()),
                }
            }
            Reserved::StandIn { reader, writer } => {
                let thread = thread::Builder::new().stack_size(STACK_BYTES);
                thread.spawn(move || {
                    while waitid(WaitId::Pid(pid), ENDED).is_err_and(|error| error == Errno::INTR) {
                    }
                    drop(writer);
                })?;
                (reader, false)
            }
        };
        Ok(Some(ChildFd {
            fd,
            is_pidfd,
            own: Own::new(pid),
        }))
    }
}

/// A child of ours.
#[derive(Debug)]
pub(crate) struct ChildFd {
    fd: OwnedFd,
    is_pidfd: bool,
    own: Own,
}

/// Readable once the child has ended.
impl AsFd for ChildFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl ChildFd {
    /// Takes the exit status, if it has ended. It is not a zombie any more then.
    ///
    /// # Errors
    /// `ECHILD` if it was reaped elsewhere.
    pub(crate) fn reap(&self) -> io::Result<Option<ExitStatus>> {
        self.own.reap(|pid| {
            if self.is_pidfd && WAITID.is_available() {
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
                match waitid(WaitId::PidFd(self.as_fd()), options) {
                    Err(error) if WAITID.is_refused_by(&error.into()) => {}
                    status => return Ok(status?.map(|status| exit_status(&status))),
                }
            }
            let ended = waitpid(Some(pid), WaitOptions::NOHANG)?;
            Ok(ended.map(|(_, status)| ExitStatus::from_raw(status.as_raw())))
        })
    }

    /// Sends a signal to the process, which we have not reaped: so it goes to no other one that has got its
    /// number since.
    ///
    /// # Errors
    /// `ESRCH` once it was reaped elsewhere; `EPERM`; `EINVAL` for what is no signal.
    pub(crate) fn signal(&self, number: i32) -> io::Result<()> {
        let pid = self.own.pid().as_raw_nonzero().get();
        if !self.is_pidfd || !PIDFD_SEND_SIGNAL.is_available() {
            return kill(pid, number);
        }
        match send(self.as_fd(), number, 0) {
            Err(error) if PIDFD_SEND_SIGNAL.may_be_refused_by(&error) => {
                kill(pid, number)?;
                PIDFD_SEND_SIGNAL.refuse(); // the EPERM was not about the process's user
                Ok(())
            }
            result => result,
        }
    }

    /// Sends a signal to all of the group that the process leads or has led. Without
    /// `PIDFD_SIGNAL_PROCESS_GROUP` it goes by number, which is the group's only until we have reaped its
    /// leader.
    ///
    /// # Errors
    /// As [`signal`](ChildFd::signal).
    pub(crate) fn signal_group(&self, number: i32, is_reaped: bool) -> io::Result<()> {
        if self.is_pidfd && PIDFD_SEND_SIGNAL.is_available() {
            match send(self.as_fd(), number, TO_GROUP) {
                Err(error) if Refusal::of_error(&error).is_some() => {}
                result => return result,
            }
        }
        if is_reaped {
            return Err(Errno::SRCH.into());
        }
        kill(-self.own.pid().as_raw_nonzero().get(), number)
    }
}

/// The same in the words of `wait(2)`.
fn exit_status(status: &WaitIdStatus) -> ExitStatus {
    let signal = status.terminating_signal().unwrap_or(0);
    let dumped = if status.dumped() { 0x80 } else { 0 };
    ExitStatus::from_raw(match status.exit_status() {
        Some(code) => (code & 0xff) << 8,
        None => signal | dumped,
    })
}

#[allow(unsafe_code)]
fn send(pidfd: BorrowedFd<'_>, number: i32, flags: u32) -> io::Result<()> {
    let call = libc::SYS_pidfd_send_signal;
    let info = ptr::null::<libc::siginfo_t>();
    // SAFETY: a null `siginfo_t` has the kernel fill in its own, so it reads none of our memory.
    let result = unsafe { libc::syscall(call, pidfd.as_raw_fd(), number, info, flags) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// `kill(2)`, which `rustix` has for named signals only.
#[allow(unsafe_code)]
fn kill(target: i32, number: i32) -> io::Result<()> {
    // SAFETY: it reads and writes no memory of ours.
    match unsafe { libc::kill(target, number) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
