//! Where another thread is: a signal has it walk its own stack, and names are looked up afterwards.
//!
//! The handler runs on an alternate stack, as a green stack may be small; a thread keeps it once it has
//! it. It allocates nothing and takes no lock of ours; the unwinder finds its tables with
//! `_dl_find_object`, which is async-signal-safe (glibc 2.35).

use oneloop_core::is_between_stacks;
use oneloop_posix::alternate_stack;
use std::ffi::{c_int, c_void};
use std::io;
use std::marker::PhantomData;
use std::mem::zeroed;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Ignored by default, and used for hardly anything else: Go preempts with it for the same reason.
const SIGNAL: c_int = libc::SIGURG;

const FRAMES_MAX: usize = 64;

/// How long the thread may take to react: it may be in the kernel.
const PATIENCE: Duration = Duration::from_millis(200);

/// The frames of the one sample that is being taken.
struct Sample {
    state: AtomicI32,
    len: AtomicUsize,
    frames: [AtomicUsize; FRAMES_MAX],
}

/// ```text
/// IDLE ──monitor──▶ thread id ──its handler──▶ TAKING ──handler──▶ TAKEN ──monitor──▶ IDLE
///                    ▲  └─────────────── monitor: too late ────────────────────────────┘
///                    └──monitor── SWITCHES ◀──handler── TAKING
/// ```
/// A thread that was asked before, and hears of it late, finds another one's id.
const IDLE: i32 = 0;
const TAKING: i32 = -1;
const TAKEN: i32 = -2;
const SWITCHES: i32 = -3;

static SAMPLE: Sample = Sample {
    state: AtomicI32::new(IDLE),
    len: AtomicUsize::new(0),
    frames: [const { AtomicUsize::new(0) }; FRAMES_MAX],
};

/// One sample at a time, whoever asks. How many threads can be sampled.
static TURN: Mutex<()> = Mutex::new(());
static SAMPLERS: Mutex<usize> = Mutex::new(0);

/// Walks the stack that the signal interrupted.
extern "C" fn on_signal(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: it has no preconditions.
    let own = unsafe { libc::gettid() };
    let asked = SAMPLE
        .state
        .compare_exchange(own, TAKING, Ordering::Acquire, Ordering::Relaxed);
    if asked.is_err() {
        return; // a signal that comes too late, or from somebody else
    }
    if is_between_stacks() {
        // The tables do not say what is where in the middle of a switch: the unwinder would run wild.
        return SAMPLE.state.store(SWITCHES, Ordering::Release);
    }
    let mut len = 0;
    // SAFETY: unsynchronized is for one walk at a time, which the state sees to; the closure allocates
    // nothing.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            SAMPLE.frames[len].store(frame.ip() as usize, Ordering::Relaxed);
            len += 1;
            len < FRAMES_MAX
        });
    }
    SAMPLE.len.store(len, Ordering::Relaxed);
    SAMPLE.state.store(TAKEN, Ordering::Release);
}

/// A thread that can be sampled, as long as this lives; it stays on that thread.
#[derive(Debug)]
pub(crate) struct Sampler {
    target: Target,
    stays: PhantomData<*const ()>,
}

/// Names that thread for others.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    process: libc::pid_t,
    thread: libc::pid_t,
}

impl Sampler {
    pub(crate) fn of_this_thread() -> io::Result<Self> {
        backtrace::trace(|_| false); // what the unwinder does at its first call is done now
        alternate_stack::ensure(alternate_stack::ROOM_BYTES)?;
        install()?;
        Ok(Sampler {
            target: Target {
                // SAFETY: it has no preconditions.
                process: unsafe { libc::getpid() },
                // SAFETY: it has no preconditions.
                thread: unsafe { libc::gettid() },
            },
            stays: PhantomData,
        })
    }

    pub(crate) fn target(&self) -> Target {
        self.target.clone()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        uninstall();
    }
}

/// Handles the signal, if nobody else does.
fn install() -> io::Result<()> {
    let mut samplers = SAMPLERS.lock().unwrap_or_else(PoisonError::into_inner);
    if *samplers == 0 {
        // SAFETY: all zeros is a valid sigaction.
        let mut present: libc::sigaction = unsafe { zeroed() };
        // SAFETY: it only reads, into a sigaction.
        unsafe { libc::sigaction(SIGNAL, null_mut(), &mut present) };
        if present.sa_sigaction != libc::SIG_DFL && present.sa_sigaction != libc::SIG_IGN {
            let problem = "SIGURG, which backtraces need, is handled by somebody else";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
        }
        set_action(on_signal as *const () as usize);
    }
    *samplers += 1;
    Ok(())
}

fn uninstall() {
    let mut samplers = SAMPLERS.lock().unwrap_or_else(PoisonError::into_inner);
    *samplers -= 1;
    if *samplers == 0 {
        set_action(libc::SIG_IGN); // a late signal does nothing
    }
}

fn set_action(handler: usize) {
    // SAFETY: all zeros is a valid sigaction: an empty mask.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the handler is async-signal-safe, or SIG_IGN.
    unsafe { libc::sigaction(SIGNAL, &action, null_mut()) };
}

impl Target {
    /// Where the thread is, a line for each call; empty if it does not react.
    pub(crate) fn backtrace(&self) -> Vec<String> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let frames = self.frames().unwrap_or_default();
        frames.into_iter().flat_map(names).collect()
    }

    fn ask(&self) {
        SAMPLE.state.store(self.thread, Ordering::Release);
        // SAFETY: it sends a signal that is handled; the ids are those of our own thread, which is there,
        // as its `Sampler` outlives whoever asks.
        unsafe { libc::syscall(libc::SYS_tgkill, self.process, self.thread, SIGNAL) };
    }

    fn frames(&self) -> Option<Vec<usize>> {
        let deadline = Instant::now() + PATIENCE;
        self.ask();
        loop {
            match SAMPLE.state.load(Ordering::Acquire) {
                TAKEN => break,
                SWITCHES => self.ask(),
                _ => {}
            }
            let give_up = || {
                let state = &SAMPLE.state;
                state.compare_exchange(self.thread, IDLE, Ordering::Relaxed, Ordering::Relaxed)
            };
            if Instant::now() > deadline && give_up().is_ok() {
                return None;
            }
            thread::sleep(Duration::from_micros(100));
        }
        let len = SAMPLE.len.load(Ordering::Relaxed);
        let frames = SAMPLE.frames[..len].iter();
        let frames = frames.map(|frame| frame.load(Ordering::Relaxed)).collect();
        SAMPLE.state.store(IDLE, Ordering::Relaxed);
        Some(frames)
    }
}

/// The functions at an address: several, where some are inlined. Ours and the signal's say nothing.
fn names(frame: usize) -> Vec<String> {
    let mut names = Vec::new();
    // An address on the stack is behind its call.
    backtrace::resolve((frame.saturating_sub(1)) as *mut c_void, |symbol| {
        let Some(name) = symbol.name() else { return };
        let name = format!("{name:#}");
        if is_ours(&name) {
            return;
        }
        names.push(match (symbol.filename(), symbol.lineno()) {
            (Some(file), Some(line)) => format!("{name} at {}:{line}", file.display()),
            _ => name,
        });
    });
    names
}

fn is_ours(name: &str) -> bool {
    ["backtrace::", "oneloop_monitor::sample::", "__restore_rt"]
        .iter()
        .any(|ours| name.starts_with(ours))
}
