//! Frames of a byte stream, each of which begins with its length: whole ones, whatever is canceled.

use crate::buffer::{CHUNK_BYTES, Unsplit};
use crate::frame_splitter::{EncodedPrefix, FrameError, FrameSplitter, LengthPrefix};
use crate::stream::{AsSource, ReadHalf, WriteHalf};
use oneloop_core::Direction;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::ops::Deref;
use std::task::{Context, Poll, ready};

/// The frames of a byte stream: [`TcpStream::frames`](crate::TcpStream::frames) and the same method
/// of every other stream that can be read.
///
/// It holds the beginning of a frame that has not arrived whole, at most `bytes_max`, and the bytes
/// that arrived behind the returned frames, at most [`CHUNK_BYTES`]. A frame that arrives whole
/// costs one allocation, its own.
///
/// It borrows the stream, which other tasks can write meanwhile. Where a reference is too
/// short-lived, [`Frames::new`] takes an `Rc` of the stream, or a socket itself.
///
/// ```
/// use oneloop::aio::{UnixStream, block_on};
/// use oneloop::net::LengthPrefix;
/// # fn main() -> std::io::Result<()> {
/// block_on(async {
///     let (client, server) = UnixStream::pair()?;
///     let mut writer = client.frame_writer(LengthPrefix::U32Be, 1024);
///     writer.write(b"tea").await?;
///     writer.write(b"").await?;
///     client.shutdown(std::net::Shutdown::Write)?;
///     let mut frames = server.frames(LengthPrefix::U32Be, 1024);
///     assert_eq!(frames.next().await?, Some(b"tea".to_vec()));
///     assert_eq!(frames.next().await?, Some(Vec::new()));
///     assert_eq!(frames.next().await?, None);
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias("LengthDelimitedCodec", "FramedRead"))]
pub struct Frames<S> {
    stream: S,
    reader: FrameReader,
}

impl<S> Frames<S>
where
    S: Deref,
    S::Target: ReadHalf,
{
    /// The frames of a stream, each of at most `bytes_max` bytes behind its prefix. The stream is
    /// passed by reference, or in an `Rc` that other tasks share; a `TcpStream` and a `UnixStream`
    /// can be passed as they are.
    pub fn new(stream: S, prefix: LengthPrefix, bytes_max: usize) -> Self {
        Frames {
            stream,
            reader: FrameReader::new(prefix, bytes_max),
        }
    }

    /// Waits for the next frame. Returns `None` when the peer sends no more.
    ///
    /// Cancel safe: dropped before it is ready, it has lost nothing, not even the beginning of a
    /// frame. So it can lose a race or a timeout, and the next call continues.
    ///
    /// # Errors
    /// Those of `recv(2)` or `read(2)`: `ECONNRESET`. [`InvalidData`](io::ErrorKind::InvalidData)
    /// around a [`FrameError::TooLong`] as soon as the prefix of such a frame has arrived; that
    /// frame is skipped, and the next call continues with the one behind it. `InvalidData` around a
    /// [`FrameError::BadVarint`], after which the rest of the stream has no meaning.
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) around a [`FrameError::CutOff`] if the
    /// stream ends within a frame.
    ///
    /// ```
    /// use oneloop::aio::{UnixStream, block_on};
    /// use oneloop::net::LengthPrefix;
    /// # fn main() -> std::io::Result<()> {
    /// block_on(async {
    ///     let (client, server) = UnixStream::pair()?;
    ///     client.write_all(b"GET / HTTP/1.1\r\n").await?;
    ///     let mut frames = server.frames(LengthPrefix::U32Be, 65_536);
    ///     let error = frames.next().await.unwrap_err();
    ///     let text = "a frame of 1195725856 bytes exceeds the maximum of 65536 bytes";
    ///     assert_eq!(error.to_string(), text);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[expect(
        clippy::should_implement_trait,
        reason = "an async iterator has a next as well"
    )]
    pub fn next(&mut self) -> impl Future<Output = io::Result<Option<Vec<u8>>>> {
        let (half, reader) = (&*self.stream, &mut self.reader);
        half.source()
            .io(Direction::Read, move |cx| reader.poll_next(cx, half))
    }

    /// The stream, to write to it.
    pub fn stream(&self) -> &S::Target {
        &self.stream
    }
}

