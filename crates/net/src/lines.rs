//! The lines of a byte stream, of bounded length; a wait that loses a race loses no byte.

use crate::buffer::{CHUNK_BYTES, Chunk, Unsplit};
use crate::line_splitter::{LineSplitter, LineTooLong};
use crate::stream::{AsSource, ReadHalf, utf8};
use oneloop_core::Direction;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Deref;
use std::task::{Context, Poll, ready};

/// The lines of a byte stream: [`TcpStream::lines`](crate::TcpStream::lines) and the same method of
/// every other stream that can be read.
///
/// A line ends at `\n` or `\r\n`, which is not part of it; the last line needs no end. It holds the
/// bytes of a line that has not ended, at most `bytes_max`, and those that arrived behind the
/// returned lines, at most [`CHUNK_BYTES`].
///
/// It borrows the stream, which other tasks can write meanwhile, because a write needs no `&mut`
/// either. Where a reference is too short-lived, [`Lines::new`] takes an `Rc` of the stream, or a
/// socket itself.
///
/// ```
/// use oneloop::aio::{UnixStream, block_on};
/// # fn main() -> std::io::Result<()> {
/// block_on(async {
///     let (client, server) = UnixStream::pair()?;
///     client.write_all(b"tea\ntoast\r\n").await?;
///     drop(client);
///     let mut lines = server.lines(80);
///     let mut order = Vec::new();
///     while let Some(line) = lines.next().await? {
///         order.push(line);
///     }
///     assert_eq!(order, ["tea", "toast"]);
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias(
    "AsyncBufReadExt",
    "BufReader",
    "read_line",
    "read_until",
    "LinesCodec"
))]
pub struct Lines<S> {
    stream: S,
    reader: LineReader,
}

impl<S> Lines<S>
where
    S: Deref,
    S::Target: ReadHalf,
{
    /// The lines of a stream, each of at most `bytes_max` bytes without its end. The stream is
    /// passed by reference, or in an `Rc` that other tasks share; a `TcpStream` and a `UnixStream`
    /// can be passed as they are.
    ///
    /// ```
    /// use oneloop::aio::{UnixStream, block_on, spawn};
    /// use oneloop::net::Lines;
    /// use std::rc::Rc;
    /// # fn main() -> std::io::Result<()> {
    /// block_on(async {
    ///     let (client, server) = UnixStream::pair()?;
    ///     let server = Rc::new(server);
    ///     let mut lines = Lines::new(Rc::clone(&server), 80);
    ///     let reader = spawn(async move { lines.next().await });
    ///     server.write_all(b"welcome\n").await?;
    ///     client.write_all(b"tea\n").await?;
    ///     assert_eq!(reader.await??, Some("tea".to_owned()));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn new(stream: S, bytes_max: usize) -> Self {
        Lines {
            stream,
            reader: LineReader::new(bytes_max),
        }
    }

    /// Waits for the next line. Returns `None` when the peer sends no more.
    ///
    /// Cancel safe: dropped before it is ready, it has lost nothing, not even the beginning of a
    /// line. So it can lose a race or a timeout, and the next call continues.
    ///
    /// # Errors
    /// Those of `recv(2)` or `read(2)`: `ECONNRESET`. [`InvalidData`](io::ErrorKind::InvalidData)
    /// around a [`LineTooLong`](crate::LineTooLong) as soon as a line exceeds the limit; the rest
    /// of that line is skipped. `InvalidData` around a
    /// [`FromUtf8Error`](std::string::FromUtf8Error), which has the bytes, if a line is not UTF-8.
    /// In both cases the next call continues with the next line.
    ///
    /// ```
    /// use oneloop::aio::{UnixStream, block_on};
    /// use oneloop::net::LineTooLong;
    /// # fn main() -> std::io::Result<()> {
    /// block_on(async {
    ///     let (client, server) = UnixStream::pair()?;
    ///     client.write_all(b"far too long\nshort\n").await?;
    ///     let mut lines = server.lines(8);
    ///     let error = lines.next().await.unwrap_err();
    ///     assert_eq!(error.to_string(), "a line is longer than 8 bytes");
    ///     assert!(error.get_ref().is_some_and(|error| error.is::<LineTooLong>()));
    ///     assert_eq!(lines.next().await?, Some("short".to_owned()));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias = "next_line")]
    #[expect(
        clippy::should_implement_trait,
        reason = "an async iterator has a next as well"
    )]
    pub fn next(&mut self) -> impl Future<Output = io::Result<Option<String>>> {
        let (half, reader) = (&*self.stream, &mut self.reader);
        half.source()
            .io(Direction::Read, move |cx| reader.poll_next(cx, half))
    }

    /// Waits for the next line, whatever its bytes are. Cancel safe: see [`Lines::next`].
    ///
    /// # Errors
    /// As [`Lines::next`], except for lines that are not UTF-8.
    pub fn next_bytes(&mut self) -> impl Future<Output = io::Result<Option<Vec<u8>>>> {
        let (half, reader) = (&*self.stream, &mut self.reader);
        half.source()
            .io(Direction::Read, move |cx| reader.poll_next_bytes(cx, half))
    }

    /// Reads what is behind the lines that were returned, as it arrives: for a protocol whose
    /// header is lines and whose body is not. Returns `None` when the peer sends no more. Cancel
    /// safe.
    ///
    /// ```
    /// use oneloop::aio::{UnixStream, block_on};
    /// # fn main() -> std::io::Result<()> {
    /// block_on(async {
    ///     let (client, server) = UnixStream::pair()?;
    ///     client.write_all(b"length: 5\r\n\r\n\x01\x02\n\x04\x05").await?;
    ///     let mut lines = server.lines(80);
    ///     assert_eq!(lines.next().await?, Some("length: 5".to_owned()));
    ///     assert_eq!(lines.next().await?, Some(String::new()));
    ///     assert_eq!(&*lines.read_chunk().await?.unwrap(), b"\x01\x02\n\x04\x05");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of `recv(2)` or `read(2)`: `ECONNRESET`.
    pub fn read_chunk(&mut self) -> impl Future<Output = io::Result<Option<Chunk>>> {
        let (half, reader) = (&*self.stream, &mut self.reader);
        half.source()
            .io(Direction::Read, move |cx| reader.poll_read_chunk(cx, half))
    }

    /// The stream, to write to it.
    pub fn stream(&self) -> &S::Target {
        &self.stream
    }
}

