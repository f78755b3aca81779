//! The file of `--config`: what it may contain, what it overrides, and several services at once.
#![cfg(feature = "config")]

mod harness;

use harness::client::{connect, echo, expect_bytes, expect_end};
use harness::command;
use harness::config_file::ConfigFile;
use harness::server::Server;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;

/// What is printed on stdout and on stderr, and the exit code.
fn outcome(mut command: Command) -> (String, String, Option<i32>) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code(),
    )
}

/// Each bad text, and what is said of it behind `server.toml`.
const WRONG: &[(&str, &str)] = &[
    // Syntax.
    ("mode", ":1: "),
    ("mode = \n", ":1: "),
    ("\n\nlisten = \"127.0.0.1:0\n", ":3: "),
    (
        "mode = \"echo\"\nmode = \"chat\"\n",
        ":2: duplicate key: 'mode'",
    ),
    ("[service.x\n", ":1: "),
    ("listen = \"\u{0}\"", ":1: "),
    // Unknown keys.
    (
        "\nmax-cons = 3\n",
        ":2: unknown key 'max-cons': did you mean 'max-conns'?",
    ),
    (
        "max_conns = 3\n",
        ":1: unknown key 'max_conns': did you mean 'max-conns'?",
    ),
    (
        "xyzzy = 3\n",
        ":1: unknown key 'xyzzy': the keys are the names of the flags",
    ),
    ("config = \"x\"\n", ":1: unknown key 'config'"),
    (
        "[servce.x]\nlisten = 0\n",
        ":1: unknown key 'servce': did you mean 'service'?",
    ),
    (
        "[service.x]\nlisten = 0\nmood = \"chat\"\n",
        ":3: unknown key 'mood': did you mean 'mode'?",
    ),
    // Wrong values.
    (
        "mode = \"eco\"\n",
        ":1: invalid value 'eco' for 'mode': give echo, discard, chargen, daytime, chat, proxy or exec",
    ),
    (
        "mode = 7\n",
        ":1: invalid value '7' for 'mode': give echo, discard",
    ),
    (
        "idle-timeout = 10\n",
        ":1: invalid value '10' for 'idle-timeout': a time needs a unit: 10s, 10m or 10ms",
    ),
    (
        "threads = 0\n",
        ":1: invalid value '0' for 'threads': give a whole number from 1 to 1024",
    ),
    (
        "threads = 1.5\n",
        ":1: invalid value '1.5' for 'threads': give a whole number from 1 to 1024",
    ),
    (
        "out-soft = \"many\"\n",
        ":1: invalid value 'many' for 'out-soft': give a number of bytes",
    ),
    ("raw = 1\n", ":1: 'raw' is a switch: give true or false"),
    (
        "listen = true\n",
        ":1: 'listen' is no switch: give its value in quotes",
    ),
    ("listen = []\n", ":1: 'listen' has no value"),
    (
        "mode = [\"echo\"]\n",
        ":1: 'mode' has one value: give it without brackets",
    ),
    ("[mode]\n", ":1: 'mode' is a key, and no table"),
    (
        "listen = \"nonsense\"\n",
        ":1: listen: cannot listen on 'nonsense'",
    ),
    (
        "mode = \"proxy\"\nto = \"localhost:0\"\n",
        ":2: to: cannot connect to 'localhost:0': no server has port 0",
    ),
    (
        "mode = \"exec\"\nprogram = [\"no-such-program\"]\n",
        ":2: program: cannot run 'no-such-program'",
    ),
    // Options that do not fit together.
    ("out-hard = \"1KiB\"\n", ":1) is less than --out-soft 64KiB"),
    (
        "\nconnect-timeout = \"1s\"\n",
        ":2) is for --mode proxy, and this is --mode echo",
    ),
    ("mode = \"proxy\"\n", ":1) needs --to"),
    // Services.
    (
        "[service.x]\nlisten = 0\nthreads = 2\n",
        ":3: 'threads' is for the whole process: write it above the first table",
    ),
    (
        "[[service]]\nlisten = 0\n",
        ":1: a service has a name: write [service.NAME]",
    ),
    (
        "[service.x]\nmode = \"chat\"\n",
        ":1: the service 'x' has no 'listen': give its addresses",
    ),
    (
        "listen = 0\n[service.x]\nlisten = 0\n",
        ":1: 'listen' is for one service: write it into [service.NAME]",
    ),
    (
        "[service.\"a b\"]\nlisten = 0\n",
        ":1: 'a b' is no name of a service",
    ),
];

