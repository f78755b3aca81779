//! Epoll as one small mechanism: register fds, wait, and get `(Key, Ready)` back. Runs no user
//! code.

use crate::mechanisms::ready::{Interest, Ready, Trigger};
use crate::mechanisms::slots::{Key, Slots};
use nix::sys::epoll::{Epoll, EpollEvent, EpollTimeout};
use oneloop_posix::{Process, Refusal};
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

/// The maximum number of events that one wait returns. The kernel keeps the rest, in order, for the
/// next wait.
const EVENTS_MAX: usize = 1024;
const NS_PER_MS: u32 = 1_000_000;

/// An epoll instance and the fds registered with it. `T` is the caller's own value for each fd.
///
/// Usable alone: the event loop is one user, and a caller-driven loop can be another.
///
/// ```
/// use oneloop::core::{Interest, Reactor, Ready, Trigger};
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
///
/// **After a fork** the child shares the kernel's epoll instance with its parent, and every change
/// there would be the parent's, too. So the child's copy changes nothing and refuses to wait
/// ([`forked`]) until [`Reactor::recreate`] gives it its own instance.
#[doc(alias("epoll", "Poll", "Registry", "uv_backend_fd"))]
pub struct Reactor<T> {
    /// Shared with the loop, which lends its fd to an outer loop while the reactor is borrowed.
    epoll: Rc<Epoll>,
    /// The process that made the instance: the only one that may use it.
    process: Process,
    registered: Slots<T>,
    events: Events,
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
    /// Those of `epoll_create1(2)`: mostly `EMFILE`.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Reactor {
            epoll: Rc::new(Epoll(epoll)),
            process: Process::this()?,
            registered: Slots::new(),
            events: Events::new(),
        })
    }

    /// Gives a forked child its own epoll instance. libuv's `uv_loop_fork`.
    ///
    /// Keys and values stay. The new instance knows none of the fds; call [`Reactor::modify`] for
    /// each one that the child wants to watch. Events of the last wait are dropped. The parent's
    /// instance does not change.
    ///
    /// # Errors
    /// As [`Reactor::new`]; the reactor is unchanged then.
    pub fn recreate(&mut self) -> io::Result<()> {
        let new = Reactor::new()?;
        let registered = mem::take(&mut self.registered);
        *self = Reactor { registered, ..new };
        Ok(())
    }

    /// Registers an fd. Its owner calls [`Reactor::remove`] or [`Reactor::forget`] before it closes
    /// it.
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
        // First, as the kernel stores the key with the registration.
        let key = self.registered.insert(value);
        let (data, flags) = (data(key), interest.to_epoll(trigger));
        let added = match epoll::add(&self.epoll.0, &fd, data, flags) {
            // A kernel without that flag, such as gVisor's, wakes all waiting loops instead of one.
            Err(Errno::INVAL) if trigger == Trigger::EdgeForOne => {
                let flags = interest.to_epoll(Trigger::Edge);
                epoll::add(&self.epoll.0, &fd, data, flags)
            }
            added => added,
        };
        added.inspect_err(|_| drop(self.registered.remove(key)))?;
        Ok(key)
    }

    /// Changes the interest in a registered fd. With [`Trigger::LevelOnce`] this also re-arms it.
    ///
    /// An fd that the kernel does not know is registered with this key. That happens after
    /// [`Reactor::recreate`], and when the fd was closed and its number now names another file.
    /// If a duplicate of the closed fd is still open, the old registration lives on and its events
    /// come with this key, too: call [`Reactor::remove`] before such an fd is closed.
    ///
    /// # Errors
    /// Those of [`Reactor::add`].
    pub fn modify(
        &self,
        fd: impl AsFd,
        key: Key<T>,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        self.check_process()?;
        let (data, flags) = (data(key), interest.to_epoll(trigger));
        match epoll::modify(&self.epoll.0, &fd, data, flags) {
            // epoll(7): the last close of a file removes its registration, and no event reports
            // that. A caller that knows its fds by number, as libuv's callers do, cannot tell that
            // the file changed.
            Err(Errno::NOENT) => Ok(epoll::add(&self.epoll.0, &fd, data, flags)?),
            modified => Ok(modified?),
        }
    }

    /// Removes an fd from epoll (`EPOLL_CTL_DEL`): for a file that stays open, here or as a
    /// duplicate.
    pub fn remove(&mut self, fd: impl AsFd, key: Key<T>) -> Option<T> {
        // In a forked child the call would remove the parent's registration.
        if self.process.is_this() {
            // ENOENT is no failure: the fd is not registered, as the caller wants.
            let _ = epoll::delete(&self.epoll.0, fd);
        }
        self.registered.remove(key)
    }

    /// Forgets a key without a system call: for an fd that is closed next and has no duplicate.
    pub fn forget(&mut self, key: Key<T>) -> Option<T> {
        self.registered.remove(key)
    }

    /// The value registered with this key.
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        self.registered.get(key)
    }

    /// All registered values.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.registered.iter()
    }

    /// The number of registered fds.
    pub fn len(&self) -> usize {
        self.registered.len()
    }

    /// True when no fd is registered.
    pub fn is_empty(&self) -> bool {
        self.registered.is_empty()
    }

    /// Waits for events until `timeout` has passed (`None` never does), and returns their number. A
    /// signal ends the wait without events.
    ///
    /// Timeouts below a second are exact to the nanosecond where the kernel has `epoll_pwait2`. Longer
    /// ones, and all where it has not, are rounded up to milliseconds (rule 10).
    ///
    /// # Errors
    /// [`forked`]; a correct program sees no other.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let waited = self.wait_unless_interrupted(timeout)?;
        // The loop looks at its state and waits again; a signal's own event comes through its
        // eventfd.
        Ok(waited.unwrap_or(0))
    }

    /// [`Reactor::wait`], except that a signal returns `None`: 0 events then mean that the whole
    /// timeout has passed.
    pub(crate) fn wait_unless_interrupted(
        &mut self,
        timeout: Option<Duration>,
    ) -> io::Result<Option<usize>> {
        self.check_process()?;
        match self.events.wait(&self.epoll, timeout) {
            Err(Errno::INTR) => Ok(None),
            count => Ok(Some(count?)),
        }
    }

    /// The event with this index of the last [`Reactor::wait`], counted from 0. `None` for one
    /// whose fd was removed since.
    ///
    /// It borrows nothing, so that a loop can change the reactor between two events, and a callback
    /// can do so, too:
    ///
    /// ```
    /// # use oneloop::core::{Interest, Reactor, Trigger};
    /// # let (mut here, there) = std::os::unix::net::UnixStream::pair()?;
    /// # let mut reactor = Reactor::new()?;
    /// # reactor.add(&there, Interest::WRITE, Trigger::Edge, ())?;
    /// # fn callback(_: &mut Reactor<()>) {}
    /// for index in 0..reactor.wait(None)? {
    ///     let Some((key, _ready)) = reactor.event(index) else {
    ///         continue; // an earlier callback removed it
    ///     };
    ///     callback(&mut reactor); // it may add and remove fds
    /// #   let _ = key;
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn event(&self, index: usize) -> Option<(Key<T>, Ready)> {
        let (data, flags) = self.events.get(index)?;
        let key = Key::from_u64(data);
        // epoll(7): events of one wait are a snapshot. An earlier event's callback may have closed
        // this fd, and the kernel may have given its number to a new file; the key tells them apart
        // (rule 5).
        let is_registered = self.registered.contains(key);
        is_registered.then(|| (key, Ready::from_epoll(flags)))
    }

    /// The events of the last [`Reactor::wait`], without those of fds that were removed since.
    pub fn events(&self) -> impl Iterator<Item = (Key<T>, &T, Ready)> {
        (0..self.events.count).filter_map(|index| {
            let (data, flags) = self.events.get(index)?;
            let key = Key::from_u64(data);
            let value = self.registered.get(key)?;
            Some((key, value, Ready::from_epoll(flags)))
        })
    }

    /// Replaces the events of the last [`Reactor::wait`] by others: their keys and flags. The
    /// function also gets the maximum number of events.
    #[cfg(feature = "chaos")]
    pub(crate) fn replace_events(
        &mut self,
        replace: impl FnOnce(Vec<(u64, u32)>, usize) -> Vec<(u64, u32)>,
    ) {
        let events = (0..self.events.count).filter_map(|index| self.events.get(index));
        let events = events.map(|(data, flags)| (data, flags.bits())).collect();
        self.events.replace(&replace(events, EVENTS_MAX));
    }

    /// The epoll instance, for an owner that has to lend its fd even while the reactor is borrowed.
    pub(crate) fn share_epoll(&self) -> Rc<Epoll> {
        Rc::clone(&self.epoll)
    }

    /// The process that made the instance.
    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// # Errors
    /// [`forked`], in any process but the one that made the instance.
    #[inline]
    pub(crate) fn check_process(&self) -> io::Result<()> {
        if self.process.is_this() {
            Ok(())
        } else {
            Err(forked())
        }
    }
}

