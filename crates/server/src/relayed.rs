//! One client that is connected to a peer, in the styles that poll: `task` and `green`.

use crate::budget::{BudgetShare, OverBudget};
use crate::client::{Client, Served, poll_gone};
use crate::close_reason::CloseReason;
use crate::counters::Moved;
use crate::deadlines::Expired;
use crate::peer::{Ending, Opening, Peer, Peers};
use crate::reports::{FOR_CLIENT, FOR_CONNECTION, FOR_INPUT, FOR_PEER, Traffic};
use oneloop::core::Direction;
use oneloop::net::{Relay, RelayError};
use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};

/// A client and its peer. While the conversation is open:
///
/// ```text
///   Opening ──the peer is there──▶ Relaying ──both have ended──▶ the conversation lingers
///      └─────────────────────no peer────────────────────────────────▲
/// ```
pub(crate) struct Relayed {
    client: Client,
    /// `None` once it has completed.
    opening: Option<Opening>,
    peer: Option<Peer>,
    relay: Relay,
    progress: Progress,
    /// How many bytes the client had taken when the last extra attempt to send was made.
    tried_at: Option<u64>,
    /// The client's share of the budget, while bytes wait.
    share: Option<BudgetShare>,
}

/// What changes whenever a byte moves, both ways: to the peer, and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    copied: [u64; 2],
    held: [usize; 2],
}

impl Progress {
    fn of(relay: &Relay) -> Self {
        let ways = [relay.there(), relay.back()];
        Progress {
            copied: ways.map(|way| way.copied()),
            held: ways.map(|way| way.held()),
        }
    }

    /// Bytes received from the client. Those that are held were read, but not passed on yet.
    fn received(&self) -> u64 {
        self.copied[0] + self.held[0] as u64
    }
}

impl fmt::Debug for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Relayed({:?})", self.progress)
    }
}

impl Relayed {
    pub(crate) fn new(client: Client, peers: &Peers) -> Self {
        Relayed {
            opening: Some(peers.open(&client)),
            client,
            peer: None,
            relay: Relay::new().before_close(),
            progress: Progress::default(),
            tried_at: None,
            share: None,
        }
    }

    /// From the connect to the last byte.
    pub(crate) fn poll_life(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        if self.opening.is_some() {
            ready!(self.poll_open(cx))?;
        }
        if self.client.conversation.is_paused() {
            let gone = ready!(poll_gone(self.client.socket(), cx));
            return Poll::Ready(Err(CloseReason::Io(gone)));
        }
        if self.client.conversation.is_open() {
            ready!(self.poll_relay(cx))?;
            if self.relay.there().is_complete() && self.relay.back().is_complete() {
                self.client.conversation.close(); // a close tells each side all that is left to say
                return Poll::Ready(Ok(()));
            }
            self.client.begin_lingering()?;
        }
        match self.client.poll_lingering(cx) {
            // Everything was sent, and the server does not wait for the client any more.
            Poll::Pending if self.client.service().is_cut_off() => {
                Poll::Ready(Err(Expired::Linger.into()))
            }
            lingered => lingered.map_err(Into::into),
        }
    }

