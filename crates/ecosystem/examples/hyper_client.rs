//! hyper-util's pooled client: fetches pages side by side, each of its connections many times.
//!
//! `cargo run -p oneloop-ecosystem --example hyper_client http://localhost:8080/`, beside the example
//! `hyper_server`.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{StatusCode, Uri};
use hyper_util::client::legacy::Client;
use oneloop::aio::hyper::{LoopConnector, LoopExecutor, LoopTimer};
use oneloop::aio::{ConnectOptions, block_on, timeout, try_join_all};
use std::env;
use std::error::Error;
use std::time::Duration;

/// A client that any number of tasks share, by clones.
pub(crate) type PooledClient = Client<LoopConnector, Empty<Bytes>>;

fn main() -> Result<(), Box<dyn Error>> {
    block_on(async {
        let uri = env::args().nth(1);
        let uri: Uri = uri.as_deref().unwrap_or("http://localhost:8080/").parse()?;
        let client = pooled_client();
        let pages = (0..10).map(|_| page(&client, uri.clone()));
        for (status, body) in try_join_all(pages).await? {
            println!("{status}: {} bytes", body.len());
        }
        Ok(())
    })
}

/// A client whose connections close when they have been idle for 10 s.
pub(crate) fn pooled_client() -> PooledClient {
    let options = ConnectOptions {
        timeout: Some(Duration::from_secs(5)),
        ..ConnectOptions::default()
    };
    Client::builder(LoopExecutor)
        .pool_timer(LoopTimer)
        .pool_idle_timeout(Duration::from_secs(10))
        .build(LoopConnector::with_options(options))
}

/// Fetches a page within 30 s.
pub(crate) async fn page(
    client: &PooledClient,
    uri: Uri,
) -> Result<(StatusCode, Bytes), Box<dyn Error>> {
    let fetch = async {
        let response = client.get(uri).await?;
        let status = response.status();
        Ok::<_, Box<dyn Error>>((status, response.into_body().collect().await?.to_bytes()))
    };
    timeout(Duration::from_secs(30), fetch).await?
}
