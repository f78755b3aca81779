//! Many datagrams as one: the kernel cuts what is sent (GSO), and joins what comes (GRO).

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
    /// Has the kernel cut what is sent into datagrams of so many bytes, the last of which may be
    /// shorter (UDP GSO): up to 64 of them for one send, in batches, too. `None` sends each whole,
    /// as at first.
    ///
    /// # Errors
    /// `Unsupported` on a kernel that has none (before Linux 4.18): [`UdpSocket::poll_send_batch`]
    /// goes without. A send of too many datagrams, or of one that its interface cannot take, is
    /// `EINVAL` or `EMSGSIZE`.
    pub fn set_gso(&self, segment_bytes: Option<u16>) -> io::Result<()> {
        let bytes = segment_bytes.map_or(0, i32::from);
        setsockopt(self, UdpGsoSegment, &bytes).map_err(|errno| {
            let instead = "send datagrams by themselves, or in batches";
            unless_supported(errno, "GSO (Linux 4.18)", instead)
        })
    }

    /// Lets the kernel join datagrams of one sender that are equally long (UDP GRO):
    /// [`Datagram::segments`] puts them apart. Buffers of 64 KiB are long enough for all.
    ///
    /// # Errors
    /// `Unsupported` on a kernel that has none (before Linux 5.0): [`UdpSocket::poll_recv_batch`]
    /// goes without.
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

/// True if somebody has switched it on.
pub(super) fn has_gro(fd: &impl AsFd) -> bool {
    getsockopt(fd, UdpGroSegment).unwrap_or(false)
}

/// Room for what says how datagrams were joined, and for what else the socket may have been asked
/// to say.
pub(super) fn control_space() -> Vec<u8> {
    nix::cmsg_space!(i32, [u8; 256])
}

/// What a message says of itself, received into a buffer of so many bytes.
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

/// Receives one datagram, or what was joined of several.
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
