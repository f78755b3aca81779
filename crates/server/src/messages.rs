//! What the program prints on stderr before the log starts.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// What is wrong with the flags, the variables or the file.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// clap's message: the help, the version, or what is wrong with a flag or a variable.
    Clap(Box<clap::Error>),
    /// A sentence for each problem.
    Problems(Vec<String>),
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        Refusal::Clap(Box::new(error))
    }
}

impl From<String> for Refusal {
    fn from(problem: String) -> Self {
        Refusal::Problems(vec![problem])
    }
}

impl Refusal {
    /// Prints it after these warnings; returns the exit code.
    pub(crate) fn print(&self, warnings: &[String]) -> ExitCode {
        match self {
            Refusal::Clap(message) => print_clap(message, warnings),
            Refusal::Problems(problems) => {
                print_warnings(warnings);
                problems.iter().for_each(|problem| print("error", problem));
                ExitCode::from(2)
            }
        }
    }
}

/// Prints the help, the version, or what is wrong.
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

pub(crate) fn print_warnings(warnings: &[String]) {
    for warning in warnings {
        print("warning", warning);
    }
}

/// Prints a line on stderr. Where nothing can be written, the exit code has to say it.
pub(crate) fn print(level: &str, text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{level}: {text}");
}
