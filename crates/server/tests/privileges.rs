//! `--user` and `--group`, and the owner and the mode of socket files.
#![cfg(feature = "access")]

mod harness;

use harness::client::{connect_unix, echo, expect_end};
use harness::command::{self, expect_refused};
use harness::process::Process;
use harness::server::Server;
use harness::skip;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;

/// A user that nearly every machine has.
const USER: &str = "nobody";

/// False, after a line that says so, if this test does not run as root.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip("only root can become another user");
    }
    is_root
}

/// The numbers of that user and its group.
fn user() -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let mut lines = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find(|fields| fields[0] == USER).unwrap();
    (found[2].parse().unwrap(), found[3].parse().unwrap())
}

/// The real, effective, saved and file system IDs in this row of each thread's status.
fn ids(server: &Process, row: &str) -> Vec<Vec<u32>> {
    let threads = fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
    let ids = threads.map(|thread| {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(row))
            .unwrap();
        line.split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect()
    });
    ids.collect()
}

#[test]
fn every_thread_becomes_the_user() {
    if !is_root() {
        return;
    }
    let (uid, gid) = user();
    for threads in ["1", "3"] {
        let flags = ["--user", USER, "--threads", threads, "--log-level", "debug"];
        let server = Server::start(&flags);
        let all = ids(&server, "Uid:");
        assert!(
            all.len() > threads.parse().unwrap(),
            "and the one of the log"
        );
        assert!(all.iter().all(|ids| *ids == [uid; 4]), "{all:?}");
        let all = ids(&server, "Gid:");
        assert!(all.iter().all(|ids| *ids == [gid; 4]), "{all:?}");
        let all = ids(&server, "Groups:");
        assert!(all.iter().all(|ids| *ids == [gid]), "{all:?}");
        server.finish();
    }
}

#[test]
fn no_program_runs_as_root() {
    if !is_root() {
        return;
    }
    let (uid, _) = user();
    for _ in 0..5 {
        let flags = [
            "--user",
            USER,
            "--threads",
            "4",
            "--mode",
            "exec",
            "--",
            "id",
            "-u",
        ];
        let server = Server::start(&flags);
        for _ in 0..8 {
            let mut text = String::new();
            server.connect().read_to_string(&mut text).unwrap();
            assert_eq!(text.trim(), uid.to_string());
        }
        server.drain();
    }
}

#[test]
fn a_low_port_is_taken_before_the_rights_are_given_up() {
    if !is_root() {
        return;
    }
    let low = "127.0.0.77:7"; // the port of echo (RFC 862)
    let listen = ["--listen", low, "--user", USER, "--threads", "2"];
    let server = Server::run(command::main(&listen));
    (0..8).for_each(|_| server.still_echoes());
    server.drain();
}

#[test]
fn a_group_alone_leaves_the_user() {
    if !is_root() {
        return;
    }
    let server = Server::start(&["--group", "4711"]);
    assert!(ids(&server, "Gid:").iter().all(|ids| *ids == [4711; 4]));
    assert!(ids(&server, "Uid:").iter().all(|ids| *ids == [0; 4]));
    server.finish();
}

#[test]
fn a_process_that_is_that_user_already_needs_no_rights() {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let (uid, gid) = (uid.as_raw().to_string(), gid.as_raw().to_string());
    let server = Server::start(&["--user", &uid, "--group", &gid]);
    server.finish();
}

#[test]
fn without_root_no_other_user_can_be_had() {
    if !is_root() {
        return; // the next test runs as any user
    }
    let (uid, gid) = user();
    let mut command = command::main(&["--listen", "127.0.0.1:0", "--user", "root"]);
    command.uid(uid).gid(gid);
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let said = "error: cannot become user 'root': only root may, or a process with CAP_SETUID and \
                CAP_SETGID\n";
    assert_eq!(stderr, said);
    assert_eq!(output.stdout, b"", "it has not said that it listens");
}

#[test]
fn an_unknown_user_is_named() {
    expect_refused(&["--user", "no-one-here"], "there is no user 'no-one-here'");
    expect_refused(
        &["--group", "no-one-here"],
        "there is no group 'no-one-here'",
    );
    expect_refused(
        &["--listen", "unix:/x/y", "--socket-owner", "no-one-here"],
        "there is no user 'no-one-here'",
    );
    expect_refused(&["--user", "4000000001"], "give --group as well");
}

#[test]
fn a_socket_has_the_mode_that_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listen = format!("unix:{}", path.display());
    for (mode, umask) in [("0660", "022"), ("0600", "000"), ("777", "077")] {
        let flags = ["--listen", &listen, "--socket-mode", mode];
        let server = Server::run(command::main_after(&format!("umask {umask}"), &flags));
        let made = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(made, u32::from_str_radix(mode, 8).unwrap(), "{mode}");
        let client = connect_unix(UnixStream::connect(&path).unwrap());
        echo(&client, b"hello");
        drop(client);
        server.drain();
    }
}

#[test]
fn the_files_of_a_socket_belong_to_the_user_and_are_removed_by_it() {
    if !is_root() {
        return;
    }
    let (uid, gid) = user();
    let directory = tempfile::tempdir().unwrap();
    chown(directory.path(), Some(uid), Some(gid)).unwrap();
    let [path, lock] = ["socket", "socket.lock"].map(|name| directory.path().join(name));
    let listen = format!("unix:{}", path.display());
    for (owner, expected) in [(&[][..], (uid, gid)), (&["--socket-owner", ":0"], (uid, 0))] {
        let flags = ["--listen", &listen, "--user", USER, "--socket-mode", "0660"];
        let server = Server::run(command::main(&[&flags[..], owner].concat()));
        let made = fs::metadata(&path).unwrap();
        assert_eq!((made.uid(), made.gid()), expected);
        assert_eq!(made.mode() & 0o7777, 0o660);
        assert_eq!(fs::metadata(&lock).unwrap().uid(), uid);
        let client = connect_unix(UnixStream::connect(&path).unwrap());
        echo(&client, b"hello");
        drop(client);
        server.drain();
        assert!(!path.exists() && !lock.exists(), "they are left behind");
    }
}

#[test]
fn only_root_can_give_a_socket_away() {
    if !is_root() {
        return;
    }
    let (uid, gid) = user();
    let directory = tempfile::tempdir().unwrap();
    chown(directory.path(), Some(uid), Some(gid)).unwrap();
    let path = directory.path().join("socket");
    let listen = format!("unix:{}", path.display());
    let mut command = command::main(&["--listen", &listen, "--socket-owner", "root"]);
    command.uid(uid).gid(gid);
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("cannot give it to its owner: operation not permitted"),
        "{stderr}"
    );
    assert!(!path.exists(), "the socket is left behind");
}

#[test]
fn a_client_that_waits_at_the_start_is_served() {
    // The listeners exist before the user is set, and nothing is accepted until then.
    for threads in ["1", "4"] {
        let uid = rustix::process::getuid().as_raw().to_string();
        let gid = rustix::process::getgid().as_raw().to_string();
        let flags = ["--user", &uid, "--group", &gid, "--threads", threads];
        let server = Server::start(&flags);
        let clients = server.connect_echoed(32);
        clients.into_iter().for_each(|client| {
            client.shutdown(std::net::Shutdown::Write).unwrap();
            expect_end(client);
        });
        server.drain();
    }
}
