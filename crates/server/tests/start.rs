//! Where the server listens, and what its help contains.

mod harness;

use harness::client::{connect, connect_unix, echo};
use harness::command;
use harness::process::Process;
use harness::server::Server;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::path::Path;

/// Each flag with its environment variable.
const FLAGS: &[(&str, &str)] = &[
    #[cfg(feature = "config")]
    ("--config", "ONELOOP_CONFIG"),
    ("--listen", "ONELOOP_LISTEN"),
    ("--mode", "ONELOOP_MODE"),
    ("--to", "ONELOOP_TO"),
    ("--connect-timeout", "ONELOOP_CONNECT_TIMEOUT"),
    ("--style", "ONELOOP_STYLE"),
    ("--backlog", "ONELOOP_BACKLOG"),
    ("--max-conns", "ONELOOP_MAX_CONNS"),
    ("--when-full", "ONELOOP_WHEN_FULL"),
    ("--idle-timeout", "ONELOOP_IDLE_TIMEOUT"),
    ("--write-timeout", "ONELOOP_WRITE_TIMEOUT"),
    ("--keepalive", "ONELOOP_KEEPALIVE"),
    ("--out-soft", "ONELOOP_OUT_SOFT"),
    ("--out-hard", "ONELOOP_OUT_HARD"),
    ("--out-total", "ONELOOP_OUT_TOTAL"),
    ("--raw", "ONELOOP_RAW"),
    ("--drain", "ONELOOP_DRAIN"),
    #[cfg(feature = "systemd")]
    ("--restart-timeout", "ONELOOP_RESTART_TIMEOUT"),
    ("--threads", "ONELOOP_THREADS"),
    ("--log", "ONELOOP_LOG"),
    ("--log-level", "ONELOOP_LOG_LEVEL"),
    ("--trace", "ONELOOP_TRACE"),
    #[cfg(feature = "admin")]
    ("--access-log", "ONELOOP_ACCESS_LOG"),
    #[cfg(feature = "admin")]
    ("--access-log-format", "ONELOOP_ACCESS_LOG_FORMAT"),
    #[cfg(feature = "admin")]
    ("--admin", "ONELOOP_ADMIN"),
    #[cfg(feature = "admin")]
    ("--admin-token", "ONELOOP_ADMIN_TOKEN"),
    #[cfg(feature = "admin")]
    ("--trace-file", "ONELOOP_TRACE_FILE"),
    #[cfg(feature = "access")]
    ("--allow", "ONELOOP_ALLOW"),
    #[cfg(feature = "access")]
    ("--deny", "ONELOOP_DENY"),
    #[cfg(feature = "access")]
    ("--max-per-source", "ONELOOP_MAX_PER_SOURCE"),
    #[cfg(feature = "access")]
    ("--rate-per-source", "ONELOOP_RATE_PER_SOURCE"),
    #[cfg(feature = "access")]
    ("--source-bits", "ONELOOP_SOURCE_BITS"),
    #[cfg(feature = "access")]
    ("--accept-rate", "ONELOOP_ACCEPT_RATE"),
    #[cfg(feature = "access")]
    ("--proxy-protocol", "ONELOOP_PROXY_PROTOCOL"),
    #[cfg(feature = "access")]
    ("--proxy-from", "ONELOOP_PROXY_FROM"),
    #[cfg(feature = "access")]
    ("--handshake-timeout", "ONELOOP_HANDSHAKE_TIMEOUT"),
    #[cfg(feature = "access")]
    ("--send-proxy", "ONELOOP_SEND_PROXY"),
    #[cfg(feature = "access")]
    ("--socket-mode", "ONELOOP_SOCKET_MODE"),
    #[cfg(feature = "access")]
    ("--socket-owner", "ONELOOP_SOCKET_OWNER"),
    #[cfg(feature = "access")]
    ("--user", "ONELOOP_USER"),
    #[cfg(feature = "access")]
    ("--group", "ONELOOP_GROUP"),
];

fn has_ipv6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        harness::skip("there is no IPv6 here");
    }
    has
}

