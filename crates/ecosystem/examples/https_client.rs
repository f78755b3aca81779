//! A pooled client of HTTPS: hyper-util's, with TLS by hyper-rustls, in the version of HTTP that the
//! server chooses.
//!
//! `cargo run -p oneloop-ecosystem --example https_client https://www.rust-lang.org/`

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{StatusCode, Uri, Version};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use oneloop::aio::hyper::{LoopConnector, LoopExecutor, LoopTimer};
use oneloop::aio::{ConnectOptions, block_on, timeout, try_join_all};
use oneloop::tls::{ClientOptions, Roots, TlsConnector};
use std::env;
use std::error::Error;
use std::time::Duration;

/// A client that any number of tasks share, by clones.
pub(crate) type HttpsClient = Client<HttpsConnector<LoopConnector>, Empty<Bytes>>;

/// A page, and the version of HTTP in which it came.
pub(crate) type Page = (Version, StatusCode, Bytes);

fn main() -> Result<(), Box<dyn Error>> {
    let uri = env::args().nth(1);
    let uri: Uri = uri
        .as_deref()
        .unwrap_or("https://www.rust-lang.org/")
        .parse()?;
    let client = client(Roots::system()?)?;
    block_on(async {
        let pages = (0..3).map(|_| page(&client, uri.clone()));
        for (version, status, body) in try_join_all(pages).await? {
            println!("{version:?}, {status}: {} bytes", body.len());
        }
        Ok(())
    })
}

/// A client that trusts these roots. It speaks plain HTTP as well, where a URI says so.
pub(crate) fn client(roots: Roots) -> Result<HttpsClient, Box<dyn Error>> {
    let options = ConnectOptions {
        timeout: Some(Duration::from_secs(5)),
        ..ConnectOptions::default()
    };
    let tcp = LoopConnector::with_options(options).allow_any_scheme();
    // hyper-rustls adds the versions of HTTP to the configuration, and does the handshake.
    let tls = TlsConnector::new(roots, ClientOptions::default())?;
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls.config().as_ref().clone())
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    let client = Client::builder(LoopExecutor)
        .pool_timer(LoopTimer)
        .build(connector);
    Ok(client)
}

/// Fetches a page within 30 s.
pub(crate) async fn page(client: &HttpsClient, uri: Uri) -> Result<Page, Box<dyn Error>> {
    let fetch = async {
        let response = client.get(uri).await?;
        let (version, status) = (response.version(), response.status());
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, Box<dyn Error>>((version, status, body))
    };
    timeout(Duration::from_secs(30), fetch).await?
}
