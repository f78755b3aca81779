//! `oneloop check`: what a start would find wrong, without a start.

use crate::configuration;
use crate::messages::print_warnings;
use crate::options::Options;
use crate::plan::Plan;
use clap::{Command, CommandFactory};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

const DETAILS: &str = "\
It reads the flags, the variables and the file that the server would read, and resolves the names to
listen on. It does not listen or connect, so it cannot find what only a start shows, such as an
address that is in use.
Exit codes: 0 and the line `ok` if nothing is wrong; 2 and a line for each problem otherwise.";

/// Its flags are those of the server.
pub(crate) fn command() -> Command {
    Options::command()
        .name("check")
        .bin_name("oneloop check")
        .about("Check the flags, the variables and the file of --config, and start nothing")
        .after_help(DETAILS)
}

/// Checks the options of this command line.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let unknown = configuration::unknown_variables();
    match configuration::parse(&command(), args).and_then(Plan::of) {
        Ok(plan) => {
            print_warnings(&unknown);
            print_warnings(&plan.ignored);
            let _ = writeln!(io::stdout().lock(), "ok"); // the exit code says it as well
            ExitCode::SUCCESS
        }
        Err(refusal) => refusal.print(&unknown),
    }
}
