//! The path of a Unix socket belongs to one server at a time, however servers start and end.

mod harness;

use harness::client::{connect_unix, echo};
use harness::command;
use harness::process::Process;
use harness::server::Server;
use harness::{eventually, skip};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::Signal;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A socket path in its own directory.
struct SocketPath {
    directory: TempDir,
    socket: PathBuf,
    lock: PathBuf,
}

impl SocketPath {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [socket, lock] = ["socket", "socket.lock"].map(|name| directory.path().join(name));
        SocketPath {
            directory,
            socket,
            lock,
        }
    }

    /// A path of that many bytes.
    fn of_length(bytes: usize) -> Self {
        let mut at = SocketPath::new();
        let missing = bytes - at.socket.as_os_str().len();
        let name = format!("socket{}", "x".repeat(missing));
        at.socket = at.directory.path().join(&name);
        at.lock = at.directory.path().join(name + ".lock");
        at
    }

    fn listen(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    #[track_caller]
    fn serve(&self, args: &[&str]) -> Server {
        Server::run(command::main(
            &[&["--listen", &self.listen()], args].concat(),
        ))
    }

    /// Starts a server that cannot listen here; returns what it prints.
    #[track_caller]
    fn expect_refusal(&self) -> String {
        let mut process = Process::start(command::main(&["--listen", &self.listen()]));
        assert_eq!(process.stdout.next(), None, "it starts");
        assert_eq!(process.wait().code(), Some(1));
        let said = process.stderr.seen.last().cloned().unwrap();
        assert!(said.starts_with("error: cannot listen on"), "{said}");
        said
    }

    #[track_caller]
    fn still_echoes(&self) {
        let stream = UnixStream::connect(&self.socket).unwrap();
        echo(connect_unix(stream), b"a fresh client");
    }

    #[track_caller]
    fn expect_empty(&self) {
        let left: Vec<_> = fs::read_dir(self.directory.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A bound socket of that type, which need not listen.
fn bind(path: &Path, kind: SocketType) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC; // children of other tests must not have it
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    socket
}

#[test]
fn of_many_servers_that_start_at_the_same_time_exactly_one_listens() {
    let at = SocketPath::new();
    for round in 0..4 {
        if round % 2 == 0 {
            drop(UnixListener::bind(&at.socket).unwrap()); // the file stays
        }
        let start = |_| Process::start(command::main(&["--listen", &at.listen()]));
        let mut starting: Vec<Process> = (0..12).map(start).collect();
        let mut listening = Vec::new();
        for mut process in starting.drain(..) {
            match process.stdout.next() {
                Some(_) => listening.push(process),
                None => {
                    assert_eq!(process.wait().code(), Some(1));
                    let said = process.stderr.seen.last().unwrap();
                    assert!(said.contains("in use"), "{said}");
                }
            }
        }
        assert_eq!(listening.len(), 1);
        at.still_echoes();
        let mut process = listening.remove(0);
        process.signal(Signal::TERM);
        assert_eq!(process.wait().code(), Some(0));
        at.expect_empty();
    }
}

#[test]
fn a_killed_server_is_replaced_and_its_successor_leaves_no_file() {
    let at = SocketPath::new();
    for _ in 0..3 {
        let mut killed = at.serve(&[]);
        killed.signal(Signal::KILL);
        killed.wait();
        assert!(at.socket.exists() && at.lock.exists());
    }
    let server = at.serve(&[]);
    at.still_echoes();
    server.drain();
    at.expect_empty();
}

#[test]
fn a_stopped_server_with_a_full_backlog_is_neither_replaced_nor_connected_to() {
    let at = SocketPath::new();
    let server = at.serve(&["--backlog", "1"]);
    server.freeze();
    let mut waiting = Vec::new();
    loop {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let client =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        match rustix::net::connect(&client, &SocketAddrUnix::new(&at.socket).unwrap()) {
            Ok(()) => waiting.push(client),
            Err(error) => break assert_eq!(error, rustix::io::Errno::AGAIN),
        }
    }
    for lock in ["held", "removed"] {
        if lock == "removed" {
            fs::remove_file(&at.lock).unwrap();
        }
        let said = at.expect_refusal();
        let holder = format!("in use by oneloop (pid {})", server.child.id());
        assert!(said.contains(&holder), "{said}");
    }
    drop(waiting);
    server.thaw();
    at.still_echoes();
    server.drain();
}

#[test]
fn probing_a_path_connects_no_client_to_its_listener() {
    let at = SocketPath::new();
    let other = UnixListener::bind(&at.socket).unwrap();
    let said = at.expect_refusal();
    // Which process is named is for other tests: a child that one of them is just starting holds
    // this listener, too, until it runs its program.
    assert!(said.contains("in use by"), "{said}");
    other.set_nonblocking(true).unwrap();
    let error = other.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    assert!(!at.lock.exists());
}

#[test]
fn probing_a_path_runs_no_program() {
    let at = SocketPath::new();
    let ran = at.directory.path().join("ran");
    let script = format!("echo ran >> '{}'", ran.display());
    let server = at.serve(&["--mode", "exec", "--", "/bin/sh", "-c", &script]);
    at.expect_refusal();
    fs::remove_file(&at.lock).unwrap(); // so that only a probe finds the server
    at.expect_refusal();
    let mut log = server.drain();
    assert!(!ran.exists());
    log.retain(|line| line.contains("stopped"));
    assert!(log[0].contains("accepted=0"), "{log:?}");
}

#[test]
fn a_bound_socket_of_any_kind_is_left_alone() {
    for kind in [SocketType::STREAM, SocketType::SEQPACKET, SocketType::DGRAM] {
        let at = SocketPath::new();
        let other = bind(&at.socket, kind);
        let said = at.expect_refusal();
        assert!(said.contains("in use"), "{said}");
        assert!(at.socket.exists());
        drop(other);
        at.serve(&[]).drain();
        at.expect_empty();
    }
}

#[test]
fn an_ending_server_leaves_the_files_of_its_successor_alone() {
    let at = SocketPath::new();
    let first = at.serve(&[]);
    let said = at.expect_refusal();
    assert!(said.contains("in use"), "{said}");
    fs::remove_file(&at.socket).unwrap();
    fs::remove_file(&at.lock).unwrap();
    let second = at.serve(&[]);
    first.drain();
    assert!(at.lock.exists());
    at.still_echoes();
    second.drain();
    at.expect_empty();
}

#[test]
fn a_server_whose_file_was_removed_keeps_its_path() {
    let at = SocketPath::new();
    let server = at.serve(&[]);
    fs::remove_file(&at.socket).unwrap();
    let said = at.expect_refusal();
    let holder = format!("in use by oneloop (pid {})", server.child.id());
    assert!(said.contains(&holder), "{said}");
    server.drain();
    at.expect_empty();
}

#[test]
fn a_file_that_is_not_a_socket_is_refused_and_kept() {
    type Make = fn(&Path);
    let make: [(&str, Make); 3] = [
        ("file", |path| fs::write(path, "precious").unwrap()),
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("link", |path| symlink("elsewhere", path).unwrap()),
    ];
    for (kind, make) in make {
        let at = SocketPath::new();
        make(&at.socket);
        let said = at.expect_refusal();
        assert!(
            said.contains("a file that is not a socket"),
            "{kind}: {said}"
        );
        assert!(at.socket.symlink_metadata().is_ok(), "{kind}");
        assert!(!at.lock.exists(), "{kind}");
    }
}

#[test]
fn a_lock_that_is_not_a_regular_file_is_refused_and_kept() {
    let make: [fn(&Path); 3] = [
        |path| fs::create_dir(path).unwrap(),
        |path| symlink("elsewhere", path).unwrap(),
        |path| drop(bind(path, SocketType::STREAM)),
    ];
    for make in make {
        let at = SocketPath::new();
        make(&at.lock);
        let said = at.expect_refusal();
        assert!(said.contains("socket.lock: "), "{said}");
        assert!(at.lock.symlink_metadata().is_ok());
        assert!(!at.socket.exists());
    }
}

#[test]
fn a_lock_file_need_not_be_writable_and_one_with_data_is_kept() {
    for (data, mode) in [("", 0o444), ("precious", 0o600)] {
        let at = SocketPath::new();
        fs::write(&at.lock, data).unwrap();
        fs::set_permissions(&at.lock, fs::Permissions::from_mode(mode)).unwrap();
        let server = at.serve(&[]);
        at.expect_refusal();
        server.drain();
        assert_eq!(at.lock.exists(), !data.is_empty());
    }
}

#[test]
fn one_path_under_two_names_is_in_use_by_this_server() {
    let at = SocketPath::new();
    let directory = at.directory.path();
    let other = directory
        .join("..")
        .join(directory.file_name().unwrap())
        .join("socket");
    let listen = format!("{},unix:{}", at.listen(), other.display());
    let mut process = Process::start(command::main(&["--listen", &listen]));
    assert_eq!(process.wait().code(), Some(1));
    let said = process.stderr.seen.last().unwrap();
    assert!(said.contains("in use by this server"), "{said}");
    at.expect_empty();
}

#[test]
fn an_abstract_name_in_use_names_its_holder_and_has_no_lock() {
    let name = format!("unix:@oneloop-in-use-{}", std::process::id());
    let server = Server::run(command::main(&["--listen", &name]));
    let mut process = Process::start(command::main(&["--listen", &name]));
    assert_eq!(process.wait().code(), Some(1));
    let said = process.stderr.seen.last().unwrap();
    let holder = format!("in use by oneloop (pid {})", server.child.id());
    assert!(said.contains(&holder), "{said}");
    server.drain();
}

#[test]
fn a_directory_that_is_not_writable_is_reported_and_a_live_socket_in_it_is_in_use() {
    if rustix::process::geteuid().is_root() {
        return skip("root may write everywhere");
    }
    let at = SocketPath::new();
    let set_mode = |mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(at.directory.path(), mode).unwrap();
    };
    set_mode(0o555);
    let said = at.expect_refusal();
    assert!(said.contains("permission denied"), "{said}");
    set_mode(0o755);
    let server = at.serve(&[]);
    fs::remove_file(&at.lock).unwrap();
    set_mode(0o555);
    let said = at.expect_refusal();
    assert!(said.contains("in use"), "{said}");
    set_mode(0o755);
    server.drain();
}

#[test]
fn the_socket_file_is_removed_before_its_lock() {
    // A server that waits for the lock starts as soon as the other one has ended.
    let at = SocketPath::new();
    let first = at.serve(&[]);
    first.signal(Signal::TERM);
    eventually("the lock is gone", || !at.lock.exists());
    assert!(!at.socket.exists());
    at.serve(&[]).drain();
}

/// unix(7) allows 108 bytes. For such a path the kernel reports a length of one more, as the NUL no
/// longer fits.
#[test]
fn a_path_of_the_maximum_length_is_served_by_one_server() {
    for bytes in [107, 108] {
        let at = SocketPath::of_length(bytes);
        let mut killed = at.serve(&[]);
        let said = at.expect_refusal();
        assert!(said.contains("in use by oneloop"), "{bytes}: {said}");
        killed.signal(Signal::KILL);
        killed.wait();
        at.serve(&[]).drain();
        at.expect_empty();
    }
    let too_long = SocketPath::of_length(109);
    let said = too_long.expect_refusal();
    assert!(said.contains("file name too long"), "{said}");
    too_long.expect_empty();
}

#[test]
fn a_client_with_a_path_of_the_maximum_length_is_served() {
    for bytes in [107, 108] {
        let (at, own) = (SocketPath::new(), SocketPath::of_length(bytes));
        let server = at.serve(&[]);
        let client = bind(&own.socket, SocketType::STREAM);
        rustix::net::connect(&client, &SocketAddrUnix::new(&at.socket).unwrap()).unwrap();
        echo(connect_unix(client.into()), b"a long name");
        at.still_echoes();
        server.drain();
    }
}
