//! The few bits that say what an fd is ready for, or what someone waits for.

use rustix::event::epoll::EventFlags;
use std::fmt;

/// One of the two ways bytes go through an fd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Reading, and accepting.
    Read,
    /// Writing, and connecting.
    Write,
}

/// What epoll said of an fd, as a set. The bits are epoll's own, with `EPOLLRDHUP` moved down to fit.
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
    /// `EPOLLPRI`: urgent data came. A read stops at it, with more behind it.
    pub const URGENT: Ready = Ready(2);
    /// `EPOLLHUP`: both directions are shut.
    pub const HANG_UP: Ready = Ready(16);
    /// `EPOLLERR`: an error is pending; the next system call will tell it.
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

    /// The bits of which any lets an operation in that direction go ahead.
    pub const fn of(direction: Direction) -> Ready {
        match direction {
            Direction::Read => Ready(1 | 2 | 8 | 16 | 32),
            Direction::Write => Ready(4 | 8 | 16),
        }
    }

    /// The bit that says just this: an operation in that direction would not block.
    pub(crate) const fn bit(direction: Direction) -> Ready {
        match direction {
            Direction::Read => Ready::READ,
            Direction::Write => Ready::WRITE,
        }
    }

    /// What a would-block answer takes back. Closing and errors stay: no edge would bring them again.
    pub(crate) const fn without_blocked(self, direction: Direction) -> Ready {
        match direction {
            Direction::Read => self.without(Ready(1 | 2)),
            Direction::Write => self.without(Ready::WRITE),
        }
    }

    /// True if there is more to do in that direction than its bit says, for which no further edge
    /// comes: an end or an error to be told, or bytes behind urgent ones.
    pub(crate) const fn has_more_than_bit(self, direction: Direction) -> bool {
        self.intersects(Ready::of(direction).without(Ready::bit(direction)))
    }

    pub(crate) fn from_epoll(flags: EventFlags) -> Ready {
        let same =
            EventFlags::IN | EventFlags::PRI | EventFlags::OUT | EventFlags::ERR | EventFlags::HUP;
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

/// As epoll writes it: `IN|OUT|RDHUP`.
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

/// What a registration asks epoll to tell; closing and errors are always told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Interest {
    /// Tell when a read would not block, and when the peer sends no more.
    pub read: bool,
    /// Tell when a write would not block.
    pub write: bool,
}

impl Interest {
    /// Nothing but closing and errors.
    pub const NONE: Interest = Interest {
        read: false,
        write: false,
    };
    /// Reading only.
    pub const READ: Interest = Interest {
        read: true,
        write: false,
    };
    /// Writing only.
    pub const WRITE: Interest = Interest {
        read: false,
        write: true,
    };
    /// Both.
    pub const BOTH: Interest = Interest {
        read: true,
        write: true,
    };

    /// This interest and that direction.
    pub const fn and(mut self, direction: Direction) -> Interest {
        match direction {
            Direction::Read => self.read = true,
            Direction::Write => self.write = true,
        }
        self
    }

    /// True if that direction is asked for.
    pub const fn has(self, direction: Direction) -> bool {
        match direction {
            Direction::Read => self.read,
            Direction::Write => self.write,
        }
    }

    pub(crate) fn to_epoll(self, trigger: Trigger) -> EventFlags {
        let mut flags = match trigger {
            Trigger::Edge => EventFlags::ET,
            Trigger::Level => EventFlags::empty(),
            Trigger::LevelOnce => EventFlags::ONESHOT,
        };
        if self.read {
            flags |= EventFlags::IN | EventFlags::PRI | EventFlags::RDHUP;
        }
        if self.write {
            flags |= EventFlags::OUT;
        }
        flags
    }
}

/// When epoll repeats itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Trigger {
    /// Once for each change: register once, then work until `EAGAIN` (`EPOLLET`).
    #[default]
    Edge,
    /// At every wait while it is so.
    Level,
    /// Once, as it is at that time, until interest is set again (`EPOLLONESHOT`): for an fd that
    /// someone else reads.
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
    fn closing_lets_both_directions_find_out() {
        assert!(Ready::HANG_UP.intersects(Ready::of(Direction::Read)));
        assert!(Ready::HANG_UP.intersects(Ready::of(Direction::Write)));
        assert!(!Ready::READ_CLOSED.intersects(Ready::of(Direction::Write)));
    }
}
