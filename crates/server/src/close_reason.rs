//! Why a connection ended early, and how its end is logged.

use crate::budget::OverBudget;
use crate::chat::Evicted;
use crate::deadlines::Expired;
use crate::notice::Notice;
use crate::notices::Notices;
use oneloop::net::Addr;
use oneloop::{Handle, callback};
use oneloop_posix::Refusal;
use rustix::io::Errno;
use std::io;
use tracing::{debug, info};

/// Why a connection ended before both sides had sent everything.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// The client's socket failed.
    Io(io::Error),
    /// A timeout passed.
    Expired(Expired),
    /// More than `--out-hard` bytes wait for the client.
    TooSlow,
    /// More than `--out-total` bytes wait for all clients, and this one has the longest queue.
    /// Holds how many clients were closed for that so far.
    OverBudget(u64),
    /// The peer failed: the upstream or the program.
    Peer(io::Error),
    /// `--drain` is over.
    CutOff,
    /// An operator has closed it.
    ByOperator,
}

impl CloseReason {
    /// True if bytes are lost, or may be. Then both connections are reset: after an orderly end, the
    /// client and its peer would take what they received for the whole.
    pub(crate) fn cuts_off(&self) -> bool {
        // An idle client has received everything, unless output waits, which its owner knows; a
        // client that lingers has received even the end.
        !matches!(self, CloseReason::Expired(Expired::Idle | Expired::Linger))
    }
}

impl From<io::Error> for CloseReason {
    fn from(error: io::Error) -> Self {
        CloseReason::Io(error)
    }
}

impl From<Evicted> for CloseReason {
    fn from(evicted: Evicted) -> Self {
        match evicted {
            Evicted::TooSlow => CloseReason::TooSlow,
            Evicted::OverBudget(times) => CloseReason::OverBudget(times),
        }
    }
}

impl From<OverBudget> for CloseReason {
    fn from(over: OverBudget) -> Self {
        CloseReason::OverBudget(over.times)
    }
}

impl From<Expired> for CloseReason {
    fn from(expired: Expired) -> Self {
        CloseReason::Expired(expired)
    }
}

/// How a connection ended, as metrics and the access log name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    ByOperator,
    Closed,
    CutOff,
    /// Its task panicked, or there was no memory for its stack.
    Dropped,
    Failed,
    Forbidden,
    HungUp,
    IdleTimeout,
    LingerTimeout,
    NoPeer,
    OutHard,
    OutTotal,
    PeerFailed,
    Reset,
    TimedOut,
    WriteTimeout,
}

impl End {
    /// In their order above.
    pub(crate) const ALL: [End; 16] = [
        End::ByOperator,
        End::Closed,
        End::CutOff,
        End::Dropped,
        End::Failed,
        End::Forbidden,
        End::HungUp,
        End::IdleTimeout,
        End::LingerTimeout,
        End::NoPeer,
        End::OutHard,
        End::OutTotal,
        End::PeerFailed,
        End::Reset,
        End::TimedOut,
        End::WriteTimeout,
    ];

    pub(crate) fn of(end: &Result<(), CloseReason>) -> Self {
        match end {
            Ok(()) => End::Closed,
            Err(CloseReason::Io(error) | CloseReason::Peer(error)) if is_forbidden(error) => {
                End::Forbidden
            }
            Err(CloseReason::Io(error)) => match errno_of(error) {
                Some(Errno::CONNRESET | Errno::PIPE) => End::Reset,
                Some(Errno::TIMEDOUT) => End::TimedOut,
                _ if error.kind() == io::ErrorKind::BrokenPipe => End::Reset,
                _ => End::Failed,
            },
            Err(CloseReason::Peer(_)) => End::PeerFailed,
            Err(CloseReason::ByOperator) => End::ByOperator,
            Err(CloseReason::CutOff) => End::CutOff,
            Err(CloseReason::Expired(Expired::HangUp)) => End::HungUp,
            Err(CloseReason::Expired(Expired::Linger)) => End::LingerTimeout,
            Err(CloseReason::Expired(Expired::Idle)) => End::IdleTimeout,
            Err(CloseReason::Expired(Expired::Write)) => End::WriteTimeout,
            Err(CloseReason::TooSlow) => End::OutHard,
            Err(CloseReason::OverBudget(_)) => End::OutTotal,
        }
    }

