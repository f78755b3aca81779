//! What operators and their tools ask over HTTP: metrics, health, and the files in `packaging/`.
#![cfg(feature = "admin")]

mod harness;

use harness::client::{echo, expect_bytes, expect_end, leave};
use harness::command::{self, expect_refused};
use harness::server::Server;
use harness::{DEADLINE, can_trace, eventually, raise_limit_of_files, skip};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A server, and where it answers operators.
struct Watched {
    server: Server,
    admin: String,
}

impl Watched {
    #[track_caller]
    fn start(args: &[&str]) -> Self {
        let mut server = Server::start(&[&["--admin", "127.0.0.1:0"], args].concat());
        let line = server.stderr.wait_for("for operators: http://");
        let (_, admin) = line.rsplit_once("http://").unwrap();
        let admin = admin.to_owned();
        server.stderr.wait_for("serving");
        Watched { server, admin }
    }

    /// The status and the body of an answer.
    #[track_caller]
    fn ask(&self, path: &str, headers: &str) -> (u16, String) {
        let stream = TcpStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        ask(stream, path, headers)
    }

    /// The metrics in Prometheus' older format.
    #[track_caller]
    fn metrics(&self) -> String {
        let (status, text) = self.ask("/metrics", "");
        assert_eq!(status, 200, "{text}");
        text
    }

    /// The value of the sample with this name and these labels.
    #[track_caller]
    fn value(&self, sample: &str) -> f64 {
        value(&self.metrics(), sample)
    }
}