impl<S> fmt::Debug for Lines<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reader.fmt(f)
    }
}

/// Reads lines by poll functions. The stream is not stored: each poll has to pass the same one.
#[derive(Debug)]
pub struct LineReader {
    splitter: LineSplitter,
    /// What arrived behind the returned lines.
    unsplit: Unsplit,
}

impl LineReader {
    /// A reader of lines of at most `bytes_max` bytes: see [`Lines::new`].
    pub fn new(bytes_max: usize) -> Self {
        LineReader {
            splitter: LineSplitter::new(bytes_max),
            unsplit: Unsplit::default(),
        }
    }

    /// Waits for the next line: see [`Lines::next`]. While it is pending, it holds no more than the
    /// beginning of a line.
    ///
    /// # Errors
    /// As [`Lines::next`].
    pub fn poll_next<R: ReadHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        half: &R,
    ) -> Poll<io::Result<Option<String>>> {
        let line = ready!(self.poll_next_bytes(cx, half))?;
        Poll::Ready(line.map(utf8).transpose())
    }

    /// Waits for the next line, whatever its bytes are: see [`Lines::next_bytes`].
    ///
    /// # Errors
    /// As [`Lines::next_bytes`].
    pub fn poll_next_bytes<R: ReadHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        half: &R,
    ) -> Poll<io::Result<Option<Vec<u8>>>> {
        loop {
            if let Some(line) = self.take_line()? {
                return Poll::Ready(Ok(Some(line)));
            }
            let Some(chunk) = ready!(half.poll_read_chunk(cx, CHUNK_BYTES))? else {
                let last = self.splitter.last_line()?;
                return Poll::Ready(Ok(last.map(<[u8]>::to_vec)));
            };
            self.unsplit.put(chunk);
        }
    }

    /// Reads what is behind the returned lines: see [`Lines::read_chunk`].
    ///
    /// # Errors
    /// As [`Lines::read_chunk`].
    pub fn poll_read_chunk<R: ReadHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        half: &R,
    ) -> Poll<io::Result<Option<Chunk>>> {
        // Only a wait for a line that was given up leaves bytes here.
        let beginning = self.splitter.take_waiting();
        if !beginning.is_empty() {
            return Poll::Ready(Ok(Some(Chunk::of(&beginning))));
        }
        match self.unsplit.take() {
            Some(chunk) => Poll::Ready(Ok(Some(chunk))),
            None => half.poll_read_chunk(cx, CHUNK_BYTES),
        }
    }

    /// The next line that has arrived whole.
    fn take_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let LineReader { splitter, unsplit } = self;
        // Without bytes as well: the splitter frees the line that it returned before.
        let line = unsplit
            .split(|rest| Ok::<_, LineTooLong>(splitter.next_line(rest)?.map(<[u8]>::to_vec)));
        Ok(line?)
    }
}
