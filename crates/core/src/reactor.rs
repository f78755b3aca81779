//! Epoll as one small mechanism: register fds, wait, and get `(Key, Ready)` back. Runs no user code.

use crate::ready::{Interest, Ready, Trigger};
use crate::slots::{Key, Slots};
use nix::sys::epoll::{Epoll, EpollEvent, EpollTimeout};
use oneloop_posix::{Process, Refusal};
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

/// How many events one wait takes at most; the rest come with the next one.
const EVENTS_MAX: usize = 1024;

/// An epoll instance and what is registered with it. `T` is the caller's own value for each fd.
///
/// Usable by itself: the event loop is one user, and a caller-driven loop can be another.
///
/// A process that is forked shares the kernel's epoll instance with its parent, so it could only do
/// harm: its copy of a reactor changes nothing there, and refuses to wait ([`forked`]).
///
/// ```
/// use oneloop_core::{Interest, Reactor, Ready, Trigger};
/// use std::io::Write;
///
/// let (mut here, there) = std::os::unix::net::UnixStream::pair()?;
/// let mut reactor = Reactor::new()?;
/// let key = reactor.add(&there, Interest::READ, Trigger::Edge, "there")?;
/// here.write_all(b"x")?;
/// reactor.wait(None)?;
/// assert_eq!(reactor.events().collect::<Vec<_>>(), [(key, &"there", Ready::READ)]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Reactor<T> {
    epoll: Rc<OwnedFd>,
    /// Who made it: the only one who may use it.
    process: Process,
    registered: Slots<T>,
    /// What the last wait brought.
    events: Vec<epoll::Event>,
    /// Set once the kernel turned out to have no `epoll_pwait2`.
    coarse: Option<CoarseWait>,
}

impl<T> fmt::Debug for Reactor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("registered", &self.len())
            .finish_non_exhaustive()
    }
}

impl<T> Reactor<T> {
    /// A new epoll instance.
    ///
    /// # Errors
    /// What `epoll_create1(2)` says: mostly `EMFILE`.
    pub fn new() -> io::Result<Self> {
        Ok(Reactor {
            epoll: Rc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?),
            process: Process::this()?,
            registered: Slots::new(),
            events: Vec::with_capacity(EVENTS_MAX),
            coarse: None,
        })
    }

    /// Registers an fd. Its owner calls [`Reactor::remove`] or [`Reactor::forget`] before it is closed.
    ///
    /// # Errors
    /// `EEXIST` for an fd that is registered already, `EPERM` for a regular file, `ENOSPC` beyond
    /// `/proc/sys/fs/epoll/max_user_watches`; [`forked`]. The value is dropped then.
    pub fn add(
        &mut self,
        fd: impl AsFd,
        interest: Interest,
        trigger: Trigger,
        value: T,
    ) -> io::Result<Key<T>> {
        self.check_process()?;
        let key = self.registered.insert(value);
        let data = epoll::EventData::new_u64(key.to_u64());
        if let Err(error) = epoll::add(&self.epoll, fd, data, interest.to_epoll(trigger)) {
            self.registered.remove(key);
            return Err(error.into());
        }
        Ok(key)
    }

    /// Asks for something else. With [`Trigger::LevelOnce`] this is also how to ask again.
    ///
    /// # Errors
    /// `ENOENT` for an fd that is not registered; [`forked`].
    pub fn modify(
        &self,
        fd: impl AsFd,
        key: Key<T>,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        self.check_process()?;
        let data = epoll::EventData::new_u64(key.to_u64());
        Ok(epoll::modify(
            &self.epoll,
            fd,
            data,
            interest.to_epoll(trigger),
        )?)
    }

    /// Takes an fd out (`EPOLL_CTL_DEL`): for one that stays open somewhere, here or as a duplicate.
    pub fn remove(&mut self, fd: impl AsFd, key: Key<T>) -> Option<T> {
        if self.process.is_this() {
            // An fd that is no longer registered is what the caller asked for.
            let _ = epoll::delete(&self.epoll, fd);
        }
        self.registered.remove(key)
    }

    /// Forgets a key without a system call: for an fd that is closed next and has no duplicate.
    pub fn forget(&mut self, key: Key<T>) -> Option<T> {
        self.registered.remove(key)
    }

    /// The value registered under that key.
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        self.registered.get(key)
    }

    /// Everything registered.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.registered.iter()
    }

    /// How many fds are registered.
    pub fn len(&self) -> usize {
        self.registered.len()
    }

    /// True when no fd is registered.
    pub fn is_empty(&self) -> bool {
        self.registered.is_empty()
    }

    /// Waits for events, at most that long (`None`: for ever), and returns how many came.
    /// Time-outs are kept to the nanosecond where the kernel has `epoll_pwait2`, and rounded up to
    /// milliseconds elsewhere. A signal ends the wait with no events.
    ///
    /// # Errors
    /// [`forked`]; else none that a correct program sees.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.check_process()?;
        self.events.clear();
        let waited = match &mut self.coarse {
            Some(coarse) => coarse.wait(&mut self.events, timeout),
            None => {
                let timeout = timeout.map(to_timespec);
                let buffer = rustix::buffer::spare_capacity(&mut self.events);
                epoll::wait(&self.epoll, buffer, timeout.as_ref())
            }
        };
        match waited {
            Err(Errno::INTR) => Ok(0),
            Err(errno)
                if self.coarse.is_none() && Refusal::of(errno) == Some(Refusal::Everywhere) =>
            {
                self.coarse = Some(CoarseWait::new(&self.epoll)?);
                self.wait(timeout)
            }
            other => Ok(other?),
        }
    }

    /// The epoll fd, for whoever waits for it when this is lent to somebody else.
    pub(crate) fn share_fd(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.epoll)
    }

    /// # Errors
    /// [`forked`], in any process but the one that made it.
    #[inline]
    pub(crate) fn check_process(&self) -> io::Result<()> {
        if self.process.is_this() {
            Ok(())
        } else {
            Err(forked())
        }
    }

    /// What the last [`Reactor::wait`] brought, without fds that were taken out since.
    pub fn events(&self) -> impl Iterator<Item = (Key<T>, &T, Ready)> {
        self.events.iter().filter_map(|event| {
            let (data, flags) = (event.data, event.flags);
            let key = Key::from_u64(data.u64());
            self.registered
                .get(key)
                .map(|value| (key, value, Ready::from_epoll(flags)))
        })
    }
}

