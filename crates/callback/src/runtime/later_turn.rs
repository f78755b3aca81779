//! Results that come in the poll phase of a later turn, as those of libuv's pool do.

use oneloop_core::{Handle, Phase};
use std::future::Future;

/// Awaits a call, and then, if need be, the poll phase of a later turn.
///
/// A thread may be done before this task is polled again, but no callback of Node's runs in the
/// turn in which its call began: libuv reports the pool's results by an fd, which the next poll
/// finds.
pub(crate) async fn in_later_turn<T>(call: impl Future<Output = T>) -> T {
    let handle = Handle::current();
    let turn = handle.stats().turns;
    let result = call.await;
    if handle.current_phase() != Phase::Poll || handle.stats().turns == turn {
        handle.phase(Phase::Poll).await;
    }
    result
}
