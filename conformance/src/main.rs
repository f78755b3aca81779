#![forbid(unsafe_code)]
//! Runs one of the programs that also exist in JavaScript or Python:
//! `oneloop-conformance node 01_phases`.
//!
//! A program runs on virtual time unless it waits for other processes or threads, which take real
//! time: a timer of 150 ms in Node takes no time here, and fires in the same order.

mod eventlet;
mod gevent;
mod node;

use oneloop::callback::{self, Thrown};
use oneloop::core::{Clock, PoolOptions};
use oneloop::{EventLoop, Options, green};
use std::io;
use std::process::ExitCode;

/// A program in the style of its twin.
#[derive(Clone, Copy)]
enum Program {
    Callback(fn() -> Result<(), Thrown>),
    /// A program that waits for other processes.
    CallbackInRealTime(fn() -> Result<(), Thrown>),
    Green(fn()),
    /// A program that waits for other threads, or that computes to let time pass.
    GreenInRealTime(fn()),
}

/// The programs of one folder, each by the name of its twin.
type Suite = &'static [(&'static str, Program)];

const SUITES: &[(&str, Suite)] = &[
    ("eventlet", eventlet::PROGRAMS),
    ("gevent", gevent::PROGRAMS),
    ("node", node::PROGRAMS),
];

impl Program {
    fn run(self) -> io::Result<u8> {
        let clock = match self {
            Program::CallbackInRealTime(_) | Program::GreenInRealTime(_) => Clock::new(),
            Program::Callback(_) | Program::Green(_) => Clock::new_virtual(),
        };
        // One thread completes the file operations in the order of their calls. With several, a
        // busy machine may stop one thread in the middle of an operation while another one
        // completes the next three, here as in Node.
        let pool = PoolOptions {
            fs_threads_max: 1,
            ..PoolOptions::default()
        };
        let options = Options {
            clock,
            pool,
            ..Options::default()
        };
        let mut event_loop = EventLoop::with(options)?;
        match self {
            Program::Callback(program) | Program::CallbackInRealTime(program) => {
                callback::run_on(&mut event_loop, program)
            }
            Program::Green(program) | Program::GreenInRealTime(program) => {
                green::run_on(&mut event_loop, program)?;
                Ok(0)
            }
        }
    }
}

fn find<T: Copy>(named: &[(&str, T)], name: Option<String>) -> Result<T, String> {
    let found = named
        .iter()
        .find(|(other, _)| Some(*other) == name.as_deref());
    let names = || named.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    found
        .map(|(_, found)| *found)
        .ok_or_else(|| format!("expected one of: {}", names().join(" ")))
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let program = find(SUITES, args.next()).and_then(|suite| find(suite, args.next()));
    let program = match program {
        Ok(program) => program,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    match program.run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
