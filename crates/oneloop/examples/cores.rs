//! Measures what a cluster is for: how evenly loops share their connections, and what a second loop
//! adds. `cargo run --release --example cores -- 15` takes medians of 15 rounds.

use oneloop::aio::{JoinSet, TcpListener, TcpStream, block_on, sleep, spawn, timeout};
use oneloop::cluster::{Cluster, ClusterOptions, cluster_with};
use oneloop::net::{ByteStream, ListenOptions, ReadHalf, WriteHalf};
use std::cell::Cell;
use std::future::poll_fn;
use std::hint::black_box;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use std::{env, io, thread};

const LOOPS: usize = 8;
const LOAD: Duration = Duration::from_millis(500);

fn main() -> io::Result<()> {
    let rounds = env::args().nth(1).and_then(|text| text.parse().ok());
    let rounds = rounds.unwrap_or(3);
    for connections in [64, 1000] {
        let spread = |run: &dyn Fn() -> io::Result<(f64, u64)>| -> io::Result<_> {
            let runs = (0..rounds).map(|_| run()).collect::<io::Result<Vec<_>>>()?;
            let moved = runs.iter().map(|(_, moved)| *moved as f64);
            Ok((median(runs.iter().map(|(max, _)| *max)), median(moved)))
        };
        let (hashed, _) = spread(&|| Ok((by_the_kernel(connections)?, 0)))?;
        let (balanced, moved) = spread(&|| by_a_cluster(connections))?;
        println!(
            "{connections} connections on {LOOPS} loops, the busiest: {hashed:.2} times the mean \
             by the kernel alone, {balanced:.2} in a cluster, which moves {moved} of them"
        );
    }
    let bursts = (0..rounds).map(|_| Ok((burst(false)?, burst(true)?)));
    let bursts = bursts.collect::<io::Result<Vec<_>>>()?;
    for (what, number) in [("half", 0), ("all", 1)] {
        let ms = |us: f64| us / 1000.0;
        println!(
            "64 connections at once, {what} answered after {:.1} ms by the kernel alone, {:.1} ms \
             in a cluster",
            ms(median(bursts.iter().map(|(hashed, _)| hashed[number]))),
            ms(median(bursts.iter().map(|(_, balanced)| balanced[number])))
        );
    }
    let moved = median(bursts.iter().map(|(_, balanced)| balanced[2]));
    println!("64 connections at once: the cluster moves {moved} of them");
    for (work, what) in [(0, "echo"), (20, "20 µs of work for each message")] {
        // The two take turns, so that another load on the machine hits both.
        let pairs: io::Result<Vec<_>> = (0..rounds)
            .map(|_| Ok((messages(1, work)?, messages(2, work)?)))
            .collect();
        let pairs = pairs?;
        let ratio = median(pairs.iter().map(|(one, two)| two / one));
        let one = median(pairs.iter().map(|(one, _)| *one));
        println!("{what}: {one:.0} messages per second on 1 loop, {ratio:.2} times that on 2");
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn max_over_mean(counts: &[usize]) -> f64 {
    let total: usize = counts.iter().sum();
    let max = counts.iter().max().copied().unwrap_or_default();
    (max * counts.len()) as f64 / total as f64
}

/// Spreads connections over sockets with `SO_REUSEPORT`, and counts them.
fn by_the_kernel(connections: usize) -> io::Result<f64> {
    block_on(async {
        let reuse_port = ListenOptions {
            reuse_port: true,
            ..ListenOptions::default()
        };
        let first = TcpListener::bind_with("127.0.0.1:0", reuse_port)?;
        let addr = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..LOOPS {
            listeners.push(TcpListener::bind_with(addr, reuse_port)?);
        }
        let clients = connect(addr, connections).await?;
        let mut counts = vec![0; LOOPS];
        for (listener, count) in listeners.iter().zip(&mut counts) {
            while timeout(Duration::from_millis(1), listener.accept())
                .await
                .is_ok()
            {
                *count += 1;
            }
        }
        drop(clients);
        Ok(max_over_mean(&counts))
    })
}

/// Spreads connections over the loops of a cluster; returns how many it moved as well.
fn by_a_cluster(connections: usize) -> io::Result<(f64, u64)> {
    let serving = Serving::of(LOOPS, 0);
    with_cluster(serving, move |addr, cluster| {
        let clients = block_on(connect(addr, connections))?;
        while cluster.connections().iter().sum::<usize>() < connections {
            thread::yield_now();
        }
        let counts = cluster.connections();
        drop(clients);
        Ok(max_over_mean(&counts))
    })
}

/// Messages per second of 64 clients, each of which waits for its answer.
fn messages(loops: usize, work_us: u64) -> io::Result<f64> {
    let (count, _) = with_cluster(Serving::of(loops, work_us), |addr, _| block_on(load(addr)))?;
    Ok(count as f64 / LOAD.as_secs_f64())
}

/// 64 clients connect at once, and each sends a message. Returns the µs until half of them and until
/// all have their answers, and how many connections were moved.
fn burst(is_balanced: bool) -> io::Result<[f64; 3]> {
    let serving = Serving {
        is_balanced,
        ..Serving::of(LOOPS, 0)
    };
    let (mut answered, moved) = with_cluster(serving, |addr, _| {
        block_on(async {
            let (started, mut clients) = (Instant::now(), JoinSet::new());
            for _ in 0..64 {
                clients.spawn(async move {
                    let client = TcpStream::connect(addr).await?;
                    client.write_all(b"hello").await?;
                    client.read_exact(&mut [0; 5]).await?;
                    io::Result::Ok((started.elapsed(), client)) // all stay open
                });
            }
            let (mut answered, mut open) = (Vec::new(), Vec::new());
            while let Some(client) = clients.join_next().await {
                let (after, client) = client.expect("it does not panic")?;
                answered.push(after.as_secs_f64() * 1e6);
                open.push(client);
            }
            Ok(answered)
        })
    })?;
    answered.sort_by(f64::total_cmp);
    Ok([answered[32], answered[63], moved as f64])
}

async fn connect(addr: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(TcpStream::connect(addr).await?);
    }
    Ok(clients)
}

async fn load(addr: SocketAddr) -> io::Result<u64> {
    let (count, mut clients) = (Rc::new(Cell::new(0)), JoinSet::new());
    for client in connect(addr, 64).await? {
        let count = Rc::clone(&count);
        clients.spawn(async move {
            let mut answer = [0; 64];
            loop {
                client.write_all(&answer).await?;
                client.read_exact(&mut answer).await?;
                count.set(count.get() + 1);
            }
            #[expect(unreachable_code)]
            io::Result::Ok(())
        });
    }
    sleep(LOAD).await;
    Ok(count.get())
}

/// How the echo server works.
#[derive(Clone, Copy)]
struct Serving {
    loops: usize,
    work_us: u64,
    is_balanced: bool,
}

impl Serving {
    fn of(loops: usize, work_us: u64) -> Self {
        Serving {
            loops,
            work_us,
            is_balanced: true,
        }
    }
}

/// Runs an echo server on pinned loops, and clients against it. Returns what the clients return, and
/// the number of connections that were moved.
fn with_cluster<T>(
    serving: Serving,
    clients: impl FnOnce(SocketAddr, &Cluster) -> io::Result<T>,
) -> io::Result<(T, u64)> {
    let (listens, all_listen) = mpsc::channel();
    let (listens, handed) = (Mutex::new(listens), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&handed);
    let options = ClusterOptions {
        pins: true,
        ..ClusterOptions::default()
    };
    let server = thread::spawn(move || {
        cluster_with(serving.loops, options, move |member| {
            let (listens, count) = (listens.lock().unwrap().clone(), Arc::clone(&count));
            async move {
                let listener = member.listen("127.0.0.1:0")?;
                let addr = listener.local_addr().inet();
                let _ = listens.send((addr, member.cluster().clone()));
                if !serving.is_balanced {
                    let own = listener.listener();
                    let accept_all = async {
                        loop {
                            let (socket, _) = poll_fn(|cx| own.poll_accept(cx)).await?;
                            spawn(echo(socket, serving.work_us));
                        }
                    };
                    return member.shutdown().run(accept_all).await.unwrap_or(Ok(()));
                }
                while let Some(connection) = listener.accept().await? {
                    spawn(echo(connection, serving.work_us));
                }
                count.fetch_add(listener.handed(), Ordering::Relaxed);
                io::Result::Ok(())
            }
        })
    });
    let mut names = (0..serving.loops).map_while(|_| all_listen.recv().ok());
    let Some((Some(addr), cluster)) = names.next() else {
        server.join().expect("it does not panic")?;
        return Err(io::Error::other("the cluster does not listen"));
    };
    names.for_each(drop);
    let result = clients(addr, &cluster);
    cluster.stop(Duration::from_secs(1));
    server.join().expect("it does not panic")?;
    Ok((result?, handed.load(Ordering::Relaxed)))
}

async fn echo(connection: impl ByteStream, work_us: u64) -> io::Result<()> {
    while let Some(chunk) = connection.read_chunk().await? {
        let started = Instant::now();
        while work_us > 0 && started.elapsed() < Duration::from_micros(work_us) {
            black_box(&chunk);
        }
        connection.write_all(&chunk).await?;
    }
    Ok(())
}
