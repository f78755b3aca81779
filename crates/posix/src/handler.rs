//! The handler of signals with listeners: it notifies each listener, and does the default action if
//! there is none.
//!
//! A signal may come at any instruction of any thread, also during an allocation or during the
//! lines below. So the handler takes no lock, allocates nothing, and reads only memory that is
//! never freed: each signal has a list of seats that only grows. A listener takes a free seat and
//! leaves it for the next.
//!
//! ```text
//!  SIGNALS[n] ──▶ seat ──▶ seat ──▶ seat      free (EMPTY) ──take──▶ taken (a listener's eventfd)
//!                  │        │        │              ▲                      │
//!               eventfd   EMPTY   eventfd           └── leave: waits for ──┘
//!                                                       handlers that are at their write(2)
//! ```

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

/// Held while a list changes or the handler is installed. The handler never takes it.
static CHANGE: Mutex<()> = Mutex::new(());

/// True once a thread has stacks that are too small for handlers: see [`use_alternate_stacks`].
static HAS_SMALL_STACKS: AtomicBool = AtomicBool::new(false);

/// From now on, runs all handlers on the alternate stacks of the threads that have one.
///
/// Without `SA_ONSTACK` the kernel pushes its frame, of some KiB, on the current stack. If there is
/// no room the signal is lost and the process gets SIGSEGV.
///
/// This begins only when a thread needs it: the standard library unmaps the main thread's alternate
/// stack when any thread exits the process, even if a handler runs on it.
pub(crate) fn use_alternate_stacks() {
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
            let _ = install_instead_of(before, number); // it succeeded before
        }
    }
}

/// One signal: its seats, and its action before ours.
struct Signal {
    first: OnceLock<&'static Seat>,
    /// The number of times that a seat was taken.
    taken: AtomicU32,
    /// The action before [`handle`] was installed; unset until then.
    before: OnceLock<libc::sigaction>,
}

/// The seat of one listener.
#[derive(Debug)]
struct Seat {
    /// The id of the process that made it. In a forked child the seat is free and stays so.
    process: u32,
    /// The listener's eventfd, or [`EMPTY`].
    eventfd: AtomicI32,
    /// The number of handlers that may be about to write to the eventfd.
    notifying: AtomicU32,
    next: OnceLock<&'static Seat>,
}

const EMPTY: RawFd = -1;

/// Holds a listener's seat until it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    seat: &'static Seat,
    _eventfd: OwnedFd, // closed after the drop has left the seat
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
        // The kernel's word, not a count of forks: a child of vfork(2), or one in the middle of
        // fork(2), must not write to its parent's eventfds.
        let process = process::id();
        all.filter(move |seat| seat.process == process)
    }

    fn add_seat(&self) -> &'static Seat {
        let seat: &'static Seat = Box::leak(Box::new(Seat {
            process: process::id(),
            eventfd: AtomicI32::new(EMPTY),
            notifying: AtomicU32::new(0),
            next: OnceLock::new(),
        }));
        let mut end = &self.first;
        while let Some(last) = end.get() {
            end = &last.next;
        }
        // CHANGE is held, so no other thread has added a seat meanwhile.
        let _ = end.set(seat);
        seat
    }

    /// Notifies all listeners. True if there are any.
    fn notify(&self) -> bool {
        loop {
            let taken = self.taken.load(Ordering::SeqCst);
            let mut has_listener = false;
            for seat in self.seats() {
                has_listener |= seat.notify();
            }
            // During the walk, one listener may take a seat that the walk has passed, and another
            // one then leave a seat in front of it. There was a listener all the while, so the walk
            // starts again.
            if has_listener || self.taken.load(Ordering::SeqCst) == taken {
                return has_listener;
            }
        }
    }

    /// Installs the handler, and remembers the action before it.
    fn install(&self, number: c_int) -> io::Result<()> {
        let now = action(number)?;
        let is_first = self.before.get().is_none();
        // Before the handler is installed, because it may be called at once.
        let before = self.before.get_or_init(|| now);
        // A handler that was installed after ours calls ours. But other code may have set the
        // default action again, or ignored the signal.
        if is_first || is_default_or_ignored(&now) {
            install_instead_of(before, number)?;
        }
        Ok(())
    }
}

