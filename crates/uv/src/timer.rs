//! Timers: deadlines in milliseconds of the loop's time.
#![forbid(unsafe_code)]

use crate::abi::live::Live;
use crate::call::Call;
use crate::handle;
use crate::layout::{Loop, Timer, TimerCallback, kind};
use crate::state::Due;
use oneloop_core::Key;
use rustix::io::Errno;

pub(crate) const NS_PER_MS: u64 = 1_000_000;

/// A deadline as the timers of the core have it.
pub(crate) fn to_ns(ms: u64) -> u64 {
    ms.saturating_mul(NS_PER_MS)
}

pub(crate) fn begin(owner: Live<Loop>, timer: Live<Timer>) {
    handle::begin(owner, timer.as_handle(), kind::TIMER);
    timer.callback.set(None);
    timer.key.set(0);
    timer.deadline_ms.set(0);
    timer.repeat_ms.set(0);
}

pub(crate) fn start(
    timer: Live<Timer>,
    callback: Option<TimerCallback>,
    timeout_ms: u64,
    repeat_ms: u64,
) -> Result<(), Errno> {
    let callback = callback.ok_or(Errno::INVAL)?;
    if timer.handle.is_closing() {
        return Err(Errno::INVAL);
    }
    let state = timer.handle.state();
    timer.callback.set(Some(callback));
    timer.repeat_ms.set(repeat_ms);
    let deadline_ms = state.now_ms.get().saturating_add(timeout_ms);
    timer.deadline_ms.set(deadline_ms);
    let mut timers = state.timers.borrow_mut();
    if timer.handle.is_active() && timers.again(key(timer), to_ns(deadline_ms)) {
        return Ok(());
    }
    let key = timers.start(to_ns(deadline_ms), Due::Timer(timer));
    timer.key.set(key.to_u64());
    timer.handle.activate();
    Ok(())
}

fn key(timer: Live<Timer>) -> Key<oneloop_core::Timer<Due>> {
    Key::from_u64(timer.key.get())
}

pub(crate) fn stop(timer: Live<Timer>) {
    if timer.handle.is_active() {
        timer.handle.state().timers.borrow_mut().stop(key(timer));
        timer.handle.deactivate();
    }
}

/// Starts a timer again with its repeat, if it has one.
pub(crate) fn again(timer: Live<Timer>) -> Result<(), Errno> {
    let callback = timer.callback.get();
    if callback.is_none() {
        return Err(Errno::INVAL);
    }
    match timer.repeat_ms.get() {
        0 => Ok(()),
        repeat_ms => start(timer, callback, repeat_ms, repeat_ms),
    }
}

/// The time until it fires: 0 if it is late.
pub(crate) fn due_in_ms(timer: Live<Timer>) -> u64 {
    let now_ms = timer.handle.state().now_ms.get();
    timer.deadline_ms.get().saturating_sub(now_ms)
}

/// The call of a timer that was popped, which starts again before it if it repeats.
pub(crate) fn fire(timer: Live<Timer>) -> Option<Call> {
    timer.handle.deactivate();
    let callback = timer.callback.get()?;
    let _ = again(timer); // it has a callback, and is not closing
    Some(Call::Timer(callback, timer))
}
