//! may's coroutines, on one worker thread.

use ::may::coroutine::{self, JoinHandle};
use ::may::go;
use ::may::sync::mpsc::{self, Receiver, Sender};
use anyhow::anyhow;

use crate::comparators::may::use_one_thread;

super::green_jobs::green_jobs! {
    spawn: spawn,
    yield_now: coroutine::yield_now,
    sleep: coroutine::sleep,
    let_all_start: let_all_start,
    channel: mpsc::channel, // without a bound; with one value on its way that makes no difference
    send: send,
    receive: receive
}

/// Does the jobs on stdin, each in a coroutine: from there a spawn does not change threads.
pub(crate) fn serve() -> anyhow::Result<()> {
    use_one_thread();
    // may panics when it can have no more stacks: that is an answer, and no reason for a backtrace.
    std::panic::set_hook(Box::new(|_| ()));
    super::job::do_jobs(|job| {
        let done = go!(move || run(job)).join();
        done.map_err(|_| anyhow!("a coroutine panicked"))
    })
}

fn spawn(function: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    go!(function)
}

/// Not a yield: a worker looks for new coroutines only when those it has are all parked.
fn let_all_start() {
    coroutine::sleep(Duration::from_millis(1));
}

fn send(into: &Sender<u64>, value: u64) {
    let _ = into.send(value);
}

fn receive(from: &Receiver<u64>) -> Option<u64> {
    from.recv().ok()
}