/// What is refused in a process that was forked from the one that made a loop: running it, and
/// registering anything with it. A loop of its own is what such a process makes.
pub fn forked() -> io::Error {
    io::Error::other(
        "this event loop belongs to the process that this one was forked from: make a new one here",
    )
}

/// The epoll fd itself: readable while events wait, so that one loop can live inside another.
impl<T> AsFd for Reactor<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn to_timespec(timeout: Duration) -> Timespec {
    // Longer than the kernel takes is for ever, to everyone who might still be there.
    Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    }
}

/// `epoll_wait` with whole milliseconds, rounded up: for kernels before 5.11 and for sandboxes that
/// refuse the system calls they do not know.
#[derive(Debug)]
struct CoarseWait {
    /// A duplicate of the reactor's fd: the same epoll instance.
    epoll: Epoll,
    buffer: Vec<EpollEvent>,
}

impl CoarseWait {
    fn new(epoll: &OwnedFd) -> io::Result<Self> {
        let buffer = vec![EpollEvent::empty(); EVENTS_MAX];
        Ok(CoarseWait {
            epoll: Epoll(epoll.try_clone()?),
            buffer,
        })
    }

    fn wait(
        &mut self,
        events: &mut Vec<epoll::Event>,
        timeout: Option<Duration>,
    ) -> rustix::io::Result<usize> {
        let timeout = timeout.map_or(EpollTimeout::NONE, round_up_to_ms);
        let count = self
            .epoll
            .wait(&mut self.buffer, timeout)
            .map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
        events.extend(self.buffer[..count].iter().map(|event| epoll::Event {
            flags: epoll::EventFlags::from_bits_retain(event.events().bits() as u32),
            data: epoll::EventData::new_u64(event.data()),
        }));
        Ok(count)
    }
}

