//! Splits bytes into frames, each of which begins with its length: no I/O, and bounded memory.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::mem;

/// The number of bytes of the longest prefix, a varint.
const PREFIX_BYTES_MAX: usize = 10;

/// The form of the length in front of a frame. It counts the bytes behind it.
///
/// ```
/// use oneloop::net::LengthPrefix;
///
/// assert_eq!(LengthPrefix::U16Be.encode(258)?[..], [1, 2]);
/// assert_eq!(LengthPrefix::Varint.encode(300)?[..], [0xac, 2]);
/// let error = LengthPrefix::U8.encode(300).unwrap_err();
/// assert_eq!(error.to_string(), "a frame of 300 bytes exceeds the maximum of 255 bytes");
/// # Ok::<(), oneloop::net::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias("LengthDelimitedCodec", "length_field_length", "netstring"))]
pub enum LengthPrefix {
    /// One byte.
    U8,
    /// Two bytes, the high one first (network order).
    U16Be,
    /// Two bytes, the low one first.
    U16Le,
    /// Four bytes, the highest first (network order): the default of tokio's
    /// `LengthDelimitedCodec`.
    U32Be,
    /// Four bytes, the lowest first.
    U32Le,
    /// Eight bytes, the highest first (network order).
    U64Be,
    /// Eight bytes, the lowest first.
    U64Le,
    /// Seven bits a byte, the lowest first; each byte but the last has its high bit set: the
    /// delimited messages of Protocol Buffers.
    Varint,
}

impl LengthPrefix {
    /// The number of bytes, unless that depends on the length.
    fn bytes(self) -> Option<usize> {
        match self {
            LengthPrefix::U8 => Some(1),
            LengthPrefix::U16Be | LengthPrefix::U16Le => Some(2),
            LengthPrefix::U32Be | LengthPrefix::U32Le => Some(4),
            LengthPrefix::U64Be | LengthPrefix::U64Le => Some(8),
            LengthPrefix::Varint => None,
        }
    }

    /// The greatest length that it can express.
    fn max(self) -> u64 {
        match self.bytes() {
            Some(bytes) if bytes < 8 => (1 << (8 * bytes)) - 1,
            _ => u64::MAX,
        }
    }

    fn is_little_endian(self) -> bool {
        matches!(
            self,
            LengthPrefix::U16Le | LengthPrefix::U32Le | LengthPrefix::U64Le
        )
    }

    /// The prefix of a frame of `bytes` bytes. Allocates nothing.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] if this prefix cannot express the length.
    pub fn encode(self, bytes: usize) -> Result<EncodedPrefix, FrameError> {
        let length = bytes as u64;
        if length > self.max() {
            return Err(FrameError::TooLong {
                bytes: length,
                bytes_max: self.max() as usize, // less than `bytes`
            });
        }
        let mut encoded = EncodedPrefix {
            buf: [0; PREFIX_BYTES_MAX],
            len: 0,
        };
        match self.bytes() {
            Some(count) if self.is_little_endian() => {
                encoded.extend(&length.to_le_bytes()[..count]);
            }
            Some(count) => encoded.extend(&length.to_be_bytes()[8 - count..]),
            None => {
                let mut rest = length;
                while rest >= 0x80 {
                    encoded.extend(&[rest as u8 | 0x80]);
                    rest >>= 7;
                }
                encoded.extend(&[rest as u8]);
            }
        }
        Ok(encoded)
    }

    /// True if these bytes are the whole prefix.
    fn is_whole(self, prefix: &[u8]) -> bool {
        match self.bytes() {
            Some(bytes) => prefix.len() == bytes,
            None => prefix.last().is_some_and(|byte| *byte < 0x80),
        }
    }

    /// The length that a whole prefix expresses.
    fn decode(self, prefix: &[u8]) -> Result<u64, FrameError> {
        let add = |length, byte: &u8| length << 8 | u64::from(*byte);
        match self.bytes() {
            Some(_) if self.is_little_endian() => Ok(prefix.iter().rev().fold(0, add)),
            Some(_) => Ok(prefix.iter().fold(0, add)),
            // The tenth byte has room for the highest of 64 bits.
            None if prefix.len() == PREFIX_BYTES_MAX && prefix[PREFIX_BYTES_MAX - 1] > 1 => {
                Err(FrameError::BadVarint)
            }
            None => Ok(prefix
                .iter()
                .rev()
                .fold(0, |length, byte| length << 7 | u64::from(byte & 0x7f))),
        }
    }
}

