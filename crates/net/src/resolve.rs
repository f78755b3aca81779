//! From a host's name to its addresses, without blocking the loop.

use oneloop_core::Handle;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// Looks up the addresses of a host, in the system's order (`getaddrinfo(3)`, on another thread). An
/// IP address needs no look-up. Cancel safe.
///
/// # Errors
/// What the resolver says: mostly that there is no such name.
pub async fn resolve(handle: &Handle, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = host.to_owned();
    let found = handle.offload(move || (host.as_str(), port).to_socket_addrs());
    Ok(found.await??.collect())
}
