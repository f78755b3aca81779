//! SIGUSR2 puts a new process in the server's place, and no client notices.

mod harness;

use harness::client::{connect, connect_unix, echo, expect_end};
use harness::manager::Manager;
use harness::passing::start_with;
use harness::server::Server;
use harness::{command, eventually};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// A copy of the server, which a test may replace.
struct Installed {
    directory: TempDir,
    program: PathBuf,
}

impl Installed {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("oneloop");
        let installed = Installed { directory, program };
        installed.put(Path::new(env!("CARGO_BIN_EXE_oneloop")));
        installed
    }

    /// Replaces the file by a copy of another one, as a package manager does. A process of its own
    /// copies it: a child that another test forks meanwhile would inherit an fd that writes to the
    /// file, and the file could not be executed (`ETXTBSY`).
    fn put(&self, file: &Path) {
        let new = self.directory.path().join("new");
        let copied = std::process::Command::new("cp")
            .arg(file)
            .arg(&new)
            .status();
        assert!(copied.unwrap().success());
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, &self.program).unwrap();
    }

    fn put_script(&self, script: &str) {
        let written = self.directory.path().join("script");
        fs::write(&written, format!("#!/bin/sh\n{script}\n")).unwrap();
        self.put(&written);
    }

    fn start(&self, args: &[&str]) -> Server {
        Server::run(self.command(args))
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let command = command::main(args);
        let mut installed = std::process::Command::new(&self.program);
        installed.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => installed.env(name, value),
                None => installed.env_remove(name),
            };
        }
        installed.stdin(std::process::Stdio::null());
        installed
    }
}

/// The process that a restart has made. It is not our child, so only its id is known.
struct Successor(Pid);

impl Successor {
    /// Restarts the server, and waits until the new process accepts.
    #[track_caller]
    fn of(server: &mut Server) -> Self {
        server.signal(Signal::USR2);
        Successor::named_in(&server.stderr.wait_for("restarted: the new process accepts"))
    }

    #[track_caller]
    fn named_in(line: &str) -> Self {
        let pid = line
            .split("pid=")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        let pid = pid.expect("the line names it").parse().unwrap();
        Successor(Pid::from_raw(pid).unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.0, signal).unwrap();
    }

    fn has_ended(&self) -> bool {
        // A zombie, until the system reaps it, counts as ended.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.as_raw_nonzero()));
        test_kill_process(self.0).is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
    }

    #[track_caller]
    fn drain(self) {
        self.signal(Signal::TERM);
        eventually("the new process has ended", || self.has_ended());
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = kill_process(self.0, Signal::KILL);
        }
    }
}

/// Clients that come one after the other, on several threads, until they are stopped.
struct Coming {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    threads: Vec<thread::JoinHandle<io::Result<()>>>,
}

impl Coming {
    fn start(addr: SocketAddr) -> Self {
        let (stop, served) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let client = || {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    served_once(addr)?;
                    served.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        };
        let threads = (0..4).map(|_| client()).collect();
        Coming {
            stop,
            served,
            threads,
        }
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    #[track_caller]
    fn until(&self, count: usize) {
        eventually("enough clients were served", || {
            self.served() >= count || self.threads.iter().any(thread::JoinHandle::is_finished)
        });
    }

    /// Stops; no client was refused or reset.
    #[track_caller]
    fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap().expect("every client is served");
        }
        self.served.load(Ordering::Relaxed)
    }
}

/// Connects, gets an echo, and closes first.
fn served_once(addr: SocketAddr) -> io::Result<()> {
    let mut client = TcpStream::connect(addr)?;
    client.set_read_timeout(Some(harness::DEADLINE))?;
    client.write_all(b"hello")?;
    let mut answer = [0; 5];
    client.read_exact(&mut answer)?;
    assert_eq!(&answer, b"hello");
    // A reset leaves no TIME_WAIT, so 10,000 clients do not use up the ports.
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO))?;
    Ok(())
}

