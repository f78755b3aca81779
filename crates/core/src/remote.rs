//! The one door into the loop from other threads.

use crate::handle::Handle;
use crate::waker::TaskWaker;
use oneloop_posix::Process;
use rustix::event::{EventfdFlags, eventfd};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Work that came from another thread.
pub(crate) type Job = Box<dyn FnOnce(&Handle) + Send>;

#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) wakes: Vec<Arc<TaskWaker>>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) stop: bool,
    closed: bool,
}

/// What the loop shares with other threads.
pub(crate) struct Shared {
    inbox: Mutex<Inbox>,
    /// The eventfd was written and the loop has not emptied the inbox since. Written under the
    /// inbox's lock only; read without it to see whether there is something to wait for.
    rung: AtomicBool,
    /// Registered edge-triggered, so it is never read: each write is an edge.
    bell: OwnedFd,
    /// Whose loop it is: one that was forked is not reached, and its locks may be held by nobody.
    process: Process,
    /// How many referenced `Remote`s there are.
    referenced: AtomicUsize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("bell", &self.bell)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Shared {
            inbox: Mutex::default(),
            rung: AtomicBool::new(false),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            process: Process::this()?,
            referenced: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// True while something came in, or may come from a referenced [`Remote`].
    pub(crate) fn is_alive(&self) -> bool {
        // In this order: a `Remote` rings before it is dropped.
        self.referenced.load(Ordering::Acquire) > 0 || self.rung.load(Ordering::Acquire)
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        // Nothing that holds the lock can leave the inbox half-changed.
        self.inbox
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Puts something in, and rings if the loop does not know yet that something is there.
    /// False when the loop is gone.
    fn send(&self, put: impl FnOnce(&mut Inbox)) -> bool {
        if !self.process.is_this() {
            return false;
        }
        let mut inbox = self.inbox();
        if inbox.closed {
            return false;
        }
        put(&mut inbox);
        if !self.rung.swap(true, Ordering::AcqRel) {
            // Under the lock: the loop cannot empty the inbox between the put and the ring. It
            // cannot fail either: the counter would have to reach 2^64 - 1.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
        true
    }

    pub(crate) fn send_wake(&self, waker: Arc<TaskWaker>) {
        // A wake for a loop that is gone has nobody to wake.
        self.send(|inbox| inbox.wakes.push(waker));
    }

    /// Empties the inbox; the next thing put in rings again.
    pub(crate) fn take(&self) -> Inbox {
        let mut inbox = self.inbox();
        self.rung.store(false, Ordering::Release);
        let taken = std::mem::take(&mut *inbox);
        inbox.closed = taken.closed;
        taken
    }

    /// Refuses everything from now on and gives what was in.
    pub(crate) fn close(&self) -> Inbox {
        if !self.process.is_this() {
            return Inbox::default();
        }
        let mut inbox = self.inbox();
        std::mem::replace(
            &mut *inbox,
            Inbox {
                closed: true,
                ..Inbox::default()
            },
        )
    }
}

/// The loop was dropped before it could take this on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopGone;

impl fmt::Display for LoopGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event loop is gone")
    }
}
impl std::error::Error for LoopGone {}
impl From<LoopGone> for io::Error {
    fn from(gone: LoopGone) -> Self {
        io::Error::new(io::ErrorKind::BrokenPipe, gone)
    }
}

/// Reaches a loop from any thread: the only `Send + Sync` part of it.
///
/// A `Remote` keeps [`EventLoop::run`](crate::EventLoop::run) going while it lives, as something
/// may still come from it; [`Remote::set_referenced`] changes that. Many sends while the loop is
/// busy cost one `write(2)`.
///
/// ```
/// let mut event_loop = oneloop_core::EventLoop::new()?;
/// let remote = event_loop.handle().remote();
/// let thread = std::thread::spawn(move || {
///     remote.run(|handle| {
///         handle.spawn(async { println!("on the loop's thread") });
///     })
/// });
/// event_loop.run()?; // until the thread has dropped its `Remote` and the task is done
/// thread.join().unwrap()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Remote {
    shared: Arc<Shared>,
    referenced: bool,
}

impl Remote {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.referenced.fetch_add(1, Ordering::AcqRel);
        Remote {
            shared,
            referenced: true,
        }
    }

    /// Runs a function on the loop's thread, as a task of its own.
    ///
    /// # Errors
    /// [`LoopGone`] when the loop was dropped; the function is dropped then.
    pub fn run(&self, job: impl FnOnce(&Handle) + Send + 'static) -> Result<(), LoopGone> {
        let job: Job = Box::new(job);
        if self.shared.send(|inbox| inbox.jobs.push(job)) {
            Ok(())
        } else {
            Err(LoopGone)
        }
    }

    /// As [`Handle::stop`].
    pub fn stop(&self) {
        self.shared.send(|inbox| inbox.stop = true);
    }

    /// Says whether this `Remote` keeps the loop going; a new one does.
    pub fn set_referenced(&mut self, referenced: bool) {
        match (
            std::mem::replace(&mut self.referenced, referenced),
            referenced,
        ) {
            (false, true) => {
                self.shared.referenced.fetch_add(1, Ordering::AcqRel);
            }
            (true, false) => self.release(),
            _ => {}
        }
    }

    fn release(&self) {
        if self.shared.referenced.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The loop may be waiting for nothing but us: let it look again.
            self.shared.send(|_| ());
        }
    }
}

impl Clone for Remote {
    /// A clone is referenced if the original is.
    fn clone(&self) -> Self {
        let mut clone = Remote {
            shared: Arc::clone(&self.shared),
            referenced: false,
        };
        clone.set_referenced(self.referenced);
        clone
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.set_referenced(false);
    }
}
