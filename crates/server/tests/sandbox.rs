//! The server in a sandbox that refuses a system call: it uses an alternative, or reports the
//! refused call. strace injects the errors in place of a sandbox, and counts them.

mod harness;

use harness::client::{self, HalfClose, expect_bytes, expect_end};
use harness::server::Server;
use harness::{can_trace, command, eventually, skip};
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// The errors of refused system calls: from Docker and systemd, and from kernels without the call.
const REFUSALS: [&str; 2] = ["EPERM", "ENOSYS"];

/// The command line of a server that is refused some system calls; `None` where strace cannot
/// trace.
fn strace(calls: &str, error: &str, args: &[&str], log: &Path) -> Option<Command> {
    if !can_trace() {
        return None;
    }
    let main = command::main(&[&["--listen", "127.0.0.1:0"], args].concat());
    let mut strace = Command::new("strace");
    // -D: the server is our child, and the tracer its grandchild.
    strace.args(["-D", "-f", "-q", "-o"]).arg(log);
    strace.args(["-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={calls}:error={error}")]);
    strace.arg(main.get_program()).args(main.get_args());
    for (name, value) in main.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    strace.stdin(Stdio::null());
    Some(strace)
}

/// A server that is refused some system calls.
struct Sandboxed {
    server: Server,
    calls: String,
    log: tempfile::NamedTempFile,
}

impl Sandboxed {
    /// `calls` are strace's names of the system calls. `None` where strace cannot trace.
    fn start(calls: &str, error: &str, args: &[&str]) -> Option<Self> {
        let log = tempfile::NamedTempFile::new().unwrap();
        let strace = strace(calls, error, args, log.path())?;
        Some(Sandboxed {
            server: Server::run(strace),
            calls: calls.to_owned(),
            log,
        })
    }

    /// Ends the server; returns how many calls were refused.
    #[track_caller]
    fn drain(self) -> usize {
        self.end().0
    }

    /// The same; returns what the server has logged.
    #[track_caller]
    fn drain_logged(self) -> Vec<String> {
        self.end().1
    }

    #[track_caller]
    fn end(self) -> (usize, Vec<String>) {
        let end = [&self.server.child.id().to_string(), "+++", "exited"];
        let logged = self.server.drain();
        let log = || fs::read_to_string(self.log.path()).unwrap();
        let is_end = |line: &str| line.split_whitespace().take(3).eq(end);
        let has_ended = || log().lines().any(is_end);
        eventually("the tracer has written all it saw", has_ended);
        let log = log();
        let refused = log.matches("(INJECTED)").count();
        assert!(refused > 0, "no {} was refused: {log}", self.calls);
        (refused, logged)
    }
}

/// An upstream that echoes everything.
fn start_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let _ = io::copy(&mut &stream, &mut &stream);
                let _ = stream.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    addr
}

#[test]
fn a_proxy_loses_no_byte_where_splice_is_refused() {
    if std::env::var("ONELOOP_TEST_STYLE").as_deref() == Ok("callback") {
        return skip("callbacks are given the bytes, so nothing is spliced");
    }
    let to = start_upstream().to_string();
    for calls in ["splice", "pipe2"] {
        for error in REFUSALS {
            let args = ["--mode", "proxy", "--to", &to];
            let Some(sandboxed) = Sandboxed::start(calls, error, &args) else {
                return;
            };
            for _ in 0..2 {
                client::echo_pattern(&sandboxed.server.connect(), 4_000_000);
            }
            let refused = sandboxed.drain();
            assert_eq!(refused, 1, "{error} of {calls} is remembered");
        }
    }
}

#[test]
fn an_echo_continues_without_system_calls_that_have_an_alternative() {
    for calls in [
        "epoll_pwait2",
        "epoll_wait",
        "setsockopt",
        "prlimit64",
        "sched_getaffinity",
    ] {
        for error in REFUSALS {
            // The loop makes that call only where a timer is due within a second.
            let is_timed = calls == "epoll_pwait2";
            let idle_timeout = if is_timed { "900ms" } else { "5m" };
            let args = ["--idle-timeout", idle_timeout];
            let Some(sandboxed) = Sandboxed::start(calls, error, &args) else {
                return;
            };
            let client = sandboxed.server.connect();
            if is_timed {
                client::expect_end(&client);
            } else {
                client::echo_pattern(&client, 200_000);
            }
            drop(client);
            sandboxed.drain();
        }
    }
}

#[test]
fn a_server_that_cannot_start_threads_reports_that() {
    for error in REFUSALS {
        let log = tempfile::NamedTempFile::new().unwrap();
        // The C library falls back to clone(2) only if clone3(2) fails with ENOSYS.
        let Some(mut strace) = strace("clone,clone3", error, &[], log.path()) else {
            return;
        };
        let output = strace.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.starts_with("error: cannot start the thread"),
            "{stderr}"
        );
        let traced = fs::read_to_string(log.path()).unwrap();
        assert!(traced.contains("(INJECTED)"), "{traced}");
    }
}

#[test]
fn a_proxy_that_cannot_pass_on_an_end_resets() {
    let to = start_upstream().to_string();
    for error in REFUSALS {
        let args = ["--mode", "proxy", "--to", &to];
        let Some(sandboxed) = Sandboxed::start("shutdown", error, &args) else {
            return;
        };
        let client = sandboxed.server.connect();
        client::echo(&client, b"hello");
        client.half_close();
        client::read_until_closed(&client);
        sandboxed.drain();
    }
}

#[test]
fn programs_run_and_end_where_pidfds_are_refused() {
    let script = "read line; echo $line; [ $line = stay ] && exec sleep 60; exit 3";
    for calls in [
        "pidfd_open",
        "pidfd_send_signal",
        "pidfd_open,pidfd_send_signal",
    ] {
        for error in REFUSALS {
            let args = ["--mode", "exec", "--", "sh", "-c", script];
            let Some(sandboxed) = Sandboxed::start(calls, error, &args) else {
                return;
            };
            let server = &sandboxed.server;
            for _ in 0..3 {
                let mut client = server.connect();
                client.write_all(b"leave\n").unwrap();
                expect_bytes(&client, b"leave\n");
                expect_end(&client);
            }
            // A program whose client resets gets SIGTERM.
            let client = server.connect();
            client::echo(&client, b"stay\n");
            client::reset(client);
            let children = format!("/proc/{0}/task/{0}/children", server.child.id());
            eventually("no program is left, not even as a zombie", || {
                fs::read_to_string(&children).unwrap().trim().is_empty()
            });
            let log = sandboxed.drain_logged();
            let is_known = log.iter().any(|line| line.contains("exit status: 3"));
            assert!(is_known, "{calls} {error}: {log:#?}");
        }
    }
}

#[test]
fn a_program_runs_where_the_limit_of_files_cannot_be_raised() {
    for error in REFUSALS {
        // The loader of the program reads its limits, too, and ignores the error.
        let args = ["--mode", "exec", "--", "tr", "a-z", "A-Z"];
        let Some(sandboxed) = Sandboxed::start("prlimit64,setrlimit", error, &args) else {
            return;
        };
        let mut client = sandboxed.server.connect();
        client.write_all(b"hello").unwrap();
        client.half_close();
        expect_bytes(&client, b"HELLO");
        expect_end(&client);
        sandboxed.drain();
    }
}
