//! What sockets and servers tell. Each event is a type, for [`Socket::on`] and [`Server::on`]:
//! `socket.once(event::Data, |(socket, bytes)| …)`.

use super::ends::Readable as Source;
use super::{Server, Socket};
use crate::error::Error as NodeError;
use crate::events::{HeardAs, Listener, event_types, throw};
use oneloop_net::Addr;
use std::fmt;
use std::rc::Rc;

/// An event of a [`Socket`].
pub trait SocketEvent: HeardAs<SocketListener> {}

/// An event of a [`Server`].
pub trait ServerEvent: HeardAs<ServerListener> {}

/// `Name: arguments` each, and for an error what it means that nobody hears of it.
macro_rules! events {
    ($of:ident, $inside:ident, $(#[$kept_doc:meta])* $kept:ident: $($(#[$doc:meta])* $name:ident: $args:ty $(, unheard $unheard:expr)?;)*) => {
        event_types! {
            $($(#[$doc])* $name: $args $(, unheard $unheard)?;)*
        }

        $(
            impl HeardAs<$kept> for $name {
                fn wrap(listener: Rc<Listener<Self>>) -> $kept {
                    $kept($inside::$name(listener))
                }

                fn unwrap(kept: &$kept) -> Option<&Rc<Listener<Self>>> {
                    match &kept.0 {
                        $inside::$name(listener) => Some(listener),
                        _ => None,
                    }
                }
            }
            impl $of for $name {}
        )*

        $(#[$kept_doc])*
        pub struct $kept($inside);

        enum $inside {
            $($name(Rc<Listener<$name>>)),*
        }

        impl fmt::Debug for $kept {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self.0 {
                    $($inside::$name(_) => stringify!($name)),*
                })
            }
        }
    };
}

events! { SocketEvent, KeptOfSocket,
    /// How a [`Socket`] keeps who listens.
    SocketListener:
    /// `'lookup'`: an address of the host's name, or why there is none; and the name.
    Lookup: (Socket, Result<Addr, NodeError>, &'a str);
    /// `'connectionAttempt'`: the address that is tried now.
    ConnectionAttempt: (Socket, &'a Addr);
    /// `'connectionAttemptFailed'`.
    ConnectionAttemptFailed: (Socket, &'a Addr, &'a NodeError);
    /// `'connectionAttemptTimeout'`: the next address is tried instead.
    ConnectionAttemptTimeout: (Socket, &'a Addr);
    /// `'connect'`.
    Connect: Socket;
    /// `'ready'`: just after 'connect'.
    Ready: Socket;
    /// `'data'`.
    Data: (Socket, &'a [u8]);
    /// `'readable'`: there is something to [`read`](Socket::read), or the end.
    Readable: Socket;
    /// `'end'`: the peer sends no more, and all it sent was read.
    End: Socket;
    /// `'prefinish'`.
    Prefinish: Socket;
    /// `'finish'`: all that was written is handed to the kernel, and so is the end.
    Finish: Socket;
    /// `'drain'`: what waits to be written is gone, and more is welcome.
    Drain: Socket;
    /// `'pause'`.
    Pause: Socket;
    /// `'resume'`.
    Resume: Socket;
    /// `'timeout'`: nothing happened for as long as was set.
    Timeout: Socket;
    /// `'pipe'`: all that the other reads is written to the socket from now on.
    Pipe: (Socket, Source);
    /// `'unpipe'`: it no longer is.
    Unpipe: (Socket, Source);
    /// `'error'`: 'close' comes next. Unheard, it is thrown.
    Error: (Socket, &'a NodeError), unheard |(_, error): (Socket, &NodeError)| throw(error);
    /// `'close'`: true if it was for an error.
    Close: (Socket, bool);
}

events! { ServerEvent, KeptOfServer,
    /// How a [`Server`] keeps who listens.
    ServerListener:
    /// `'listening'`.
    Listening: Server;
    /// `'connection'`.
    Connection: (Server, Socket);
    /// `'drop'`: a connection beyond `max_connections` was closed at once.
    Drop: (Server, Dropped);
    /// `'error'`: it does not listen. Unheard, it is thrown.
    ServerError: (Server, &'a NodeError), unheard |(_, error): (Server, &NodeError)| throw(error);
    /// `'close'`: it accepts no more, and its last connection is closed.
    ServerClose: Server;
}

/// Who was turned away: see [`Drop`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dropped {
    /// This end.
    pub local: Option<Addr>,
    /// The other end.
    pub remote: Option<Addr>,
}