#[test]
fn of_ten_thousand_new_connections_none_is_refused_or_reset() {
    for threads in ["1", "3"] {
        let installed = Installed::new();
        let args = [
            "--listen",
            "127.0.0.1:0",
            "--threads",
            threads,
            "--drain",
            "2s",
        ];
        let mut first = installed.start(&args);
        let coming = Coming::start(first.addr());
        coming.until(1000);
        let second = Successor::of(&mut first);
        first.expect_replaced();
        coming.until(coming.served() + 2000);
        second.signal(Signal::USR2); // twice in a row
        eventually("the second process has left", || second.has_ended());
        coming.until(10_000);
        assert!(coming.finish() >= 10_000);
        stop_what_listens(&installed);
    }
}

/// Ends the servers that run this copy.
fn stop_what_listens(installed: &Installed) {
    for (id, _, _) in harness::process::processes() {
        let exe = fs::read_link(format!("/proc/{id}/exe"));
        if exe.is_ok_and(|exe| exe.starts_with(installed.directory.path())) {
            let _ = kill_process(Pid::from_raw(id.cast_signed()).unwrap(), Signal::KILL);
        }
    }
}

#[test]
fn open_connections_stay_with_the_old_process_until_they_end() {
    let installed = Installed::new();
    let mut server = installed.start(&["--listen", "127.0.0.1:0"]);
    let client = server.connect();
    echo(&client, b"before");
    let successor = Successor::of(&mut server);
    echo(&client, b"after");
    echo(&connect(server.addr()), b"a new one");
    drop(client);
    server.expect_replaced();
    successor.drain();
}

#[test]
fn connections_that_do_not_end_are_drained_after_the_time_for_a_drain() {
    let installed = Installed::new();
    let mut server = installed.start(&["--listen", "127.0.0.1:0", "--drain", "200ms"]);
    let client = server.connect();
    echo(&client, b"before");
    let successor = Successor::of(&mut server);
    expect_end(&client);
    drop(client);
    server.expect_replaced();
    successor.drain();
}

#[test]
fn a_signal_to_stop_drains_the_old_process_at_once() {
    let installed = Installed::new();
    let mut server = installed.start(&["--listen", "127.0.0.1:0", "--drain", "60s"]);
    let client = server.connect();
    echo(&client, b"before");
    let successor = Successor::of(&mut server);
    server.signal(Signal::TERM);
    expect_end(&client);
    drop(client);
    server.expect_replaced();
    successor.drain();
}

#[test]
fn a_replaced_file_is_the_new_program() {
    let installed = Installed::new();
    let mut server = installed.start(&["--listen", "127.0.0.1:0"]);
    let addr = server.addr();
    installed.put_script(&format!(
        "echo replaced >&2; exec '{}' \"$@\" --mode discard",
        env!("CARGO_BIN_EXE_oneloop")
    ));
    // The id of this shell is that of the server, so the sockets are for it.
    let successor = Successor::of(&mut server);
    assert!(server.stderr.seen.iter().any(|line| line == "replaced"));
    let client = connect(addr);
    (&client).write_all(b"x").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    expect_end(&client);
    server.expect_replaced();
    successor.drain();
}

#[test]
fn a_new_process_that_fails_changes_nothing() {
    let installed = Installed::new();
    let args = ["--listen", "127.0.0.1:0", "--restart-timeout", "300ms"];
    let mut server = installed.start(&args);
    for (script, why) in [
        ("exit 7", "it ended with exit status: 7 before it was ready"),
        ("exec sleep 60", "it was not ready within 300ms"),
        ("echo nonsense >&3", "it was not ready within 300ms"),
    ] {
        installed.put_script(script);
        server.signal(Signal::USR2);
        let line = server.stderr.wait_for("cannot restart: serving on");
        assert!(line.contains(why) || script.contains("nonsense"), "{line}");
        server.still_echoes();
    }
    fs::remove_file(&installed.program).unwrap();
    server.signal(Signal::USR2);
    let line = server.stderr.wait_for("cannot restart");
    assert!(line.contains("no such file"), "{line}");
    installed.put(Path::new(env!("CARGO_BIN_EXE_oneloop")));
    let successor = Successor::of(&mut server);
    server.expect_replaced();
    successor.drain();
}

#[test]
fn a_signal_to_stop_while_the_new_process_starts_ends_both() {
    let installed = Installed::new();
    let mut server = installed.start(&["--listen", "127.0.0.1:0"]);
    installed.put_script("exec sleep 60");
    server.signal(Signal::USR2);
    let line = server
        .stderr
        .wait_for("waiting until the new process is ready");
    let successor = Successor::named_in(&line);
    server.signal(Signal::TERM);
    server.expect_exit(0);
    eventually("the new process has ended", || successor.has_ended());
}

