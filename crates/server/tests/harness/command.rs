//! Command lines of the server.

use std::path::Path;
use std::process::{Command, Stdio};

/// The server with these flags, and nothing from our own environment but the style. All tests are
/// for all styles; `ONELOOP_TEST_STYLE` chooses the one of this run.
pub(crate) fn main(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.args(args);
    without_our_environment(command)
}

/// The same, in a process with this limit of open files.
pub(crate) fn main_with_files(files: u32, args: &[&str]) -> Command {
    main_after(&format!("ulimit -n {files}"), args)
}

/// The same, in a process that a shell script has prepared.
pub(crate) fn main_after(script: &str, args: &[&str]) -> Command {
    main_after_in("sh", script, args)
}

/// The same with bash, which can redirect fds of more than one digit.
pub(crate) fn main_after_bash(script: &str, args: &[&str]) -> Command {
    main_after_in("bash", script, args)
}

fn main_after_in(shell: &str, script: &str, args: &[&str]) -> Command {
    let mut command = Command::new(shell);
    command
        .args(["-c", &format!("{script}; exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_oneloop"))
        .args(args);
    without_our_environment(command)
}

/// The same, with these system calls traced by strace, and faults injected into them. With `-D` the
/// process that is started is the server, and strace its grandchild.
pub(crate) fn main_traced(log: &Path, calls: &str, inject: &str, args: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-D", "-f", "-q", "-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={inject}"), "-o"])
        .arg(log)
        .arg(env!("CARGO_BIN_EXE_oneloop"))
        .args(args);
    without_our_environment(command)
}

fn without_our_environment(mut command: Command) -> Command {
    for (name, _) in std::env::vars() {
        if name.starts_with("ONELOOP_") || name == "RUST_BACKTRACE" {
            command.env_remove(name);
        }
    }
    if let Ok(style) = std::env::var("ONELOOP_TEST_STYLE") {
        command.env("ONELOOP_STYLE", style);
    }
    command.stdin(Stdio::null());
    command
}

/// Expects that the server refuses this command line, in one line that contains `said`.
#[track_caller]
pub(crate) fn expect_refused(args: &[&str], said: &str) {
    let output = main(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("error: ") && stderr.contains(said),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}
