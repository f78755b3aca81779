//! Bytes without end in which a lost, doubled or moved piece shows.

use std::io::{ErrorKind, Read, Write};
use std::sync::LazyLock;

/// Its length is prime, so that a piece of any usual size that moves does not fit where it comes.
const BLOCK: usize = 1_000_003;

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64; // xorshift64
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(step).take(BLOCK).collect()
});

/// The pattern from here on: a piece of at least one byte and at most so many.
fn piece(offset: usize, most: usize) -> &'static [u8] {
    let start = offset % BLOCK;
    &BYTES[start..BLOCK.min(start + most)]
}

/// Writes the first so many bytes.
#[track_caller]
pub(crate) fn write(to: impl Write, bytes: usize) {
    write_from(to, 0, bytes);
}

/// Writes so many bytes from there on.
#[track_caller]
pub(crate) fn write_from(mut to: impl Write, start: usize, bytes: usize) {
    let mut written = 0;
    while written < bytes {
        written += write_piece(&mut to, start + written, bytes - written);
    }
}

/// Writes at least one and at most so many bytes from there on; gives their count.
#[track_caller]
pub(crate) fn write_piece(mut to: impl Write, offset: usize, most: usize) -> usize {
    let piece = piece(offset, most);
    to.write_all(piece).unwrap();
    piece.len()
}

/// Goes on writing for as long as the kernel takes more at once; gives the count of what it took.
pub(crate) fn write_what_fits(mut to: impl Write, offset: usize) -> usize {
    let mut offset_now = offset;
    loop {
        match to.write(piece(offset_now, BLOCK)) {
            Ok(count) => offset_now += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return offset_now - offset,
            Err(error) => panic!("cannot write: {error}"),
        }
    }
}

/// Reads the first so many bytes, each of them right.
#[track_caller]
pub(crate) fn expect(from: impl Read, bytes: usize) {
    let read = expect_to_end(from.take(bytes as u64));
    assert_eq!(read, bytes, "it ended early");
}

/// Reads to the end, each byte right; gives their count.
#[track_caller]
pub(crate) fn expect_to_end(from: impl Read) -> usize {
    expect_from(from, 0)
}

/// The same for the pattern from there on.
#[track_caller]
pub(crate) fn expect_from(mut from: impl Read, start: usize) -> usize {
    let mut buffer = vec![0; 256 * 1024];
    let mut read = 0;
    loop {
        let count = from.read(&mut buffer).unwrap();
        if count == 0 {
            return read;
        }
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let right = piece(start + read, rest.len());
            let (head, tail) = rest.split_at(right.len());
            assert!(head == right, "wrong bytes from {read} on");
            (rest, read) = (tail, read + right.len());
        }
    }
}
