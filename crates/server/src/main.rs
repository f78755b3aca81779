#![forbid(unsafe_code)]
//! The binary `main`: a multi-client TCP server on one epoll loop.
//!
//! `options` says what it can do, `serve` is its life from start to drain. In most modes a client is told
//! something by the server itself, and `mode` says what; in the others it is wired to a peer, and `peer`
//! says to whom. One client is served in `task` (async) or `green` (green threads), which share `connection`
//! and `relayed`; or by callbacks, in `callbacks` and `piped`.

mod bind;
mod callbacks;
mod chat;
mod client;
mod connection;
mod endpoint;
mod green;
mod inspect;
mod limits;
mod logging;
mod mode;
mod options;
mod output;
mod patience;
mod peer;
mod piped;
mod program;
mod relayed;
mod serve;
mod service;
mod stop;
mod task;
mod upstream;
mod watch;
mod work;

use clap::Parser;
use options::Options;
use std::process::ExitCode;
use work::Work;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(problem) = options.check() {
        return fail(&problem, 2);
    }
    let found = bind::resolve(&options).and_then(|addrs| Ok((addrs, Work::of(&options)?)));
    let (addrs, work) = match found {
        Ok(found) => found,
        Err(problem) => return fail(&problem, 2),
    };
    let log = logging::start(&options);
    let served = serve::run(options, work, &addrs);
    drop(log);
    served.unwrap_or_else(|problem| fail(&problem, 1))
}

/// One clear sentence, where clap puts its own.
fn fail(problem: &str, code: u8) -> ExitCode {
    eprintln!("error: {problem}");
    ExitCode::from(code)
}