fn round_up_to_ms(timeout: Duration) -> EpollTimeout {
    let ms = timeout.as_nanos().div_ceil(1_000_000);
    // Longer than 24 days wakes early, finds nothing due and waits again.
    EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    const NOW: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn an_edge_comes_once_and_a_level_every_time() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let mut reactor = Reactor::new().unwrap();
        let key = reactor
            .add(&there, Interest::READ, Trigger::Edge, ())
            .unwrap();
        here.write_all(b"x").unwrap();
        assert_eq!(
            (reactor.wait(None).unwrap(), reactor.wait(NOW).unwrap()),
            (1, 0)
        );
        reactor
            .modify(&there, key, Interest::READ, Trigger::Level)
            .unwrap();
        assert_eq!(
            (reactor.wait(NOW).unwrap(), reactor.wait(NOW).unwrap()),
            (1, 1)
        );
        reactor
            .modify(&there, key, Interest::READ, Trigger::LevelOnce)
            .unwrap();
        assert_eq!(
            (reactor.wait(NOW).unwrap(), reactor.wait(NOW).unwrap()),
            (1, 0)
        );
    }

    /// Rule 5: a duplicate keeps the kernel's registration alive after our fd is closed, and its
    /// events name a key that finds nothing.
    #[test]
    fn rule_05_events_of_a_forgotten_duplicate_reach_nobody() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let mut duplicate = there.try_clone().unwrap();
        let mut reactor = Reactor::new().unwrap();
        let old = reactor
            .add(&there, Interest::READ, Trigger::Edge, "old")
            .unwrap();
        reactor.forget(old);
        drop(there);
        let (_peer, next) = UnixStream::pair().unwrap();
        let new = reactor
            .add(&next, Interest::READ, Trigger::Edge, "new")
            .unwrap();
        assert_ne!(old, new);
        here.write_all(b"x").unwrap();
        assert_eq!(reactor.wait(NOW).unwrap(), 1, "the kernel still tells");
        assert_eq!(reactor.events().count(), 0, "and nobody is misled");
        duplicate.read_exact(&mut [0]).unwrap();
    }

    /// Rule 10: time-outs round up.
    #[test]
    fn rule_10_a_wait_is_never_shorter_than_asked() {
        let mut reactor = Reactor::<()>::new().unwrap();
        for coarse in [false, true] {
            reactor.coarse = coarse.then(|| CoarseWait::new(&reactor.epoll).unwrap());
            for timeout in [1_u64, 999_999, 1_000_000, 1_500_001].map(Duration::from_nanos) {
                let start = Instant::now();
                assert_eq!(reactor.wait(Some(timeout)).unwrap(), 0);
                assert!(start.elapsed() >= timeout, "{timeout:?}, coarse: {coarse}");
            }
        }
        assert_eq!(
            round_up_to_ms(Duration::from_nanos(1)),
            EpollTimeout::from(1_u8)
        );
        assert_eq!(round_up_to_ms(Duration::MAX), EpollTimeout::MAX);
    }

    #[test]
    fn an_old_kernel_brings_the_same_events() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let mut reactor = Reactor::new().unwrap();
        let key = reactor
            .add(&there, Interest::READ, Trigger::Level, ())
            .unwrap();
        here.write_all(b"x").unwrap();
        for coarse in [false, true] {
            reactor.coarse = coarse.then(|| CoarseWait::new(&reactor.epoll).unwrap());
            reactor.wait(None).unwrap();
            assert_eq!(
                reactor.events().collect::<Vec<_>>(),
                [(key, &(), Ready::READ)]
            );
        }
    }

    #[test]
    fn its_own_fd_is_readable_while_events_wait() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let mut inner = Reactor::new().unwrap();
        inner
            .add(&there, Interest::READ, Trigger::Edge, ())
            .unwrap();
        let mut outer = Reactor::new().unwrap();
        outer
            .add(&inner, Interest::READ, Trigger::Level, ())
            .unwrap();
        assert_eq!(outer.wait(NOW).unwrap(), 0);
        here.write_all(b"x").unwrap();
        assert_eq!((outer.wait(NOW).unwrap(), inner.wait(NOW).unwrap()), (1, 1));
    }

    #[test]
    fn an_fd_that_epoll_refuses_leaves_nothing_behind() {
        let mut reactor = Reactor::new().unwrap();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let error = reactor
            .add(&file, Interest::READ, Trigger::Edge, ())
            .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::PERM.raw_os_error()));
        assert!(reactor.is_empty());
    }
}