impl Listening {
    /// Takes a seat: each signal of this number adds 1 to the eventfd.
    pub(crate) fn new(number: c_int, eventfd: OwnedFd) -> io::Result<Self> {
        let signal = Signal::of(number).ok_or(io::ErrorKind::InvalidInput)?;
        // A panic cannot leave it half-changed.
        let _change = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
        signal.install(number)?;
        let mut empty = signal.seats().filter(|seat| seat.eventfd() == EMPTY);
        let seat = empty.next().unwrap_or_else(|| signal.add_seat());
        seat.eventfd.store(eventfd.as_raw_fd(), Ordering::SeqCst);
        signal.taken.fetch_add(1, Ordering::SeqCst);
        Ok(Listening {
            seat,
            _eventfd: eventfd,
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // A forked child's copy has no seat.
        if self.seat.process == process::id() {
            self.seat.leave();
        }
    }
}

impl Seat {
    /// Frees the seat. No handler writes to the eventfd after this has returned.
    fn leave(&self) {
        self.eventfd.store(EMPTY, Ordering::SeqCst);
        while self.notifying.load(Ordering::SeqCst) > 0 {
            // A handler in another thread is at its write(2). It may need this CPU, so this is no
            // spin.
            thread::sleep(Duration::from_micros(10));
        }
    }

    fn eventfd(&self) -> RawFd {
        self.eventfd.load(Ordering::SeqCst)
    }

    /// Notifies the listener on this seat. True if there is one.
    fn notify(&self) -> bool {
        self.notifying.fetch_add(1, Ordering::SeqCst);
        let eventfd = self.eventfd();
        if eventfd != EMPTY {
            // SAFETY: it is open: its `Listening` closes it after `leave`, which waits until no
            // handler that has seen it is `notifying`.
            let eventfd = unsafe { BorrowedFd::borrow_raw(eventfd) };
            // A full eventfd is readable, which is all that a listener needs.
            let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
        }
        self.notifying.fetch_sub(1, Ordering::SeqCst);
        eventfd != EMPTY
    }
}

/// The handler that the kernel calls.
extern "C" fn handle(number: c_int, info: *mut siginfo_t, context: *mut c_void) {
    keep_errno(|| {
        if let Some(signal) = Signal::of(number) {
            act(signal, number, info, context);
        }
    });
}

/// Notifies the listeners, or does what the signal did before. One walk decides both, so that a
/// signal is not lost that comes with the first listener or goes with the last one.
fn act(signal: &Signal, number: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let has_listener = signal.notify();
    let Some(before) = signal.before.get() else {
        return;
    };
    match before.sa_sigaction {
        SIG_IGN => {}
        SIG_DFL if has_listener => {}
        SIG_DFL => act_by_default(before, number),
        _ => call(before, number, info, context),
    }
}

/// Makes the kernel do what it does without a handler (`signal(7)`): the process ends, or stops
/// until it is continued, or nothing happens. Unlike the kernel's own action, it also stops if the
/// SIGCONT comes before the handler raises the signal.
fn act_by_default(before: &libc::sigaction, number: c_int) {
    if matches!(number, SIGCHLD | SIGCONT | SIGURG | SIGWINCH) {
        return; // their default action is to be ignored
    }
    let Ok(now) = set_default(number) else {
        return;
    };
    // SAFETY: raise(3) is async-signal-safe.
    unsafe { libc::raise(number) };
    unblock(number); // the process ends here, or stops and is continued
    if now.sa_sigaction == SIG_DFL {
        // Another thread is here as well, and its `set_default` came first: `now` is that one's.
        let _ = install_instead_of(before, number);
    } else {
        // SAFETY: this action was installed when the function began.
        let _ = unsafe { set_action(number, &now) };
    }
}

/// Installs [`handle`] with the flags and the mask of the handler that was there before.
fn install_instead_of(before: &libc::sigaction, number: c_int) -> io::Result<()> {
    let mut ours = instead_of(before, handle);
    if is_default_or_ignored(before) {
        // Without a handler no system call fails with EINTR, and other code relies on that.
        ours.sa_flags |= SA_RESTART;
    }
    if HAS_SMALL_STACKS.load(Ordering::SeqCst) {
        ours.sa_flags |= SA_ONSTACK;
    }
    // SAFETY: the handler does only what signal-safety(7) allows: see the top of this file.
    unsafe { set_action(number, &ours) }.map(drop)
}

/// Unblocks a signal. It is blocked while its handler runs, and the kernel restores the mask after
/// that.
fn unblock(number: c_int) {
    let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset(3) writes a mask, for which there is room.
    unsafe { libc::sigemptyset(mask.as_mut_ptr()) };
    // SAFETY: sigemptyset(3) has filled it in.
    let mut mask = unsafe { mask.assume_init() };
    // SAFETY: sigaddset(3) changes this mask only.
    unsafe { libc::sigaddset(&mut mask, number) };
    // SAFETY: pthread_sigmask(3) reads the mask, and null means that it writes nothing.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &mask, ptr::null_mut()) };
}