/// The epoll fd itself: readable while events wait, so that one loop can live inside another.
impl<T> AsFd for Reactor<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

/// The error of a loop or a reactor in a process that was forked from its owner: it neither runs
/// nor registers anything there. Such a process makes its own.
pub fn forked() -> io::Error {
    io::Error::other(
        "this event loop belongs to the process that this one was forked from: make a new one here",
    )
}

fn data<T>(key: Key<T>) -> epoll::EventData {
    epoll::EventData::new_u64(key.to_u64())
}

/// The system calls that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitCall {
    /// `epoll_wait(2)`, whose timeouts are milliseconds.
    Ms,
    /// `epoll_pwait2(2)`, whose timeouts are nanoseconds. The kernel copies its timeout from user
    /// space, which costs about 95 ns a call; so it is made only for timeouts that need it.
    Ns,
}

impl WaitCall {
    /// The cheaper call that keeps this timeout.
    #[inline]
    fn of(timeout: Option<Duration>) -> Self {
        match timeout {
            None => WaitCall::Ms,
            // epoll_wait(2) has 31 bits of milliseconds: 24 days.
            Some(timeout) if timeout.as_secs() > i32::MAX as u64 / 1000 => WaitCall::Ns,
            // Late by a millisecond is late by 0.1 %. Most timeouts of connections are moved before
            // they end, so what counts is what each wait costs meanwhile.
            Some(timeout) if timeout.as_secs() > 0 => WaitCall::Ms,
            Some(timeout) if timeout.subsec_nanos().is_multiple_of(NS_PER_MS) => WaitCall::Ms,
            Some(_) => WaitCall::Ns,
        }
    }

