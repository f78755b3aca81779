//! `--mode exec`: a program for each client. It reads what the client sends and the client gets
//! what it prints; it never outlives its time, and leaves no zombie.

mod harness;

use harness::client::{
    self, HalfClose, connect_unix, echo, expect_bytes, expect_end, expect_reset, read_until_closed,
};
use harness::process::{Process, children_of};
use harness::server::Server;
use harness::{command, eventually, skip};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

fn exec(args: &[&str], program: &[&str]) -> Server {
    Server::start(&[&["--mode", "exec"], args, &["--"], program].concat())
}

fn sh(args: &[&str], script: &str) -> Server {
    exec(args, &["sh", "-c", script])
}

/// The children of a process, each with its state: `Z` for a zombie.
fn children(parent: &Process) -> Vec<(u32, char)> {
    children_of(parent.child.id())
}

#[track_caller]
fn nothing_is_left(server: &Server) {
    eventually("all children are gone", || children(server).is_empty());
}

fn is_alive(id: &str) -> bool {
    fs::exists(format!("/proc/{id}")).unwrap()
}

/// The process ID that a program prints first.
#[track_caller]
fn read_line(client: &TcpStream) -> String {
    let mut line = String::new();
    BufReader::new(client).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn a_program_answers_its_client() {
    let server = exec(&[], &["tr", "a-z", "A-Z"]);
    for _ in 0..5 {
        let mut client = server.connect();
        client.write_all(b"hello").unwrap();
        client.half_close();
        expect_bytes(&client, b"HELLO");
        expect_end(&client);
    }
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_thousand_clients_of_cat_get_every_byte_back() {
    harness::raise_limit_of_files();
    let server = exec(&["--idle-timeout", "5m"], &["cat"]);
    let before = server.open_files();
    let clients: Vec<_> = (0..1000).map(|_| server.connect()).collect();
    clients.iter().for_each(|client| echo(client, b"started"));
    assert_eq!(children(&server).len(), 1000);
    client::echo_many(clients, 50_000);
    nothing_is_left(&server);
    // The loop keeps some pipes for later clients.
    eventually("all fds are closed again", || {
        server.open_files() <= before + 16
    });
    server.drain();
}

#[test]
fn many_bytes_pass_through_a_program() {
    let server = exec(&[], &["cat"]);
    let client = server.connect();
    client::echo_pattern(&client, 50_000_000);
    drop(client);
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_program_gets_the_variables_of_tcpserver() {
    let script = "echo $PROTO $TCPLOCALIP $TCPLOCALPORT $TCPREMOTEIP $TCPREMOTEPORT";
    let server = sh(&[], script);
    let client = server.connect();
    let (local, remote) = (server.addr(), client.local_addr().unwrap());
    let described = format!(
        "TCP 127.0.0.1 {} 127.0.0.1 {}\n",
        local.port(),
        remote.port()
    );
    expect_bytes(&client, described.as_bytes());
    expect_end(&client);
    drop(client);
    server.drain();
}

#[test]
fn a_program_does_not_inherit_the_variables_of_the_servers_own_client() {
    let script = "env | grep -e ^PROTO -e ^TCP -e ^UNIX | cut -d= -f1 | sort | tr '\\n' ' '";
    let inherited = [
        "PROTO",
        "TCPREMOTEHOST",
        "TCPREMOTEINFO",
        "TCPLOCALHOST",
        "TCPREMOTEIP",
        "TCP6REMOTEIP",
        "TCPX",
        "UNIXLOCALPATH",
        "UNIXREMOTEEUID",
    ];
    let dir = tempfile::tempdir().unwrap();
    let unix = format!("unix:{}", dir.path().join("exec.sock").display());
    let args = [
        "--mode",
        "exec",
        "--listen",
        "127.0.0.1:0",
        "--listen",
        &unix,
    ];
    let mut command = command::main(&[&args[..], &["--", "sh", "-c", script]].concat());
    command.envs(inherited.map(|name| (name, "inherited")));
    command.env("MYTCP", "kept");
    let server = Server::run(command);
    let client = server.connect();
    expect_bytes(
        &client,
        b"PROTO TCPLOCALIP TCPLOCALPORT TCPREMOTEIP TCPREMOTEPORT ",
    );
    expect_end(&client);
    let client = UnixStream::connect(dir.path().join("exec.sock")).unwrap();
    let client = connect_unix(client);
    expect_bytes(&client, b"PROTO UNIXLOCALPATH ");
    expect_end(&client);
    server.drain();
}

/// A server that was started with `SIGCHLD` ignored, and that raises its limit of files. `None` if
/// the shell refuses to ignore that signal.
fn exec_without_sigchld(program: &[&str]) -> Option<Server> {
    let ignoring = "env --ignore-signal=CHLD";
    let can_ignore = Command::new("sh")
        .args(["-c", &format!("{ignoring} true")])
        .output();
    if !can_ignore.is_ok_and(|output| output.status.success()) {
        skip("this env(1) cannot ignore signals");
        return None;
    }
    let args = [
        &["--listen", "127.0.0.1:0", "--mode", "exec", "--"],
        program,
    ]
    .concat();
    let script = format!("ulimit -Sn 200; exec {ignoring} \"$0\" \"$@\"");
    Some(Server::run(command::main_after(&script, &args)))
}

#[test]
fn a_server_that_was_started_with_sigchld_ignored_sees_how_programs_end() {
    let script = "grep SigIgn /proc/self/status; exit 3";
    let Some(server) = exec_without_sigchld(&["sh", "-c", script]) else {
        return;
    };
    let mut output = String::new();
    server.connect().read_to_string(&mut output).unwrap();
    let ignored = output.split_whitespace().last().unwrap();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    assert_eq!(
        ignored & 1 << (17 - 1),
        0,
        "programs do not inherit it: {output}"
    );
    let log = server.drain();
    assert!(
        log.iter().any(|line| line.contains("exit status: 3")),
        "{log:#?}"
    );
}

#[test]
fn a_program_that_cannot_be_started_closes_only_its_own_client() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    fs::copy("/bin/cat", &program).unwrap();
    let Some(server) = exec_without_sigchld(&[program.to_str().unwrap()]) else {
        return;
    };
    echo(&server.connect(), b"hello");
    fs::remove_file(&program).unwrap();
    expect_end(server.connect());
    fs::write(&program, "").unwrap(); // a file that may not be executed
    expect_end(server.connect());
    fs::remove_file(&program).unwrap();
    fs::copy("/bin/cat", &program).unwrap();
    echo(&server.connect(), b"hello");
    server.drain();
}

#[test]
fn a_program_of_a_unix_client_gets_the_path_of_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("exec.sock");
    let listen = format!("unix:{}", path.display());
    let script = "echo $PROTO $UNIXLOCALPATH $TCPREMOTEIP; cat";
    let args = [
        "--listen", &listen, "--mode", "exec", "--", "sh", "-c", script,
    ];
    let mut command = command::main(&args);
    command.env("TCPREMOTEIP", "from the server's own client");
    let server = Server::run(command);
    let client = connect_unix(UnixStream::connect(&path).unwrap());
    expect_bytes(&client, format!("UNIX {}\n", path.display()).as_bytes());
    client::echo_pattern(&client, 3_000_000);
    drop(client);
    server.drain();
}

#[test]
fn a_program_has_the_limit_of_files_that_the_server_started_with() {
    let args = ["--listen", "127.0.0.1:0", "--mode", "exec", "--"];
    let program = ["sh", "-c", "ulimit -Sn; ulimit -Hn"];
    let args = [&args[..], &program].concat();
    let server = Server::run(command::main_after("ulimit -Sn 500; ulimit -Hn 900", &args));
    let client = server.connect();
    expect_bytes(&client, b"500\n900\n");
    expect_end(&client);
    drop(client);
    server.drain();
}

#[test]
fn the_output_of_a_program_that_does_not_read_reaches_its_client() {
    let server = sh(&[], "head -c 3000000 /dev/zero");
    let mut client = server.connect();
    client.write_all(&[7; 100_000]).unwrap(); // the program never reads that
    let mut received = Vec::new();
    (&client).read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), 3_000_000);
    drop(client);
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn the_output_of_a_program_that_closes_its_input_reaches_its_client() {
    let server = exec(
        &[],
        &["sh", "-c", "head -c 10; sleep 0.2; echo '. and no more'"],
    );
    for _ in 0..10 {
        let client = server.connect();
        thread::scope(|scope| {
            scope.spawn(|| {
                // The program may have closed its input by now.
                let _ = (&client).write_all(&[b'x'; 2_000_000]);
            });
            expect_bytes(&client, b"xxxxxxxxxx. and no more\n");
            expect_end(&client);
        });
    }
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_client_that_stays_after_its_program_has_ended_is_closed() {
    let server = sh(&["--max-conns", "1"], "echo bye");
    let stays = server.connect();
    expect_bytes(&stays, b"bye\n");
    expect_end(&stays);
    let next = server.connect();
    expect_bytes(&next, b"bye\n"); // it has the permit of the first one
    expect_end(&next);
    server.drain();
}

#[test]
fn a_process_that_a_program_leaves_behind_keeps_running_while_its_client_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("done");
    let work = format!("sleep 1.5; echo done >{}", file.display());
    let server = sh(&[], &format!("({work}) <&- >&- 2>&- & exit 3"));
    let stays = server.connect();
    expect_end(&stays);
    eventually("it has done its work", || fs::exists(&file).unwrap());
    let lines = server.drain();
    let failed = |line: &String| line.contains("its program has failed: exit status: 3");
    assert!(lines.iter().any(failed), "{lines:#?}");
}

