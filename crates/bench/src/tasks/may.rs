//! may's coroutines, on one worker thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::may::coroutine::{sleep, yield_now};
use ::may::go;
use ::may::sync::mpsc;
use anyhow::anyhow;

use super::{Job, SLEEP};
use crate::comparators::may::use_one_thread;

/// Does the jobs on stdin, each in a coroutine: from there a spawn does not change threads.
pub(crate) fn serve() -> anyhow::Result<()> {
    use_one_thread();
    // may panics when it can have no more stacks: that is an answer, and no reason for a backtrace.
    std::panic::set_hook(Box::new(|_| ()));
    super::do_jobs(|job| {
        let done = go!(move || run(job)).join();
        done.map_err(|_| anyhow!("a coroutine panicked"))
    })
}

fn run(job: Job) -> Duration {
    match job {
        Job::Yield { tasks, times } => yields(tasks, times),
        Job::Spawn { times } => spawns(times),
        Job::Channel { round_trips } => channel(round_trips),
        Job::Sleep { tasks } => sleeps(tasks),
    }
}

fn yields(tasks: u64, times: u64) -> Duration {
    let task = |_| {
        go!(move || {
            for _ in 0..times {
                yield_now();
            }
        })
    };
    let tasks: Vec<_> = (0..tasks).map(task).collect();
    let start = Instant::now();
    for task in tasks {
        task.join().expect("it does not panic");
    }
    start.elapsed()
}

fn spawns(times: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        go!(|| ()).join().expect("it does not panic");
    }
    start.elapsed()
}

/// may's channels have no bound; with one value on its way that makes no difference.
fn channel(round_trips: u64) -> Duration {
    let (there, arrived) = mpsc::channel();
    let (back, returned) = mpsc::channel();
    let answering = go!(move || {
        while let Ok(value) = arrived.recv() {
            let _ = back.send(value);
        }
    });
    let start = Instant::now();
    for value in 0..round_trips {
        let _ = there.send(value);
        let _ = returned.recv();
    }
    let elapsed = start.elapsed();
    drop(there);
    answering.join().expect("it does not panic");
    elapsed
}

fn sleeps(tasks: u64) -> Duration {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    STARTED.store(0, Ordering::Relaxed);
    let start = Instant::now();
    for _ in 0..tasks {
        drop(go!(|| {
            STARTED.fetch_add(1, Ordering::Relaxed);
            sleep(SLEEP);
        }));
    }
    while STARTED.load(Ordering::Relaxed) < tasks {
        // Not a yield: a worker looks for new coroutines only when those it has are all parked.
        sleep(Duration::from_millis(1));
    }
    start.elapsed()
}
