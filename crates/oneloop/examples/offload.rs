//! Runs blocking code on other threads, in the three styles: `cargo run --example offload`.
//!
//! All threads for lookups are stuck. Computing jobs and the timer run all the same.

use oneloop::core::Class;

use oneloop::{EventLoop, aio, callback, green};
use std::io;
use std::sync::mpsc;
use std::time::Duration;

/// A computation that takes a while, and does not use the loop.
fn primes_below(limit: u32) -> usize {
    let is_prime = |n: &u32| {
        (2..*n)
            .take_while(|d| d * d <= *n)
            .all(|d| !n.is_multiple_of(d))
    };
    (2..limit).filter(is_prime).count()
}

fn main() -> io::Result<()> {
    let mut event_loop = EventLoop::new()?;
    let _entered = callback::enter(&event_loop.handle());
    let (answer, answers) = mpsc::channel::<()>();
    event_loop.block_on(async {
        let answers = std::sync::Arc::new(std::sync::Mutex::new(answers));
        let stuck = (0..8).map(|_| {
            let answers = std::sync::Arc::clone(&answers);
            aio::offload_to(Class::Dns, move || {
                answers.lock().map(|answers| answers.recv()).is_ok()
            })
        });
        let stuck: Vec<_> = stuck.collect();

        callback::offload(
            || primes_below(10_000),
            |count| count.map(|count| println!("a callback: {count} primes below 10,000")),
        );
        let green = green::spawn(|| {
            let count = green::offload(|| primes_below(20_000));
            println!("a green thread: {count} primes below 20,000");
        });
        let count = aio::offload(|| primes_below(30_000)).await;
        println!("async code: {} primes below 30,000", count?);
        green.await?;
        aio::sleep(Duration::from_millis(1)).await;
        println!("a timer, and the look-ups are still stuck");

        drop(answer);
        for look_up in stuck {
            look_up.await?;
        }
        let broken = aio::offload(|| panic!("what a job panics with")).await;
        println!("async code: {}", broken.unwrap_err());
        Ok(())
    })
}
