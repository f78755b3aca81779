//! The frames of a stream, each behind its length, and of bounded size.

use super::stream::Stream;
use oneloop_core::Direction;
use oneloop_net::{FrameEncoder, FrameProgress, FrameReader, LengthPrefix, ReadHalf, WriteHalf};
use std::fmt;
use std::io;

/// The frames of a stream: see [`GreenIo::frames`](super::GreenIo::frames).
pub struct Frames<'a, S> {
    stream: &'a Stream<S>,
    reader: FrameReader,
}

impl<S: ReadHalf> Stream<S> {
    /// The frames of this stream, each behind its length and of at most `bytes_max` bytes. Other
    /// green threads can write meanwhile.
    ///
    /// A frame that is interrupted by a timeout, or by the
    /// [read timeout](super::GreenIo::set_read_timeout), continues with the next call; a thread
    /// that waits between two frames holds no buffer.
    ///
    /// ```
    /// use oneloop::green::{net::UnixStream, run};
    /// use oneloop::net::LengthPrefix::U16Be;
    /// run(|| {
    ///     let (client, server) = UnixStream::pair()?;
    ///     let mut writer = client.frame_writer(U16Be, 80);
    ///     writer.write(b"tea")?;
    ///     writer.write(b"toast")?;
    ///     client.close();
    ///     let frames: Result<Vec<_>, _> = server.frames(U16Be, 80).collect();
    ///     assert_eq!(frames?, [&b"tea"[..], b"toast"]);
    ///     Ok::<(), std::io::Error>(())
    /// })??;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// A frame is an error as in [`oneloop::net::Frames::next`](oneloop_net::Frames::next), and for
    /// the reasons of a read of this stream.
    ///
    /// # Panics
    /// The iterator panics outside of a green thread.
    #[doc(alias("struct.unpack", "recv_exactly"))]
    #[track_caller]
    pub fn frames(&self, prefix: LengthPrefix, bytes_max: usize) -> Frames<'_, S> {
        Frames {
            stream: self,
            reader: FrameReader::new(prefix, bytes_max),
        }
    }
}

impl<S: ReadHalf> Iterator for Frames<'_, S> {
    type Item = io::Result<Vec<u8>>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        let Frames { stream, reader } = self;
        let next = stream.io(Direction::Read, |half, cx| reader.poll_next(cx, half));
        next.transpose()
    }
}

impl<S> fmt::Debug for Frames<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reader.fmt(f)
    }
}

/// Writes frames to a stream: see [`GreenIo::frame_writer`](super::GreenIo::frame_writer).
pub struct FrameWriter<'a, S> {
    stream: &'a Stream<S>,
    encoder: FrameEncoder,
}

impl<S: WriteHalf> Stream<S> {
    /// A writer of frames, each behind its length and of at most `bytes_max` bytes. Other green
    /// threads can read meanwhile.
    #[doc(alias = "struct.pack")]
    pub fn frame_writer(&self, prefix: LengthPrefix, bytes_max: usize) -> FrameWriter<'_, S> {
        FrameWriter {
            stream: self,
            encoder: FrameEncoder::new(prefix, bytes_max),
        }
    }
}

impl<S: WriteHalf> FrameWriter<'_, S> {
    /// Writes a frame behind its prefix, and waits until the kernel has it.
    ///
    /// Frames stay whole: if the wait is interrupted by a timeout, or by the
    /// [write timeout](super::GreenIo::set_write_timeout), this writer has written nothing, or it
    /// keeps the rest, which the next call writes first.
    ///
    /// # Errors
    /// As [`oneloop::net::FrameWriter::write`](oneloop_net::FrameWriter::write), and for the
    /// reasons of a write to this stream.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let FrameWriter { stream, encoder } = self;
        let mut progress = FrameProgress::default();
        stream.io(Direction::Write, |half, cx| {
            encoder.poll_write(cx, half, frame, &mut progress)
        })
    }

    /// Waits until the kernel has all frames. Needed only after a write that was interrupted.
    ///
    /// # Errors
    /// As [`FrameWriter::write`].
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn flush(&mut self) -> io::Result<()> {
        let FrameWriter { stream, encoder } = self;
        stream.io(Direction::Write, |half, cx| encoder.poll_flush(cx, half))
    }
}

impl<S> fmt::Debug for FrameWriter<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.encoder.fmt(f)
    }
}
