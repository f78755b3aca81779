//! Signals, heard in three styles: `cargo run --example signals`.
//!
//! Each listener hears each signal. When the last one is gone, the signal does what it did before.

use oneloop::callback::{enter, process::on_signal};
use oneloop::signal::number::SIGWINCH;
use oneloop::sync::Queue;
use oneloop::{EventLoop, aio, green};
use std::io;
use std::process::Command;

fn main() -> io::Result<()> {
    let mut event_loop = EventLoop::new()?;
    let _entered = enter(&event_loop.handle());
    event_loop.block_on(async {
        let heard = Queue::unbounded();
        let (callback, green) = (heard.clone(), heard.clone());
        on_signal(SIGWINCH, move |_| {
            let _ = callback.try_put("a callback heard it");
        })?;
        let handler = green::signal_handler(SIGWINCH, move || {
            let _ = green.try_put("a green thread heard it");
        })?;
        let signals = aio::signals(&[SIGWINCH])?;

        let resize = format!("kill -WINCH {}", std::process::id());
        aio::offload(move || Command::new("sh").args(["-c", &resize]).status()).await??;

        println!("async code heard signal {}", signals.recv().await?);
        for _ in 0..2 {
            println!("{}", heard.get().await);
        }
        handler.cancel();
        Ok(())
    })
}
