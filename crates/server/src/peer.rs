//! What the client of some modes is wired to: an upstream, or a program. Bytes pass between the two; the
//! server says nothing itself.

use crate::upstream::Upstream;
use oneloop::Handle;
use oneloop::net::{Relay, RelayError, Relayed, Side, Socket};
use std::io;
use std::task::{Context, Poll};

/// How each client gets its peer.
#[derive(Debug)]
pub(crate) enum Peers {
    Upstream(Upstream),
}

impl Peers {
    /// How many fds a client and its peer take.
    pub(crate) fn fds(&self) -> u64 {
        match self {
            Peers::Upstream(_) => 2,
        }
    }

    /// A peer for one more client.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn open(&self, handle: &Handle) -> io::Result<Peer> {
        match self {
            Peers::Upstream(upstream) => Ok(Peer::Upstream(upstream.connect(handle).await?)),
        }
    }
}

/// What one client is wired to.
#[derive(Debug)]
pub(crate) enum Peer {
    Upstream(Socket),
}

impl Peer {
    /// Passes bytes both ways between it and the client.
    pub(crate) fn poll_relay(
        &mut self,
        cx: &mut Context<'_>,
        relay: &mut Relay,
        client: &Socket,
    ) -> Poll<Result<Relayed, RelayError>> {
        match self {
            Peer::Upstream(socket) => relay.poll(cx, Side::of(client), Side::of(socket)),
        }
    }

    /// Has it hear that its client has broken off, rather than ended.
    pub(crate) fn break_off(&self) {
        match self {
            Peer::Upstream(socket) => drop(socket.reset_on_close()),
        }
    }
}
