//! SIGUSR1: what every task of every loop is at, as log lines. Nothing stops for it.

use crate::logging::TASKS;
use crate::service::Shared;
use oneloop::{Handle, Signals, TaskState};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

/// The log has room for some thousand lines, and the other tasks want their turn.
const LINES_AT_ONCE: usize = 1000;
/// Time for the log to be written meanwhile.
const PAUSE: Duration = Duration::from_millis(10);

/// Has each signal ask all loops for their tasks.
pub(crate) fn listen(shared: &Arc<Shared>, handle: &Handle, signals: Signals) {
    let shared = Arc::clone(shared);
    handle.spawn_detached(async move {
        while signals.recv().await.is_ok() {
            shared.ask_for_tasks();
        }
    });
}

/// Has a loop tell of its tasks whenever they are asked for.
pub(crate) fn answer(shared: &Arc<Shared>, handle: &Handle) {
    let (shared, inside) = (Arc::clone(shared), handle.clone());
    handle.spawn_detached(async move {
        let mut answered = 0;
        loop {
            answered = poll_fn(|cx| shared.poll_asked_for_tasks(cx, answered)).await;
            tell(&inside).await;
        }
    });
}

async fn tell(handle: &Handle) {
    let tasks = handle.dump_tasks();
    let count = |state| tasks.iter().filter(|task| task.state == state).count();
    info!(
        target: TASKS,
        tasks = tasks.len(),
        waiting = count(TaskState::Waiting),
        ready = count(TaskState::Ready),
        "all tasks of this loop follow"
    );
    for (number, some) in tasks.chunks(LINES_AT_ONCE).enumerate() {
        if number > 0 {
            handle.sleep(PAUSE).await;
        }
        some.iter().for_each(|task| info!(target: TASKS, "{task}"));
    }
}