    fn other(self) -> Self {
        match self {
            WaitCall::Ms => WaitCall::Ns,
            WaitCall::Ns => WaitCall::Ms,
        }
    }
}

/// The events of the last wait. Each call fills its own buffer: the two crates have different types
/// for the same `struct epoll_event`, and a conversion would cost each event a copy.
struct Events {
    /// The call that made the last wait.
    call: WaitCall,
    /// The call that this process does not have: kernels before 5.11 have no `epoll_pwait2`, and a
    /// sandbox may refuse either. The other one stands in for it.
    refused: Option<WaitCall>,
    count: usize,
    /// Always [`EVENTS_MAX`] long, as nix takes a slice.
    ms: Vec<EpollEvent>,
    /// Empty until the first wait with such a timeout.
    ns: Vec<epoll::Event>,
}

impl Events {
    fn new() -> Self {
        Events {
            call: WaitCall::Ms,
            refused: None,
            count: 0,
            ms: vec![EpollEvent::empty(); EVENTS_MAX],
            ns: Vec::new(),
        }
    }

    fn wait(&mut self, epoll: &Epoll, timeout: Option<Duration>) -> rustix::io::Result<usize> {
        let wanted = WaitCall::of(timeout);
        self.call = if self.refused == Some(wanted) {
            wanted.other()
        } else {
            wanted
        };
        self.count = 0;
        let waited = match self.call {
            WaitCall::Ms => self.wait_ms(epoll, timeout),
            WaitCall::Ns => self.wait_ns(epoll, timeout),
        };
        // Only once: if both calls are refused, the error is the caller's.
        if let Err(errno) = waited
            && self.refused.is_none()
            && Refusal::of(errno) == Some(Refusal::Everywhere)
        {
            self.refused = Some(self.call);
            return self.wait(epoll, timeout);
        }
        self.count = waited?;
        waited
    }

