//! The cost of the core's operations: timers with a million armed, tasks, wakes.
//!
//! `cargo bench -p oneloop`. docs/figures.md has earlier figures.

use criterion::measurement::WallTime;
use criterion::{BatchSize, Bencher, Criterion, criterion_group, criterion_main};
use oneloop::EventLoop;
use oneloop::aio::{local, sleep, spawn, yield_now};
use oneloop::core::{Key, Timer, Timers};
use oneloop::green;
use std::future::{pending, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

const ARMED: u64 = 1_000_000;
/// Deadlines spread over a minute.
const SPREAD_NS: u64 = 60_000_000_000;

/// A pseudorandom deadline, for one multiplication.
fn deadline_ns(i: u64) -> u64 {
    i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % SPREAD_NS
}

fn million_armed() -> (Timers<u64>, Vec<Key<Timer<u64>>>) {
    let mut timers = Timers::new();
    let keys = (0..ARMED)
        .map(|i| timers.start(deadline_ns(i), i))
        .collect();
    (timers, keys)
}

/// Times `op` on a new million of timers, many per reading of the clock.
fn per_timer(
    mut op: impl FnMut(&mut Timers<u64>, &[Key<Timer<u64>>], u64),
) -> impl FnMut(u64) -> Duration {
    const BATCH: u64 = 200_000;
    move |iters| {
        let (mut timers, keys) = million_armed();
        let start = Instant::now();
        op(&mut timers, &keys, BATCH);
        start.elapsed().mul_f64(iters as f64 / BATCH as f64)
    }
}

fn timers(c: &mut Criterion) {
    let mut group = c.benchmark_group("timers, a million armed");
    group.bench_function("arm", |b| {
        b.iter_custom(per_timer(|timers, _, count| {
            for i in 0..count {
                black_box(timers.start(deadline_ns(ARMED + i), i));
            }
        }));
    });
    group.bench_function("cancel", |b| {
        b.iter_custom(per_timer(|timers, keys, count| {
            for key in &keys[..count as usize] {
                black_box(timers.stop(*key));
            }
        }));
    });
    group.bench_function("fire", |b| {
        b.iter_custom(per_timer(|timers, _, count| {
            for _ in 0..count {
                black_box(timers.pop_due(u64::MAX));
            }
        }));
    });
    group.finish();
}

fn tasks(c: &mut Criterion) {
    let mut group = c.benchmark_group("tasks");
    group.bench_function("yield among 1,000", |b| {
        b.iter_custom(|iters| {
            let mut event_loop = EventLoop::new().expect("two fds");
            let rounds = iters.div_ceil(1000).max(1);
            let start = Instant::now();
            event_loop.block_on(async {
                let yielding = || async move {
                    for _ in 0..rounds {
                        yield_now().await;
                    }
                };
                let tasks: Vec<_> = (0..1000).map(|_| spawn(yielding())).collect();
                for task in tasks {
                    task.await.expect("it only yields");
                }
            });
            start
                .elapsed()
                .mul_f64(iters as f64 / (rounds * 1000) as f64)
        });
    });
    group.bench_function("spawn + join", |b| {
        b.iter_custom(|iters| {
            let mut event_loop = EventLoop::new().expect("two fds");
            event_loop.block_on(async {
                let start = Instant::now();
                for i in 0..iters {
                    black_box(spawn(async move { i }).await.expect("it only returns"));
                }
                start.elapsed()
            })
        });
    });
    group.bench_function("wake from another thread, and back", |b| {
        let mut event_loop = EventLoop::new().expect("two fds");
        let remote = event_loop.handle().remote();
        b.iter_batched(
            || (),
            |()| {
                remote
                    .run(|handle| handle.stop())
                    .expect("the loop is here");
                event_loop.run().expect("its fds are valid");
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn green_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("green threads");
    group.bench_function("yield among 1,000", |b| {
        b.iter_custom(|iters| {
            let rounds = iters.div_ceil(1000).max(1);
            let yielding = move || {
                let start = Instant::now();
                let threads: Vec<_> = (0..1000)
                    .map(|_| green::spawn(move || (0..rounds).for_each(|_| green::yield_now())))
                    .collect();
                for thread in threads {
                    thread.join().expect("it only yields");
                }
                start.elapsed()
            };
            let took = green::run(yielding).expect("two fds");
            took.mul_f64(iters as f64 / (rounds * 1000) as f64)
        });
    });
    group.bench_function("spawn + join", |b| {
        b.iter_custom(|iters| {
            let joining = move || {
                let start = Instant::now();
                for i in 0..iters {
                    black_box(green::spawn(move || i).join().expect("it only returns"));
                }
                start.elapsed()
            };
            green::run(joining).expect("two fds")
        });
    });
    group.finish();
}

/// Times polls of a future that stays pending.
fn per_poll<F: Future + Unpin>(
    mut make: impl FnMut() -> F,
) -> impl FnMut(&mut Bencher<'_, WallTime>) {
    move |b| {
        b.iter_custom(|iters| {
            let mut event_loop = EventLoop::new().expect("two fds");
            event_loop.block_on(async {
                let mut future = make();
                poll_fn(|cx| {
                    let start = Instant::now();
                    for _ in 0..iters {
                        let _ = black_box(Pin::new(&mut future).poll(cx));
                    }
                    Poll::Ready(start.elapsed())
                })
                .await
            })
        });
    }
}

fn polls(c: &mut Criterion) {
    const HOUR: Duration = Duration::from_secs(3600);
    let mut group = c.benchmark_group("poll");
    group.bench_function("a sleep", per_poll(|| sleep(HOUR)));
    group.bench_function("a sleep that is local", per_poll(|| local(sleep(HOUR))));
    let task = || spawn(pending::<()>());
    group.bench_function("a join handle", per_poll(task));
    group.bench_function("a join handle that is local", per_poll(|| local(task())));
    group.finish();
}

criterion_group! {
    name = core;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = timers, tasks, polls, green_threads
}
criterion_main!(core);
