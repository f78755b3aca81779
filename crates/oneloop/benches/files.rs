//! The cost of reading 4 KiB of a file: cached, by a thread of the pool, and without a loop.
//!
//! `cargo bench -p oneloop --bench files`

use criterion::{Criterion, criterion_group, criterion_main};
use oneloop::EventLoop;
use oneloop::aio::fs::{self, File, OpenOptions};
use oneloop::core::Class;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BYTES: usize = 4096;

/// How long `iters` calls take, one after the other.
fn time(event_loop: &mut EventLoop, iters: u64, mut call: impl AsyncFnMut()) -> Duration {
    let start = Instant::now();
    event_loop.block_on(async {
        for _ in 0..iters {
            call().await;
        }
    });
    start.elapsed()
}

fn four_kilobytes(c: &mut Criterion) {
    let mut group = c.benchmark_group("4 KiB of a file in the page cache");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, vec![7; 16 * BYTES]).unwrap();
    let mut event_loop = EventLoop::new().unwrap();
    let mut buf = [0; BYTES];

    let std = Arc::new(std::fs::File::open(&path).unwrap());
    group.bench_function("std, which blocks", |b| {
        b.iter(|| black_box(std.read_at(&mut buf, 4096).unwrap()));
    });
    let file = event_loop.block_on(File::open(&path)).unwrap();
    group.bench_function("read_at, at once", |b| {
        b.iter_custom(|iters| {
            time(&mut event_loop, iters, async || {
                black_box(file.read_at(&mut buf, 4096).await.unwrap());
            })
        });
    });
    let handle = event_loop.handle();
    group.bench_function("a read on the pool", |b| {
        b.iter_custom(|iters| {
            time(&mut event_loop, iters, async || {
                let from = Arc::clone(&std);
                let read = move || {
                    let mut buf = vec![0; BYTES];
                    from.read_at(&mut buf, 4096).map(|_| buf)
                };
                black_box(handle.offload_to(Class::Fs, read).await.unwrap().unwrap());
            })
        });
    });
    let options = OpenOptions::new().write(true).clone();
    let file = event_loop.block_on(options.open(&path)).unwrap();
    group.bench_function("write_at, on the pool", |b| {
        b.iter_custom(|iters| {
            time(&mut event_loop, iters, async || {
                black_box(file.write_at(&buf, 4096).await.unwrap());
            })
        });
    });
    group.bench_function("fs::read of 64 KiB, opened and closed", |b| {
        b.iter_custom(|iters| {
            time(&mut event_loop, iters, async || {
                black_box(fs::read(&path).await.unwrap());
            })
        });
    });
    group.finish();
}

criterion_group!(benches, four_kilobytes);
criterion_main!(benches);