#[test]
fn each_problem_is_reported_with_file_line_and_key() {
    for (text, said) in WRONG {
        let file = ConfigFile::new(text);
        let expected = format!("server.toml{said}");
        let mut all = Vec::new();
        for args in [&[][..], &["check"]] {
            let (stdout, stderr, code) = outcome(file.main(args));
            assert_eq!((stdout.as_str(), code), ("", Some(2)), "{text}\n{stderr}");
            assert!(stderr.starts_with("error: "), "{stderr}");
            assert!(stderr.contains(&expected), "{text}\n{stderr}");
            assert_eq!(stderr.lines().count(), 1, "{text}\n{stderr}");
            all.push(stderr);
        }
        assert_eq!(all[0], all[1], "a start and a check find the same");
    }
}

#[test]
fn check_lists_all_problems_in_the_order_of_the_lines() {
    let file = ConfigFile::new(
        "threads = 0\nmax-cons = 3\n[service.b]\nmode = \"eco\"\nlisten = 0\n[service.a]\nlog = \"json\"\n",
    );
    let (_, stderr, _) = outcome(file.main(&["check"]));
    let lines = stderr.lines().map(|line| {
        let (_, rest) = line.split_once("server.toml:").unwrap();
        rest.split(':').next().unwrap()
    });
    assert_eq!(
        lines.collect::<Vec<_>>(),
        ["1", "2", "4", "6", "7"],
        "{stderr}"
    );
}

#[test]
fn check_says_ok_and_does_not_listen() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = holder.local_addr().unwrap();
    let file = ConfigFile::new(&format!("[service.x]\nlisten = \"{listen}\"\n"));
    let ok = ("ok\n".to_owned(), String::new(), Some(0));
    assert_eq!(outcome(file.main(&["check"])), ok);
    assert_eq!(outcome(command::main(&["check", "--mode", "chat"])), ok);
    let (_, stderr, code) = outcome(command::main(&["check", "--mode", "proxy"]));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--mode proxy needs --to"), "{stderr}");
}

