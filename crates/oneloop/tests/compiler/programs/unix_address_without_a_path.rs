//! `{integer}` does not name a Unix socket
//! write a path, such as `"/run/echo.sock"`, or a `oneloop::net::Addr`

use oneloop::aio::UnixDatagram;

fn main() -> std::io::Result<()> {
    UnixDatagram::bind(8080)?;
    Ok(())
}
