//! One connection of an HTTP server on any runtime.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::rt::{Read, Timer, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};

/// The time that a client has for each head, where there is a limit.
const HEAD_MAX: Duration = Duration::from_secs(30);

type Body = Full<Bytes>;
type Answer = Ready<Result<Response<Body>, Infallible>>;

/// Serves HTTP/1. With a timer, it limits the time for each head.
pub(super) async fn serve_http1<S, T>(stream: S, timer: Option<T>)
where
    S: Read + Write + Unpin,
    T: Timer + Send + Sync + 'static,
{
    let mut builder = http1::Builder::new();
    if let Some(timer) = timer {
        builder.timer(timer).header_read_timeout(HEAD_MAX);
    }
    // A client that resets its connection ends its own task and nothing else.
    let _ = builder.serve_connection(stream, service_fn(answer)).await;
}

/// Serves HTTP/2.
pub(super) async fn serve_http2<S, E>(stream: S, executor: E)
where
    S: Read + Write + Unpin,
    E: Http2ServerConnExec<Answer, Body>,
{
    let builder = http2::Builder::new(executor);
    let _ = builder.serve_connection(stream, service_fn(answer)).await; // as in HTTP/1
}

fn answer(_request: Request<Incoming>) -> Answer {
    ready(Ok(Response::new(Full::new(Bytes::from_static(
        b"hello, world\n",
    )))))
}
