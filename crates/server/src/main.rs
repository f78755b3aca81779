#![forbid(unsafe_code)]
//! The binary `main`: a multi-client TCP server on one epoll loop.
//!
//! `options` says what it can do, `serve` is its life from start to drain, `mode` is what a client is
//! told. One client is served in `task` (async) or `green` (green threads), which share `connection`, or
//! in `callbacks`.

mod bind;
mod callbacks;
mod chat;
mod connection;
mod green;
mod inspect;
mod limits;
mod logging;
mod mode;
mod options;
mod output;
mod patience;
mod serve;
mod service;
mod task;

use clap::Parser;
use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(problem) = options.check() {
        return fail(&problem, 2);
    }
    let addrs = match bind::resolve(&options) {
        Ok(addrs) => addrs,
        Err(problem) => return fail(&problem, 2),
    };
    let log = logging::start(&options);
    let served = serve::run(options, &addrs);
    drop(log);
    served.unwrap_or_else(|problem| fail(&problem, 1))
}

/// One clear sentence, where clap puts its own.
fn fail(problem: &str, code: u8) -> ExitCode {
    eprintln!("error: {problem}");
    ExitCode::from(code)
}
