//! hyper on tokio's current-thread runtime.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::hyper::{serve_http1, serve_http2};
use super::tls;
use crate::contenders::Protocol;

/// As Oneloop's.
const BACKLOG: u32 = 4096;

/// Serves on `address` until the process ends.
pub(super) fn serve(protocol: Protocol, address: SocketAddr) -> io::Result<Infallible> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = bind(address)?;
        println!("listening on {}", listener.local_addr()?);
        match protocol {
            Protocol::Http1 => {
                accept_all(&listener, |stream| {
                    tokio::spawn(serve_http1(TokioIo::new(stream), None::<TokioTimer>));
                })
                .await
            }
            Protocol::Http1Limited => {
                accept_all(&listener, |stream| {
                    tokio::spawn(serve_http1(TokioIo::new(stream), Some(TokioTimer::new())));
                })
                .await
            }
            Protocol::Http2 => {
                accept_all(&listener, |stream| {
                    tokio::spawn(serve_http2(TokioIo::new(stream), TokioExecutor::new()));
                })
                .await
            }
            Protocol::Tls => {
                let acceptor = tls::acceptor()?;
                accept_all(&listener, |stream| {
                    tokio::spawn(serve_tls(acceptor.clone(), stream));
                })
                .await
            }
        }
    })
}

/// Connections inherit `TCP_NODELAY` from the listener, as Oneloop's do: it costs no system call.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept_all(listener: &TcpListener, serve: impl Fn(TcpStream)) -> io::Result<Infallible> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => serve(stream),
            // Out of descriptors, most likely: some will have closed in a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve_tls(acceptor: TlsAcceptor, stream: TcpStream) {
    if let Ok(stream) = acceptor.accept(stream).await {
        serve_http1(TokioIo::new(stream), None::<TokioTimer>).await;
    }
}
