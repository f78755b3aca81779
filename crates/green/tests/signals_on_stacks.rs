//! Signals that arrive on green stacks, however full they are, and faults that are no overflows.
//! Each case is its own process, which is this test started again with the case in the environment.

use oneloop_core::{EventLoop, Handle, Signals};
use oneloop_green::{Builder, STACK_BYTES_MIN, Wait, run, spawn, yield_now};
use std::cell::Cell;
use std::ffi::c_void;
use std::hint::{black_box, spin_loop};
use std::mem::zeroed;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;

const CASE: &str = "ONELOOP_TEST_SIGNALS";
const OVERFLOWED: &str = "has overflowed its stack of 64 KiB: see Builder::stack_bytes";
const NO_FRAME: &str =
    "got a signal whose handler, which has no SA_ONSTACK, does not fit on its stack";

/// How the process of a case ended, and what it printed.
struct Ended {
    status: ExitStatus,
    stderr: String,
}

/// Runs a case in its own process.
fn case(name: &str, case: impl FnOnce()) -> Option<Ended> {
    if std::env::var(CASE).is_ok_and(|running| running == name) {
        // SAFETY: it has no conditions. If a signal is lost, this ends the wait for it.
        unsafe { libc::alarm(60) };
        case();
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]);
    command.env("ASAN_OPTIONS", "handle_segv=0:handle_sigbus=0:use_sigaltstack=0:detect_stack_use_after_return=0:detect_leaks=0");
    let output = command.env(CASE, name).output().unwrap();
    Some(Ended {
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs a case that succeeds.
fn succeeds(name: &str, run: impl FnOnce()) {
    if let Some(Ended { status, stderr }) = case(name, run) {
        assert!(status.success(), "{status}: {stderr}");
    }
}

/// Runs a case that ends by a signal, and returns its stderr.
fn ends_by(signal: i32, name: &str, run: impl FnOnce()) -> Option<String> {
    let Ended { status, stderr } = case(name, run)?;
    assert_eq!(status.signal(), Some(signal), "{status}: {stderr}");
    Some(stderr)
}

/// Installs a handler as other libraries do.
fn handle(number: i32, handler: usize, flags: i32) {
    // SAFETY: all zeros is a valid sigaction: an empty mask.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the handlers here are async-signal-safe, and have the signature that the flags imply.
    let failed = unsafe { libc::sigaction(number, &action, null_mut()) };
    assert_eq!(failed, 0);
}

static CALLS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: i32) {
    CALLS.fetch_add(1, Ordering::Relaxed);
}

fn calls() -> u32 {
    CALLS.load(Ordering::Relaxed)
}

fn raise(number: i32) {
    // SAFETY: raise(3) has no conditions.
    assert_eq!(unsafe { libc::raise(number) }, 0);
}

/// Calls a function with about `left` bytes left of the stack.
fn with_left(left: usize, function: &dyn Fn()) {
    descend(end_of_guard() + left, function);
}

/// The lowest address of the stack above the guard. The kernel checks it in write(2), without a
/// fault.
fn end_of_guard() -> usize {
    let (_reader, writer) = rustix::pipe::pipe().unwrap();
    let here = &raw const writer as usize / 4096 * 4096;
    let pages = (1..).map(|page| here - page * 4096);
    let mut guards = pages.filter(|page| {
        // SAFETY: write(2) checks the address itself, and only reads there.
        let written = unsafe { libc::write(writer.as_raw_fd(), *page as *const c_void, 1) };
        written == -1
    });
    guards.next().unwrap() + 4096
}

#[inline(never)]
fn descend(until: usize, function: &dyn Fn()) {
    let here = black_box([0_u8; 64]);
    if (&raw const here as usize) > until {
        descend(until, function);
    } else {
        function();
    }
    black_box(here);
}

/// Bytes: room for raise(3) itself, and far too little for a signal's frame.
const LEFT: usize = 2048;

/// Raises a signal on the smallest stack, when it is almost full.
fn raise_on_a_full_stack(number: i32) {
    let small = Builder::new().name("small").stack_bytes(STACK_BYTES_MIN);
    let raises = move || with_left(LEFT, &|| raise(number));
    small.spawn(raises).unwrap().join().unwrap();
}

/// Overflows a stack of 64 KiB.
fn overflow() {
    let builder = Builder::new().name("deep").stack_bytes(64 * 1024);
    let _ = builder.spawn(|| descend(0, &|| ())).unwrap().join();
}

#[test]
fn a_signal_on_a_small_stack_is_received() {
    succeeds("a_signal_on_a_small_stack_is_received", || {
        run(|| {
            let handle = Handle::current();
            let signals = Signals::new(&handle, &[libc::SIGUSR1]).unwrap();
            let _alive = handle.keep_alive();
            raise_on_a_full_stack(libc::SIGUSR1);
            let received = signals.recv().wait();
            assert_eq!(received.unwrap(), libc::SIGUSR1);
        })
        .unwrap();
    });
}

#[test]
fn an_earlier_handler_is_called_on_a_small_stack_too() {
    succeeds("an_earlier_handler_is_called_on_a_small_stack_too", || {
        handle(libc::SIGUSR1, count as *const () as usize, 0);
        run(|| {
            let handle = Handle::current();
            let _signals = Signals::new(&handle, &[libc::SIGUSR1]).unwrap();
            raise_on_a_full_stack(libc::SIGUSR1);
        })
        .unwrap();
        assert_eq!(calls(), 1);
    });
}

/// Calls a function while another thread sends signals to this one.
fn in_a_storm(function: impl FnOnce()) {
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    // SAFETY: it has no conditions.
    let target = unsafe { libc::pthread_self() } as usize;
    let storm = thread::spawn(move || {
        let mut sent = 0;
        while !IS_OVER.load(Ordering::Relaxed) {
            // SAFETY: the thread waits for this one below.
            unsafe { libc::pthread_kill(target as libc::pthread_t, libc::SIGUSR1) };
            sent += 1;
            thread::yield_now();
        }
        sent
    });
    function();
    IS_OVER.store(true, Ordering::Relaxed);
    assert!(storm.join().unwrap() > 0);
}

#[test]
fn a_storm_of_signals_hits_the_smallest_stacks_and_the_switches_between_them() {
    succeeds(
        "a_storm_of_signals_hits_the_smallest_stacks_and_the_switches_between_them",
        || {
            run(|| {
                let handle = Handle::current();
                let _signals = Signals::new(&handle, &[libc::SIGUSR1]).unwrap();
                in_a_storm(|| {
                    let threads: Vec<_> = (0..4)
                        .map(|_| {
                            let small = Builder::new().stack_bytes(STACK_BYTES_MIN);
                            small.spawn(yield_often_when_it_is_full).unwrap()
                        })
                        .collect();
                    threads
                        .into_iter()
                        .for_each(|thread| thread.join().unwrap());
                });
            })
            .unwrap();
        },
    );
}

fn yield_often_when_it_is_full() {
    for _ in 0..1000 {
        let spin = || (0..1000).for_each(|_| spin_loop());
        with_left(LEFT, &spin);
        yield_now();
    }
}

#[test]
fn a_handler_that_does_not_fit_is_reported() {
    let stderr = ends_by(
        libc::SIGSEGV,
        "a_handler_that_does_not_fit_is_reported",
        || {
            handle(libc::SIGUSR2, count as *const () as usize, 0);
            run(|| raise_on_a_full_stack(libc::SIGUSR2)).unwrap();
        },
    );
    let Some(stderr) = stderr else { return };
    let expected = "green thread 'small' spawned at crates/green/tests/signals_on_stacks.rs:";
    assert!(stderr.contains(expected), "{stderr}");
    assert!(stderr.contains(NO_FRAME), "{stderr}");
}

#[test]
fn a_later_overflow_is_named_if_the_process_continues() {
    let stderr = ends_by(
        libc::SIGABRT,
        "a_later_overflow_is_named_if_the_process_continues",
        || {
            handle(libc::SIGSEGV, count as *const () as usize, 0);
            handle(libc::SIGUSR2, count as *const () as usize, 0);
            run(|| {
                raise_on_a_full_stack(libc::SIGUSR2);
                assert_eq!(calls(), 1, "the handler of SIGSEGV, as SIGUSR2 is lost");
                overflow();
            })
            .unwrap();
        },
    );
    let Some(stderr) = stderr else { return };
    assert!(stderr.contains(NO_FRAME), "{stderr}");
    assert!(stderr.contains(OVERFLOWED), "{stderr}");
}

static GUARDED: AtomicUsize = AtomicUsize::new(0);

/// Resolves a fault as a garbage collector does: makes the page accessible.
extern "C" fn unprotect(_: i32, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo of a fault.
    let address = unsafe { (*info).si_addr() } as usize;
    if address == GUARDED.load(Ordering::Relaxed) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the page belongs to the test, and no reference points to it.
        unsafe { libc::mprotect(address as *mut c_void, 4096, libc::PROT_READ) };
    }
}

