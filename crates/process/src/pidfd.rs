//! An fd that is readable once a child has ended: a pidfd, or a stand-in where a sandbox refuses
//! pidfds.
//!
//! The stand-in is a pipe. A thread waits for the child, and closes the other end when it has
//! ended. Until this crate reaps the child, no other process can get its id, so the id is as good
//! as a pidfd.

use crate::family::OwnChild;
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

/// `PIDFD_SIGNAL_PROCESS_GROUP` of Linux 6.9: signals the group that the process leads, or has led.
const TO_GROUP: u32 = 1 << 2;

/// The stack of a thread that waits for a child. It makes system calls, and may run a signal
/// handler.
const STACK_BYTES: usize = 64 * 1024;

/// Waits for the end of a child, and leaves its exit status (it stays a zombie).
const ENDED: WaitIdOptions = WaitIdOptions::EXITED.union(WaitIdOptions::NOWAIT);

static PIDFD_OPEN: Optional = Optional::new();
static PIDFD_SEND_SIGNAL: Optional = Optional::new();
/// `waitid(2)` with `P_PIDFD`, since Linux 5.4; `EINVAL` before.
static WAITID: Optional = Optional::new();

/// An fd that is reserved before a child starts. If fds run out, the spawn then fails before there
/// is a child that no fd could watch.
#[derive(Debug)]
pub(crate) enum Reserved {
    /// A pidfd of process 1. Any process would do: it only keeps one open file free.
    Pidfd(OwnedFd),
    /// The pipe that a thread will close.
    StandIn { reader: OwnedFd, writer: OwnedFd },
}

/// Reserves the fd for a child.
///
/// # Errors
/// [`Unsupported`](io::ErrorKind::Unsupported) if no system call can wait for a child; `EMFILE`,
/// `ENFILE`.
pub(crate) fn reserve() -> io::Result<Reserved> {
    if PIDFD_OPEN.is_available() {
        match pidfd_open(Pid::INIT, PidfdFlags::empty()) {
            Ok(pidfd) => return Ok(Reserved::Pidfd(pidfd)),
            Err(error) if PIDFD_OPEN.is_refused_by(&error.into()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Checks only whether the sandbox refuses the call. Process 1 is not our child, so the kernel
    // itself returns ECHILD.
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
    /// Turns the reservation into the fd of a child that was just started. `None` if the kernel has
    /// reaped the child already, because `SIGCHLD` is ignored.
    ///
    /// # Errors
    /// `EMFILE` if another thread took the fd; `EAGAIN` if no thread can be started.
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
            own: OwnChild::new(pid),
        }))
    }
}

/// A child of this library that was not reaped when it was opened.
#[derive(Debug)]
pub(crate) struct ChildFd {
    fd: OwnedFd,
    is_pidfd: bool,
    own: OwnChild,
}

/// Readable once the child has ended.
impl AsFd for ChildFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl ChildFd {
    /// Reaps the child and returns its exit status, if it has ended.
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

    /// Sends a signal to the child, which this crate has not reaped. So no other process has its
    /// id.
    ///
    /// # Errors
    /// `ESRCH` once it was reaped elsewhere; `EPERM`; `EINVAL` if `number` is no signal.
    pub(crate) fn signal(&self, number: i32) -> io::Result<()> {
        let pid = self.own.pid().as_raw_nonzero().get();
        if !self.is_pidfd || !PIDFD_SEND_SIGNAL.is_available() {
            return kill(pid, number);
        }
        match send(self.as_fd(), number, 0) {
            Err(error) if PIDFD_SEND_SIGNAL.may_be_refused_by(&error) => {
                kill(pid, number)?;
                // kill(2) succeeded, so the EPERM came from a sandbox and not from the child's
                // user.
                PIDFD_SEND_SIGNAL.refuse();
                Ok(())
            }
            result => result,
        }
    }

    /// Sends a signal to all processes of the group that the child leads or has led. Without
    /// `PIDFD_SIGNAL_PROCESS_GROUP` it goes by id, which may name another group once the leader is
    /// reaped.
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

/// Converts a status of waitid(2) to one of wait(2), which std has.
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
    // SAFETY: for a null `siginfo_t` the kernel makes its own, so it reads none of our memory.
    let result = unsafe { libc::syscall(call, pidfd.as_raw_fd(), number, info, flags) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// `kill(2)`. The function of `rustix` takes named signals only, and so no real-time signal.
#[allow(unsafe_code)]
fn kill(target: i32, number: i32) -> io::Result<()> {
    // SAFETY: the call reads and writes no memory of ours.
    match unsafe { libc::kill(target, number) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