/// Expects an echo on each address of a server; returns the addresses.
#[track_caller]
fn echoes_everywhere(server: &Server) -> Vec<SocketAddr> {
    let addrs: Vec<SocketAddr> = server
        .listens
        .iter()
        .map(|addr| addr.parse().unwrap())
        .collect();
    for addr in &addrs {
        assert_ne!(addr.port(), 0, "the real port is printed");
        echo(connect(*addr), b"here?");
    }
    addrs
}

#[track_caller]
fn connect_path(path: &Path) -> UnixStream {
    connect_unix(UnixStream::connect(path).unwrap())
}

/// What a command prints on stdout and stderr, and its exit code.
fn outcome(command: std::process::Command) -> (Vec<String>, Vec<String>, Option<i32>) {
    let mut process = Process::start(command);
    let code = process.wait().code();
    (
        process.stdout.seen.clone(),
        process.stderr.seen.clone(),
        code,
    )
}

/// Expects that the server listens on 127.0.0.1 and on ::1 only; ends the server.
#[track_caller]
fn echoes_on_both_loopbacks(server: Server) {
    let addrs = echoes_everywhere(&server);
    assert_eq!(addrs.len(), 2);
    assert!(addrs[0].is_ipv4() && addrs[1].is_ipv6());
    assert!(addrs.iter().all(|addr| addr.ip().is_loopback()));
    server.finish();
}

#[test]
fn one_line_on_stdout_names_every_address() {
    if !has_ipv6() {
        return;
    }
    let listen = ["--listen", "127.0.0.1:0", "--listen", "[::1]:0"];
    let server = Server::run(command::main(&listen));
    echoes_on_both_loopbacks(server);
}

#[test]
fn a_port_alone_is_this_machine_in_both_families() {
    if !has_ipv6() {
        return;
    }
    for port in ["0", ":0"] {
        let server = Server::run(command::main(&["--listen", port]));
        echoes_on_both_loopbacks(server);
    }
}

#[test]
fn localhost_is_resolved() {
    let server = Server::run(command::main(&["--listen", "localhost:0"]));
    let addrs = echoes_everywhere(&server);
    assert!(addrs.iter().all(|addr| addr.ip().is_loopback()));
    server.finish();
}

#[test]
fn a_unix_socket_echoes_and_its_file_is_removed_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listen = format!("unix:{}", path.display());
    for threads in ["1", "2"] {
        let server = Server::run(command::main(&["--listen", &listen, "--threads", threads]));
        assert_eq!(server.listens, [listen.as_str()]);
        echo(connect_path(&path), b"a fresh client");
        server.drain();
        assert!(!path.exists());
    }
}

#[test]
fn a_left_over_socket_file_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    let server = Server::run(command::main(&[
        "--listen",
        &format!("unix:{}", path.display()),
    ]));
    echo(connect_path(&path), b"a fresh client");
    server.drain();
    assert!(!path.exists());
}

#[test]
fn an_abstract_unix_socket_echoes() {
    let name = format!("oneloop-test-{}", std::process::id());
    let server = Server::run(command::main(&["--listen", &format!("unix:@{name}")]));
    assert_eq!(server.listens, [format!("unix:@{name}")]);
    let addr = UnixAddr::from_abstract_name(&name).unwrap();
    echo(
        connect_unix(UnixStream::connect_addr(&addr).unwrap()),
        b"a fresh client",
    );
    server.drain();
}

#[test]
fn a_port_is_free_again_as_soon_as_the_server_has_ended() {
    let server = Server::start(&[]);
    let addr = server.addr();
    let clients = server.connect_echoed(3);
    server.drain(); // the server closes first: its ports stay in TIME_WAIT
    drop(clients);
    let server = Server::run(command::main(&["--listen", &addr.to_string()]));
    assert_eq!(server.addr(), addr);
    server.finish();
}

