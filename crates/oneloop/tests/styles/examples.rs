//! The examples print what they promise. `cargo test` builds them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

fn command(example: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let directory = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program = directory.join("examples").join(example);
    assert!(program.exists(), "not built yet: cargo build --examples");
    Command::new(program)
}

/// Runs an example, and returns what it prints.
fn output(example: &str) -> String {
    let output = command(example).output().unwrap();
    assert!(output.status.success(), "{example}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn embedded_takes_turns_with_the_outer_loop() {
    let output = output("embedded");
    let ours: Vec<_> = output
        .lines()
        .filter(|line| line.starts_with("our"))
        .collect();
    let expected = ["our loop: tick 1", "our loop: tick 2", "our loop: tick 3"];
    assert_eq!(ours, expected, "{output}");
    assert!(output.contains("their loop: woke"), "{output}");
}

#[test]
fn chat_churn_keeps_nothing_of_clients_that_have_left() {
    let output = output("chat_churn");
    assert!(output.starts_with("1000 clients came and went"), "{output}");
}

#[test]
fn cores_measures_a_cluster() {
    let output = command("cores").arg("1").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let begins = |line: &&str| line.starts_with("64 connections on 8 loops, the busiest: ");
    assert!(said.lines().any(|line| begins(&line)), "{said}");
    assert!(output.status.success(), "{said}");
}

#[test]
fn signals_reaches_each_style() {
    let output = output("signals");
    for line in [
        "a callback received it",
        "a green thread received it",
        "async code received signal 28",
    ] {
        assert!(
            output.lines().any(|printed| printed == line),
            "{line}: {output}"
        );
    }
}

#[test]
fn offload_continues_while_lookups_are_stuck() {
    let output = output("offload");
    for line in [
        "a callback: 1229 primes below 10,000",
        "a green thread: 2262 primes below 20,000",
        "async code: 3245 primes below 30,000",
        "a timer, and the look-ups are still stuck",
        "async code: the task panicked: what a job panics with",
    ] {
        assert!(
            output.lines().any(|printed| printed == line),
            "{line}: {output}"
        );
    }
}

#[test]
fn prefork_workers_have_their_own_loops() {
    let expected = [
        "a worker answered: true",
        "a worker answered: true",
        "a worker ended: Some(0)",
        "a worker ended: Some(0)",
    ];
    assert_eq!(output("prefork").lines().collect::<Vec<_>>(), expected);
}

#[test]
fn names_connects_in_each_style() {
    let output = output("names");
    for line in ["async: Some(\"hello\")", "green: hello", "callback: hello"] {
        assert!(
            output.lines().any(|printed| printed == line),
            "{line}: {output}"
        );
    }
}

#[test]
fn stdin_reads_any_kind_of_input() {
    let text = "some lines\n".repeat(20_000);
    let upcased = text.to_uppercase();
    for style in ["async", "green", "callback"] {
        let read = |stdin: Stdio| {
            let mut example = command("stdin");
            let child = example.arg(style).stdin(stdin).stdout(Stdio::piped());
            child.stderr(Stdio::piped()).spawn().unwrap()
        };
        let finish = |child: std::process::Child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{style}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        assert!(finish(read(file.into())) == upcased, "{style}: a file");

        let null = File::open("/dev/null").unwrap();
        assert_eq!(finish(read(null.into())), "", "{style}: /dev/null");

        let mut closed = Command::new("sh");
        closed.args(["-c", "exec \"$0\" \"$1\" <&-"]);
        closed.arg(command("stdin").get_program()).arg(style);
        let output = closed.output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty());

        let mut child = read(Stdio::piped());
        let mut pipe = child.stdin.take().unwrap();
        let written = text.clone();
        std::thread::spawn(move || pipe.write_all(written.as_bytes()));
        assert!(finish(child) == upcased, "{style}: a pipe");

        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let child = read(OwnedFd::from(theirs).into());
        let written = text.clone();
        std::thread::spawn(move || ours.write_all(written.as_bytes()));
        assert!(finish(child) == upcased, "{style}: a socket");
    }
}

#[test]
fn processes_sort_in_each_style() {
    let expected = ["async", "green", "callback"].map(|style| format!("{style}: apple, fig, pear"));
    assert_eq!(output("processes").lines().collect::<Vec<_>>(), expected);
}

#[test]
fn proxy_passes_bytes_and_ends_both_ways() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream_addr = upstream.local_addr().unwrap().to_string();
    let mut proxy = command("proxy")
        .args(["127.0.0.1:0", &upstream_addr])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(proxy.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let addr = first.strip_prefix("listening on ").unwrap();
    let mut client = TcpStream::connect(addr).unwrap();
    let (mut server, _) = upstream.accept().unwrap();

    client.write_all(b"ping").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = String::new();
    server.read_to_string(&mut received).unwrap();
    assert_eq!(received, "ping");
    server.write_all(b"pong!").unwrap();
    drop(server);
    received.clear();
    client.read_to_string(&mut received).unwrap();
    assert_eq!(received, "pong!");

    let line = lines.next().unwrap().unwrap();
    assert!(line.ends_with(": 4 bytes there, 5 back"), "{line}");
    proxy.kill().unwrap();
    proxy.wait().unwrap();
}