impl<S> fmt::Debug for Frames<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reader.fmt(f)
    }
}

/// Reads frames by poll functions. The stream is not stored: each poll has to pass the same one.
#[derive(Debug)]
pub struct FrameReader {
    splitter: FrameSplitter,
    /// What arrived behind the returned frames.
    unsplit: Unsplit,
}

impl FrameReader {
    /// A reader of frames of at most `bytes_max` bytes: see [`Frames::new`].
    pub fn new(prefix: LengthPrefix, bytes_max: usize) -> Self {
        FrameReader {
            splitter: FrameSplitter::new(prefix, bytes_max),
            unsplit: Unsplit::default(),
        }
    }

    /// Waits for the next frame: see [`Frames::next`]. While it is pending, it holds no more than
    /// the beginning of a frame.
    ///
    /// # Errors
    /// As [`Frames::next`].
    pub fn poll_next<R: ReadHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        half: &R,
    ) -> Poll<io::Result<Option<Vec<u8>>>> {
        loop {
            let FrameReader { splitter, unsplit } = &mut *self;
            let frame = unsplit.split(|rest| {
                let frame = splitter.next_frame(rest)?;
                Ok::<_, FrameError>(frame.map(Cow::into_owned))
            });
            if let Some(frame) = frame? {
                return Poll::Ready(Ok(Some(frame)));
            }
            let Some(chunk) = ready!(half.poll_read_chunk(cx, CHUNK_BYTES))? else {
                splitter.end()?;
                return Poll::Ready(Ok(None));
            };
            unsplit.put(chunk);
        }
    }
}

/// Writes frames to a byte stream: [`TcpStream::frame_writer`](crate::TcpStream::frame_writer) and
/// the same method of every other stream that can be written. [`Frames`] has an example.
///
/// A frame costs one system call and no allocation, unless the kernel takes only a part of it. The
/// writer then holds the rest until the kernel takes that, so that the peer receives whole frames
/// whatever is canceled.
#[doc(alias("LengthDelimitedCodec", "FramedWrite"))]
pub struct FrameWriter<S> {
    stream: S,
    encoder: FrameEncoder,
}

impl<S> FrameWriter<S>
where
    S: Deref,
    S::Target: WriteHalf,
{
    /// Writes to a stream frames of at most `bytes_max` bytes, the peer's limit, behind their
    /// prefix. The stream is passed as in [`Frames::new`]. Only one task should write to a stream
    /// at a time: put the writer into an `oneloop::sync::Mutex` to share it.
    pub fn new(stream: S, prefix: LengthPrefix, bytes_max: usize) -> Self {
        FrameWriter {
            stream,
            encoder: FrameEncoder::new(prefix, bytes_max),
        }
    }

    /// Writes a frame behind its prefix, and waits until the kernel has it.
    ///
    /// Cancel safe: frames stay whole. Dropped before it is ready, it has written nothing, or the
    /// writer has kept the rest, which the next write or [`FrameWriter::flush`] writes first:
    /// [`FrameWriter::waiting_bytes`] says which.
    ///
    /// # Errors
    /// Those of `send(2)` or `write(2)`: `EPIPE`, `ECONNRESET`.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) around a [`FrameError::TooLong`] if the frame
    /// exceeds the limit, or what the prefix can express; nothing is written then.
    #[doc(alias = "send")]
    pub fn write(&mut self, frame: &[u8]) -> impl Future<Output = io::Result<()>> {
        let (half, encoder) = (&*self.stream, &mut self.encoder);
        let mut progress = FrameProgress::default();
        half.source().io(Direction::Write, move |cx| {
            encoder.poll_write(cx, half, frame, &mut progress)
        })
    }

    /// Waits until the kernel has all frames. Needed only after a write that was canceled. Cancel
    /// safe: the rest stays here.
    ///
    /// # Errors
    /// As [`FrameWriter::write`].
    pub fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        let (half, encoder) = (&*self.stream, &mut self.encoder);
        half.source()
            .io(Direction::Write, move |cx| encoder.poll_flush(cx, half))
    }

    /// The number of bytes of a frame whose write was canceled halfway.
    pub fn waiting_bytes(&self) -> usize {
        self.encoder.waiting_bytes()
    }

    /// The stream, to read from it.
    pub fn stream(&self) -> &S::Target {
        &self.stream
    }
}

