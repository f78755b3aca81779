//! Why clients are refused, and how many were for each reason.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a client is closed before it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalReason {
    /// `--max-conns` connections are open, and `--when-full refuse`.
    MaxConns,
    /// There is no memory for the stack of its green thread.
    NoStack,
    /// `--allow` and `--deny` exclude it.
    Denied,
    /// More clients came than `--accept-rate` allows, and `--when-full refuse`.
    AcceptRate,
    /// More clients of its source came than `--rate-per-source` allows.
    RatePerSource,
    /// `--max-per-source` connections of its source are open.
    MaxPerSource,
    /// It is none of the balancers in `--proxy-from`.
    ProxyUntrusted,
    /// It sends something else than a PROXY header, or nothing.
    ProxyMissing,
    /// It ends within its PROXY header.
    ProxyTruncated,
    /// Its PROXY header is not complete within `--handshake-timeout`.
    ProxyLate,
    /// Its PROXY header breaks the protocol.
    ProxyInvalid,
}

impl RefusalReason {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [RefusalReason; 11] = [
        RefusalReason::MaxConns,
        RefusalReason::NoStack,
        RefusalReason::Denied,
        RefusalReason::AcceptRate,
        RefusalReason::RatePerSource,
        RefusalReason::MaxPerSource,
        RefusalReason::ProxyUntrusted,
        RefusalReason::ProxyMissing,
        RefusalReason::ProxyTruncated,
        RefusalReason::ProxyLate,
        RefusalReason::ProxyInvalid,
    ];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            RefusalReason::MaxConns => "max_conns",
            RefusalReason::NoStack => "no_stack",
            RefusalReason::Denied => "denied",
            RefusalReason::AcceptRate => "accept_rate",
            RefusalReason::RatePerSource => "rate_per_source",
            RefusalReason::MaxPerSource => "max_per_source",
            RefusalReason::ProxyUntrusted => "proxy_untrusted",
            RefusalReason::ProxyMissing => "proxy_missing",
            RefusalReason::ProxyTruncated => "proxy_truncated",
            RefusalReason::ProxyLate => "proxy_late",
            RefusalReason::ProxyInvalid => "proxy_invalid",
        }
    }

    /// The words of its log line, behind "refused: ".
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            RefusalReason::MaxConns => "--max-conns connections are open",
            RefusalReason::NoStack => "there is no memory for its stack",
            RefusalReason::Denied => "--allow and --deny exclude it",
            RefusalReason::AcceptRate => "more clients come than --accept-rate allows",
            RefusalReason::RatePerSource => {
                "more clients of its source come than --rate-per-source allows"
            }
            RefusalReason::MaxPerSource => "--max-per-source connections of its source are open",
            RefusalReason::ProxyUntrusted => "it is not in --proxy-from",
            RefusalReason::ProxyMissing => "it sends no PROXY header",
            RefusalReason::ProxyTruncated => "it ends within its PROXY header",
            RefusalReason::ProxyLate => {
                "its PROXY header is not complete within --handshake-timeout"
            }
            RefusalReason::ProxyInvalid => "its PROXY header breaks the protocol",
        }
    }
}

/// How many clients were refused, for each reason.
#[derive(Debug, Default)]
pub(crate) struct Refusals([AtomicU64; RefusalReason::ALL.len()]);

impl Refusals {
    /// Counts a client; returns how many were refused so far, for all reasons.
    pub(crate) fn count(&self, reason: RefusalReason) -> u64 {
        self.0[reason as usize].fetch_add(1, Ordering::AcqRel);
        self.total()
    }

    pub(crate) fn total(&self) -> u64 {
        self.by_reason().map(|(_, count)| count).sum()
    }

    /// Each reason with its count.
    pub(crate) fn by_reason(&self) -> impl Iterator<Item = (RefusalReason, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Acquire));
        RefusalReason::ALL.into_iter().zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_count() {
        let refusals = Refusals::default();
        for (number, reason) in RefusalReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number, "the order of the list");
            for _ in 0..=number {
                refusals.count(reason);
            }
        }
        for (number, (_, count)) in refusals.by_reason().enumerate() {
            assert_eq!(count, number as u64 + 1);
        }
        assert_eq!(refusals.total(), (1..=11).sum::<u64>());
    }
}
