//! Why the server did not run, or not to its end.

use std::io;

/// A failure of the whole program.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One sentence for stderr.
    pub(crate) problem: String,
    /// 1 when something failed, 2 for a wrong command line.
    pub(crate) exit_code: u8,
}

impl Failure {
    /// The command line is wrong.
    pub(crate) fn usage(problem: String) -> Self {
        Failure {
            problem,
            exit_code: 2,
        }
    }
}

impl From<String> for Failure {
    fn from(problem: String) -> Self {
        Failure {
            problem,
            exit_code: 1,
        }
    }
}

/// The system's message in lower case and without its number.
pub(crate) fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or(&text)
        .to_lowercase()
}
