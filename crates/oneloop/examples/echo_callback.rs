//! An echo server in the callback style: `cargo run --example echo_callback`, then
//! `telnet localhost 8080`.

use oneloop::callback::{net, run};
use std::process::ExitCode;

fn main() -> std::io::Result<ExitCode> {
    let code = run(|| {
        let server = net::create_server(|socket| {
            socket.on_error(|_, error| eprintln!("{error}"));
            socket.pipe(&socket);
        });
        server.listen(8080)
    })?;
    Ok(ExitCode::from(code))
}
