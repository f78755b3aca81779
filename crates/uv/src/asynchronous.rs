//! Asyncs: other threads and signal handlers wake the loop.
//!
//! ```text
//!           send (the first): write(eventfd)
//!   quiet ────────────────────────────────────▶ pending ──┐ send: no system call
//!     ▲                                            │ ▲────┘
//!     └──────────── the loop calls it ─────────────┘
//! ```
#![forbid(unsafe_code)]

use crate::abi::live::Live;
use crate::handle;
use crate::layout::{Async, AsyncCallback, Loop, kind};
use crate::state::{Member, rings};
use std::sync::atomic::Ordering;
use std::thread;

/// Begins an async, which is active from the start.
pub(crate) fn begin(owner: Live<Loop>, of: Live<Async>, callback: Option<AsyncCallback>) {
    handle::begin(owner, of.as_handle(), kind::ASYNC);
    of.callback.set(callback);
    of.senders.store(0, Ordering::Relaxed);
    of.is_pending.store(0, Ordering::Relaxed);
    let state = owner.state();
    let place = state
        .rings
        .borrow_mut()
        .push_back(rings::ASYNC, Member::Async(of));
    of.place.set(place);
    of.handle.activate();
}

/// Wakes the loop, from any thread or signal handler: atomics and a `write(2)`, no lock.
pub(crate) fn send(of: Live<Async>) {
    if of.is_pending.load(Ordering::Relaxed) != 0 {
        return;
    }
    // `close` waits for this to be 0, as the handle may be freed after it.
    of.senders.fetch_add(1, Ordering::SeqCst);
    if of.is_pending.swap(1, Ordering::SeqCst) == 0 {
        of.handle.state().ring();
    }
    of.senders.fetch_sub(1, Ordering::SeqCst);
}

pub(crate) fn close(of: Live<Async>) {
    // From here on, sends change nothing.
    of.is_pending.store(1, Ordering::SeqCst);
    while of.senders.load(Ordering::SeqCst) > 0 {
        thread::yield_now(); // another thread is at its write(2)
    }
    of.handle.state().rings.borrow_mut().remove(of.place.get());
    of.handle.deactivate();
}

/// Takes back the send of an async. True if there was one.
pub(crate) fn take(of: Live<Async>) -> bool {
    of.is_pending.swap(0, Ordering::SeqCst) != 0
}
