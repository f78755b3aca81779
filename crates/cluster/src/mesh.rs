//! Channels between all pairs of loops.

use crate::member::Member;
use oneloop_core::Stream;
use oneloop_core::concurrency::Mutex;
use oneloop_sync::{
    DistantReceiver, DistantSender, DistantSending, TryReceiveError, TrySendError, distant_channel,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll};

/// Channels between all loops of a cluster: each of them can send to each other one. Make it before
/// the cluster, and [`join`](Mesh::join) it on each loop.
///
/// Each loop has one inbox with room for `capacity` values, into which all others send. A send
/// waits while it is full, so two loops that only send to each other wait forever: receive in a
/// task of its own.
///
/// ```
/// use oneloop::cluster::Mesh;
/// use std::sync::Arc;
///
/// # fn main() -> std::io::Result<()> {
/// let mesh = Arc::new(Mesh::new(3, 16));
/// oneloop::cluster(3, move |member| {
///     let mut peers = mesh.join(&member);
///     async move {
///         for peer in peers.ids() {
///             let _ = peers.send(peer, format!("hello from {}", member.id())).await;
///         }
///         for _ in peers.ids() {
///             let hello = peers.receive().await.unwrap();
///             assert!(hello.starts_with("hello from "));
///         }
///         Ok(())
///     }
/// })
/// # }
/// ```
#[derive(Debug)]
#[doc(alias("channel_mesh", "MeshBuilder", "worker.send", "submit_to"))]
pub struct Mesh<T> {
    ends: Mutex<Vec<Option<Peers<T>>>>,
}

impl<T: Send> Mesh<T> {
    /// Channels between that many loops.
    ///
    /// # Panics
    /// If `capacity` is 0.
    pub fn new(loops: usize, capacity: usize) -> Self {
        let inboxes = (0..loops).map(|_| distant_channel(capacity));
        let (senders, receivers) = inboxes.unzip::<_, _, Vec<_>, Vec<_>>();
        let ends = receivers.into_iter().enumerate().map(|(id, inbox)| {
            let others = senders.iter().enumerate();
            // Not to itself: the inbox closes once all others have ended.
            let senders = others.map(|(peer, sender)| (peer != id).then(|| sender.clone()));
            Some(Peers {
                senders: senders.collect(),
                inbox,
            })
        });
        Mesh {
            ends: Mutex::new(ends.collect()),
        }
    }

    /// This loop's end.
    ///
    /// # Panics
    /// If this loop has joined before, or the mesh is for fewer loops.
    #[track_caller]
    pub fn join(&self, member: &Member) -> Peers<T> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let peers = ends.get_mut(member.id()).and_then(Option::take);
        peers.expect("each loop of the mesh joins it once")
    }
}

/// The end of a [`Mesh`] on one loop: a stream of what the other loops send.
#[derive(Debug)]
pub struct Peers<T> {
    /// By the number of the loop; `None` for this one.
    senders: Vec<Option<DistantSender<T>>>,
    inbox: DistantReceiver<T>,
}

impl<T> Peers<T> {
    /// The numbers of the other loops.
    pub fn ids(&self) -> impl Iterator<Item = usize> + use<T> {
        let all = self.senders.iter().enumerate();
        let others = all.filter_map(|(id, sender)| sender.is_some().then_some(id));
        others.collect::<Vec<_>>().into_iter()
    }

    /// Waits for room in the inbox of another loop, and sends the value: see
    /// [`DistantSender::send`].
    ///
    /// # Errors
    /// [`Closed`](oneloop_sync::Closed) returns the value when that loop has dropped its end.
    ///
    /// # Panics
    /// If there is no other loop of that number.
    #[track_caller]
    pub fn send(&self, peer: usize, value: T) -> DistantSending<T> {
        self.sender(peer).send(value)
    }

    /// Sends the value, if there is room: see [`DistantSender::try_send`].
    ///
    /// # Errors
    /// [`TrySendError`] returns the value.
    ///
    /// # Panics
    /// If there is no other loop of that number.
    #[track_caller]
    pub fn try_send(&self, peer: usize, value: T) -> Result<(), TrySendError<T>> {
        self.sender(peer).try_send(value)
    }

    /// The sender to another loop, for a task of its own.
    ///
    /// # Panics
    /// If there is no other loop of that number.
    #[track_caller]
    pub fn sender(&self, peer: usize) -> &DistantSender<T> {
        let sender = self.senders.get(peer).and_then(Option::as_ref);
        sender.unwrap_or_else(|| panic!("there is no other loop {peer} in the mesh"))
    }

    /// Waits for a value from any other loop. Returns `None` when all of them have dropped their
    /// ends, and no value is left. Cancel safe.
    pub fn receive(&mut self) -> impl Future<Output = Option<T>> {
        self.inbox.receive()
    }

    /// Waits for a value: see [`Peers::receive`].
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.inbox.poll_receive(cx)
    }

    /// Takes the next value, if there is one.
    ///
    /// # Errors
    /// [`TryReceiveError`] says whether a value may still come.
    pub fn try_receive(&mut self) -> Result<T, TryReceiveError> {
        self.inbox.try_receive()
    }

    /// The senders to the other loops, by number, and the inbox: for tasks of their own.
    pub fn into_parts(self) -> (Vec<Option<DistantSender<T>>>, DistantReceiver<T>) {
        (self.senders, self.inbox)
    }
}

/// Ends when all other loops have dropped their ends, and no value is left.
impl<T> Stream for Peers<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_receive(cx)
    }
}
