//! The first program of every Node tutorial, on hyper: an HTTP server in the callback style.
//!
//! ```js
//! const http = require('node:http');
//!
//! const server = http.createServer((req, res) => {
//!   res.setHeader('Content-Type', 'text/plain');
//!   res.end('Hello World\n');
//! });
//! server.listen(process.env.PORT ?? 8080, () => {
//!   console.log('listening on port', server.address().port);
//! });
//! ```
//!
//! `cargo run -p oneloop-ecosystem --example hello_http`, then `curl -i localhost:8080`.

use oneloop::callback::http::{self, Error};
use oneloop::callback::run;
use std::env;
use std::process::ExitCode;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let port: u16 = env::var("PORT").map_or(Ok(8080), |port| port.parse())?;
    let code = run(move || {
        let server = http::create_server(|_, res| {
            res.set_header("Content-Type", "text/plain")?;
            res.end_with("Hello World\n");
            Ok::<_, Error>(())
        });
        server.listen_then(port, |server| {
            println!("listening on port {}", server.port().unwrap_or_default());
        })
    })?;
    Ok(ExitCode::from(code))
}
