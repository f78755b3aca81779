//! Signals: an eventfd for each number that some handle of the loop waits for.
#![forbid(unsafe_code)]

use crate::abi::live::Live;
use crate::call::Call;
use crate::children;
use crate::handle;
use crate::layout::{Loop, Signal, SignalCallback, kind};
use crate::state::{LoopState, Token};
use oneloop_core::{Interest, Key, Reactor, Trigger};
use oneloop_posix::Listener;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ffi::c_int;
use std::io;
use std::os::fd::OwnedFd;

/// The signals of a loop.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// The handles that are started, in the order of their starts.
    started: Vec<Live<Signal>>,
    sources: BTreeMap<c_int, Source>,
    /// The signals that a poll has found, in order.
    found: Vec<c_int>,
    /// The calls that they lead to.
    due: VecDeque<Due>,
    /// The loop has children, whose ends are SIGCHLDs.
    has_children: bool,
    /// The handle that was called last, if it is to be stopped after that.
    oneshot: Option<Live<Signal>>,
}

/// What a signal leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Handle(Live<Signal>),
    /// The children that have ended.
    Children,
}

/// Where the signals of one number arrive.
#[derive(Debug)]
struct Source {
    eventfd: OwnedFd,
    key: Key<Token>,
    _listener: Listener,
}

impl Source {
    fn new(number: c_int, reactor: &mut Reactor<Token>) -> io::Result<Self> {
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let _listener = Listener::replacing(number, eventfd.try_clone()?)?;
        // By levels, so that what a turn leaves is found by the next one.
        let key = reactor.add(
            &eventfd,
            Interest::READ,
            Trigger::Level,
            Token::Signal(number),
        )?;
        Ok(Source {
            eventfd,
            key,
            _listener,
        })
    }

    /// The number of signals that have come since the last call.
    fn take(&self) -> u64 {
        let mut count = [0; 8];
        match rustix::io::read(&self.eventfd, &mut count) {
            Ok(_) => u64::from_ne_bytes(count),
            Err(_) => 0, // none has come
        }
    }
}

impl Signals {
    fn start(
        &mut self,
        signal: Live<Signal>,
        number: c_int,
        reactor: &mut Reactor<Token>,
    ) -> io::Result<()> {
        if let Entry::Vacant(vacant) = self.sources.entry(number) {
            vacant.insert(Source::new(number, reactor)?);
        }
        self.started.push(signal);
        Ok(())
    }

    fn stop(&mut self, signal: Live<Signal>, reactor: &mut Reactor<Token>) {
        self.started.retain(|other| *other != signal);
        self.due.retain(|due| *due != Due::Handle(signal));
        self.oneshot = self.oneshot.filter(|other| *other != signal);
        self.leave(signal.number.get(), reactor);
    }

    /// Ends to listen to a signal for which nothing waits any more.
    fn leave(&mut self, number: c_int, reactor: &mut Reactor<Token>) {
        let is_wanted = self
            .started
            .iter()
            .any(|other| other.number.get() == number)
            || (number == libc::SIGCHLD && self.has_children);
        if !is_wanted && let Some(source) = self.sources.remove(&number) {
            reactor.remove(&source.eventfd, source.key);
        }
    }

    /// Begins to listen to the ends of children.
    pub(crate) fn listen_to_children(&mut self, reactor: &mut Reactor<Token>) -> io::Result<()> {
        if let Entry::Vacant(vacant) = self.sources.entry(libc::SIGCHLD) {
            vacant.insert(Source::new(libc::SIGCHLD, reactor)?);
        }
        self.has_children = true;
        Ok(())
    }

    /// Ends to listen to them.
    pub(crate) fn ignore_children(&mut self, reactor: &mut Reactor<Token>) {
        self.has_children = false;
        self.leave(libc::SIGCHLD, reactor);
    }

    /// Notes that a signal has come. It is called after all other events of the poll.
    pub(crate) fn note(&mut self, number: c_int) {
        self.found.push(number);
    }

    /// Moves what was noted to the calls. Each signal that came is a call of each handle.
    pub(crate) fn collect(&mut self) {
        for number in std::mem::take(&mut self.found) {
            let count = self.sources.get(&number).map_or(0, Source::take);
            for _ in 0..count {
                let handles = self.started.iter().copied();
                let called = handles.filter(|signal| signal.number.get() == number);
                self.due.extend(called.map(Due::Handle));
            }
            if number == libc::SIGCHLD && self.has_children && count > 0 {
                self.due.push_back(Due::Children);
            }
        }
    }

    /// Makes the listeners of a forked child.
    pub(crate) fn recreate(&mut self, reactor: &mut Reactor<Token>) -> io::Result<()> {
        self.found.clear();
        self.due.clear();
        for (number, source) in &mut self.sources {
            reactor.forget(source.key);
            // The new listener comes before the old one goes, so that the handler stays.
            *source = Source::new(*number, reactor)?;
        }
        Ok(())
    }
}

pub(crate) fn begin(owner: Live<Loop>, signal: Live<Signal>) {
    handle::begin(owner, signal.as_handle(), kind::SIGNAL);
    signal.callback.set(None);
    signal.number.set(0);
    signal.is_oneshot.set(0);
}

pub(crate) fn start(
    signal: Live<Signal>,
    callback: Option<SignalCallback>,
    number: c_int,
    is_oneshot: bool,
) -> Result<(), Errno> {
    if signal.handle.is_closing() || number == 0 {
        return Err(Errno::INVAL);
    }
    let callback = callback.ok_or(Errno::INVAL)?;
    if signal.number.get() == number {
        signal.callback.set(Some(callback)); // it continues with another callback
        return Ok(());
    }
    stop(signal);
    let state = signal.handle.state();
    let mut signals = state.signals.borrow_mut();
    let started = signals.start(signal, number, &mut state.reactor.borrow_mut());
    started.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
    signal.number.set(number);
    signal.callback.set(Some(callback));
    signal.is_oneshot.set(c_int::from(is_oneshot));
    signal.handle.activate();
    Ok(())
}

pub(crate) fn stop(signal: Live<Signal>) {
    if signal.number.get() != 0 {
        let state = signal.handle.state();
        state
            .signals
            .borrow_mut()
            .stop(signal, &mut state.reactor.borrow_mut());
        signal.number.set(0);
        signal.handle.deactivate();
    }
}

/// The next call of a handle whose signal has come, or of a child that has ended.
pub(crate) fn next_call(state: &LoopState) -> Option<Call> {
    let called = state.signals.borrow_mut().oneshot.take();
    called.into_iter().for_each(stop);
    let signal = loop {
        if let Some(call) = children::next_call(state) {
            return Some(call);
        }
        let due = state.signals.borrow_mut().due.pop_front();
        match due? {
            Due::Handle(signal) => break signal,
            Due::Children => state.children.borrow_mut().collect(),
        }
    };
    if signal.is_oneshot.get() != 0 {
        state.signals.borrow_mut().oneshot = Some(signal);
    }
    Some(Call::Signal(
        signal.callback.get()?,
        signal,
        signal.number.get(),
    ))
}
