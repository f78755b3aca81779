//! As PID 1 of a container, or as a subreaper: reaping orphans, which nothing else does there.
//!
//! They are what programs of `--mode exec` have left behind, and what `docker exec` has.

use oneloop::process::{Left, adopts_orphans, reap_adopted};
use oneloop::signal::number::SIGCHLD;
use oneloop::{Handle, Signals};
use std::io;
use std::time::Duration;
use tracing::warn;

/// When to look again for orphans behind a program that its own loop is about to reap.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Reaps them from now on, if that is for this process to do.
pub(crate) fn reap_in_background(handle: &Handle) -> io::Result<()> {
    if !adopts_orphans() {
        return Ok(());
    }
    let ended = Signals::new(handle, &[SIGCHLD])?;
    let handle = handle.clone();
    handle.clone().spawn_detached(async move {
        loop {
            if let Err(error) = reap(&handle).await {
                return warn!(%error, "cannot reap orphans: they stay zombies");
            }
            if ended.recv().await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

async fn reap(handle: &Handle) -> io::Result<()> {
    while reap_adopted()? == Left::Own {
        handle.sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
