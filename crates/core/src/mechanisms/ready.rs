//! Readiness and interest: the bits that epoll reports for an fd, and those that a registration
//! requests.

use rustix::event::epoll::EventFlags;
use std::fmt;

/// One of the two ways in which bytes pass through an fd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Reading, and accepting.
    Read,
    /// Writing, and connecting.
    Write,
}

/// The readiness that epoll reported for an fd, as a set of bits.
///
/// The bits are epoll's own; only `EPOLLRDHUP` (0x2000) is moved down, so that the set fits in a
/// byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ready(u8);

impl Ready {
    /// Nothing.
    pub const NONE: Ready = Ready(0);
    /// `EPOLLIN`: a read would not block.
    pub const READ: Ready = Ready(1);
    /// `EPOLLOUT`: a write would not block.
    pub const WRITE: Ready = Ready(4);
    /// `EPOLLRDHUP`: the peer will send no more. It means "read to the end", not "close".
    pub const READ_CLOSED: Ready = Ready(32);
    /// `EPOLLPRI`: urgent data came (tcp(7)). A read stops in front of it, with more bytes behind
    /// it.
    pub const URGENT: Ready = Ready(2);
    /// `EPOLLHUP`: both directions are shut.
    pub const HANG_UP: Ready = Ready(16);
    /// `EPOLLERR`: an error is pending. The next system call returns it.
    pub const ERROR: Ready = Ready(8);

    /// True if all bits of `other` are set.
    pub const fn contains(self, other: Ready) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if any bit of `other` is set.
    pub const fn intersects(self, other: Ready) -> bool {
        self.0 & other.0 != 0
    }

    /// True if no bit is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set without those bits.
    pub const fn without(self, other: Ready) -> Ready {
        Ready(self.0 & !other.0)
    }

    /// The bits of that direction. Any one of them lets an operation proceed: also an end or an
    /// error, which the operation then returns.
    pub const fn of(direction: Direction) -> Ready {
        match direction {
            Direction::Read => Ready(1 | 2 | 8 | 16 | 32),
            Direction::Write => Ready(4 | 8 | 16),
        }
    }

    /// The one bit that means that an operation in that direction would not block.
    pub(crate) const fn bit(direction: Direction) -> Ready {
        match direction {
            Direction::Read => Ready::READ,
            Direction::Write => Ready::WRITE,
        }
    }

    /// This set after an operation would have blocked. Ends and errors stay: no further edge
    /// reports them (rule 3).
    pub(crate) const fn without_blocked(self, direction: Direction) -> Ready {
        match direction {
            Direction::Read => self.without(Ready(1 | 2)),
            Direction::Write => self.without(Ready::WRITE),
        }
    }

    /// True if a short read or write leaves more to do in that direction, for which no further edge
    /// comes: an end or an error to return, or bytes behind urgent ones.
    pub(crate) const fn has_more_than_bit(self, direction: Direction) -> bool {
        self.intersects(Ready::of(direction).without(Ready::bit(direction)))
    }

    pub(crate) fn from_epoll(flags: EventFlags) -> Ready {
        let same =
            EventFlags::IN | EventFlags::PRI | EventFlags::OUT | EventFlags::ERR | EventFlags::HUP;
        // No registration requests other bits than these six, and a source could not use them.
        let moved = u8::from(flags.contains(EventFlags::RDHUP)) * Ready::READ_CLOSED.0;
        Ready((flags & same).bits() as u8 | moved)
    }
}

impl std::ops::BitOr for Ready {
    type Output = Ready;
    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}
impl std::ops::BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Ready) {
        self.0 |= other.0;
    }
}

/// Prints epoll's names: `IN|OUT|RDHUP`.
impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Ready::READ, "IN"),
            (Ready::URGENT, "PRI"),
            (Ready::WRITE, "OUT"),
            (Ready::READ_CLOSED, "RDHUP"),
            (Ready::HANG_UP, "HUP"),
            (Ready::ERROR, "ERR"),
        ];
        let set = names.iter().filter(|(bit, _)| self.contains(*bit));
        f.write_str(&set.map(|(_, name)| *name).collect::<Vec<_>>().join("|"))
    }
}
impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ready({self})")
    }
}

/// The readiness that a registration asks epoll to report.
///
/// Errors and hang-ups are always reported (epoll_ctl(2)). The constants fit sources whose owner
/// reads to the end; a caller-driven loop can ask for each bit alone:
///
/// ```
/// use oneloop::core::Interest;
/// let readable = Interest { read: true, ..Interest::NONE }; // libuv's UV_READABLE
/// assert_ne!(readable, Interest::READ); // all three bits of a reader
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Interest {
    /// `EPOLLIN`: a read would not block.
    pub read: bool,
    /// `EPOLLOUT`: a write would not block.
    pub write: bool,
    /// `EPOLLPRI`: urgent data came.
    pub urgent: bool,
    /// `EPOLLRDHUP`: the peer will send no more.
    pub read_closed: bool,
}

