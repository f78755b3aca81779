//! When the kernel gives up a silent TCP peer.

use rustix::io::Errno;
use rustix::net::sockopt;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// The kernel's maximum of seconds and of probes (`MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPCNT`).
const SECONDS_MAX: u64 = 32_767;
const COUNT_MAX: u32 = 127;

/// When the kernel gives up a silent TCP peer, such as one whose machine has died. Reads and writes
/// then fail with `ETIMEDOUT`.
///
/// The kernel takes whole seconds. A time or count of zero leaves the system's default (`tcp(7)`:
/// 7,200 s, 75 s, 9 probes).
///
/// ```
/// use oneloop::net::Keepalive;
/// use std::time::Duration;
/// let keepalive = Keepalive::default(); // a minute of silence, then six probes in the next
/// assert_eq!(keepalive.idle, Duration::from_secs(60));
/// assert_eq!(keepalive.user_timeout, Some(Duration::from_secs(120)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// The time of silence before the first probe (`TCP_KEEPIDLE`).
    pub idle: Duration,
    /// The time between two probes (`TCP_KEEPINTVL`).
    pub interval: Duration,
    /// The number of unanswered probes after which the kernel gives up the peer (`TCP_KEEPCNT`).
    pub count: u32,
    /// The time for which output may stay unacknowledged, or wait for a peer that has no room for
    /// it (`TCP_USER_TIMEOUT`). The kernel sends no probes meanwhile. With `None` the kernel gives
    /// up an unreachable peer after about 15 minutes (tcp(7): `tcp_retries2`), and never a peer
    /// without room.
    pub user_timeout: Option<Duration>,
}

impl Default for Keepalive {
    fn default() -> Self {
        Keepalive::new(Duration::from_secs(60), Duration::from_secs(10), 6)
    }
}

impl Keepalive {
    /// Probes, and a limit for unacknowledged output that is as long as they take: `idle` plus
    /// `count` times `interval`.
    pub fn new(idle: Duration, interval: Duration, count: u32) -> Self {
        Keepalive {
            idle,
            interval,
            count,
            user_timeout: Some(idle.saturating_add(interval.saturating_mul(count))),
        }
    }

    /// Sets the options on a socket. Accepted connections inherit them from their listener.
    pub(crate) fn apply(&self, socket: impl AsFd) -> io::Result<()> {
        // The kernel would refuse these, too. Checked first, so that a refusal changes no option.
        let is_too_long = |time: Duration| time.as_secs() > SECONDS_MAX;
        if is_too_long(self.idle) || is_too_long(self.interval) || self.count > COUNT_MAX {
            return Err(Errno::INVAL.into());
        }
        sockopt::set_socket_keepalive(&socket, true)?;
        // The kernel returns EINVAL for zero.
        if self.idle.as_secs() > 0 {
            sockopt::set_tcp_keepidle(&socket, self.idle)?;
        }
        if self.interval.as_secs() > 0 {
            sockopt::set_tcp_keepintvl(&socket, self.interval)?;
        }
        if self.count > 0 {
            sockopt::set_tcp_keepcnt(&socket, self.count)?;
        }
        if let Some(timeout) = self.user_timeout {
            // Saturates at 49 days, which is as good as forever.
            let ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
            sockopt::set_tcp_user_timeout(&socket, ms)?;
        }
        Ok(())
    }
}

/// Switches off the probes, and the limit for unacknowledged output.
pub(crate) fn switch_off(socket: impl AsFd) -> io::Result<()> {
    sockopt::set_socket_keepalive(&socket, false)?;
    Ok(sockopt::set_tcp_user_timeout(&socket, 0)?)
}
