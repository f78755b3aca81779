//! A WebSocket server behind hyper: it echoes messages, and closes with the code that fits.
//!
//! `cargo run -p oneloop-ecosystem --example websocket`, then in a browser's console:
//! `socket = new WebSocket("ws://localhost:8080"); socket.onmessage = e => console.log(e.data)`

use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::UPGRADE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use oneloop::aio::{Either, GracefulShutdown, TcpListener, TcpStream, race, timeout};
use oneloop::net::{HalfClose, Shutdown};
use oneloop::signal::{SIGINT, SIGTERM};
use oneloop::sync::ShutdownToken;
use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::time::Duration;
use std::{env, io};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

/// The maximum size of a message in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// How long a client may take to close the connection after the close frame.
const LINGER: Duration = Duration::from_secs(5);

/// How long a client may take to end once the server is to end.
const DRAIN_MAX: Duration = Duration::from_secs(30);

#[oneloop::main]
async fn main() -> io::Result<()> {
    let addr = env::args().nth(1);
    let listener = TcpListener::bind(addr.as_deref().unwrap_or("127.0.0.1:8080"))?;
    println!("ws://{}", listener.local_addr()?);
    serve(listener, GracefulShutdown::on_signals(&[SIGINT, SIGTERM])?).await
}

/// Serves clients until the end is requested, and then closes each socket with a reason.
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
    if let Err(error) = serve_http(stream, shutdown).await {
        eprintln!("a connection failed: {error}");
    }
}

/// Serves HTTP until the client asks for a WebSocket, and then that.
async fn serve_http(stream: TcpStream, shutdown: ShutdownToken) -> Result<(), Box<dyn Error>> {
    let is_upgraded = Cell::new(false);
    let service = service_fn(|request| {
        let response = answer(&request);
        is_upgraded.set(response.status() == StatusCode::SWITCHING_PROTOCOLS);
        ready(Ok::<_, Infallible>(response))
    });
    let mut connection = http1::Builder::new().serve_connection(stream, service);
    let served = poll_fn(|cx| connection.poll_without_shutdown(cx));
    if let Either::First(served) = race(served, shutdown.requested()).await {
        served?;
    } else {
        Pin::new(&mut connection).graceful_shutdown();
        poll_fn(|cx| connection.poll_without_shutdown(cx)).await?;
    }
    let parts = connection.into_parts();
    if is_upgraded.get() {
        // What the client has sent behind its request belongs to the WebSocket.
        echo(parts.io, parts.read_buf, shutdown).await?;
    }
    Ok(())
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    create_response_with_body(request, Full::default).unwrap_or_else(|_no_handshake| {
        let response = Response::builder().status(StatusCode::UPGRADE_REQUIRED);
        let response = response.header(UPGRADE, "websocket");
        let response = response.header("sec-websocket-version", "13");
        let text = "this server speaks WebSocket\n";
        response.body(text.into()).expect("these headers are valid")
    })
}

/// Echoes messages until one side closes.
async fn echo(stream: TcpStream, read: Bytes, shutdown: ShutdownToken) -> Result<(), SocketError> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let (role, config) = (Role::Server, Some(config));
    let mut socket = WebSocketStream::from_partially_read(stream, read.into(), role, config).await;
    let reason = loop {
        match shutdown.run(socket.next()).await {
            Some(Some(Ok(message))) if message.is_text() || message.is_binary() => {
                socket.send(message).await?;
            }
            Some(Some(Ok(_control))) => {} // tungstenite answers pings and closes by itself
            Some(Some(Err(error))) => break close_frame(error)?,
            Some(None) => return Ok(()),
            None => break frame(CloseCode::Away, "the server ends"),
        }
    };
    socket.close(Some(reason)).await?;
    linger(socket.into_inner()).await?;
    Ok(())
}

/// The close frame for a client that has broken the protocol.
///
/// # Errors
/// The error of a connection that has failed, and takes no frame.
fn close_frame(error: SocketError) -> Result<CloseFrame, SocketError> {
    let code = match &error {
        SocketError::Protocol(_) => CloseCode::Protocol,
        SocketError::Utf8(_) => CloseCode::Invalid,
        SocketError::Capacity(_) => CloseCode::Size,
        _ => return Err(error),
    };
    Ok(frame(code, &error.to_string()))
}

fn frame(code: CloseCode, reason: &str) -> CloseFrame {
    let reason = reason.into();
    CloseFrame { code, reason }
}

/// Reads what the client has sent before it saw the close frame. A socket that is closed with unread
/// bytes sends a reset, behind which the frame could get lost.
async fn linger(stream: TcpStream) -> io::Result<()> {
    HalfClose::shutdown(&stream, Shutdown::Write)?;
    let read = async { while let Ok(Some(_)) = stream.read_chunk().await {} };
    let _ = timeout(LINGER, read).await;
    Ok(())
}
