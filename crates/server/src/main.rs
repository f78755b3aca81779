#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop::report` does not
//! The server: many TCP clients on one epoll loop.
//!
//! `options` says what it can do, `configuration` reads them, `serve` is its life from start to drain. In most modes a client is told
//! something by the server itself, and `mode` says what; in the others it is wired to a peer, and `peer`
//! says to whom. One client is served in `task` (async) or `green` (green threads), which share `connection`
//! and `relayed`; or by callbacks, in `callbacks` and `piped`.

mod adopted;
mod bind;
mod budget;
mod callbacks;
mod chat;
mod check;
mod client;
mod configuration;
mod connection;
mod endpoint;
mod green;
mod holder;
mod inspect;
mod keepalive;
mod limits;
mod logging;
mod mode;
mod news;
mod notice;
mod options;
mod output;
mod patience;
mod peer;
mod piped;
mod program;
mod relayed;
mod serve;
mod service;
mod socket_file;
mod stop;
mod task;
mod to_itself;
mod upstream;
mod watch;
mod work;

use oneloop::net::Addr;
use oneloop::signal::{number::SIGCHLD, restore_default};
use options::Options;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use tracing::{info, warn};
use work::Work;

fn main() -> ExitCode {
    // Ignored, it would have the kernel throw exit statuses away, and programs would inherit it. That it
    // cannot be changed is no reason not to serve.
    let _ = restore_default(SIGCHLD);
    let unknown = configuration::unknown_variables();
    let options = match configuration::read() {
        Ok(options) => options,
        Err(said) => return tell(&said, &unknown),
    };
    let (addrs, work, ignored) = match prepare(&options) {
        Ok(prepared) => prepared,
        Err(problem) => return fail(&problem, &unknown, 2),
    };
    let log = match logging::start(&options) {
        Ok(log) => log,
        Err(problem) => return fail(&problem, &unknown, 1),
    };
    unknown.iter().for_each(|warning| warn!("{warning}"));
    ignored.iter().for_each(|note| info!("{note}"));
    let served = serve::run(options, work, &addrs);
    drop(log);
    served.unwrap_or_else(|problem| fail(&problem, &[], 1))
}

/// What the options come to: where to listen, what to do, and which of them are ignored.
fn prepare(options: &Options) -> Result<(Vec<Addr>, Work, Vec<String>), String> {
    let ignored = check::check(options)?;
    let addrs =
        bind::resolve(options).map_err(|problem| options.origins.blame("listen", problem))?;
    let work = Work::of(options)?;
    Ok((addrs, work, ignored))
}

/// Prints what clap has to say: the help, or what is wrong.
fn tell(said: &clap::Error, warnings: &[String]) -> ExitCode {
    if said.use_stderr() {
        warn_of(warnings);
        let _ = said.print(); // as in `fail`
        return ExitCode::from(2);
    }
    match said.print() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS, // whoever reads the help need not read it to its end
    }
}

/// One clear sentence, where clap puts its own.
fn fail(problem: &str, warnings: &[String], code: u8) -> ExitCode {
    warn_of(warnings);
    say("error", problem);
    ExitCode::from(code)
}

fn warn_of(warnings: &[String]) {
    for warning in warnings {
        say("warning", warning);
    }
}

/// Prints on stderr. Where nothing can be written, the exit code has to say it.
fn say(what: &str, text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{what}: {text}");
}
