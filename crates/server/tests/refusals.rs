//! Why the server does not start: one clear sentence for each reason.

mod harness;

use harness::client::{connect_unix, echo};
use harness::command;
use harness::process::Process;
use harness::server::Server;
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

/// Starts a server that cannot start; returns the sentence that says why.
#[track_caller]
fn refusal(args: &[&str], code: i32) -> String {
    let mut process = Process::start(command::main(args));
    assert_eq!(process.stdout.next(), None, "it starts");
    let status = process.wait();
    let stderr = &process.stderr.seen;
    assert_eq!(status.code(), Some(code), "{stderr:#?}");
    for bad in ["panicked", "backtrace", "Os {", "os error"] {
        assert!(!stderr.iter().any(|line| line.contains(bad)), "{stderr:#?}");
    }
    let sentence = stderr.last().and_then(|line| line.strip_prefix("error: "));
    match (
        code,
        stderr.first().and_then(|line| line.strip_prefix("error: ")),
    ) {
        (1, _) => sentence
            .unwrap_or_else(|| panic!("no error: {stderr:#?}"))
            .to_owned(),
        // clap adds the correct usage.
        (_, first) => first
            .unwrap_or_else(|| panic!("no error: {stderr:#?}"))
            .to_owned(),
    }
}

#[test]
fn an_address_in_use_is_refused() {
    let server = Server::start(&[]);
    let addr = server.addr().to_string();
    let said = refusal(&["--listen", &addr], 1);
    assert!(said.contains(&addr) && said.contains("in use"), "{said}");
    server.finish();
}

#[test]
fn an_address_in_use_is_refused_with_two_threads() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = other.local_addr().unwrap().to_string();
    let said = refusal(&["--threads", "2", "--listen", &addr], 1);
    assert!(said.contains(&addr) && said.contains("in use"), "{said}");
}

#[test]
fn an_address_of_a_server_with_two_threads_is_refused() {
    let server = Server::start(&["--threads", "2"]);
    let addr = server.addr().to_string();
    for threads in ["1", "2"] {
        let said = refusal(&["--threads", threads, "--listen", &addr], 1);
        assert!(said.contains(&addr) && said.contains("in use"), "{said}");
    }
    server.finish();
}

#[test]
fn an_address_of_another_machine_is_refused() {
    let said = refusal(&["--listen", "192.0.2.1:0"], 1); // TEST-NET-1 of RFC 5737
    assert!(said.contains("192.0.2.1"), "{said}");
}

#[test]
fn a_malformed_address_is_refused() {
    for (addr, why) in [
        ("nonsense", "it has no port: write nonsense:8080"),
        (
            "127.0.0.1:99999",
            "it has the port 99999, and ports end at 65535",
        ),
        ("127.0.0.1", "it has no port: write 127.0.0.1:8080"),
        (
            "::1:80",
            "it needs brackets around its IPv6 address: write [::1]:80",
        ),
        ("[::1:80", "it has only one of the two brackets"),
        ("unix:", "it has no path: write unix:/a/path"),
        (
            "/run/x",
            "it is not HOST:PORT; as the path of a Unix socket, write unix:/run/x",
        ),
        (
            "http://localhost:80/",
            "it is a URL: write only its host and port, such as localhost:80",
        ),
        (" 80", "it has spaces around it: write '80'"),
        ("", "it is empty: write HOST:PORT"),
        ("70000", "it has the port 70000, and ports end at 65535"),
    ] {
        let said = refusal(&["--listen", addr], 2);
        assert!(said.contains(&format!("'{addr}': {why}")), "{said}");
        let said = refusal(&["--mode", "proxy", "--to", addr], 2);
        assert!(said.contains(&format!("'{addr}': {why}")), "{said}");
    }
}

