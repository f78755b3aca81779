//! The HTTP servers of `http`: one hyper and one handler, on Oneloop and on tokio.

mod hyper;
mod oneloop;
mod tls;
mod tokio;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use crate::contenders::{HttpRuntime, Protocol};

/// Serves HTTP on `address` until the process ends.
pub(crate) fn serve(
    runtime: HttpRuntime,
    protocol: Protocol,
    address: SocketAddr,
) -> io::Result<Infallible> {
    match runtime {
        HttpRuntime::Oneloop => oneloop::serve(protocol, address),
        HttpRuntime::Tokio => tokio::serve(protocol, address),
    }
}
