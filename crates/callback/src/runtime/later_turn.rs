//! Results that come in the poll phase of a later turn, as those of libuv's pool do.

use oneloop_core::{Handle, Phase};
use std::future::Future;

/// Awaits a call, and then, if need be, the poll phase of a later turn.
///
/// A thread may complete before this task is polled again, but Node runs no callback in the turn in
/// which its call began: libuv reports the pool's results through an fd, which the next poll finds.
pub(crate) async fn in_later_turn<T>(call: impl Future<Output = T>) -> T {
    let handle = Handle::current();
    let turn = handle.stats().turns;
    let result = call.await;
    // A wake-up may also come in another phase, or in the poll of the very turn of the call.
    if handle.current_phase() != Phase::Poll || handle.stats().turns == turn {
        handle.phase(Phase::Poll).await;
    }
    result
}
