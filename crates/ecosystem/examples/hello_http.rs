//! The first program of every Node tutorial, on hyper: an HTTP server in the callback style.
//!
//! ```js
//! const http = require('node:http');
//! http.createServer((req, res) => {
//!   res.end('Hello World\n');
//! }).listen(8080);
//! ```

use oneloop::callback::{http, run};
use std::process::ExitCode;

fn main() -> std::io::Result<ExitCode> {
    let code = run(|| {
        http::create_server(|_, res| {
            res.end_with("Hello World\n");
        })
        .listen(8080)
    })?;
    Ok(ExitCode::from(code))
}
