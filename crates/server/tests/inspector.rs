//! What operators see and do through `--admin`, and what `--trace-file` writes.

mod harness;

use harness::client::{echo, expect_reset, is_silent};
use harness::command::expect_refused;
use harness::server::Server;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use tempfile::TempDir;

/// A server with a socket for operators.
struct Watched {
    server: Server,
    socket: PathBuf,
    _dir: TempDir,
}

impl Watched {
    fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("admin.sock");
        let addr = format!("unix:{}", socket.display());
        let server = Server::start(&[&["--admin", &addr], args].concat());
        Watched {
            server,
            socket,
            _dir: dir,
        }
    }

    fn post(&self, path: &str) -> String {
        ask(connect(&self.socket), &format!("POST {path}"))
    }

    /// The connections that the page lists once that is true of them.
    fn connections(&self, is_wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut stream = connect(&self.socket);
        stream
            .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        loop {
            lines.find(|line| line == "event: connections").unwrap();
            let data = lines.next().unwrap();
            let list: Value = serde_json::from_str(&data["data: ".len()..]).unwrap();
            let shown = list["shown"].as_array().unwrap();
            if is_wanted(shown) {
                return shown.clone();
            }
        }
    }
}

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(harness::DEADLINE)).unwrap();
    stream
}

fn ask(mut stream: UnixStream, request: &str) -> String {
    let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn is_paused(shown: &[Value], number: u64) -> bool {
    shown
        .iter()
        .any(|one| one["number"] == number && one["paused"] == true)
}

#[test]
fn an_operator_sees_connections_and_pauses_and_closes_them() {
    let watched = Watched::start(&["--threads", "2"]);
    let clients = watched.server.connect_echoed(3);
    let shown = watched.connections(|shown| shown.len() == 3);
    let mut numbers: Vec<_> = shown
        .iter()
        .map(|one| one["number"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(
        shown
            .iter()
            .all(|one| one["received"] == 5 && one["sent"] == 5),
        "{shown:?}"
    );
    assert!(
        shown[0]["peer"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{shown:?}"
    );

    let first = shown.iter().find(|one| one["number"] == 1).unwrap();
    let is_first = |client: &&std::net::TcpStream| {
        client.local_addr().unwrap().to_string() == first["peer"].as_str().unwrap()
    };
    let client = clients.iter().find(is_first).unwrap();
    assert!(
        watched
            .post("/connection?number=1&action=pause")
            .starts_with("HTTP/1.1 200 ")
    );
    watched.connections(|shown| is_paused(shown, 1));
    (&*client).write_all(b"more").unwrap();
    assert!(is_silent(client));
    assert!(
        watched
            .post("/connection?number=1&action=resume")
            .starts_with("HTTP/1.1 200 ")
    );
    let mut more = [0; 4];
    (&*client).read_exact(&mut more).unwrap();
    assert_eq!(&more, b"more");
    assert!(
        watched
            .post("/connection?number=1&action=close")
            .starts_with("HTTP/1.1 200 ")
    );
    expect_reset(client);
    watched.connections(|shown| shown.len() == 2);
    assert!(
        watched
            .post("/connection?number=x&action=close")
            .starts_with("HTTP/1.1 400 ")
    );
    drop(clients);
    watched.server.finish();
}

#[test]
fn a_connection_to_an_upstream_is_paused_and_goes_on_without_a_loss() {
    let upstream = Server::start(&[]);
    let to = upstream.addr().to_string();
    let watched = Watched::start(&["--mode", "proxy", "--to", &to]);
    let client = watched.server.connect();
    echo(&client, b"hello");
    watched.post("/connection?number=1&action=pause");
    watched.connections(|shown| is_paused(shown, 1));
    (&client).write_all(b"more").unwrap();
    assert!(is_silent(&client));
    watched.post("/connection?number=1&action=resume");
    let mut more = [0; 4];
    (&client).read_exact(&mut more).unwrap();
    assert_eq!(&more, b"more");
    watched.post("/connection?number=1&action=close");
    expect_reset(&client);
    watched.server.drain();
    upstream.finish();
}

#[test]
fn a_drain_answers_a_client_that_is_paused() {
    let watched = Watched::start(&[]);
    let client = watched.server.connect();
    echo(&client, b"hello");
    watched.post("/connection?number=1&action=pause");
    watched.connections(|shown| is_paused(shown, 1));
    (&client).write_all(b"last words").unwrap();
    assert!(is_silent(&client));
    watched.server.signal(rustix::process::Signal::TERM);
    let mut words = [0; 10];
    (&client).read_exact(&mut words).unwrap();
    assert_eq!(&words, b"last words");
    drop(client);
    let mut server = watched.server;
    server.expect_exit(0);
}

#[test]
fn without_an_address_operators_use_an_abstract_socket_with_the_process_in_its_name() {
    let server = Server::start(&["--admin"]);
    let name = format!("oneloop-{}", server.child.id());
    let addr = SocketAddr::from_abstract_name(name).unwrap();
    let answer = ask(UnixStream::connect_addr(&addr).unwrap(), "GET /");
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("<title>Oneloop"),
        "{answer}"
    );
    server.finish();
}

#[test]
fn a_socket_for_operators_leaves_no_file_behind() {
    let watched = Watched::start(&[]);
    assert!(watched.socket.exists());
    watched.server.finish();
    assert!(!watched.socket.exists());
}

#[test]
fn what_is_wrong_with_the_address_for_operators_is_said_at_the_start() {
    expect_refused(
        &["--admin", "0.0.0.0:9000"],
        "cannot inspect on 0.0.0.0:9000: other machines can connect there, so \
         a token is required: give --admin-token, or an address of this machine",
    );
    expect_refused(
        &["--admin", "9000", "--admin-token", "a b"],
        "the token has characters other than letters",
    );
    expect_refused(
        &["--trace-file", "/nowhere/trace.json"],
        "cannot write the trace to '/nowhere/trace.json'",
    );
}

/// Starts the program with a terminal of its own. Returns that as well.
fn in_a_terminal(args: &[&str]) -> (Child, File) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize {
        ws_row: 40,
        ws_col: 120,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size).unwrap();
    let path = ptsname(&terminal, Vec::new()).unwrap();
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .open(path.to_str().unwrap())
            .unwrap()
    };
    // A terminal has no timeout for reads, so the program gets one: the test would hang.
    let mut command = Command::new("timeout");
    command.args(["--foreground", "60", env!("CARGO_BIN_EXE_oneloop")]);
    command
        .args(args)
        .stdin(open())
        .stdout(open())
        .stderr(open());
    (command.spawn().unwrap(), terminal.into())
}

#[test]
fn the_terminal_shows_a_process_by_its_number_and_closes_a_connection() {
    let server = Server::start(&["--admin"]);
    let clients = server.connect_echoed(1);
    let pid = server.child.id().to_string();
    let (mut inspect, mut terminal) = in_a_terminal(&["inspect", &pid]);
    let mut seen = String::new();
    let mut until = |terminal: &mut File, text: &str| {
        let mut bytes = [0; 4096];
        while !seen.contains(text) {
            let count = terminal.read(&mut bytes).unwrap();
            seen += &String::from_utf8_lossy(&bytes[..count]);
        }
    };
    // Only cells that change are written, so a count may come without its word.
    until(&mut terminal, &clients[0].local_addr().unwrap().to_string());
    terminal.write_all(b"c").unwrap();
    expect_reset(&clients[0]);
    terminal.write_all(b"q").unwrap();
    assert!(inspect.wait().unwrap().success());
    server.finish();
}

#[test]
fn a_process_that_no_operator_can_inspect_is_named() {
    let server = Server::start(&[]);
    let pid = server.child.id().to_string();
    let (mut inspect, terminal) = in_a_terminal(&["inspect", &pid]);
    let line = BufReader::new(terminal).lines().next().unwrap().unwrap();
    let expected =
        format!("error: no server listens for operators in process {pid}: start it with");
    assert!(line.starts_with(&expected), "{line}");
    assert_eq!(inspect.wait().unwrap().code(), Some(1));
    server.finish();
}

#[test]
fn a_trace_file_has_each_loop_and_its_turns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.json");
    let server = Server::start(&["--threads", "2", "--trace-file", path.to_str().unwrap()]);
    server.connect_echoed(4);
    server.finish();
    let events: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let names: Vec<_> = events
        .iter()
        .filter_map(|event| event["args"]["name"].as_str())
        .collect();
    assert!(
        names.contains(&"loop 0") && names.contains(&"loop 1"),
        "{names:?}"
    );
    let begins = events.iter().filter(|event| event["ph"] == "B").count();
    let ends = events.iter().filter(|event| event["ph"] == "E").count();
    assert!(begins > 20 && begins == ends, "{begins} {ends}");
    assert!(
        events.iter().any(|event| event["cat"] == "wake"),
        "no wake leads to a run"
    );
}
