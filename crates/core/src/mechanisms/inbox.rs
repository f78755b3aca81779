//! The one door into a loop from other threads: a locked inbox, and an eventfd as its bell.

use crate::mechanisms::concurrency::{AtomicBool, AtomicUsize, Edge, Mutex, MutexGuard};
use oneloop_posix::Process;
use rustix::event::{EventfdFlags, eventfd};
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

/// Mail for a loop from other threads. `C` holds it; most callers take a `Vec` of messages.
///
/// ```text
///          send (the first since the last take): write(eventfd)
///  quiet ──────────────────────────────────────────────────────▶ rung ──┐ send: no system call
///    ▲                                                            │ ▲───┘
///    └─────────────────────────── take ───────────────────────────┘
/// ```
///
/// Register its fd with a [`Reactor`](crate::Reactor), for reading and with
/// [`Trigger::Edge`](crate::Trigger); call [`Inbox::take`] at each event. The fd is never read:
/// each write is an edge (rule 9). Any number of sends between two turns costs one `write(2)`.
///
/// ```
/// use oneloop::core::{Inbox, Interest, Reactor, Trigger};
/// let inbox = Inbox::<Vec<u32>>::new()?;
/// let mut reactor = Reactor::new()?;
/// reactor.add(&*inbox, Interest::READ, Trigger::Edge, ())?;
/// let sender = inbox.clone();
/// std::thread::spawn(move || sender.send(|mail| mail.push(42)));
/// reactor.wait(None)?;
/// assert_eq!(inbox.take(), [42]);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A process that was forked from the owner cannot reach the inbox: its sends return false.
pub struct Inbox<C> {
    mail: Mutex<Mail<C>>,
    /// True from the write of the eventfd until the loop takes the mail. Changes only under the
    /// lock of `mail`; the loop reads it without the lock, to see whether there is mail.
    rung: AtomicBool,
    bell: OwnedFd,
    edge: Edge,
    /// The process of the loop. In a forked child, a thread that exists only in the parent may hold
    /// the lock.
    process: Process,
    /// The number of senders that keep the loop alive.
    senders: AtomicUsize,
    /// The thread that made it.
    home: Thread,
}

#[derive(Default)]
struct Mail<C> {
    content: C,
    /// The loop is gone.
    closed: bool,
}

impl<C> fmt::Debug for Inbox<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("bell", &self.bell)
            .finish_non_exhaustive()
    }
}

/// The bell: readable once mail has come.
impl<C> AsFd for Inbox<C> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl<C: Default> Inbox<C> {
    /// An empty inbox.
    ///
    /// # Errors
    /// Those of `eventfd(2)`: mostly `EMFILE`.
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Inbox {
            mail: Mutex::default(),
            rung: AtomicBool::new(false),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            edge: Default::default(),
            process: Process::this()?,
            senders: AtomicUsize::new(0),
            home: thread::current(),
        }))
    }

    /// Puts mail in, from any thread, and rings unless the bell has rung since the last
    /// [`Inbox::take`]. Returns false, without calling `put`, if the inbox is closed.
    pub fn send(&self, put: impl FnOnce(&mut C)) -> bool {
        // A write here would ring the parent's bell, as the eventfd is shared.
        if !self.process.is_this() {
            return false;
        }
        let mut mail = self.lock();
        if mail.closed {
            return false;
        }
        put(&mut mail.content);
        if !self.rung.swap(true, Ordering::AcqRel) {
            // Under the lock, so that the loop cannot take the mail between the put and the ring:
            // it would clear `rung` first, and the ring would then announce nothing. The write
            // cannot fail: the counter would have to reach 2^64 - 1.
            self.edge.set(|| {
                let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
            });
        }
        true
    }

    /// Empties the inbox. The next send rings again.
    pub fn take(&self) -> C {
        let mut mail = self.lock();
        // Under the lock, too: a send that comes next finds an empty inbox and rings.
        self.rung.store(false, Ordering::Release);
        mem::take(&mut mail.content)
    }

    /// Refuses all further mail, and returns the mail that has come.
    pub fn close(&self) -> C {
        // The lock may be held by a thread of the parent, which will never release it here.
        if !self.process.is_this() {
            return C::default();
        }
        let mut mail = self.lock();
        mail.closed = true;
        mem::take(&mut mail.content)
    }

    /// True once it was closed, in the process that made it.
    pub(crate) fn is_closed(&self) -> bool {
        self.process.is_this() && self.lock().closed
    }

    /// The thread that made it.
    pub(crate) fn home(&self) -> &Thread {
        &self.home
    }

    fn lock(&self) -> MutexGuard<'_, Mail<C>> {
        // A `put` that panics leaves the mail that it has put in, which is still valid.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, in the reactor that the bell is registered with.
    #[inline]
    pub(crate) fn wait<T>(
        &self,
        timeout: Option<Duration>,
        wait: impl FnOnce(Option<Duration>) -> T,
    ) -> T {
        self.edge.wait(timeout, wait)
    }

    /// Counts a sender that keeps the loop alive.
    pub(crate) fn add_sender(&self) {
        self.senders.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends the count of a sender.
    pub(crate) fn remove_sender(&self) {
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The loop may wait for this sender alone. The ring makes it check again whether it is
            // alive.
            self.send(|_| ());
        }
    }

    /// True while there is mail, or mail may come from a sender that keeps the loop alive.
    pub(crate) fn is_alive(&self) -> bool {
        // In this order: a sender rings before it leaves.
        self.senders.load(Ordering::Acquire) > 0 || self.rung.load(Ordering::Acquire)
    }
}
