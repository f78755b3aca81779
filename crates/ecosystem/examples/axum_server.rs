//! An axum `Router` on the loop: JSON, shared state, and a handler that sleeps on the loop.
//!
//! `cargo run -p oneloop-ecosystem --example axum_server`, then `curl localhost:8080/sleep/500`, or
//! `curl -d '[1, 2, 3]' -H 'content-type: application/json' localhost:8080/sum`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::rt::{Read, Write};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use oneloop::aio::hyper::{LoopExecutor, LoopTimer};
use oneloop::aio::{Either, GracefulShutdown, TcpListener, local, race, sleep};
use oneloop::signal::{SIGINT, SIGTERM};
use oneloop::sync::ShutdownToken;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{env, io};

/// How long a request that has begun may take once the server is to end.
const DRAIN_MAX: Duration = Duration::from_secs(30);

#[oneloop::main]
async fn main() -> io::Result<()> {
    let addr = env::args().nth(1);
    let listener = TcpListener::bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?;
    println!("http://{}", listener.local_addr()?);
    serve(listener, GracefulShutdown::on_signals(&[SIGINT, SIGTERM])?).await
}

/// How often each handler ran. axum's state must be `Send`, although the loop has one thread.
type Visits = Arc<AtomicU64>;

pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(visits))
        .route("/sleep/{ms}", get(slow))
        .route("/sum", post(sum))
        .with_state(Visits::default())
}

async fn visits(State(visits): State<Visits>) -> String {
    let count = visits.fetch_add(1, Ordering::Relaxed) + 1;
    format!("visit {count}\n")
}

/// What waits on the loop is not `Send`, and axum demands that of a handler: `local` is.
async fn slow(Path(ms): Path<u64>) -> String {
    local(sleep(Duration::from_millis(ms))).await;
    format!("slept {ms} ms\n")
}

async fn sum(Json(numbers): Json<Vec<i64>>) -> Result<Json<i64>, StatusCode> {
    let sum = numbers
        .iter()
        .try_fold(0_i64, |sum, number| sum.checked_add(*number));
    sum.map(Json).ok_or(StatusCode::UNPROCESSABLE_ENTITY)
}

/// Serves clients until the end is requested, and then until all requests are answered.
pub(crate) async fn serve(listener: TcpListener, shutdown: GracefulShutdown) -> io::Result<()> {
    let router = router();
    while let Some(accepted) = shutdown.run(listener.accept()).await {
        let (stream, _peer) = accepted?;
        shutdown.spawn(serve_client(
            stream,
            router.clone(),
            shutdown.token().clone(),
        ));
    }
    drop(listener);
    shutdown.drain(DRAIN_MAX).await;
    Ok(())
}

/// Serves one connection, of plain text or of TLS.
pub(crate) async fn serve_client<S>(stream: S, router: Router, shutdown: ShutdownToken)
where
    S: Read + Write + Unpin + 'static,
{
    let mut builder = Builder::new(LoopExecutor);
    builder.http1().timer(LoopTimer); // a head may take 30 s
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(stream, service));
    let served = match race(connection.as_mut(), shutdown.requested()).await {
        Either::First(served) => served,
        Either::Second(_requested) => {
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
