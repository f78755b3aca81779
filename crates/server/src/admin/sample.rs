//! What is read of a loop on its own thread, for metrics.

use oneloop::Handle;
use oneloop::core::{Class, PoolStats, Stats};
use std::time::{Duration, Instant};

/// The styles of tasks, as a label names them.
pub(crate) const STYLES: [&str; 3] = ["async", "callback", "green"];

/// The classes of worker threads, with their labels.
const CLASSES: [(Class, &str); 3] = [(Class::Fs, "fs"), (Class::Dns, "dns"), (Class::Cpu, "cpu")];

/// How a loop is.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoopSample {
    pub(crate) stats: Stats,
    /// Tasks that have not ended, in the order of [`STYLES`].
    pub(crate) tasks: [usize; STYLES.len()],
    /// Tasks in the run queue.
    pub(crate) ready: usize,
    /// The worker threads of each class, by its label.
    pub(crate) pools: Vec<(&'static str, PoolStats)>,
    /// The time from the question to this sample, for which any other event would have waited, too.
    pub(crate) response: Duration,
    /// The time that the sample took on the loop.
    pub(crate) took: Duration,
}

impl LoopSample {
    /// Takes a sample, on the loop's thread.
    pub(crate) fn take(handle: &Handle, response: Duration) -> Self {
        let begin = Instant::now();
        let mut tasks = [0; STYLES.len()];
        for (name, count) in handle.count_tasks_by_type() {
            tasks[style_of(name)] += count;
        }
        let pools = CLASSES.map(|(class, label)| (label, handle.pool_stats(class)));
        LoopSample {
            stats: handle.stats(),
            tasks,
            ready: handle.ready_count(),
            pools: pools.to_vec(),
            response,
            took: begin.elapsed(),
        }
    }
}

/// The index in [`STYLES`] of a task with this type of future. The task that takes the sample has
/// none, and is a plain function.
fn style_of(name: Option<&str>) -> usize {
    match name {
        Some(name) if name.starts_with("oneloop_callback::") => 1,
        Some(name) if name.starts_with("oneloop_green::") => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oneloop::{EventLoop, callback, green};
    use std::future::pending;

    #[test]
    fn tasks_are_counted_by_their_styles() {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let _entered = callback::enter(&handle);
        handle.spawn_detached(pending());
        handle.spawn(pending::<()>());
        event_loop.enter(|| {
            green::spawn(|| green::sleep(Duration::from_secs(3600)));
        });
        event_loop.run_nowait().unwrap();
        let [of_async, of_callbacks, of_green] = LoopSample::take(&handle, Duration::ZERO).tasks;
        assert_eq!((of_async, of_green), (2, 1));
        assert!(of_callbacks > 0, "its drivers are tasks");
    }
}