#[test]
fn the_path_of_a_unix_socket_stays_and_the_last_process_removes_it() {
    let installed = Installed::new();
    let path = installed.directory.path().join("socket");
    let lock = installed.directory.path().join("socket.lock");
    let listen = format!("unix:{}", path.display());
    let mut server = installed.start(&["--listen", &listen, "--threads", "2"]);
    let successor = Successor::of(&mut server);
    server.expect_replaced();
    assert!(path.exists() && lock.exists());
    echo(&connect_unix(UnixStream::connect(&path).unwrap()), b"hello");
    let other = command::main(&["--listen", &listen]).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&other.stderr);
    assert!(stderr.contains("is in use"), "{stderr}");
    successor.drain();
    assert!(!path.exists() && !lock.exists());
}

#[test]
fn the_new_process_may_have_more_threads_or_fewer() {
    for (before, after) in [("3", "1"), ("1", "3")] {
        let installed = Installed::new();
        let mut command = installed.command(&["--listen", "127.0.0.1:0"]);
        command.env("ONELOOP_THREADS", before);
        let mut server = Server::run(command);
        let program = env!("CARGO_BIN_EXE_oneloop");
        installed.put_script(&format!("ONELOOP_THREADS={after} exec '{program}' \"$@\""));
        let coming = Coming::start(server.addr());
        coming.until(200);
        let successor = Successor::of(&mut server);
        server.expect_replaced();
        coming.until(coming.served() + 500);
        coming.finish();
        successor.drain();
    }
}

#[cfg(feature = "admin")]
#[test]
fn operators_find_the_new_process_at_the_same_address() {
    let installed = Installed::new();
    let path = installed.directory.path().join("admin");
    let admin = format!("unix:{}", path.display());
    let mut server = installed.start(&["--listen", "127.0.0.1:0", "--admin", &admin]);
    let client = server.connect(); // keeps the old process
    let successor = Successor::of(&mut server);
    let mut asked = UnixStream::connect(&path).unwrap();
    asked.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    asked.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    drop(client);
    server.expect_replaced();
    assert!(path.exists());
    successor.drain();
    assert!(!path.exists());
}

#[test]
fn sockets_of_a_service_manager_are_passed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let process = start_with(
        &[("web", &listener)],
        &["--listen", "fd:web", "--threads", "2"],
    );
    let mut server = Server::from_process(process);
    let successor = Successor::of(&mut server);
    server.expect_replaced();
    let clients: Vec<_> = (0..8).map(|_| connect(addr)).collect();
    clients.iter().for_each(|client| echo(client, b"hello"));
    drop(clients);
    successor.drain();
}

#[test]
fn the_service_manager_learns_of_the_new_main_process() {
    let installed = Installed::new();
    let manager = Manager::new();
    let mut command = installed.command(&["--listen", "127.0.0.1:0"]);
    manager.watch(&mut command);
    let mut server = Server::run(command);
    manager.wait_for("READY=1");
    let successor = Successor::of(&mut server);
    manager.wait_for("RELOADING=1");
    let main = manager.wait_for("MAINPID=");
    assert_eq!(main, format!("MAINPID={}\n", successor.0.as_raw_nonzero()));
    // From the new process. The old one says nothing more, not even that it stops.
    manager.wait_for("READY=1");
    server.expect_replaced();
    successor.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    eventually("the new process has ended", || successor.has_ended());
}

#[test]
fn a_failed_restart_ends_the_reload_for_the_service_manager() {
    let installed = Installed::new();
    let manager = Manager::new();
    let mut command = installed.command(&["--listen", "127.0.0.1:0"]);
    manager.watch(&mut command);
    let server = Server::run(command);
    manager.wait_for("READY=1");
    installed.put_script("exit 1");
    server.signal(Signal::USR2);
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    server.drain();
}

impl Server {
    /// Expects that it ends because another process has taken over.
    #[track_caller]
    fn expect_replaced(&mut self) {
        // The new process has the same stdout and stderr, so their ends do not come.
        eventually("the old process has ended", || {
            self.child.try_wait().unwrap().is_some()
        });
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}
