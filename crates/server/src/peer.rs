//! What a client of `--mode proxy` or `--mode exec` is connected to: an upstream, or a program.

use crate::client::Client;
use crate::close_reason::CloseReason;
use crate::conversation::Conversation;
use crate::program::{Program, Running, variables_of};
use crate::upstream::Upstream;
use oneloop::net::{PipeReader, Relay, RelayError, Relayed, Side, Socket};
use oneloop::process::ExitStatus;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tracing::debug;

/// Where each client's peer comes from.
#[derive(Clone, Debug)]
pub(crate) enum Peers {
    Upstream(Arc<Upstream>),
    Program(Arc<Program>),
}

/// The future that opens one client's peer.
pub(crate) type Opening = Pin<Box<dyn Future<Output = io::Result<Peer>>>>;

/// The end of a client's program. Boxed: it takes much more memory than the relay of bytes before
/// it, and an upstream has none.
pub(crate) struct Ending(pub(crate) Pin<Box<dyn Future<Output = ()>>>);

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ending")
    }
}

impl Peers {
    /// How many fds a client and its peer take.
    pub(crate) fn fds(&self) -> u64 {
        match self {
            Peers::Upstream(_) => 2,
            Peers::Program(_) => 4, // the client, two pipes, and the pidfd
        }
    }

    /// Opens a peer for one more client.
    pub(crate) fn open(&self, client: &Client) -> Opening {
        match self {
            Peers::Upstream(upstream) => {
                let (upstream, handle) = (Arc::clone(upstream), client.service().handle.clone());
                let header = upstream.header(|| client.conversation.addrs(client.socket()));
                Box::pin(async move {
                    let connected = upstream.connect(&handle, &header).await?;
                    Ok(Peer::Upstream(connected))
                })
            }
            Peers::Program(program) => {
                let addrs = client.conversation.addrs(client.socket());
                // Without addresses, the client is gone already.
                let variables = addrs.map_or_else(|_| Vec::new(), |addrs| variables_of(&addrs));
                let program = Arc::clone(program);
                Box::pin(async move {
                    let (running, stdout) = program.start(&variables)?;
                    Ok(Peer::Program(Box::new(running), stdout))
                })
            }
        }
    }
}

/// What one client is connected to.
#[derive(Debug)]
pub(crate) enum Peer {
    Upstream(Socket),
    Program(Box<Running>, PipeReader),
}

impl Peer {
    /// Passes bytes both ways between the client and the peer.
    pub(crate) fn poll_relay(
        &mut self,
        cx: &mut Context<'_>,
        relay: &mut Relay,
        client: &Socket,
    ) -> Poll<Result<Relayed, RelayError>> {
        match self {
            Peer::Upstream(socket) => relay.poll(cx, Side::of(client), Side::of(socket)),
            Peer::Program(running, stdout) => {
                // Before the relay is polled: a program that has ended has no reader for more
                // input.
                running.poll_ended(cx);
                let program = Side {
                    from: &*stdout,
                    to: running.stdin(),
                };
                let relayed = relay.poll(cx, Side::of(client), program);
                if relay.there().is_over() {
                    running.close_stdin(); // a pipe has no half-close: closing it is its end
                }
                relayed
            }
        }
    }

    /// True if the peer has nothing to do once its client is gone. A program may have.
    pub(crate) fn ends_with_client(&self) -> bool {
        matches!(self, Peer::Upstream(_))
    }

    /// How many bytes the kernel has room for on the way to the peer; 0 for a program's pipe, of
    /// which the kernel does not report it.
    pub(crate) fn send_room(&self) -> usize {
        match self {
            Peer::Upstream(socket) => socket.send_room().unwrap_or(0),
            Peer::Program(..) => 0,
        }
    }

    /// Makes the close of the connection to an upstream a reset. A program gets SIGTERM instead.
    pub(crate) fn reset_on_close(&self) {
        if let Peer::Upstream(socket) = self {
            let _ = socket.reset_on_close(); // a sandbox may forbid it
        }
    }

    /// Ends the peer after its client's connection has ended with `connection`. A program keeps the
    /// client's permit until nothing of it runs any more.
    pub(crate) fn end(self, client: Client, connection: Result<(), CloseReason>) -> Option<Ending> {
        let Peer::Program(running, stdout) = self else {
            return None; // the drop closes an upstream
        };
        let conversation = client.into_conversation();
        // Closed before the wait: a program that still writes gets EPIPE, and does not block
        // forever on a full pipe.
        drop(stdout);
        Some(Ending(Box::pin(async move {
            let ended = running.end(conversation.service(), &connection).await;
            log_program(&conversation, &connection, ended);
        })))
    }
}

/// Logs how a client's program ended: as a warning if it failed, and the server is not the cause.
fn log_program(
    conversation: &Conversation,
    connection: &Result<(), CloseReason>,
    ended: io::Result<ExitStatus>,
) {
    let (number, service) = (conversation.number(), conversation.service());
    match ended {
        Ok(status) if connection.is_ok() && !status.success() => {
            let failed = &service.server.notices.program_failed;
            failed.log(&service.handle, (number, status));
        }
        Ok(status) => debug!(number, "its program has ended: {status}"),
        Err(error) => debug!(number, %error, "its program has ended"),
    }
}
