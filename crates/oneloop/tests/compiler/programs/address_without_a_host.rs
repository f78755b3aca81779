//! `{integer}` does not name an address
//! name a host and a port: `"127.0.0.1:8080"`, `("localhost", 8080)`, or a `SocketAddr`
//! `"0.0.0.0:8080"` listens on all addresses

use oneloop::aio::TcpListener;

fn main() -> std::io::Result<()> {
    TcpListener::bind(8080)?;
    Ok(())
}
