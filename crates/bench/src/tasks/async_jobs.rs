//! The jobs, for runtimes of futures: the same text for all, with their own functions in it.

/// Defines `async fn run_in_task(Job) -> Duration`. The channels are tokio's for all: they belong
/// to no runtime, and the benchmark measures how a runtime wakes and switches.
macro_rules! async_jobs {
    (spawn: $spawn:path, yield_now: $yield_now:path, sleep: $sleep:path) => {
        use crate::tasks::job::Job;
        use ::tokio::sync::mpsc;
        use std::sync::atomic::{AtomicU64, Ordering};
        use std::time::{Duration, Instant};

        /// In a task, as a careful user would: to wake the main future can cost system calls.
        async fn run_in_task(job: Job) -> Duration {
            $spawn(run(job)).await.expect("it does not panic")
        }

        async fn run(job: Job) -> Duration {
            match job {
                Job::Yield { tasks, times } => yields(tasks, times).await,
                Job::Spawn { times } => spawns(times).await,
                Job::Channel { round_trips } => channel(round_trips).await,
                Job::Sleep { tasks } => sleeps(tasks).await,
            }
        }

        async fn yields(tasks: u64, times: u64) -> Duration {
            let task = |_| {
                $spawn(async move {
                    for _ in 0..times {
                        $yield_now().await;
                    }
                })
            };
            let tasks: Vec<_> = (0..tasks).map(task).collect();
            let start = Instant::now();
            for task in tasks {
                task.await.expect("it does not panic");
            }
            start.elapsed()
        }

        async fn spawns(times: u64) -> Duration {
            let start = Instant::now();
            for _ in 0..times {
                $spawn(async {}).await.expect("it does not panic");
            }
            start.elapsed()
        }

        async fn channel(round_trips: u64) -> Duration {
            let (there, mut arrived) = mpsc::channel(1);
            let (back, mut returned) = mpsc::channel(1);
            let answering = $spawn(async move {
                while let Some(value) = arrived.recv().await {
                    let _ = back.send(value).await;
                }
            });
            let start = Instant::now();
            for value in 0..round_trips {
                let _ = there.send(value).await;
                returned.recv().await;
            }
            let elapsed = start.elapsed();
            drop(there);
            answering.await.expect("it does not panic");
            elapsed
        }

        async fn sleeps(tasks: u64) -> Duration {
            static STARTED: AtomicU64 = AtomicU64::new(0);
            STARTED.store(0, Ordering::Relaxed);
            let start = Instant::now();
            for _ in 0..tasks {
                drop($spawn(async {
                    STARTED.fetch_add(1, Ordering::Relaxed);
                    $sleep(crate::tasks::job::SLEEP).await;
                }));
            }
            while STARTED.load(Ordering::Relaxed) < tasks {
                $yield_now().await;
            }
            start.elapsed()
        }
    };
}
pub(crate) use async_jobs;
