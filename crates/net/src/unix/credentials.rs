//! The process at the other end of a Unix socket.

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;

/// The process at the other end of a Unix socket, with the ids that it had when it connected,
/// listened or made the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias("SO_PEERCRED", "UCred"))]
pub struct Credentials {
    /// Its process id; `None` if the process is outside of this process's pid namespace. The
    /// process may have ended since, and another one may have got the id.
    pub pid: Option<i32>,
    /// The user id that it ran as.
    pub uid: u32,
    /// The group id that it ran as.
    pub gid: u32,
}

/// Reads the credentials of the process at the other end of a Unix socket of any kind
/// (`SO_PEERCRED`).
///
/// ```
/// let (one, _other) = std::os::unix::net::UnixStream::pair()?;
/// let own = oneloop::net::peer_credentials(&one)?;
/// assert_eq!(own.pid, Some(std::process::id() as i32));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// `ENOTCONN` when there is no peer, or when `connect(2)` on a datagram socket set it: the kernel
/// records credentials only for connections and pairs.
pub fn peer_credentials(socket: &impl AsFd) -> io::Result<Credentials> {
    let peer = getsockopt(socket, PeerCredentials)?;
    // Undocumented in unix(7): without a peer, the kernel returns pid 0 and uid -1.
    if (peer.pid(), peer.uid()) == (0, u32::MAX) {
        return Err(Errno::NOTCONN.into());
    }
    Ok(Credentials {
        pid: Some(peer.pid()).filter(|pid| *pid > 0),
        uid: peer.uid(),
        gid: peer.gid(),
    })
}
