//! Signals, heard in three styles: `cargo run --example signals`.
//!
//! Each listener hears each signal. When the last one is gone, the signal does what it did before.

use oneloop::callback::{enter, process::on_signal};
use oneloop::signal::number::SIGWINCH;
use oneloop::{EventLoop, aio, green};
use std::io;

fn main() -> io::Result<()> {
    let mut event_loop = EventLoop::new()?;
    let _entered = enter(&event_loop.handle());
    event_loop.block_on(async {
        on_signal(SIGWINCH, |number| {
            println!("a callback heard signal {number}")
        })?;
        let handler = green::signal_handler(SIGWINCH, || println!("a green thread heard it"))?;
        let signals = aio::signals(&[SIGWINCH])?;

        let resize = format!("kill -WINCH {}", std::process::id());
        let kill = move || {
            std::process::Command::new("sh")
                .args(["-c", &resize])
                .status()
        };
        oneloop::Handle::current().offload(kill).await??;

        println!("async code heard signal {}", signals.recv().await?);
        handler.cancel();
        aio::yield_now().await; // the green thread has its turn
        Ok(())
    })
}
