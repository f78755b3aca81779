//! An endless pattern of bytes, in which a lost, repeated or moved piece is found.

use std::io::{ErrorKind, Read, Write};
use std::sync::LazyLock;

/// Its length is prime, so that a moved piece of any usual size does not match at its new place.
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

/// The pattern from this offset on: at least one byte and at most `bytes_max`.
fn piece(offset: usize, most: usize) -> &'static [u8] {
    let start = offset % BLOCK;
    &BYTES[start..BLOCK.min(start + most)]
}

/// Writes the first bytes of the pattern.
#[track_caller]
pub(crate) fn write(to: impl Write, bytes: usize) {
    write_from(to, 0, bytes);
}

/// Writes the pattern from an offset on.
#[track_caller]
pub(crate) fn write_from(mut to: impl Write, start: usize, bytes: usize) {
    let mut written = 0;
    while written < bytes {
        written += write_piece(&mut to, start + written, bytes - written);
    }
}

/// Writes some of the pattern from an offset on; returns the count of bytes.
#[track_caller]
pub(crate) fn write_piece(mut to: impl Write, offset: usize, most: usize) -> usize {
    let piece = piece(offset, most);
    to.write_all(piece).unwrap();
    piece.len()
}

/// Writes for as long as the kernel takes more without waiting; returns the count of bytes.
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

/// Reads the first bytes, and expects the pattern.
#[track_caller]
pub(crate) fn expect(from: impl Read, bytes: usize) {
    let read = expect_to_end(from.take(bytes as u64));
    assert_eq!(read, bytes, "it ended early");
}

/// Reads to the end, and expects the pattern; returns the count of bytes.
#[track_caller]
pub(crate) fn expect_to_end(from: impl Read) -> usize {
    expect_from(from, 0)
}

/// The same for the pattern from an offset on.
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
