//! An echo server of green threads: `cargo run --example echo_green`, then `telnet localhost 8080`.

use oneloop::green::net::{StreamServer, TcpListener};
use oneloop::green::run;
use std::io::copy;

fn main() -> std::io::Result<()> {
    run(|| {
        let listener = TcpListener::bind("127.0.0.1:8080")?;
        let server = StreamServer::start(listener, |stream, _peer| {
            if let Err(error) = copy(&mut &stream, &mut &stream) {
                eprintln!("{error}");
            }
        });
        server.until_stopped()
    })?
}
