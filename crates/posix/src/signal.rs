//! What a signal calls: the eventfds of those who listen, or its default action when nobody does.

use crate::fork::{Process, forks};
use signal_hook::SigId;
use signal_hook::consts::FORBIDDEN;
use signal_hook::low_level::{emulate_default_handler, register, unregister};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Linux has the signals 1 to 64.
const SIGNALS_MAX: usize = 64;

/// For each signal who listens, in which process: forks in the upper half, listeners in the lower.
static LISTENERS: [AtomicU64; SIGNALS_MAX + 1] = [const { AtomicU64::new(0) }; SIGNALS_MAX + 1];

/// Signals that have been asked once what they did before, as bits.
static SEEN: Mutex<u64> = Mutex::new(0);

/// What happens when a signal comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The default action of `signal(7)`.
    Default,
    /// Nothing: whoever started the program had it ignored, as `nohup` does.
    Ignored,
    /// A handler is called.
    Caught,
}

/// What this signal does now (`sigaction(2)`).
///
/// # Errors
/// `EINVAL` for what is no signal.
pub fn disposition(number: i32) -> io::Result<Disposition> {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: it is given nothing to set, and room for what is set.
    if unsafe { libc::sigaction(number, ptr::null(), now.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: sigaction(2) has filled it in.
    let now = unsafe { now.assume_init() };
    Ok(match now.sa_sigaction {
        libc::SIG_DFL => Disposition::Default,
        libc::SIG_IGN => Disposition::Ignored,
        _ => Disposition::Caught,
    })
}

/// Where a signal is in a mask; what is no signal is nowhere.
fn bit(number: i32) -> u64 {
    let place = u32::try_from(number).ok().and_then(|n| n.checked_sub(1));
    place
        .and_then(|place| 1_u64.checked_shl(place))
        .unwrap_or(0)
}

/// Somebody who listens to a signal, until it is dropped. When the last one of a signal is gone, what
/// it did before the first one came is what it does: its default action, nothing, or another library's
/// handler, which was called all the while.
///
/// A process that is forked has no listeners but those it makes itself.
#[derive(Debug)]
pub struct Listener {
    number: i32,
    id: SigId,
    process: Process,
}

impl Listener {
    /// Has each such signal add 1 to an eventfd, which should be non-blocking. Signals of one number
    /// that come at once may count as one, as in POSIX.
    ///
    /// # Errors
    /// `InvalidInput` for what is no signal, and for those that cannot be listened to: `SIGKILL`,
    /// `SIGSTOP`, `SIGILL`, `SIGFPE`, `SIGSEGV`.
    pub fn new(number: i32, eventfd: OwnedFd) -> io::Result<Self> {
        if bit(number) == 0 || FORBIDDEN.contains(&number) {
            let problem = format!("nothing can listen to signal {number}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let process = Process::this()?;
        restore_later(number)?;
        let tell = move || {
            if process.is_this() {
                let _ = rustix::io::write(&eventfd, &1_u64.to_ne_bytes());
            }
        };
        // SAFETY: the action is async-signal-safe: a load and a write(2) that is a bare system call,
        // so it allocates nothing, takes no lock and leaves errno as it is. It cannot panic.
        let id = unsafe { register(number, tell) }?;
        // What comes before this line is heard and has its default action: better twice than not at all.
        count(number, |listeners| listeners + 1);
        Ok(Listener {
            number,
            id,
            process,
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.process.is_this() {
            count(self.number, |listeners| listeners - 1); // first, for the same reason
            unregister(self.id);
        }
    }
}

/// Changes how many listen in this process. In one that was just forked nobody does.
fn count(number: i32, change: impl Fn(u32) -> u32) {
    let listeners = &LISTENERS[number as usize];
    let changed = |state| Some(pack(change(listening(state))));
    let _ = listeners.fetch_update(Ordering::AcqRel, Ordering::Acquire, changed);
}

fn pack(listeners: u32) -> u64 {
    u64::from(forks()) << 32 | u64::from(listeners)
}

fn listening(state: u64) -> u32 {
    if state >> 32 == u64::from(forks()) {
        state as u32
    } else {
        0
    }
}

/// Sees to it that a signal to which nobody listens any more has its default action, if it has it now.
fn restore_later(number: i32) -> io::Result<()> {
    // A panic cannot leave it half-changed.
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_new = *seen & bit(number) == 0;
    if is_new && matches!(disposition(number), Ok(Disposition::Default)) {
        // SAFETY: the action is async-signal-safe: a load, and what signal-hook promises to be so.
        unsafe { register(number, move || act_by_default(number)) }?;
    }
    *seen |= bit(number);
    Ok(())
}

fn act_by_default(number: i32) {
    let state = LISTENERS[number as usize].load(Ordering::Acquire);
    if listening(state) == 0 && emulate_default_handler(number).is_err() {
        end_by(number); // it knows no real-time signals: signal(7) has them end the process
    }
}

fn end_by(number: i32) {
    // SAFETY: signal(2) is async-signal-safe, and the default action is no function that could be gone.
    unsafe { libc::signal(number, libc::SIG_DFL) };
    // SAFETY: raise(3) is async-signal-safe. It comes once this handler is left, which blocks it.
    unsafe { libc::raise(number) };
}