/// The bytes in front of a frame: see [`LengthPrefix::encode`]. It dereferences to them.
#[derive(Clone, Copy)]
pub struct EncodedPrefix {
    buf: [u8; PREFIX_BYTES_MAX],
    len: usize,
}

impl EncodedPrefix {
    fn extend(&mut self, bytes: &[u8]) {
        self.buf[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

impl std::ops::Deref for EncodedPrefix {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buf[..self.len]
    }
}

impl fmt::Debug for EncodedPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The frame exceeds the limit, or what its prefix can express.
    TooLong {
        /// The size of the frame in bytes, without its prefix.
        bytes: u64,
        /// The maximum.
        bytes_max: usize,
    },
    /// The prefix is no varint of 64 bits. What follows cannot be split.
    BadVarint,
    /// The stream ended within a frame, or within its prefix.
    CutOff {
        /// The number of bytes that arrived, without the prefix.
        arrived: usize,
        /// The size of the frame; `None` if its prefix did not arrive whole.
        bytes: Option<usize>,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FrameError::TooLong { bytes, bytes_max } => write!(
                f,
                "a frame of {bytes} bytes exceeds the maximum of {bytes_max} bytes"
            ),
            FrameError::BadVarint => f.write_str("the length of a frame is no varint of 64 bits"),
            FrameError::CutOff { bytes: None, .. } => {
                f.write_str("the stream ended within the length of a frame")
            }
            FrameError::CutOff {
                arrived,
                bytes: Some(bytes),
            } => write!(
                f,
                "the stream ended within a frame: {arrived} of its {bytes} bytes arrived"
            ),
        }
    }
}

impl std::error::Error for FrameError {}

/// Becomes an [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ended within a frame,
/// and otherwise an [`InvalidData`](io::ErrorKind::InvalidData).
impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        let kind = match error {
            FrameError::CutOff { .. } => io::ErrorKind::UnexpectedEof,
            FrameError::TooLong { .. } | FrameError::BadVarint => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

/// Splits bytes that arrive in chunks into frames, each of which begins with its length: tokio-util's
/// `LengthDelimitedCodec`.
///
/// A frame within one chunk is a slice of that chunk. A frame that spans chunks is collected, in a
/// buffer that grows with what has arrived: a peer that announces much and sends little takes no
/// memory.
///
/// ```
/// use oneloop::net::{FrameSplitter, LengthPrefix};
///
/// let mut splitter = FrameSplitter::new(LengthPrefix::U8, 80);
/// let mut frames = Vec::new();
/// for mut chunk in [&b"\x03tea\x05to"[..], b"ast\x00"] {
///     while let Some(frame) = splitter.next_frame(&mut chunk)? {
///         frames.push(String::from_utf8_lossy(&frame).into_owned());
///     }
/// }
/// splitter.end()?;
/// assert_eq!(frames, ["tea", "toast", ""]);
/// # Ok::<(), oneloop::net::FrameError>(())
/// ```
pub struct FrameSplitter {
    prefix: LengthPrefix,
    bytes_max: usize,
    part: Part,
}

/// What the next byte belongs to.
enum Part {
    Prefix(EncodedPrefix),
    /// The beginning of a frame, and the number of bytes that are missing.
    Frame(Vec<u8>, usize),
    /// The frame is too long, which was reported. This number of its bytes is skipped.
    Skipped(u64),
}

const NO_PREFIX: Part = Part::Prefix(EncodedPrefix {
    buf: [0; PREFIX_BYTES_MAX],
    len: 0,
});

impl fmt::Debug for FrameSplitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameSplitter({} bytes wait)", self.waiting_bytes())
    }
}

impl FrameSplitter {
    /// Each frame has at most `bytes_max` bytes, without its prefix.
    pub fn new(prefix: LengthPrefix, bytes_max: usize) -> Self {
        FrameSplitter {
            prefix,
            bytes_max,
            part: NO_PREFIX,
        }
    }

