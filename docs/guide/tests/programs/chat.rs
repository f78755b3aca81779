//! The chat server: what its clients see, and what a client leaves behind.

use crate::harness::{Client, Running, both};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;

/// Connects, and receives a name.
fn join(address: &str, name: &str) -> Client {
    let mut client = Client::connect(address);
    client.expect(&format!("* you are {name}"));
    client
}

/// A file, removed at the end.
struct Log(PathBuf);

impl Log {
    fn new(name: &str) -> Self {
        let name = format!("oneloop-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "an old line\n").unwrap();
        Log(path)
    }

    fn append(&self, text: &str) {
        let mut file = File::options().append(true).open(&self.0).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn start(mut command: Command, log: &Log, idle_ms: u32) -> (Running, String) {
    command.arg("127.0.0.1:0").arg(&log.0);
    command.arg(idle_ms.to_string());
    let mut program = Running::start(command);
    let address = program.printed("listening on ");
    (program, address)
}

#[test]
fn lines_notices_and_the_file_reach_the_clients_until_the_server_stops() {
    for command in both("chat") {
        let log = Log::new("chat");
        let (mut program, address) = start(command, &log, 600_000);
        let mut ada = join(&address, "guest1");
        let mut bob = join(&address, "guest2");
        ada.expect("* guest2 joined");

        ada.send("hello\r\nhow are");
        bob.expect("guest1: hello");
        ada.send(" you?\n");
        bob.expect("guest1: how are you?");

        log.append("one\ntw");
        bob.expect("log: one");
        log.append("o\n");
        bob.expect("log: two");
        ada.expect("log: one");
        ada.expect("log: two");

        bob.send(&"a".repeat(2000));
        ada.expect("* guest2 left");

        program.terminate();
        ada.expect("* the server stops");
        ada.expect_end();
        program.printed("stopped");
        assert!(program.child.wait().unwrap().success());
    }
}

#[test]
fn a_client_that_sends_nothing_has_to_leave() {
    for command in both("chat") {
        let log = Log::new("idle");
        let (_program, address) = start(command, &log, 200);
        let mut client = join(&address, "guest1");
        client.expect("* you are idle: goodbye");
        client.expect_end();
    }
}

#[test]
fn a_client_that_does_not_read_is_closed_and_the_others_stay() {
    for command in both("chat") {
        let log = Log::new("slow");
        let (_program, address) = start(command, &log, 600_000);
        let mut reader = join(&address, "guest1");
        let mut writer = join(&address, "guest2");
        let _slow = join(&address, "guest3");
        let mut stream = writer.0.get_ref().try_clone().unwrap();
        let flood = std::thread::spawn(move || {
            let line = "a".repeat(999) + "\n";
            // It ends when the test closes the connection.
            while stream.write_all(line.as_bytes()).is_ok() {}
        });
        while reader.receive() != "* guest3 left" {}
        writer.expect("* guest3 joined");
        writer.expect("* guest3 left");
        writer
            .0
            .get_ref()
            .shutdown(std::net::Shutdown::Both)
            .unwrap();
        flood.join().unwrap();
    }
}

/// The memory of a process in KiB.
fn resident_kib(program: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse().unwrap()
}

#[test]
fn a_client_that_leaves_leaves_nothing_behind() {
    let log = Log::new("leak");
    let ours = both("chat").remove(0);
    let (program, address) = start(ours, &log, 600_000);
    let mut guests = 0;
    let mut come_and_go = |count: usize| -> io::Result<()> {
        for _ in 0..count {
            guests += 1;
            let mut client = join(&address, &format!("guest{guests}"));
            client.send("hello\nand a line without an en");
            client.0.get_ref().shutdown(std::net::Shutdown::Write)?;
            client.expect_end();
        }
        Ok(())
    };
    come_and_go(500).unwrap();
    let before = resident_kib(&program);
    come_and_go(4000).unwrap();
    let grown = resident_kib(&program).saturating_sub(before);
    // A socket that its own listeners keep alive costs 1.1 KB, and 4,000 of them 4,400.
    assert!(grown < 1000, "4,000 clients have left {grown} KiB behind");
}
