//! The CPU time of a gigabyte for the thread that copies it, by each method of `net::copy`.

use oneloop::EventLoop;
use oneloop::net::{CopyOptions, Copying, SendingFile, Socket};
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

const BYTES: u64 = 1 << 29;

fn main() -> io::Result<()> {
    println!("{:<24} {:>8} {:>12}", "way", "GB/s", "CPU ms/GB");
    let ways = [("recv + send", false), ("splice", true)];
    for write_bytes in [4 << 10, 16 << 10, 64 << 10, 256 << 10] {
        for (name, splices) in ways {
            let options = CopyOptions {
                splices,
                ..CopyOptions::default()
            };
            let name = format!("{name}, {} KiB", write_bytes >> 10);
            report(&name, || relay(options, write_bytes))?;
        }
    }
    report("sendfile", || serve_file(SendingFile::new(0..BYTES)))?;
    Ok(())
}

fn report(name: &str, mut run: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let (mut best, mut best_cpu) = (Duration::MAX, Duration::MAX);
    for _ in 0..9 {
        let (start, cpu) = (Instant::now(), cpu_time());
        run()?;
        best = best.min(start.elapsed());
        best_cpu = best_cpu.min(cpu_time() - cpu);
    }
    let gigabytes = BYTES as f64 / 1e9;
    println!(
        "{name:<24} {:>8.2} {:>12.0}",
        gigabytes / best.as_secs_f64(),
        best_cpu.as_secs_f64() * 1e3 / gigabytes
    );
    Ok(())
}

/// The CPU time of this thread, which runs the loop.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Copies from a thread that writes pieces of that size to a thread that reads.
fn relay(options: CopyOptions, write_bytes: usize) -> io::Result<()> {
    let (source, mut feeder) = pair()?;
    let feeder = thread::spawn(move || {
        let piece = vec![7; write_bytes];
        for _ in 0..BYTES as usize / write_bytes {
            feeder.write_all(&piece).unwrap();
        }
    });
    through_loop(
        |from_fd, event_loop, to| {
            let from = event_loop.enter(|| Socket::from_fd(from_fd))?;
            let mut copying = Copying::with(options);
            let copied = event_loop.block_on(poll_fn(|cx| copying.poll(cx, &from, &to)))?;
            assert_eq!(copied, BYTES);
            Ok(())
        },
        source.into(),
    )?;
    feeder.join().unwrap();
    Ok(())
}

fn serve_file(mut sending: SendingFile) -> io::Result<()> {
    let file = tempfile()?;
    file.set_len(BYTES)?;
    through_loop(
        |_, event_loop, to| {
            let sent = event_loop.block_on(poll_fn(|cx| sending.poll(cx, &file, &to)))?;
            assert_eq!(sent, BYTES);
            Ok(())
        },
        file.try_clone()?.into(),
    )
}

/// An unnamed file in memory.
fn tempfile() -> io::Result<File> {
    let path = format!("/dev/shm/oneloop-copy-{}", std::process::id());
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

fn through_loop(
    run: impl FnOnce(OwnedFd, &mut EventLoop, Socket) -> io::Result<()>,
    from: OwnedFd,
) -> io::Result<()> {
    let (sink, mut reader) = pair()?;
    let reader = thread::spawn(move || {
        let (mut buf, mut read) = (vec![0; 1 << 20], 0);
        while read < BYTES {
            read += reader.read(&mut buf).unwrap() as u64;
        }
    });
    let mut event_loop = EventLoop::new()?;
    let to = event_loop.enter(|| Socket::from_fd(sink.into()))?;
    run(from, &mut event_loop, to)?;
    reader.join().unwrap();
    Ok(())
}

/// The two ends of a TCP connection. The first one is non-blocking.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let other = TcpStream::connect(listener.local_addr()?)?;
    let (end, _) = listener.accept()?;
    end.set_nonblocking(true)?;
    Ok((end, other))
}
