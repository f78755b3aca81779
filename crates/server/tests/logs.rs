//! What the server logs on stderr.

mod harness;

use harness::client::{echo, expect_end, fill};
use harness::command;
use harness::eventually;
use harness::process::Process;
use harness::server::Server;
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

const PHASES: [&str; 7] = [
    "pending", "idle", "prepare", "poll", "check", "closing", "timers",
];

#[test]
fn text_lines_have_a_time_a_level_and_a_target() {
    let server = Server::start(&["--log-level", "debug", "--trace"]);
    server.still_echoes();
    for line in server.drain() {
        let mut words = line.split_whitespace();
        let (time, level, target) = (words.next(), words.next(), words.next());
        assert!(
            time.is_some_and(|time| time.contains('T') && time.ends_with('Z')),
            "{line}"
        );
        assert!(
            level.is_some_and(|level| ["INFO", "DEBUG"].contains(&level)),
            "{line}"
        );
        assert!(target.is_some_and(|target| target.ends_with(':')), "{line}");
        assert!(!line.contains('\x1b'), "colors in a pipe: {line}");
    }
}

#[test]
fn only_what_is_left_of_clients_is_reported_when_the_loops_end() {
    let left = |log: &[String]| {
        let lines = log
            .iter()
            .filter(|line| line.contains("left when its loop ended"));
        lines.cloned().collect::<Vec<_>>()
    };
    let server = Server::start(&["--log-level", "debug", "--threads", "2"]);
    server.still_echoes();
    let log = server.drain();
    assert!(left(&log).is_empty(), "{log:#?}");

    let mut server = Server::start(&["--log-level", "debug", "--drain", "1ms"]);
    let client = server.connect_echoed(1);
    fill(&server, &client[0]); // it does not read, so the drain waits for its answers
    server.signal(Signal::TERM);
    server.expect_exit(1);
    let log = std::mem::take(&mut server.stderr.seen);
    let left = left(&log);
    // In the callback style, a client is a socket and no task.
    let has_tasks = std::env::var("ONELOOP_TEST_STYLE").as_deref() != Ok("callback");
    assert_eq!(left.len(), usize::from(has_tasks), "{log:#?}");
    let is_of_server = |line: &String| line.contains("spawned at crates/server/src/");
    assert!(left.iter().all(is_of_server), "{left:?}");
}

