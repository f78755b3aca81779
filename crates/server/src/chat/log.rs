//! The text of a chat, stored once for all members that have not read it yet.

use std::collections::VecDeque;

/// The log grows and shrinks in chunks of this many bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// A byte's position, counted from the room's first byte.
pub(super) type Position = u64;

/// The bytes that some reader has not read yet.
///
/// ```text
///            slowest reader                     end
///   forgotten │                                  │
///  ░░░░░░░░░░░│▓▓▓▓▓▓▓▓│▓▓▓▓▓▓▓▓▓▓▓▓│▓▓▓▓▓       │
///             └ chunk  └ chunk      └ the last chunk, which grows
/// ```
///
/// Each chunk counts the readers whose position is in it. The first chunk is forgotten once it has
/// none, so no line needs an entry of its own, and the slowest reader is never searched for.
#[derive(Debug)]
pub(super) struct Log {
    /// All chunks but the last are full; the last one never is.
    chunks: VecDeque<Chunk>,
    /// How many chunks were removed from the front so far.
    forgotten: u64,
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    readers: usize,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            chunks: VecDeque::from([Chunk::default()]),
            forgotten: 0,
        }
    }
}

impl Log {
    /// The position of the next byte that is appended.
    pub(super) fn end(&self) -> Position {
        let full = self.forgotten + self.chunks.len() as u64 - 1;
        let last = self.chunks.back().map_or(0, |chunk| chunk.bytes.len());
        full * CHUNK_BYTES as u64 + last as u64
    }

    /// Adds a reader at the end of the log.
    pub(super) fn enter(&mut self) -> Position {
        let end = self.end();
        self.readers_at(end, |readers| *readers += 1);
        end
    }

    /// Removes a reader.
    pub(super) fn leave(&mut self, at: Position) {
        self.readers_at(at, |readers| *readers -= 1);
        self.forget();
    }

    /// Moves a reader forward.
    pub(super) fn advance(&mut self, from: Position, to: Position) {
        // Within a chunk nothing changes: most moves are a line, so most of them cost one
        // comparison.
        if from / CHUNK_BYTES as u64 != to / CHUNK_BYTES as u64 {
            // First enter, then leave: the other order could forget the chunk that is entered.
            self.readers_at(to, |readers| *readers += 1);
            self.leave(from);
        }
    }

    pub(super) fn append(&mut self, mut text: &[u8]) {
        while let Some(last) = self.chunks.back_mut()
            && !text.is_empty()
        {
            let room = CHUNK_BYTES - last.bytes.len();
            let (now, later) = text.split_at(room.min(text.len()));
            last.bytes.extend_from_slice(now);
            text = later;
            if last.bytes.len() == CHUNK_BYTES {
                self.chunks.push_back(Chunk::default());
            }
        }
        self.forget(); // a room without readers keeps nothing
    }

    /// Copies the bytes between two positions, as far as the buffer has room; returns how many.
    pub(super) fn copy(&self, from: Position, to: Position, buf: &mut [u8]) -> usize {
        let wanted = usize::try_from(to - from).unwrap_or(usize::MAX);
        let mut space = {
            let len = buf.len().min(wanted);
            &mut buf[..len]
        };
        let count = space.len();
        let mut at = from;
        while !space.is_empty() {
            let offset = (at % CHUNK_BYTES as u64) as usize;
            let rest = &self.chunks[self.index_of(at)].bytes[offset..];
            let (now, later) = space.split_at_mut(rest.len().min(space.len()));
            now.copy_from_slice(&rest[..now.len()]);
            at += now.len() as u64;
            space = later;
        }
        count
    }

    fn index_of(&self, at: Position) -> usize {
        (at / CHUNK_BYTES as u64 - self.forgotten) as usize
    }

    fn readers_at(&mut self, at: Position, change: impl FnOnce(&mut usize)) {
        let index = self.index_of(at);
        change(&mut self.chunks[index].readers);
    }

    fn forget(&mut self) {
        while self.chunks.len() > 1 && self.chunks[0].readers == 0 {
            self.chunks.pop_front();
            self.forgotten += 1;
        }
        if self.chunks.len() == 1 {
            self.chunks.shrink_to(1);
        }
    }

    /// Bytes of memory that the log takes.
    #[cfg(test)]
    pub(super) fn stored(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| chunk.bytes.capacity());
        chunks.sum::<usize>() + self.chunks.capacity() * size_of::<Chunk>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(log: &mut Log, at: &mut Position, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let count = log.copy(*at, log.end(), &mut bytes);
        bytes.truncate(count);
        log.advance(*at, *at + count as u64);
        *at += count as u64;
        bytes
    }

    #[test]
    fn every_reader_gets_every_byte_at_its_own_pace() {
        let mut log = Log::default();
        let text: Vec<u8> = (0..u8::MAX).cycle().take(5 * CHUNK_BYTES + 7).collect();
        let (mut fast, mut slow) = (log.enter(), log.enter());
        let mut received = [Vec::new(), Vec::new()];
        for line in text.chunks(999) {
            log.append(line);
            received[0].extend(read(&mut log, &mut fast, 5000));
            received[1].extend(read(&mut log, &mut slow, 333));
        }
        assert!(received[0] == text);
        while slow < log.end() {
            received[1].extend(read(&mut log, &mut slow, 100_000));
        }
        assert!(received[1] == text);
        assert_eq!(log.chunks.len(), 1);
    }

    #[test]
    fn what_the_slowest_reader_has_read_is_forgotten() {
        let mut log = Log::default();
        let (mut fast, slow) = (log.enter(), log.enter());
        log.append(&[b'x'; 10 * CHUNK_BYTES]);
        read(&mut log, &mut fast, 10 * CHUNK_BYTES);
        assert_eq!(log.chunks.len(), 11);
        log.leave(slow);
        assert_eq!((log.chunks.len(), log.end()), (1, 10 * CHUNK_BYTES as u64));
    }

    #[test]
    fn lines_of_two_bytes_take_two_bytes_each() {
        const LINES: usize = 1 << 20;
        let mut log = Log::default();
        let readers: Vec<_> = (0..40).map(|_| log.enter()).collect();
        (0..LINES).for_each(|_| log.append(b"x\n"));
        assert!(log.stored() < 2 * LINES * 11 / 10, "{} bytes", log.stored());
        readers.into_iter().for_each(|reader| log.leave(reader));
        assert!(log.stored() < 2 * CHUNK_BYTES);
    }
}
