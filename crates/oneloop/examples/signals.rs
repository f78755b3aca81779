//! Receives a signal in the three styles: `cargo run --example signals`.
//!
//! Each listener receives each signal. When the last one is gone, the signal has its former effect
//! again.

use oneloop::callback::{enter, process::on_signal};
use oneloop::signal::SIGWINCH;
use oneloop::sync::Queue;
use oneloop::{EventLoop, aio, green};
use std::io;
use std::process::Command;

fn main() -> io::Result<()> {
    let mut event_loop = EventLoop::new()?;
    let _entered = enter(&event_loop.handle());
    event_loop.block_on(async {
        let received = Queue::unbounded();
        let (callback, green) = (received.clone(), received.clone());
        on_signal(SIGWINCH, move |_| {
            let _ = callback.try_put("a callback received it");
        })?;
        let handler = green::signal_handler(SIGWINCH, move || {
            let _ = green.try_put("a green thread received it");
        })?;
        let signals = aio::signals(&[SIGWINCH])?;

        let resize = format!("kill -WINCH {}", std::process::id());
        aio::offload(move || Command::new("sh").args(["-c", &resize]).status()).await??;

        println!("async code received signal {}", signals.recv().await?);
        for _ in 0..2 {
            println!("{}", received.get().await);
        }
        handler.cancel();
        Ok(())
    })
}
