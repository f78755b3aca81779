//! An HTTP server on hyper: HTTP/1 and HTTP/2 on one port, and a graceful end.
//!
//! `cargo run -p oneloop-ecosystem --example hyper_server`, then `curl -d hello localhost:8080/echo`,
//! or with HTTP/2: `curl --http2-prior-knowledge localhost:8080`.

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::server::conn::auto::Builder;
use oneloop::aio::hyper::{LoopExecutor, LoopTimer};
use oneloop::aio::{Either, GracefulShutdown, TcpListener, TcpStream, race, timeout};
use oneloop::signal::{SIGINT, SIGTERM};
use oneloop::sync::{Event, ShutdownToken};
use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;
use std::{env, io};

/// How long a client may take for its first request, and for each head.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// How long a request that has begun may take once the server is to end.
const DRAIN_MAX: Duration = Duration::from_secs(30);

#[oneloop::main]
async fn main() -> io::Result<()> {
    let addr = env::args().nth(1);
    let listener = TcpListener::bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?;
    println!("http://{}", listener.local_addr()?);
    serve(listener, GracefulShutdown::on_signals(&[SIGINT, SIGTERM])?).await
}

/// Serves clients until the end is requested, and then until all requests are answered.
pub(crate) async fn serve(listener: TcpListener, shutdown: GracefulShutdown) -> io::Result<()> {
    while let Some(accepted) = shutdown.run(listener.accept()).await {
        let (stream, _peer) = accepted?;
        shutdown.spawn(serve_client(stream, shutdown.token().clone()));
    }
    drop(listener);
    shutdown.drain(DRAIN_MAX).await;
    Ok(())
}

/// Serves one connection.
async fn serve_client(stream: TcpStream, shutdown: ShutdownToken) {
    let mut builder = Builder::new(LoopExecutor);
    builder
        .http1()
        .timer(LoopTimer)
        .header_read_timeout(HEAD_MAX);
    builder
        .http2()
        .timer(LoopTimer)
        .keep_alive_interval(HEAD_MAX);
    let has_asked = Event::new();
    let service = service_fn(|request| {
        has_asked.set();
        answer(request)
    });
    let mut connection = pin!(builder.serve_connection(stream, service));
    // hyper's own limit begins once the first bytes have shown the version.
    let is_late = async {
        if timeout(HEAD_MAX, has_asked.until_set()).await.is_ok() {
            pending().await
        }
    };
    let ending = race(shutdown.requested(), is_late);
    let served = match race(connection.as_mut(), ending).await {
        Either::First(served) => served,
        Either::Second(Either::Second(())) => return, // which closes the connection
        Either::Second(Either::First(_requested)) => {
            // A request that is being answered is the last one.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served
        && !is_of_silence(&*error)
    {
        eprintln!("a connection failed: {error}");
    }
}

/// True for what hyper-util returns if the end begins before the client has sent anything.
fn is_of_silence(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::Interrupted)
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    let text = |text: &'static str| Full::from(text).map_err(|never| match never {}).boxed();
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => Response::new(text("hello\n")),
        (&Method::POST, "/echo") => Response::new(request.into_body().boxed()),
        _ => {
            let mut response = Response::new(text("there is no such page\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    })
}
