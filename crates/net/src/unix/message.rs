//! The messages of Unix sockets, and the fds that travel with them (`SCM_RIGHTS`).

use crate::addr::Addr;
use oneloop_core::{Direction, Done, Source};
use rustix::net::{
    self, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrAny, sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

/// The number of fds that one message can carry: the kernel's `SCM_MAX_FD`.
pub const FDS_MAX: usize = 253;

/// The bytes of ancillary data for `fds_max` fds, and for a `timeval`, which is as long as four
/// fds.
const fn control_bytes(fds_max: usize) -> usize {
    rustix::cmsg_space!(ScmRights(4), ScmRights(fds_max))
}

/// A message that was received from a Unix socket.
///
/// Its fds are open in this process, with `CLOEXEC`. Dropping them closes them.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnixMessage {
    /// The number of bytes in the buffer.
    pub bytes: usize,
    /// The number of bytes that were sent; on a stream, the number that was received. If it is
    /// larger than `bytes`, the buffer was too short, and the other bytes are lost.
    pub sent_bytes: usize,
    /// The sender; unnamed for a connection.
    pub from: Addr,
    /// The fds that came with the message.
    pub fds: Vec<OwnedFd>,
    /// True if more fds came than there was room for, or than this process may open (`MSG_CTRUNC`).
    /// The kernel has closed the others.
    pub is_short_of_fds: bool,
}

impl UnixMessage {
    /// True if the buffer was too short for the bytes.
    pub fn is_truncated(&self) -> bool {
        self.bytes < self.sent_bytes
    }
}

/// Stops the kernel from attaching credentials to each message (`SO_PASSCRED`). rustix would parse
/// them as a `Pid`, which cannot be 0; the kernel sends 0 for a process outside of our pid
/// namespace.
pub(super) fn refuse_credentials(socket: impl AsFd) -> io::Result<()> {
    Ok(sockopt::set_socket_passcred(socket, false)?)
}

/// Receives bytes and fds. The flag is true if the message had ancillary data. On a socket with
/// `SO_TIMESTAMP` every message has some, and the end has none.
pub(super) fn receive(
    fd: BorrowedFd<'_>,
    buf: &mut [u8],
    fds_max: usize,
) -> io::Result<(UnixMessage, bool)> {
    let bytes_max = buf.len();
    // On the stack, so that a receive of fds allocates only their vector.
    let mut space = [MaybeUninit::uninit(); control_bytes(FDS_MAX)];
    let space = &mut space[..control_bytes(fds_max.min(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(space);
    // recv(2): without MSG_CMSG_CLOEXEC, a fork and exec in another thread would inherit the fds.
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::TRUNC;
    let got = net::recvmsg(fd, &mut [IoSliceMut::new(buf)], &mut control, flags)?;
    let mut messages = control.drain();
    let has_control = messages.size_hint().1 != Some(0);
    let mut fds = Vec::new();
    let mut is_short_of_fds = got.flags.contains(ReturnFlags::CTRUNC);
    for message in &mut messages {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    // The space for a timestamp holds four more fds than were requested. These are closed here, as
    // the kernel closes those for which there is no space.
    is_short_of_fds |= fds.len() > fds_max;
    fds.truncate(fds_max);
    let message = UnixMessage {
        bytes: got.bytes.min(bytes_max),
        sent_bytes: got.bytes,
        from: got.address.map_or(Addr::UnixUnnamed, Addr::from_kernel),
        fds,
        is_short_of_fds,
    };
    Ok((message, has_control))
}

/// Sends one message and fds to the peer of a socket that preserves boundaries, whole or not at
/// all.
pub(super) fn poll_send(
    source: &Source,
    cx: &mut Context<'_>,
    buf: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Poll<io::Result<()>> {
    source.poll_io(cx, Direction::Write, |fd| {
        // send(2) needs no ancillary buffer, which most messages do without.
        let bytes = if fds.is_empty() {
            net::send(fd, buf, SendFlags::NOSIGNAL)?
        } else {
            send(fd, buf, fds, None)?
        };
        Ok(Done::one(()).of_bytes(bytes))
    })
}

/// Sends bytes and fds together, to an address or to the peer.
pub(super) fn send(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    to: Option<&SocketAddrAny>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); control_bytes(FDS_MAX)];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fits = fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds));
    // The kernel returns EINVAL for too many fds, which would not say why.
    if fds.len() > FDS_MAX || !fits {
        let count = fds.len();
        let problem = format!("{count} fds are more than the {FDS_MAX} that a message can carry");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    let slices = [IoSlice::new(bytes)];
    let flags = SendFlags::NOSIGNAL;
    Ok(match to {
        Some(to) => net::sendmsg_addr(fd, to, &slices, &mut control, flags)?,
        None => net::sendmsg(fd, &slices, &mut control, flags)?,
    })
}
