//! What a service manager receives: when the server is ready, how it is, and whether its loops turn.

mod harness;

use harness::can_trace;
use harness::command;
use harness::manager::Manager;
use harness::server::Server;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use rustix::process::Signal;
use std::fs;
use std::thread;
use std::time::Duration;

/// A server with that watchdog.
fn start(manager: &Manager, watchdog: Option<&str>, args: &[&str]) -> Server {
    let listen = ["--listen", "127.0.0.1:0"];
    let mut command = command::main(&[&listen, args].concat());
    manager.watch(&mut command);
    if let Some(micros) = watchdog {
        command.env("WATCHDOG_USEC", micros);
    }
    Server::run(command)
}

#[test]
fn the_manager_is_notified_when_the_server_is_ready_and_when_it_stops() {
    let manager = Manager::new();
    let server = start(&manager, None, &[]);
    let ready = manager.wait_for("READY=1");
    assert!(
        ready.contains("STATUS=0 connections open, 0 accepted, 0 refused"),
        "{ready}"
    );
    let client = server.connect();
    manager.wait_for("STATUS=1 connections open, 1 accepted, 0 refused");
    drop(client);
    server.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    server.drain();
}

#[cfg(feature = "config")]
#[test]
fn the_manager_is_notified_when_a_reload_begins_and_when_it_is_over() {
    let manager = Manager::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.toml");
    fs::write(&file, "max-conns = 10\n").unwrap();
    let server = start(&manager, None, &["--config", file.to_str().unwrap()]);
    manager.wait_for("READY=1");
    for text in ["max-conns = 20\n", "max-conns = no number\n"] {
        fs::write(&file, text).unwrap();
        server.signal(Signal::HUP);
        let reloading = manager.wait_for("RELOADING=1");
        assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
        manager.wait_for("READY=1");
    }
    server.finish();
}

#[test]
fn without_a_watchdog_no_sign_of_life_is_sent() {
    let manager = Manager::new();
    let server = start(&manager, None, &[]);
    manager.wait_for("READY=1");
    let messages = manager.messages_within(Duration::from_millis(200));
    assert!(messages.is_empty(), "{messages:?}");
    server.finish();
}

#[test]
fn a_watchdog_for_another_process_is_ignored() {
    let manager = Manager::new();
    let mut command = command::main(&["--listen", "127.0.0.1:0"]);
    manager.watch(&mut command);
    command
        .env("WATCHDOG_USEC", "10000")
        .env("WATCHDOG_PID", "1");
    let server = Server::run(command);
    manager.wait_for("READY=1");
    let messages = manager.messages_within(Duration::from_millis(200));
    assert!(messages.is_empty(), "{messages:?}");
    server.finish();
}

#[test]
fn a_watchdog_without_a_time_is_none_and_one_of_a_microsecond_leaves_the_loop_its_rest() {
    let manager = Manager::new();
    for (micros, sends) in [("0", false), ("1", true), ("soon", false)] {
        let server = start(&manager, Some(micros), &[]);
        manager.wait_for("READY=1");
        let messages = manager.messages_within(Duration::from_millis(100));
        let signs = messages
            .iter()
            .filter(|message| message.starts_with("WATCHDOG"));
        assert_eq!(signs.count() > 0, sends, "{micros}: {messages:?}");
        server.finish();
    }
}

#[test]
fn a_manager_that_does_not_exist_is_no_reason_not_to_serve() {
    for name in [
        "/nowhere/notify",
        "@oneloop-nowhere",
        "vsock:2:1",
        "relative",
    ] {
        let mut command = command::main(&["--listen", "127.0.0.1:0"]);
        command
            .env("NOTIFY_SOCKET", name)
            .env("WATCHDOG_USEC", "10000");
        Server::run(command).finish();
    }
}

#[test]
fn a_sign_of_life_is_sent_only_while_every_loop_turns() {
    if !can_trace() {
        return;
    }
    let manager = Manager::new();
    let server = start(&manager, Some("100000"), &["--threads", "3"]);
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");
    let ids = loops_of(&server);
    assert_eq!(ids.len(), 3);
    for id in ids {
        // As a loop that a bug keeps busy: one thread stands still, and the others run.
        ptrace::seize(id, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(id).unwrap();
        waitpid(id, Some(WaitPidFlag::__WALL)).unwrap();
        manager.until_silent(Duration::from_millis(500));
        ptrace::detach(id, None).unwrap();
        manager.wait_for("WATCHDOG=1");
    }
    server.finish();
}

/// The threads that run loops: those that wait in epoll.
fn loops_of(server: &Server) -> Vec<Pid> {
    let tasks = format!("/proc/{}/task", server.child.id());
    let is_loop = |id: &i32| {
        (0..100).any(|_| {
            let wchan = fs::read_to_string(format!("{tasks}/{id}/wchan")).unwrap_or_default();
            let syscall = fs::read_to_string(format!("{tasks}/{id}/syscall")).unwrap_or_default();
            let waits = wchan.contains("ep_poll")
                || EPOLL_CALLS
                    .iter()
                    .any(|call| syscall.starts_with(&format!("{call} ")));
            if !waits {
                thread::sleep(Duration::from_millis(1));
            }
            waits
        })
    };
    let ids = fs::read_dir(&tasks)
        .unwrap()
        .map(|task| task.unwrap().file_name());
    let ids = ids.map(|id| id.to_str().unwrap().parse().unwrap());
    ids.filter(is_loop).map(Pid::from_raw).collect()
}

/// epoll_wait, epoll_pwait, epoll_pwait2
const EPOLL_CALLS: [i64; 3] = [
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
];
