//! `--mode exec`: a program for each client. What it reads and prints is the client's; it never outlives its
//! time, and leaves no zombie.

mod harness;

use harness::client::{self, HalfClose, connect_unix, echo, hear, hear_end, hear_out, hear_reset};
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

/// Every process whose parent this is, with its state: `Z` for a zombie.
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

/// What a program says first: its number.
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
        hear(&client, b"HELLO");
        hear_end(&client);
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
    // Some pipes are kept for those who come next.
    eventually("all fds are closed again", || {
        server.open_files() <= before + 16
    });
    server.drain();
}

#[test]
fn many_bytes_go_through_a_program() {
    let server = exec(&[], &["cat"]);
    let client = server.connect();
    client::echo_pattern(&client, 50_000_000);
    drop(client);
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_program_is_told_of_its_client_as_by_tcpserver() {
    let script = "echo $PROTO $TCPLOCALIP $TCPLOCALPORT $TCPREMOTEIP $TCPREMOTEPORT";
    let server = sh(&[], script);
    let client = server.connect();
    let (local, remote) = (server.addr(), client.local_addr().unwrap());
    let told = format!(
        "TCP 127.0.0.1 {} 127.0.0.1 {}\n",
        local.port(),
        remote.port()
    );
    hear(&client, told.as_bytes());
    hear_end(&client);
    drop(client);
    server.drain();
}

#[test]
fn a_program_is_told_nothing_of_a_client_that_the_server_itself_runs_for() {
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
    hear(
        &client,
        b"PROTO TCPLOCALIP TCPLOCALPORT TCPREMOTEIP TCPREMOTEPORT ",
    );
    hear_end(&client);
    let client = UnixStream::connect(dir.path().join("exec.sock")).unwrap();
    let client = connect_unix(client);
    hear(&client, b"PROTO UNIXLOCALPATH ");
    hear_end(&client);
    server.drain();
}

/// A server that was started with its `SIGCHLD` ignored, and that raises its limit of files. A shell may
/// refuse to ignore that signal.
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
fn a_server_that_was_started_with_sigchld_ignored_knows_how_programs_end() {
    let script = "grep SigIgn /proc/self/status; exit 3";
    let Some(server) = exec_without_sigchld(&["sh", "-c", script]) else {
        return;
    };
    let mut told = String::new();
    server.connect().read_to_string(&mut told).unwrap();
    let ignored = told.split_whitespace().last().unwrap();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    assert_eq!(
        ignored & 1 << (17 - 1),
        0,
        "programs do not inherit it: {told}"
    );
    let log = server.drain();
    assert!(
        log.iter().any(|line| line.contains("exit status: 3")),
        "{log:#?}"
    );
}

#[test]
fn a_program_that_vanishes_costs_its_client_only_where_sigchld_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    fs::copy("/bin/cat", &program).unwrap();
    let Some(server) = exec_without_sigchld(&[program.to_str().unwrap()]) else {
        return;
    };
    echo(&server.connect(), b"hello");
    fs::remove_file(&program).unwrap();
    hear_end(server.connect());
    fs::write(&program, "").unwrap(); // which may not be executed
    hear_end(server.connect());
    fs::remove_file(&program).unwrap();
    fs::copy("/bin/cat", &program).unwrap();
    echo(&server.connect(), b"hello");
    server.drain();
}

#[test]
fn a_program_of_a_unix_socket_is_told_so() {
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
    hear(&client, format!("UNIX {}\n", path.display()).as_bytes());
    client::echo_pattern(&client, 3_000_000);
    drop(client);
    server.drain();
}

#[test]
fn a_program_may_open_what_the_server_could_before_it_raised_its_own_limit() {
    let args = ["--listen", "127.0.0.1:0", "--mode", "exec", "--"];
    let program = ["sh", "-c", "ulimit -Sn; ulimit -Hn"];
    let args = [&args[..], &program].concat();
    let server = Server::run(command::main_after("ulimit -Sn 500; ulimit -Hn 900", &args));
    let client = server.connect();
    hear(&client, b"500\n900\n");
    hear_end(&client);
    drop(client);
    server.drain();
}

#[test]
fn a_program_that_writes_without_reading_is_heard() {
    let server = sh(&[], "head -c 3000000 /dev/zero");
    let mut client = server.connect();
    client.write_all(&[7; 100_000]).unwrap(); // it never takes that
    let mut heard = Vec::new();
    (&client).read_to_end(&mut heard).unwrap();
    assert_eq!(heard.len(), 3_000_000);
    drop(client);
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_program_that_has_heard_enough_is_heard_out() {
    let server = exec(
        &[],
        &["sh", "-c", "head -c 10; sleep 0.2; echo '. and no more'"],
    );
    for _ in 0..10 {
        let client = server.connect();
        thread::scope(|scope| {
            scope.spawn(|| {
                // It is taken, or refused at the end.
                let _ = (&client).write_all(&[b'x'; 2_000_000]);
            });
            hear(&client, b"xxxxxxxxxx. and no more\n");
            hear_end(&client);
        });
    }
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_client_that_stays_when_its_program_has_ended_is_left() {
    let server = sh(&["--max-conns", "1"], "echo bye");
    let stays = server.connect();
    hear(&stays, b"bye\n");
    hear_end(&stays);
    let next = server.connect();
    hear(&next, b"bye\n"); // which the first one's place is for
    hear_end(&next);
    server.drain();
}

#[test]
fn what_a_program_has_left_behind_works_on_though_its_client_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("done");
    let work = format!("sleep 1.5; echo done >{}", file.display());
    let server = sh(&[], &format!("({work}) <&- >&- 2>&- & exit 3"));
    let stays = server.connect();
    hear_end(&stays);
    eventually("it has done its work", || fs::exists(&file).unwrap());
    let lines = server.drain();
    let failed = |line: &String| line.contains("its program has failed: exit status: 3");
    assert!(lines.iter().any(failed), "{lines:#?}");
}

#[test]
fn what_a_program_has_left_behind_still_hears_its_client() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard");
    // What a shell has in the background has no input of its own accord.
    let script = format!("exec 3<&0; cat <&3 >{} &", file.display());
    let server = sh(&[], &script);
    let mut client = server.connect();
    hear_end(&client);
    eventually("the program has ended", || children(&server).is_empty());
    client.write_all(b"last words").unwrap();
    drop(client);
    eventually("it has heard all", || {
        fs::read_to_string(&file).is_ok_and(|heard| heard == "last words")
    });
    server.drain();
}

