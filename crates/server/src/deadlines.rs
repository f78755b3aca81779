//! How long a client may stay idle, block its output, or keep its end open: arithmetic without
//! timers.

use crate::options::ServiceOptions;
use std::time::{Duration, Instant};

/// How long the server waits for a client to close after the server has shut down its own side.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// How long the peer of a client that hung up may take none of what the client sent or, once it has
/// everything, stay open. Closing the connection while the peer still sends would reset it, and the
/// bytes in flight would be lost.
pub(crate) const HANG_UP_GRACE: Duration = Duration::from_secs(5);

/// The timeout that closed a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// `--idle-timeout`
    Idle,
    /// `--write-timeout`
    Write,
    /// [`LINGER`]
    Linger,
    /// [`HANG_UP_GRACE`]
    HangUp,
}

/// The timeouts of a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) idle: Option<Duration>,
    pub(crate) write: Option<Duration>,
}

impl Limits {
    pub(crate) fn of(options: &ServiceOptions) -> Self {
        Limits {
            idle: options.idle_timeout.map(Into::into),
            write: options.write_timeout.map(Into::into),
        }
    }

    /// True if no timeout applies to a client that is open. Then it needs no [`Deadlines`].
    pub(crate) fn are_off(&self) -> bool {
        self.idle.is_none() && self.write.is_none()
    }
}

/// One client's deadlines. What happens only notes the time: moving a timer for every message would
/// cost more than the message. The timer asks [`Deadlines::next`] again when it fires.
///
/// ```text
///   active ───────── + --idle-timeout ──▶ Idle
///   blocked since ── + --write-timeout ─▶ Write      until the client takes a byte
///   lingering since  + LINGER ──────────▶ Linger
///   active, hung up  + HANG_UP_GRACE ───▶ HangUp
/// ```
#[derive(Debug)]
pub(crate) struct Deadlines {
    /// When bytes were last received or sent.
    active: Instant,
    /// Since when output has waited and the client has taken none.
    blocked_since: Option<Instant>,
    /// When the server shut down its side.
    lingering_since: Option<Instant>,
    has_hung_up: bool,
}

impl Deadlines {
    pub(crate) fn new(now: Instant) -> Self {
        Deadlines {
            active: now,
            blocked_since: None,
            lingering_since: None,
            has_hung_up: false,
        }
    }

    /// Notes that bytes were received or sent.
    pub(crate) fn note_activity(&mut self, now: Instant) {
        self.active = now;
    }

    /// Notes whether output `waits`, and whether the client has `taken` any since the last note.
    pub(crate) fn note_output(&mut self, now: Instant, waits: bool, taken: bool) {
        // The clock of the write timeout restarts with each byte that the client takes: a slow
        // client is no dead one.
        if !waits {
            self.blocked_since = None;
        } else if taken || self.blocked_since.is_none() {
            self.blocked_since = Some(now);
        }
    }

    /// Notes that the server has shut down its side.
    pub(crate) fn note_lingering(&mut self, now: Instant) {
        self.lingering_since = Some(now);
    }

    /// Notes that the client has closed both directions while its peer is still open.
    pub(crate) fn note_hang_up(&mut self) {
        self.has_hung_up = true;
    }

    /// The first deadline by what is known now, which may have passed. A reload changes the limits.
    pub(crate) fn next(&self, limits: Limits) -> Option<(Instant, Expired)> {
        // A timeout that overflows the clock is as good as none.
        let after = |since: Option<Instant>, limit: Option<Duration>, why| {
            Some((since?.checked_add(limit?)?, why))
        };
        // Counted from the last activity: a peer that still takes bytes is not cut off.
        let hung_up = self.has_hung_up.then_some(self.active);
        [
            after(Some(self.active), limits.idle, Expired::Idle),
            after(self.blocked_since, limits.write, Expired::Write),
            after(self.lingering_since, Some(LINGER), Expired::Linger),
            after(hung_up, Some(HANG_UP_GRACE), Expired::HangUp),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(deadline, _)| *deadline)
    }
}
