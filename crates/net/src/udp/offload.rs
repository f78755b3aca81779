//! Many datagrams in one buffer: the kernel splits sent buffers (GSO), and joins received datagrams
//! (GRO).

use super::UdpSocket;
use super::batch::inet_addr;
use crate::datagram::Datagram;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{UdpGroSegment, UdpGsoSegment};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, RecvMsg, SockaddrStorage, getsockopt, recvmsg, setsockopt,
};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

impl UdpSocket {
    /// Makes the kernel split each sent buffer into datagrams of `segment_bytes`, the last of which
    /// may be shorter (udp(7): `UDP_SEGMENT`). One send makes up to 64 datagrams, also in a batch.
    /// With `None`, the default, each send is one datagram.
    ///
    /// # Errors
    /// `Unsupported` before Linux 4.18; [`UdpSocket::send_batch`] works without it. Later sends
    /// fail with `EINVAL` or `EMSGSIZE` for too many datagrams, or for one that is too large for
    /// its interface.
    pub fn set_gso(&self, segment_bytes: Option<u16>) -> io::Result<()> {
        let bytes = segment_bytes.map_or(0, i32::from);
        setsockopt(self, UdpGsoSegment, &bytes).map_err(|errno| {
            let instead = "send datagrams by themselves, or in batches";
            unless_supported(errno, "GSO (Linux 4.18)", instead)
        })
    }

    /// Allows the kernel to join datagrams of one sender that have the same size (udp(7):
    /// `UDP_GRO`); [`Datagram::segments`] separates them. Receive buffers should have 64 KiB, the
    /// maximum.
    ///
    /// # Errors
    /// `Unsupported` before Linux 5.0; [`UdpSocket::recv_batch`] works without it.
    pub fn set_gro(&self, gro: bool) -> io::Result<()> {
        setsockopt(self, UdpGroSegment, &gro).map_err(|errno| {
            let instead = "receive datagrams by themselves, or in batches";
            unless_supported(errno, "GRO (Linux 5.0)", instead)
        })?;
        self.gro.set(gro);
        Ok(())
    }
}

fn unless_supported(errno: Errno, what: &str, instead: &str) -> io::Error {
    match errno {
        Errno::ENOPROTOOPT | Errno::EOPNOTSUPP => {
            let problem = format!("this kernel has no UDP {what}: {instead}");
            io::Error::new(io::ErrorKind::Unsupported, problem)
        }
        errno => errno.into(),
    }
}

/// True if the socket has GRO switched on.
pub(super) fn has_gro(fd: &impl AsFd) -> bool {
    getsockopt(fd, UdpGroSegment).unwrap_or(false)
}

/// Space for the segment size, and for other ancillary data that options of the socket may request.
pub(super) fn control_space() -> Vec<u8> {
    nix::cmsg_space!(i32, [u8; 256])
}

/// The lengths and the sender of a message that was received into a buffer of `bytes_max` bytes.
pub(super) fn described(
    message: &RecvMsg<'_, '_, SockaddrStorage>,
    bytes_max: usize,
    gro: bool,
) -> io::Result<(Datagram, SocketAddr)> {
    let mut datagram = Datagram::received(message.bytes, bytes_max);
    if gro {
        for control in message.cmsgs()? {
            if let ControlMessageOwned::UdpGroSegments(bytes) = control {
                datagram.segment_bytes = usize::try_from(bytes).ok();
            }
        }
    }
    Ok((datagram, inet_addr(message.address)?))
}

/// Receives one datagram, or several that the kernel has joined.
pub(super) fn receive(
    fd: BorrowedFd<'_>,
    buf: &mut [u8],
    gro: bool,
) -> io::Result<(Datagram, SocketAddr)> {
    let (fd, bytes_max) = (fd.as_raw_fd(), buf.len());
    let mut control = gro.then(control_space);
    let mut slices = [IoSliceMut::new(buf)];
    let control = control.as_mut().map(|space| &mut space[..]);
    let message = recvmsg(fd, &mut slices, control, MsgFlags::MSG_TRUNC)?;
    described(&message, bytes_max, gro)
}
