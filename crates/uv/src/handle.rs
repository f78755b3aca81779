//! What all handles do: they begin, are active, keep the loop alive, and are closed.
//!
//! ```text
//!          start                         close                        its callback
//!   idle ─────────▶ active ──stop─▶ idle ─────▶ CLOSING (a member of ───────────────▶ CLOSED
//!                      └─────────────close─────▶ rings::CLOSING)
//! ```
#![forbid(unsafe_code)]

use crate::abi::live::{Live, Typed};
use crate::layout::{CloseCallback, Handle, Loop, flag, kind};
use crate::state::{Member, rings};
use crate::{asynchronous, children, files, phase, poll, signals, stat_watch, stream, timer, udp};
use rustix::io::Errno;
use std::ffi::c_int;
use std::os::fd::RawFd;

/// Begins a handle: it is idle, and referenced.
pub(crate) fn begin(owner: Live<Loop>, handle: Live<Handle>, kind: c_int) {
    let state = owner.state();
    handle.owner.set(Some(owner));
    handle.kind.set(kind);
    handle.close_callback.set(None);
    handle.closing_place.set(0);
    handle.flags.set(flag::REFERENCED);
    let number = state.initialized.get();
    state.initialized.set(number + 1);
    let member = Member::Handle(handle, number);
    let place = state.rings.borrow_mut().push_back(rings::HANDLES, member);
    handle.place.set(place);
}

impl Handle {
    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags.get() & flag != 0
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.has(flag::CLOSING | flag::CLOSED)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.has(flag::ACTIVE)
    }

    /// Sets or clears flags. An active handle that is referenced counts in the loop.
    pub(crate) fn set(&self, flag: u32, is_set: bool) {
        const COUNTED: u32 = flag::ACTIVE | flag::REFERENCED;
        let before = self.flags.get();
        let after = if is_set {
            before | flag
        } else {
            before & !flag
        };
        self.flags.set(after);
        let counted = |flags: u32| u32::from(flags & COUNTED == COUNTED);
        if counted(before) != counted(after) {
            let active = &self.owner().active_handles;
            active.set(active.get() + counted(after) - counted(before));
        }
    }

    pub(crate) fn activate(&self) {
        self.set(flag::ACTIVE, true);
    }

    pub(crate) fn deactivate(&self) {
        self.set(flag::ACTIVE, false);
    }

    pub(crate) fn set_referenced(&self, is_referenced: bool) {
        self.set(flag::REFERENCED, is_referenced);
    }
}

/// Takes a handle out of all mechanisms. Its callback comes in the closing phase.
///
/// # Errors
/// If it is closing already, or of a kind that is not here.
pub(crate) fn close(
    handle: Live<Handle>,
    callback: Option<CloseCallback>,
) -> Result<(), &'static str> {
    if handle.is_closing() {
        return Err("uv_close: the handle is closing already");
    }
    match handle.typed() {
        Typed::Timer(timer) => timer::stop(timer),
        Typed::Phase(handle) => phase::stop(handle),
        Typed::Async(handle) => asynchronous::close(handle),
        Typed::Poll(poll) => poll::stop(poll),
        Typed::Signal(signal) => signals::stop(signal),
        Typed::FsEvent(handle) => files::stop(handle),
        Typed::FsPoll(handle) => stat_watch::stop(handle),
        Typed::Stream(handle) => stream::close(handle),
        Typed::Udp(handle) => udp::close(handle),
        Typed::Process(process) => children::close(process),
        Typed::Unknown => return Err("uv_close: there is no such kind of handle"),
    }
    handle.set(flag::CLOSING, true);
    handle.close_callback.set(callback);
    let state = handle.state();
    // In front: the handle that was closed last gets its callback first.
    let member = Member::Handle(handle, 0);
    let place = state.rings.borrow_mut().push_front(rings::CLOSING, member);
    handle.closing_place.set(place);
    state.closing.set(state.closing.get() + 1);
    Ok(())
}

/// Ends a handle whose turn in the closing phase has come. Returns its callback.
pub(crate) fn end(handle: Live<Handle>) -> Option<CloseCallback> {
    handle.set(flag::CLOSED, true);
    handle.set_referenced(false);
    let state = handle.state();
    if handle.kind.get() == kind::POLL {
        state.polls.borrow_mut().remove(&handle);
    }
    state.closing.set(state.closing.get() - 1);
    state.rings.borrow_mut().remove(handle.place.get());
    handle.close_callback.get()
}

/// Takes back the begin of a handle that has failed.
pub(crate) fn abandon(handle: Live<Handle>) {
    let state = handle.state();
    state.rings.borrow_mut().remove(handle.place.get());
}

/// The fd of a handle that has one.
///
/// # Errors
/// `EINVAL` for a kind that has none, `EBADF` for a handle that is closing or has none yet.
pub(crate) fn fd(handle: Live<Handle>) -> Result<RawFd, Errno> {
    let fd = match handle.typed() {
        Typed::Poll(poll) => poll.fd.get(),
        Typed::Stream(stream) => stream.fd.get(),
        Typed::Udp(udp) => udp.fd.get(),
        _ => return Err(Errno::INVAL),
    };
    if handle.is_closing() || fd == -1 {
        return Err(Errno::BADF);
    }
    Ok(fd)
}
