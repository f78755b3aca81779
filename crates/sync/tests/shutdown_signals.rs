//! A token that signals trigger. The tests are child processes, as signals end them.

use oneloop_core::EventLoop;
use oneloop_core::signal::number::{SIGUSR1, SIGUSR2};
use oneloop_sync::ShutdownToken;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, exit, id};
use std::time::Duration;

/// Runs a test of this program again, in a child process that runs `scenario` instead.
fn in_child(test: &str, scenario: fn()) -> ExitStatus {
    if std::env::var_os("SCENARIO").is_some() {
        scenario();
        exit(0);
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test]).env("SCENARIO", "1");
    child.output().unwrap().status
}

fn send(signal: &str) {
    let status = Command::new("kill")
        .args([signal, &id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// The kernel may deliver a signal to another thread, some time after `kill` has returned.
fn end_by_the_signal() -> ! {
    std::thread::sleep(Duration::from_secs(60));
    exit(3)
}

fn token(event_loop: &EventLoop) -> ShutdownToken {
    let token = event_loop.enter(|| ShutdownToken::on_signals(&[SIGUSR2, SIGUSR1]));
    token.unwrap()
}

#[test]
fn the_first_signal_triggers_the_token_and_the_next_one_ends_the_program() {
    let status = in_child(
        "the_first_signal_triggers_the_token_and_the_next_one_ends_the_program",
        || {
            let mut event_loop = EventLoop::new().unwrap();
            let token = token(&event_loop);
            event_loop.run().unwrap(); // listening does not keep the loop alive
            assert!(!token.is_requested());
            send("-USR1");
            event_loop.block_on(token.requested());
            send("-USR2");
            end_by_the_signal();
        },
    );
    assert_eq!(status.signal(), Some(SIGUSR2), "{status}");
}

#[test]
fn a_token_that_is_triggered_otherwise_gives_the_signals_back() {
    let status = in_child(
        "a_token_that_is_triggered_otherwise_gives_the_signals_back",
        || {
            let event_loop = EventLoop::new().unwrap();
            let token = token(&event_loop);
            token.trigger();
            send("-USR1");
            end_by_the_signal();
        },
    );
    assert_eq!(status.signal(), Some(SIGUSR1), "{status}");
}

#[test]
fn a_token_that_is_dropped_gives_the_signals_back_and_leaves_no_task() {
    let status = in_child(
        "a_token_that_is_dropped_gives_the_signals_back_and_leaves_no_task",
        || {
            let event_loop = EventLoop::new().unwrap();
            let token = token(&event_loop);
            let child = token.child();
            drop(token);
            assert_eq!(event_loop.handle().task_count(), 1, "the child waits");
            drop(child);
            assert_eq!(event_loop.handle().task_count(), 0);
            send("-USR1");
            end_by_the_signal();
        },
    );
    assert_eq!(status.signal(), Some(SIGUSR1), "{status}");
}

#[test]
fn a_signal_that_cannot_be_caught_is_an_error() {
    let event_loop = EventLoop::new().unwrap();
    let refused = event_loop.enter(|| ShutdownToken::on_signals(&[9]));
    assert!(refused.is_err());
}