/// Reads from a page without access.
fn fault() {
    let (kind, access) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_NONE);
    // SAFETY: the kernel chooses the address, so this maps over no memory in use.
    let page = unsafe { libc::mmap(null_mut(), 4096, access, kind, -1, 0) };
    GUARDED.store(page as usize, Ordering::Relaxed);
    // SAFETY: the handler makes it readable; without one, the process ends.
    assert_eq!(unsafe { page.cast::<u8>().read_volatile() }, 0);
}

#[test]
fn a_fault_that_a_handler_resolves_leaves_later_overflows_named() {
    let stderr = ends_by(
        libc::SIGABRT,
        "a_fault_that_a_handler_resolves_leaves_later_overflows_named",
        || {
            let handler = unprotect as *const () as usize;
            handle(libc::SIGSEGV, handler, libc::SA_SIGINFO);
            run(|| {
                for _ in 0..2 {
                    spawn(fault).join().unwrap();
                    fault();
                }
                assert_eq!(calls(), 4);
                overflow();
            })
            .unwrap();
        },
    );
    let Some(stderr) = stderr else { return };
    assert!(stderr.contains(OVERFLOWED), "{stderr}");
}

#[test]
fn a_one_shot_handler_handles_one_fault() {
    let stderr = ends_by(
        libc::SIGSEGV,
        "a_one_shot_handler_handles_one_fault",
        || {
            let handler = unprotect as *const () as usize;
            handle(
                libc::SIGSEGV,
                handler,
                libc::SA_SIGINFO | libc::SA_RESETHAND,
            );
            run(|| {
                fault();
                eprintln!("handled");
                fault();
                eprintln!("handled too");
            })
            .unwrap();
        },
    );
    let Some(stderr) = stderr else { return };
    assert!(stderr.contains("handled\n"), "{stderr}");
    assert!(!stderr.contains("handled too"), "{stderr}");
}

