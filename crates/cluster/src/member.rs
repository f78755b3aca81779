//! One loop of a cluster, for the code on it.

use crate::cluster::Cluster;
use crate::listener::ClusterListener;
use crate::loop_state::{ConnectionCount, LoopState};
use crate::shared_listener::SharedListener;
use oneloop_core::{EventLoop, Handle, Unless};
use oneloop_net::{Addr, ListenOptions, Listener};
use oneloop_sync::ShutdownToken;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// One loop of a cluster, for the code on it. A clone is another handle to the same.
///
/// [`cluster`](crate::cluster()) passes it to the closure that it calls on each loop.
#[derive(Clone)]
pub struct Member {
    cluster: Cluster,
    state: Rc<LoopState>,
    /// How many times this loop has listened on each address.
    listens: Rc<RefCell<HashMap<Addr, usize>>>,
}

impl Member {
    /// Makes a loop a member of a cluster. For a loop that the program makes itself;
    /// [`cluster`](crate::cluster()) and [`Cluster::start`] do it for the loops that they make.
    /// [`Cluster::stop`] reaches it in [`Member::run`].
    ///
    /// # Panics
    /// If the loop of that number is a member already, or the cluster has fewer loops.
    #[track_caller]
    pub fn join(cluster: &Cluster, id: usize, handle: &Handle) -> Self {
        Member {
            cluster: cluster.clone(),
            state: LoopState::new(&cluster.shared, id, handle),
            listens: Rc::default(),
        }
    }

    /// The number of this loop, from 0.
    #[doc(alias = "worker_index")]
    pub fn id(&self) -> usize {
        self.state.index
    }

    /// The number of loops in the cluster.
    pub fn loops(&self) -> usize {
        self.cluster.loops()
    }

    /// All loops, for other threads as well.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Asks all loops to stop: see [`Cluster::stop`].
    pub fn stop(&self, drain: Duration) {
        self.cluster.stop(drain);
    }

    /// The request to stop, on this loop. What waits for other things than
    /// [`accept`](ClusterListener::accept) looks at it: connections that would idle, timers.
    pub fn shutdown(&self) -> &ShutdownToken {
        &self.state.shutdown
    }

    /// Listens on an address, together with all loops that listen on it: `"127.0.0.1:8080"`, or
    /// `"unix:/run/socket"`.
    ///
    /// Each loop calls it. The first one that comes binds the address; the others join it, also if
    /// the port is 0, for which the kernel chooses one. A second call for the same address in each
    /// loop is a second listener.
    ///
    /// ```no_run
    /// fn main() -> std::io::Result<()> {
    ///     oneloop::cluster(4, |member| async move {
    ///         let listener = member.listen("127.0.0.1:8080")?;
    ///         while let Some(connection) = listener.accept().await? {
    ///             oneloop::aio::spawn(async move {
    ///                 while let Some(chunk) = connection.read_chunk().await? {
    ///                     connection.write_all(&chunk).await?;
    ///                 }
    ///                 std::io::Result::Ok(())
    ///             });
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Listener::bind`]; `InvalidInput` for a text that is no address.
    #[doc(alias("SO_REUSEPORT", "reuse_port"))]
    pub fn listen(&self, addr: &str) -> io::Result<ClusterListener> {
        let addr: Addr = addr
            .parse()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.listen_with(&addr, ListenOptions::default())
    }

    /// Listens on an address, with options: see [`Member::listen`]. The options of the first loop
    /// that comes count for all.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub fn listen_with(&self, addr: &Addr, options: ListenOptions) -> io::Result<ClusterListener> {
        let mut own = None;
        let number = self.listens.borrow().get(addr).copied().unwrap_or(0);
        let shared = self.cluster.listener(addr, number, || {
            let listener = self.state.handle.enter(|| Listener::bind(addr, options))?;
            let shared;
            (shared, own) = SharedListener::of(&self.cluster.shared, listener, options, true)?;
            io::Result::Ok(shared)
        })?;
        let listener = self.listen_on(&shared, own)?;
        self.cluster.joined(addr, number);
        self.listens.borrow_mut().insert(addr.clone(), number + 1);
        Ok(listener)
    }

    /// Shares a listener of this loop, with the options with which it was bound: for a program that
    /// opens its sockets itself, before the other loops start. Those use
    /// [`Member::listen_shared`]. The socket of a loop that ends is closed, and not handed to
    /// another loop.
    ///
    /// # Errors
    /// Those of `setsockopt(2)` and `dup(2)`.
    pub fn share(&self, own: Listener, options: ListenOptions) -> io::Result<ClusterListener> {
        let (shared, own) = SharedListener::of(&self.cluster.shared, own, options, false)?;
        self.listen_on(&shared, own)
    }

    /// Shares sockets that another process has opened, all for one address: those of a service
    /// manager (`sd_listen_fds(3)`), or of the program's own predecessor. The other loops use
    /// [`Member::listen_shared`]. Each loop gets one socket; if there are fewer, several loops accept
    /// from one backlog, and the kernel wakes one of those that sleep. `backlog`, `reuse_port` and
    /// `v6_only` of the options stay what the sockets have.
    ///
    /// # Errors
    /// As [`Listener::prepare_fd`]; those of `dup(2)` and `epoll_ctl(2)`.
    ///
    /// # Panics
    /// If there is no socket, or more of them than loops.
    #[track_caller]
    pub fn share_fds(
        &self,
        fds: Vec<OwnedFd>,
        options: ListenOptions,
    ) -> io::Result<ClusterListener> {
        let shared = SharedListener::adopt(&self.cluster.shared, fds, options)?;
        self.listen_on(&shared, None)
    }

    /// Listens where another loop listens already.
    ///
    /// # Errors
    /// As [`Listener::bind`]; `EMFILE`.
    ///
    /// # Panics
    /// If this loop listens there already.
    pub fn listen_shared(&self, shared: &SharedListener) -> io::Result<ClusterListener> {
        self.listen_on(shared, None)
    }

    fn listen_on(
        &self,
        shared: &SharedListener,
        own: Option<Listener>,
    ) -> io::Result<ClusterListener> {
        let own = own.map_or_else(|| shared.bind(self.state.index, &self.state.handle), Ok)?;
        Ok(ClusterListener::new(&self.state, shared, own))
    }

    /// The number of open connections on this loop, including those that are on their way to it.
    pub fn connections(&self) -> usize {
        self.state.connections()
    }

    /// Counts a connection that this loop has from elsewhere, so that it gets fewer new ones.
    pub fn count_connection(&self) -> ConnectionCount {
        self.state.shared.loads.add(self.state.index);
        ConnectionCount::new(&self.state)
    }

    /// Ends the count of a connection after [`ConnectionCount::leave`].
    pub fn connection_ended(&self) {
        self.state.connection_ended();
    }

    /// Waits until this loop has no connection. Cancel safe.
    pub async fn until_idle(&self) {
        self.state.until_idle().await;
    }

    /// Runs the loop until the future is ready; `None` if it was cut off when the drain was over.
    /// The loop lives on: what is left on it is dropped with it.
    ///
    /// # Panics
    /// As [`EventLoop::block_on`].
    #[track_caller]
    pub fn run<F: Future>(&self, event_loop: &mut EventLoop, future: F) -> Option<F::Output> {
        // The request to stop comes from outside.
        let _stopped_from_outside = self.state.handle.keep_alive();
        let future = pin!(future);
        let until = Unless::new(Some(future), self.state.cut_off.until_set());
        event_loop.block_on(self.state.with_bell(until))
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member({} of {})", self.id(), self.loops())
    }
}
