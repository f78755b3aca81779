//! Which options the command line and the environment accept, and how the others are reported.

mod harness;

use harness::command::{self, expect_refused, main_after};
use harness::server::Server;
use std::process::{Command, Output};

/// The server with these variables, on any free port.
fn with_variables(variables: &[(&str, &str)], args: &[&str]) -> Command {
    let mut command = command::main(&[&["--listen", "127.0.0.1:0"], args].concat());
    command.envs(variables.iter().copied());
    command
}

/// What a server that does not start prints.
#[track_caller]
fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    stderr
}

/// Each option that has a variable.
fn variables() -> Vec<String> {
    let help = command::main(&["--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let names = help.split("[env: ").skip(1);
    names
        .map(|rest| rest.split(['=', ']']).next().unwrap().to_owned())
        .collect()
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let names = variables();
    assert!(names.len() > 10, "{names:?}");
    for name in names.iter().map(String::as_str) {
        Server::run(with_variables(&[(name, "")], &[])).finish();
    }
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let server = Server::run(with_variables(&all, &[]));
    server.still_echoes();
    let log = server.drain();
    assert!(!log.iter().any(|line| line.contains("WARN")), "{log:#?}");
}

#[test]
fn an_empty_variable_does_not_satisfy_a_mode_that_needs_it() {
    let command = with_variables(&[("ONELOOP_TO", "")], &["--mode", "proxy"]);
    let said = refusal(command);
    assert!(said.contains("--mode proxy needs --to"), "{said}");
    let help = with_variables(&[("ONELOOP_MODE", "")], &["--help"])
        .output()
        .unwrap();
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("[env: ONELOOP_MODE=]")
    );
}

#[test]
fn an_unknown_variable_is_reported_with_the_nearest_name() {
    for (name, near) in [
        ("ONELOOP_MAXCONNS", "did you mean ONELOOP_MAX_CONNS?"),
        ("ONELOOP_LISTN", "did you mean ONELOOP_LISTEN?"),
        ("oneloop_threads", "did you mean ONELOOP_THREADS?"),
        ("ONELOOP_XYZZY", "--help names them all"),
    ] {
        let server = Server::run(with_variables(&[(name, "3")], &[]));
        server.still_echoes();
        let log = server.drain();
        let warned = |line: &&String| line.contains("WARN") && line.contains(name);
        let line = log.iter().find(warned);
        assert!(line.is_some_and(|line| line.contains(near)), "{log:#?}");
    }
    let server = Server::run(with_variables(
        &[
            ("ONELOOP_XYZZY", ""),
            ("ONE_LOOP", "1"),
            ("ONELOOP_DEBUG", "1"), // the loop's
        ],
        &[],
    ));
    assert!(!server.drain().iter().any(|line| line.contains("WARN")));
}

#[test]
fn an_unknown_variable_is_reported_even_if_the_server_does_not_start() {
    for (name, value) in [("ONELOOP_MODE", "proxy"), ("ONELOOP_BACKLOG", "none")] {
        let said = refusal(with_variables(
            &[("ONELOOP_T0", "127.0.0.1:80"), (name, value)],
            &[],
        ));
        let lines: Vec<_> = said.lines().collect();
        assert!(lines[0].starts_with("warning: ONELOOP_T0 "), "{said}");
        assert!(lines[0].contains("did you mean ONELOOP_TO?"), "{said}");
        assert!(
            lines[1].starts_with("error: ") && lines[1].contains(name),
            "{said}"
        );
    }
}

#[test]
fn variables_that_contradict_are_named() {
    for (variables, args, said) in [
        (
            &[("ONELOOP_OUT_HARD", "1KiB")][..],
            &[][..],
            "ONELOOP_OUT_HARD=1KiB is less than --out-soft 64KiB",
        ),
        (
            &[("ONELOOP_OUT_SOFT", "1GB")],
            &["--out-hard", "1MB"],
            "--out-hard 1MB is less than ONELOOP_OUT_SOFT=1GB",
        ),
        (
            &[("ONELOOP_OUT_SOFT", "0")],
            &[],
            "ONELOOP_OUT_SOFT=0 would never read",
        ),
        (
            &[("ONELOOP_MODE", "proxy")],
            &[],
            "ONELOOP_MODE=proxy needs --to",
        ),
        (
            &[("ONELOOP_MODE", "exec")],
            &[],
            "ONELOOP_MODE=exec needs a program",
        ),
        (
            &[("ONELOOP_MODE", "chat")],
            &["--to", "127.0.0.1:80"],
            "--to 127.0.0.1:80 is for --mode proxy, and this is ONELOOP_MODE=chat",
        ),
        (
            &[("ONELOOP_TO", "localhost:0")],
            &["--mode", "proxy"],
            "ONELOOP_TO: cannot connect to 'localhost:0'",
        ),
    ] {
        let stderr = refusal(with_variables(variables, args));
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn a_variable_that_is_not_utf8_is_named() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    // The path of a file may have any bytes.
    let is_text = |name: &String| name != "ONELOOP_TRACE_FILE";
    for name in variables().into_iter().filter(is_text) {
        let mut command = command::main(&[]);
        command.env(&name, OsStr::from_bytes(b"\xff"));
        let said = refusal(command);
        assert!(
            said.starts_with("error: ") && said.contains(&name),
            "{said}"
        );
    }
}

#[test]
fn a_variable_of_a_switch_is_a_boolean() {
    for name in ["ONELOOP_RAW", "ONELOOP_TRACE"] {
        for wrong in ["maybe", "2", "treu"] {
            let said = refusal(with_variables(&[(name, wrong)], &[]));
            let expected = format!("invalid value '{wrong}' for '{name}'");
            assert!(said.contains(&expected), "{said}");
        }
        for right in ["yes", "no", "1", "0", "on", "off", "true", "FALSE"] {
            Server::run(with_variables(&[(name, right)], &[])).finish();
        }
    }
}

#[test]
fn a_flag_that_the_mode_does_not_use_is_refused_and_a_variable_is_ignored() {
    for (flag, variable, value, mode) in [
        ("--to", "ONELOOP_TO", "127.0.0.1:80", "proxy"),
        (
            "--connect-timeout",
            "ONELOOP_CONNECT_TIMEOUT",
            "3s",
            "proxy",
        ),
    ] {
        for other in ["echo", "discard", "chargen", "daytime", "chat"] {
            let said = format!("{flag} {value} is for --mode {mode}, and this is --mode {other}");
            expect_refused(&["--mode", other, flag, value], &said);
        }
        let said = format!("{flag} {value} is for --mode {mode}, and this is --mode exec");
        expect_refused(&["--mode", "exec", flag, value, "--", "cat"], &said);
        let server = Server::run(with_variables(&[(variable, value)], &[]));
        server.still_echoes();
        let ignored = format!("{variable}={value} is ignored: it is for --mode {mode}");
        let log = server.drain();
        assert!(log.iter().any(|line| line.contains(&ignored)), "{log:#?}");
    }
}

#[test]
fn an_argument_without_a_flag_gets_a_tip_about_its_flag() {
    for (args, tip) in [
        (&["8080"][..], "use '--listen 8080'"),
        (&[":8080"], "use '--listen :8080'"),
        (&["0.0.0.0:80"], "use '--listen 0.0.0.0:80'"),
        (&["[::1]:80"], "use '--listen [::1]:80'"),
        (&["localhost:80"], "use '--listen localhost:80'"),
        (&["example.org:80"], "use '--listen example.org:80'"),
        (&["unix:/x"], "use '--listen unix:/x'"),
        (&["/run/x.sock"], "use '--listen unix:/run/x.sock'"),
        (&["--threads", "2", "8080"], "use '--listen 8080'"),
        (&["chat"], "use '--mode chat'"),
        (&["--mode", "exec", "cat", "-n"], "use '--mode exec -- cat'"),
        (
            &["--mode=exec", "/bin/cat"],
            "use '--mode exec -- /bin/cat'",
        ),
    ] {
        let said = refusal(command::main(args));
        assert!(said.starts_with("error: unexpected argument"), "{said}");
        assert!(said.contains("tip: ") && said.contains(tip), "{said}");
    }
}

#[test]
fn port_0_is_nothing_to_connect_to() {
    for to in [
        "0",
        ":0",
        "localhost:0",
        "127.0.0.1:0",
        "[::1]:0",
        "example.org:0",
        "127.0.0.1:80,127.0.0.1:0",
    ] {
        expect_refused(&["--mode", "proxy", "--to", to], "no server has port 0");
    }
}

/// The outcome of a command line that starts no server, with its output redirected by a shell.
fn redirected(redirection: &str, args: &[&str]) -> Output {
    main_after(&format!("exec {redirection}"), args)
        .output()
        .unwrap()
}

#[test]
fn the_exit_code_is_right_even_if_the_message_cannot_be_written() {
    let in_use = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = in_use.local_addr().unwrap().to_string();
    for (args, code) in [
        (&["--mode", "nonsense"][..], 2),
        (&["8080"], 2),
        (&["--mode", "proxy"], 2),
        (&["--listen", "nonsense"], 2),
        (&["--mode", "exec", "--", "/no/such/program"], 2),
        (&["--listen", &in_use], 1),
    ] {
        for stderr in ["2>/dev/full", "2>&-"] {
            let status = redirected(stderr, args).status;
            assert_eq!(status.code(), Some(code), "{args:?} {stderr}");
        }
        let mut command = command::main(args);
        let (unread, stderr) = std::io::pipe().unwrap();
        drop(unread);
        let status = command.stderr(stderr).status().unwrap();
        assert_eq!(status.code(), Some(code), "{args:?} without a reader");
    }
}

#[test]
fn help_that_cannot_be_written_does_not_panic() {
    for args in [&["--help"][..], &["--version"], &["-h"]] {
        for (stdout, code) in [(">/dev/full", 1), (">&-", 0)] {
            let output = redirected(stdout, args);
            assert_eq!(output.status.code(), Some(code), "{args:?} {stdout}");
            assert!(output.stderr.is_empty(), "{output:?}");
        }
        let mut command = command::main(args);
        let (unread, stdout) = std::io::pipe().unwrap();
        drop(unread);
        let status = command.stdout(stdout).status().unwrap();
        assert_eq!(status.code(), Some(0), "{args:?} without a reader");
    }
}
