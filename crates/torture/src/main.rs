#![forbid(unsafe_code)]
//! Fails the k-th system call of a program, for each k and each plausible error, and judges what
//! follows.
//!
//! `torture` is the whole: a baseline without faults yields the calls, the plan pairs each call with
//! its errors, and each case is run and judged. `scenario` says what runs, `faults` which errors a
//! call may return, and `exceptions` which of them no kernel produces.

mod case;
mod cli;
mod clients;
mod exceptions;
mod faults;
mod plan;
mod scenario;
mod torture;
mod trace;
mod traced;
mod upstream;
mod verdict;

use clap::Parser;
use cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    match torture::run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("oneloop-torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}
