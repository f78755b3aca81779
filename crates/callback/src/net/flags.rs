//! The many yes-or-no facts about a socket, in one word. Names are those of Node's stream states.

use std::cell::Cell;

/// A set of facts.
#[derive(Default)]
pub(super) struct Flags(Cell<u64>);

impl Flags {
    pub(super) fn set(&self, flags: u64) {
        self.0.set(self.0.get() | flags);
    }

    pub(super) fn clear(&self, flags: u64) {
        self.0.set(self.0.get() & !flags);
    }

    /// Sets or clears them.
    pub(super) fn put(&self, flags: u64, on: bool) {
        if on {
            self.set(flags)
        } else {
            self.clear(flags)
        }
    }

    /// True if all of these are set.
    pub(super) fn has(&self, flags: u64) -> bool {
        self.0.get() & flags == flags
    }

    /// True if any of these is set.
    pub(super) fn has_any(&self, flags: u64) -> bool {
        self.0.get() & flags != 0
    }

    /// Sets them; true if all of them were set before.
    pub(super) fn test_and_set(&self, flags: u64) -> bool {
        let before = self.has(flags);
        self.set(flags);
        before
    }
}

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        $($(#[$doc])* pub(super) const $name: u64 = 1 << $bit;)*
    };
}

flags! {
    // Both halves.
    DESTROYED = 0;
    ERRORED = 1;
    ERROR_EMITTED = 2;
    CLOSED = 3;
    CLOSE_EMITTED = 4;

    // The readable half.
    /// The peer's end was read.
    READ_ENDED = 5;
    END_EMITTED = 6;
    /// The handle was asked for more, and has not given any since.
    READING = 7;
    /// Inside of `read`: what comes now is not told on this stack.
    READ_SYNC = 8;
    NEED_READABLE = 9;
    EMITTED_READABLE = 10;
    READABLE_LISTENING = 11;
    RESUME_SCHEDULED = 12;
    READING_MORE = 13;
    /// `pause` or `resume` was called, or somebody listens: FLOWING says what holds.
    HAS_FLOWING = 14;
    FLOWING = 15;
    HAS_PAUSED = 16;
    PAUSED = 17;
    DATA_LISTENING = 18;

    // The writable half.
    FINAL_CALLED = 20;
    NEED_DRAIN = 21;
    ENDING = 22;
    FINISHED = 23;
    WRITING = 24;
    BUFFER_PROCESSING = 25;
    PREFINISHED = 26;
    AFTER_WRITE_PENDING = 27;

    // The socket.
    CONNECTING = 28;
    ALLOW_HALF_OPEN = 29;
    /// The peer has ended, and half-open is not allowed: a write is its error.
    WRITE_AFTER_FIN = 30;
    NO_DELAY = 31;
    KEEP_ALIVE = 32;
    RESET_AND_CLOSING = 33;
    ABORTED = 34;
    /// There is a time-out to be put off by activity.
    HAS_TIMEOUT = 35;
    /// A reset emits 'error' at once, even while the socket reads nothing.
    WATCHES_RESETS = 36;
}
