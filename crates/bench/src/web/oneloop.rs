//! hyper on Oneloop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use hyper_util::rt::TokioIo;
use oneloop::aio::hyper::{LoopExecutor, LoopTimer};
use oneloop::aio::{TcpListener, TcpStream, block_on, spawn};
use tokio_rustls::TlsAcceptor;

use super::hyper::{serve_http1, serve_http2};
use super::tls;
use crate::contenders::Protocol;

/// Serves on `address` until the process ends.
pub(super) fn serve(protocol: Protocol, address: SocketAddr) -> io::Result<Infallible> {
    block_on(async {
        let listener = TcpListener::bind(address)?;
        println!("listening on {}", listener.local_addr()?);
        match protocol {
            Protocol::Http1 => {
                accept_all(&listener, |stream| {
                    spawn(serve_http1(stream, None::<LoopTimer>));
                })
                .await
            }
            Protocol::Http1Limited => {
                accept_all(&listener, |stream| {
                    spawn(serve_http1(stream, Some(LoopTimer)));
                })
                .await
            }
            Protocol::Http2 => {
                accept_all(&listener, |stream| {
                    spawn(serve_http2(stream, LoopExecutor));
                })
                .await
            }
            Protocol::Tls => {
                let acceptor = tls::acceptor()?;
                accept_all(&listener, |stream| {
                    spawn(serve_tls(acceptor.clone(), stream));
                })
                .await
            }
        }
    })
}

async fn accept_all(listener: &TcpListener, serve: impl Fn(TcpStream)) -> io::Result<Infallible> {
    loop {
        let (stream, _) = listener.accept().await?;
        serve(stream);
    }
}

async fn serve_tls(acceptor: TlsAcceptor, stream: TcpStream) {
    if let Ok(stream) = acceptor.accept(stream).await {
        serve_http1(TokioIo::new(stream), None::<LoopTimer>).await;
    }
}
