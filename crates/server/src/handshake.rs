//! What happens on a fresh connection before its service starts: a balancer introduces the client,
//! by the PROXY protocol.
//!
//! It has a task of its own, whichever style serves the client then. A connection that needs
//! nothing of it never comes here, and costs nothing more.
//!
//! ```text
//!   accepted ──▶ the header is read ──▶ the client may connect ──▶ its service starts
//!                   │      │                     └─ it may not ──▶ closed, counted, logged
//!                   │      └─ none, wrong, cut off, or late ──────────────▲
//!                   └─ the server drains, or an operator closes it ──▶ closed
//! ```

use crate::access::Access;
use crate::client_notes::ClientNote;
use crate::conversation::{Accepted, Conversation};
use crate::counters::Moved;
use crate::introduction::Introduction;
use crate::refusals::RefusalReason;
use crate::reports::{FOR_HEADER, Traffic};
use crate::service::Service;
use oneloop::core::Direction;
use oneloop::net::{Addr, Socket};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use tracing::debug;

/// Does what a connection needs before its service starts. `None` if it is closed instead, which
/// was counted and logged.
pub(crate) async fn complete(
    mut accepted: Accepted,
    peer: &Addr,
    access: &Access,
) -> Option<(Accepted, ClientNote)> {
    let service = Rc::clone(accepted.conversation.service());
    // As the acceptor's: the client may speak in the chat, so others must wait for its last word.
    let _speaker = service.shared.room.speaker();
    let Accepted {
        conversation,
        socket,
    } = &mut accepted;
    let introduction = match introduce(&service, conversation, socket, peer, access).await {
        Ok(introduction) => introduction,
        Err(None) => {
            debug!(number = conversation.number(), %peer, "closed before its PROXY header came");
            return None;
        }
        Err(Some(reason)) => {
            service.refuse(reason, peer.clone());
            return None;
        }
    };
    let client = introduction
        .as_ref()
        .map_or(peer, |introduced| &introduced.from);
    debug!(number = conversation.number(), %client, %peer, "introduced");
    let now = service.handle.now();
    let admitted = access.admit_client(client, now);
    match admitted.and_then(|()| access.open(client)) {
        Ok(slot) => Some((accepted, ClientNote { introduction, slot })),
        Err(reason) => {
            service.refuse(reason, client.clone());
            None
        }
    }
}

/// Reads the header. The error is `None` if the server drains before it has come, or an operator
/// closes the connection.
async fn introduce(
    service: &Service,
    conversation: &mut Conversation,
    socket: &Socket,
    peer: &Addr,
    access: &Access,
) -> Result<Option<Introduction>, Option<RefusalReason>> {
    let reading = access.read_introduction(socket);
    let reading = service.handle.timeout(access.handshake_timeout(), reading);
    let mut reading = pin!(reading);
    poll_fn(|cx| {
        let is_draining = service.is_draining();
        if is_draining {
            // The loop's last look may be out of date: ask the kernel.
            socket.source().assume_ready(Direction::Read);
        }
        match reading.as_mut().poll(cx) {
            Poll::Ready(Ok(read)) => Poll::Ready(read.map_err(Some)),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Some(RefusalReason::ProxyLate))),
            Poll::Pending if is_draining => Poll::Ready(Err(None)),
            Poll::Pending => {
                if conversation.is_notified() && service.reports.is_collecting() {
                    let traffic = Traffic {
                        moved: Moved::default(),
                        queued: 0,
                        waits: FOR_HEADER,
                    };
                    conversation.report(Some(peer.clone()), traffic);
                    if conversation.obey().is_err() {
                        return Poll::Ready(Err(None));
                    }
                }
                Poll::Pending
            }
        }
    })
    .await
}
