//! What sockets of messages tell. Each event is a type, for [`Socket::on`] and [`UnixSocket::on`].

use super::{Message as UnixMessage, RemoteInfo, Socket, UnixSocket};
use crate::error::Error as NodeError;
use crate::events::{Event, event_types, throw};

/// An event of a [`Socket`].
pub trait SocketEvent: Event {}

/// An event of a [`UnixSocket`].
pub trait UnixEvent: Event {}

/// As [`event_types`], all of one emitter.
macro_rules! events {
    ($of:ident: $($(#[$doc:meta])* $name:ident: $args:ty $(, unheard $unheard:expr)?;)*) => {
        event_types! {
            $($(#[$doc])* $name: $args $(, unheard $unheard)?;)*
        }
        $(impl $of for $name {})*
    };
}

events! { SocketEvent:
    /// `'listening'`: it is bound, and receives.
    Listening: Socket;
    /// `'message'`: a datagram, and who sent it.
    Message: (Socket, &'a [u8], RemoteInfo);
    /// `'connect'`: it has a peer.
    Connect: Socket;
    /// `'error'`. Unheard, it is thrown.
    Error: (Socket, &'a NodeError), unheard |(_, error)| throw(error);
    /// `'close'`: nothing comes any more.
    Close: Socket;
}

events! { UnixEvent:
    /// A message, with its fds.
    MessageReceived: (UnixSocket, &'a UnixMessage);
    /// The peer sends no more: of connections only.
    End: UnixSocket;
    /// What went wrong. Unheard, it is thrown.
    UnixError: (UnixSocket, &'a NodeError), unheard |(_, error)| throw(error);
    /// It is closed.
    UnixClose: UnixSocket;
}
