//! Frames that arrive in chunks, each with its length in front.

use crate::input::Input;
use oneloop::net::{FrameError, FrameSplitter, LengthPrefix};

/// The longest frame, in bytes, that a run allows.
const BYTES_MAX: usize = 300;

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

type Frame = Result<Vec<u8>, FrameError>;

/// However the bytes are cut, the frames are those of the whole text, and the memory is bounded.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let prefix = PREFIXES[input.below(PREFIXES.len())];
    let bytes_max = [0, 1, 20, BYTES_MAX][input.below(4)];
    let mut chunks = Vec::new();
    while !input.is_empty() {
        let length = input.below(40);
        chunks.push(input.bytes(length));
    }
    let frames = split(prefix, bytes_max, &chunks);
    assert_eq!(frames, frames_of(&chunks.concat(), prefix, bytes_max));
}

/// The frames and errors, up to the end or the first one after which nothing has a meaning.
fn split(prefix: LengthPrefix, bytes_max: usize, chunks: &[&[u8]]) -> Vec<Frame> {
    let mut splitter = FrameSplitter::new(prefix, bytes_max);
    let mut frames = Vec::new();
    for chunk in chunks {
        let mut rest = *chunk;
        loop {
            match splitter.next_frame(&mut rest) {
                Ok(None) => break assert!(rest.is_empty()),
                Ok(Some(frame)) => {
                    // What is split is what would be sent.
                    assert!(prefix.encode(frame.len()).is_ok());
                    frames.push(Ok(frame.into_owned()));
                }
                Err(error) => frames.push(Err(error)),
            }
            if frames.last() == Some(&Err(FrameError::BadVarint)) {
                return frames;
            }
        }
        assert!(splitter.waiting_bytes() <= bytes_max.max(10));
    }
    frames.extend(splitter.end().err().map(Err));
    assert_eq!(splitter.waiting_bytes(), 0);
    frames
}

/// The same, of the whole text at once.
fn frames_of(text: &[u8], prefix: LengthPrefix, bytes_max: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some((length, behind)) = length_of(rest, prefix) else {
            let (arrived, bytes) = (0, None);
            frames.push(Err(FrameError::CutOff { arrived, bytes }));
            break;
        };
        let Ok(bytes) = u64::try_from(length) else {
            frames.push(Err(FrameError::BadVarint));
            break;
        };
        let is_long = bytes > bytes_max as u64;
        let arrived = behind
            .len()
            .min(usize::try_from(bytes).unwrap_or(usize::MAX));
        let (frame, behind) = behind.split_at(arrived);
        if is_long {
            frames.push(Err(FrameError::TooLong { bytes, bytes_max }));
        } else if arrived < bytes as usize {
            let bytes = Some(bytes as usize);
            frames.push(Err(FrameError::CutOff { arrived, bytes }));
        } else {
            frames.push(Ok(frame.to_vec()));
        }
        rest = behind;
    }
    frames
}

/// A length, of more than 64 bits if it is no good, and what is behind it; `None` if it is cut off.
fn length_of(text: &[u8], prefix: LengthPrefix) -> Option<(u128, &[u8])> {
    let bytes = match prefix {
        LengthPrefix::U8 => 1,
        LengthPrefix::U16Be | LengthPrefix::U16Le => 2,
        LengthPrefix::U32Be | LengthPrefix::U32Le => 4,
        LengthPrefix::U64Be | LengthPrefix::U64Le => 8,
        LengthPrefix::Varint => match text.iter().position(|byte| *byte < 0x80) {
            Some(end) if end < 10 => end + 1,
            _ if text.len() > 10 => return Some((u128::MAX, &[])),
            _ => return None,
        },
    };
    let (digits, behind) = text.split_at_checked(bytes)?;
    let is_little = matches!(
        prefix,
        LengthPrefix::U16Le | LengthPrefix::U32Le | LengthPrefix::U64Le | LengthPrefix::Varint
    );
    let (base, mask) = match prefix {
        LengthPrefix::Varint => (0x80, 0x7f),
        _ => (0x100, 0xff),
    };
    let mut digits = digits.to_vec();
    if is_little {
        digits.reverse();
    }
    let add = |length, digit: &u8| length * base + u128::from(digit & mask);
    Some((digits.iter().fold(0, add), behind))
}