impl Interest {
    /// Only errors and hang-ups.
    pub const NONE: Interest = Interest {
        read: false,
        write: false,
        urgent: false,
        read_closed: false,
    };
    /// All that a reader needs: `read`, `urgent` and `read_closed`.
    pub const READ: Interest = Interest {
        read: true,
        write: false,
        // With edges, a reader that is not notified of urgent data or of the end waits forever
        // after a short read: both may come without a further EPOLLIN (rule 3).
        urgent: true,
        read_closed: true,
    };
    /// Writing only.
    pub const WRITE: Interest = Interest::NONE.and(Direction::Write);
    /// All that a reader and a writer need.
    pub const BOTH: Interest = Interest::READ.and(Direction::Write);

    /// This interest and all that the direction needs.
    pub const fn and(mut self, direction: Direction) -> Interest {
        match direction {
            Direction::Read => {
                self.read = true;
                self.urgent = true;
                self.read_closed = true;
            }
            Direction::Write => self.write = true,
        }
        self
    }

    /// True if the interest includes that direction.
    pub const fn has(self, direction: Direction) -> bool {
        match direction {
            Direction::Read => self.read,
            Direction::Write => self.write,
        }
    }

    pub(crate) fn to_epoll(self, trigger: Trigger) -> EventFlags {
        let mut flags = match trigger {
            Trigger::Edge => EventFlags::ET,
            Trigger::EdgeForOne => EventFlags::ET | EventFlags::EXCLUSIVE,
            Trigger::Level => EventFlags::empty(),
            Trigger::LevelOnce => EventFlags::ONESHOT,
        };
        flags.set(EventFlags::IN, self.read);
        flags.set(EventFlags::OUT, self.write);
        flags.set(EventFlags::PRI, self.urgent);
        flags.set(EventFlags::RDHUP, self.read_closed);
        flags
    }
}

/// How often epoll reports the same readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Trigger {
    /// Once for each change (`EPOLLET`): the owner registers once, then works until `EAGAIN`.
    #[default]
    Edge,
    /// As `Edge`, for a file that several epoll instances watch so: a change wakes one of those
    /// that wait, and not all of them (`EPOLLEXCLUSIVE`; it wakes all where the kernel has no such
    /// flag). The interest may be in `read` and `write` only, and cannot be modified.
    EdgeForOne,
    /// At each wait, for as long as it holds.
    Level,
    /// Once, until the interest is set again (`EPOLLONESHOT`): for an fd that other code reads as
    /// well.
    LevelOnce,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_prints_as_epoll_names_it() {
        let ready = Ready::READ | Ready::WRITE | Ready::READ_CLOSED;
        assert_eq!(ready.to_string(), "IN|OUT|RDHUP");
        let all = EventFlags::IN | EventFlags::OUT | EventFlags::ERR | EventFlags::HUP;
        assert_eq!(Ready::from_epoll(all).to_string(), "IN|OUT|HUP|ERR");
        assert_eq!(
            Ready::from_epoll(EventFlags::RDHUP | EventFlags::PRI).to_string(),
            "PRI|RDHUP"
        );
    }

    #[test]
    fn each_interest_is_one_bit_of_epoll() {
        let flags = |interest: Interest| interest.to_epoll(Trigger::Level);
        let read = EventFlags::IN | EventFlags::PRI | EventFlags::RDHUP;
        assert_eq!(flags(Interest::READ), read);
        assert_eq!(flags(Interest::BOTH), read | EventFlags::OUT);
        assert_eq!(flags(Interest::WRITE), EventFlags::OUT);
        let none = Interest::NONE;
        assert_eq!(flags(Interest { read: true, ..none }), EventFlags::IN);
        assert_eq!(
            flags(Interest {
                urgent: true,
                ..none
            }),
            EventFlags::PRI
        );
        let read_closed = true;
        assert_eq!(
            flags(Interest {
                read_closed,
                ..none
            }),
            EventFlags::RDHUP
        );
    }

    #[test]
    fn a_hang_up_lets_both_directions_proceed() {
        assert!(Ready::HANG_UP.intersects(Ready::of(Direction::Read)));
        assert!(Ready::HANG_UP.intersects(Ready::of(Direction::Write)));
        assert!(!Ready::READ_CLOSED.intersects(Ready::of(Direction::Write)));
    }
}
