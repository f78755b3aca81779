//! Oneloop's green threads.

use oneloop::green::{self, Wait, run_on};
use oneloop::sync::{self, Receiver, Sender};

super::green_jobs::green_jobs! {
    spawn: green::spawn,
    yield_now: green::yield_now,
    sleep: green::sleep,
    let_all_start: green::yield_now,
    channel: one_place,
    send: send,
    receive: receive
}

/// Does the jobs on stdin, each in a green thread.
pub(crate) fn serve() -> anyhow::Result<()> {
    let mut event_loop = oneloop::EventLoop::new()?;
    super::job::do_jobs(|job| Ok(run_on(&mut event_loop, move || run(job))?))
}

fn one_place() -> (Sender<u64>, Receiver<u64>) {
    sync::channel(Some(1))
}

fn send(into: &Sender<u64>, value: u64) {
    let _ = into.send(value).wait();
}

fn receive(from: &Receiver<u64>) -> Option<u64> {
    from.receive().wait()
}
