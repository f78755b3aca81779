//! The fds that a loop watches, by number, as libuv's callers know them.
#![forbid(unsafe_code)]

use crate::abi::fd::borrow;
use crate::abi::live::Live;
use crate::layout::{Poll, Stream, Udp};
use crate::state::Token;
use oneloop_core::{Interest, Key, Reactor, Trigger};
use rustix::io::Errno;
use std::cell::Cell;
use std::collections::VecDeque;
use std::os::fd::RawFd;

/// What gets the events of an fd.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    Poll(Live<Poll>),
    Stream(Live<Stream>),
    Udp(Live<Udp>),
}

// Bits of what a handle wants.
pub(crate) const READ: u32 = 1;
pub(crate) const WRITE: u32 = 4;

/// The watched fds.
///
/// A start only notes what its owner wants; the kernel learns of it before the next wait. So a stop
/// and a start in one turn cost no more than one of them. A stop reaches the kernel at once, as
/// the caller may close the fd after it. A pause is a stop that waits as a start does: for fds that
/// belong to a handle.
///
/// ```text
///             start                apply (EPOLL_CTL_ADD)
///   unknown ─────────▶ changed ───────────────────────────▶ registered ──┐ start, pause: changed,
///      ▲                  │                                     │ ▲──────┘ apply (EPOLL_CTL_MOD)
///      └──────────────────┴── stop, apply of a pause (DEL) ─────┘
/// ```
#[derive(Debug, Default)]
pub(crate) struct Watches {
    /// By fd.
    watches: Vec<Option<Watch>>,
    /// The fds whose owner wants something else than the kernel knows, in order: what is ready
    /// already, epoll reports in the order in which it learned of it.
    changed: VecDeque<RawFd>,
}

#[derive(Debug)]
struct Watch {
    owner: Owner,
    wanted: Interest,
    is_changed: bool,
    key: Option<Key<Token>>,
}

impl Watches {
    /// The owner of an fd's events, and what it wants. `None` while it pauses.
    pub(crate) fn get(&self, fd: RawFd) -> Option<(Owner, Interest)> {
        let watch = self.watches.get(usize::try_from(fd).ok()?)?.as_ref()?;
        (watch.wanted != Interest::NONE).then_some((watch.owner, watch.wanted))
    }

    /// Begins to watch an fd, or changes what its owner wants. Nothing for an fd that another owner
    /// watches.
    pub(crate) fn start(&mut self, fd: RawFd, wanted: Interest, owner: Owner) {
        let Ok(index) = usize::try_from(fd) else {
            return;
        };
        if index >= self.watches.len() {
            self.watches.resize_with(index + 1, || None);
        }
        let watch = self.watches[index].get_or_insert(Watch {
            owner,
            wanted: Interest::NONE,
            is_changed: false,
            key: None,
        });
        if watch.owner != owner && watch.wanted != Interest::NONE {
            return;
        }
        watch.owner = owner;
        if watch.key.is_some() && watch.wanted == wanted && !watch.is_changed {
            return;
        }
        watch.wanted = wanted;
        if !watch.is_changed {
            watch.is_changed = true;
            self.changed.push_back(fd);
        }
    }

    /// Adds a bit to what a handle wants of its fd, or removes it.
    pub(crate) fn want(
        &mut self,
        (fd, owner): (RawFd, Owner),
        wants: &Cell<u32>,
        bit: u32,
        is_wanted: bool,
    ) {
        let before = wants.get();
        let wanted = if is_wanted {
            before | bit
        } else {
            before & !bit
        };
        if wanted == before {
            return;
        }
        wants.set(wanted);
        if wanted == 0 {
            return self.pause(fd, owner);
        }
        let wanted = Interest {
            read: wanted & READ != 0,
            write: wanted & WRITE != 0,
            ..Interest::NONE
        };
        self.start(fd, wanted, owner);
    }

    /// Ends to watch an fd, before the next wait.
    pub(crate) fn pause(&mut self, fd: RawFd, owner: Owner) {
        if let Some(watch) = self.of(fd, owner) {
            watch.wanted = Interest::NONE;
            if !std::mem::replace(&mut watch.is_changed, true) {
                self.changed.push_back(fd);
            }
        }
    }

    /// Ends to watch an fd.
    pub(crate) fn stop(&mut self, fd: RawFd, owner: Owner, reactor: &mut Reactor<Token>) {
        let Some(key) = self.of(fd, owner).map(|watch| watch.key) else {
            return;
        };
        self.watches[fd as usize] = None;
        if let Some(key) = key {
            reactor.remove(borrow(fd), key);
        }
    }

    /// The watch of an fd, if it has that owner.
    fn of(&mut self, fd: RawFd, owner: Owner) -> Option<&mut Watch> {
        let watch = self.watches.get_mut(usize::try_from(fd).ok()?)?.as_mut()?;
        (watch.owner == owner).then_some(watch)
    }

    /// True if the kernel does not know yet what some owner wants.
    pub(crate) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Tells the kernel what owners want. Returns an owner whose fd it refuses, with the error, and
    /// no longer watches that fd; the caller calls this again for the rest.
    pub(crate) fn apply(&mut self, reactor: &mut Reactor<Token>) -> Option<(Owner, Errno)> {
        while let Some(fd) = self.changed.pop_front() {
            let Some(slot) = self.watches.get_mut(fd as usize) else {
                continue;
            };
            // A stop leaves the fd in the list, and another start may have added it again.
            let Some(watch) = slot.as_mut().filter(|watch| watch.is_changed) else {
                continue;
            };
            watch.is_changed = false;
            if watch.wanted == Interest::NONE {
                let key = watch.key;
                *slot = None;
                if let Some(key) = key {
                    reactor.remove(borrow(fd), key);
                }
                continue;
            }
            let result = match watch.key {
                Some(key) => reactor.modify(borrow(fd), key, watch.wanted, Trigger::Level),
                None => {
                    let added =
                        reactor.add(borrow(fd), watch.wanted, Trigger::Level, Token::Fd(fd));
                    added.map(|key| watch.key = Some(key))
                }
            };
            if let Err(error) = result {
                let owner = watch.owner;
                if let Some(key) = watch.key {
                    reactor.forget(key);
                }
                *slot = None;
                return Some((owner, Errno::from_io_error(&error).unwrap_or(Errno::IO)));
            }
        }
        None
    }

    /// Makes the next [`Watches::apply`] tell the kernel everything again: its epoll instance is
    /// new.
    pub(crate) fn forget_registrations(&mut self) {
        for (fd, watch) in self.watches.iter_mut().enumerate() {
            if let Some(watch) = watch.as_mut().filter(|watch| !watch.is_changed) {
                watch.is_changed = true;
                self.changed.push_back(fd as RawFd);
            }
        }
    }
}