    /// The name, as a label has it.
    #[cfg_attr(not(feature = "admin"), allow(dead_code, reason = "operators read it"))]
    pub(crate) fn name(self) -> &'static str {
        match self {
            End::ByOperator => "by_operator",
            End::Closed => "closed",
            End::CutOff => "cut_off",
            End::Dropped => "dropped",
            End::Failed => "failed",
            End::Forbidden => "forbidden",
            End::HungUp => "hung_up",
            End::IdleTimeout => "idle_timeout",
            End::LingerTimeout => "linger_timeout",
            End::NoPeer => "no_peer",
            End::OutHard => "out_hard",
            End::OutTotal => "out_total",
            End::PeerFailed => "peer_failed",
            End::Reset => "reset",
            End::TimedOut => "timed_out",
            End::WriteTimeout => "write_timeout",
        }
    }
}

/// Logs how the connection of the client with this number ended. What clients can cause at will is
/// logged once a second; the rest is for `--log-level debug`.
pub(crate) fn log_end(
    notices: &Notices,
    handle: &Handle,
    number: u64,
    end: &Result<(), CloseReason>,
    peer: impl Fn() -> Option<Addr>,
) {
    let client = || {
        let peer = peer().map_or_else(|| "gone".to_owned(), |peer| peer.to_string());
        (number, peer)
    };
    let log = |notice: &Notice<_>| notice.log(handle, client());
    match end {
        Ok(()) => debug!(number, "closed"),
        Err(CloseReason::Io(error) | CloseReason::Peer(error)) if is_forbidden(error) => {
            notices.forbidden.log(handle, (number, error.to_string()));
        }
        Err(CloseReason::Io(error)) => debug!(number, %error, "closed"),
        Err(CloseReason::Peer(error)) => debug!(number, %error, "closed: its peer failed"),
        Err(CloseReason::ByOperator) => info!(number, "closed by an operator"),
        Err(CloseReason::CutOff) => debug!(number, "closed: --drain is over"),
        Err(CloseReason::Expired(Expired::HangUp)) => debug!(
            number,
            "closed: the client hung up, and its peer took no more"
        ),
        Err(CloseReason::Expired(Expired::Linger)) => {
            debug!(number, "closed: the client did not close in time");
        }
        Err(CloseReason::Expired(Expired::Idle)) => log(&notices.idle),
        Err(CloseReason::Expired(Expired::Write)) => log(&notices.write),
        Err(CloseReason::TooSlow) => log(&notices.too_slow),
        Err(CloseReason::OverBudget(times)) => {
            notices.over_budget.log(handle, (*times, client()));
        }
    }
}

/// True if a sandbox refused a system call without which no connection can be served.
fn is_forbidden(error: &io::Error) -> bool {
    // Whatever the call was: a sandbox that refuses recv or send leaves nothing to serve with.
    errno_of(error).and_then(Refusal::of) == Some(Refusal::Everywhere)
}

fn errno_of(error: &io::Error) -> Option<Errno> {
    // The callback style wraps the number, negated as in libuv, in an error of its own.
    let of_callbacks = || error.get_ref()?.downcast_ref::<callback::Error>()?.errno();
    let errno = error
        .raw_os_error()
        .or_else(|| of_callbacks().map(i32::saturating_neg));
    errno.map(Errno::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_counted_at_its_own_place() {
        for (index, end) in End::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, index, "{end:?}");
        }
    }

    #[test]
    fn an_error_of_the_client_is_named_by_its_kind() {
        for (error, name) in [
            (io::Error::from(Errno::CONNRESET), "reset"),
            (io::Error::from(Errno::PIPE), "reset"),
            (io::ErrorKind::BrokenPipe.into(), "reset"),
            (io::Error::from(Errno::TIMEDOUT), "timed_out"),
            (io::Error::from(Errno::HOSTUNREACH), "failed"),
            (io::Error::from(Errno::PERM), "forbidden"),
        ] {
            assert_eq!(End::of(&Err(error.into())).name(), name);
        }
    }
}
