//! Faults (SIGSEGV, SIGBUS): somebody has a look, then they go where they went before.
//!
//! ```text
//! fault ──▶ look ──▶ handler that was there before ──▶ back in the program
//!                                 └─ none, or it gave up ──▶ default action
//! ```
//! Our handler stays whatever becomes of a fault: a fault that somebody handles, as garbage collectors
//! do, leaves us armed for the next one.

use crate::action::{
    action, call, instead_of, is_default_or_ignored, keep_errno, set_action, set_default,
};
use libc::{SA_ONSTACK, SA_RESETHAND, SIG_DFL, SIG_IGN, SIGBUS, SIGSEGV, c_int, c_void, siginfo_t};
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// asm-generic/siginfo.h: the kernel says neither why nor where.
const SI_KERNEL: c_int = 0x80;

/// What is known of a fault.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// This address was touched.
    At(usize),
    /// The kernel had a signal's frame to push, and could not: most likely for want of room below this
    /// stack pointer. The signal is lost.
    NoFrame(usize),
    /// Somebody sent the signal, or the kernel does not say.
    Other,
}

/// Has a look at a fault; if it returns, the fault takes its course.
pub type Look = fn(Fault);

/// What a signal did before.
struct Former {
    action: libc::sigaction,
    /// It was for one signal only, which has come.
    is_spent: AtomicBool,
}

static LOOK: OnceLock<Look> = OnceLock::new();
static SEGV: OnceLock<Former> = OnceLock::new();
static BUS: OnceLock<Former> = OnceLock::new();

/// Has the function look at each fault of the process from now on; only the first one does.
///
/// # Safety
/// The function is async-signal-safe, whatever the fault has interrupted.
pub unsafe fn watch(look: Look) {
    LOOK.get_or_init(|| {
        for number in [SIGSEGV, SIGBUS] {
            let _ = install(number); // both are signals that can be handled
        }
        look
    });
}

fn former(number: c_int) -> &'static OnceLock<Former> {
    if number == SIGBUS { &BUS } else { &SEGV }
}

fn install(number: c_int) -> io::Result<()> {
    let now = action(number)?;
    // Before the handler is there, for it may be called at once.
    let former = former(number).get_or_init(|| Former {
        action: now,
        is_spent: AtomicBool::new(false),
    });
    let mut ours = instead_of(&former.action, on_fault);
    ours.sa_flags |= SA_ONSTACK; // the thread's own stack may be full
    // SAFETY: the handler has the signature that the flags say, and does what signal-safety(7) allows,
    // as `watch` promises of `look`.
    unsafe { set_action(number, &ours) }.map(drop)
}

extern "C" fn on_fault(number: c_int, info: *mut siginfo_t, context: *mut c_void) {
    keep_errno(|| {
        // SAFETY: the kernel gives a handler with SA_SIGINFO valid ones.
        let (info_of, context_of) = unsafe { (&*info, &*context.cast::<libc::ucontext_t>()) };
        if let Some(look) = LOOK.get() {
            look(fault_of(info_of, context_of));
        }
        if let Some(former) = former(number).get() {
            pass_on(former, number, info, context, comes_again(info_of));
        }
    });
}

fn fault_of(info: &siginfo_t, context: &libc::ucontext_t) -> Fault {
    match info.si_code {
        SI_KERNEL => stack_pointer_without_trap(context).map_or(Fault::Other, Fault::NoFrame),
        // SAFETY: it is the signal of a fault, and has the field.
        code if code > 0 => Fault::At(unsafe { info.si_addr() } as usize),
        _ => Fault::Other,
    }
}

/// True if the program meets the same fault when it goes on.
fn comes_again(info: &siginfo_t) -> bool {
    info.si_code > 0 && info.si_code != SI_KERNEL
}

/// Where the stack was, unless it was the program's own instruction that failed.
#[cfg(target_arch = "x86_64")]
fn stack_pointer_without_trap(context: &libc::ucontext_t) -> Option<usize> {
    const GENERAL_PROTECTION: i64 = 13; // such as an address that is none
    let registers = &context.uc_mcontext.gregs;
    let trap = registers[libc::REG_TRAPNO as usize];
    (trap != GENERAL_PROTECTION).then_some(registers[libc::REG_RSP as usize] as usize)
}

/// The same; other faults have an address there.
#[cfg(target_arch = "aarch64")]
fn stack_pointer_without_trap(context: &libc::ucontext_t) -> Option<usize> {
    Some(context.uc_mcontext.sp as usize)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn stack_pointer_without_trap(_: &libc::ucontext_t) -> Option<usize> {
    None
}

/// Does what the signal did before.
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
        // The kernel ignores only what somebody has sent.
        // SAFETY: as in `on_fault`.
        SIG_IGN if unsafe { (*info).si_code } <= 0 => {}
        SIG_DFL | SIG_IGN => act_by_default(number, comes_again),
        _ if is_for_one && former.is_spent.swap(true, Ordering::Relaxed) => {
            act_by_default(number, comes_again);
        }
        _ => {
            call(before, number, info, context);
            // The standard library's goes back to the default action, and lets the fault come again.
            if action(number).is_ok_and(|now| is_default_or_ignored(&now)) {
                act_by_default(number, comes_again);
            }
        }
    }
}

/// Ends the process: by the fault itself, if it comes again, as its core dump then shows where.
fn act_by_default(number: c_int, comes_again: bool) {
    let _ = set_default(number);
    if !comes_again {
        // SAFETY: raise(3) is async-signal-safe. The signal is blocked here, and comes behind us.
        unsafe { libc::raise(number) };
    }
}
