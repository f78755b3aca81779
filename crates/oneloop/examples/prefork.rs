//! Forks workers, each with its own loop: `cargo run --example prefork`.
//!
//! A forked child cannot use the parent's loop, so each worker creates one for the socket that it
//! inherits.

use oneloop::EventLoop;
use oneloop::core::forked;
use oneloop::net::{Listener, ReadHalf, TcpStream};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Answers one client, on a loop of this process.
fn work(mut inherited: EventLoop, listener: TcpListener) -> io::Result<()> {
    let refused = inherited.run().expect_err("it is the parent's");
    assert_eq!(refused.to_string(), forked().to_string());

    let mut event_loop = EventLoop::new()?;
    event_loop.block_on(async {
        let listener = Listener::from_fd(listener.into(), true)?;
        let (socket, _) = poll_fn(|cx| listener.poll_accept(cx)).await?;
        let answer = std::process::id().to_string();
        socket.write_all(answer.as_bytes()).await
    })
}

fn fork_worker(listener: &TcpListener) -> io::Result<Pid> {
    let listener = listener.try_clone()?;
    let event_loop = EventLoop::new()?;
    // SAFETY: the program has one thread, so the child inherits no lock that another thread holds.
    match unsafe { libc::fork() } {
        0 => {
            let worked = work(event_loop, listener);
            std::process::exit(i32::from(worked.is_err()));
        }
        pid => Pid::from_raw(pid)
            .filter(|_| pid > 0)
            .ok_or_else(io::Error::last_os_error),
    }
}

async fn ask(addr: SocketAddr) -> io::Result<String> {
    let stream = TcpStream::connect(addr).await?;
    let mut buf = [0; 16];
    let count = poll_fn(|cx| stream.poll_read(cx, &mut buf)).await?;
    Ok(String::from_utf8_lossy(&buf[..count]).into_owned())
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let workers = [fork_worker(&listener)?, fork_worker(&listener)?];
    let mut event_loop = EventLoop::new()?;
    for _ in workers {
        let answer = event_loop.block_on(ask(addr))?;
        let worker = workers.iter().position(|pid| pid.to_string() == answer);
        println!("a worker answered: {}", worker.is_some());
    }
    for worker in workers {
        let ended = waitpid(Some(worker), WaitOptions::empty())?;
        println!(
            "a worker ended: {:?}",
            ended.and_then(|(_, status)| status.exit_status())
        );
    }
    Ok(())
}
