//! What the client of some modes is wired to: an upstream, or a program. Bytes pass between the two; the
//! server says nothing itself.

use crate::client::{Broken, Client};
use crate::program::{Program, Running, variables_of};
use crate::upstream::Upstream;
use oneloop::net::{PipeReader, Relay, RelayError, Relayed, Side, Socket};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How each client gets its peer.
#[derive(Clone, Debug)]
pub(crate) enum Peers {
    Upstream(Arc<Upstream>),
    Program(Arc<Program>),
}

/// What gets a client's peer.
pub(crate) type Opening = Pin<Box<dyn Future<Output = io::Result<Peer>>>>;

impl Peers {
    /// How many fds a client and its peer take.
    pub(crate) fn fds(&self) -> u64 {
        match self {
            Peers::Upstream(_) => 2,
            Peers::Program(_) => 4, // two pipes, and the process itself
        }
    }

    /// A peer for one more client.
    pub(crate) fn open(&self, client: &Client) -> Opening {
        match self {
            Peers::Upstream(upstream) => {
                let (upstream, handle) = (Arc::clone(upstream), client.service().handle.clone());
                Box::pin(async move { Ok(Peer::Upstream(upstream.connect(&handle).await?)) })
            }
            Peers::Program(program) => {
                let (program, variables) = (Arc::clone(program), variables_of(client.socket()));
                Box::pin(async move {
                    let (running, stdout) = program.start(&variables)?;
                    Ok(Peer::Program(Box::new(running), stdout))
                })
            }
        }
    }
}

/// What one client is wired to.
#[derive(Debug)]
pub(crate) enum Peer {
    Upstream(Socket),
    Program(Box<Running>, PipeReader),
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
            Peer::Program(running, stdout) => {
                running.poll_ended(cx);
                let program = Side {
                    from: &*stdout,
                    to: running.stdin(),
                };
                let relayed = relay.poll(cx, Side::of(client), program);
                if relay.there().is_over() {
                    running.close_stdin();
                }
                relayed
            }
        }
    }

    /// True if it has nothing to do once its client has gone. A program may have.
    pub(crate) fn ends_with_client(&self) -> bool {
        matches!(self, Peer::Upstream(_))
    }

    /// What the kernel has room for on the way to it; 0 if that is not known, as it is of a program.
    pub(crate) fn send_room(&self) -> usize {
        match self {
            Peer::Upstream(socket) => socket.send_room().unwrap_or(0),
            Peer::Program(..) => 0,
        }
    }

    /// Ends it once its client's connection has ended like that, which gives it the client's place. Ready
    /// when nothing of it is left.
    pub(crate) async fn end(self, client: Client, connection: &Result<(), Broken>) {
        match self {
            Peer::Upstream(socket) => {
                if connection.as_ref().is_err_and(Broken::cuts_client_off) {
                    let _ = socket.reset_on_close(); // it must not take this for the client's end
                }
            }
            Peer::Program(running, stdout) => {
                let (number, service) = (client.number(), Rc::clone(client.service()));
                let place = client.into_place();
                drop(stdout);
                let ended = running.end(&service, connection).await;
                service.tell_of_program(number, connection, &ended);
                drop(place);
            }
        }
    }
}