#[test]
fn a_wrong_value_is_answered_with_what_a_right_one_looks_like() {
    let time = "give a time such as 30s or 2m";
    let bytes = "give a number of bytes such as 4096, 64KiB or 16MiB";
    let times = ["idle-timeout", "write-timeout", "connect-timeout", "drain"];
    let sizes = ["out-soft", "out-hard", "out-total"];
    let mut cases = vec![
        (
            "backlog",
            "many",
            "give a whole number from 1 to 2147483647",
        ),
        ("backlog", "0", "give a whole number from 1 to 2147483647"),
        (
            "max-conns",
            "1.5",
            "give a whole number from 1 to 4294967295",
        ),
        ("threads", "1025", "give a whole number from 1 to 1024"),
        (
            "keepalive",
            "abc",
            "give IDLE,INTERVAL,COUNT such as 60s,10s,6, or 0",
        ),
    ];
    for name in times {
        cases.extend([
            (name, "abc", time),
            (name, "", time),
            (name, "-5s", time),
            (name, "10", "a time needs a unit: 10s, 10m or 10ms"),
            (name, "1.5", "a time needs a unit: 1.5s, 1.5m or 1.5ms"),
            (
                name,
                "5 parsecs",
                "'parsecs' is no unit of time: use ms, s, m, h or d",
            ),
            (name, "99999999999999999999s", "the time is too long"),
        ]);
    }
    for name in sizes {
        cases
            .extend(["abc", "", "-5", "1MiBs", "99999999999999999999"].map(|it| (name, it, bytes)));
    }
    for (name, value, why) in cases {
        let said = refusal(&[&format!("--{name}={value}")], 2);
        assert!(said.contains(why), "--{name}={value}: {said}");
        let variable = format!("ONELOOP_{}", name.replace('-', "_").to_uppercase());
        if value.is_empty() {
            continue; // an empty variable counts as unset
        }
        let mut command = command::main(&[]);
        let output = command.env(&variable, value).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains(why) && said.contains(&variable),
            "{variable}={value}: {said}"
        );
    }
    for variable in ["ONELOOP_RAW", "ONELOOP_TRACE"] {
        let output = command::main(&[]).env(variable, "maybe").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("give true or false") && said.contains(variable),
            "{said}"
        );
    }
}

#[test]
fn a_timeout_of_zero_is_refused() {
    for flag in ["--idle-timeout", "--write-timeout", "--connect-timeout"] {
        let said = refusal(&[flag, "0s"], 2);
        assert!(
            said.contains("give a longer time, or leave the option out"),
            "{said}"
        );
    }
}

#[test]
fn an_unusable_unix_path_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    let file = file.display();
    let long = format!("unix:{}/{}", directory.path().display(), "x".repeat(200));
    let missing = format!("unix:{}/missing/socket", directory.path().display());
    for listen in [format!("unix:{file}/socket"), missing, long] {
        let said = refusal(&["--listen", &listen], 1);
        assert!(said.contains(&listen), "{said}");
    }
}

#[test]
fn a_file_that_is_not_a_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "precious").unwrap();
    let said = refusal(&["--listen", &format!("unix:{}", path.display())], 1);
    assert!(said.contains("a file that is not a socket"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_unix_socket_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listen = format!("unix:{}", path.display());
    let server = Server::run(command::main(&["--listen", &listen]));
    let said = refusal(&["--listen", &listen], 1);
    assert!(said.contains("in use"), "{said}");
    echo(
        connect_unix(UnixStream::connect(&path).unwrap()),
        b"a fresh client",
    );
    server.drain();
}

#[test]
fn if_one_of_two_addresses_is_bad_the_other_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let good = format!("unix:{}", path.display());
    refusal(&["--listen", &good, "--listen", "192.0.2.1:0"], 1);
    assert!(
        !path.exists(),
        "the socket file of a server that did not start"
    );
}

#[test]
fn wrong_values_are_refused() {
    let wrong: [&[&str]; 9] = [
        &["--frobnicate"],
        &["stray"],
        &["--mode", "sing"],
        &["--backlog", "0"],
        &["--threads", "0"],
        &["--max-conns", "0"],
        &["--drain", "soon"],
        &["--out-soft", "much"],
        &["--when-full", "panic"],
    ];
    for args in wrong {
        let said = refusal(args, 2);
        assert!(said.contains(args[0]), "{said}");
    }
}

#[test]
fn limits_of_output_that_contradict_each_other_are_refused() {
    let said = refusal(&["--out-soft", "2KiB", "--out-hard", "1KiB"], 2);
    assert!(
        said.contains("--out-hard") && said.contains("--out-soft"),
        "{said}"
    );
    for args in [["--out-soft", "0"], ["--out-total", "0"]] {
        let said = refusal(&args, 2);
        assert!(said.contains(args[0]), "{said}");
    }
    let said = refusal(&["--raw"], 2);
    assert!(said.contains("--mode chat"), "{said}");
}
