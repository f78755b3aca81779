//! The seats of a signal's listeners: a list that a signal handler can walk at any instruction of
//! any thread.
//!
//! The handler takes no lock, allocates nothing, and reads only memory that is never freed: the
//! list only grows. A listener takes a free seat and leaves it for the next.
//!
//! ```text
//!  Seats ──▶ seat ──▶ seat ──▶ seat      free (EMPTY) ──take──▶ taken (a listener's eventfd)
//!             │        │        │              ▲                      │
//!          eventfd   EMPTY   eventfd           └── leave: waits for ──┘
//!                                                  handlers that are at their write(2)
//! ```

use crate::concurrency::{AtomicI32, AtomicU32, OnceLock, sleep};
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::{iter, process};

/// The seats of one signal.
#[derive(Debug)]
pub struct Seats {
    first: OnceLock<&'static Seat>,
    /// The number of times that a seat was taken.
    taken: AtomicU32,
}

/// The seat of one listener.
#[derive(Debug)]
pub struct Seat {
    /// The id of the process that made it. In a forked child the seat is free and stays so.
    process: u32,
    /// The listener's eventfd, or [`EMPTY`].
    eventfd: AtomicI32,
    /// The number of handlers that may be about to write to the eventfd.
    notifying: AtomicU32,
    next: OnceLock<&'static Seat>,
}

const EMPTY: RawFd = -1;

impl Seats {
    /// No seats yet, for a static.
    pub const fn new() -> Self {
        Seats {
            first: OnceLock::new(),
            taken: AtomicU32::new(0),
        }
    }

    /// The seats that were made in this process.
    fn iter(&self) -> impl Iterator<Item = &'static Seat> {
        let all = iter::successors(self.first.get().copied(), |seat| seat.next.get().copied());
        // The kernel's word, not a count of forks: a child of vfork(2), or one in the middle of
        // fork(2), must not write to its parent's eventfds.
        let process = process::id();
        all.filter(move |seat| seat.process == process)
    }

    /// Takes a free seat for a listener, or adds one. The caller holds the lock under which all
    /// seats are taken.
    pub fn take(&self, eventfd: RawFd) -> &'static Seat {
        let mut empty = self.iter().filter(|seat| seat.eventfd() == EMPTY);
        let seat = empty.next().unwrap_or_else(|| self.add());
        seat.eventfd.store(eventfd, Ordering::SeqCst);
        self.taken.fetch_add(1, Ordering::SeqCst);
        seat
    }

    fn add(&self) -> &'static Seat {
        let seat: &'static Seat = Box::leak(Box::new(Seat {
            process: process::id(),
            eventfd: AtomicI32::from(EMPTY),
            notifying: AtomicU32::from(0),
            next: OnceLock::default(),
        }));
        let mut end = &self.first;
        while let Some(last) = end.get() {
            end = &last.next;
        }
        // The caller holds the lock, so no other thread has added a seat meanwhile.
        let _ = end.set(seat);
        seat
    }

    /// True if a listener of this process has a seat.
    pub fn has_listener(&self) -> bool {
        self.iter().any(|seat| seat.eventfd() != EMPTY)
    }

    /// Notifies all listeners: calls `write` with the eventfd of each, which stays open meanwhile.
    /// True if there are any.
    pub fn notify(&self, write: impl Fn(RawFd)) -> bool {
        loop {
            let taken = self.taken.load(Ordering::SeqCst);
            let mut has_listener = false;
            for seat in self.iter() {
                has_listener |= seat.notify(&write);
            }
            // During the walk, one listener may take a seat that the walk has passed, and another
            // one then leave a seat in front of it. There was a listener all the while, so the walk
            // starts again.
            if has_listener || self.taken.load(Ordering::SeqCst) == taken {
                return has_listener;
            }
        }
    }
}

impl Default for Seats {
    fn default() -> Self {
        Seats {
            first: OnceLock::default(),
            taken: AtomicU32::from(0),
        }
    }
}

impl Seat {
    /// Frees the seat, except in a forked child, where its copy is no seat. No handler writes to
    /// the eventfd after this has returned.
    pub fn leave(&self) {
        if self.process != process::id() {
            return;
        }
        self.eventfd.store(EMPTY, Ordering::SeqCst);
        while self.notifying.load(Ordering::SeqCst) > 0 {
            // A handler in another thread is at its write(2). It may need this CPU, so this is no
            // spin.
            sleep(Duration::from_micros(10));
        }
    }

    fn eventfd(&self) -> RawFd {
        self.eventfd.load(Ordering::SeqCst)
    }

    /// Notifies the listener on this seat. True if there is one.
    fn notify(&self, write: impl Fn(RawFd)) -> bool {
        self.notifying.fetch_add(1, Ordering::SeqCst);
        let eventfd = self.eventfd();
        if eventfd != EMPTY {
            // It is open: its listener closes it after `leave`, which waits until no handler that
            // has seen it is `notifying`.
            write(eventfd);
        }
        self.notifying.fetch_sub(1, Ordering::SeqCst);
        eventfd != EMPTY
    }
}
