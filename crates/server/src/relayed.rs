//! One client that is wired to a peer: what can be done with the two, for the styles that wait.

use crate::budget::{Crowded, Queued};
use crate::client::{Broken, Client, Served, poll_gone};
use crate::inspect::{FOR_CLIENT, FOR_CONNECTION, FOR_INPUT, FOR_PEER};
use crate::patience::Expired;
use crate::peer::{Opening, Peer, Peers};
use oneloop::Direction;
use oneloop::net::{Relay, RelayError};
use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};

/// A client and its peer.
pub(crate) struct Relayed {
    client: Client,
    opening: Opening,
    peer: Option<Peer>,
    relay: Relay,
    progress: Progress,
    /// What the client had taken when it was last asked whether it takes more.
    tried_at: Option<u64>,
    /// Its part of the budget, while something waits.
    queued: Option<Queued>,
}

/// In which something is different once a byte has moved.
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
}

impl fmt::Debug for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Relayed({:?})", self.progress)
    }
}

impl Relayed {
    pub(crate) fn new(client: Client, peers: &Peers) -> Self {
        Relayed {
            opening: peers.open(&client),
            client,
            peer: None,
            relay: Relay::new(),
            progress: Progress::default(),
            tried_at: None,
            queued: None,
        }
    }

    /// Which of the server's clients this is.
    pub(crate) fn number(&self) -> u64 {
        self.client.number()
    }

    /// Gets the peer. Ready without one if there is none to be had, which is told; the client then hears
    /// its end.
    pub(crate) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self.opening.as_mut().poll(cx) {
            Poll::Ready(Ok(peer)) => self.peer = Some(peer),
            Poll::Ready(Err(error)) => self.client.service().tell_of_no_peer(error),
            Poll::Pending => {
                let gone = ready!(poll_gone(self.client.socket(), cx));
                return Poll::Ready(Err(Broken::Io(gone)));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Passes bytes both ways until both have ended. In a drain the client is taken to have ended once all
    /// that was received from it is passed on; the peer has what is left of `--drain` to answer.
    pub(crate) fn poll_relay(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let Some(peer) = &mut self.peer else {
            return Poll::Ready(Ok(()));
        };
        loop {
            self.client.look_if_draining();
            let (service, socket) = (self.client.service(), self.client.socket());
            let ahead_bytes_max = service.ahead_bytes_max(|| peer.send_room());
            self.relay.there_mut().set_ahead_bytes_max(ahead_bytes_max);
            let ahead_bytes_max = service.ahead_bytes_max(|| socket.send_room().unwrap_or(0));
            self.relay.back_mut().set_ahead_bytes_max(ahead_bytes_max);
            let relayed = peer.poll_relay(cx, &mut self.relay, self.client.socket());
            note_progress(&mut self.client, &mut self.progress, &self.relay);
            if let Poll::Ready(relayed) = relayed {
                return Poll::Ready(relayed.map(drop).or_else(broken));
            }
            if self.client.service().is_cut_off() {
                return Poll::Ready(Err(Broken::CutOff));
            }
            let there = self.relay.there();
            if self.client.is_hung_up() && (there.held() > 0 || peer.ends_with_client()) {
                self.client.note_hang_up();
            }
            if !self.client.is_drained() || there.is_over() || there.held() > 0 {
                return Poll::Pending;
            }
            self.relay.there_mut().end();
        }
    }

    /// Tells how it ended, closes both, and waits for what the peer leaves behind.
    pub(crate) async fn close(self, mut end: Result<(), Broken>) {
        if matches!(end, Err(Broken::Expired(Expired::HangUp))) && self.relay.there().is_over() {
            end = Ok(()); // its peer has heard all it had to say
        }
        self.client.log_end(&end);
        if end.as_ref().is_err_and(Broken::cuts_peer_off) {
            let _ = self.client.socket().reset_on_close(); // it must not take this for the peer's end
        }
        if let Some(peer) = self.peer {
            let end = match end {
                Err(Broken::Expired(Expired::Linger)) => Ok(()), // all was said before
                end => end,
            };
            peer.end(self.client, &end).await;
        }
    }
}

/// What the failure of one of the two means for the client.
fn broken(error: RelayError) -> Result<(), Broken> {
    match error {
        RelayError::First(error) => Err(Broken::Io(error)),
        // It has said all it had to say, and did not want to hear the rest.
        RelayError::Second(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        RelayError::Second(error) => Err(Broken::Peer(error)),
    }
}

fn note_progress(client: &mut Client, progress: &mut Progress, relay: &Relay) {
    let before = std::mem::replace(progress, Progress::of(relay));
    if *progress != before {
        client.note_activity();
    }
    let [_, waits_for_client] = progress.held;
    client.note_output(waits_for_client > 0, progress.copied[1] > before.copied[1]);
}

impl Served for Relayed {
    fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    fn note_queue(&mut self, cx: &mut Context<'_>) -> Result<(), Crowded> {
        let held: usize = self.progress.held.iter().sum();
        let budget = &self.client.service().shared.budget;
        budget.note(&mut self.queued, held, cx.waker())
    }

    fn traffic(&mut self) -> (u64, u64, usize, &'static str) {
        let (there, back) = (self.relay.there(), self.relay.back());
        let waits = match &self.peer {
            None => FOR_CONNECTION,
            Some(_) if back.held() > 0 => FOR_CLIENT,
            Some(_) if there.held() > 0 => FOR_PEER,
            Some(_) => FOR_INPUT,
        };
        // What is held was read but not passed on.
        let received = self.client.received() + there.copied() + there.held() as u64;
        (received, back.copied(), back.held(), waits)
    }

    /// The next [`Relayed::poll_relay`] tries; if nothing comes of it, it is no use to try again.
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
