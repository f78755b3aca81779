//! Many datagrams in one system call: `recvmmsg(2)` and `sendmmsg(2)`.

use super::offload;
use super::socket::UdpSocket;
use crate::datagram::Datagram;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use oneloop_core::{Direction, Done};
use oneloop_posix::Optional;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{self, MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::task::{Context, Poll};

/// `recvmmsg(2)` and `sendmmsg(2)`. Where they are refused, each call moves one datagram.
static RECVMMSG: Optional = Optional::new();
static SENDMMSG: Optional = Optional::new();

/// The maximum number of datagrams that one call receives. `sendmmsg(2)` has the same limit for
/// sending (`UIO_MAXIOV`).
const RECEIVED_MAX: usize = 1024;

/// Buffers for datagrams that are received together: see [`UdpSocket::recv_batch`]. Each receive
/// reuses them.
pub struct RecvBatch {
    space: Box<[u8]>,
    bytes_max: usize,
    received: Vec<(Datagram, SocketAddr)>,
}

impl fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, max) = (self.len(), self.datagrams_max());
        write!(f, "RecvBatch({count} of {max} × {} bytes)", self.bytes_max)
    }
}

/// One datagram of a [`RecvBatch`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Received<'a> {
    /// The received bytes.
    pub bytes: &'a [u8],
    /// The sender's address.
    pub from: SocketAddr,
    /// The lengths: whether the datagram was truncated, or joined from several.
    pub datagram: Datagram,
}

impl<'a> Received<'a> {
    /// The datagrams that were sent: one, unless the kernel joined several
    /// ([`UdpSocket::set_gro`]).
    pub fn segments(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.datagram.segments(self.bytes)
    }
}

impl RecvBatch {
    /// Makes buffers for `datagrams_max` datagrams of `bytes_max` bytes each. One call receives at
    /// most 1,024 datagrams.
    ///
    /// # Panics
    /// When either number is 0, and when there is not enough memory.
    pub fn new(datagrams_max: usize, bytes_max: usize) -> Self {
        assert!(
            datagrams_max > 0 && bytes_max > 0,
            "a batch of {datagrams_max} × {bytes_max} bytes has no room"
        );
        // Saturates, because release builds would wrap around and make a small buffer.
        let bytes = datagrams_max.saturating_mul(bytes_max);
        RecvBatch {
            space: vec![0; bytes].into_boxed_slice(),
            bytes_max,
            received: Vec::with_capacity(datagrams_max),
        }
    }

    /// The number of datagrams for which there is room.
    pub fn datagrams_max(&self) -> usize {
        self.space.len() / self.bytes_max
    }

    /// The number of datagrams received last.
    pub fn len(&self) -> usize {
        self.received.len()
    }

    /// True before the first receive.
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// The received datagrams, in the order of their arrival.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Received<'_>> {
        let spaces = self.space.chunks_exact(self.bytes_max);
        let received = self.received.iter().zip(spaces);
        received.map(|((datagram, from), space)| Received {
            bytes: &space[..datagram.bytes],
            from: *from,
            datagram: *datagram,
        })
    }

    fn receive(&mut self, fd: BorrowedFd<'_>, gro: bool) -> io::Result<Done<usize>> {
        if RECVMMSG.is_available() {
            match self.receive_many(fd, gro) {
                Err(error) if RECVMMSG.is_refused_by(&error) => {}
                received => return received,
            }
        }
        // The plain way: a batch of one.
        let received = offload::receive(fd, &mut self.space[..self.bytes_max], gro)?;
        self.received.push(received);
        Ok(Done::one(1).of_bytes(received.0.sent_bytes))
    }

    fn receive_many(&mut self, fd: BorrowedFd<'_>, gro: bool) -> io::Result<Done<usize>> {
        let slices = self.space.chunks_exact_mut(self.bytes_max);
        let slices = slices.take(RECEIVED_MAX);
        let mut slices: Vec<_> = slices.map(|slice| [IoSliceMut::new(slice)]).collect();
        let wanted = slices.len();
        // New for each call: the kernel overwrites the lengths of the buffers with those of the
        // data, and nix does not restore them.
        let control = gro.then(offload::control_space);
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(wanted, control);
        let (fd, flags) = (fd.as_raw_fd(), MsgFlags::MSG_TRUNC);
        let messages = recvmmsg(fd, &mut headers, slices.iter_mut(), flags, None)?;
        let mut sent_bytes = 0;
        for message in messages {
            let received = offload::described(&message, self.bytes_max, gro)?;
            sent_bytes += received.0.sent_bytes;
            self.received.push(received);
        }
        let count = self.received.len();
        // recvmmsg(2) returns fewer only when the queue is empty, or when an error comes next,
        // which makes an edge itself. So a short batch saves the call that would return EAGAIN.
        let done = if count < wanted {
            Done::last(count)
        } else {
            Done::one(count)
        };
        Ok(done.of_bytes(sent_bytes))
    }
}

/// One datagram of a batch to send: see [`UdpSocket::send_batch`].
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The payload.
    pub bytes: &'a [u8],
    /// The receiver's address; `None` for the peer that [`UdpSocket::connect`] set.
    pub to: Option<SocketAddr>,
}

impl<'a> Outgoing<'a> {
    /// A datagram to the socket's peer.
    pub fn to_peer(bytes: &'a [u8]) -> Self {
        Outgoing { bytes, to: None }
    }

    /// A datagram to an address.
    pub fn to(addr: SocketAddr, bytes: &'a [u8]) -> Self {
        let to = Some(addr);
        Outgoing { bytes, to }
    }
}