impl<S> fmt::Debug for FrameWriter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.encoder.fmt(f)
    }
}

/// Writes frames by poll functions. The stream is not stored: each poll has to pass the same one.
pub struct FrameEncoder {
    prefix: LengthPrefix,
    bytes_max: usize,
    /// The rest of a frame that the kernel has begun to take, behind the first `at` bytes.
    rest: Vec<u8>,
    at: usize,
}

/// How far one write is: see [`FrameEncoder::poll_write`].
#[derive(Debug, Default)]
pub struct FrameProgress {
    /// The kernel, or the encoder, has the whole frame.
    is_taken: bool,
}

impl FrameEncoder {
    /// An encoder of frames of at most `bytes_max` bytes: see [`FrameWriter::new`].
    pub fn new(prefix: LengthPrefix, bytes_max: usize) -> Self {
        FrameEncoder {
            prefix,
            bytes_max,
            rest: Vec::new(),
            at: 0,
        }
    }

    /// The prefix of a frame of `bytes` bytes.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] if the frame exceeds the limit, or what the prefix can express.
    pub fn encode(&self, bytes: usize) -> Result<EncodedPrefix, FrameError> {
        if bytes > self.bytes_max {
            return Err(FrameError::TooLong {
                bytes: bytes as u64,
                bytes_max: self.bytes_max,
            });
        }
        self.prefix.encode(bytes)
    }

    /// Writes a frame: see [`FrameWriter::write`]. Each write begins with a progress of its own,
    /// and passes it, and the same frame, to each poll.
    ///
    /// # Errors
    /// As [`FrameWriter::write`].
    pub fn poll_write<W: WriteHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        half: &W,
        frame: &[u8],
        progress: &mut FrameProgress,
    ) -> Poll<io::Result<()>> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let prefix = self.encode(frame.len()).map_err(invalid)?;
        ready!(self.poll_flush(cx, half))?;
        if !progress.is_taken {
            let bufs = [IoSlice::new(&prefix), IoSlice::new(frame)];
            let written = ready!(half.poll_write_vectored(cx, &bufs))?;
            progress.is_taken = true;
            let of_prefix = written.min(prefix.len());
            self.rest.extend_from_slice(&prefix[of_prefix..]);
            self.rest.extend_from_slice(&frame[written - of_prefix..]);
        }
        self.poll_flush(cx, half)
    }

    /// Writes the rest of a frame: see [`FrameWriter::flush`].
    ///
    /// # Errors
    /// As [`FrameWriter::write`].
    pub fn poll_flush<W: WriteHalf + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        half: &W,
    ) -> Poll<io::Result<()>> {
        while self.waiting_bytes() > 0 {
            self.at += ready!(half.poll_write(cx, &self.rest[self.at..]))?;
        }
        (self.rest, self.at) = (Vec::new(), 0);
        half.poll_flush(cx)
    }

    /// The number of bytes of a frame that the kernel has not taken.
    pub fn waiting_bytes(&self) -> usize {
        self.rest.len() - self.at
    }
}

impl fmt::Debug for FrameEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameEncoder({} bytes wait)", self.waiting_bytes())
    }
}
