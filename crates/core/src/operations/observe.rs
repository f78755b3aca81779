//! Watching a loop: its counters, a report of each phase, and its heartbeat for another thread.

use crate::state::{Handle, Observer};
use crate::tasks::heartbeat::Heartbeat;
use crate::tasks::stats::{PhaseReport, Stats};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

impl Handle {
    /// The loop's counts so far.
    #[doc(alias("metrics", "RuntimeMetrics", "uv_metrics_info"))]
    pub fn stats(&self) -> Stats {
        self.state.counters.snapshot()
    }

    /// Calls `observer` with a report of each phase of each turn; `None` ends that. Meanwhile each
    /// run of a task costs two looks at the clock.
    pub fn observe<F: FnMut(&PhaseReport) + 'static>(&self, observer: Option<F>) {
        let observer = observer.map(|f| Rc::new(RefCell::new(f)) as Observer);
        let before = self.state.observer.replace(observer);
        drop(before); // foreign code, so after the borrow (rule 1)
    }

    /// The loop's heartbeat, for a thread that watches it. From the first call on, each run of a
    /// task costs two uncontended locks.
    pub fn heartbeat(&self) -> Arc<Heartbeat> {
        Arc::clone(self.state.heartbeat.get_or_init(Arc::default))
    }
}
