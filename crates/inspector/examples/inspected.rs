//! A program with something to see, and a page that shows it: `cargo run -p oneloop-inspector
//! --example inspected`, then open the address that it prints.

use oneloop::aio::{Class, TcpListener, TcpStream, interval, offload_to, sleep, spawn};
use oneloop::inspector::{AdminOptions, Inspector};
use oneloop::{EventLoop, green};
use std::time::{Duration, Instant};
use std::{env, io, thread};

const MS: Duration = Duration::from_millis(1);

fn main() -> io::Result<()> {
    let addr = env::args().nth(1).unwrap_or("127.0.0.1:9000".to_owned());
    let addr = addr.parse().map_err(io::Error::other)?;
    let mut event_loop = EventLoop::new()?;
    let inspector = Inspector::new();
    inspector.loops().attach("main", &event_loop.handle());
    let admin = inspector.start(&addr, AdminOptions::default())?;
    println!("http://{}", admin.local_addr());
    event_loop.block_on(work())
}

/// Echoes to clients of its own, computes too long now and then, and lets a pool and green threads
/// work.
async fn work() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    for number in 0..20 {
        spawn(talk(addr, 5 * MS * (1 + number)));
    }
    spawn(compute());
    spawn(read_files());
    green::spawn(|| {
        loop {
            green::spawn(|| green::sleep(700 * MS)).join().ok();
        }
    });
    loop {
        let (stream, _peer) = listener.accept().await?;
        spawn(echo(stream));
    }
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    while let Some(chunk) = stream.read_chunk().await? {
        stream.write_all(&chunk).await?;
    }
    Ok(())
}

async fn talk(addr: std::net::SocketAddr, pause: Duration) -> io::Result<()> {
    let stream = TcpStream::connect(addr).await?;
    loop {
        stream.write_all(b"hello").await?;
        stream.read_chunk().await?;
        sleep(pause).await;
    }
}

/// Takes 60 ms every third second, in which no client is served.
async fn compute() {
    let mut ticks = interval(3000 * MS);
    loop {
        ticks.tick().await;
        count_for(60 * MS);
    }
}

#[inline(never)]
fn count_for(duration: Duration) {
    let began = Instant::now();
    let mut count = 0_u64;
    while began.elapsed() < duration {
        count = std::hint::black_box(count + 1);
    }
}

async fn read_files() {
    loop {
        let jobs = (0..6).map(|_| spawn(offload_to(Class::Fs, || thread::sleep(120 * MS))));
        for job in jobs.collect::<Vec<_>>() {
            let _ = job.await;
        }
        sleep(400 * MS).await;
    }
}
