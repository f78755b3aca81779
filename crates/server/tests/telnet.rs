//! The real `telnet`, twenty of them at the same time.

mod harness;

use harness::process::Process;
use harness::server::Server;
use std::io::Write;
use std::process::{Command, Stdio};

/// One user at a terminal.
fn telnet(server: &Server) -> Process {
    let mut command = Command::new("telnet");
    let addr = server.addr();
    command
        .arg(addr.ip().to_string())
        .arg(addr.port().to_string());
    command.stdin(Stdio::piped());
    Process::start(command)
}

fn is_installed(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let installed = command.status().is_ok();
    if !installed {
        harness::skip(&format!("{program} is not installed"));
    }
    installed
}

#[track_caller]
fn type_line(telnet: &mut Process, line: &str) {
    let mut stdin = telnet.child.stdin.as_ref().expect("stdin is a pipe");
    stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// What ss(8) prints about the server's clients. A retransmitted segment, a SYN included, shows as
/// `retrans:`.
fn sockets_of_clients(server: &Server) -> String {
    let mut command = Command::new("ss");
    command.args(["-tinH", "dst", &server.addr().to_string()]);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn twenty_telnets_are_echoed_without_a_retransmit() {
    if !is_installed("telnet", "--help") {
        return;
    }
    let server = Server::start(&[]);
    let mut telnets = [(); 20].map(|()| telnet(&server));
    for (number, telnet) in telnets.iter_mut().enumerate() {
        type_line(telnet, &format!("this is number {number}"));
    }
    for (number, telnet) in telnets.iter_mut().enumerate() {
        telnet.stdout.wait_for("Connected to");
        telnet.stdout.wait_for(&format!("this is number {number}"));
    }
    if is_installed("ss", "--version") {
        let sockets = sockets_of_clients(&server);
        assert_eq!(sockets.matches("cwnd:").count(), 20, "{sockets}");
        assert!(!sockets.contains("retrans:"), "{sockets}");
    }
    drop(telnets);
    server.finish();
}

#[test]
fn a_silent_telnet_sees_the_server_end() {
    if !is_installed("telnet", "--help") {
        return;
    }
    let server = Server::start(&[]);
    let mut telnet = telnet(&server);
    telnet.stdout.wait_for("Connected to");
    server.drain();
    telnet.stderr.wait_for("closed by foreign host");
}