    /// Opens the peer. Without one, which is logged, the client only receives the server's end.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        let Some(opening) = &mut self.opening else {
            return Poll::Ready(Ok(()));
        };
        match opening.as_mut().poll(cx) {
            Poll::Ready(Ok(peer)) => self.peer = Some(peer),
            Poll::Ready(Err(error)) => self.client.conversation.note_no_peer(error),
            Poll::Pending if self.client.service().is_cut_off() => {
                return Poll::Ready(Err(CloseReason::CutOff));
            }
            Poll::Pending => {
                // Nothing is read from the client meanwhile, so only the kernel's flags can show
                // that it is gone.
                let gone = ready!(poll_gone(self.client.socket(), cx));
                return Poll::Ready(Err(CloseReason::Io(gone)));
            }
        }
        // Freed at once: the future holds what connecting takes, and the relay may live for
        // hours.
        self.opening = None;
        Poll::Ready(Ok(()))
    }

    /// Passes bytes both ways until both sides have ended. In a drain, the client counts as ended
    /// once everything received from it is passed on; its peer has the rest of `--drain` to answer.
    fn poll_relay(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        let Some(peer) = &mut self.peer else {
            return Poll::Ready(Ok(()));
        };
        loop {
            self.client.assume_input_if_draining();
            let (service, socket) = (self.client.service(), self.client.socket());
            // For each round again: memory may have become scarce since, or no longer be.
            let ahead_bytes_max = service.ahead_bytes_max(|| peer.send_room());
            self.relay.there_mut().set_ahead_bytes_max(ahead_bytes_max);
            let ahead_bytes_max = service.ahead_bytes_max(|| socket.send_room().unwrap_or(0));
            self.relay.back_mut().set_ahead_bytes_max(ahead_bytes_max);
            let relayed = peer.poll_relay(cx, &mut self.relay, self.client.socket());
            note_progress(&mut self.client, &mut self.progress, &self.relay);
            if let Poll::Ready(relayed) = relayed {
                return Poll::Ready(relayed.map(drop).or_else(close_reason));
            }
            // After the relay: what could be passed on, was.
            if self.client.service().is_cut_off() {
                return Poll::Ready(Err(CloseReason::CutOff));
            }
            let there = self.relay.there();
            // HUP alone is no reason to close: what the client sent before it closed still goes
            // to its peer. But a peer that takes none of it could hold the connection forever.
            if self.client.is_hung_up() && (there.held() > 0 || peer.ends_with_client()) {
                self.client.note_hang_up();
            }
            if !self.client.is_drained() || there.is_over() || there.held() > 0 {
                return Poll::Pending;
            }
            // And once more around, as the relay now has an end to pass on.
            self.relay.there_mut().end();
        }
    }

    /// Logs how the connection ended, and closes both sides. Returns what ends when nothing of the
    /// peer is left, if that takes time.
    pub(crate) fn close(mut self, mut end: Result<(), CloseReason>) -> Option<Ending> {
        if matches!(end, Err(CloseReason::Expired(Expired::HangUp))) && self.relay.there().is_over()
        {
            end = Ok(()); // the peer has received everything that the client sent
        }
        let moved = self.moved();
        self.client.finish(&end, moved);
        if self.relay.back().held() > 0 {
            self.client.reset_on_close();
        }
        let peer = self.peer?;
        if end.as_ref().is_err_and(CloseReason::cuts_off) || self.relay.there().held() > 0 {
            // A plain close would look to the peer like the client's end.
            peer.reset_on_close();
        }
        let end = match end {
            Err(CloseReason::Expired(Expired::Linger)) => Ok(()), // all bytes had passed before
            end => end,
        };
        peer.end(self.client, end)
    }
}

/// What the failure of one side means for the client.
fn close_reason(error: RelayError) -> Result<(), CloseReason> {
    match error {
        RelayError::First(error) => Err(CloseReason::Io(error)),
        // EPIPE: the peer has sent everything, and does not want the rest of the input.
        RelayError::Second(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        RelayError::Second(error) => Err(CloseReason::Peer(error)),
    }
}

fn note_progress(client: &mut Client, progress: &mut Progress, relay: &Relay) {
    let before = std::mem::replace(progress, Progress::of(relay));
    if *progress != before {
        let counters = &client.service().counters;
        counters
            .received
            .add(progress.received().saturating_sub(before.received()));
        counters.sent.add(progress.copied[1] - before.copied[1]);
        client.note_activity();
    }
    let [_, held_for_client] = progress.held;
    client.note_output(held_for_client > 0, progress.copied[1] > before.copied[1]);
}

impl Served for Relayed {
    fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    fn note_queue(&mut self, cx: &mut Context<'_>) -> Result<(), OverBudget> {
        let held: usize = self.progress.held.iter().sum();
        let budget = &self.client.service().server.budget;
        budget.note(&mut self.share, held, cx.waker())
    }

    fn moved(&self) -> Moved {
        let progress = Progress::of(&self.relay);
        Moved {
            received: self.client.received() + progress.received(),
            sent: progress.copied[1],
        }
    }

    fn traffic(&mut self) -> Traffic {
        let (there, back) = (self.relay.there(), self.relay.back());
        let waits = match &self.peer {
            None => FOR_CONNECTION,
            Some(_) if back.held() > 0 => FOR_CLIENT,
            Some(_) if there.held() > 0 => FOR_PEER,
            Some(_) => FOR_INPUT,
        };
        Traffic {
            moved: self.moved(),
            queued: back.held(),
            waits,
        }
    }

    /// The next poll of the relay tries. If the client has taken nothing since the last attempt,
    /// another one is of no use.
    fn try_to_send(&mut self, _: &mut Context<'_>) -> bool {
        let back = self.relay.back();
        let taken = Some(back.copied());
        if back.held() == 0 || self.tried_at == taken {
            return false;
        }
        self.tried_at = taken;
        self.client.socket().source().assume_ready(Direction::Write);
        true
    }
}
