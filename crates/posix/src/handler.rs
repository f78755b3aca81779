//! What runs when a signal comes: a walk past those who listen, and its default action if nobody does.
//!
//! A signal may come at any instruction of any thread, also in the midst of an allocation or of the
//! lines below. So the handler takes no lock, allocates nothing, and meets memory that is never freed:
//! each signal has a list of seats, which only grows; who listens takes one, and leaves it for the next.

use crate::action::{
    action, call, instead_of, is_default_or_ignored, keep_errno, set_action, set_default,
};
use libc::{
    SA_ONSTACK, SA_RESTART, SIG_DFL, SIG_IGN, SIGCHLD, SIGCONT, SIGURG, SIGWINCH, c_int, c_void,
    siginfo_t,
};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use std::{io, iter, process, ptr, thread};

/// Linux has the signals 1 to 64.
const SIGNALS_MAX: usize = 64;

static SIGNALS: [Signal; SIGNALS_MAX + 1] = [const { Signal::new() }; SIGNALS_MAX + 1];

/// Whoever changes a list or installs the handler has this. The handler never does.
static CHANGE: Mutex<()> = Mutex::new(());

/// Whether some thread has stacks that are too small for handlers: see [`heed_small_stacks`].
static HAS_SMALL_STACKS: AtomicBool = AtomicBool::new(false);

/// Has all handlers run on the alternate stacks of threads that have one, from now on. Without
/// `SA_ONSTACK` the kernel pushes its frame, of some KiB, on whichever stack it comes upon, and if there
/// is no room the signal is lost and the process gets SIGSEGV.
///
/// Not before some thread needs it: the standard library unmaps the main thread's alternate stack when any
/// thread exits the process, even if a handler runs on it.
pub(crate) fn heed_small_stacks() {
    if HAS_SMALL_STACKS.load(Ordering::SeqCst) {
        return;
    }
    let _change = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
    HAS_SMALL_STACKS.store(true, Ordering::SeqCst);
    for (number, signal) in (0..).zip(&SIGNALS) {
        let is_ours = |now: libc::sigaction| now.sa_sigaction == handle as *const () as usize;
        if let Some(before) = signal.before.get()
            && action(number).is_ok_and(is_ours)
        {
            let _ = install_instead_of(before, number); // it was installed before
        }
    }
}

struct Signal {
    first: OnceLock<&'static Seat>,
    /// How often a seat was taken.
    taken: AtomicU32,
    /// What the signal did before [`handle`] was installed; nothing as long as it is not.
    before: OnceLock<libc::sigaction>,
}

/// The place of one who listens.
#[derive(Debug)]
struct Seat {
    /// The id of the process it was made in. In one that was forked from it nobody sits on it.
    process: u32,
    /// The eventfd to tell, or [`EMPTY`].
    eventfd: AtomicI32,
    /// How many handlers may be about to write to the eventfd.
    telling: AtomicU32,
    next: OnceLock<&'static Seat>,
}

const EMPTY: RawFd = -1;

/// A seat that somebody sits on until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    seat: &'static Seat,
    _eventfd: OwnedFd, // closed after the seat was left
}

impl Signal {
    const fn new() -> Self {
        Signal {
            first: OnceLock::new(),
            taken: AtomicU32::new(0),
            before: OnceLock::new(),
        }
    }

    fn of(number: c_int) -> Option<&'static Signal> {
        SIGNALS.get(usize::try_from(number).ok()?)
    }

    /// The seats that were made in this process.
    fn seats(&self) -> impl Iterator<Item = &'static Seat> {
        let all = iter::successors(self.first.get().copied(), |seat| seat.next.get().copied());
        // Of the kernel, as a child of vfork(2) or in the midst of fork(2) must not tell its parent.
        let process = process::id();
        all.filter(move |seat| seat.process == process)
    }

    fn add_seat(&self) -> &'static Seat {
        let seat: &'static Seat = Box::leak(Box::new(Seat {
            process: process::id(),
            eventfd: AtomicI32::new(EMPTY),
            telling: AtomicU32::new(0),
            next: OnceLock::new(),
        }));
        let mut end = &self.first;
        while let Some(last) = end.get() {
            end = &last.next;
        }
        // Only one thread at a time adds seats, so that this is the end still.
        let _ = end.set(seat);
        seat
    }

    /// True if anybody listens; they all know then.
    fn tell(&self) -> bool {
        loop {
            let taken = self.taken.load(Ordering::SeqCst);
            let mut is_heard = false;
            for seat in self.seats() {
                is_heard |= seat.tell();
            }
            // One listener may have taken a seat behind the walk, and only then another one left its
            // own in front of it: then somebody listened all the while.
            if is_heard || self.taken.load(Ordering::SeqCst) == taken {
                return is_heard;
            }
        }
    }

    /// Has the handler called from now on, and keeps in mind what the signal did before.
    fn install(&self, number: c_int) -> io::Result<()> {
        let now = action(number)?;
        let is_first = self.before.get().is_none();
        // Before the handler is there, for it may be called at once.
        let before = self.before.get_or_init(|| now);
        // Later, a handler that is not ours is one that calls ours. But somebody may have gone back to
        // the default action.
        if is_first || is_default_or_ignored(&now) {
            install_instead_of(before, number)?;
        }
        Ok(())
    }
}

