//! hyper-util's pooled client over TLS, by hyper-rustls.

use crate::harness::{block_on, with_server};
use crate::https_server::{MADE, serve};
use crate::programs::Program;
use hyper::{StatusCode, Uri, Version};
use oneloop::aio::{self, join_all};
use oneloop::tls::Roots;

#[allow(dead_code)] // `main`
#[path = "../../examples/https_client.rs"]
mod example;

fn client() -> example::HttpsClient {
    example::client(Roots::from_pem(&MADE.0).unwrap()).unwrap()
}

fn uri(text: String) -> Uri {
    text.parse().unwrap()
}

/// Answers with the number of its connections so far.
const SERVER: &str = "const { cert, key, version } = process.env;
    let connections = 0;
    const answer = (req, res) => res.end(`${connections}`);
    const server = version === 'h2'
      ? require('node:http2').createSecureServer({ cert, key }, answer)
      : require('node:https').createServer({ cert, key }, answer);
    server.on('secureConnection', () => { connections += 1; });
    server.listen(0, '127.0.0.1', () => console.log(server.address().port));";

#[test]
fn a_server_in_node_is_asked_in_the_version_that_it_chooses_on_kept_connections() {
    for (offered, version) in [("h2", Version::HTTP_2), ("http/1.1", Version::HTTP_11)] {
        let envs = [("cert", &*MADE.0), ("key", &*MADE.1), ("version", offered)];
        let Some(mut server) = Program::node(SERVER, &envs) else {
            return;
        };
        let uri = uri(format!("https://localhost:{}/", server.printed("")));
        aio::block_on(async {
            let client = client();
            for _ in 0..20 {
                let page = example::page(&client, uri.clone()).await.unwrap();
                assert_eq!(page, (version, StatusCode::OK, "1".into()));
            }
        });
    }
}

#[test]
fn pages_come_side_by_side_over_tls() {
    block_on(with_server(serve, async |addr| {
        let client = client();
        let uri = uri(format!("https://localhost:{}/", addr.port()));
        let pages = (0..20).map(|_| example::page(&client, uri.clone()));
        for page in join_all(pages).await {
            assert_eq!(
                page.unwrap(),
                (Version::HTTP_2, StatusCode::OK, "hello\n".into())
            );
        }
    }));
}

#[test]
fn a_server_that_is_not_trusted_gets_no_request() {
    block_on(with_server(serve, async |addr| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let roots = Roots::from_pem(made.cert.pem()).unwrap();
        let client = example::client(roots).unwrap();
        let uri = uri(format!("https://localhost:{}/", addr.port()));
        let error = client.get(uri).await.unwrap_err();
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
            error.source()
        });
        let texts: Vec<_> = causes.map(ToString::to_string).collect();
        assert!(
            texts.iter().any(|text| text.contains("certificate")),
            "{texts:?}"
        );
    }));
}
