//! Messages of Unix sockets, and the fds that go with them (`SCM_RIGHTS`).

use crate::addr::Addr;
use oneloop_core::{Direction, Done, Source};
use rustix::net::{
    self, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrAny,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

/// How many fds one message can carry: the kernel's `SCM_MAX_FD`.
pub const FDS_MAX: usize = 253;

/// Room for a `timeval`, which is as long as four fds, and for so many fds.
const fn control_bytes(fds_max: usize) -> usize {
    rustix::cmsg_space!(ScmRights(4), ScmRights(fds_max))
}

/// What was received in one piece from a Unix socket.
///
/// Its fds are open in this process, with `CLOEXEC`, and are closed when they are dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnixMessage {
    /// How many bytes are in the buffer.
    pub bytes: usize,
    /// How many bytes were sent; of a stream, as many as were received. If these are more, the buffer
    /// was too short, and the rest is gone.
    pub sent_bytes: usize,
    /// Who sent it; unnamed for a connection.
    pub from: Addr,
    /// The fds that came with it.
    pub fds: Vec<OwnedFd>,
    /// More fds came than there was room for, or than this process may open (`MSG_CTRUNC`): the others
    /// are closed, and gone.
    pub is_short_of_fds: bool,
}

impl UnixMessage {
    /// True if the buffer was too short for its bytes.
    pub fn is_truncated(&self) -> bool {
        self.bytes < self.sent_bytes
    }
}

/// Receives bytes and fds. Also tells whether the kernel said anything beside them: with a socket that
/// has `SO_TIMESTAMP` it does, of every message, and not at the end.
pub(super) fn receive(
    fd: BorrowedFd<'_>,
    buf: &mut [u8],
    fds_max: usize,
) -> io::Result<(UnixMessage, bool)> {
    let bytes_max = buf.len();
    let mut space = [MaybeUninit::uninit(); control_bytes(FDS_MAX)];
    let space = &mut space[..control_bytes(fds_max.min(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::TRUNC;
    let got = net::recvmsg(fd, &mut [IoSliceMut::new(buf)], &mut control, flags)?;
    let mut messages = control.drain();
    let is_told_more = messages.size_hint().1 != Some(0);
    let mut fds = Vec::new();
    let mut is_short_of_fds = got.flags.contains(ReturnFlags::CTRUNC);
    for message in &mut messages {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    // The room is a few fds larger than asked for; those are closed, as the kernel closes others.
    is_short_of_fds |= fds.len() > fds_max;
    fds.truncate(fds_max);
    let message = UnixMessage {
        bytes: got.bytes.min(bytes_max),
        sent_bytes: got.bytes,
        from: got.address.map_or(Addr::UnixUnnamed, Addr::from_kernel),
        fds,
        is_short_of_fds,
    };
    Ok((message, is_told_more))
}

/// Sends one message and fds to the peer of a socket of messages, whole or not at all.
pub(super) fn poll_send(
    source: &Source,
    cx: &mut Context<'_>,
    buf: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Poll<io::Result<()>> {
    source.poll_io(cx, Direction::Write, |fd| {
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
    if fds.len() > FDS_MAX || !fits {
        let problem = format!(
            "{} fds are more than the {FDS_MAX} of one message",
            fds.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    let slices = [IoSlice::new(bytes)];
    let flags = SendFlags::NOSIGNAL;
    Ok(match to {
        Some(to) => net::sendmsg_addr(fd, to, &slices, &mut control, flags)?,
        None => net::sendmsg(fd, &slices, &mut control, flags)?,
    })
}
