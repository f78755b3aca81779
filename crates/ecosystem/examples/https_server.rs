//! An HTTPS server on hyper: HTTP/1 and HTTP/2 on one port, in the version that the client asks for;
//! new certificates on SIGHUP; a graceful end.
//!
//! `cargo run -p oneloop-ecosystem --example https_server CERTIFICATES KEY [ADDRESS]`, then
//! `curl -k https://localhost:8443`. A certificate to try it:
//! `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
//! -addext subjectAltName=DNS:localhost -out cert.pem -keyout key.pem`.

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::server::conn::auto::Builder;
use oneloop::aio::hyper::{LoopExecutor, LoopTimer};
use oneloop::aio::{Either, GracefulShutdown, TcpListener, TcpStream, race, timeout};
use oneloop::signal::{SIGHUP, SIGINT, SIGTERM};
use oneloop::sync::{Event, ShutdownToken};
use oneloop::tls::{Identity, ServerOptions, TlsAcceptor};
use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;
use std::{env, io};

/// How long a client may take for its first request, and for each head.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// How long requests that have begun may take once the server ends.
const DRAIN_MAX: Duration = Duration::from_secs(10);

#[oneloop::main]
async fn main() -> io::Result<()> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [certificates, key, rest @ ..] = args.as_slice() else {
        let usage = "write: https_server CERTIFICATES KEY [ADDRESS]";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, usage));
    };
    let acceptor = acceptor(Identity::from_pem_files(certificates, key)?)?;
    acceptor.reload_on(&[SIGHUP], |reloaded| match reloaded {
        Ok(()) => eprintln!("new certificates"),
        Err(error) => eprintln!("the former certificates stay: {error}"),
    })?;
    let addr = rest.first().map_or("127.0.0.1:8443", String::as_str);
    let listener = TcpListener::bind(addr)?;
    println!("https://{}", listener.local_addr()?);
    let shutdown = GracefulShutdown::on_signals(&[SIGINT, SIGTERM])?;
    serve(listener, acceptor, shutdown).await
}

/// What a client can ask for by ALPN; one that does not ask gets HTTP/1.
pub(crate) fn acceptor(identity: Identity) -> io::Result<TlsAcceptor> {
    let options = ServerOptions {
        alpn: vec!["h2", "http/1.1"],
        ..ServerOptions::default()
    };
    TlsAcceptor::new([identity], options)
}

/// Serves clients until the end is requested, and then until all requests are answered.
pub(crate) async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    shutdown: GracefulShutdown,
) -> io::Result<()> {
    while let Some(accepted) = shutdown.run(listener.accept()).await {
        let (stream, peer) = accepted?;
        let served = serve_client(stream, acceptor.clone(), shutdown.token().clone());
        // The handshake is part of the task, so that a slow client delays no other.
        shutdown.spawn(async move {
            if let Err(error) = served.await {
                eprintln!("{peer}: {error}"); // one line, also for plain HTTP on this port
            }
        });
    }
    drop(listener);
    let canceled = shutdown.drain(DRAIN_MAX).await;
    if canceled > 0 {
        eprintln!("{canceled} clients did not finish in time");
    }
    Ok(())
}

/// Serves one connection.
async fn serve_client(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    shutdown: ShutdownToken,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Some(accepted) = shutdown.run(acceptor.accept(stream)).await else {
        return Ok(()); // nothing was asked yet
    };
    let stream = accepted?;
    let mut builder = Builder::new(LoopExecutor);
    builder = match stream.is_alpn("h2") {
        true => builder.http2_only(),
        false => builder.http1_only(),
    };
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
    // A client of HTTP/2 that sends nothing has no limit in hyper.
    let is_late = async {
        if timeout(HEAD_MAX, has_asked.until_set()).await.is_ok() {
            pending().await
        }
    };
    match race(connection.as_mut(), race(shutdown.requested(), is_late)).await {
        Either::First(served) => served,
        Either::Second(Either::Second(())) => Err("the first request took too long".into()),
        Either::Second(Either::First(_requested)) => {
            // A request that is being answered is the last one.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
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
