//! SIGHUP: what a reload changes, for new and for open connections, and what it leaves alone.
#![cfg(feature = "config")]

mod harness;

use harness::client::{connect, echo, expect_bytes, expect_end, fill};
use harness::config_file::ConfigFile;
use harness::server::Server;
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LISTEN: &str = "listen = \"127.0.0.1:0\"\n";

/// A server with a file, and what it last read.
struct Reloading {
    file: ConfigFile,
    server: Server,
}

impl Reloading {
    fn start(text: &str) -> Self {
        let file = ConfigFile::new(&format!("{LISTEN}{text}"));
        let mut server = Server::run(file.main(&[]));
        server.stderr.wait_for("serving");
        Reloading { file, server }
    }

    /// Replaces the text behind the address, and waits for this line.
    #[track_caller]
    fn reload(&mut self, text: &str, said: &str) -> String {
        self.file.write(&format!("{LISTEN}{text}"));
        self.signal(said)
    }

    #[track_caller]
    fn signal(&mut self, said: &str) -> String {
        self.server.signal(Signal::HUP);
        self.server.stderr.wait_for(said)
    }
}

#[test]
fn an_idle_timeout_comes_to_open_connections_and_goes() {
    let mut it = Reloading::start("");
    let idle = it.server.connect_echoed(2);
    let line = it.reload("idle-timeout = \"50ms\"\n", "reloaded");
    assert!(
        line.contains("idle-timeout (") && line.contains("server.toml:2"),
        "{line}"
    );
    idle.iter().for_each(expect_end);
    it.reload("idle-timeout = \"1h\"\n", "reloaded");
    let open = it.server.connect_echoed(1);
    it.reload("idle-timeout = \"40ms\"\n", "reloaded");
    expect_end(&open[0]);
    // Accepted in the turn of the signal, so that the timeout has begun.
    it.reload("idle-timeout = \"1s\"\n", "reloaded");
    it.server.freeze();
    let spared = it.server.connect();
    it.file.write(LISTEN);
    it.server.signal(Signal::HUP);
    it.server.thaw();
    it.server.stderr.wait_for("reloaded");
    thread::sleep(Duration::from_millis(1200)); // longer than the timeout was
    echo(&spared, b"still here");
    it.reload("idle-timeout = \"40ms\"\n", "reloaded");
    expect_end(&spared);
    drop((idle, open, spared));
    it.reload("", "reloaded");
    it.server.finish();
}

#[test]
fn a_write_timeout_comes_to_a_client_that_blocks_already() {
    let mut it = Reloading::start("");
    let slow = it.server.connect();
    fill(&it.server, &slow);
    it.reload("write-timeout = \"50ms\"\n", "reloaded");
    it.server.stderr.wait_for("closed: --write-timeout passed");
    drop(slow);
    it.server.finish();
}

#[test]
fn the_limit_of_connections_changes_and_lets_in_those_that_wait() {
    let mut it = Reloading::start("max-conns = 1\n");
    let first = it.server.connect_echoed(1);
    let mut second = it.server.connect();
    second.write_all(b"is there a permit?").unwrap();
    it.server.stderr.wait_for("full: others wait");
    it.reload("max-conns = 2\n", "reloaded");
    expect_bytes(&second, b"is there a permit?");
    it.reload("max-conns = 1\nwhen-full = \"refuse\"\n", "reloaded");
    expect_end(it.server.connect());
    echo(&first[0], b"those beyond the limit stay");
    echo(&second, b"those beyond the limit stay");
    drop((first, second));
    it.reload("max-conns = 5\n", "reloaded");
    it.server.finish();
}

#[test]
fn the_log_level_changes() {
    let mut it = Reloading::start("log-level = \"info\"\n");
    it.server.still_echoes();
    it.reload("log-level = \"debug\"\n", "reloaded");
    assert!(
        !it.server
            .stderr
            .seen
            .iter()
            .any(|line| line.contains("DEBUG"))
    );
    it.server.still_echoes();
    it.server
        .stderr
        .wait_for("DEBUG oneloop::dispatch: connected");
    it.reload("log-level = \"info\"\n", "reloaded");
    let before = it.server.stderr.seen.len();
    it.server.still_echoes();
    let log = it.server.drain();
    assert!(
        !log[before..].iter().any(|line| line.contains("connected")),
        "{log:#?}"
    );
}

#[test]
fn further_clients_of_a_proxy_go_to_the_new_upstream() {
    let upstreams = [Server::start(&["--mode", "daytime"]), Server::start(&[])];
    let to = |number: usize| {
        let to = &upstreams[number].listens[0];
        format!("mode = \"proxy\"\nto = \"{to}\"\n")
    };
    let mut it = Reloading::start(&to(1));
    let open = it.server.connect_echoed(1);
    it.reload(&to(0), "reloaded");
    let mut date = String::new();
    it.server.connect().read_to_string(&mut date).unwrap();
    assert!(date.ends_with("\r\n"), "{date}");
    echo(&open[0], b"an open connection keeps its upstream");
    let itself = format!("mode = \"proxy\"\nto = \"{}\"\n", it.server.listens[0]);
    let line = it.reload(&itself, "not reloaded");
    assert!(line.contains("this server itself listens there"), "{line}");
    drop(open);
    it.server.drain();
    upstreams
        .into_iter()
        .for_each(|upstream| drop(upstream.drain()));
}

