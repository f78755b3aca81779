//! Clients that have nothing but tokio: reqwest and async-nats.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use oneloop::aio::hyper::LoopTimer;
use oneloop::aio::{self, TcpListener, sleep, spawn};
use oneloop_tokio::{block_on, enter};
use std::convert::Infallible;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, thread};

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    sleep(Duration::from_millis(1)).await;
    let text = format!("you asked for {}", request.uri().path());
    Ok(Response::new(Full::from(text)))
}

/// Starts hyper's server, on the loop. It stops with the loop.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            let mut server = http1::Builder::new();
            server.timer(LoopTimer);
            let connection = server.serve_connection(stream, service_fn(answer));
            spawn(async { drop(connection.await) });
        }
    });
    addr
}

async fn get_with_reqwest() {
    let addr = serve();
    let client = reqwest::Client::new();
    for path in ["/a", "/b"] {
        let url = format!("http://{addr}{path}");
        let response = client.get(url).send().await.unwrap();
        let text = response.text().await.unwrap();
        assert_eq!(text, format!("you asked for {path}"));
    }
}

#[test]
fn reqwest_gets_from_hyper_on_the_loop_beside_its_runtime() {
    aio::block_on(enter(get_with_reqwest()));
}

#[test]
fn reqwest_gets_from_hyper_on_the_loop_inside_of_its_runtime() {
    block_on(get_with_reqwest());
}

#[test]
fn reqwest_without_a_context_panics_with_the_name_of_enter() {
    aio::block_on(async {
        let request = async { reqwest::get("http://127.0.0.1:1/").await };
        let error = spawn(async { drop(request.await) }).await.unwrap_err();
        let message = error.panic_message().unwrap();
        assert!(message.contains("oneloop_tokio::enter"), "{message}");
    });
}

/// A NATS server on a port of its own, until it is dropped.
struct NatsServer {
    process: Child,
    port: u16,
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl NatsServer {
    /// `None`, with a printed line, where there is none.
    fn start() -> Option<Self> {
        let program = env::var_os("NATS_SERVER").unwrap_or("nats-server".into());
        let started = Command::new(program)
            .args(["--addr", "127.0.0.1", "--port", "-1"])
            .stderr(Stdio::piped())
            .spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(error) => {
                eprintln!(
                    "skipped: no nats-server, in PATH or by the variable NATS_SERVER: {error}"
                );
                return None;
            }
        };
        let log = BufReader::new(process.stderr.take().unwrap());
        let mut server = NatsServer { process, port: 0 };
        let mut lines = log.lines().map(Result::unwrap);
        for line in &mut lines {
            if let Some((_, port)) = line.split_once("client connections on 127.0.0.1:") {
                server.port = port.trim().parse().unwrap();
            }
            if line.ends_with("Server is ready") {
                // Read to the end, as the server would wait for room in a full pipe.
                thread::spawn(move || lines.for_each(drop));
                return Some(server);
            }
        }
        panic!("the server has ended");
    }
}

/// Publishes messages from a task of the loop, and receives them in another.
async fn publish_and_receive(port: u16) {
    const COUNT: u32 = 2000;
    let client = async_nats::connect(format!("127.0.0.1:{port}"))
        .await
        .unwrap();
    let mut numbers = client.subscribe("numbers").await.unwrap();
    client.flush().await.unwrap();
    for number in 0..COUNT {
        let bytes = Bytes::from(number.to_string());
        client.publish("numbers", bytes).await.unwrap();
    }
    client.flush().await.unwrap();
    for number in 0..COUNT {
        let message = next(&mut numbers).await.unwrap();
        assert_eq!(message.payload, number.to_string());
    }
    let echo = client.subscribe("echo").await.unwrap();
    let answering = client.clone();
    let answers = tokio::spawn(async move {
        let mut echo = echo;
        while let Some(message) = next(&mut echo).await {
            let reply = message.reply.unwrap();
            answering.publish(reply, message.payload).await.unwrap();
        }
    });
    client.flush().await.unwrap();
    let answer = client.request("echo", "hello".into()).await.unwrap();
    assert_eq!(answer.payload, "hello");
    answers.abort();
}

/// The next message of a subscription, which is a `Stream`.
fn next(
    numbers: &mut async_nats::Subscriber,
) -> impl Future<Output = Option<async_nats::Message>> + '_ {
    std::future::poll_fn(|cx| futures_core::Stream::poll_next(std::pin::Pin::new(numbers), cx))
}

#[test]
fn async_nats_publishes_and_receives_beside_the_loop() {
    if let Some(server) = NatsServer::start() {
        aio::block_on(enter(publish_and_receive(server.port)));
    }
}

#[test]
fn async_nats_publishes_and_receives_around_the_loop() {
    if let Some(server) = NatsServer::start() {
        block_on(publish_and_receive(server.port));
    }
}