#[test]
fn json_lines_are_objects() {
    let server = Server::start(&["--log", "json", "--log-level", "trace", "--trace"]);
    server.still_echoes();
    let log = server.drain();
    assert!(log.len() > 10);
    for line in log {
        let object: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(
            object["level"].is_string() && object["target"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn the_log_level_limits_what_is_logged() {
    let server = Server::start(&["--log-level", "error"]);
    server.still_echoes();
    assert_eq!(server.drain(), [""; 0]);
}

#[test]
fn a_backlog_that_the_kernel_reduces_is_logged() {
    let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let somaxconn: u32 = somaxconn.trim().parse().unwrap();
    let mut server = Server::start(&["--backlog", &(somaxconn + 1).to_string()]);
    let line = server.stderr.wait_for("--backlog");
    assert!(
        line.contains("WARN") && line.contains("somaxconn"),
        "{line}"
    );
    server.finish();
    let server = Server::start(&["--backlog", &somaxconn.to_string()]);
    server.still_echoes();
    let log = server.drain();
    assert!(!log.iter().any(|line| line.contains("WARN")), "{log:#?}");
}

#[test]
fn more_connections_than_fds_are_logged() {
    let mut server = Server::start(&["--max-conns", "4000000000"]);
    let line = server.stderr.wait_for("--max-conns");
    assert!(line.contains("WARN") && line.contains("allowed="), "{line}");
    server.finish();
    let server = Server::start(&["--max-conns", "10"]);
    server.still_echoes();
    let log = server.drain();
    assert!(!log.iter().any(|line| line.contains("WARN")), "{log:#?}");
}

#[test]
fn the_soft_limit_of_files_is_raised() {
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c",
        "ulimit -Sn 20; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_oneloop"),
    ]);
    command.args(["--listen", "127.0.0.1:0"]);
    let server = Server::run(command);
    drop(server.connect_echoed(50));
    server.finish();
}

/// The lines of a trace by turn: the phase of each, and what it did.
fn turns(log: &[String]) -> BTreeMap<u64, Vec<(String, String)>> {
    let mut turns = BTreeMap::<_, Vec<_>>::new();
    for line in log
        .iter()
        .filter_map(|line| Some(line.split_once(" turn: turn ")?.1))
    {
        let mut words = line.splitn(3, ' ');
        let turn = words.next().unwrap().parse().unwrap();
        let phase = words.next().unwrap().to_owned();
        turns
            .entry(turn)
            .or_default()
            .push((phase, words.next().unwrap().trim().to_owned()));
    }
    turns
}

#[test]
fn a_traced_turn_has_one_line_per_phase() {
    let server = Server::start(&["--trace"]);
    let client = server.connect();
    echo(&client, b"first");
    echo(&client, b"second");
    echo(&client, b"third");
    drop(client);
    let turns = turns(&server.drain());
    for lines in turns.range(1..).map(|(_, lines)| lines) {
        let phases: Vec<_> = lines.iter().map(|(phase, _)| phase.as_str()).collect();
        assert_eq!(phases, PHASES[..phases.len()], "{lines:#?}");
    }
    let whole = turns.values().filter(|lines| lines.len() == PHASES.len());
    let woken = |text: &str| {
        text.contains("slept") && text.contains("woke 1 (fd ") && text.contains("; ran 1 (task ")
    };
    let polls = whole.map(|lines| &lines[3].1).filter(|text| woken(text));
    assert!(polls.count() >= 2, "the turns of our bytes: {turns:#?}");
}

/// A line of the trace without what differs from run to run: numbers, and units of time.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        shape += &rest[..start];
        shape.push('#');
        rest = rest[start..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let unit = ["ns", "µs", "ms", "s"]
            .into_iter()
            .find(|unit| rest.starts_with(unit));
        rest = &rest[unit.map_or(0, str::len)..];
    }
    shape + rest
}

#[test]
fn the_guide_shows_a_turn_as_this_server_traces_it() {
    let server = Server::start(&["--trace", "--style", "async"]);
    let client = server.connect();
    echo(&client, b"first");
    echo(&client, b"hello");
    drop(client);
    let log = server.drain();
    let traced: Vec<_> = log
        .iter()
        .filter_map(|line| line.split_once("INFO turn: "))
        .collect();
    let traced: Vec<_> = traced.iter().map(|(_, line)| shape(line)).collect();

    let page = include_str!("../../../docs/guide/src/event-loop.md");
    let (_, shown) = page
        .split_once("crates/server/tests/logs.rs -->\n```text\n")
        .unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let shown: Vec<_> = shown.lines().map(shape).collect();
    assert_eq!(shown.len(), PHASES.len());
    let is_shown = traced.windows(shown.len()).any(|turn| turn == shown);
    assert!(is_shown, "{shown:#?} in {traced:#?}");
}

#[test]
fn a_server_whose_stderr_is_closed_keeps_serving() {
    let args = ["--listen", "127.0.0.1:0", "--trace", "--log-level", "debug"];
    let full = command::main_after("exec 2>/dev/full", &args);
    for process in [
        Process::start_unheard(command::main(&args)),
        Process::start(full),
    ] {
        let server = Server::from_process(process);
        drop(server.connect_echoed(10));
        server.finish();
    }
}

#[test]
fn a_full_stderr_does_not_block_the_server() {
    let args = ["--listen", "127.0.0.1:0", "--trace", "--log-level", "debug"];
    let (process, _unread) = Process::start_ignored(command::main(&args));
    let server = Server::from_process(process);
    for _ in 0..20 {
        drop(server.connect_echoed(100));
    }
    server.finish();
}

