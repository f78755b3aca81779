//! A kernel without `EPOLLEXCLUSIVE`, such as gVisor's: strace takes the flag's place.

use crate::harness::{accept_now, connect_unix, pair, unix_name};
use std::env;
use std::process::Command;

const PROGRAM: &str = "no_exclusive::both_loops_serve_what_comes_to_one_backlog";

/// A program for strace, and a test: the kernel has the flag.
#[test]
fn both_loops_serve_what_comes_to_one_backlog() {
    let [(mut first, one), (mut second, two)] = pair();
    let name = unix_name("exclusive");
    let (here, there) = (one.listen(&name).unwrap(), two.listen(&name).unwrap());
    for (event_loop, listener) in [(&mut first, &here), (&mut second, &there)] {
        let clients = connect_unix(&name, 1);
        // Its epoll reports the connection: nothing else wakes it.
        event_loop.block_on(async { drop(listener.accept().await.unwrap().unwrap()) });
        drop(clients);
    }
    let clients = connect_unix(&name, 40);
    let (kept, _) = accept_now(&mut first, &here);
    let (handed, _) = accept_now(&mut second, &there);
    assert_eq!(kept.len() + handed.len(), clients.len());
}

/// Runs the program above under strace; returns its calls of epoll_ctl(2). `None`, with a printed
/// line, where strace cannot.
fn calls(inject: &str) -> Option<Vec<String>> {
    let log = env::temp_dir().join(format!("oneloop-exclusive-{}", std::process::id()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=epoll_ctl"]);
    if !inject.is_empty() {
        strace.args(["-e", &format!("inject=epoll_ctl:{inject}")]);
    }
    strace.arg("-o").arg(&log).arg(env::current_exe().unwrap());
    let output = strace.args(["--exact", PROGRAM]).output();
    let calls = match output {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("1 passed") => {
            let text = std::fs::read_to_string(&log).unwrap();
            Some(text.lines().map(str::to_owned).collect())
        }
        Ok(output) if !inject.is_empty() => panic!("{output:?}"),
        other => {
            println!("skipped: no strace here, or it may not trace: {other:?}");
            None
        }
    };
    let _ = std::fs::remove_file(&log);
    calls
}

#[test]
fn a_kernel_without_the_flag_wakes_all_loops_and_no_connection_is_lost() {
    let is_exclusive = |call: &String| call.contains("EPOLLEXCLUSIVE");
    let Some(all) = calls("") else { return };
    // strace counts the calls of each thread by itself; all of these are in one.
    let thread = |call: &str| call.split(' ').next().unwrap().to_owned();
    let own = thread(all.iter().find(|call| is_exclusive(call)).unwrap());
    let all: Vec<_> = all.into_iter().filter(|call| thread(call) == own).collect();
    let first = all.iter().position(is_exclusive).unwrap() + 1;
    assert!(is_exclusive(&all[first]), "the second one follows: {all:?}");
    // Each of the two is refused, and followed by one without the flag.
    let Some(refused) = calls(&format!("error=EINVAL:when={first}..{}+2", first + 2)) else {
        return;
    };
    let mut tries = refused.iter().skip_while(|call| !is_exclusive(call));
    for _ in 0..2 {
        let (with, without) = (tries.next().unwrap(), tries.next().unwrap());
        assert!(is_exclusive(with) && with.contains("EINVAL"), "{with}");
        let is_added = without.contains("EPOLL_CTL_ADD") && without.ends_with(" = 0");
        assert!(is_added && !is_exclusive(without), "{without}");
    }
}