#[test]
fn a_process_that_a_program_leaves_behind_still_reads_from_the_client() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("received");
    // A shell gives its background processes no input by default.
    let script = format!("exec 3<&0; cat <&3 >{} &", file.display());
    let server = sh(&[], &script);
    let mut client = server.connect();
    expect_end(&client);
    eventually("the program has ended", || children(&server).is_empty());
    client.write_all(b"last words").unwrap();
    drop(client);
    eventually("everything is received", || {
        fs::read_to_string(&file).is_ok_and(|received| received == "last words")
    });
    server.drain();
}

#[test]
fn a_program_that_closes_its_output_still_reads_from_its_client() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("received");
    let script = format!("echo bye; exec >&-; cat > {}", file.display());
    let server = sh(&[], &script);
    let mut client = server.connect();
    expect_bytes(&client, b"bye\n");
    expect_end(&client);
    client.write_all(b"last words").unwrap();
    drop(client);
    eventually("everything is received", || {
        fs::read_to_string(&file).is_ok_and(|received| received == "last words")
    });
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_program_may_keep_running_after_its_client_has_closed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("done");
    let script = format!(
        "cat >/dev/null; exec >&-; sleep 0.5; echo done > {}",
        file.display()
    );
    let server = sh(&[], &script);
    let client = server.connect();
    client.half_close();
    expect_end(&client);
    drop(client);
    eventually("it has done its work", || fs::exists(&file).unwrap());
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_program_that_fails_is_logged() {
    let mut server = sh(&[], "echo sorry; echo it says why >&2; exit 3");
    let client = server.connect();
    expect_bytes(&client, b"sorry\n");
    expect_end(&client);
    drop(client);
    server
        .stderr
        .wait_for("its program has failed: exit status: 3");
    assert!(server.stderr.seen.iter().any(|line| line == "it says why"));
    server.drain();
}

