//! Splits bytes into lines, whatever the chunks are: no I/O, and bounded memory.

use std::fmt;
use std::io;

/// Splits bytes that arrive in chunks into lines.
///
/// [`new`](Self::new) ends a line at `\n` and `\r\n`, as `std`'s and tokio's `lines()` do.
/// [`with_returns`](Self::with_returns) also ends it at a `\r` alone, as Node's readline does. A
/// line within one chunk is a slice of that chunk: only a line that spans chunks is copied, and its
/// buffer is freed with the line, so a source that waits between two lines holds no memory.
///
/// ```
/// use oneloop::net::LineSplitter;
///
/// let mut splitter = LineSplitter::new(80);
/// let mut lines = Vec::new();
/// for mut chunk in [&b"GET a\r\nGE"[..], b"T b\nla", b"st"] {
///     while let Some(line) = splitter.next_line(&mut chunk)? {
///         lines.push(String::from_utf8_lossy(line).into_owned());
///     }
/// }
/// let last = splitter.last_line()?.expect("a line without an end");
/// lines.push(String::from_utf8_lossy(last).into_owned());
/// assert_eq!(lines, ["GET a", "GET b", "last"]);
/// # Ok::<(), oneloop::net::LineTooLong>(())
/// ```
pub struct LineSplitter {
    /// The beginning of a line that no chunk has completed, or the completed line that the caller
    /// has.
    line: Vec<u8>,
    bytes_max: usize,
    is_complete: bool,
    /// A `\r` alone ends a line, too.
    splits_at_returns: bool,
    /// The last chunk ended with a `\r`: a `\n` that comes next belongs to the same end.
    is_after_return: bool,
    /// The line is too long, which was reported. Its rest is skipped.
    is_skipping: bool,
}

/// A line has more bytes than the limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong {
    /// The maximum size of a line in bytes, without its end.
    pub bytes_max: usize,
}

impl fmt::Display for LineTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a line is longer than {} bytes", self.bytes_max)
    }
}

impl std::error::Error for LineTooLong {}

/// Becomes an [`InvalidData`](io::ErrorKind::InvalidData).
impl From<LineTooLong> for io::Error {
    fn from(error: LineTooLong) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

impl fmt::Debug for LineSplitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineSplitter({} bytes wait)", self.waiting_bytes())
    }
}

impl LineSplitter {
    /// A line ends at `\n` or `\r\n`, and has at most `bytes_max` bytes without that end.
    pub fn new(bytes_max: usize) -> Self {
        LineSplitter {
            line: Vec::new(),
            bytes_max,
            is_complete: false,
            splits_at_returns: false,
            is_after_return: false,
            is_skipping: false,
        }
    }

    /// A line ends at `\n`, `\r\n` or a `\r` alone, and has at most `bytes_max` bytes without that
    /// end. A `\r` at the end of a chunk ends its line at once; a `\n` that follows it belongs to
    /// the same end, however late it comes: Node's `crlfDelay: Infinity`.
    pub fn with_returns(bytes_max: usize) -> Self {
        LineSplitter {
            splits_at_returns: true,
            ..LineSplitter::new(bytes_max)
        }
    }

