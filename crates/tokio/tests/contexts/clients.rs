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
use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

#[allow(dead_code)] // `main`
#[path = "../../examples/nats_client.rs"]
mod nats_client;
#[allow(dead_code)] // `main`
#[path = "../../examples/reqwest_client.rs"]
mod reqwest_client;

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

/// Asks a server, whose answers name the paths.
async fn get_with_reqwest(server: String) {
    let urls: Vec<_> = (0..20).map(|index| format!("{server}/{index}")).collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let pages = reqwest_client::pages(&urls).await.unwrap();
    for (index, page) in pages.into_iter().enumerate() {
        assert_eq!(page, (200, format!("you asked for /{index}")));
    }
}

#[test]
fn reqwest_gets_from_hyper_on_the_loop_beside_its_runtime() {
    aio::block_on(enter(async {
        get_with_reqwest(format!("http://{}", serve())).await
    }));
}

#[test]
fn reqwest_gets_from_hyper_on_the_loop_inside_of_its_runtime() {
    block_on(async { get_with_reqwest(format!("http://{}", serve())).await });
}

#[test]
fn reqwest_gets_from_a_server_in_node_in_both_contexts() {
    const SCRIPT: &str = "const server = require('node:http').createServer((req, res) => {
            setTimeout(() => res.end(`you asked for ${req.url}`), 1);
        });
        server.listen(0, '127.0.0.1', () => console.error(server.address().port));";
    let Some(mut node) = Server::start(Command::new("node").args(["-e", SCRIPT])) else {
        return;
    };
    let server = format!("http://127.0.0.1:{}", node.line());
    aio::block_on(enter(get_with_reqwest(server.clone())));
    block_on(get_with_reqwest(server));
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

/// A server as a program of its own, which ends when this is dropped.
struct Server {
    process: Child,
    stderr: BufReader<Box<dyn Read + Send>>,
}

impl Server {
    /// `None`, with a printed line, where there is no such program.
    fn start(command: &mut Command) -> Option<Self> {
        match command.stderr(Stdio::piped()).spawn() {
            Ok(mut process) => Some(Server {
                stderr: BufReader::new(Box::new(process.stderr.take().unwrap())),
                process,
            }),
            Err(error) => {
                let program = command.get_program().to_string_lossy();
                eprintln!("skipped: {program} does not start: {error}");
                None
            }
        }
    }

    /// The next line of its log.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the server has ended");
        line.trim_end().to_owned()
    }

    /// A NATS server on a port of its own, and its URL.
    fn nats() -> Option<(Self, String)> {
        let program = env::var_os("NATS_SERVER").unwrap_or("nats-server".into());
        let args = ["--addr", "127.0.0.1", "--port", "-1"];
        let mut server = Server::start(Command::new(program).args(args))?;
        let mut port = String::new();
        loop {
            let line = server.line();
            if let Some((_, found)) = line.split_once("client connections on 127.0.0.1:") {
                found.clone_into(&mut port);
            }
            if line.ends_with("Server is ready") {
                break;
            }
        }
        // Read to the end, as the server would wait for room in a full pipe.
        let rest = std::mem::replace(
            &mut server.stderr,
            BufReader::new(Box::new(std::io::empty())),
        );
        thread::spawn(move || rest.lines().map_while(Result::ok).for_each(drop));
        Some((server, format!("nats://127.0.0.1:{port}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Publishes from a task of the loop, and receives in another one and in one of tokio.
async fn publish_and_receive(url: String) {
    const COUNT: u64 = 2_000;
    let client = async_nats::connect(&url).await.unwrap();
    let [ours, theirs] = ["numbers", "numbers"].map(|subject| client.subscribe(subject));
    let (ours, theirs) = (ours.await.unwrap(), theirs.await.unwrap());
    client.flush().await.unwrap();
    let ours = spawn(enter(nats_client::sum(ours, COUNT))); // whose drop needs the context as well
    let theirs = tokio::spawn(nats_client::sum(theirs, COUNT));
    nats_client::publish(&client, "numbers", COUNT)
        .await
        .unwrap();
    let sum = COUNT * (COUNT + 1) / 2;
    assert_eq!(ours.await.unwrap().unwrap(), sum);
    assert_eq!(theirs.await.unwrap().unwrap(), sum);
}

#[test]
fn async_nats_publishes_and_receives_beside_the_loop() {
    if let Some((_server, url)) = Server::nats() {
        aio::block_on(enter(publish_and_receive(url)));
    }
}

#[test]
fn async_nats_publishes_and_receives_around_the_loop() {
    if let Some((_server, url)) = Server::nats() {
        block_on(publish_and_receive(url));
    }
}

#[test]
fn the_example_of_async_nats_runs() {
    if let Some((_server, url)) = Server::nats() {
        block_on(async move { nats_client::show(&url).await }).unwrap();
    }
}
