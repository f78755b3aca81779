//! A process that was started: how it ends, and how it is told to.

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

/// Why a child was killed by its [`Command`](crate::Command)'s wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KilledFor {
    /// It ran for longer than [`timeout`](crate::CommandIn::timeout) allows.
    Timeout,
    /// It printed more than [`max_output_bytes`](crate::CommandIn::max_output_bytes) allows.
    Output,
}

/// What a process is started with, besides its program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) deadline: Option<Instant>,
    pub(crate) kill_signal: i32,
    pub(crate) leads_group: bool,
}

/// How it ended, as far as that is known.
#[derive(Clone, Copy)]
enum Ended {
    Not,
    With(ExitStatus),
    /// Somebody else has taken its status.
    Unknown,
}

struct Inner {
    handle: Handle,
    id: u32,
    /// None if it was gone before it could be opened.
    fd: Option<Source<Arc<ChildFd>>>,
    terms: Terms,
    ended: Cell<Ended>,
    has_ended: Event,
    killed_for: Cell<Option<KilledFor>>,
}

/// A process, without its pipes. Clones are the same process: one task can wait for it while another one
/// kills it. Dropping it does nothing.
#[derive(Clone)]
pub struct Process {
    inner: Rc<Inner>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.inner.ended.get() {
            Ended::Not => "runs".to_owned(),
            Ended::With(status) => status.to_string(),
            Ended::Unknown => "ended".to_owned(),
        };
        write!(f, "Process({}, {state})", self.inner.id)
    }
}

impl Process {
    /// Watches a child that nobody has reaped.
    pub(crate) fn watch(
        handle: &Handle,
        id: u32,
        reserved: Reserved,
        terms: Terms,
        spawned_at: &'static Location<'static>,
    ) -> io::Result<Self> {
        let child = reserved.into_child(pid(id)?)?;
        let ended = if child.is_some() {
            Ended::Not
        } else {
            Ended::Unknown
        };
        let source = |child| {
            let source = Source::new(handle, Arc::new(child), Interest::READ, Ownership::Sole)?;
            source.set_referenced(false);
            io::Result::Ok(source)
        };
        let process = Process {
            inner: Rc::new(Inner {
                handle: handle.clone(),
                id,
                fd: child.map(source).transpose()?,
                terms,
                ended: Cell::new(ended),
                has_ended: Event::new(),
                killed_for: Cell::new(None),
            }),
        };
        if process.is_running() {
            let watch = Watch::new(process.clone());
            handle.spawn_described(watch, spawned_at);
        } else {
            process.inner.has_ended.set();
        }
        Ok(process)
    }

    /// Its number. Once it has ended, another process may get the same one: use it to tell, not to signal.
    pub fn id(&self) -> u32 {
        self.inner.id
    }

    /// Waits for its end. Any number of tasks can, as often as they like; each wait keeps the loop alive.
    /// Cancel safe.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if the exit status is lost: see [the crate](crate).
    pub async fn wait(&self) -> io::Result<ExitStatus> {
        let _alive = self.is_running().then(|| self.inner.handle.keep_alive());
        self.wait_unreferenced().await
    }

    /// Like [`Process::wait`], but keeps no loop alive.
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub async fn wait_unreferenced(&self) -> io::Result<ExitStatus> {
        self.until_ended().await;
        self.exit_status()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        if let Some(fd) = self.running() {
            match fd.get_ref().reap() {
                Ok(None) => return Ok(None),
                Ok(Some(status)) => self.end(Ended::With(status)),
                Err(_) => self.end(Ended::Unknown),
            }
        }
        self.exit_status().map(Some)
    }

    /// Ends it with `SIGKILL`. One that has ended already is no error.
    ///
    /// # Errors
    /// `EPERM` for a process that runs as another user by now.
    pub fn kill(&self) -> io::Result<()> {
        match self.signal(libc::SIGKILL) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => Ok(()),
            result => result,
        }
    }

    /// Sends it a signal, by `pidfd_send_signal(2)`: a process that has got its number since is never
    /// met.
    ///
    /// # Errors
    /// `ESRCH` once it has ended; `EINVAL` for what is no signal; `EPERM`.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        match self.running() {
            Some(fd) => fd.get_ref().signal(number),
            None => Err(Errno::SRCH.into()),
        }
    }

    /// Sends a signal to the whole group that it leads, also when it has ended itself.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) unless it was started with
    /// [`process_group(0)`](crate::CommandIn::process_group) or [`detached`](crate::CommandIn::detached);
    /// `ESRCH` once all of the group have ended; before Linux 6.9 already when the leader has.
    pub fn signal_group(&self, number: i32) -> io::Result<()> {
        let Some(fd) = self.inner.fd.as_ref() else {
            return Err(Errno::SRCH.into());
        };
        if !self.inner.terms.leads_group {
            let problem = "it leads no group: start it with process_group(0) or detached(true)";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        fd.get_ref().signal_group(number, !self.is_running())
    }

    /// Why it was killed, if that was for what its [`Command`](crate::Command) allows.
    pub fn killed_for(&self) -> Option<KilledFor> {
        self.inner.killed_for.get()
    }

    /// It has had its share: kills it, unless it has ended.
    pub(crate) fn kill_for(&self, reason: KilledFor) {
        if self.inner.killed_for.get().is_none() {
            self.inner.killed_for.set(Some(reason));
            // It may end at this moment, or may not be ours to kill: both are seen by who waits.
            let _ = self.signal(self.inner.terms.kill_signal);
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.inner.handle
    }

    /// When it has run for as long as it may.
    pub(crate) fn lateness(&self) -> Option<Sleep> {
        let deadline = self.inner.terms.deadline?;
        let mut sleep = self.inner.handle.sleep_until(deadline);
        sleep.set_referenced(false);
        Some(sleep)
    }

    pub(crate) fn until_ended(&self) -> UntilSet {
        self.inner.has_ended.until_set()
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.inner.ended.get(), Ended::Not)
    }

    fn running(&self) -> Option<&Source<Arc<ChildFd>>> {
        self.inner.fd.as_ref().filter(|_| self.is_running())
    }

    fn exit_status(&self) -> io::Result<ExitStatus> {
        match self.inner.ended.get() {
            Ended::With(status) => Ok(status),
            Ended::Not | Ended::Unknown => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the exit status is lost: SIGCHLD is ignored, or somebody else waits for any child",
            )),
        }
    }

    fn end(&self, ended: Ended) {
        self.inner.ended.set(ended);
        self.inner.has_ended.set();
    }

    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(fd) = self.running() else {
            return Poll::Ready(());
        };
        let ended = fd.poll_io(cx, Direction::Read, |_| match fd.get_ref().reap()? {
            Some(status) => Ok(Done::last(status)),
            None => Err(io::ErrorKind::WouldBlock.into()),
        });
        ended.map(|status| self.end(status.map_or(Ended::Unknown, Ended::With)))
    }
}

impl Drop for Inner {
    /// Its watch is gone, so the loop is: somebody else has to reap it.
    fn drop(&mut self) {
        if let (Some(fd), Ended::Not) = (&self.fd, self.ended.get())
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

/// The task of a process: takes its status when it ends, and kills it when its time is over.
struct Watch {
    lateness: Option<Sleep>,
    process: Process,
}

impl Watch {
    fn new(process: Process) -> Self {
        Watch {
            lateness: process.lateness(),
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
        if let Some(lateness) = &mut self.lateness
            && pin!(lateness).poll(cx).is_ready()
        {
            self.lateness = None;
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
