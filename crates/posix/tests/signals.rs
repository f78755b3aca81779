//! Signals that come while listeners come and go.

use oneloop_posix::Listener;
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const SIGTERM: i32 = 15;

/// Listens and listens no more, until it hears a signal.
fn come_and_go() {
    println!("begun");
    loop {
        let eventfd = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        drop(Listener::new(SIGTERM, eventfd.try_clone().unwrap()).unwrap());
        if rustix::io::read(&eventfd, &mut [0; 8]).is_ok() {
            return;
        }
    }
}

#[test]
fn a_signal_is_heard_or_kills_while_the_only_listener_comes_and_goes() {
    if env::var_os("ONELOOP_VICTIM").is_some() {
        return come_and_go();
    }
    for _ in 0..100 {
        let mut victim = Command::new(env::current_exe().unwrap());
        victim.args(["--nocapture", "while_the_only_listener"]);
        victim.env("ONELOOP_VICTIM", "1").stdout(Stdio::piped());
        let mut victim = victim.spawn().unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        assert!(lines.any(|line| line.ends_with("begun")));
        kill_process(Pid::from_child(&victim), Signal::TERM).unwrap();
        victim.wait().unwrap(); // for ever, if the signal is lost
    }
}