#[test]
fn a_program_that_closes_its_output_still_hears_its_client() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard");
    let script = format!("echo bye; exec >&-; cat > {}", file.display());
    let server = sh(&[], &script);
    let mut client = server.connect();
    hear(&client, b"bye\n");
    hear_end(&client);
    client.write_all(b"last words").unwrap();
    drop(client);
    eventually("it has heard all", || {
        fs::read_to_string(&file).is_ok_and(|heard| heard == "last words")
    });
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_program_may_work_on_when_its_client_has_gone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("done");
    let script = format!(
        "cat >/dev/null; exec >&-; sleep 0.5; echo done > {}",
        file.display()
    );
    let server = sh(&[], &script);
    let client = server.connect();
    client.half_close();
    hear_end(&client);
    drop(client);
    eventually("it has done its work", || fs::exists(&file).unwrap());
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_program_that_fails_is_told_of() {
    let mut server = sh(&[], "echo sorry; echo it says why >&2; exit 3");
    let client = server.connect();
    hear(&client, b"sorry\n");
    hear_end(&client);
    drop(client);
    server
        .stderr
        .wait_for("its program has failed: exit status: 3");
    assert!(server.stderr.seen.iter().any(|line| line == "it says why"));
    server.drain();
}

#[test]
fn a_client_that_breaks_off_ends_its_program_and_all_that_it_has_started() {
    // The inner shell is a child of the program's, and prints its own number.
    let server = sh(&[], "sh -c 'echo $$; sleep 1000; :'; :");
    let client = server.connect();
    let inner = read_line(&client);
    assert!(is_alive(&inner));
    client::reset(client);
    nothing_is_left(&server);
    eventually("what it has started is gone, too", || !is_alive(&inner));
    server.drain();
}

#[test]
fn a_program_that_will_not_end_is_killed_after_a_grace() {
    let server = sh(&[], "trap '' TERM; echo $$; while :; do sleep 1000; done");
    let client = server.connect();
    let id = read_line(&client);
    client::reset(client);
    let start = Instant::now();
    eventually("it is killed", || !is_alive(&id));
    assert!(start.elapsed() > Duration::from_secs(1), "it had no grace");
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_program_that_prints_for_a_client_who_has_gone_is_ended() {
    let server = exec(&[], &["yes"]);
    let client = server.connect();
    hear(&client, b"y\n");
    drop(client);
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_client_that_takes_nothing_is_the_write_timeout_and_the_programs_end() {
    let mut server = exec(&["--write-timeout", "400ms"], &["yes"]);
    let client = server.connect();
    server.stderr.wait_for("--write-timeout passed");
    nothing_is_left(&server);
    hear_reset(&client); // what came is not all
    server.drain();
}

#[test]
fn silence_is_the_idle_timeout_and_the_programs_end() {
    let mut server = sh(&["--idle-timeout", "400ms"], "echo ready; sleep 1000");
    let client = server.connect();
    hear(&client, b"ready\n");
    hear_out(&client);
    server.stderr.wait_for("--idle-timeout passed");
    nothing_is_left(&server);
    server.drain();
}

#[test]
fn a_slow_client_holds_its_program_back() {
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
fn a_drain_ends_the_input_of_programs_and_hears_them_out() {
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
        hear(&client, b"last wordsand this\n");
        hear_end(&client);
        drop(client);
        server.expect_exit(0);
    }
}

#[test]
fn programs_that_do_not_end_are_ended_with_the_drain() {
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
fn a_place_is_taken_for_as_long_as_the_program_runs() {
    let args = ["--max-conns", "1", "--when-full", "refuse"];
    let server = sh(&args, "exec >&-; cat >/dev/null; sleep 0.5");
    let client = server.connect();
    client.half_close();
    hear_end(&client);
    drop(client);
    let refused = server.connect();
    hear_end(&refused);
    assert_eq!(children(&server).len(), 1);
    nothing_is_left(&server);
    eventually("there is a place again", || {
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
fn clients_for_whom_no_program_can_be_started_hear_an_end() {
    // More than there are files for; those who have one are served all the same.
    let mut server = Server::run(command::main_with_files(
        200,
        &["--listen", "127.0.0.1:0", "--mode", "exec", "--", "cat"],
    ));
    let first = server.connect();
    echo(&first, b"hello");
    server.limit_files(server.open_files() as u64 + 3);
    let second = server.connect();
    hear_end(&second);
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
fn a_reset_is_not_taken_for_an_end() {
    // What the program sees of a client who breaks off is an end, and a signal to tell it apart.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("signal");
    let script = format!(
        "trap 'echo TERM > {}; exit' TERM; echo on; while :; do sleep 1000 & wait $!; done",
        file.display()
    );
    let server = sh(&[], &script);
    let client = server.connect();
    hear(&client, b"on\n");
    client::reset(client);
    eventually("it was told", || {
        fs::read_to_string(&file).is_ok_and(|told| told == "TERM\n")
    });
    nothing_is_left(&server);
    server.drain();
}
