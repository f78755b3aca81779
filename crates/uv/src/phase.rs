//! Handles that are called in each turn: idle, prepare and check.
#![forbid(unsafe_code)]

use crate::abi::live::Live;
use crate::handle;
use crate::layout::{Loop, PhaseCallback, PhaseHandle, kind};
use crate::state::{Member, rings};
use rustix::io::Errno;
use std::ffi::c_int;

pub(crate) fn begin(owner: Live<Loop>, of: Live<PhaseHandle>, kind: c_int) {
    handle::begin(owner, of.as_handle(), kind);
    of.callback.set(None);
}

/// The main ring of a kind.
fn ring(kind: c_int) -> usize {
    match kind {
        kind::IDLE => rings::IDLE,
        kind::PREPARE => rings::PREPARE,
        _ => rings::CHECK,
    }
}

pub(crate) fn start(of: Live<PhaseHandle>, callback: Option<PhaseCallback>) -> Result<(), Errno> {
    if of.handle.is_active() {
        return Ok(());
    }
    let callback = callback.ok_or(Errno::INVAL)?;
    if of.handle.is_closing() {
        return Err(Errno::INVAL);
    }
    of.callback.set(Some(callback));
    let state = of.handle.state();
    // In front, as in libuv: the handle that was started last is called first.
    let mut all = state.rings.borrow_mut();
    let place = all.push_front(ring(of.handle.kind.get()), Member::Phase(of));
    of.place.set(place);
    of.handle.activate();
    Ok(())
}

pub(crate) fn stop(of: Live<PhaseHandle>) {
    if of.handle.is_active() {
        of.handle.state().rings.borrow_mut().remove(of.place.get());
        of.handle.deactivate();
    }
}
