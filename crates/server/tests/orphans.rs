//! Processes that programs of `--mode exec` leave behind: the server reaps those that become its
//! children, and does not wait for zombies that it cannot reap.

mod harness;

use harness::client::{HalfClose, expect_end, reset};
use harness::process::{children_of, processes};
use harness::server::Server;
use harness::{command, eventually, skip};
use rustix::process::{Pid, Signal, getpid, kill_process, set_child_subreaper};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

const ARGS: [&str; 4] = ["--listen", "127.0.0.1:0", "--mode", "exec"];

/// A program that leaves a process behind, which ends when the input of both ends.
const LEAVES_ONE: [&str; 4] = ["--", "sh", "-c", "exec 3<&0; cat <&3 >/dev/null & exit 3"];

/// Ten clients whose programs leave a process behind, and one whose program keeps running.
#[track_caller]
fn leave_orphans(server: &Server, id: u32) {
    let clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    eventually("each program has ended, and has left a process", || {
        let children = children_of(id);
        children.len() == 10 && children.iter().all(|(_, state)| *state != 'Z')
    });
    for mut client in &clients {
        client.write_all(b"to the process that is left").unwrap();
        client.half_close();
        expect_end(client);
    }
    eventually("all are reaped", || children_of(id).is_empty());
}

#[test]
fn a_subreaper_reaps_orphans_and_sees_how_programs_end() {
    let mut command = command::main(&[&ARGS[..], &["--threads", "2"], &LEAVES_ONE].concat());
    // SAFETY: it is one system call, prctl(2), and allocates nothing.
    unsafe { command.pre_exec(|| Ok(set_child_subreaper(Some(getpid()))?)) };
    let server = Server::run(command);
    leave_orphans(&server, server.child.id());
    let log = server.drain();
    assert!(
        log.iter().any(|line| line.contains("exit status: 3")),
        "{log:#?}"
    );
    assert!(!log.iter().any(|line| line.contains("is lost")), "{log:#?}");
}

#[test]
fn the_first_process_of_a_container_reaps_orphans() {
    let mut unshare = Command::new("unshare");
    unshare.args(["-pf", "--mount-proc", "--kill-child"]);
    let can_unshare = Command::new("unshare")
        .args(["-pf", "--mount-proc", "true"])
        .output();
    if !can_unshare.is_ok_and(|output| output.status.success()) {
        return skip("unshare(1) may make no namespace of processes here");
    }
    let main = command::main(&[&ARGS[..], &LEAVES_ONE].concat());
    unshare.arg(main.get_program()).args(main.get_args());
    for (name, value) in main.get_envs() {
        unshare.env(name, value.unwrap_or_default());
    }
    unshare.stdin(std::process::Stdio::null());
    let mut server = Server::run(unshare);
    let [(id, _)] = children_of(server.child.id())[..] else {
        panic!("unshare(1) has not one child");
    };
    leave_orphans(&server, id);
    kill_process(Pid::from_raw(id as i32).unwrap(), Signal::TERM).unwrap();
    server.expect_exit(0);
}

#[test]
fn a_zombie_is_not_waited_for() {
    // Orphans become children of this process then, and stay zombies.
    set_child_subreaper(Some(getpid())).unwrap();
    let script = "sleep 60 & echo $!; exec sleep 60";
    let args = [&ARGS[..], &["--max-conns", "1", "--", "sh", "-c", script]].concat();
    let server = Server::run(command::main(&args));
    let process_id = |mut client: &TcpStream| {
        let mut id = String::new();
        BufReader::new(&mut client).read_line(&mut id).unwrap();
        id.trim().parse::<u32>().unwrap()
    };
    let client = server.connect();
    let id = process_id(&client);
    let began = Instant::now();
    reset(client);
    let next = server.connect(); // it gets the permit of the first one
    process_id(&next);
    let took = began.elapsed();
    assert!(
        processes().contains(&(id, 'Z', std::process::id())),
        "the process that was left is a zombie of ours"
    );
    assert!(took < Duration::from_millis(1500), "it took {took:?}");
    reset(next);
    server.drain();
}