#[test]
fn a_reset_ends_the_program_and_the_processes_that_it_has_started() {
    // The inner shell is a child of the program, and prints its own process ID.
    let server = sh(&[], "sh -c 'echo $$; sleep 1000; :'; :");
    let client = server.connect();
    let inner = read_line(&client);
    assert!(is_alive(&inner));
    client::reset(client);
    nothing_is_left(&server);
    eventually("the processes that it has started have ended, too", || {
        !is_alive(&inner)
    });
    server.drain();
}

#[test]
fn a_program_that_ignores_sigterm_is_killed() {
    let server = sh(&[], "trap '' TERM; echo $$; while :; do sleep 1000; done");
    let client = server.connect();
    let id = read_line(&client);
    client::reset(client);
    let start = Instant::now();
    eventually("it is killed", || !is_alive(&id));
    assert!(
        start.elapsed() > Duration::from_secs(1),
        "it had no time to end"
    );
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_program_that_writes_to_a_closed_client_is_ended() {
    let server = exec(&[], &["yes"]);
    let client = server.connect();
    expect_bytes(&client, b"y\n");
    drop(client);
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_client_that_takes_nothing_runs_into_the_write_timeout_and_its_program_ends() {
    let mut server = exec(&["--write-timeout", "400ms"], &["yes"]);
    let client = server.connect();
    server.stderr.wait_for("--write-timeout passed");
    nothing_is_left(&server);
    expect_reset(&client); // the output was cut off
    server.drain();
}

#[test]
fn silence_runs_into_the_idle_timeout_and_the_program_ends() {
    let mut server = sh(&["--idle-timeout", "400ms"], "echo ready; sleep 1000");
    let client = server.connect();
    expect_bytes(&client, b"ready\n");
    read_until_closed(&client);
    server.stderr.wait_for("--idle-timeout passed");
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_slow_client_slows_its_program_down() {
    let server = exec(&[], &["cat", "/dev/zero"]);
    let client = server.connect();
    let before = server.resident_kib();
    eventually("nothing moves any more", || {
        let before = server.cpu_ticks();
        thread::sleep(Duration::from_millis(300));
        server.cpu_ticks() == before
    });
    assert!(server.resident_kib() < before + 4096);
    drop(client);
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_drain_ends_the_input_of_programs_and_delivers_their_output() {
    for threads in ["1", "2"] {
        let mut server = sh(
            &["--drain", "30s", "--threads", threads],
            "cat; sleep 0.3; echo and this",
        );
        let mut client = server.connect();
        echo(&client, b"hello");
        server.freeze();
        client.write_all(b"last words").unwrap();
        server.signal(Signal::TERM);
        server.thaw();
        expect_bytes(&client, b"last wordsand this\n");
        expect_end(&client);
        drop(client);
        server.expect_exit(0);
    }
}

#[test]
fn programs_that_do_not_end_are_killed_at_the_end_of_the_drain() {
    for threads in ["1", "2"] {
        let script = "echo $$; trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done";
        let mut server = sh(&["--drain", "300ms", "--threads", threads], script);
        let clients = [(); 5].map(|()| server.connect());
        let ids = clients.each_ref().map(read_line);
        server.signal(Signal::TERM);
        server.expect_exit(1);
        assert!(!ids.iter().any(|id| is_alive(id)), "{ids:?}");
    }
}

#[test]
fn a_second_signal_leaves_no_program_behind() {
    let mut server = sh(&["--drain", "1h"], "trap '' TERM; echo $$; sleep 1000; :");
    let client = server.connect();
    let id = read_line(&client);
    let start = Instant::now();
    server.signal(Signal::TERM);
    server.stderr.wait_for("draining");
    server.insist(Signal::TERM, start);
    server.expect_exit(143);
    eventually("it is gone", || !is_alive(&id));
}

#[test]
fn a_permit_is_held_as_long_as_the_program_runs() {
    let args = ["--max-conns", "1", "--when-full", "refuse"];
    let server = sh(&args, "exec >&-; cat >/dev/null; sleep 0.5");
    let client = server.connect();
    client.half_close();
    expect_end(&client);
    drop(client);
    let refused = server.connect();
    expect_end(&refused);
    assert_eq!(children(&server).len(), 1);
    nothing_is_left(&server);
    eventually("a permit is free again", || {
        let client = server.connect();
        client
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let _ = client.peek(&mut [0]);
        !children(&server).is_empty()
    });
    server.drain();
}

#[test]
fn clients_whose_program_cannot_be_started_are_closed() {
    // More than there are fds for; clients that have a program are served all the same.
    let mut server = Server::run(command::main_with_files(
        200,
        &["--listen", "127.0.0.1:0", "--mode", "exec", "--", "cat"],
    ));
    let first = server.connect();
    echo(&first, b"hello");
    server.limit_files(server.open_files() as u64 + 3);
    let second = server.connect();
    expect_end(&second);
    server.stderr.wait_for("there is no peer for it");
    echo(&first, b"still there");
    drop((first, second));
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn an_idle_program_costs_nothing() {
    let server = exec(&[], &["cat"]);
    let clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    clients.iter().for_each(|client| echo(client, b"hello"));
    server.expect_rest();
    drop(clients);
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn wrong_command_lines_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let no_program = dir.path().join("text");
    fs::write(&no_program, "no program").unwrap();
    let no_program = no_program.to_str().unwrap();
    for (args, said) in [
        (&["--mode", "exec"][..], "--mode exec needs a program"),
        (&["--", "cat"], "a program (cat) is for --mode exec"),
        (
            &["--mode", "exec", "--", "no-such-program"],
            "no such program in PATH",
        ),
        (
            &["--mode", "exec", "--", "/no/such/program"],
            "there is no such file",
        ),
        (
            &["--mode", "exec", "--", no_program],
            "it may not be executed",
        ),
        (&["--mode", "exec", "--", "/tmp"], "it may not be executed"),
    ] {
        command::expect_refused(args, said);
    }
}

#[test]
fn a_program_can_distinguish_a_reset_from_an_end() {
    // A program whose client resets reads an end of file, and gets a signal that distinguishes it.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("signal");
    let script = format!(
        "trap 'echo TERM > {}; exit' TERM; echo on; while :; do sleep 1000 & wait $!; done",
        file.display()
    );
    let server = sh(&[], &script);
    let client = server.connect();
    expect_bytes(&client, b"on\n");
    client::reset(client);
    eventually("it got the signal", || {
        fs::read_to_string(&file).is_ok_and(|signal| signal == "TERM\n")
    });
    nothing_is_left(&server);
    server.drain();
}
