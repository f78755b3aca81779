//! Files that are polled: a look at their metadata in each interval, by the pool.
#![forbid(unsafe_code)]

use crate::abi::live::Live;
use crate::abi::stat;
use crate::call::Call;
use crate::handle;
use crate::jobs;
use crate::layout::{FsPoll, FsPollCallback, Loop, Stat, kind};
use crate::mail::Done;
use crate::state::{Due, LoopState};
use crate::timer::to_ns;
use oneloop_core::{Key, Slots, Timer};
use rustix::io::Errno;
use std::ffi::{CStr, CString, c_int};

/// The polled files of a loop.
#[derive(Debug, Default)]
pub(crate) struct StatWatches {
    watches: Slots<StatWatch>,
    /// The metadata in the report that is being delivered: before and now.
    reported: Box<[Stat; 2]>,
}

/// ```text
///            a job of the pool looks            the interval passes
///   looking ──────────────────────────▶ waiting ───────────────────▶ looking …
/// ```
#[derive(Debug)]
pub(crate) struct StatWatch {
    handle: Live<FsPoll>,
    callback: FsPollCallback,
    path: CString,
    interval_ms: u64,
    /// The time at which the last look began.
    looked_ms: u64,
    /// The result of the last look; `None` before the first.
    last: Option<Result<Stat, c_int>>,
    /// The metadata that was last there; zeros until there is any.
    last_stat: Stat,
    timer: Option<Key<Timer<Due>>>,
}

pub(crate) fn begin(owner: Live<Loop>, handle: Live<FsPoll>) {
    handle::begin(owner, handle.as_handle(), kind::FS_POLL);
    handle.key.set(NONE);
}

/// The key of a handle that is not started: no slab reaches this index.
const NONE: u64 = u64::MAX;

fn key(handle: Live<FsPoll>) -> Key<StatWatch> {
    Key::from_u64(handle.key.get())
}

pub(crate) fn start(
    handle: Live<FsPoll>,
    callback: Option<FsPollCallback>,
    path: &CStr,
    interval_ms: u32,
) -> Result<(), Errno> {
    if handle.handle.is_active() {
        return Ok(());
    }
    let callback = callback.ok_or(Errno::INVAL)?;
    if handle.handle.is_closing() {
        return Err(Errno::INVAL);
    }
    let state = handle.handle.state();
    let watch = StatWatch {
        handle,
        callback,
        path: path.to_owned(),
        interval_ms: u64::from(interval_ms).max(1),
        looked_ms: 0,
        last: None,
        last_stat: Stat::default(),
        timer: None,
    };
    let key = state.stats.borrow_mut().watches.insert(watch);
    handle.key.set(key.to_u64());
    handle.handle.activate();
    look(handle.handle.owner(), key.to_u64());
    Ok(())
}

pub(crate) fn stop(handle: Live<FsPoll>) {
    if handle.handle.is_active() {
        let state = handle.handle.state();
        let watch = state.stats.borrow_mut().watches.remove(key(handle));
        if let Some(timer) = watch.and_then(|watch| watch.timer) {
            state.timers.borrow_mut().stop(timer);
        }
        handle.key.set(NONE);
        handle.handle.deactivate();
    }
}

/// The path of a handle that is started.
pub(crate) fn path(handle: Live<FsPoll>) -> Option<CString> {
    let state = handle.handle.state();
    let stats = state.stats.borrow();
    Some(stats.watches.get(key(handle))?.path.clone())
}

/// Begins a look at a file, unless its handle was stopped.
pub(crate) fn look(owner: Live<Loop>, key: u64) {
    let state = owner.state();
    let mut stats = state.stats.borrow_mut();
    let Some(watch) = stats.watches.get_mut(Key::from_u64(key)) else {
        return;
    };
    watch.timer = None;
    watch.looked_ms = state.now_ms.get();
    let path = watch.path.clone();
    drop(stats);
    jobs::submit(owner, false, move || Done::Stat(key, stat::of_path(&path)));
    // The handle keeps the loop alive, if it is referenced; the look does not.
    owner.end_request();
}

/// Takes the result of a look. Returns the call, if the file has changed.
pub(crate) fn looked(state: &LoopState, key: u64, result: Result<Stat, c_int>) -> Option<Call> {
    let mut stats = state.stats.borrow_mut();
    let StatWatches { watches, reported } = &mut *stats;
    let watch = watches.get_mut(Key::from_u64(key))?; // the handle was stopped meanwhile
    let passed_ms = state.now_ms.get().saturating_sub(watch.looked_ms);
    let next_ms = state.now_ms.get() + watch.interval_ms - passed_ms % watch.interval_ms;
    watch.timer = Some(
        state
            .timers
            .borrow_mut()
            .start(to_ns(next_ms), Due::Stat(key)),
    );
    let before = watch.last.replace(result);
    let is_reported = match (before, result) {
        (None, Ok(_)) => false, // what the file is like at first is no change
        (Some(Ok(before)), Ok(now)) => is_changed(&before, &now),
        (before, result) => before != Some(result),
    };
    let last_stat = watch.last_stat;
    watch.last_stat = result.unwrap_or(last_stat);
    is_reported.then_some(())?;
    **reported = [last_stat, result.unwrap_or_default()];
    let (status, [before, now]) = (result.err().unwrap_or(0), &**reported);
    Some(Call::FsPoll(
        watch.callback,
        watch.handle,
        status,
        before,
        now,
    ))
}

/// True if more has changed than the time of the last access and what follows from other files.
fn is_changed(before: &Stat, now: &Stat) -> bool {
    let same = Stat {
        accessed: before.accessed,
        links: before.links,
        blocks: before.blocks,
        block_size: before.block_size,
        special_device: before.special_device,
        ..*now
    };
    *before != same
}
