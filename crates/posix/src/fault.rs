//! Faults (SIGSEGV, SIGBUS): an observer sees each fault, which then takes its former course.
//!
//! ```text
//! fault ──▶ observer ──▶ the former handler ──▶ back in the program
//!                               └─ none, or it gave up ──▶ default action
//! ```
//! Our handler stays installed. A fault that the former handler resolves, as those of garbage
//! collectors do, leaves it armed for the next one.

use crate::action::{
    action, call, instead_of, is_default_or_ignored, keep_errno, set_action, set_default,
};
use libc::{SA_ONSTACK, SA_RESETHAND, SIG_DFL, SIG_IGN, SIGBUS, SIGSEGV, c_int, c_void, siginfo_t};
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// From asm-generic/siginfo.h: the kernel reports neither a reason nor an address.
const SI_KERNEL: c_int = 0x80;

/// The known facts of a fault.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The program accessed this address.
    At(usize),
    /// The kernel could not push a signal's frame, most likely because there was no room below this
    /// stack pointer. The signal is lost.
    NoFrame(usize),
    /// A process sent the signal, or the kernel reports no details.
    Other,
}

/// Is called for each fault. When it returns, the fault takes its former course.
pub type Observer = fn(Fault);

/// The former action of a signal.
struct Former {
    action: libc::sigaction,
    /// The action was for one signal only (SA_RESETHAND), which has come.
    is_spent: AtomicBool,
}

static OBSERVER: OnceLock<Observer> = OnceLock::new();
static SEGV: OnceLock<Former> = OnceLock::new();
static BUS: OnceLock<Former> = OnceLock::new();

/// Calls the observer for each fault of the process from now on. Only the first observer is
/// installed.
///
/// # Safety
/// The observer is async-signal-safe, whatever the fault has interrupted.
pub unsafe fn watch(observer: Observer) {
    OBSERVER.get_or_init(|| {
        for number in [SIGSEGV, SIGBUS] {
            let _ = install(number); // both signals can have handlers
        }
        observer
    });
}

fn former(number: c_int) -> &'static OnceLock<Former> {
    if number == SIGBUS { &BUS } else { &SEGV }
}

fn install(number: c_int) -> io::Result<()> {
    let now = action(number)?;
    // Before the handler is installed, because it may be called at once.
    let former = former(number).get_or_init(|| Former {
        action: now,
        is_spent: AtomicBool::new(false),
    });
    let mut ours = instead_of(&former.action, on_fault);
    ours.sa_flags |= SA_ONSTACK; // the thread's own stack may be full
    // SAFETY: the handler has the signature that the flags announce, and does what signal-safety(7)
    // allows, as the caller of `watch` promises of the observer.
    unsafe { set_action(number, &ours) }.map(drop)
}

extern "C" fn on_fault(number: c_int, info: *mut siginfo_t, context: *mut c_void) {
    keep_errno(|| {
        // SAFETY: the kernel passes valid pointers to a handler with SA_SIGINFO.
        let (info_of, context_of) = unsafe { (&*info, &*context.cast::<libc::ucontext_t>()) };
        if let Some(observer) = OBSERVER.get() {
            observer(fault_of(info_of, context_of));
        }
        if let Some(former) = former(number).get() {
            pass_on(former, number, info, context, comes_again(info_of));
        }
    });
}

fn fault_of(info: &siginfo_t, context: &libc::ucontext_t) -> Fault {
    match info.si_code {
        SI_KERNEL => stack_pointer_without_trap(context).map_or(Fault::Other, Fault::NoFrame),
        // SAFETY: a positive code is that of a fault, which has this field (sigaction(2)).
        code if code > 0 => Fault::At(unsafe { info.si_addr() } as usize),
        _ => Fault::Other,
    }
}

/// True if the program meets the same fault when it continues. A signal that a process sent, or the
/// lost frame of one, does not come again.
fn comes_again(info: &siginfo_t) -> bool {
    info.si_code > 0 && info.si_code != SI_KERNEL
}

/// The stack pointer, unless the program's own instruction failed.
#[cfg(target_arch = "x86_64")]
fn stack_pointer_without_trap(context: &libc::ucontext_t) -> Option<usize> {
    const GENERAL_PROTECTION: i64 = 13; // for example, access to a non-canonical address
    let registers = &context.uc_mcontext.gregs;
    let trap = registers[libc::REG_TRAPNO as usize];
    (trap != GENERAL_PROTECTION).then_some(registers[libc::REG_RSP as usize] as usize)
}

/// The same. On aarch64 all faults of instructions have an address.
#[cfg(target_arch = "aarch64")]
fn stack_pointer_without_trap(context: &libc::ucontext_t) -> Option<usize> {
    Some(context.uc_mcontext.sp as usize)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn stack_pointer_without_trap(_: &libc::ucontext_t) -> Option<usize> {
    None
}

/// Takes the former course of the signal.
fn pass_on(
    former: &Former,
    number: c_int,
    info: *mut siginfo_t,
    context: *mut c_void,
    comes_again: bool,
) {
    let before = &former.action;
    let is_for_one = before.sa_flags & SA_RESETHAND != 0;
    match before.sa_sigaction {
        // The kernel ignores only a signal that a process sent; a fault of an instruction ends the
        // process. SAFETY: as in `on_fault`.
        SIG_IGN if unsafe { (*info).si_code } <= 0 => {}
        SIG_DFL | SIG_IGN => act_by_default(number, comes_again),
        _ if is_for_one && former.is_spent.swap(true, Ordering::Relaxed) => {
            act_by_default(number, comes_again);
        }
        _ => {
            call(before, number, info, context);
            // The standard library's handler sets the default action and lets the fault come again.
            if action(number).is_ok_and(|now| is_default_or_ignored(&now)) {
                act_by_default(number, comes_again);
            }
        }
    }
}

/// Ends the process. A fault that comes again ends it itself, so that the core dump shows its
/// place.
fn act_by_default(number: c_int, comes_again: bool) {
    let _ = set_default(number);
    if !comes_again {
        // SAFETY: raise(3) is async-signal-safe. The signal is blocked here, and comes when we
        // return.
        unsafe { libc::raise(number) };
    }
}
