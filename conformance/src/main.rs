#![forbid(unsafe_code)]
//! Runs one of the programs that also exist in JavaScript: `oneloop-conformance 01_phases`.
//!
//! They run on virtual time: what takes 150 ms in Node takes none here, in the same order.

mod http;
mod node;

use oneloop::callback::run_on;
use oneloop::{EventLoop, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(program) = node::program(&name) else {
        eprintln!("error: give one of: {}", node::names().join(" "));
        return ExitCode::from(2);
    };
    let run = || run_on(&mut EventLoop::with(Options::virtual_time())?, program);
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
