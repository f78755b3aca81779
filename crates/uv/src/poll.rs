//! Polls: the events of an fd that belongs to the caller.
#![forbid(unsafe_code)]

use crate::abi::fd::{borrow, is_pollable};
use crate::abi::live::Live;
use crate::call::Call;
use crate::handle;
use crate::layout::{Loop, Poll, PollCallback, kind};
use crate::state::LoopState;
use crate::watch::Owner;
use oneloop_core::{Interest, Ready};
use rustix::io::{Errno, ioctl_fionbio};
use std::ffi::c_int;
use std::os::fd::RawFd;

const READABLE: c_int = 1;
const WRITABLE: c_int = 2;
const DISCONNECT: c_int = 4;
const PRIORITIZED: c_int = 8;

/// Begins to poll an fd, which becomes non-blocking.
pub(crate) fn begin(owner: Live<Loop>, poll: Live<Poll>, fd: RawFd) -> Result<(), Errno> {
    if owner.state().watches.borrow().get(fd).is_some() {
        return Err(Errno::EXIST);
    }
    if fd < 0 {
        return Err(Errno::BADF);
    }
    is_pollable(fd)?;
    // Only sockets and pipes have the request; anything else that can be polled stays as it is.
    match ioctl_fionbio(borrow(fd), true) {
        Err(error) if error != Errno::NOTTY => return Err(error),
        _ => {}
    }
    forget(&owner.state(), poll);
    handle::begin(owner, poll.as_handle(), kind::POLL);
    poll.callback.set(None);
    poll.fd.set(fd);
    Ok(())
}

/// Forgets a poll that begins again without a close. gevent does that to give it another fd.
fn forget(state: &LoopState, poll: Live<Poll>) {
    // What is in the struct of a new poll is the caller's, so only its address tells.
    if !state.polls.borrow_mut().insert(poll.as_handle()) {
        stop(poll);
        state.rings.borrow_mut().remove(poll.handle.place.get());
    }
}

pub(crate) fn start(
    poll: Live<Poll>,
    events: c_int,
    callback: Option<PollCallback>,
) -> Result<(), Errno> {
    if poll.handle.is_closing() {
        return Err(Errno::INVAL);
    }
    let state = poll.handle.state();
    let fd = poll.fd.get();
    if state
        .watches
        .borrow()
        .get(fd)
        .is_some_and(|(owner, _)| owner != Owner::Poll(poll))
    {
        return Err(Errno::EXIST);
    }
    if events == 0 {
        stop(poll);
        return Ok(());
    }
    let wanted = Interest {
        read: events & READABLE != 0,
        write: events & WRITABLE != 0,
        read_closed: events & DISCONNECT != 0,
        urgent: events & PRIORITIZED != 0,
    };
    poll.callback.set(callback);
    state
        .watches
        .borrow_mut()
        .start(fd, wanted, Owner::Poll(poll));
    poll.handle.activate();
    Ok(())
}

pub(crate) fn stop(poll: Live<Poll>) {
    if poll.handle.is_active() {
        let state = poll.handle.state();
        // At once, as the caller may close the fd after this.
        state.watches.borrow_mut().stop(
            poll.fd.get(),
            Owner::Poll(poll),
            &mut state.reactor.borrow_mut(),
        );
        poll.handle.deactivate();
    }
}

/// The call for what epoll reported.
pub(crate) fn report(poll: Live<Poll>, ready: Ready, wanted: Interest) -> Option<Call> {
    let ready = completed(ready, wanted);
    let callback = poll.callback.get();
    if ready.contains(Ready::ERROR) && !ready.contains(Ready::URGENT) {
        return Some(Call::Poll(callback?, poll, fail(poll, Errno::BADF), 0));
    }
    let bits = [
        (wanted.read, Ready::READ, READABLE),
        (wanted.write, Ready::WRITE, WRITABLE),
        (wanted.read_closed, Ready::READ_CLOSED, DISCONNECT),
        (wanted.urgent, Ready::URGENT, PRIORITIZED),
    ];
    let reported = bits
        .iter()
        .filter(|(is_wanted, bit, _)| *is_wanted && ready.contains(*bit));
    let events = reported.fold(0, |events, (_, _, event)| events | event);
    // A hang-up that nothing wants has no events, and is reported all the same, as in libuv.
    let is_end = ready.intersects(Ready::HANG_UP | Ready::ERROR);
    (events != 0 || is_end).then_some(())?;
    Some(Call::Poll(callback?, poll, 0, events))
}

/// An error or a hang-up alone becomes all that is wanted, so that the caller's next call finds it.
pub(crate) fn completed(ready: Ready, wanted: Interest) -> Ready {
    if ready != Ready::ERROR && ready != Ready::HANG_UP {
        return ready;
    }
    let bit = |is_wanted: bool, bit: Ready| if is_wanted { bit } else { Ready::NONE };
    ready
        | bit(wanted.read, Ready::READ)
        | bit(wanted.write, Ready::WRITE)
        | bit(wanted.read_closed, Ready::READ_CLOSED)
        | bit(wanted.urgent, Ready::URGENT)
}

/// The call for an fd that the kernel refuses, such as one that was closed without a stop.
pub(crate) fn refused(poll: Live<Poll>, error: Errno) -> Option<Call> {
    let callback = poll.callback.get();
    Some(Call::Poll(callback?, poll, fail(poll, error), 0))
}

/// Stops after an error. Returns its number.
fn fail(poll: Live<Poll>, error: Errno) -> c_int {
    stop(poll);
    crate::error::number(error)
}
