//! The lines of a stream, of bounded length.

use super::stream::Stream;
use oneloop_core::Direction;
use oneloop_net::{LineReader, ReadHalf};
use std::fmt;
use std::io;

/// The lines of a stream: see [`GreenIo::lines`](super::GreenIo::lines).
pub struct Lines<'a, S> {
    stream: &'a Stream<S>,
    reader: LineReader,
}

impl<S: ReadHalf> Stream<S> {
    /// The lines of this stream, each of at most `bytes_max` bytes without its end (`\n` or
    /// `\r\n`). Other green threads can write meanwhile.
    ///
    /// It differs from the lines of a [`BufReader`](std::io::BufReader) in three ways: a peer that
    /// never ends its line cannot fill the memory; a line that is interrupted by a timeout, or by
    /// the [read timeout](super::GreenIo::set_read_timeout), continues with the next call; and a
    /// thread that waits holds no buffer.
    ///
    /// ```
    /// use oneloop::green::{net::UnixStream, run};
    /// use std::io::Write;
    /// run(|| {
    ///     let (mut client, server) = UnixStream::pair()?;
    ///     client.write_all(b"tea\ntoast\n")?;
    ///     client.close();
    ///     let lines: Result<Vec<_>, _> = server.lines(80).collect();
    ///     assert_eq!(lines?, ["tea", "toast"]);
    ///     Ok::<(), std::io::Error>(())
    /// })??;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// A line is an error as in [`oneloop::net::Lines::next`](oneloop_net::Lines::next), and for
    /// the reasons of a read of this stream. After an error the next line can be read.
    ///
    /// # Panics
    /// The iterator panics outside of a green thread.
    #[doc(alias("readline", "makefile", "read_line"))]
    #[track_caller]
    pub fn lines(&self, bytes_max: usize) -> Lines<'_, S> {
        Lines {
            stream: self,
            reader: LineReader::new(bytes_max),
        }
    }
}

impl<S: ReadHalf> Iterator for Lines<'_, S> {
    type Item = io::Result<String>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<String>> {
        let Lines { stream, reader } = self;
        let next = stream.io(Direction::Read, |half, cx| reader.poll_next(cx, half));
        next.transpose()
    }
}

impl<S> fmt::Debug for Lines<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reader.fmt(f)
    }
}
