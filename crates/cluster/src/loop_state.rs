//! What belongs to one loop of a cluster, and what counts its connections.

use crate::shared::ClusterState;
use oneloop_core::Handle;
use oneloop_sync::{DistantReceiver, Event, ShutdownToken};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// What belongs to one loop of a cluster.
///
/// ```text
///            Cluster::stop(drain)              drain is over, or
///            rings this loop's bell            stop(0)
///   running ───────────────────▶ stopping ────────────────────▶ cut off
///                                   └─ its future is ready, and no connection is open: ended
/// ```
pub(crate) struct LoopState {
    pub(crate) shared: Arc<ClusterState>,
    pub(crate) index: usize,
    pub(crate) handle: Handle,
    /// Rings when the cluster is asked to stop.
    bell: RefCell<DistantReceiver<()>>,
    /// Triggered when the cluster is asked to stop.
    pub(crate) shutdown: ShutdownToken,
    /// Set when the drain is over.
    pub(crate) cut_off: Event,
    /// The drain that this loop has begun.
    drain: Cell<Option<Duration>>,
    /// Wakes what waits for the last connection to end.
    idle: RefCell<Option<Waker>>,
}

impl LoopState {
    pub(crate) fn new(shared: &Arc<ClusterState>, index: usize, handle: &Handle) -> Rc<Self> {
        Rc::new(LoopState {
            shared: Arc::clone(shared),
            index,
            handle: handle.clone(),
            bell: RefCell::new(shared.take_bell(index)),
            shutdown: ShutdownToken::new(),
            cut_off: Event::new(),
            drain: Cell::new(None),
            idle: RefCell::default(),
        })
    }

    /// Polls a future of this loop, and answers the bell meanwhile.
    pub(crate) async fn with_bell<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|cx| {
            loop {
                let rung = self.bell.borrow_mut().poll_receive(cx);
                if rung.is_pending() {
                    return future.as_mut().poll(cx);
                }
                if let Some(drain) = self.shared.drain() {
                    self.stop(drain);
                }
                self.check_idle();
            }
        })
        .await
    }

    fn stop(&self, drain: Duration) {
        if self.drain.replace(Some(drain)) == Some(drain) {
            return; // it rang for another reason
        }
        self.shutdown.trigger();
        if drain.is_zero() {
            self.cut_off.set();
            return;
        }
        let (cut_off, mut over) = (self.cut_off.clone(), self.handle.sleep(drain));
        over.set_referenced(false); // a loop that has ended before needs no end of its drain
        self.handle.spawn_detached(async move {
            over.await;
            cut_off.set();
        });
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.loads.get(self.index)
    }

    /// Ends the count of a connection.
    pub(crate) fn connection_ended(&self) {
        self.shared.loads.remove(self.index);
        self.check_idle();
    }

    fn check_idle(&self) {
        if self.connections() == 0 {
            let waker = self.idle.take();
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// Waits until this loop has no connection.
    pub(crate) async fn until_idle(&self) {
        poll_fn(|cx| {
            if self.connections() == 0 {
                return Poll::Ready(());
            }
            let before = self.idle.replace(Some(cx.waker().clone()));
            drop(before); // outside of the borrow (rule 2)
            Poll::Pending
        })
        .await;
    }
}

/// Counts a connection on its loop, until it is dropped.
///
/// A [`Connection`](crate::Connection) contains its own. Code that takes the connection apart, for a
/// socket of another style, keeps the count as long as that socket.
pub struct ConnectionCount {
    state: Rc<LoopState>,
}

impl ConnectionCount {
    /// For a connection that is counted already.
    pub(crate) fn new(state: &Rc<LoopState>) -> Self {
        ConnectionCount {
            state: Rc::clone(state),
        }
    }

    /// Keeps counting until [`Member::connection_ended`]: for a program whose connections know their
    /// loop already, and need not hold one of these each.
    ///
    /// [`Member::connection_ended`]: crate::Member::connection_ended
    pub fn leave(self) {
        // The drop ends the count that this adds.
        self.state.shared.loads.add(self.state.index);
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.state.connection_ended();
    }
}

impl fmt::Debug for ConnectionCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionCount(loop {})", self.state.index)
    }
}