#[track_caller]
fn ask(mut stream: impl Read + Write, path: &str, headers: &str) -> (u16, String) {
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[track_caller]
fn value(metrics: &str, sample: &str) -> f64 {
    let mut lines = metrics.lines();
    let found = lines.find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let found = found.unwrap_or_else(|| panic!("no {sample} in\n{metrics}"));
    found.parse().unwrap()
}

#[test]
fn metrics_count_connections_and_bytes_while_they_are_open_and_after() {
    for threads in ["1", "2"] {
        let watched = Watched::start(&["--threads", threads]);
        let clients = watched.server.connect_echoed(3);
        echo(&clients[0], b"more");
        let metrics = watched.metrics();
        let of = |name: &str| value(&metrics, &format!("{name}{{service=\"echo\"}}"));
        assert_eq!(of("oneloop_connections_open"), 3.0, "{metrics}");
        assert_eq!(of("oneloop_connections_accepted_total"), 3.0);
        assert_eq!(of("oneloop_received_bytes_total"), 19.0);
        assert_eq!(of("oneloop_sent_bytes_total"), 19.0);
        assert_eq!(of("oneloop_listeners"), threads.parse::<f64>().unwrap());
        for number in 0..threads.parse().unwrap() {
            let of = |name: &str| value(&metrics, &format!("{name}{{loop=\"{number}\"}}"));
            assert_eq!(of("oneloop_loop_up"), 1.0, "{metrics}");
            assert!(of("oneloop_loop_turns_total") > 0.0);
        }
        clients.into_iter().for_each(leave);
        let closed = r#"oneloop_connections_closed_total{service="echo",reason="closed"}"#;
        eventually("their ends are counted", || watched.value(closed) == 3.0);
        assert_eq!(
            watched.value(r#"oneloop_received_bytes_total{service="echo"}"#),
            19.0
        );
        assert_eq!(
            watched.value(r#"oneloop_connections_open{service="echo"}"#),
            0.0
        );
        watched.server.finish();
    }
}

#[test]
fn bytes_of_proxies_and_programs_are_those_of_their_clients() {
    let upstream = Server::start(&[]);
    let to = upstream.addr().to_string();
    for (mode, args) in [
        ("proxy", &["--mode", "proxy", "--to", &to][..]),
        ("exec", &["--mode", "exec", "--", "cat"]),
    ] {
        let watched = Watched::start(args);
        let clients = watched.server.connect_echoed(2);
        let metrics = watched.metrics();
        let of = |name: &str| value(&metrics, &format!("{name}{{service=\"{mode}\"}}"));
        assert_eq!(of("oneloop_received_bytes_total"), 10.0, "{metrics}");
        assert_eq!(of("oneloop_sent_bytes_total"), 10.0, "{metrics}");
        drop(clients);
        watched.server.drain();
    }
    upstream.finish();
}

#[test]
fn all_output_of_a_slow_client_is_counted_once() {
    let watched = Watched::start(&[]);
    let client = watched.server.connect();
    harness::client::echo_pattern(&client, 8 << 20);
    expect_end(&client);
    let of = |name: &str| format!("{name}{{service=\"echo\"}}");
    let sent = of("oneloop_sent_bytes_total");
    eventually("all is counted", || {
        watched.value(&sent) == f64::from(8 << 20)
    });
    assert_eq!(
        watched.value(&of("oneloop_received_bytes_total")),
        f64::from(8 << 20)
    );
    watched.server.finish();
}

#[test]
fn a_client_without_a_peer_and_a_refused_one_have_their_reasons() {
    let args = ["--mode", "proxy", "--to", "unix:/no/such/socket"];
    let watched = Watched::start(&args);
    expect_end(watched.server.connect());
    let closed = r#"oneloop_connections_closed_total{service="proxy",reason="no_peer"}"#;
    eventually("it is counted", || watched.value(closed) == 1.0);
    watched.server.drain();

    let watched = Watched::start(&["--max-conns", "1", "--when-full", "refuse"]);
    let client = watched.server.connect_echoed(1);
    expect_end(watched.server.connect());
    let metrics = watched.metrics();
    let refused = metrics
        .lines()
        .filter(|line| line.starts_with("oneloop_connections_refused_total"));
    let sum: f64 = refused
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(sum, 1.0, "{metrics}");
    drop(client);
    watched.server.drain();
}

#[test]
fn ten_thousand_connections_cost_a_loop_less_than_two_milliseconds_a_scrape() {
    raise_limit_of_files();
    let watched = Watched::start(&["--max-conns", "10000"]);
    let clients: Vec<_> = (0..10_000).map(|_| watched.server.connect()).collect();
    let open = r#"oneloop_connections_open{service="echo"}"#;
    eventually("all are served", || watched.value(open) == 10_000.0);
    let took = || watched.value(r#"oneloop_loop_scrape_seconds{loop="0"}"#);
    let best = (0..5).map(|_| took()).fold(f64::MAX, f64::min);
    let _ = writeln!(
        std::io::stderr().lock(),
        "a scrape takes {:.3} ms of loop time with {} connections",
        best * 1e3,
        clients.len()
    );
    // A debug build on a busy machine; a release build needs a fraction.
    assert!(best < 0.02, "{best} s");
}

#[test]
fn openmetrics_is_for_clients_that_accept_it() {
    let watched = Watched::start(&[]);
    let accept = "Accept: application/openmetrics-text; version=1.0.0\r\n";
    let (status, text) = watched.ask("/metrics", accept);
    assert!(status == 200 && text.ends_with("# EOF\n"), "{text}");
    assert!(!watched.metrics().contains("# EOF"));
    watched.server.finish();
}

#[test]
fn a_server_that_drains_is_alive_and_not_ready() {
    let mut watched = Watched::start(&["--drain", "20s"]);
    let client = watched.server.connect();
    harness::client::fill(&watched.server, &client); // it does not read, so the drain waits for it
    assert_eq!(watched.ask("/readyz", ""), (200, "accepting\n".to_owned()));
    let (status, said) = watched.ask("/healthz", "");
    assert_eq!((status, said.as_str()), (200, "the loop turns\n"));
    watched.server.signal(Signal::TERM);
    watched.server.stderr.wait_for("draining");
    eventually("it is not ready", || watched.ask("/readyz", "").0 == 503);
    assert_eq!(
        watched.ask("/readyz", "").1,
        "draining: accepting no more\n"
    );
    assert_eq!(watched.ask("/healthz", "").0, 200);
    assert_eq!(watched.value("oneloop_draining"), 1.0);
    drop(client);
    watched.server.expect_exit(0);
}

#[test]
fn a_stuck_loop_is_found_and_the_rest_is_still_measured() {
    if !can_trace() {
        return;
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    // The first echo blocks its loop for five seconds; the admin thread sends by another call.
    let inject = "sendto:delay_enter=5000000:when=1";
    let args = [
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--style",
        "async",
    ];
    let command = command::main_traced(log.path(), "sendto", inject, &args);
    let mut server = Server::run(command);
    let line = server.stderr.wait_for("for operators: http://");
    let admin = line.rsplit_once("http://").unwrap().1.to_owned();
    server.stderr.wait_for("serving");
    let watched = Watched { server, admin };
    let mut client = watched.server.connect();
    client.write_all(b"stuck").unwrap();
    eventually("the loop is stuck", || watched.ask("/healthz", "").0 == 503);
    let (_, said) = watched.ask("/healthz", "");
    assert!(
        said.starts_with("loop 0 is stuck: it has not turned for "),
        "{said}"
    );
    let metrics = watched.metrics();
    assert_eq!(
        value(&metrics, r#"oneloop_loop_up{loop="0"}"#),
        0.0,
        "{metrics}"
    );
    assert_eq!(
        value(&metrics, r#"oneloop_connections_open{service="echo"}"#),
        1.0
    );
    expect_bytes(&client, b"stuck");
    eventually("it turns again", || watched.ask("/healthz", "").0 == 200);
    leave(client);
    watched.server.drain();
}

#[test]
fn a_token_is_asked_for_and_a_unix_socket_needs_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin");
    let admin = format!("unix:{}", path.display());
    let mut server = Server::start(&["--admin", &admin]);
    server.stderr.wait_for("serving");
    let (status, _) = ask(UnixStream::connect(&path).unwrap(), "/readyz", "");
    assert_eq!(status, 200);
    server.finish();
    assert!(!path.exists(), "the server removes its socket");

    let watched = Watched::start(&["--admin-token", "a-secret"]);
    assert_eq!(watched.ask("/metrics", "").0, 401);
    let bearer = "Authorization: Bearer a-secret\r\n";
    assert_eq!(watched.ask("/metrics", bearer).0, 200);
    watched.server.finish();
}

#[test]
fn wrong_options_of_operators_are_refused() {
    expect_refused(&["--admin", "0.0.0.0:0"], "--admin-token");
    expect_refused(
        &["--admin-token", "x"],
        "--admin-token has no effect without --admin",
    );
    expect_refused(
        &["--access-log-format", "json"],
        "--access-log-format has no effect without --access-log",
    );
    expect_refused(
        &["--access-log", "/no/such/dir/log"],
        "cannot open '/no/such/dir/log'",
    );
    expect_refused(&["--access-log", "/"], "cannot open '/'");
}

/// The folder of a part of `packaging/`.
fn packaging(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../packaging")
        .join(part)
}

/// False, after a line that says so, where there is no promtool.
fn has_promtool() -> bool {
    let has = Command::new("promtool").arg("--version").output().is_ok();
    if !has {
        skip("there is no promtool here (Debian's package is prometheus)");
    }
    has
}

#[track_caller]
fn promtool(args: &[&str], input: &str) {
    let mut promtool = Command::new("promtool")
        .args(args)
        .current_dir(packaging("prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
}

#[test]
fn promtool_accepts_the_metrics_and_the_alert_rules() {
    if !has_promtool() {
        return;
    }
    let watched = Watched::start(&["--threads", "2"]);
    drop(watched.server.connect_echoed(1));
    promtool(&["check", "metrics"], &watched.metrics());
    promtool(&["check", "rules", "oneloop.rules.yml"], "");
    promtool(&["test", "rules", "oneloop.rules.test.yml"], "");
    watched.server.finish();
}

/// Words that may name a metric: those of ours, and those of every process.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| word.starts_with("oneloop_") || word.starts_with("process_");
    words.filter(is_metric).map(str::to_owned).collect()
}

#[test]
fn each_metric_of_the_dashboard_and_the_alerts_exists() {
    let watched = Watched::start(&[]);
    let metrics = watched.metrics();
    let defined: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for file in ["grafana/oneloop.json", "prometheus/oneloop.rules.yml"] {
        let text = std::fs::read_to_string(packaging(file)).unwrap();
        let used = metrics_in(&text);
        assert!(used.len() > 10, "{used:?}");
        for name in used {
            assert!(
                defined.contains(name.as_str()),
                "{file} has {name}:\n{metrics}"
            );
        }
    }
    let dashboard = std::fs::read_to_string(packaging("grafana/oneloop.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
    watched.server.finish();
}

#[test]
fn the_access_log_has_a_line_for_each_connection_that_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let args = [
        "--access-log",
        path.to_str().unwrap(),
        "--idle-timeout",
        "200ms",
    ];
    for format in ["text", "json"] {
        let server = Server::start(&[&args[..], &["--access-log-format", format]].concat());
        let clients = server.connect_echoed(2);
        let peers: Vec<_> = clients
            .iter()
            .map(|client| client.local_addr().unwrap())
            .collect();
        let [first, idle] = clients.try_into().unwrap();
        leave(first);
        expect_end(&idle);
        server.drain();
        let log = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(log.lines().count(), 2, "{log}");
        for (peer, reason) in peers.iter().zip(["closed", "idle_timeout"]) {
            let mut lines = log.lines();
            let line = lines
                .find(|line| line.contains(&peer.to_string()))
                .expect("a line");
            if format == "json" {
                let line: Value = serde_json::from_str(line).unwrap();
                assert_eq!(
                    (&line["received"], &line["sent"]),
                    (&5.into(), &5.into()),
                    "{line}"
                );
                assert_eq!(
                    (&line["mode"], &line["reason"]),
                    (&"echo".into(), &reason.into())
                );
            } else {
                let said =
                    format!("peer={peer} service=echo mode=echo received=5 sent=5 seconds=0.");
                assert!(line.contains(&said), "{line}");
                assert!(line.ends_with(&format!(" reason={reason}")), "{line}");
            }
        }
    }
}

#[test]
fn the_access_log_may_be_standard_output_and_has_those_that_a_drain_cuts_off() {
    let args = [
        "--access-log",
        "-",
        "--drain",
        "1ms",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut child = command::main(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let addr = first
        .strip_prefix("listening on ")
        .unwrap()
        .parse()
        .unwrap();
    let client = harness::client::connect(addr);
    echo(&client, b"hello");
    client.set_nonblocking(true).unwrap();
    // What the server cannot send keeps its drain waiting.
    while (&client).write(&[0; 65536]).is_ok() {}
    std::thread::sleep(std::time::Duration::from_millis(50));
    while (&client).write(&[0; 65536]).is_ok() {}
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    child.wait().unwrap();
    assert_eq!(rest.len(), 1, "{rest:#?}");
    let peer = format!(" peer={} ", client.local_addr().unwrap());
    assert!(
        rest[0].contains(&peer) && rest[0].ends_with(" reason=cut_off"),
        "{rest:#?}"
    );
}

#[test]
fn the_file_of_an_admin_socket_belongs_to_its_user() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin");
    let admin = format!("unix:{}", path.display());
    let mut server = Server::start(&["--admin", &admin]);
    server.stderr.wait_for("for operators: ");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    server.finish();
}
