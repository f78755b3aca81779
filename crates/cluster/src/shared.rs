//! What the loops of a cluster share, and the way to all of them.

use crate::loads::Loads;
use oneloop_core::concurrency::{Mutex, MutexGuard};
use oneloop_sync::{DistantReceiver, DistantSender, distant_channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What the loops of a cluster share.
#[derive(Debug)]
pub(crate) struct ClusterState {
    pub(crate) loads: Loads,
    /// One bell for each loop: it rings when `state` has changed.
    bells: Box<[DistantSender<()>]>,
    state: Mutex<StopState>,
}

#[derive(Debug, Default)]
struct StopState {
    /// The loops' ends of the bells, until they take them.
    bells: Vec<Option<DistantReceiver<()>>>,
    /// How long connections may take to end, once the cluster was asked to stop.
    drain: Option<Duration>,
    /// The first loop that failed or panicked.
    failed: Option<usize>,
}

impl ClusterState {
    pub(crate) fn new(loops: usize) -> Arc<Self> {
        // Room for one: a bell that rings already need not ring again.
        let (bells, ends) = (0..loops)
            .map(|_| distant_channel(1))
            .unzip::<_, _, Vec<_>, Vec<_>>();
        Arc::new(ClusterState {
            loads: Loads::new(loops),
            bells: bells.into(),
            state: Mutex::new(StopState {
                bells: ends.into_iter().map(Some).collect(),
                ..StopState::default()
            }),
        })
    }

    pub(crate) fn loops(&self) -> usize {
        self.bells.len()
    }

    /// This loop's bell.
    ///
    /// # Panics
    /// If the loop took it before.
    pub(crate) fn take_bell(&self, index: usize) -> DistantReceiver<()> {
        let bell = self.lock().bells.get_mut(index).and_then(Option::take);
        bell.expect("each loop of a cluster joins it once")
    }

    /// Asks all loops to stop. A later request may shorten the drain.
    pub(crate) fn stop(&self, drain: Duration) {
        let mut state = self.lock();
        if state.drain.is_some_and(|before| before <= drain) {
            return;
        }
        state.drain = Some(drain);
        drop(state);
        for bell in &self.bells {
            let _ = bell.try_send(()); // rings already, or the loop has ended
        }
    }

    /// Ends the count of a connection that does not come to that loop after all.
    pub(crate) fn take_back(&self, index: usize) {
        if self.loads.remove(index) == 0 {
            // The loop may wait for it as its last one.
            let _ = self.bells[index].try_send(());
        }
    }

    pub(crate) fn drain(&self) -> Option<Duration> {
        self.lock().drain
    }

    /// Notes that a loop has failed or panicked. The first one counts.
    pub(crate) fn fail(&self, index: usize) {
        self.lock().failed.get_or_insert(index);
    }

    pub(crate) fn failed(&self) -> Option<usize> {
        self.lock().failed
    }

    fn lock(&self) -> MutexGuard<'_, StopState> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