    fn wait_ms(&mut self, epoll: &Epoll, timeout: Option<Duration>) -> rustix::io::Result<usize> {
        let timeout = timeout.map_or(EpollTimeout::NONE, round_up_to_ms);
        let waited = epoll.wait(&mut self.ms, timeout);
        waited.map_err(|errno| Errno::from_raw_os_error(errno as i32))
    }

    fn wait_ns(&mut self, epoll: &Epoll, timeout: Option<Duration>) -> rustix::io::Result<usize> {
        self.ns.clear();
        // 12 KiB that a loop without fine timeouts never needs.
        self.ns.reserve_exact(EVENTS_MAX);
        let timeout = timeout.map(to_timespec);
        let buffer = rustix::buffer::spare_capacity(&mut self.ns);
        epoll::wait(&epoll.0, buffer, timeout.as_ref())
    }

    #[cfg(feature = "chaos")]
    fn replace(&mut self, events: &[(u64, u32)]) {
        self.call = WaitCall::Ms;
        self.count = events.len();
        for (event, (data, bits)) in self.ms.iter_mut().zip(events) {
            let flags = nix::sys::epoll::EpollFlags::from_bits_retain(*bits as i32);
            *event = EpollEvent::new(flags, *data);
        }
    }

    /// The caller's data and the flags of an event of the last wait.
    #[inline]
    fn get(&self, index: usize) -> Option<(u64, epoll::EventFlags)> {
        if index >= self.count {
            return None;
        }
        Some(match self.call {
            WaitCall::Ms => {
                let event = &self.ms[index];
                let bits = event.events().bits() as u32;
                (event.data(), epoll::EventFlags::from_bits_retain(bits))
            }
            WaitCall::Ns => {
                let (data, flags) = (self.ns[index].data, self.ns[index].flags);
                (data.u64(), flags)
            }
        })
    }
}

fn to_timespec(timeout: Duration) -> Timespec {
    Timespec {
        // A timeout beyond 292 billion years never passes; the kernel takes no longer one.
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    }
}

