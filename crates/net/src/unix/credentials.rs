//! Who is at the other end.

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;

/// The process at the other end of a Unix socket, as it was when it connected, listened or made the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// Its number; `None` if it is not to be seen from this process's namespace. It may have ended by
    /// now, and another one may have the number.
    pub pid: Option<i32>,
    /// The user that it ran as.
    pub uid: u32,
    /// The group that it ran as.
    pub gid: u32,
}

/// Asks the kernel (`SO_PEERCRED`).
///
/// # Errors
/// `ENOTCONN` when there is no peer, or one that `connect(2)` of a datagram socket named.
pub(super) fn of_peer(socket: &impl AsFd) -> io::Result<Credentials> {
    let peer = getsockopt(socket, PeerCredentials)?;
    // unix(7) does not say it, but this is what a socket without a peer has.
    if (peer.pid(), peer.uid()) == (0, u32::MAX) {
        return Err(Errno::NOTCONN.into());
    }
    Ok(Credentials {
        pid: Some(peer.pid()).filter(|pid| *pid > 0),
        uid: peer.uid(),
        gid: peer.gid(),
    })
}
