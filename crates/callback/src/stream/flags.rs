//! The yes-or-no facts about a stream, as a typed set in one word.
//!
//! Node keeps the same facts as bits of `_readableState` and `_writableState`; the names are
//! Node's.
//!
//! ```text
//! both halves   (open) ──▶ DESTROYED ──▶ CLOSED ──▶ CLOSE_EMITTED
//!                   └─ an error first: ERRORED, and ERROR_EMITTED once 'error' was emitted
//! readable.rs   draws READING, FLOWING, READ_ENDED, END_EMITTED
//! writable.rs   draws WRITING, NEED_DRAIN, ENDING, FINISHED
//! a file        OPENING ──▶ (open): until then, writes wait in the buffer
//! a socket      CONNECTING ──▶ (connected)
//! ```

use std::cell::Cell;
use std::fmt;
use std::ops::BitOr;

/// A set of facts about a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlagSet(u64);

impl BitOr for FlagSet {
    type Output = FlagSet;

    fn bitor(self, other: FlagSet) -> FlagSet {
        FlagSet(self.0 | other.0)
    }
}

/// The facts that hold for one stream.
// One word in a `Cell`: as single booleans they would cost each idle connection 30 bytes more.
#[derive(Default)]
pub(crate) struct Flags(Cell<u64>);

impl Flags {
    pub(crate) fn set(&self, flags: FlagSet) {
        self.0.set(self.0.get() | flags.0);
    }

    pub(crate) fn clear(&self, flags: FlagSet) {
        self.0.set(self.0.get() & !flags.0);
    }

    /// Sets or clears the flags.
    pub(crate) fn put(&self, flags: FlagSet, on: bool) {
        if on {
            self.set(flags)
        } else {
            self.clear(flags)
        }
    }

    /// True if all of these flags are set.
    pub(crate) fn has(&self, flags: FlagSet) -> bool {
        self.0.get() & flags.0 == flags.0
    }

    /// True if any of these flags is set.
    pub(crate) fn has_any(&self, flags: FlagSet) -> bool {
        self.0.get() & flags.0 != 0
    }

    /// Sets the flags, and returns whether all of them were set before.
    pub(crate) fn test_and_set(&self, flags: FlagSet) -> bool {
        let before = self.has(flags);
        self.set(flags);
        before
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = NAMES.iter().filter(|(_, flag)| self.has(*flag));
        f.debug_set().entries(set.map(|(name, _)| name)).finish()
    }
}

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        $($(#[$doc])* pub(crate) const $name: FlagSet = FlagSet(1 << $bit);)*

        const NAMES: &[(&str, FlagSet)] = &[$((stringify!($name), $name)),*];
    };
}

flags! {
    // Both halves.
    /// The stream was destroyed: nothing is read or written any more.
    DESTROYED = 0;
    /// The first error is known. No further data is read or written.
    ERRORED = 1;
    ERROR_EMITTED = 2;
    /// What the stream reads or writes is closed.
    CLOSED = 3;
    CLOSE_EMITTED = 4;

    // The readable half.
    /// The end was read from the source.
    READ_ENDED = 5;
    END_EMITTED = 6;
    /// The stream has requested data, and the source has delivered none since.
    READING = 7;
    /// `read` is asking the source: what arrives now must not be emitted on this stack.
    READ_SYNC = 8;
    /// The next data emits 'readable'.
    NEED_READABLE = 9;
    /// 'readable' was emitted or is scheduled, and nothing was read since.
    EMITTED_READABLE = 10;
    /// 'readable' has listeners.
    READABLE_LISTENING = 11;
    RESUME_SCHEDULED = 12;
    /// A tick that asks the source for more is scheduled.
    READING_MORE = 13;
    /// `pause`, `resume` or a listener has decided; FLOWING says how. Without it, Node's
    /// `readableFlowing` is `null`.
    HAS_FLOWING = 14;
    FLOWING = 15;
    /// `pause` or `resume` was called; PAUSED says which one came last.
    HAS_PAUSED = 16;
    PAUSED = 17;
    /// 'data' has listeners.
    DATA_LISTENING = 18;

    // The writable half.
    /// What the stream writes to is being opened: the opposite of Node's `constructed`.
    OPENING = 19;
    /// Node's `_final` was called.
    FINAL_CALLED = 20;
    /// A write returned false: 'drain' follows.
    NEED_DRAIN = 21;
    /// `end` was called.
    ENDING = 22;
    FINISHED = 23;
    /// A write is under way: later ones wait in the buffer.
    WRITING = 24;
    BUFFER_PROCESSING = 25;
    PREFINISHED = 26;
    AFTER_WRITE_PENDING = 27;

    // The socket.
    CONNECTING = 28;
    ALLOW_HALF_OPEN = 29;
    /// The peer has ended, and half-open is not allowed: a write is the peer's fault, `EPIPE`.
    WRITE_AFTER_FIN = 30;
    NO_DELAY = 31;
    KEEP_ALIVE = 32;
    RESET_AND_CLOSING = 33;
    ABORTED = 34;
    /// A timeout is set, which activity postpones.
    HAS_TIMEOUT = 35;
    /// A reset emits 'error' at once, even while the socket reads nothing.
    WATCHES_RESETS = 36;
    /// 'close' is not the last event: the socket connects again later.
    KEEPS_LISTENERS = 37;
}
