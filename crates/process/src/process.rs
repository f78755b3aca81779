//! A process that a command started: its signals, and its end.

use crate::orphans;
use crate::pidfd::{ChildFd, Reserved};
use oneloop_core::{Direction, Done, Handle, Interest, Ownership, Sleep, Source};
use oneloop_sync::{Event, UntilSet};
use rustix::io::Errno;
use rustix::process::Pid;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// The limit of its [`Command`](crate::Command) for which a child was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KilledFor {
    /// The child ran for longer than [`timeout`](crate::CommandIn::timeout) allows.
    Timeout,
    /// The child wrote more than [`max_output_bytes`](crate::CommandIn::max_output_bytes) allows.
    Output,
}

/// How a process is killed: for a timeout, and as a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// When its timeout ends.
    pub(crate) deadline: Option<Instant>,
    /// The signal that a timeout, or too much output, sends.
    pub(crate) kill_signal: i32,
    /// True if the process leads a group, which can then be signaled.
    pub(crate) leads_group: bool,
}

/// Whether a process runs, and how it ended.
///
/// ```text
///  spawn ──▶ Running ──pidfd readable, waitid(2)──▶ Exited(status)
///    │         │
///    │         └──waitid(2): ECHILD, it was reaped elsewhere──▶ Lost
///    └──pidfd_open(2): ESRCH, SIGCHLD is ignored──────────────▶ Lost
///
///  the loop is dropped while it is Running ──▶ orphans.rs reaps it
/// ```
#[derive(Clone, Copy)]
enum RunState {
    Running,
    Exited(ExitStatus),
    /// The process has ended, and its exit status is lost.
    Lost,
}

struct ProcessState {
    handle: Handle,
    id: u32,
    /// `None` if it had ended before its pidfd could be opened.
    fd: Option<Source<Arc<ChildFd>>>,
    terms: Terms,
    run_state: Cell<RunState>,
    has_ended: Event,
    killed_for: Cell<Option<KilledFor>>,
}

/// A process, without its pipes. All clones stand for the same process, so one task can wait for it
/// while another one kills it. Dropping one does nothing.
#[derive(Clone)]
pub struct Process {
    state: Rc<ProcessState>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run_state = match self.state.run_state.get() {
            RunState::Running => "runs".to_owned(),
            RunState::Exited(status) => status.to_string(),
            RunState::Lost => "ended".to_owned(),
        };
        write!(f, "Process({}, {run_state})", self.state.id)
    }
}

impl Process {
    /// Watches a child that was just started.
    pub(crate) fn watch(
        handle: &Handle,
        id: u32,
        reserved: Reserved,
        terms: Terms,
        spawned_at: &'static Location<'static>,
    ) -> io::Result<Self> {
        handle.chaos_file_shortage()?;
        let child = reserved.into_child(pid(id)?)?;
        let run_state = if child.is_some() {
            RunState::Running
        } else {
            RunState::Lost
        };
        let source = |child| {
            let source = Source::new(handle, Arc::new(child), Interest::READ, Ownership::Sole)?;
            source.set_referenced(false); // waits keep the loop alive, not the child
            io::Result::Ok(source)
        };
        let process = Process {
            state: Rc::new(ProcessState {
                handle: handle.clone(),
                id,
                fd: child.map(source).transpose()?,
                terms,
                run_state: Cell::new(run_state),
                has_ended: Event::new(),
                killed_for: Cell::new(None),
            }),
        };
        if process.is_running() {
            let watch = Watch::new(process.clone());
            handle.spawn_described(watch, spawned_at);
        } else {
            process.state.has_ended.set();
        }
        Ok(process)
    }

    /// Returns the process id. Once the process has ended, another one may get the same id: use it
    /// in messages, not for signals.
    #[doc(alias = "pid")]
    pub fn id(&self) -> u32 {
        self.state.id
    }

    /// Waits for the process to end. Any number of tasks may wait, any number of times; each wait
    /// keeps the loop alive. Cancel safe.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if the exit status is lost: see [the crate](crate).
    pub async fn wait(&self) -> io::Result<ExitStatus> {
        let _alive = self.is_running().then(|| self.state.handle.keep_alive());
        self.wait_unreferenced().await
    }

    /// Like [`Process::wait`], but does not keep the loop alive. Cancel safe.
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub async fn wait_unreferenced(&self) -> io::Result<ExitStatus> {
        self.until_ended().await;
        self.exit_status()
    }

