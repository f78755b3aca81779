//! All loops of a cluster, from any thread.

use crate::shared::ClusterState;
use crate::shared_listener::SharedListener;
use oneloop_core::concurrency::{Mutex, MutexGuard};
use oneloop_net::Addr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// All loops of a cluster, from any thread. A clone is another handle to the same cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(crate) shared: Arc<ClusterState>,
    listeners: Arc<Mutex<Vec<Shares>>>,
}

/// The listener of one call of [`Member::listen`](crate::Member::listen) in each loop.
#[derive(Debug)]
struct Shares {
    addr: Addr,
    /// Which call for this address it is, counted in each loop.
    number: usize,
    listener: SharedListener,
    /// How many loops have joined it. The last one removes it from the list.
    joined: usize,
}

impl Shares {
    fn is(&self, addr: &Addr, number: usize) -> bool {
        self.addr == *addr && self.number == number
    }
}

impl Cluster {
    /// A cluster of that many loops. The caller runs them: see [`cluster`](crate::cluster()), which
    /// does it, and [`Cluster::start`] for the threads of all but the first.
    ///
    /// # Panics
    /// If `loops` is 0.
    pub fn new(loops: usize) -> Self {
        assert!(loops > 0, "a cluster has at least one loop");
        Cluster {
            shared: ClusterState::new(loops),
            listeners: Arc::default(),
        }
    }

    /// The number of loops.
    pub fn loops(&self) -> usize {
        self.shared.loops()
    }

    /// The number of open connections of each loop: those from the listeners of the cluster,
    /// including those that are on their way to the loop.
    pub fn connections(&self) -> Vec<usize> {
        self.shared.loads.all()
    }

    /// Asks all loops to stop, and returns at once: each [`Member::shutdown`] is triggered, and
    /// listeners accept what is in their backlogs and no more. A loop ends when its future is ready
    /// and its last connection has ended, but no later than after `drain`: what is left then is
    /// dropped. A drain of zero ends all loops at once.
    ///
    /// A second call may shorten the drain, and never extends it.
    ///
    /// [`Member::shutdown`]: crate::Member::shutdown
    #[doc(alias("disconnect", "graceful shutdown", "shutdown_timeout"))]
    pub fn stop(&self, drain: Duration) {
        self.shared.stop(drain);
    }

    /// The listener of this call, which the first loop that comes makes.
    pub(crate) fn listener<E>(
        &self,
        addr: &Addr,
        number: usize,
        make: impl FnOnce() -> Result<SharedListener, E>,
    ) -> Result<SharedListener, E> {
        // Locked while it is made: another loop that comes meanwhile must find it, or port 0 would
        // become two ports.
        let mut listeners = self.lock();
        if let Some(shares) = listeners.iter().find(|shares| shares.is(addr, number)) {
            return Ok(shares.listener.clone());
        }
        let listener = make()?;
        listeners.push(Shares {
            addr: addr.clone(),
            number,
            listener: listener.clone(),
            joined: 0,
        });
        Ok(listener)
    }

    /// Notes that one more loop has the listener of this call.
    pub(crate) fn joined(&self, addr: &Addr, number: usize) {
        let mut listeners = self.lock();
        let index = listeners.iter().position(|shares| shares.is(addr, number));
        let Some(index) = index else { return };
        listeners[index].joined += 1;
        if listeners[index].joined == self.loops() {
            let shares = listeners.swap_remove(index);
            drop(listeners);
            drop(shares);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shares>> {
        // A `make` that panics has changed nothing.
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