    /// Takes bytes off the front of `chunk`, up to the end of the next line, and returns the line
    /// without its end. `None` takes all bytes: the line needs the next chunk.
    ///
    /// # Errors
    /// [`LineTooLong`], as soon as the line exceeds the limit. The rest of that line is skipped,
    /// and the next call continues with the line behind it.
    pub fn next_line<'a, 'chunk: 'a>(
        &'a mut self,
        chunk: &mut &'chunk [u8],
    ) -> Result<Option<&'a [u8]>, LineTooLong> {
        if std::mem::take(&mut self.is_complete) {
            self.line = Vec::new(); // the caller has used it
        }
        loop {
            if !chunk.is_empty() && std::mem::take(&mut self.is_after_return) {
                *chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
            }
            let Some(at) = find_end(chunk, self.splits_at_returns) else {
                self.keep(std::mem::take(chunk))?;
                return Ok(None);
            };
            let (part, end) = (&chunk[..at], chunk[at]);
            let rest = &chunk[at + 1..];
            // All of the end that has arrived: what follows may be more than lines.
            let pair = rest.strip_prefix(b"\n").filter(|_| end == b'\r');
            *chunk = pair.unwrap_or(rest);
            self.is_after_return = end == b'\r' && rest.is_empty();
            if !std::mem::take(&mut self.is_skipping) {
                return self.complete(part).map(Some);
            }
        }
    }

    /// Returns the last line, if the bytes did not end with the end of a line. The splitter can
    /// then begin with other bytes.
    ///
    /// # Errors
    /// [`LineTooLong`], if a `\r` at the very end, which ends no line, exceeds the limit.
    pub fn last_line(&mut self) -> Result<Option<&[u8]>, LineTooLong> {
        let is_open = !self.is_complete && !self.line.is_empty();
        let last = std::mem::take(&mut self.line);
        *self = LineSplitter {
            splits_at_returns: self.splits_at_returns,
            ..LineSplitter::new(self.bytes_max)
        };
        if !is_open {
            return Ok(None);
        }
        self.check(&last)?;
        self.line = last;
        self.is_complete = true;
        Ok(Some(&self.line))
    }

    /// Takes the bytes that wait for the end of their line: what follows is no line.
    pub fn take_waiting(&mut self) -> Vec<u8> {
        let waiting = std::mem::take(&mut self.line);
        match std::mem::take(&mut self.is_complete) {
            true => Vec::new(), // the caller has had it
            false => waiting,
        }
    }

    /// The number of bytes that wait for the end of their line.
    pub fn waiting_bytes(&self) -> usize {
        if self.is_complete { 0 } else { self.line.len() }
    }

    /// Keeps the beginning of a line for the next chunk.
    fn keep(&mut self, part: &[u8]) -> Result<(), LineTooLong> {
        if self.is_skipping || part.is_empty() {
            return Ok(());
        }
        // A `\r` is the beginning of the end, if a `\n` follows.
        let may_be_end = !self.splits_at_returns && part.last() == Some(&b'\r');
        let bytes_max = self.bytes_max.saturating_add(may_be_end.into());
        if self.line.len() + part.len() > bytes_max {
            self.line = Vec::new();
            self.is_skipping = true;
            return Err(self.too_long());
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// Returns the line that ends with `part`.
    fn complete<'a>(&'a mut self, part: &'a [u8]) -> Result<&'a [u8], LineTooLong> {
        self.is_complete = true;
        let line = match self.line.is_empty() {
            true => part,
            false => {
                self.line.extend_from_slice(part);
                &self.line
            }
        };
        let line = match self.splits_at_returns {
            true => line,
            false => line.strip_suffix(b"\r").unwrap_or(line),
        };
        self.check(line)?;
        Ok(line)
    }

    fn check(&self, line: &[u8]) -> Result<(), LineTooLong> {
        match line.len() <= self.bytes_max {
            true => Ok(()),
            false => Err(self.too_long()),
        }
    }

    fn too_long(&self) -> LineTooLong {
        LineTooLong {
            bytes_max: self.bytes_max,
        }
    }
}

/// The position of the first byte that ends a line.
fn find_end(bytes: &[u8], splits_at_returns: bool) -> Option<usize> {
    let is_end = |byte: &u8| *byte == b'\n' || (splits_at_returns && *byte == b'\r');
    // The compiler turns a whole block without an early exit into a few vector instructions.
    const BLOCK_BYTES: usize = 32;
    let has_none = |block: &&[u8]| !block.iter().fold(false, |found, byte| found | is_end(byte));
    let blocks = bytes.chunks_exact(BLOCK_BYTES).take_while(has_none);
    let skipped = blocks.count() * BLOCK_BYTES;
    let end = bytes[skipped..].iter().position(is_end);
    end.map(|end| skipped + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `text`, cut at the places given, and `None` for a line that is too long.
    fn split(mut splitter: LineSplitter, chunks: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        for chunk in chunks {
            let mut chunk = *chunk;
            loop {
                match splitter.next_line(&mut chunk) {
                    Ok(None) => break assert_eq!(chunk, b""),
                    Ok(Some(line)) => lines.push(Some(line.to_vec())),
                    Err(LineTooLong { .. }) => lines.push(None),
                }
            }
        }
        match splitter.last_line() {
            Ok(last) => lines.extend(last.map(|last| Some(last.to_vec()))),
            Err(LineTooLong { .. }) => lines.push(None),
        }
        lines
    }

    /// The same lines, found in the whole text at once.
    fn model(text: &[u8], bytes_max: usize, splits_at_returns: bool) -> Vec<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        let mut line = Vec::new();
        let mut bytes = text.iter().copied().peekable();
        let mut end = |line: &mut Vec<u8>| {
            let line = std::mem::take(line);
            lines.push((line.len() <= bytes_max).then_some(line));
        };
        while let Some(byte) = bytes.next() {
            let is_pair = byte == b'\r' && bytes.peek() == Some(&b'\n');
            if is_pair {
                bytes.next();
            }
            match byte {
                b'\n' => end(&mut line),
                b'\r' if is_pair || splits_at_returns => end(&mut line),
                _ => line.push(byte),
            }
        }
        if !line.is_empty() {
            end(&mut line);
        }
        lines
    }

    /// All texts of `len` bytes out of these four.
    fn texts(len: usize) -> impl Iterator<Item = Vec<u8>> {
        (0..4_usize.pow(len as u32)).map(move |number| {
            let digit = |at: usize| number / 4_usize.pow(at as u32) % 4;
            (0..len).map(|at| b"ab\r\n"[digit(at)]).collect()
        })
    }

    #[test]
    fn every_short_text_has_the_lines_of_the_model_however_it_is_cut() {
        for text in (0..=5).flat_map(texts) {
            for cuts in 0..1_u32 << text.len().saturating_sub(1) {
                let mut chunks = Vec::new();
                let mut begin = 0;
                for at in 1..text.len() {
                    if cuts & (1 << (at - 1)) != 0 {
                        chunks.push(&text[begin..at]);
                        begin = at;
                    }
                }
                chunks.push(&text[begin..]);
                for bytes_max in [1, 2, 9] {
                    let newlines = split(LineSplitter::new(bytes_max), &chunks);
                    assert_eq!(newlines, model(&text, bytes_max, false), "{chunks:?}");
                    let returns = split(LineSplitter::with_returns(bytes_max), &chunks);
                    assert_eq!(returns, model(&text, bytes_max, true), "{chunks:?}");
                }
            }
        }
    }

    #[test]
    fn an_end_is_found_at_every_position_of_a_block() {
        for at in 0..100 {
            let mut bytes = [b'a'; 100];
            bytes[at] = b'\r';
            assert_eq!(find_end(&bytes, false), None);
            assert_eq!(find_end(&bytes, true), Some(at));
            bytes[at] = b'\n';
            assert_eq!(find_end(&bytes, false), Some(at));
        }
    }

    #[test]
    fn a_line_without_an_end_takes_bounded_memory() {
        let mut splitter = LineSplitter::new(1000);
        let mut errors = 0;
        for _ in 0..100 {
            errors += usize::from(splitter.next_line(&mut &[b'a'; 999][..]).is_err());
            assert!(splitter.line.capacity() <= 1000);
        }
        assert_eq!(errors, 1, "the line is reported once");
        let mut chunk = &b"the end\nnext\n"[..];
        assert_eq!(splitter.next_line(&mut chunk), Ok(Some(&b"next"[..])));
    }

    #[test]
    fn a_source_that_waits_between_two_lines_holds_no_memory() {
        let mut splitter = LineSplitter::new(80);
        assert_eq!(splitter.next_line(&mut &b"one l"[..]), Ok(None));
        let mut chunk = &b"ine\n"[..];
        assert_eq!(splitter.next_line(&mut chunk), Ok(Some(&b"one line"[..])));
        assert_eq!(splitter.next_line(&mut chunk), Ok(None));
        assert_eq!(splitter.line.capacity(), 0);
    }

    #[test]
    fn a_line_within_a_chunk_is_not_copied() {
        let mut splitter = LineSplitter::with_returns(80);
        let text = b"one\r\ntwo";
        let mut chunk = &text[..];
        let line = splitter.next_line(&mut chunk).unwrap().unwrap();
        assert_eq!(line.as_ptr(), text.as_ptr());
        assert_eq!(chunk, b"two", "the whole end is taken");
    }
}