impl Taken {
    /// Has each signal of this number add 1 to the eventfd, until this is dropped.
    pub(crate) fn new(number: c_int, eventfd: OwnedFd) -> io::Result<Self> {
        let signal = Signal::of(number).ok_or(io::ErrorKind::InvalidInput)?;
        // A panic cannot leave it half-changed.
        let _change = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
        signal.install(number)?;
        let mut empty = signal.seats().filter(|seat| seat.eventfd() == EMPTY);
        let seat = empty.next().unwrap_or_else(|| signal.add_seat());
        seat.eventfd.store(eventfd.as_raw_fd(), Ordering::SeqCst);
        signal.taken.fetch_add(1, Ordering::SeqCst);
        Ok(Taken {
            seat,
            _eventfd: eventfd,
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.seat.process == process::id() {
            self.seat.leave();
        }
    }
}

impl Seat {
    /// Nothing is written to the eventfd any more when this returns.
    fn leave(&self) {
        self.eventfd.store(EMPTY, Ordering::SeqCst);
        while self.telling.load(Ordering::SeqCst) > 0 {
            // For a handler in another thread that is at its write(2). It may need this CPU.
            thread::sleep(Duration::from_micros(10));
        }
    }

    fn eventfd(&self) -> RawFd {
        self.eventfd.load(Ordering::SeqCst)
    }

    /// True if somebody sits here, who then knows.
    fn tell(&self) -> bool {
        self.telling.fetch_add(1, Ordering::SeqCst);
        let eventfd = self.eventfd();
        if eventfd != EMPTY {
            // SAFETY: it is open: the `Taken` that has it closes it after `leave`, which waits for the
            // `telling` of all who saw it.
            let eventfd = unsafe { BorrowedFd::borrow_raw(eventfd) };
            // A full eventfd has told enough.
            let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
        }
        self.telling.fetch_sub(1, Ordering::SeqCst);
        eventfd != EMPTY
    }
}

/// What the kernel calls.
extern "C" fn handle(number: c_int, info: *mut siginfo_t, context: *mut c_void) {
    keep_errno(|| {
        if let Some(signal) = Signal::of(number) {
            act(signal, number, info, context);
        }
    });
}

/// Tells all who listen. That one look decides as well whether the signal has its default action, so
/// that a signal that comes with the first listener or goes with the last one is not lost in between.
fn act(signal: &Signal, number: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let is_heard = signal.tell();
    let Some(before) = signal.before.get() else {
        return;
    };
    match before.sa_sigaction {
        SIG_IGN => {}
        SIG_DFL if is_heard => {}
        SIG_DFL => act_by_default(before, number),
        _ => call(before, number, info, context),
    }
}

/// Has the kernel do what it does without a handler (`signal(7)`): the process ends, or stops until
/// it is continued, or nothing happens. Unlike the kernel's own it stops also if the SIGCONT came while
/// the handler was about to.
fn act_by_default(before: &libc::sigaction, number: c_int) {
    if matches!(number, SIGCHLD | SIGCONT | SIGURG | SIGWINCH) {
        return; // nothing
    }
    let Ok(now) = set_default(number) else {
        return;
    };
    // SAFETY: raise(3) is async-signal-safe.
    unsafe { libc::raise(number) };
    unblock(number); // here it ends, or is stopped and goes on
    if now.sa_sigaction == SIG_DFL {
        let _ = install_instead_of(before, number); // another thread is here as well, and gave us its own
    } else {
        // SAFETY: it is the handler that was installed when this began.
        let _ = unsafe { set_action(number, &now) };
    }
}

/// Installs [`handle`], on the terms of the handler that was there before.
fn install_instead_of(before: &libc::sigaction, number: c_int) -> io::Result<()> {
    let mut ours = instead_of(before, handle);
    if is_default_or_ignored(before) {
        ours.sa_flags |= SA_RESTART;
    }
    if HAS_SMALL_STACKS.load(Ordering::SeqCst) {
        ours.sa_flags |= SA_ONSTACK;
    }
    // SAFETY: the handler does only what signal-safety(7) allows: see the head of this file.
    unsafe { set_action(number, &ours) }.map(drop)
}

/// A signal is blocked while its handler runs, which gives back the mask that was there before.
fn unblock(number: c_int) {
    let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset(3) fills in a mask, for which there is room.
    unsafe { libc::sigemptyset(mask.as_mut_ptr()) };
    // SAFETY: sigemptyset(3) has filled it in.
    let mut mask = unsafe { mask.assume_init() };
    // SAFETY: it changes this mask only.
    unsafe { libc::sigaddset(&mut mask, number) };
    // SAFETY: it reads the mask, and has nothing to write to.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &mask, ptr::null_mut()) };
}