#[test]
fn a_server_whose_stdout_is_closed_keeps_serving() {
    for stdout in [">&-", ">/dev/full"] {
        let directory = tempfile::tempdir().unwrap();
        let listen = format!("unix:{}/socket", directory.path().display());
        let args = ["--listen", &listen];
        let mut process = Process::start(command::main_after(&format!("exec {stdout}"), &args));
        process.stderr.wait_for("serving");
        let stream = std::os::unix::net::UnixStream::connect(&listen["unix:".len()..]).unwrap();
        echo(harness::client::connect_unix(stream), b"a fresh client");
        process.signal(Signal::TERM);
        assert_eq!(process.wait().code(), Some(0), "{stdout}");
    }
}

/// The number behind this text in a line.
fn number_behind(line: &str, text: &str) -> usize {
    let (_, rest) = line
        .split_once(text)
        .unwrap_or_else(|| panic!("no {text:?} in {line}"));
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits.unwrap().parse().unwrap()
}

/// What a server logs after SIGUSR1.
struct Answer {
    summary: String,
    clients: Vec<String>,
    tasks: Vec<String>,
}

/// Requests a report of all clients and tasks, from this many loops.
#[track_caller]
fn ask(server: &mut Server, loops: usize) -> Answer {
    server.signal(Signal::USR1);
    let summary = server.stderr.wait_for(" tasks: ");
    assert!(
        summary.contains(" the server "),
        "it is the first: {summary}"
    );
    let (mut answers, mut tasks_expected, mut clients_expected) = (0, 0, 0);
    let (mut tasks, mut clients) = (Vec::new(), Vec::new());
    while answers < loops || tasks.len() < tasks_expected || clients.len() < clients_expected {
        let line = server.stderr.wait_for(" tasks: ");
        if line.contains("all clients and tasks of this loop follow") {
            answers += 1;
            tasks_expected += number_behind(&line, " tasks=");
            clients_expected += number_behind(&line, " clients=");
        } else if line.contains(" tasks: client ") {
            clients.push(line);
        } else {
            tasks.push(line);
        }
    }
    let spawned = |line: &String| line.contains("; spawned at crates/");
    assert!(tasks.iter().all(spawned), "{tasks:#?}");
    Answer {
        summary,
        clients,
        tasks,
    }
}

/// Requests a report; returns the lines of all tasks.
#[track_caller]
fn ask_for_tasks(server: &mut Server, loops: usize) -> Vec<String> {
    ask(server, loops).tasks
}

/// The line of the client at this address.
#[track_caller]
fn said_of<'a>(answer: &'a Answer, addr: &str) -> &'a str {
    let mut lines = answer.clients.iter();
    let line = lines.find(|line| line.contains(&format!(" {addr}: ")));
    line.unwrap_or_else(|| panic!("no {addr} in {:#?}", answer.clients))
}

#[test]
fn sigusr1_first_logs_the_server_as_a_whole() {
    for (threads, loops) in [("1", 1), ("2", 2)] {
        let args = [
            "--threads",
            threads,
            "--max-conns",
            "3",
            "--when-full",
            "refuse",
        ];
        let mut server = Server::start(&args);
        let clients = server.connect_echoed(3);
        expect_end(server.connect());
        let summary = ask(&mut server, loops).summary;
        let addr = server.addr();
        let style = std::env::var("ONELOOP_TEST_STYLE").unwrap_or_else(|_| "async".to_owned());
        for said in [
            "connections=3 accepted=3 refused=1 shed=0 queued=0 uptime=",
            &format!("mode=echo style={style} loops={loops} threads={threads}"),
            &format!("listeners=\"{addr}\""),
        ] {
            assert!(summary.contains(said), "no {said:?} in {summary}");
        }
        drop(clients);
        server.drain();
    }
}

