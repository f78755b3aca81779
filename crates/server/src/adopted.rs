//! Reaps orphans if the server is PID 1 of a container, or a subreaper: no other process does it
//! there.
//!
//! Orphans are processes that programs of `--mode exec`, or `docker exec`, have left behind.

use oneloop::Handle;
use oneloop::core::{CancelHandle, Signals};
use oneloop::process::{Left, adopts_orphans, reap_adopted};
use oneloop::signal::number::SIGCHLD;
use std::io;
use std::time::Duration;
use tracing::warn;

/// The pause before the next look if the first zombie is a program that its own loop is about to
/// reap: waitid(2) returns that one first, and hides the orphans behind it.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Reaps orphans until the task is canceled, if the kernel gives them to this process.
pub(crate) fn reap_in_background(handle: &Handle) -> io::Result<Option<CancelHandle>> {
    if !adopts_orphans() {
        return Ok(None);
    }
    // `reap_adopted` looks with WNOWAIT, and takes orphans only: waitpid(-1) would take the
    // children of other libraries as well.
    let ended = Signals::new(handle, &[SIGCHLD])?;
    let inside = handle.clone();
    let reaping = handle.spawn(async move {
        loop {
            // Before the first signal as well: orphans may have come before the listener did.
            if let Err(error) = reap(&inside).await {
                return warn!(%error, "cannot reap orphans: they stay zombies");
            }
            if ended.recv().await.is_err() {
                return;
            }
        }
    });
    Ok(Some(reaping.cancel_handle()))
}

async fn reap(handle: &Handle) -> io::Result<()> {
    while reap_adopted()? == Left::Own {
        handle.sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
