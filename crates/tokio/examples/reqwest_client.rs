//! reqwest, which has nothing but tokio, in a program of the loop: pages side by side, beside a task
//! of the loop that shows the time.
//!
//! `cargo run -p oneloop-tokio --example reqwest_client http://localhost:8080/`, beside the example
//! `hyper_server` of `oneloop-ecosystem`.

use oneloop::aio::{block_on, interval, race, try_join_all};
use oneloop_tokio::enter;
use std::env;
use std::time::{Duration, Instant};

fn main() -> Result<(), reqwest::Error> {
    let url = env::args().nth(1);
    let url = url.as_deref().unwrap_or("http://localhost:8080/");
    let urls = [url; 3];
    // All of reqwest is inside: its client, its requests, and their drops.
    let fetch = enter(async move {
        for (status, text) in pages(&urls).await? {
            println!("{status}: {} bytes", text.len());
        }
        Ok(())
    });
    block_on(async { race(fetch, clock()).await.into_inner() })
}

/// Fetches pages side by side, on as few connections as it takes.
pub(crate) async fn pages(urls: &[&str]) -> Result<Vec<(u16, String)>, reqwest::Error> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()?;
    let pages = urls.iter().map(async |url| {
        let response = client.get(*url).send().await?;
        let status = response.status().as_u16();
        Ok((status, response.text().await?))
    });
    try_join_all(pages).await
}

/// Shows each second that the loop is not blocked meanwhile.
async fn clock<T>() -> T {
    let (started, mut seconds) = (Instant::now(), interval(Duration::from_secs(1)));
    loop {
        seconds.tick().await;
        eprintln!("{} s", started.elapsed().as_secs());
    }
}