#[test]
fn an_ignored_fault_signal_leaves_later_overflows_named() {
    let stderr = ends_by(
        libc::SIGABRT,
        "an_ignored_fault_signal_leaves_later_overflows_named",
        || {
            handle(libc::SIGSEGV, libc::SIG_IGN, 0);
            run(|| {
                raise(libc::SIGSEGV);
                overflow();
            })
            .unwrap();
        },
    );
    let Some(stderr) = stderr else { return };
    assert!(stderr.contains(OVERFLOWED), "{stderr}");
}

#[test]
fn a_fault_signal_that_is_sent_ends_the_process_by_default() {
    let stderr = ends_by(
        libc::SIGSEGV,
        "a_fault_signal_that_is_sent_ends_the_process_by_default",
        || {
            run(|| spawn(|| raise(libc::SIGSEGV)).join().unwrap()).unwrap();
            eprintln!("it continues");
        },
    );
    let Some(stderr) = stderr else { return };
    assert!(!stderr.contains("it continues"), "{stderr}");
}

/// Calls a function on a thread that the standard library has not started.
fn on_a_foreign_thread(function: fn()) {
    extern "C" fn start(function: *mut c_void) -> *mut c_void {
        // SAFETY: it is the function that is passed below.
        let function: fn() = unsafe { std::mem::transmute(function) };
        function();
        null_mut()
    }
    let mut thread = 0;
    // SAFETY: `start` gets the function that it expects.
    let failed = unsafe {
        libc::pthread_create(
            &mut thread,
            std::ptr::null(),
            start,
            function as *mut c_void,
        )
    };
    assert_eq!(failed, 0);
    // SAFETY: the thread was started, and is joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, null_mut()) }, 0);
}

/// The address and size of this thread's alternate stack.
fn alternate_stack() -> Option<(usize, usize)> {
    // SAFETY: all zeros is a valid stack_t.
    let mut stack: libc::stack_t = unsafe { zeroed() };
    // SAFETY: a null pointer sets nothing, and `stack` has room for the current one.
    unsafe { libc::sigaltstack(std::ptr::null(), &mut stack) };
    let is_set = stack.ss_flags & libc::SS_DISABLE == 0;
    is_set.then_some((stack.ss_sp as usize, stack.ss_size))
}

