//! The cost of a datagram, one by one and in batches: `cargo bench -p oneloop --bench datagrams`.
//!
//! Each figure is for 64 datagrams of 1,000 bytes, which one task sends and receives over loopback.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oneloop::EventLoop;
use oneloop::aio::{Outgoing, RecvBatch, UdpSocket};
use std::io;
use std::time::{Duration, Instant};

const COUNT: usize = 64;
const BYTES: usize = 1000;

/// Two sockets; the first sends to the second.
fn pair() -> io::Result<(UdpSocket, UdpSocket)> {
    let (a, b) = (
        UdpSocket::bind("127.0.0.1:0")?,
        UdpSocket::bind("127.0.0.1:0")?,
    );
    a.connect(b.local_addr()?)?;
    Ok((a, b))
}

/// How long `rounds` rounds take, on a new loop.
fn time(rounds: u64, all: impl AsyncFnOnce(u64) -> io::Result<Duration>) -> Duration {
    let mut event_loop = EventLoop::new().expect("there are fds");
    event_loop.block_on(all(rounds)).expect("loopback is there")
}

async fn one_by_one(rounds: u64) -> io::Result<Duration> {
    let ((a, b), text, mut buf) = (pair()?, [7; BYTES], [0; BYTES]);
    let start = Instant::now();
    for _ in 0..rounds {
        for _ in 0..COUNT {
            a.send(&text).await?;
        }
        for _ in 0..COUNT {
            b.recv(&mut buf).await?;
        }
    }
    Ok(start.elapsed())
}

async fn in_batches(rounds: u64) -> io::Result<Duration> {
    let ((a, b), text) = (pair()?, [7; BYTES]);
    let outgoing = [Outgoing::to_peer(&text); COUNT];
    let mut batch = RecvBatch::new(COUNT, BYTES);
    let start = Instant::now();
    for _ in 0..rounds {
        let mut sent = 0;
        while sent < COUNT {
            sent += a.send_batch(&outgoing[sent..]).await?;
        }
        let mut received = 0;
        while received < COUNT {
            received += b.recv_batch(&mut batch).await?;
        }
    }
    Ok(start.elapsed())
}

/// The kernel cuts the datagrams, and the receiver gets a batch or, with `gro`, joins them.
async fn in_segments(rounds: u64, gro: bool) -> io::Result<Duration> {
    let ((a, b), text) = (pair()?, [7; COUNT * BYTES]);
    a.set_gso(Some(BYTES as u16))?;
    let mut batch = if gro {
        b.set_gro(true)?;
        RecvBatch::new(1, 1 << 16)
    } else {
        RecvBatch::new(COUNT, BYTES)
    };
    let start = Instant::now();
    for _ in 0..rounds {
        a.send(&text).await?;
        let mut received = 0;
        while received < COUNT {
            b.recv_batch(&mut batch).await?;
            received += batch
                .iter()
                .map(|joined| joined.segments().count())
                .sum::<usize>();
        }
    }
    Ok(start.elapsed())
}

fn datagrams(c: &mut Criterion) {
    let mut group = c.benchmark_group("64 datagrams");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("one by one", |b| {
        b.iter_custom(|rounds| time(rounds, one_by_one))
    });
    group.bench_function("in batches", |b| {
        b.iter_custom(|rounds| time(rounds, in_batches))
    });
    group.bench_function("GSO, in batches", |b| {
        b.iter_custom(|rounds| time(rounds, async |rounds| in_segments(rounds, false).await))
    });
    group.bench_function("GSO and GRO", |b| {
        b.iter_custom(|rounds| time(rounds, async |rounds| in_segments(rounds, true).await))
    });
    group.finish();
}

criterion_group!(benches, datagrams);
criterion_main!(benches);
