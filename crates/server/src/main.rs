#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop::core::report` does not
//! The server: many TCP clients on one epoll loop.
//!
//! `serve` is its life from start to drain; read it first. `conversation` decides what happens to a
//! client, without I/O. `mode` says what the server itself sends; `peer`, what a client is
//! connected to instead. `connection` and `relayed` drive a conversation for the styles that poll,
//! `task` (async) and `green`; `callbacks` and `piped` drive it by callbacks. `dispatch` knows the
//! styles.

mod acceptor;
mod adopted;
mod bind;
mod budget;
mod callback_client;
mod callbacks;
mod chat;
mod check;
mod client;
mod clients;
mod close_reason;
mod configuration;
mod connection;
mod conversation;
mod deadlines;
mod dispatch;
mod endpoint;
mod failure;
mod green;
mod holder;
mod inspect;
mod keepalive;
mod limits;
mod logging;
mod mode;
mod notice;
mod notices;
mod open_files;
mod options;
mod origins;
mod output;
mod peer;
mod piped;
mod process_stat;
mod program;
mod relayed;
mod reports;
mod self_connect;
mod serve;
mod server;
mod service;
mod socket_file;
mod stop;
mod task;
mod upstream;
mod values;
mod waiters;
mod work;

use failure::Failure;
use oneloop::net::Addr;
use oneloop::signal::{number::SIGCHLD, restore_default};
use options::Options;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use tracing::{info, warn};
use work::Work;

fn main() -> ExitCode {
    // While SIGCHLD is ignored, the kernel discards exit statuses (wait(2)), and programs would
    // inherit that. A sandbox that refuses the change is no reason not to serve.
    let _ = restore_default(SIGCHLD);
    // Found before the options are read: a misspelled variable is often the reason why those are
    // wrong, so its warning comes first.
    let unknown = configuration::unknown_variables();
    let options = match configuration::read() {
        Ok(options) => options,
        Err(message) => return print_clap(&message, &unknown),
    };
    // Everything that the command line alone can get wrong fails here, in plain text and with
    // exit code 2, before the log starts.
    let (addrs, work, ignored) = match prepare(&options) {
        Ok(prepared) => prepared,
        Err(problem) => return fail(&Failure::usage(problem), &unknown),
    };
    let log = match logging::start(&options) {
        Ok(log) => log,
        Err(problem) => return fail(&problem.into(), &unknown),
    };
    // Once the log runs, warnings must be in its format, or a reader of JSON lines would stumble.
    unknown.iter().for_each(|warning| warn!("{warning}"));
    ignored.iter().for_each(|note| info!("{note}"));
    let served = serve::run(options, work, &addrs);
    drop(log); // so that a failure is the last line
    served.unwrap_or_else(|failure| fail(&failure, &[]))
}

/// What follows from the options: where to listen, what to do, and which of them are ignored.
fn prepare(options: &Options) -> Result<(Vec<Addr>, Work, Vec<String>), String> {
    let ignored = check::check(options)?;
    let addrs =
        bind::resolve(options).map_err(|problem| options.origins.blame("listen", problem))?;
    let work = Work::of(options)?;
    Ok((addrs, work, ignored))
}

/// Prints clap's message: the help, the version, or what is wrong.
fn print_clap(message: &clap::Error, warnings: &[String]) -> ExitCode {
    if message.use_stderr() {
        print_warnings(warnings);
        let _ = message.print(); // as in `print`
        return ExitCode::from(2);
    }
    match message.print() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS, // `--help | head` closes the pipe early
    }
}

/// Prints one sentence, as clap does for its own errors.
fn fail(failure: &Failure, warnings: &[String]) -> ExitCode {
    print_warnings(warnings);
    print("error", &failure.problem);
    ExitCode::from(failure.exit_code)
}

fn print_warnings(warnings: &[String]) {
    for warning in warnings {
        print("warning", warning);
    }
}

/// Prints a line on stderr. Where nothing can be written, the exit code has to say it.
fn print(level: &str, text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{level}: {text}");
}
