//! When accepting fails, the server continues, or logs that it cannot.

mod harness;

use harness::client::{echo, expect_end};
use harness::command;
use harness::process::Process;
use harness::server::Server;
use harness::{can_trace, eventually};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::NamedTempFile;

/// A server in whose accepts strace injects errors.
struct Faulty {
    server: Server,
    log: NamedTempFile,
}

impl Faulty {
    #[track_caller]
    fn start(inject: &str, args: &[&str]) -> Self {
        Faulty::start_tracing("accept4", inject, args)
    }

    #[track_caller]
    fn start_tracing(calls: &str, inject: &str, args: &[&str]) -> Self {
        let log = NamedTempFile::new().unwrap();
        let command = command::main_traced(log.path(), calls, inject, args);
        let server = Server::run(command);
        Faulty { server, log }
    }

    fn injected(&self) -> usize {
        injections(self.log.path())
    }
}

fn injections(log: &Path) -> usize {
    fs::read_to_string(log)
        .unwrap()
        .matches("(INJECTED)")
        .count()
}

const ONE: [&str; 2] = ["--listen", "127.0.0.1:0"];

#[test]
fn an_error_of_accept_costs_no_client() {
    if !can_trace() {
        return;
    }
    for errno in [
        "EPERM",
        "EOPNOTSUPP",
        "ETIMEDOUT",
        "ECONNRESET",
        "ECONNABORTED",
        "EPROTO",
        "EHOSTUNREACH",
        "ENOSYS",
        "EIO",
        "ENOMEM",
    ] {
        let inject = format!("accept4:error={errno}:when=2");
        let faulty = Faulty::start(&inject, &ONE);
        let clients = faulty.server.connect_echoed(2);
        faulty.server.still_echoes();
        assert_eq!(faulty.injected(), 1, "{errno}");
        drop(clients);
        faulty.server.drain();
    }
}

#[test]
fn a_permanent_error_of_accept_is_logged_and_costs_no_cpu_time() {
    if !can_trace() {
        return;
    }
    for (errno, sentence) in [
        ("EPERM", "Operation not permitted"),
        ("ECONNABORTED", "connection abort"),
        ("EPROTO", "Protocol error"),
    ] {
        let inject = format!("accept4:error={errno}:when=2+");
        let mut faulty = Faulty::start(&inject, &ONE);
        let first = faulty.server.connect_echoed(1);
        let waits = faulty.server.connect();
        let line = faulty.server.stderr.wait_for("accepting failed");
        assert!(line.contains(sentence), "{line}");
        eventually("it pauses", || faulty.injected() > 20);
        faulty.server.expect_rest();
        echo(&first[0], b"still there");
        drop((first, waits));
        faulty.server.drain(); // the drain does not wait for clients that cannot be accepted
    }
}

#[test]
fn a_server_that_loses_its_last_listener_says_so_and_exits_with_1() {
    if !can_trace() {
        return;
    }
    for errno in ["EBADF", "EINVAL", "ENOTSOCK", "EFAULT"] {
        let inject = format!("accept4:error={errno}:when=2");
        let mut faulty = Faulty::start(&inject, &ONE);
        let client = faulty.server.connect();
        faulty.server.stderr.wait_for("lost a listener");
        faulty.server.stderr.wait_for("no listener is left");
        expect_end(&client);
        drop(client);
        assert_eq!(faulty.injected(), 1);
        faulty.server.expect_exit(1);
    }
}

#[test]
fn a_server_that_loses_one_of_two_listeners_logs_that_and_keeps_serving() {
    if !can_trace() {
        return;
    }
    let listen = ["--listen", "127.0.0.1:0,127.0.0.1:0"];
    let mut faulty = Faulty::start("accept4:error=EBADF:when=2", &listen);
    echo(faulty.server.connect(), b"the first one");
    let addr = faulty.server.listens[0].clone();
    let line = faulty.server.stderr.wait_for("lost a listener");
    assert!(line.contains(&addr), "{line}");
    let left = faulty.server.listens[1].parse().unwrap();
    for _ in 0..5 {
        echo(harness::client::connect(left), b"a fresh client");
    }
    assert_eq!(faulty.injected(), 1);
    faulty.server.drain();
}

#[test]
fn shedding_a_single_client_is_logged() {
    if !can_trace() {
        return;
    }
    // How many fds the server registers before its first client depends on the style.
    let counts = Faulty::start_tracing("epoll_ctl", "epoll_ctl:error=ENOSPC:when=9999", &ONE);
    let client = counts.server.connect_echoed(1);
    let traced = fs::read_to_string(counts.log.path()).unwrap();
    let first = traced.matches("EPOLL_CTL_ADD").count();
    drop(client);
    counts.server.drain();
    let inject = format!("epoll_ctl:error=ENOSPC:when={first}");
    let mut faulty = Faulty::start_tracing("epoll_ctl", &inject, &ONE);
    drop(faulty.server.connect());
    let line = faulty.server.stderr.wait_for("out of open files or memory");
    assert!(line.contains("shed=1"), "{line}");
    echo(faulty.server.connect(), b"the next one");
    assert_eq!(faulty.injected(), 1);
    faulty.server.drain();
}

/// The directory in /proc of a server's thread.
fn thread_named(server: &Server, name: &str) -> PathBuf {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
    let mut tasks = tasks.map(|task| task.unwrap().path());
    tasks
        .find(|task| fs::read_to_string(task.join("comm")).unwrap().trim() == name)
        .expect("it runs")
}

#[test]
fn a_server_that_loses_a_thread_logs_that_and_keeps_serving() {
    if !can_trace() {
        return;
    }
    let mut server = Server::start(&["--threads", "2"]);
    let thread = thread_named(&server, "loop-1");
    let log = NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace
        .args(["-e", "trace=epoll_wait,epoll_pwait2", "-e"])
        .args(["inject=epoll_wait,epoll_pwait2:error=EINVAL", "-o"])
        .arg(log.path())
        .arg("-p")
        .arg(thread.file_name().unwrap())
        .stdin(Stdio::null());
    let strace = Process::start(strace);
    eventually("it is traced", || {
        let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
        !status.contains("TracerPid:\t0")
    });
    // The kernel spreads connections: one of them wakes that thread.
    eventually("it is lost", || {
        drop(server.connect());
        server.stderr.has_come("lost a thread")
    });
    assert!(injections(log.path()) >= 1);
    drop(strace);
    // What was in the backlog of the lost listener is reset when the thread closes it.
    eventually("the other thread serves each client", || {
        (0..10).all(|_| server.try_echo().is_ok())
    });
    server.signal(Signal::TERM);
    let status = server.wait();
    let said = server.stderr.seen.last().unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("a thread of the server panicked"), "{said}");
    assert!(
        server
            .stderr
            .seen
            .iter()
            .any(|line| line.contains("lost a listener"))
    );
}

#[test]
fn a_server_that_loses_its_first_thread_says_so_and_exits_with_1() {
    if !can_trace() {
        return;
    }
    for threads in ["1", "2"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listen = format!("unix:{}", path.display());
        let log = NamedTempFile::new().unwrap();
        let command = command::main_traced(
            log.path(),
            "epoll_wait,epoll_pwait2",
            "epoll_wait,epoll_pwait2:error=EINVAL:when=8+",
            &["--listen", &listen, "--threads", threads],
        );
        let mut server = Server::run(command);
        eventually("it ends", || {
            drop(std::os::unix::net::UnixStream::connect(&path));
            server.stderr.has_come("first thread panicked")
        });
        assert_eq!(server.wait().code(), Some(1));
        assert!(injections(log.path()) >= 1);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
