//! Server-sent events on hyper: a page whose browser shows a clock of the server, and continues
//! after a lost connection where it stopped.
//!
//! `cargo run -p oneloop-ecosystem --example events`, then open http://localhost:8080, or
//! `curl -N localhost:8080/events`.

use futures_util::stream::{self, LocalBoxStream, StreamExt};
use http_body_util::{Either as Body, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use oneloop::aio::{Either, GracefulShutdown, TcpListener, TcpStream, interval, race};
use oneloop::signal::{SIGINT, SIGTERM};
use oneloop::sync::ShutdownToken;
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;
use std::{env, io};

const PAGE: &str = "<!doctype html><title>clock</title><p id=clock>…</p><script>
new EventSource('/events').onmessage = event => clock.textContent = event.data
</script>\n";

/// How long a request that has begun may take once the server is to end.
const DRAIN_MAX: Duration = Duration::from_secs(30);

#[oneloop::main]
async fn main() -> io::Result<()> {
    let addr = env::args().nth(1);
    let listener = TcpListener::bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?;
    println!("http://{}", listener.local_addr()?);
    serve(listener, GracefulShutdown::on_signals(&[SIGINT, SIGTERM])?).await
}

/// Serves clients until the end is requested, which ends their events.
pub(crate) async fn serve(listener: TcpListener, shutdown: GracefulShutdown) -> io::Result<()> {
    while let Some(accepted) = shutdown.run(listener.accept()).await {
        let (stream, _peer) = accepted?;
        shutdown.spawn(serve_client(stream, shutdown.token().clone()));
    }
    drop(listener);
    shutdown.drain(DRAIN_MAX).await;
    Ok(())
}

async fn serve_client(stream: TcpStream, shutdown: ShutdownToken) {
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(&request, &shutdown)));
    let mut connection = pin!(http1::Builder::new().serve_connection(stream, service));
    let served = match race(connection.as_mut(), shutdown.requested()).await {
        Either::First(served) => served,
        Either::Second(_requested) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        eprintln!("a connection failed: {error}"); // mostly a browser that has left
    }
}

/// A page, or events as long as the client reads them.
type Answer = Body<Full<Bytes>, StreamBody<LocalBoxStream<'static, Event>>>;
type Event = Result<Frame<Bytes>, Infallible>;

fn answer(request: &Request<Incoming>, shutdown: &ShutdownToken) -> Response<Answer> {
    let response = Response::builder().header(CACHE_CONTROL, "no-store");
    let response = if request.uri().path() == "/events" {
        // A browser that connects again names the last event that it has seen.
        let last = request.headers().get("last-event-id");
        let last = last.and_then(|id| id.to_str().ok()?.parse().ok());
        let events = events(last.unwrap_or(0), shutdown.clone()).boxed_local();
        let response = response.header(CONTENT_TYPE, "text/event-stream");
        response.body(Body::Right(StreamBody::new(events)))
    } else {
        let response = response.header(CONTENT_TYPE, "text/html; charset=utf-8");
        response.body(Body::Left(PAGE.into()))
    };
    response.expect("these headers are valid")
}

/// An event each second, until the server ends. hyper asks for the next one once the socket takes
/// it, so a slow client misses some, and holds no memory.
fn events(last: u64, shutdown: ShutdownToken) -> impl stream::Stream<Item = Event> {
    let seconds = interval(Duration::from_secs(1));
    stream::unfold(
        (last + 1, seconds, shutdown),
        async |(id, mut seconds, shutdown)| {
            shutdown.run(seconds.tick()).await?;
            let event = format!("id: {id}\ndata: second {id}\n\n");
            let event = Ok(Frame::data(event.into()));
            Some((event, (id + 1, seconds, shutdown)))
        },
    )
}
