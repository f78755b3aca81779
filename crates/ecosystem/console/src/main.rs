//! Tasks of an Oneloop loop in tokio-console: run this, and `tokio-console` beside it.
//!
//! `cargo run` in this directory; the flag that console-subscriber needs is in
//! `.cargo/config.toml`. `TOKIO_CONSOLE_BIND` sets the address, which is 127.0.0.1:6669.

use oneloop::EventLoop;
use oneloop::aio::{ctrl_c, sleep, spawn, yield_now};
use oneloop::green;
use std::io;
use std::time::Duration;

fn main() -> io::Result<()> {
    console_subscriber::init();
    let mut event_loop = EventLoop::new()?;
    oneloop::tracing::trace_tasks(&event_loop.handle());
    event_loop.block_on(async {
        spawn(clock());
        spawn(busy());
        green::spawn(|| {
            loop {
                green::sleep(Duration::from_millis(300));
            }
        });
        ctrl_c().await
    })
}

async fn clock() {
    loop {
        sleep(Duration::from_secs(1)).await;
    }
}

/// Wakes itself a thousand times a second, which tokio-console warns of.
async fn busy() {
    loop {
        for _ in 0..100 {
            yield_now().await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}
