//! A loop inside another one: `cargo run --example embedded`.
//!
//! The outer loop is a bare `poll(2)`, like that of a GUI or a game. It waits for the fd of our
//! loop, until our next timer at the longest, and then runs a turn of our loop.

use oneloop::{EventLoop, aio};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::time::Duration;

fn main() -> io::Result<()> {
    let mut event_loop = EventLoop::new()?;
    let ticks = event_loop.handle().spawn(async {
        for tick in 1..=3 {
            aio::sleep(Duration::from_millis(5)).await;
            println!("our loop: tick {tick}");
        }
    });
    while event_loop.run_nowait()? {
        let timeout = event_loop.backend_timeout();
        let timeout = timeout.map(Timespec::try_from).transpose();
        let timeout = timeout.map_err(io::Error::other)?;
        // The outer loop's own fds would be in this list, too.
        poll(
            &mut [PollFd::new(&event_loop, PollFlags::IN)],
            timeout.as_ref(),
        )?;
        println!("their loop: woke");
    }
    assert!(ticks.is_finished());
    Ok(())
}