#[test]
fn check_names_variables_that_have_no_effect() {
    let mut command = command::main(&["check"]);
    command
        .env("ONELOOP_TO", "127.0.0.1:80")
        .env("ONELOOP_X", "1");
    let (stdout, stderr, code) = outcome(command);
    assert_eq!((stdout.as_str(), code), ("ok\n", Some(0)));
    for said in [
        "ONELOOP_TO=127.0.0.1:80 is ignored",
        "ONELOOP_X is not a variable",
    ] {
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn the_file_in_the_guide_is_right() {
    let page = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/guide/src/operating.md"
    );
    let Ok(page) = fs::read_to_string(page) else {
        return harness::skip("the guide is not part of the package");
    };
    let (_, text) = page.split_once("```toml\n").expect("it shows a file");
    let file = ConfigFile::new(text.split("```").next().unwrap());
    let ok = ("ok\n".to_owned(), String::new(), Some(0));
    assert_eq!(outcome(file.main(&["check"])), ok);
}

#[test]
fn a_command_is_the_first_word() {
    for (args, said) in [
        (&["--threads", "2", "check"][..], "oneloop check [OPTIONS]"),
        (&["chek"], "use 'oneloop check'"),
    ] {
        let (_, stderr, code) = outcome(command::main(args));
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
    let (stdout, _, code) = outcome(command::main(&["check", "--help"]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains("Usage: oneloop check"), "{stdout}");
    let (stdout, _, _) = outcome(command::main(&["--help"]));
    assert!(stdout.contains("Commands:\n  check"), "{stdout}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let large = dir.path().join("large.toml");
    fs::write(&large, vec![b'#'; (1 << 20) + 1]).unwrap();
    let latin1 = dir.path().join("latin1.toml");
    fs::write(&latin1, b"# a\n# \xe9\n").unwrap();
    for (path, said) in [
        (
            dir.path().join("missing.toml"),
            "missing.toml: no such file or directory",
        ),
        (dir.path().to_owned(), "it is not a regular file"),
        ("/dev/zero".into(), "/dev/zero: it is not a regular file"),
        (large, "large.toml: it is larger than 1 MiB"),
        (latin1, "latin1.toml:2: this line is not UTF-8"),
    ] {
        command::expect_refused(&["--config", path.to_str().unwrap()], said);
    }
    let mut command = command::main(&[]);
    command.env("ONELOOP_CONFIG", "/no/such/file");
    let (_, stderr, code) = outcome(command);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("the file of ONELOOP_CONFIG, /no/such/file: no such file"),
        "{stderr}"
    );
}

#[test]
fn flags_override_variables_which_override_the_file() {
    let file =
        ConfigFile::new("listen = \"127.0.0.1:0\"\nmode = \"discard\"\nlog-level = \"error\"\n");
    let started = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = file.main(args);
        command.envs(variables.iter().copied());
        let mut server = Server::run(command);
        let line = server.stderr.wait_for("serving");
        server.drain();
        line
    };
    let debug = [("ONELOOP_LOG_LEVEL", "debug")];
    let line = started(&[], &debug);
    assert!(line.contains("mode=discard"), "{line}");
    let line = started(&[], &[debug[0], ("ONELOOP_MODE", "chat")]);
    assert!(line.contains("mode=chat"), "{line}");
    let line = started(&["--mode", "echo"], &[debug[0], ("ONELOOP_MODE", "chat")]);
    assert!(line.contains("mode=echo"), "{line}");
    // The file alone: errors only.
    let log = Server::run(file.main(&[])).drain();
    assert_eq!(log, Vec::<String>::new());
}

#[test]
fn a_wrong_value_is_refused_even_where_a_flag_overrides_it() {
    let file = ConfigFile::new("mode = \"eco\"\n");
    let (_, stderr, code) = outcome(file.main(&["--mode", "echo"]));
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("server.toml:1: invalid value 'eco'"),
        "{stderr}"
    );
}

#[test]
fn services_of_all_modes_run_in_one_process() {
    let upstream = Server::start(&[]);
    let file = ConfigFile::new(&format!(
        "threads = 2\n\
         idle-timeout = \"1h\"\n\
         [service.echo]\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n\
         [service.chat]\nlisten = \"127.0.0.1:0\"\nmode = \"chat\"\nstyle = \"green\"\n\
         [service.other-chat]\nlisten = \"127.0.0.1:0\"\nmode = \"chat\"\nstyle = \"callback\"\n\
         [service.front]\nlisten = \"127.0.0.1:0\"\nmode = \"proxy\"\nto = \"{}\"\n\
         style = \"callback\"\n\
         [service.sort]\nlisten = \"127.0.0.1:0\"\nmode = \"exec\"\nprogram = [\"sort\", \"-r\"]\n\
         [service.date]\nlisten = \"127.0.0.1:0\"\nmode = \"daytime\"\n",
        upstream.listens[0]
    ));
    let server = Server::run(file.main(&[]));
    let addrs: Vec<SocketAddr> = server
        .listens
        .iter()
        .map(|addr| addr.parse().unwrap())
        .collect();
    let [echo1, echo2, chat, other_chat, front, sort, date] = addrs[..] else {
        panic!("{addrs:?}");
    };
    for addr in [echo1, echo2, front] {
        echo(connect(addr), b"back to me");
    }
    let mut sorted = connect(sort);
    sorted.write_all(b"a\nb\n").unwrap();
    sorted.shutdown(std::net::Shutdown::Write).unwrap();
    expect_bytes(&sorted, b"b\na\n");
    expect_end(&sorted);
    assert!(
        std::io::read_to_string(connect(date))
            .unwrap()
            .ends_with("\r\n")
    );
    // A room belongs to one service.
    let (mut a, b, other) = (connect(chat), connect(chat), connect(other_chat));
    let mut speak = || {
        a.write_all(b"hello\n").unwrap();
        b.set_read_timeout(Some(std::time::Duration::from_millis(100)))
            .unwrap();
        b.peek(&mut [0]).is_ok()
    };
    while !speak() {}
    expect_bytes(&b, b"hello\n");
    other.set_nonblocking(true).unwrap();
    assert!(other.peek(&mut [0]).is_err());
    drop((a, b, other));
    let log = server.drain();
    let serving = log.iter().filter(|line| line.contains("serving"));
    assert_eq!(serving.count(), 6, "{log:#?}");
    upstream.finish();
}

#[test]
fn one_address_is_for_one_service() {
    let file = ConfigFile::new("[service.a]\nlisten = 7\n\n[service.b]\nlisten = [8, 7]\n");
    let (_, stderr, code) = outcome(file.main(&["check"]));
    assert_eq!(code, Some(2), "{stderr}");
    let said =
        "server.toml:5: listen: cannot listen on 127.0.0.1:7: the service 'a' does so already";
    assert!(stderr.contains(said), "{stderr}");
    let (_, stderr, code) = outcome(file.main(&["--listen", "0"]));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("--listen is for one service"), "{stderr}");
}

#[test]
fn each_service_has_its_own_limits() {
    let file = ConfigFile::new(
        "[service.patient]\nlisten = \"127.0.0.1:0\"\n\
         [service.hasty]\nlisten = \"127.0.0.1:0\"\nidle-timeout = \"50ms\"\n",
    );
    let server = Server::run(file.main(&[]));
    let [patient, hasty] = [0, 1].map(|number| connect(server.listens[number].parse().unwrap()));
    echo(&patient, b"hello");
    expect_end(&hasty);
    echo(&patient, b"still here");
    drop(patient);
    server.drain();
}
