//! The server under a seccomp filter that refuses one system call from before it starts.
//!
//! Whatever is refused, the server serves each client to the last byte, or names the problem: in
//! one line as it exits, or in its log. It never panics, hangs, or closes a client without a line
//! in its log.

mod harness;

use harness::pattern;
use harness::process::Process;
use harness::{DEADLINE, command};
use rustix::process::Signal;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::thread;

const BYTES: usize = 1_000_000;

macro_rules! calls {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

/// The system calls of the library, except those without which the loader or the C library ends the
/// process before `main` begins. `accept4(2)` is retried forever:
/// `crates/net/tests/net/accept_errors.rs`.
const CALLS: &[(&str, i64)] = calls![
    SYS_bind SYS_clone3 SYS_close_range SYS_connect SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait2
    SYS_epoll_wait
    SYS_eventfd2 SYS_fcntl SYS_getpeername SYS_getpid SYS_getrandom SYS_getsockname
    SYS_getsockopt SYS_gettid SYS_ioctl SYS_kill SYS_listen SYS_lseek SYS_madvise SYS_membarrier
    SYS_mremap SYS_munmap SYS_pidfd_open SYS_pidfd_send_signal SYS_pipe2 SYS_prctl SYS_prlimit64
    SYS_recvfrom SYS_rseq SYS_rt_sigprocmask SYS_sched_getaffinity SYS_sched_yield SYS_sendmsg
    SYS_sendto SYS_set_robust_list SYS_setpgid SYS_setsockopt SYS_shutdown SYS_sigaltstack SYS_socket
    SYS_splice SYS_statx SYS_sysinfo SYS_uname SYS_wait4 SYS_waitid SYS_writev SYS_faccessat
    SYS_faccessat2
];

/// What the server does about a refusal.
#[derive(Debug, PartialEq)]
enum Reaction {
    Serves,
    /// It exits with a sentence that begins so; the error's name follows.
    Exits(&'static str),
    /// It closes the client, and logs what was refused.
    Says,
}
use Reaction::{Exits, Says, Serves};

fn expected(mode: &str, call: &str, errno: i32) -> Reaction {
    match (mode, call) {
        (_, "SYS_socket" | "SYS_bind" | "SYS_listen" | "SYS_getsockname") => {
            Exits("error: cannot listen on 127.0.0.1:0: ")
        }
        (_, "SYS_epoll_create1" | "SYS_epoll_ctl" | "SYS_eventfd2") => {
            Exits("error: cannot make an event loop: ")
        }
        (_, "SYS_fcntl") => Exits("error: cannot listen for signals: "),
        // The C library falls back to clone(2).
        (_, "SYS_clone3") if errno == libc::EPERM => {
            Exits("error: cannot start the thread that logs: ")
        }
        (_, "SYS_recvfrom" | "SYS_sendto") => Says,
        ("proxy", "SYS_connect" | "SYS_shutdown") => Says,
        ("exec", "SYS_pipe2" | "SYS_setpgid") => Says,
        _ => Serves,
    }
}

fn filter(call: i64, errno: i32) -> BpfProgram {
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let rules = [(call, Vec::new())].into();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).unwrap();
    filter.try_into().unwrap()
}

fn start(call: i64, errno: i32, args: &[&str]) -> Process {
    let program = filter(call, errno);
    let mut command = command::main(&[&["--listen", "127.0.0.1:0"], args].concat());
    let apply = move || apply_filter(&program).map_err(|_| io::ErrorKind::Unsupported.into());
    // SAFETY: it is two system calls, prctl(2) and seccomp(2), and allocates nothing.
    unsafe { command.pre_exec(apply) };
    Process::start(command)
}

/// True if a client that sends much and ends gets everything back.
fn gets_all_back(addr: SocketAddr) -> bool {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    pattern::write(&mut sent, BYTES);
    thread::scope(|scope| {
        scope.spawn(|| {
            // The server may have closed it.
            let _ = (&stream).write_all(&sent);
            let _ = stream.shutdown(Shutdown::Write);
        });
        if let Err(error) = (&stream).read_to_end(&mut received) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "it hangs");
        }
        let _ = stream.shutdown(Shutdown::Both);
    });
    received == sent
}

#[track_caller]
fn check(what: &str, errno: i32, expected: &Reaction, mut server: Process) {
    let line = server.stdout.next();
    if let Exits(sentence) = expected {
        let status = server.wait();
        assert!(
            line.is_none() && status.code() == Some(1),
            "{what}: {status}"
        );
        assert_eq!(server.stderr.seen.len(), 1, "{what}");
        assert!(server.stderr.seen[0].starts_with(sentence), "{what}");
        return;
    }
    let line = line.unwrap_or_else(|| panic!("{what}: it does not start"));
    let addr = line.strip_prefix("listening on ").unwrap().parse().unwrap();
    // For the second client, the library has remembered the refusal.
    let serves = gets_all_back(addr) && gets_all_back(addr);
    server.signal(Signal::TERM);
    let status = server.wait();
    assert_eq!(status.code(), Some(0), "{what}: {status}");
    let logs = |text: &str| server.stderr.seen.iter().any(|line| line.contains(text));
    assert!(!logs("panicked"), "{what}");
    assert_eq!(serves, *expected == Serves, "{what}");
    let name = if errno == libc::EPERM {
        "EPERM"
    } else {
        "ENOSYS"
    }; // the callback style's format
    assert!(
        serves || logs(&format!("(os error {errno})")) || logs(name),
        "{what}"
    );
}

#[track_caller]
fn refuse_each(mode: &str, args: &[&str]) {
    let args = [&["--mode", mode], args].concat();
    for (call, number) in CALLS {
        for errno in [libc::EPERM, libc::ENOSYS] {
            let what = format!(
                "{mode} where {call} is {}",
                io::Error::from_raw_os_error(errno)
            );
            check(
                &what,
                errno,
                &expected(mode, call, errno),
                start(*number, errno, &args),
            );
        }
    }
}

#[test]
fn an_echo_serves_or_names_the_refused_call() {
    refuse_each("echo", &[]);
}

#[test]
fn a_program_serves_or_the_refused_call_is_named() {
    refuse_each("exec", &["--", "cat"]);
}

#[test]
fn a_proxy_serves_or_names_the_refused_call() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let _ = io::copy(&mut &stream, &mut &stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    refuse_each("proxy", &["--to", &upstream]);
}
