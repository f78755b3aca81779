//! Many datagrams in one buffer: the kernel splits sent buffers (GSO), and joins received datagrams
//! (GRO).

use crate::datagram::Datagram;
use nix::sys::socket::sockopt::UdpGroSegment;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, RecvMsg, SockaddrStorage, getsockopt, recvmsg,
};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// True if the socket has GRO switched on.
pub(super) fn has_gro(fd: &impl AsFd) -> bool {
    getsockopt(fd, UdpGroSegment).unwrap_or(false)
}

/// Space for the segment size, and for other ancillary data that options of the socket may request.
pub(super) fn control_space() -> Vec<u8> {
    // Too little space would truncate the segment size, and the datagrams could not be separated.
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

/// The sender's address of a message.
fn inet_addr(addr: Option<SockaddrStorage>) -> io::Result<SocketAddr> {
    let v4 = addr.and_then(|addr| Some(SocketAddr::V4((*addr.as_sockaddr_in()?).into())));
    let v6 = || addr.and_then(|addr| Some(SocketAddr::V6((*addr.as_sockaddr_in6()?).into())));
    v4.or_else(v6)
        .ok_or_else(|| io::Error::other("an IP socket has an address that is not IP"))
}