#[test]
fn sigusr1_logs_the_address_bytes_and_age_of_each_client() {
    for threads in ["1", "2"] {
        let mut server = Server::start(&["--threads", threads]);
        let clients = server.connect_echoed(3);
        echo(&clients[0], b"five more");
        for _ in 0..2 {
            let answer = ask(&mut server, threads.parse().unwrap());
            assert_eq!(answer.clients.len(), 3, "{:#?}", answer.clients);
            for (client, bytes) in clients.iter().zip([14, 5, 5]) {
                let addr = client.local_addr().unwrap().to_string();
                let said = said_of(&answer, &addr);
                let expected = format!("{bytes} bytes in, {bytes} out, 0 queued, connected for ");
                assert!(said.contains(&expected), "{said}");
                assert!(said.ends_with(" s, waits for input"), "{said}");
            }
        }
        drop(clients);
        server.finish();
    }
}

#[test]
fn sigusr1_logs_clients_on_unix_sockets() {
    let directory = tempfile::tempdir().unwrap();
    let listen = format!("unix:{}/socket", directory.path().display());
    let mut server = Server::run(command::main(&["--listen", &listen]));
    let stream = std::os::unix::net::UnixStream::connect(&listen["unix:".len()..]).unwrap();
    let stream = harness::client::connect_unix(stream);
    echo(&stream, b"hello");
    let answer = ask(&mut server, 1);
    let said = &answer.clients[0];
    assert!(said.contains("5 bytes in, 5 out, 0 queued"), "{said}");
    drop(stream);
    server.drain();
}

#[test]
fn sigusr1_logs_what_is_queued_for_a_client() {
    let mut server = Server::start(&[]);
    let blocked = server.connect();
    fill(&server, &blocked);
    let answer = ask(&mut server, 1);
    let said = said_of(&answer, &blocked.local_addr().unwrap().to_string());
    let (_, out) = said.split_once(" out, ").unwrap();
    let queued: usize = out.split(' ').next().unwrap().parse().unwrap();
    assert!(
        queued > 0 && said.ends_with("waits for the client to take output"),
        "{said}"
    );
    assert_eq!(number_behind(&answer.summary, " queued="), queued);
    drop(blocked);
    server.finish();
}

#[test]
fn sigusr1_logs_clients_of_upstreams_and_of_programs() {
    let upstream = Server::start(&[]);
    let to = upstream.addr().to_string();
    for args in [
        &["--mode", "proxy", "--to", &to][..],
        &["--mode", "exec", "--", "cat"],
    ] {
        let mut server = Server::start(args);
        let clients = server.connect_echoed(2);
        let answer = ask(&mut server, 1);
        for client in &clients {
            let said = said_of(&answer, &client.local_addr().unwrap().to_string());
            assert!(said.contains("5 bytes in, 5 out, 0 queued"), "{said}");
        }
        drop(clients);
        server.drain();
    }
    upstream.finish();
}

#[test]
fn sigusr1_logs_a_client_whose_upstream_is_not_connected_yet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("upstream");
    let upstream = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&upstream, 0).unwrap(); // a connect to a full backlog waits
    let _full = UnixStream::connect(&path).unwrap();
    let to = format!("unix:{}", path.display());
    let mut proxy = Server::start(&["--mode", "proxy", "--to", &to]);
    let before = proxy.open_files();
    let client = proxy.connect();
    let addr = client.local_addr().unwrap().to_string();
    eventually("the proxy connects", || proxy.open_files() > before + 1);
    for _ in 0..2 {
        let answer = ask(&mut proxy, 1);
        let said = said_of(&answer, &addr);
        assert!(
            said.ends_with("waits for the connection to its peer"),
            "{said}"
        );
        assert_eq!(answer.clients.len(), 1, "{:#?}", answer.clients);
    }
    let _full = upstream.accept().unwrap();
    let (server, _) = upstream.accept().unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    expect_end(&client);
    drop((client, server));
    proxy.drain();
}

#[test]
fn sigusr1_logs_a_client_whose_upstream_takes_no_input() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = upstream.local_addr().unwrap().to_string();
    let mut proxy = Server::start(&["--mode", "proxy", "--to", &to]);
    let client = proxy.connect();
    let addr = client.local_addr().unwrap().to_string();
    let (server, _) = upstream.accept().unwrap();
    client.set_nonblocking(true).unwrap();
    let mut said = String::new();
    for _ in 0..200 {
        while (&client).write(&[b'x'; 65536]).is_ok() {}
        let answer = ask(&mut proxy, 1);
        said_of(&answer, &addr).clone_into(&mut said);
        if said.ends_with("waits for the peer to take input") {
            drop((client, server));
            proxy.drain();
            return;
        }
    }
    panic!("it is blocked: {said}");
}

