//! The lines that a process prints, as they come.

use super::DEADLINE;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

/// What a process prints, one line at a time.
#[derive(Debug)]
pub(crate) struct Lines {
    coming: Receiver<String>,
    /// The lines that came so far.
    pub(crate) seen: Vec<String>,
}

impl Lines {
    pub(crate) fn of(pipe: impl Read + Send + 'static) -> Self {
        let (line, coming) = mpsc::channel();
        thread::spawn(move || {
            for text in BufReader::new(pipe).lines().map_while(Result::ok) {
                // To the end, even if no test reads the lines: a full pipe would block the process.
                let _ = line.send(text);
            }
        });
        Lines {
            coming,
            seen: Vec::new(),
        }
    }

    /// The next line; `None` once the process has closed its end.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<String> {
        match self.coming.recv_timeout(DEADLINE) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line came after {:#?}", self.seen),
        }
    }

    /// The next line that contains this text.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        while let Some(line) = self.next() {
            if line.contains(text) {
                return line;
            }
        }
        panic!("no line with {text:?} came: {:#?}", self.seen);
    }

    /// True if a line with this text has come since the last call.
    pub(crate) fn has_come(&mut self, text: &str) -> bool {
        let before = self.seen.len();
        self.seen.extend(self.coming.try_iter());
        self.seen[before..].iter().any(|line| line.contains(text))
    }

    /// All lines, once the process has closed its end.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> &[String] {
        while self.next().is_some() {}
        &self.seen
    }
}
