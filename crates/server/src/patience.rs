//! How long a client may do nothing: one timer a connection, moved as seldom as possible.

use crate::options::Options;
use oneloop::{Handle, Sleep};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long the server waits for a client to close, after it has closed itself.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// How long the peer of a client that has hung up may take nothing of what it sent, or, once it has all, not
/// end: a connection that is closed while its peer still sends is reset, and what is on its way lost.
pub(crate) const HANG_UP_GRACE: Duration = Duration::from_secs(5);

/// Why a client was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    Idle,
    Write,
    Linger,
    HangUp,
}

/// The time-outs of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) idle: Option<Duration>,
    pub(crate) write: Option<Duration>,
}

impl Limits {
    pub(crate) fn of(options: &Options) -> Self {
        Limits {
            idle: options.idle_timeout.map(Into::into),
            write: options.write_timeout.map(Into::into),
        }
    }

    /// True if no client can ever wear the server's patience out.
    pub(crate) fn are_off(&self) -> bool {
        self.idle.is_none() && self.write.is_none()
    }
}

/// One client's timer. Activity only notes the time: the timer finds out when it fires.
#[derive(Debug)]
pub(crate) struct Patience {
    limits: Limits,
    active: Instant,
    /// Since when output has waited and none was taken.
    blocked: Option<Instant>,
    lingering: Option<Instant>,
    has_hung_up: bool,
    timer: Option<(Instant, Sleep)>,
}

impl Patience {
    pub(crate) fn new(limits: Limits, handle: &Handle) -> Self {
        Patience {
            limits,
            active: handle.now(),
            blocked: None,
            lingering: None,
            has_hung_up: false,
            timer: None,
        }
    }

    /// Bytes came or went.
    pub(crate) fn note_activity(&mut self, handle: &Handle) {
        self.active = handle.now();
    }

    /// Output waits, or does not; `taken` says that the client took some just now.
    pub(crate) fn note_output(&mut self, handle: &Handle, waits: bool, taken: bool) {
        if !waits {
            self.blocked = None;
        } else if taken || self.blocked.is_none() {
            self.blocked = Some(handle.now());
        }
    }

    /// The server has closed its side.
    pub(crate) fn note_lingering(&mut self, handle: &Handle) {
        self.lingering = Some(handle.now());
    }

    /// The client is gone, and its peer is not at its end.
    pub(crate) fn note_hang_up(&mut self) {
        self.has_hung_up = true;
    }

    /// The first time-out to come, by what is known now.
    fn next(&self) -> Option<(Instant, Expired)> {
        let after = |since: Option<Instant>, limit: Option<Duration>, what| {
            Some((since?.checked_add(limit?)?, what))
        };
        [
            after(Some(self.active), self.limits.idle, Expired::Idle),
            after(self.blocked, self.limits.write, Expired::Write),
            after(self.lingering, Some(LINGER), Expired::Linger),
            after(
                self.has_hung_up.then_some(self.active),
                Some(HANG_UP_GRACE),
                Expired::HangUp,
            ),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(deadline, _)| *deadline)
    }

    /// Ready when the client is to be given up.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>, handle: &Handle) -> Poll<Expired> {
        loop {
            let Some((deadline, what)) = self.next() else {
                return Poll::Pending;
            };
            // A timer that is set for earlier is left alone: it looks again when it fires.
            if self
                .timer
                .as_ref()
                .is_none_or(|(set_for, _)| *set_for > deadline)
            {
                self.timer = Some((deadline, handle.sleep_until(deadline)));
            }
            let Some((set_for, sleep)) = &mut self.timer else {
                return Poll::Pending;
            };
            if Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            let fired_for = *set_for;
            self.timer = None;
            if fired_for >= deadline {
                return Poll::Ready(what);
            }
        }
    }
}
