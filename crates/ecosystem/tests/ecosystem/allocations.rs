//! What a request on a kept connection allocates: by hyper's server, and by Node's HTTP on it.

use allocation_counter::measure;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use oneloop::aio::{self, TcpListener, TcpStream, spawn};
use oneloop::callback::{http, run, spawn_micro};
use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Sends requests, each after the answer to the one before. It allocates nothing for them.
async fn ask(addr: SocketAddr, requests: usize) {
    let stream = TcpStream::connect(addr).await.unwrap();
    for _ in 0..requests {
        stream.write_all(REQUEST).await.unwrap();
        let (mut answer, mut filled) = ([0; 1024], 0);
        while !answer[..filled].ends_with(b"hello") {
            filled += stream.read(&mut answer[filled..]).await.unwrap();
        }
    }
}

fn of_hyper(requests: usize) {
    aio::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|_request| {
                let body = Full::new(Bytes::from_static(b"hello"));
                ready(Ok::<_, Infallible>(Response::new(body)))
            });
            let served = http1::Builder::new().serve_connection(stream, service);
            served.await.unwrap();
        });
        ask(addr, requests).await;
    });
}

fn of_callbacks(requests: usize) {
    let code = run(move || {
        let server = http::create_server(|_, res| {
            res.end_with("hello");
        });
        server.listen_then(("127.0.0.1", 0), move |server| {
            let addr = SocketAddr::from(([127, 0, 0, 1], server.port().unwrap()));
            drop(spawn_micro(async move {
                ask(addr, requests).await;
                server.close();
            }));
        })
    });
    assert_eq!(code.unwrap(), 0);
}

/// The allocations of one request, and their bytes.
fn each(serve: fn(usize)) -> (u64, u64) {
    const MORE: u64 = 1_000;
    serve(100); // fills pools and queues
    let few = measure(|| serve(100));
    let many = measure(|| serve(100 + MORE as usize));
    let more = |many: u64, few: u64| (many - few).div_ceil(MORE);
    (
        more(many.count_total, few.count_total),
        more(many.bytes_total, few.bytes_total),
    )
}

#[test]
fn a_request_allocates_twice_in_hyper_and_34_times_in_callbacks() {
    let (hyper, callbacks) = (each(of_hyper), each(of_callbacks));
    println!("allocations and bytes a request: {hyper:?} by hyper, {callbacks:?} by callbacks");
    assert!(hyper.0 <= 2 && hyper.1 <= 200, "{hyper:?}");
    assert!(callbacks.0 <= 34 && callbacks.1 <= 11_500, "{callbacks:?}");
}