    /// Takes bytes off the front of `chunk`, up to the end of the next frame, and returns the frame
    /// without its prefix. `None` takes all bytes: the frame needs the next chunk.
    ///
    /// # Errors
    /// [`FrameError::TooLong`], as soon as the prefix has arrived; the frame is skipped, and the
    /// next call continues with the one behind it. [`FrameError::BadVarint`], after which the rest
    /// of the stream has no meaning.
    pub fn next_frame<'chunk>(
        &mut self,
        chunk: &mut &'chunk [u8],
    ) -> Result<Option<Cow<'chunk, [u8]>>, FrameError> {
        loop {
            match &mut self.part {
                Part::Prefix(prefix) => {
                    while !self.prefix.is_whole(prefix) {
                        let Some(byte) = chunk.split_off_first() else {
                            return Ok(None);
                        };
                        if prefix.len == PREFIX_BYTES_MAX {
                            self.part = NO_PREFIX;
                            return Err(FrameError::BadVarint);
                        }
                        prefix.extend(&[*byte]);
                    }
                    let length = self.prefix.decode(prefix);
                    self.part = NO_PREFIX;
                    let length = length?;
                    let Some(bytes) = usize::try_from(length)
                        .ok()
                        .filter(|it| *it <= self.bytes_max)
                    else {
                        self.part = Part::Skipped(length);
                        return Err(FrameError::TooLong {
                            bytes: length,
                            bytes_max: self.bytes_max,
                        });
                    };
                    if let Some(frame) = chunk.split_off(..bytes) {
                        return Ok(Some(Cow::Borrowed(frame)));
                    }
                    self.part = Part::Frame(Vec::new(), bytes);
                }
                Part::Frame(frame, missing) => {
                    let taken = chunk.len().min(*missing);
                    // Doubles, and ends with exactly the size of the frame.
                    if frame.capacity() - frame.len() < taken {
                        frame.reserve_exact(taken.max(frame.len()).min(*missing));
                    }
                    frame.extend_from_slice(chunk.split_off(..taken).unwrap_or_default());
                    *missing -= taken;
                    if *missing > 0 {
                        return Ok(None);
                    }
                    let frame = mem::take(frame);
                    self.part = NO_PREFIX;
                    return Ok(Some(Cow::Owned(frame)));
                }
                Part::Skipped(missing) => {
                    let skipped = (chunk.len() as u64).min(*missing);
                    let _ = chunk.split_off(..skipped as usize); // at most the chunk's length
                    *missing -= skipped;
                    if *missing > 0 {
                        return Ok(None);
                    }
                    self.part = NO_PREFIX;
                }
            }
        }
    }

    /// Ends the stream. The splitter can then begin with other bytes.
    ///
    /// # Errors
    /// [`FrameError::CutOff`] if the stream ended within a frame.
    pub fn end(&mut self) -> Result<(), FrameError> {
        match mem::replace(&mut self.part, NO_PREFIX) {
            Part::Prefix(prefix) if prefix.is_empty() => Ok(()),
            Part::Prefix(_) => Err(FrameError::CutOff {
                arrived: 0,
                bytes: None,
            }),
            Part::Frame(frame, missing) => Err(FrameError::CutOff {
                arrived: frame.len(),
                bytes: Some(frame.len() + missing),
            }),
            Part::Skipped(_) => Ok(()), // it was reported
        }
    }

    /// The number of bytes of a frame, and of its prefix, that wait for the rest.
    pub fn waiting_bytes(&self) -> usize {
        match &self.part {
            Part::Prefix(prefix) => prefix.len,
            Part::Frame(frame, _) => frame.len(),
            Part::Skipped(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIXES: [LengthPrefix; 8] = [
        LengthPrefix::U8,
        LengthPrefix::U16Be,
        LengthPrefix::U16Le,
        LengthPrefix::U32Be,
        LengthPrefix::U32Le,
        LengthPrefix::U64Be,
        LengthPrefix::U64Le,
        LengthPrefix::Varint,
    ];

    /// What these chunks contain, with the errors as text.
    fn split(splitter: &mut FrameSplitter, chunks: &[&[u8]]) -> Vec<Result<Vec<u8>, String>> {
        let mut frames = Vec::new();
        for chunk in chunks {
            let mut chunk = *chunk;
            loop {
                match splitter.next_frame(&mut chunk) {
                    Ok(None) => break assert_eq!(chunk, b""),
                    Ok(Some(frame)) => frames.push(Ok(frame.into_owned())),
                    Err(error) => frames.push(Err(error.to_string())),
                }
            }
        }
        frames.extend(splitter.end().err().map(|error| Err(error.to_string())));
        frames
    }

    #[test]
    fn frames_are_the_same_wherever_the_bytes_are_cut() {
        for prefix in PREFIXES {
            let frames = [0, 1, 3, 130, 255].map(|bytes| vec![b'x'; bytes]);
            let encode = |frame: &Vec<u8>| {
                let encoded = prefix.encode(frame.len()).unwrap();
                [&encoded, frame.as_slice()].concat()
            };
            let bytes = Vec::from_iter(frames.iter().flat_map(encode));
            let expected = frames.map(Ok);
            for at in 0..bytes.len() {
                let (before, behind) = bytes.split_at(at);
                let mut splitter = FrameSplitter::new(prefix, 255);
                assert_eq!(
                    split(&mut splitter, &[before, behind]),
                    expected,
                    "{prefix:?} at {at}"
                );
            }
            let single = Vec::from_iter(bytes.chunks(1));
            let mut splitter = FrameSplitter::new(prefix, 255);
            assert_eq!(split(&mut splitter, &single), expected, "{prefix:?}");
        }
    }

    #[test]
    fn each_prefix_expresses_its_greatest_length_and_no_more() {
        for prefix in PREFIXES {
            let max = prefix.max() as usize;
            let encoded = prefix.encode(max).unwrap();
            assert_eq!(prefix.decode(&encoded), Ok(max as u64), "{prefix:?}");
            assert_eq!(
                prefix.encode(max.wrapping_add(1)).is_ok(),
                max == usize::MAX
            );
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_reported_at_once_and_skipped() {
        let mut splitter = FrameSplitter::new(LengthPrefix::U8, 3);
        assert_eq!(
            split(&mut splitter, &[b"\x04toa", b"s\x03tea"]),
            [
                Err("a frame of 4 bytes exceeds the maximum of 3 bytes".into()),
                Ok(b"tea".to_vec())
            ]
        );
    }

    #[test]
    fn an_end_within_a_frame_is_an_error_and_one_behind_a_frame_is_not() {
        let cases: [(&[u8], &[&str]); 3] = [
            (b"\0\x03tea", &[]),
            (b"\0", &["the stream ended within the length of a frame"]),
            (
                b"\0\x03te",
                &["the stream ended within a frame: 2 of its 3 bytes arrived"],
            ),
        ];
        for (bytes, errors) in cases {
            let mut splitter = FrameSplitter::new(LengthPrefix::U16Be, 3);
            let split = split(&mut splitter, &[bytes]);
            assert_eq!(
                Vec::from_iter(split.into_iter().filter_map(Result::err)),
                errors
            );
        }
    }

    #[test]
    fn a_varint_of_more_than_64_bits_is_an_error() {
        let max = [[0xff; 9].as_slice(), &[1]].concat();
        let more = [[0xff; 9].as_slice(), &[2]].concat();
        let longer = [0xff; 11];
        for (bytes, is_varint) in [(&max[..], true), (&more, false), (&longer, false)] {
            let mut splitter = FrameSplitter::new(LengthPrefix::Varint, 80);
            let error = splitter.next_frame(&mut &bytes[..]).unwrap_err();
            assert_eq!(error != FrameError::BadVarint, is_varint);
        }
    }

    #[test]
    fn a_peer_that_announces_much_and_sends_little_takes_little_memory() {
        let mut splitter = FrameSplitter::new(LengthPrefix::U32Be, 1 << 30);
        assert_eq!(splitter.next_frame(&mut &b"\x3f\0\0\0tea"[..]), Ok(None));
        let Part::Frame(frame, _) = &splitter.part else {
            panic!("a frame has begun");
        };
        assert_eq!(frame.capacity(), 3);
    }

    #[test]
    fn a_frame_within_a_chunk_is_not_copied_and_another_has_no_spare_capacity() {
        let mut splitter = FrameSplitter::new(LengthPrefix::U8, 255);
        let bytes = b"\x03tea\x05to";
        let mut chunk = &bytes[..];
        let frame = splitter.next_frame(&mut chunk).unwrap().unwrap();
        assert_eq!(frame.as_ptr(), bytes[1..].as_ptr());
        assert_eq!(splitter.next_frame(&mut chunk), Ok(None));
        let frame = splitter.next_frame(&mut &b"ast"[..]).unwrap().unwrap();
        assert_eq!(frame.into_owned().capacity(), 5);
    }
}
