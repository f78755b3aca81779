//! A green stack that overflows ends the process, with a line that names the thread. Each case is
//! its own process, which is this test started again with the case in the environment.

use oneloop_green::{Builder, run, spawn, yield_now};
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

const CASE: &str = "ONELOOP_TEST_OVERFLOW";
const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;

/// Recurses until the stack is full.
fn deep(level: u64) -> u64 {
    let filler = black_box([level; 64]);
    if level == u64::MAX {
        return 0;
    }
    deep(level + 1) + filler[0]
}

fn again(case: &str) -> Output {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command
        .args(["--exact", case, "--nocapture"])
        .env(CASE, case);
    command.output().unwrap()
}

fn is_case(case: &str) -> bool {
    std::env::var(CASE).is_ok_and(|running| running == case)
}

#[test]
fn rule_12_an_overflow_names_the_thread_and_where_it_was_spawned() {
    let case = "rule_12_an_overflow_names_the_thread_and_where_it_was_spawned";
    if is_case(case) {
        let overflowing = || {
            let builder = Builder::new().name("deep one").stack_bytes(64 * 1024);
            builder.spawn(|| deep(0)).unwrap().join()
        };
        let _ = run(overflowing);
        return;
    }
    let output = again(case);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGABRT), "{stderr}");
    let expected = "green thread 'deep one' spawned at crates/green/tests/overflow.rs:";
    assert!(stderr.contains(expected), "{stderr}");
    let expected = "has overflowed its stack of 64 KiB: see Builder::stack_bytes";
    assert!(stderr.contains(expected), "{stderr}");
}

#[test]
fn an_overflow_on_another_os_thread_is_named_too() {
    let case = "an_overflow_on_another_os_thread_is_named_too";
    if is_case(case) {
        let thread = std::thread::spawn(|| run(|| spawn(|| deep(0)).join()).map(drop));
        let _ = thread.join();
        return;
    }
    let output = again(case);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGABRT), "{stderr}");
    assert!(
        stderr.contains("green thread 'unnamed' spawned at"),
        "{stderr}"
    );
}

#[test]
fn an_overflow_of_an_os_stack_is_reported_by_the_standard_library() {
    let case = "an_overflow_of_an_os_stack_is_reported_by_the_standard_library";
    if is_case(case) {
        run(yield_now).unwrap(); // installs the handler
        deep(0);
        return;
    }
    let output = again(case);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGABRT), "{stderr}");
    assert!(stderr.contains("has overflowed its stack"), "{stderr}");
    assert!(!stderr.contains("green thread"), "{stderr}");
}

#[test]
fn a_fault_that_is_no_overflow_is_not_reported_as_one() {
    let case = "a_fault_that_is_no_overflow_is_not_reported_as_one";
    if is_case(case) {
        // SAFETY: there is none: nothing is mapped at that address, and the process ends here.
        let _ = run(|| unsafe { black_box(std::ptr::dangling::<u64>()).read_volatile() });
        return;
    }
    let output = again(case);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGSEGV), "{stderr}");
    assert!(!stderr.contains("green thread"), "{stderr}");
}
