//! Samples the stack of another thread: a signal makes that thread walk its own stack, and the
//! names are looked up later, on the monitor's thread.
//!
//! The handler runs on an alternate stack, because a green stack may be small. It allocates nothing
//! and takes no lock of ours. The unwinder finds its tables with `_dl_find_object`, which is
//! async-signal-safe (glibc 2.35).

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

/// Programs rarely use `SIGURG`, and by default it is ignored. Go preempts by it for the same
/// reasons.
const SIGNAL: c_int = libc::SIGURG;

/// The maximum number of frames of a sample.
const FRAMES_MAX: usize = 64;

/// How long the thread may take to react. It may be in a system call that signals do not interrupt.
const PATIENCE: Duration = Duration::from_millis(200);

/// The sample that is being taken. There is one, since a handler can reach only statics.
struct Sample {
    state: AtomicI32,
    len: AtomicUsize,
    frames: [AtomicUsize; FRAMES_MAX],
}

/// The states of a sample, and the side that leaves each:
///
/// ```text
/// IDLE ──monitor──▶ thread id ──its handler──▶ TAKING ──handler──▶ TAKEN ──monitor──▶ IDLE
///                    ▲  └─────────────── monitor: too late ────────────────────────────┘
///                    └──monitor── SWITCHES ◀──handler── TAKING
/// ```
///
/// The state holds the id of the thread that shall walk its stack. A thread that handles its signal
/// too late finds the id of another one, and does nothing.
const IDLE: i32 = 0;
const TAKING: i32 = -1;
const TAKEN: i32 = -2;
const SWITCHES: i32 = -3;

static SAMPLE: Sample = Sample {
    state: AtomicI32::new(IDLE),
    len: AtomicUsize::new(0),
    frames: [const { AtomicUsize::new(0) }; FRAMES_MAX],
};

/// Held by the monitor that takes a sample, so that there is one at a time.
static TURN: Mutex<()> = Mutex::new(());
/// How many samplers exist. While there is one, the signal is handled.
static SAMPLERS: Mutex<usize> = Mutex::new(0);

/// Walks the stack that the signal interrupted.
extern "C" fn on_signal(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the call has no preconditions.
    let own = unsafe { libc::gettid() };
    let asked = SAMPLE
        .state
        .compare_exchange(own, TAKING, Ordering::Acquire, Ordering::Relaxed);
    if asked.is_err() {
        return; // the signal came too late, or another process sent it
    }
    if is_between_stacks() {
        // The unwinder's tables do not describe the middle of a stack switch, so it would read
        // garbage.
        return SAMPLE.state.store(SWITCHES, Ordering::Release);
    }
    let mut len = 0;
    // SAFETY: `trace_unsynchronized` allows one walk at a time, which the state TAKING ensures. The
    // closure allocates nothing.
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

/// Makes its thread a target for samples while it lives. It is not `Send`, so it stays on that
/// thread.
#[derive(Debug)]
pub(crate) struct Sampler {
    target: Target,
    not_send: PhantomData<*const ()>,
}

/// A thread that other threads can sample.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    process: libc::pid_t,
    thread: libc::pid_t,
}

impl Sampler {
    pub(crate) fn of_this_thread() -> io::Result<Self> {
        // The unwinder initializes itself at its first call, which must not happen in the handler.
        backtrace::trace(|_| false);
        alternate_stack::ensure(alternate_stack::ROOM_BYTES)?;
        install()?;
        Ok(Sampler {
            target: Target {
                // SAFETY: the call has no preconditions.
                process: unsafe { libc::getpid() },
                // SAFETY: the call has no preconditions.
                thread: unsafe { libc::gettid() },
            },
            not_send: PhantomData,
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

/// Installs the handler, unless other code handles the signal.
fn install() -> io::Result<()> {
    let mut samplers = SAMPLERS.lock().unwrap_or_else(PoisonError::into_inner);
    if *samplers == 0 {
        // SAFETY: all zeros are a valid sigaction.
        let mut present: libc::sigaction = unsafe { zeroed() };
        // SAFETY: with a null new action, the call only writes the present one.
        unsafe { libc::sigaction(SIGNAL, null_mut(), &mut present) };
        if present.sa_sigaction != libc::SIG_DFL && present.sa_sigaction != libc::SIG_IGN {
            let problem = "backtraces need SIGURG, and other code in this program handles it";
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
        set_action(libc::SIG_IGN); // a signal that is still on its way does nothing
    }
}

fn set_action(handler: usize) {
    // SAFETY: all zeros are a valid sigaction, with an empty mask.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the handler is async-signal-safe, or SIG_IGN.
    unsafe { libc::sigaction(SIGNAL, &action, null_mut()) };
}

impl Target {
    /// Returns the calls that the thread is in, one per line; empty if the thread does not react.
    pub(crate) fn backtrace(&self) -> Vec<String> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let frames = self.frames().unwrap_or_default();
        frames.into_iter().flat_map(names).collect()
    }

    fn ask(&self) {
        SAMPLE.state.store(self.thread, Ordering::Release);
        // SAFETY: the call reads and writes no memory of ours. The thread exists, because its
        // `Sampler` outlives every use of the target, and it handles the signal.
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
            // Fails if the handler has begun: then the sample will come, and the static is in use.
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

/// Returns the functions at an address: several, if some are inlined. Skips those of the sampling
/// itself.
fn names(frame: usize) -> Vec<String> {
    let mut names = Vec::new();
    // A return address is behind its call, and may belong to the next line or function.
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