    /// Returns the exit status, if the process has ended.
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        if let Some(fd) = self.running() {
            match fd.get_ref().reap() {
                Ok(None) => return Ok(None),
                Ok(Some(status)) => self.end(RunState::Exited(status)),
                Err(_) => self.end(RunState::Lost),
            }
        }
        self.exit_status().map(Some)
    }

    /// Kills the process with `SIGKILL`. It is no error if the process has ended.
    ///
    /// # Errors
    /// `EPERM` if the process runs as another user by now.
    #[doc(alias = "start_kill")]
    pub fn kill(&self) -> io::Result<()> {
        match self.signal(libc::SIGKILL) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => Ok(()),
            result => result,
        }
    }

    /// Sends a signal by `pidfd_send_signal(2)`, which never reaches another process with the same
    /// id.
    ///
    /// # Errors
    /// `ESRCH` once the process has ended; `EINVAL` if `number` is no signal; `EPERM`.
    #[doc(alias("send_signal", "uv_process_kill"))]
    pub fn signal(&self, number: i32) -> io::Result<()> {
        match self.running() {
            Some(fd) => fd.get_ref().signal(number),
            None => Err(Errno::SRCH.into()),
        }
    }

    /// Sends a signal to all processes of the group that this one leads, even if it has ended
    /// itself.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) unless the process was started with
    /// [`process_group(0)`](crate::CommandIn::process_group) or
    /// [`detached`](crate::CommandIn::detached); `ESRCH` once all processes of the group have
    /// ended, or, before Linux 6.9, once the leader has.
    pub fn signal_group(&self, number: i32) -> io::Result<()> {
        let Some(fd) = self.state.fd.as_ref() else {
            return Err(Errno::SRCH.into());
        };
        if !self.state.terms.leads_group {
            let problem =
                "the process leads no group: start it with process_group(0) or detached(true)";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        fd.get_ref().signal_group(number, !self.is_running())
    }

    /// Returns the limit of its [`Command`](crate::Command) for which the process was killed, if
    /// one was the reason.
    pub fn killed_for(&self) -> Option<KilledFor> {
        self.state.killed_for.get()
    }

    /// Kills the process because it exceeded a limit, unless it has ended.
    pub(crate) fn kill_for(&self, reason: KilledFor) {
        if self.state.killed_for.get().is_none() {
            self.state.killed_for.set(Some(reason));
            // Fails if the process has just ended, or runs as another user by now. Its waiters wait
            // for its end in any case.
            let _ = self.signal(self.state.terms.kill_signal);
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.state.handle
    }

    /// A timer that ends at its deadline, and does not keep the loop alive.
    pub(crate) fn timeout(&self) -> Option<Sleep> {
        let deadline = self.state.terms.deadline?;
        let mut sleep = self.state.handle.sleep_until(deadline);
        sleep.set_referenced(false);
        Some(sleep)
    }

    pub(crate) fn until_ended(&self) -> UntilSet {
        self.state.has_ended.until_set()
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state.run_state.get(), RunState::Running)
    }

    fn running(&self) -> Option<&Source<Arc<ChildFd>>> {
        self.state.fd.as_ref().filter(|_| self.is_running())
    }

    fn exit_status(&self) -> io::Result<ExitStatus> {
        match self.state.run_state.get() {
            RunState::Exited(status) => Ok(status),
            RunState::Running | RunState::Lost => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the exit status is lost: SIGCHLD is ignored, or another library waits for any child",
            )),
        }
    }

    fn end(&self, run_state: RunState) {
        self.state.run_state.set(run_state);
        self.state.has_ended.set();
    }

    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(fd) = self.running() else {
            return Poll::Ready(());
        };
        let polled = fd.poll_io(cx, Direction::Read, |_| match fd.get_ref().reap()? {
            Some(status) => Ok(Done::last(status)),
            None => Err(io::ErrorKind::WouldBlock.into()),
        });
        polled.map(|status| self.end(status.map_or(RunState::Lost, RunState::Exited)))
    }
}

impl Drop for ProcessState {
    // The task that watches the process holds this state until the process ends. If it still runs,
    // the loop is gone, and the next spawn has to reap it, or it would stay a zombie.
    fn drop(&mut self) {
        if let (Some(fd), RunState::Running) = (&self.fd, self.run_state.get())
            && matches!(fd.get_ref().reap(), Ok(None))
        {
            orphans::leave(Arc::clone(fd.get_ref()));
        }
    }
}

fn pid(id: u32) -> io::Result<Pid> {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    id.ok_or_else(|| Errno::SRCH.into())
}

/// The task that watches a process: reaps it when it ends, and kills it after its timeout.
struct Watch {
    timeout: Option<Sleep>,
    process: Process,
}

impl Watch {
    fn new(process: Process) -> Self {
        Watch {
            timeout: process.timeout(),
            process,
        }
    }
}

impl Future for Watch {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.process.poll_end(cx).is_ready() {
            return Poll::Ready(());
        }
        if let Some(timeout) = &mut self.timeout
            && pin!(timeout).poll(cx).is_ready()
        {
            self.timeout = None;
            self.process.kill_for(KilledFor::Timeout);
        }
        Poll::Pending
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "watches process {}", self.process.id())
    }
}
