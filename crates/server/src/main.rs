#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop::core::report` does not
//! The server: many TCP clients on one epoll loop.
//!
//! `serve` is its life from start to drain; read it first. `conversation` decides what happens to a
//! client, without I/O. `mode` says what the server itself sends; `peer`, what a client is
//! connected to instead. `access` says which clients may connect, and `handshake` does what some of
//! them need before their service starts. `connection` and `relayed` drive a conversation for the styles that poll,
//! `task` (async) and `green`; `callbacks` and `piped` drive it by callbacks. `dispatch` knows the
//! styles.

mod acceptor;
#[cfg_attr(not(feature = "access"), path = "no_access.rs")]
mod access;
#[cfg_attr(not(feature = "admin"), path = "no_access_log.rs")]
mod access_log;
#[cfg_attr(not(feature = "admin"), path = "no_admin.rs")]
mod admin;
mod adopted;
mod bind;
mod budget;
mod callback_client;
mod callbacks;
mod chat;
mod check;
mod client;
mod client_notes;
mod clients;
mod close_reason;
mod commands;
#[cfg(feature = "config")]
mod config_file;
mod configuration;
mod connection;
mod conversation;
#[cfg_attr(
    not(feature = "admin"),
    allow(dead_code, reason = "operators read the counts")
)]
mod counters;
mod deadlines;
mod dispatch;
mod endpoint;
mod failure;
mod features;
mod green;
mod handshake;
mod holder;
mod inspect;
mod introduction;
mod keepalive;
mod limits;
mod line_writer;
mod logging;
mod messages;
mod mode;
mod nearest;
mod notice;
mod notices;
mod open_files;
mod options;
mod origins;
mod output;
mod peer;
mod permissions;
mod piped;
mod plan;
mod process_stat;
mod program;
mod refusals;
mod relayed;
mod reload;
mod reports;
mod section;
mod self_connect;
mod serve;
mod server;
mod service;
mod serving_loop;
mod shared_service;
mod socket_file;
mod stop;
#[cfg_attr(not(feature = "systemd"), path = "no_systemd.rs")]
mod systemd;
mod task;
mod upstream;
mod values;
mod waiters;
mod work;

use access_log::AccessLogFile;
use commands::Verb;
use failure::Failure;
use messages::{print, print_warnings};
use oneloop::signal::{number::SIGCHLD, restore_default};
use plan::Plan;
use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use systemd::passed::Passed;
use tracing::{info, warn};

fn main() -> ExitCode {
    // While SIGCHLD is ignored, the kernel discards exit statuses (wait(2)), and programs would
    // inherit that. A sandbox that refuses the change is no reason not to serve.
    let _ = restore_default(SIGCHLD);
    let args: Vec<OsString> = env::args_os().collect();
    match Verb::of(&args) {
        Some(verb) => verb.run(&args),
        None => serve(&args),
    }
}

fn serve(args: &[OsString]) -> ExitCode {
    // Before any file is opened: it could get the number of a socket that is missing.
    let passed = Passed::take();
    // Found before the options are read: a misspelled variable is often the reason why those are
    // wrong, so its warning comes first.
    let unknown = configuration::unknown_variables();
    // Everything that the command line alone can get wrong fails here, in plain text and with
    // exit code 2, before the log starts.
    let plan = match configuration::parse(&commands::tree(), args).and_then(Plan::of) {
        Ok(plan) => plan,
        Err(refusal) => return refusal.print(&unknown),
    };
    let passed = match passed {
        Ok(passed) => passed,
        Err(problem) => return fail(&Failure::usage(problem), &unknown),
    };
    // Not part of the plan: `oneloop check` creates no file.
    let access_log = match AccessLogFile::open(plan.first()) {
        Ok(file) => file,
        Err(problem) => return fail(&Failure::usage(problem), &unknown),
    };
    let log = match logging::start(plan.process()) {
        Ok(log) => log,
        Err(problem) => return fail(&problem.into(), &unknown),
    };
    let access_log = match access_log.map(AccessLogFile::start).transpose() {
        Ok(writer) => writer,
        Err(problem) => return fail(&problem.into(), &unknown),
    };
    // Once the log runs, warnings must be in its format, or a reader of JSON lines would stumble.
    unknown.iter().for_each(|warning| warn!("{warning}"));
    plan.ignored.iter().for_each(|note| info!("{note}"));
    let served = serve::run(plan, passed);
    drop(access_log); // logs how many lines were lost
    drop(log); // so that a failure is the last line
    served.unwrap_or_else(|failure| fail(&failure, &[]))
}

/// Prints one sentence, as clap does for its own errors.
fn fail(failure: &Failure, warnings: &[String]) -> ExitCode {
    print_warnings(warnings);
    print("error", &failure.problem);
    ExitCode::from(failure.exit_code)
}
