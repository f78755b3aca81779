//! What the server does for each client, by the command line.

use crate::chat::Room;
use crate::mode::Mode;
use crate::options::{ModeName, Options};
use crate::peer::Peers;
use crate::program::Program;
use crate::upstream::Upstream;
use std::sync::Arc;

/// What the server does for each client.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// The server itself talks: the function makes the mode of one client.
    Talk(fn(&Arc<Room>) -> Mode),
    /// The client is connected to a peer.
    Relay(Peers),
}

impl Work {
    /// # Errors
    /// A sentence that says what is wrong with the command line.
    pub(crate) fn of(options: &Options) -> Result<Self, String> {
        Ok(match options.service.mode {
            ModeName::Echo => Work::Talk(|_| Mode::Echo),
            ModeName::Discard => Work::Talk(|_| Mode::Discard),
            ModeName::Chargen => Work::Talk(|_| Mode::Chargen(0)),
            ModeName::Daytime => Work::Talk(|_| Mode::Daytime),
            // Boxed: a member is larger than the other modes, and an echo client should not pay
            // for it.
            ModeName::Chat => Work::Talk(|room| Mode::Chat(Box::new(room.join()))),
            ModeName::Proxy => Work::Relay(Peers::Upstream(Upstream::of(options)?.into())),
            ModeName::Exec => Work::Relay(Peers::Program(Program::of(options)?.into())),
        })
    }

    /// True if each client has a peer: an upstream, or a program, which could outlive the server.
    pub(crate) fn relays(&self) -> bool {
        matches!(self, Work::Relay(_))
    }
}