#[test]
fn a_wrong_file_leaves_the_old_configuration_and_is_one_line() {
    let mut it = Reloading::start("mode = \"echo\"\n");
    let open = it.server.connect_echoed(1);
    for (text, said) in [
        (
            "mod = \"chat\"\n",
            "server.toml:2: unknown key 'mod': did you mean 'mode'?",
        ),
        (
            "idle-timeout = \"50\"\n",
            "server.toml:2: invalid value '50' for 'idle-timeout': a time needs a unit",
        ),
        ("idle-timeout = \n", "server.toml:2: "),
        ("\nout-hard = \"1\"\n", "out-hard = 1 ("),
        ("mod = 1\nlag = 1\n", "others=1"),
    ] {
        let before = it.server.stderr.seen.len();
        let line = it.reload(text, "not reloaded, and the old configuration stays: ");
        assert!(line.contains("ERROR") && line.contains(said), "{line}");
        assert_eq!(it.server.stderr.seen.len(), before + 1, "one line for each");
    }
    fs::remove_file(&it.file.path).unwrap();
    let line = it.signal("not reloaded");
    assert!(line.contains("server.toml: no such file"), "{line}");
    echo(&open[0], b"still here");
    it.reload("", "reloaded: nothing has changed");
    drop(open);
    it.server.finish();
}

#[test]
fn what_needs_a_restart_is_named_in_one_line_until_it_comes() {
    let mut it = Reloading::start("");
    it.file
        .write("listen = \"127.0.0.1:1\"\nthreads = 2\nmode = \"chat\"\nidle-timeout = \"1h\"\n");
    for changed in ["idle-timeout (", "nothing has changed"] {
        let line = it.signal("reloaded");
        assert!(line.contains(changed), "{line}");
        let line = it.server.stderr.wait_for("only a restart changes");
        for named in ["listen (", "threads (", "mode (", "server.toml:2"] {
            assert!(line.contains(named), "{line}");
        }
        assert!(
            line.contains("WARN") && !line.contains("idle-timeout"),
            "{line}"
        );
    }
    it.server.finish();
}

#[test]
fn a_service_comes_and_goes_with_a_restart() {
    let service = |name: &str, more: &str| format!("[service.{name}]\n{LISTEN}{more}");
    let file = ConfigFile::new(&(service("a", "") + &service("b", "")));
    let mut server = Server::run(file.main(&["--threads", "2"]));
    let [a, b] = [0, 1].map(|number| server.listens[number].parse().unwrap());
    let open = connect(b);
    echo(&open, b"hello");
    file.write(&(service("c", "") + &service("b", "idle-timeout = \"50ms\"\n")));
    server.signal(Signal::HUP);
    let line = server.stderr.wait_for("only a restart changes");
    assert!(
        line.contains("the end of the service 'a', the start of the service 'c'"),
        "{line}"
    );
    expect_end(&open);
    echo(connect(a), b"it runs on");
    drop(open);
    server.drain();
}

#[test]
fn a_variable_and_a_flag_override_the_file_after_a_reload() {
    let file = ConfigFile::new(LISTEN);
    let mut command = file.main(&["--idle-timeout", "1h"]);
    command.env("ONELOOP_LOG_LEVEL", "info");
    let mut server = Server::run(command);
    let open = server.connect_echoed(1);
    file.write(&format!(
        "{LISTEN}idle-timeout = \"1ms\"\nlog-level = \"error\"\n"
    ));
    server.signal(Signal::HUP);
    server.stderr.wait_for("reloaded: nothing has changed");
    echo(&open[0], b"still here");
    drop(open);
    server.finish();
}

#[test]
fn a_report_during_a_reload_has_each_client_once() {
    let mut it = Reloading::start("");
    let clients = it.server.connect_echoed(3);
    for round in 0..20 {
        it.file
            .write(&format!("{LISTEN}idle-timeout = \"{}h\"\n", round + 1));
        it.server.signal(Signal::HUP);
        it.server.signal(Signal::USR1);
        let line = it.server.stderr.wait_for("of this loop follow");
        assert!(line.contains("clients=3"), "{line}");
    }
    drop(clients);
    it.server.finish();
}

#[test]
fn a_hundred_reloads_under_busy_connections_fail_none() {
    const RELOADS: usize = 100;
    const CLIENTS: usize = 64;
    let mut it = Reloading::start("threads = 2\n");
    let (addr, over, echoed) = (
        it.server.addr(),
        AtomicBool::new(false),
        AtomicUsize::new(0),
    );
    let talk = || {
        let stream = connect(addr);
        while !over.load(Ordering::Relaxed) {
            echo(&stream, &[b'x'; 1000]);
            echoed.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(talk)).collect();
        for round in 0..RELOADS {
            let before = echoed.load(Ordering::Relaxed);
            // Valid, and wrong from time to time.
            let (text, said) = match round % 5 {
                4 => ("threads = 2\nidle-timeout = 7\n".to_owned(), "not reloaded"),
                _ => {
                    let limits =
                        format!("out-soft = {}\nmax-conns = {}\n", 900 + round, 64 + round);
                    let timeouts = format!(
                        "idle-timeout = \"{}m\"\nwrite-timeout = \"1h\"\n",
                        round + 1
                    );
                    (format!("threads = 2\n{limits}{timeouts}"), "reloaded")
                }
            };
            it.reload(&text, said);
            harness::eventually("clients are served between two reloads", || {
                echoed.load(Ordering::Relaxed) > before + 8
            });
        }
        over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("no client fails");
        }
    });
    let log = it.server.drain();
    let count = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        (count("oneloop::reload: reloaded"), count("not reloaded")),
        (80, 20)
    );
    assert_eq!(count("WARN"), 0, "{log:#?}");
}
