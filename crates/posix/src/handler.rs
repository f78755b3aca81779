//! The handler of signals with listeners: it notifies each listener, and does the default action if
//! there is none.
//!
//! A signal may come at any instruction of any thread, also during an allocation or during the
//! lines below. So the handler takes no lock, allocates nothing, and reads only memory that is
//! never freed: statics, and the seats of the listeners.

use crate::action::{
    action, call, default_action, instead_of, is_default_or_ignored, keep_errno, set_action,
    set_default,
};
use crate::seats::{Seat, Seats};
use libc::{
    SA_ONSTACK, SA_RESTART, SIG_DFL, SIG_IGN, SIGCHLD, SIGCONT, SIGURG, SIGWINCH, c_int, c_void,
    siginfo_t,
};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{io, ptr};

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
        let is_ours = |now: libc::sigaction| now.sa_sigaction == handler_address();
        if let Some(before) = signal.former()
            && action(number).is_ok_and(is_ours)
        {
            let _ = install_instead_of(&before, number); // it succeeded before
        }
    }
}

/// One signal: its seats, and its action before ours.
struct Signal {
    seats: Seats,
    /// The action before [`handle`] was installed; unset until then.
    before: OnceLock<libc::sigaction>,
    /// The number of listeners that replace the action before.
    replacing: AtomicU32,
    /// True from the first of these on: the default action has taken the place of `before`.
    is_replaced: AtomicBool,
}

/// What a listener does to the action that was there before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Calls it, too, and leaves it behind.
    Beside,
    /// Does not call it, and leaves the default action behind.
    Instead,
}

/// Holds a listener's seat until it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    number: c_int,
    mode: Mode,
    seat: &'static Seat,
    _eventfd: OwnedFd, // closed after the drop has left the seat
}

impl Signal {
    const fn new() -> Self {
        Signal {
            seats: Seats::new(),
            before: OnceLock::new(),
            replacing: AtomicU32::new(0),
            is_replaced: AtomicBool::new(false),
        }
    }

    fn of(number: c_int) -> Option<&'static Signal> {
        SIGNALS.get(usize::try_from(number).ok()?)
    }

    /// The action that takes effect without a listener.
    fn former(&self) -> Option<libc::sigaction> {
        let before = self.before.get()?;
        let is_replaced = self.is_replaced.load(Ordering::SeqCst);
        Some(if is_replaced {
            default_action()
        } else {
            *before
        })
    }

    /// Notifies all listeners. True if there are any.
    fn notify(&self) -> bool {
        self.seats.notify(add_one)
    }

    /// Installs the handler, and remembers the action before it.
    fn install(&self, number: c_int) -> io::Result<()> {
        let now = action(number)?;
        let is_first = self.before.get().is_none();
        // Before the handler is installed, because it may be called at once.
        self.before.get_or_init(|| now);
        // A handler that was installed after ours calls ours. But other code may have set the
        // default action again, or ignored the signal.
        if is_first || is_default_or_ignored(&now) {
            install_instead_of(&self.former().unwrap_or(now), number)?;
        }
        Ok(())
    }

    /// Installs the handler for a listener that replaces the action before.
    fn install_instead(&self, number: c_int) -> io::Result<()> {
        let now = action(number)?;
        self.before.get_or_init(|| now);
        if self.replacing.load(Ordering::SeqCst) == 0 && now.sa_sigaction != handler_address() {
            install_instead_of(&default_action(), number)?;
        }
        self.is_replaced.store(true, Ordering::SeqCst);
        self.replacing.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Listening {
    /// Takes a seat: each signal of this number adds 1 to the eventfd.
    pub(crate) fn new(number: c_int, eventfd: OwnedFd, mode: Mode) -> io::Result<Self> {
        let signal = Signal::of(number).ok_or(io::ErrorKind::InvalidInput)?;
        // A panic cannot leave it half-changed.
        let _change = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
        match mode {
            Mode::Beside => signal.install(number)?,
            Mode::Instead => signal.install_instead(number)?,
        }
        let seat = signal.seats.take(eventfd.as_raw_fd());
        Ok(Listening {
            number,
            mode,
            seat,
            _eventfd: eventfd,
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.seat.leave();
        if self.mode == Mode::Beside {
            return;
        }
        let signal = Signal::of(self.number).expect("it was there");
        let _change = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
        let is_last = signal.replacing.fetch_sub(1, Ordering::SeqCst) == 1;
        if is_last && !signal.seats.has_listener() {
            let _ = set_default(self.number); // it succeeds for each signal that has a handler
        }
    }
}

/// Adds 1 to the eventfd of a listener that is being notified.
fn add_one(eventfd: RawFd) {
    // SAFETY: it is open while its seat is notified.
    let eventfd = unsafe { BorrowedFd::borrow_raw(eventfd) };
    // A full eventfd is readable, which is all that a listener needs.
    let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
}

fn handler_address() -> usize {
    handle as *const () as usize
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
    let Some(before) = signal.former() else {
        return;
    };
    match before.sa_sigaction {
        SIG_IGN => {}
        SIG_DFL if has_listener => {}
        SIG_DFL => act_by_default(&before, number),
        _ => call(&before, number, info, context),
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
