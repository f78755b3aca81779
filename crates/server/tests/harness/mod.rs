//! Starts the real binary and observes it from outside: what it prints, what its clients see, what
//! it costs, how it ends.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod chat;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod config_file;
pub(crate) mod lines;
pub(crate) mod manager;
pub(crate) mod passing;
pub(crate) mod pattern;
pub(crate) mod process;
pub(crate) mod server;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a wait may take before the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Polls a condition whose change causes no event.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Prints that a test is skipped, directly to stderr, as the test runner would capture it.
pub(crate) fn skip(why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr().lock(), "skipped: {name}: {why}");
}

/// False, after a line that says so, where strace cannot inject faults.
pub(crate) fn can_trace() -> bool {
    let strace = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status();
    let can = strace.is_ok_and(|status| status.success());
    if !can {
        skip("there is no strace here, or it may not trace");
    }
    can
}

/// Raises this process's limit of open files as far as the system allows.
pub(crate) fn raise_limit_of_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}
