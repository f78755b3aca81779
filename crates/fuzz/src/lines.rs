//! Lines that arrive in chunks.

use crate::input::Input;
use oneloop::net::{LineSplitter, LineTooLong};

/// The longest line, in bytes, that a run allows.
const BYTES_MAX: usize = 8;

/// However the bytes are cut, the lines are those of the whole text, and the memory is bounded.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let (with_returns, bytes_max) = (input.is(), input.below(BYTES_MAX + 1));
    let mut chunks = Vec::new();
    while !input.is_empty() {
        let length = input.below(5 * BYTES_MAX);
        chunks.push(input.bytes(length));
    }
    let splitter = match with_returns {
        true => LineSplitter::with_returns(bytes_max),
        false => LineSplitter::new(bytes_max),
    };
    let lines = split(splitter, bytes_max, &chunks);
    let text = chunks.concat();
    assert_eq!(lines, lines_of(&text, with_returns, bytes_max));
}

/// The lines, and `None` for a line that is too long.
fn split(mut splitter: LineSplitter, bytes_max: usize, chunks: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
    let mut lines = Vec::new();
    for chunk in chunks {
        let mut rest = *chunk;
        loop {
            match splitter.next_line(&mut rest) {
                Ok(None) => break assert!(rest.is_empty()),
                Ok(Some(line)) => lines.push(Some(line.to_vec())),
                Err(LineTooLong { .. }) => lines.push(None),
            }
        }
        assert!(splitter.waiting_bytes() <= bytes_max + 1);
    }
    match splitter.last_line() {
        Ok(last) => lines.extend(last.map(|line| Some(line.to_vec()))),
        Err(LineTooLong { .. }) => lines.push(None),
    }
    assert_eq!(splitter.waiting_bytes(), 0);
    assert!(splitter.take_waiting().is_empty());
    lines
}

/// The same, of the whole text at once.
fn lines_of(text: &[u8], with_returns: bool, bytes_max: usize) -> Vec<Option<Vec<u8>>> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_end = |byte: &u8| *byte == b'\n' || (with_returns && *byte == b'\r');
        let end = rest.iter().position(is_end);
        let (line, behind) = rest.split_at(end.unwrap_or(rest.len()));
        // A return in front of a line feed belongs to the end.
        let length = match line {
            [line @ .., b'\r'] if end.is_some() => line.len(),
            line => line.len(),
        };
        lines.push((length <= bytes_max).then(|| line[..length].to_vec()));
        rest = match behind {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] | rest => rest,
        };
    }
    lines
}
