//! Which style serves a client: the only file that knows all of them.

use crate::access::Access;
use crate::client::Client;
use crate::client_notes::ClientNote;
use crate::connection::Connection;
use crate::conversation::{Accepted, Conversation};
use crate::handshake;
use crate::mode::Mode;
use crate::options::service::Style;
use crate::peer::Peers;
use crate::relayed::Relayed;
use crate::server::Server;
use crate::service::Service;
use crate::task::{Relay, Serve};
use crate::work::Work;
use crate::{callbacks, green, piped};
use oneloop::Handle;
use oneloop::callback::Entered;
use oneloop::net::{Addr, Socket};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tracing::debug;

/// Makes what the styles of the services need available to code on this loop, until it is dropped.
pub(crate) fn enter(server: &Server, handle: &Handle) -> Option<Entered> {
    let mut styles = server.services.iter().map(|service| service.style);
    styles
        .any(|style| style == Style::Callback)
        .then(|| callbacks::enter(handle))
}

/// Serves the connections of one service that one loop accepts.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) service: Rc<Service>,
    /// Replaced by a reload.
    work: RefCell<Work>,
}

impl Dispatcher {
    pub(crate) fn new(service: &Rc<Service>, work: Work) -> Self {
        Dispatcher {
            service: Rc::clone(service),
            work: RefCell::new(work),
        }
    }

    /// The task that the style of the service needs beside its clients.
    pub(crate) fn background(&self) -> Option<impl Future<Output = ()> + 'static> {
        let needs_one = self.service.shared.style == Style::Callback;
        needs_one.then(|| callbacks::shed(Rc::clone(&self.service)))
    }

    /// Serves further clients with this work.
    pub(crate) fn set_work(&self, work: Work) {
        let before = self.work.replace(work);
        drop(before);
    }

    /// Serves a connection whose permit is taken.
    ///
    /// # Errors
    /// There is no stack for a green thread, which is logged; the connection is closed.
    pub(crate) fn serve(self: &Rc<Self>, socket: Socket, peer: Addr) -> io::Result<()> {
        let number = self.service.server.count_accepted();
        debug!(number, %peer, "connected");
        let accepted = Accepted {
            conversation: Conversation::new(&self.service, number),
            socket,
        };
        match self.service.access() {
            None => self.start(accepted, peer),
            Some(access) if access.expects_header(&peer) => {
                self.shake_hands(accepted, peer, access);
                Ok(())
            }
            Some(access) => match access.open(&peer) {
                Ok(slot) => {
                    let note = ClientNote {
                        introduction: None,
                        slot,
                    };
                    self.service.client_notes.add(number, note);
                    self.start(accepted, peer)
                }
                Err(reason) => {
                    self.service.refuse(reason, peer);
                    Ok(())
                }
            },
        }
    }

    /// Does what a connection needs before its service starts, and starts it.
    fn shake_hands(self: &Rc<Self>, accepted: Accepted, peer: Addr, access: Arc<Access>) {
        let dispatcher = Rc::clone(self);
        self.service.handle.spawn_detached(async move {
            let service = &dispatcher.service;
            let completed = handshake::complete(accepted, &peer, &access).await;
            let Some((accepted, note)) = completed else {
                return;
            };
            let introduced = note.introduction.as_ref();
            let client = introduced.map_or_else(|| peer.clone(), |client| client.from.clone());
            let number = accepted.conversation.number();
            service.client_notes.add(number, note);
            if let Err(error) = dispatcher.start(accepted, client) {
                service.refuse_without_stack(peer, error);
            }
        });
    }

    /// Starts the service of a connection of this client.
    ///
    /// # Errors
    /// As [`Dispatcher::serve`].
    fn start(&self, mut accepted: Accepted, client: Addr) -> io::Result<()> {
        accepted.conversation.begin(client);
        let work = self.work.borrow().clone();
        match &work {
            // Made when the client is accepted: a member of a chat receives what is said from
            // then on.
            Work::Talk(mode) => self.talk(accepted, mode(&self.service.shared.room)),
            Work::Relay(peers) => self.relay(accepted, peers),
        }
    }

    /// Serves a client that the server itself talks to.
    fn talk(&self, accepted: Accepted, mode: Mode) -> io::Result<()> {
        let connection = |accepted, mode| Connection::new(Client::new(accepted), mode);
        match self.service.shared.style {
            Style::Async => {
                let serve = Serve(connection(accepted, mode));
                self.service.handle.spawn_detached(serve);
            }
            Style::Callback => callbacks::serve(accepted, mode),
            Style::Green => green::spawn(connection(accepted, mode))?,
        }
        Ok(())
    }

    /// Serves a client that is connected to a peer.
    fn relay(&self, accepted: Accepted, peers: &Peers) -> io::Result<()> {
        let relayed = |accepted| Relayed::new(Client::new(accepted), peers);
        match (self.service.shared.style, peers) {
            (Style::Callback, Peers::Upstream(upstream)) => {
                piped::serve(accepted, Arc::clone(upstream));
            }
            // The callback style pipes sockets, and a program's pipes are none. A program must not
            // find a difference between the styles anyway.
            (Style::Async, _) | (Style::Callback, Peers::Program(_)) => {
                let relay = Relay::Passing(relayed(accepted));
                self.service.handle.spawn_detached(relay);
            }
            (Style::Green, _) => green::spawn_relay(relayed(accepted))?,
        }
        Ok(())
    }
}