#[test]
fn sigusr1_logs_every_task_and_stops_nothing() {
    for (threads, loops) in [("1", 1), ("2", 2)] {
        let mut server = Server::start(&["--threads", threads, "--log-level", "error"]);
        let before = ask_for_tasks(&mut server, loops).len();
        let clients = server.connect_echoed(5);
        for _ in 0..3 {
            let tasks = ask_for_tasks(&mut server, loops);
            assert_eq!(tasks.len(), before + 5, "{tasks:#?}");
            clients
                .iter()
                .for_each(|client| echo(client, b"undisturbed"));
        }
        drop(clients);
        server.finish();
    }
}

#[test]
fn sigusr1_tells_what_each_green_thread_waits_for() {
    let mut server = Server::start(&["--style", "green"]);
    let mut clients = server.connect_echoed(2);
    let blocked = clients.remove(0);
    fill(&server, &blocked);
    blocked.shutdown(Shutdown::Write).unwrap();
    let tasks = ask_for_tasks(&mut server, 1);
    for client in ["client 1", "client 2"] {
        let waits = format!(
            "green thread '{client}' waits for InTime<Connection, poll_next> at crates/server"
        );
        assert!(tasks.iter().any(|line| line.contains(&waits)), "{tasks:#?}");
    }
    drop((clients, blocked));
    server.finish();
}

/// A proxy whose upstream refuses all connections.
fn proxy_to_nothing(args: &[&str]) -> Server {
    let proxy = ["--mode", "proxy", "--to", "unix:/no/such/socket"];
    Server::start(&[&proxy, args].concat())
}

/// Connects this many clients, one after the other, each of which gets an end.
#[track_caller]
fn fail(server: &Server, clients: usize) {
    (0..clients).for_each(|_| expect_end(server.connect()));
}

/// How many clients without a peer this line counts.
fn counted(line: &str) -> usize {
    if !line.contains("there is no peer") {
        return 0;
    }
    let more = match serde_json::from_str::<Value>(line) {
        Ok(object) => object["fields"]
            .get("more")
            .map(|more| more.as_u64().unwrap()),
        Err(_) => line
            .contains(" more=")
            .then(|| number_behind(line, " more=") as u64),
    };
    1 + usize::try_from(more.unwrap_or(0)).unwrap()
}

#[test]
fn frequent_events_get_one_line_per_second_with_a_count() {
    for args in [["--log", "text"], ["--log", "json"], ["--threads", "2"]] {
        let mut server = proxy_to_nothing(&args);
        let start = Instant::now();
        let (mut failed, mut seen, mut lines) = (0, 0, 0);
        // The first outage is logged at once, and to its end; so is the second.
        for outage in [1, 40, 1, 5] {
            fail(&server, outage);
            failed += outage;
            while seen < failed {
                let line = server.stderr.wait_for("there is no peer");
                assert!(
                    lines > 0 || counted(&line) == 1,
                    "the first has a line: {line}"
                );
                (seen, lines) = (seen + counted(&line), lines + 1);
            }
        }
        assert_eq!(seen, failed);
        let seconds = start.elapsed().as_secs_f64();
        assert!(
            f64::from(lines) <= seconds + 2.0,
            "{lines} lines in {seconds} s"
        );
        server.drain();
    }
}

#[test]
fn events_without_a_line_get_one_before_the_server_ends() {
    for threads in ["1", "2"] {
        let server = proxy_to_nothing(&["--threads", threads]);
        fail(&server, 20);
        let log = server.drain();
        assert_eq!(
            log.iter().map(|line| counted(line)).sum::<usize>(),
            20,
            "{log:#?}"
        );
    }
}
