//! hyper-util's pooled client.

use crate::harness::block_on;
use crate::programs::Program;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::server::conn::auto::Builder;
use oneloop::aio::hyper::{LoopConnector, LoopExecutor, LoopTimer};
use oneloop::aio::{self, TcpListener, join_all, now, sleep, spawn};
use oneloop::{EventLoop, Options};
use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

#[allow(dead_code)] // `main`
#[path = "../../examples/hyper_client.rs"]
mod example;

/// Starts a server whose answers take 1 ms. It counts its connections: all, and those that are open.
fn server() -> (SocketAddr, Rc<Cell<(usize, usize)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let count = Rc::new(Cell::new((0, 0)));
    let counted = Rc::clone(&count);
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (all, open) = counted.get();
            counted.set((all + 1, open + 1));
            let counted = Rc::clone(&counted);
            spawn(async move {
                let service = service_fn(async |_request| {
                    sleep(Duration::from_millis(1)).await;
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello\n"))))
                });
                let builder = Builder::new(LoopExecutor);
                let _ = builder.serve_connection(stream, service).await;
                let (all, open) = counted.get();
                counted.set((all, open - 1));
            });
        }
    });
    (addr, count)
}

fn uri(addr: SocketAddr) -> Uri {
    format!("http://localhost:{}/", addr.port())
        .parse()
        .unwrap()
}

#[test]
fn connections_are_kept_and_close_when_they_have_been_idle_for_long() {
    block_on(async {
        let (addr, count) = server();
        let client = example::pooled_client();
        for _ in 0..100 {
            let (status, body) = example::page(&client, uri(addr)).await.unwrap();
            assert_eq!((status, &body[..]), (StatusCode::OK, &b"hello\n"[..]));
        }
        assert_eq!(count.get(), (1, 1), "one after the other");
        for _ in 0..3 {
            let pages = (0..20).map(|_| example::page(&client, uri(addr)));
            assert!(join_all(pages).await.iter().all(Result::is_ok));
        }
        let (all, open) = count.get();
        assert!(
            (20..=21).contains(&all) && open == all,
            "{all}, {open}: side by side"
        );
        // hyper-util looks at its idle connections in intervals of the limit.
        sleep(Duration::from_secs(20)).await;
        assert_eq!(count.get().1, 0, "after 10 s without a request");
    });
}

/// Answers with the number of its connections so far.
const SERVER: &str = "let connections = 0;
    const answer = (req, res) => setTimeout(() => res.end(`${connections}`), 1);
    const server = require(process.env.module).createServer(answer);
    server.on(process.env.counted, () => { connections += 1; });
    server.listen(0, '127.0.0.1', () => console.log(server.address().port));";

#[test]
fn a_server_in_node_is_asked_on_kept_connections() {
    for (module, counted) in [("node:http", "connection"), ("node:http2", "session")] {
        let envs = [("module", module), ("counted", counted)];
        let Some(mut server) = Program::node(SERVER, &envs) else {
            return;
        };
        let uri: Uri = format!("http://127.0.0.1:{}/", server.printed(""))
            .parse()
            .unwrap();
        aio::block_on(async {
            let client: example::PooledClient = Client::builder(LoopExecutor)
                .http2_only(module == "node:http2")
                .build(LoopConnector::default());
            for _ in 0..20 {
                let page = example::page(&client, uri.clone()).await.unwrap();
                assert_eq!(page, (StatusCode::OK, "1".into()), "one after the other");
            }
            let pages = (0..20).map(|_| example::page(&client, uri.clone()));
            let pages: Vec<_> = join_all(pages)
                .await
                .into_iter()
                .map(Result::unwrap)
                .collect();
            let connections: usize = str::from_utf8(&pages[19].1).unwrap().parse().unwrap();
            let most = if module == "node:http2" { 1 } else { 20 };
            assert!(connections <= most, "{connections} connections");
        });
    }
}

#[test]
fn without_an_idle_timeout_of_its_own_connections_close_after_90_s_with_a_timer_or_never() {
    block_on(async {
        let (addr, count) = server();
        let client = Client::builder(LoopExecutor)
            .pool_timer(LoopTimer)
            .build(LoopConnector::default());
        example::page(&client, uri(addr)).await.unwrap();
        sleep(Duration::from_secs(89)).await;
        assert_eq!(count.get(), (1, 1));
        sleep(Duration::from_secs(92)).await; // it looks in intervals of the timeout
        assert_eq!(count.get(), (1, 0));
        let client = Client::builder(LoopExecutor).build(LoopConnector::default());
        example::page(&client, uri(addr)).await.unwrap();
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(count.get(), (2, 1), "forever");
    });
}

#[test]
fn a_client_that_is_dropped_closes_its_connections_and_leaves_nothing_on_the_loop() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let fetched = event_loop.handle().spawn(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let client = example::pooled_client();
        let fetching = spawn({
            let client = client.clone();
            async move { example::page(&client, uri(addr)).await.unwrap().1 }
        });
        let (stream, _) = listener.accept().await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntea";
        stream.write_all(answer).await.unwrap();
        let (body, start) = (fetching.await.unwrap(), now());
        while stream.try_read(&mut [0; 4096]).is_ok() {} // the request
        drop(client);
        assert!(stream.read_chunk().await.unwrap().is_none());
        assert!(now() - start < Duration::from_secs(1));
        body
    });
    event_loop.run().unwrap();
    assert_eq!(event_loop.block_on(fetched).unwrap(), "tea");
}

#[test]
fn both_versions_are_spoken() {
    block_on(async {
        let (addr, count) = server();
        let client: example::PooledClient = Client::builder(LoopExecutor)
            .http2_only(true)
            .build(LoopConnector::default());
        let pages = (0..20).map(|_| example::page(&client, uri(addr)));
        assert!(join_all(pages).await.iter().all(Result::is_ok));
        assert_eq!(count.get().0, 1, "HTTP/2 shares one connection");
    });
}

#[test]
fn what_cannot_be_fetched_is_an_error() {
    block_on(async {
        let client = example::pooled_client();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        for (uri, problem) in [
            (format!("http://127.0.0.1:{port}/"), "Connection refused"),
            (format!("http://[::1]:{port}/"), "Connection refused"),
            (
                "https://localhost/".to_owned(),
                "the scheme of https://localhost/ is not http",
            ),
            ("http://name.invalid/".to_owned(), "name.invalid"),
        ] {
            let error = client.get(uri.parse().unwrap()).await.unwrap_err();
            let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
                error.source()
            });
            let texts: Vec<_> = chain.map(|error| error.to_string()).collect();
            assert!(
                texts.iter().any(|text| text.contains(problem)),
                "{uri}: {texts:?}"
            );
        }
    });
}

#[test]
fn the_error_body_of_an_answer_that_is_cut_is_no_success() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ntea";
            stream.write_all(answer).await.unwrap();
        });
        let client = example::pooled_client();
        let response = client.get(uri(addr)).await.unwrap();
        assert!(response.into_body().collect().await.is_err());
    });
}