#[test]
fn the_environment_configures_a_server() {
    let mut command = command::main(&[]);
    command.env("ONELOOP_LISTEN", "127.0.0.1:0,127.0.0.1:0");
    command
        .env("ONELOOP_MODE", "daytime")
        .env("ONELOOP_LOG", "json");
    let server = Server::run(command);
    // Port 0 becomes another port each time.
    assert_eq!(server.listens.len(), 2);
    assert_ne!(server.listens[0], server.listens[1]);
    let daytime = std::io::read_to_string(server.connect()).unwrap();
    assert!(daytime.ends_with("\r\n"), "{daytime:?}");
    let log = server.drain();
    assert!(log[0].starts_with('{'), "{}", log[0]);
}

#[test]
fn a_flag_overrides_its_variable() {
    let mut command = command::main(&["--listen", "127.0.0.1:0", "--mode", "echo"]);
    command
        .env("ONELOOP_LISTEN", "nonsense")
        .env("ONELOOP_MODE", "daytime");
    Server::run(command).finish();
}

#[test]
fn a_wrong_value_is_reported_by_the_name_under_which_it_was_given() {
    // Switches have no values, and any text is a path or a token.
    const NEVER_WRONG: [&str; 5] = [
        "--trace",
        "--raw",
        "--access-log",
        "--admin-token",
        "--trace-file",
    ];
    let with_values = |(flag, _): &(&str, &str)| !NEVER_WRONG.contains(flag);
    for (flag, variable) in FLAGS.iter().copied().filter(with_values) {
        let args: &[&str] = if ["--to", "--connect-timeout"].contains(&flag) {
            &["--mode", "proxy", "--to", "127.0.0.1:80"]
        } else {
            &[]
        };
        let by_flag = outcome(command::main(&[args, &[flag, "?!"][..]].concat()));
        let mut command = command::main(if flag == "--to" { &args[..2] } else { args });
        command.env(variable, "?!");
        let by_variable = outcome(command);
        for (stdout, stderr, code) in [&by_flag, &by_variable] {
            assert!(stdout.is_empty() && *code == Some(2), "{flag}: {stderr:?}");
            let said = &stderr[0];
            assert!(said.starts_with("error: ") && said.contains("?!"), "{said}");
        }
        assert!(by_variable.1[0].contains(variable), "{:?}", by_variable.1);
        assert!(!by_variable.1[0].contains(flag), "{:?}", by_variable.1);
        assert!(!by_flag.1[0].contains(variable), "{:?}", by_flag.1);
    }
}

#[test]
fn trace_has_a_variable() {
    for yes in ["true", "1"] {
        let mut command = command::main(&["--listen", "127.0.0.1:0"]);
        command.env("ONELOOP_TRACE", yes);
        let mut server = Server::run(command);
        server.stderr.wait_for("turn 1 prepare");
        server.finish();
    }
}

#[test]
fn help_names_every_flag_with_its_variable_and_shows_examples() {
    let (stdout, stderr, code) = outcome(command::main(&["--help"]));
    let help = stdout.join("\n");
    assert_eq!((stderr.len(), code), (0, Some(0)));
    for (flag, variable) in FLAGS {
        let behind = [" <", " [<", "\n"]; // the value of --admin may be left out
        let is_listed = |behind: &&str| help.contains(&format!("{flag}{behind}"));
        assert!(behind.iter().any(is_listed), "{flag}");
        // The value of a secret is not shown.
        let shown = [format!("[env: {variable}="), format!("[env: {variable}]")];
        assert!(shown.iter().any(|shown| help.contains(shown)), "{variable}");
    }
    assert_eq!(
        help.matches("[env: ").count(),
        FLAGS.len(),
        "a flag is missing in this test"
    );
    assert!(help.contains("Examples:\n  oneloop "));
}

#[test]
fn the_version_is_that_of_the_crate() {
    let version = format!("oneloop {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        outcome(command::main(&["--version"])),
        (vec![version], vec![], Some(0))
    );
}

#[test]
fn two_threads_share_one_port() {
    let server = Server::start(&["--threads", "2"]);
    let clients: Vec<TcpStream> = server.connect_echoed(50);
    assert_eq!(server.listens.len(), 1);
    drop(clients);
    server.finish();
}