fn round_up_to_ms(timeout: Duration) -> EpollTimeout {
    let ms = u64::from(timeout.subsec_nanos().div_ceil(NS_PER_MS));
    let ms = timeout.as_secs().saturating_mul(1000).saturating_add(ms);
    // A timeout beyond 24 days ends early: the loop finds no timer due and waits again.
    EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    const NOW: Option<Duration> = Some(Duration::ZERO);
    const REFUSED: [Option<WaitCall>; 3] = [None, Some(WaitCall::Ns), Some(WaitCall::Ms)];

    #[test]
    fn only_a_timeout_below_a_second_with_parts_of_a_millisecond_takes_epoll_pwait2() {
        let coarse = [0, 1, 30_000, i32::MAX as u64].map(Duration::from_millis);
        assert!(
            coarse
                .iter()
                .all(|timeout| WaitCall::of(Some(*timeout)) == WaitCall::Ms)
        );
        assert_eq!(WaitCall::of(None), WaitCall::Ms);
        let month = Duration::from_secs(30 * 86_400); // epoll_wait(2) has 31 bits of milliseconds
        for timeout in [Duration::from_nanos(1), Duration::from_micros(1_500), month] {
            assert_eq!(WaitCall::of(Some(timeout)), WaitCall::Ns, "{timeout:?}");
        }
        let long = Duration::from_nanos(1_000_000_001);
        assert_eq!(WaitCall::of(Some(long)), WaitCall::Ms);
    }

    #[test]
    fn a_change_finds_an_fd_whose_number_names_another_file_now() {
        let (_, first) = UnixStream::pair().unwrap();
        let (mut here, there) = UnixStream::pair().unwrap();
        let mut fd = OwnedFd::from(first);
        let mut reactor = Reactor::new().unwrap();
        let key = reactor
            .add(&fd, Interest::NONE, Trigger::Level, ())
            .unwrap();
        rustix::io::dup2(&there, &mut fd).unwrap(); // closes the first file
        reactor
            .modify(&fd, key, Interest::READ, Trigger::Level)
            .unwrap();
        here.write_all(b"x").unwrap();
        assert_eq!(reactor.wait(NOW).unwrap(), 1);
        assert_eq!(reactor.event(0), Some((key, Ready::READ)));
    }

    #[test]
    fn an_event_whose_fd_was_removed_since_is_none() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut reactor = Reactor::new().unwrap();
        let keys = [&here, &there].map(|fd| {
            reactor
                .add(fd, Interest::WRITE, Trigger::Level, ())
                .unwrap()
        });
        assert_eq!(reactor.wait(None).unwrap(), 2);
        let (first, _) = reactor.event(0).unwrap();
        reactor.remove(
            if first == keys[0] { &there } else { &here },
            reactor.event(1).unwrap().0,
        );
        assert_eq!(reactor.event(1), None);
        assert!(reactor.event(0).is_some());
    }

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

    /// Rule 5: a duplicate keeps the kernel's registration alive after our fd is closed. The key of
    /// its events finds nothing.
    #[test]
    fn rule_05_events_of_a_forgotten_duplicate_find_nothing() {
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
        assert_eq!(reactor.wait(NOW).unwrap(), 1, "the kernel still reports it");
        assert_eq!(
            reactor.events().count(),
            0,
            "and the successor gets no event"
        );
        duplicate.read_exact(&mut [0]).unwrap();
    }

    /// Rule 10: timeouts round up.
    #[test]
    fn rule_10_a_wait_is_never_shorter_than_asked() {
        let mut reactor = Reactor::<()>::new().unwrap();
        for refused in REFUSED {
            reactor.events.refused = refused;
            for timeout in [1_u64, 999_999, 1_000_000, 1_500_001].map(Duration::from_nanos) {
                let start = Instant::now();
                assert_eq!(reactor.wait(Some(timeout)).unwrap(), 0);
                assert!(
                    start.elapsed() >= timeout,
                    "{timeout:?}, without {refused:?}"
                );
            }
        }
        assert_eq!(
            round_up_to_ms(Duration::from_nanos(1)),
            EpollTimeout::from(1_u8)
        );
        assert_eq!(round_up_to_ms(Duration::MAX), EpollTimeout::MAX);
    }

    #[test]
    fn each_call_returns_the_same_events() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let mut reactor = Reactor::new().unwrap();
        let key = reactor
            .add(&there, Interest::READ, Trigger::Level, ())
            .unwrap();
        here.write_all(b"x").unwrap();
        for refused in REFUSED {
            reactor.events.refused = refused;
            for timeout in [None, NOW, Some(Duration::from_nanos(1_500_001))] {
                assert_eq!(reactor.wait(timeout).unwrap(), 1);
                let events: Vec<_> = reactor.events().collect();
                assert_eq!(events, [(key, &(), Ready::READ)]);
                assert_eq!(reactor.event(0), Some((key, Ready::READ)));
                assert_eq!(reactor.event(1), None);
            }
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