impl UdpSocket {
    /// Receives all datagrams that have arrived and for which the batch has room, at least one: see
    /// [`UdpSocket::poll_recv_batch`].
    ///
    /// Cancel safe: dropped before it is ready, it has received nothing.
    ///
    /// ```
    /// use oneloop::EventLoop;
    /// use oneloop::net::{Outgoing, RecvBatch, UdpSocket};
    /// # fn main() -> std::io::Result<()> {
    /// EventLoop::new()?.block_on(async {
    ///     let server = UdpSocket::bind("127.0.0.1:0")?;
    ///     let client = UdpSocket::bind("127.0.0.1:0")?;
    ///     let to = server.local_addr()?;
    ///     let words = ["one", "two", "three"].map(|word| Outgoing::to(to, word.as_bytes()));
    ///     assert_eq!(client.send_batch(&words).await?, 3);
    ///     let mut batch = RecvBatch::new(64, 1500);
    ///     assert_eq!(server.recv_batch(&mut batch).await?, 3);
    ///     let last = batch.iter().last().unwrap();
    ///     assert_eq!((last.bytes, last.from), (&b"three"[..], client.local_addr()?));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`UdpSocket::poll_recv_batch`].
    #[doc(alias = "recvmmsg")]
    pub fn recv_batch(&self, batch: &mut RecvBatch) -> impl Future<Output = io::Result<usize>> {
        self.source
            .io(Direction::Read, move |cx| self.poll_recv_batch(cx, batch))
    }

    /// Sends as many of these datagrams as the kernel takes: see [`UdpSocket::poll_send_batch`].
    ///
    /// Cancel safe: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// As [`UdpSocket::poll_send_batch`].
    #[doc(alias = "sendmmsg")]
    pub fn send_batch(&self, batch: &[Outgoing<'_>]) -> impl Future<Output = io::Result<usize>> {
        self.source
            .io(Direction::Write, move |cx| self.poll_send_batch(cx, batch))
    }

    /// Receives all datagrams that have arrived and for which the batch has room, at least one, in
    /// one system call. Returns their number. The batch loses its previous datagrams.
    ///
    /// # Errors
    /// Those of `recvmmsg(2)`, when it received none. An error behind the first datagram is
    /// returned by the next receive.
    pub fn poll_recv_batch(
        &self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
    ) -> Poll<io::Result<usize>> {
        // Cleared first: after an error or a cancel, the batch is empty rather than stale.
        batch.received.clear();
        self.source
            .poll_io(cx, Direction::Read, |fd| batch.receive(fd, self.gro.get()))
    }

    /// Sends datagrams in one system call, each whole or not at all, as many as the kernel takes:
    /// at least one, unless the batch is empty. Returns the number of datagrams sent, which are the
    /// first ones. The caller sends the others again.
    ///
    /// # Errors
    /// Those of `sendmmsg(2)` for the first datagram; none was sent then. A later one that cannot
    /// be sent ends the batch before it, and its error is returned once it is the first of a batch.
    /// An ICMP error that arrives for one of the batch while it is sent ends it, too, and is lost:
    /// `sendmmsg(2)` drops it.
    pub fn poll_send_batch(
        &self,
        cx: &mut Context<'_>,
        batch: &[Outgoing<'_>],
    ) -> Poll<io::Result<usize>> {
        // sendmmsg(2) of an empty batch would only return 0, and `send` needs a first datagram.
        if batch.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.source
            .poll_io(cx, Direction::Write, |fd| send(fd, batch))
    }
}

fn send(fd: BorrowedFd<'_>, batch: &[Outgoing<'_>]) -> io::Result<Done<usize>> {
    if SENDMMSG.is_available() {
        match send_many(fd, batch) {
            Err(error) if SENDMMSG.may_be_refused_by(&error) => {}
            sent => return sent,
        }
    }
    // The kernel returns EPERM both for a refused call and for a firewall's rule. Only a successful
    // sendto(2) tells them apart.
    let sent = send_first(fd, &batch[0])?;
    // A firewall rule also returns EPERM, but it would have refused this datagram, too.
    SENDMMSG.refuse();
    Ok(sent)
}

fn send_first(fd: BorrowedFd<'_>, outgoing: &Outgoing<'_>) -> io::Result<Done<usize>> {
    let flags = SendFlags::NOSIGNAL;
    let bytes = match &outgoing.to {
        Some(to) => net::sendto(fd, outgoing.bytes, flags, to)?,
        None => net::send(fd, outgoing.bytes, flags)?,
    };
    Ok(Done::one(1).of_bytes(bytes))
}

fn send_many(fd: BorrowedFd<'_>, batch: &[Outgoing<'_>]) -> io::Result<Done<usize>> {
    // rustix borrows all parts of each message, so they are collected first: four allocations for
    // the whole batch.
    let addrs: Vec<Option<SocketAddrAny>> = batch
        .iter()
        .map(|outgoing| outgoing.to.map(|to| to.as_any()))
        .collect();
    let slices: Vec<_> = batch
        .iter()
        .map(|outgoing| [IoSlice::new(outgoing.bytes)])
        .collect();
    let mut nothing: Vec<_> = batch
        .iter()
        .map(|_| SendAncillaryBuffer::default())
        .collect();
    let parts = addrs.iter().zip(&slices).zip(&mut nothing);
    let mut messages: Vec<_> = parts
        .map(|((addr, slice), control)| match addr {
            Some(addr) => MMsgHdr::new_with_addr(addr, slice, control),
            None => MMsgHdr::new(slice, control),
        })
        .collect();
    let count = sendmmsg(fd, &mut messages, SendFlags::NOSIGNAL)?;
    let bytes = messages[..count].iter().map(MMsgHdr::bytes_sent).sum();
    // A short count does not mean EAGAIN: the kernel may have refused one datagram.
    Ok(Done::one(count).of_bytes(bytes))
}
