//! The jobs, for runtimes of green threads: the same text for all, with their own functions in it.

/// Defines `fn run(Job) -> Duration`, for a green thread.
macro_rules! green_jobs {
    (
        spawn: $spawn:path,
        yield_now: $yield_now:path,
        sleep: $sleep:path,
        let_all_start: $let_all_start:path,
        channel: $channel:path,
        send: $send:path,
        receive: $receive:path
    ) => {
        use crate::tasks::job::{Job, SLEEP};
        use std::sync::atomic::{AtomicU64, Ordering};
        use std::time::{Duration, Instant};

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
                $spawn(move || {
                    for _ in 0..times {
                        $yield_now();
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
                $spawn(|| ()).join().expect("it does not panic");
            }
            start.elapsed()
        }

        fn channel(round_trips: u64) -> Duration {
            let (there, arrived) = $channel();
            let (back, returned) = $channel();
            let answering = $spawn(move || {
                while let Some(value) = $receive(&arrived) {
                    $send(&back, value);
                }
            });
            let start = Instant::now();
            for value in 0..round_trips {
                $send(&there, value);
                $receive(&returned);
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
                drop($spawn(|| {
                    STARTED.fetch_add(1, Ordering::Relaxed);
                    $sleep(SLEEP);
                }));
            }
            while STARTED.load(Ordering::Relaxed) < tasks {
                $let_all_start();
            }
            start.elapsed()
        }
    };
}
pub(crate) use green_jobs;