#[test]
fn a_foreign_thread_receives_on_a_small_stack_and_names_its_overflow() {
    let stderr = ends_by(
        libc::SIGABRT,
        "a_foreign_thread_receives_on_a_small_stack_and_names_its_overflow",
        || {
            on_a_foreign_thread(|| {
                assert_eq!(alternate_stack(), None);
                run(|| {
                    let handle = Handle::current();
                    let _signals = Signals::new(&handle, &[libc::SIGUSR1]).unwrap();
                    raise_on_a_full_stack(libc::SIGUSR1);
                    overflow();
                })
                .unwrap();
            });
        },
    );
    let Some(stderr) = stderr else { return };
    assert!(stderr.contains(OVERFLOWED), "{stderr}");
}

/// The size of the process's writable memory in bytes.
fn data_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let data = pages.split_whitespace().nth(5).unwrap();
    data.parse::<usize>().unwrap() * 4096
}

#[test]
fn threads_that_come_and_go_leave_no_stacks_for_handlers() {
    succeeds(
        "threads_that_come_and_go_leave_no_stacks_for_handlers",
        || {
            let come_and_go = || {
                for _ in 0..100 {
                    on_a_foreign_thread(|| run(|| spawn(|| ()).join().unwrap()).unwrap());
                    let ours = thread::spawn(|| run(|| spawn(|| ()).join().unwrap()).unwrap());
                    ours.join().unwrap();
                }
            };
            come_and_go();
            let before = data_bytes();
            come_and_go();
            let more = data_bytes().saturating_sub(before);
            assert!(more < 100 * 16 * 1024, "{more} bytes more");
        },
    );
}

#[test]
fn a_thread_gets_its_own_alternate_stack_back() {
    succeeds("a_thread_gets_its_own_alternate_stack_back", || {
        on_a_foreign_thread(|| {
            thread_local! {
                // Destroyed after the thread-locals of the library.
                static CHECKS: Checks = const { Checks };
            }
            struct Checks;
            impl Drop for Checks {
                fn drop(&mut self) {
                    assert_eq!(alternate_stack().unwrap().1, 8192);
                    CALLS.fetch_add(1, Ordering::Relaxed);
                }
            }
            let stack = libc::stack_t {
                ss_sp: Box::leak(Box::new([0_u8; 8192])).as_mut_ptr().cast(),
                ss_flags: 0,
                ss_size: 8192,
            };
            // SAFETY: the memory is leaked.
            assert_eq!(unsafe { libc::sigaltstack(&stack, null_mut()) }, 0);
            CHECKS.with(|_| ());
            run(|| assert!(alternate_stack().unwrap().1 > 16 * 1024)).unwrap();
        });
        assert_eq!(calls(), 1);
    });
}

#[test]
fn a_thread_keeps_an_alternate_stack_that_is_large_enough() {
    succeeds(
        "a_thread_keeps_an_alternate_stack_that_is_large_enough",
        || {
            on_a_foreign_thread(|| {
                let stack = libc::stack_t {
                    ss_sp: Box::leak(Box::new([0_u8; 65536])).as_mut_ptr().cast(),
                    ss_flags: 0,
                    ss_size: 65536,
                };
                // SAFETY: the memory is leaked.
                assert_eq!(unsafe { libc::sigaltstack(&stack, null_mut()) }, 0);
                let own = alternate_stack();
                OWN.set(own);
                run(|| assert_eq!(alternate_stack(), OWN.get())).unwrap();
                assert_eq!(alternate_stack(), own);
            });
        },
    );
}

thread_local! {
    static OWN: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

#[test]
fn a_loop_run_by_a_destructor_receives_on_a_small_stack() {
    succeeds(
        "a_loop_run_by_a_destructor_receives_on_a_small_stack",
        || {
            thread_local! {
                static RUNS: Runs = const { Runs };
            }
            struct Runs;
            impl Drop for Runs {
                fn drop(&mut self) {
                    assert_eq!(
                        alternate_stack(),
                        None,
                        "the standard library has removed it"
                    );
                    run(|| raise_on_a_full_stack(libc::SIGUSR1)).unwrap();
                }
            }
            let event_loop = EventLoop::new().unwrap();
            let _signals = Signals::new(&event_loop.handle(), &[libc::SIGUSR1]).unwrap();
            let runs = thread::spawn(|| {
                run(yield_now).unwrap();
                RUNS.with(|_| ());
            });
            runs.join().unwrap();
        },
    );
}
