//! The events of sockets and servers. Each is a type, for [`Socket::on`] and [`Server::on`]:
//! `socket.once(event::Data, |(socket, bytes)| …)`.

use super::{Server, Socket};
use crate::events::KeptAs;
use crate::stream::Readable as Source;
use crate::tables::emitter;
use oneloop_net::Addr;

/// An event of a [`Socket`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event of this socket",
    label = "for 'data', write `on_data(…)`, or `on(event::Data, …)`",
    note = "an event is a type, in `oneloop::callback::net::event`"
)]
pub trait SocketEvent: KeptAs<SocketListener> {}

/// An event of a [`Server`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event of this server",
    label = "for 'connection', write `on_connection(…)`, or `on(event::Connection, …)`",
    note = "an event is a type, in `oneloop::callback::net::event`"
)]
pub trait ServerEvent: KeptAs<ServerListener> {}

emitter! { Socket emits SocketEvent kept as SocketListener in KeptOfSocket {
    /// `'lookup'`: the result of looking up the host's name: an address, or an error; and the name.
    Lookup(socket: Socket, found: Result<Addr, crate::Error>, host: &'a str);
    /// `'connectionAttempt'`: the socket tries this address now.
    ConnectionAttempt(socket: Socket, addr: &'a Addr);
    /// `'connectionAttemptFailed'`: this address refused the connection.
    ConnectionAttemptFailed(socket: Socket, addr: &'a Addr, error: &'a crate::Error);
    /// `'connectionAttemptTimeout'`: this address did not answer in time; the next one is tried.
    ConnectionAttemptTimeout(socket: Socket, addr: &'a Addr);
    /// `'connect'`: the connection is established.
    Connect(socket: Socket) => on_connect;
    /// `'ready'`, which follows 'connect'.
    Ready(socket: Socket) => on_ready;
    /// `'data'`: the next bytes of the stream. With a listener the stream flows from the next tick,
    /// unless it was paused.
    Data(socket: Socket, bytes: &'a [u8]) => on_data;
    /// `'readable'`: there is something to [`read`](Socket::read), or the end. With a listener the
    /// stream does not flow.
    Readable(socket: Socket) => on_readable;
    /// `'end'`: the peer sends no more, and all it sent was read.
    End(socket: Socket) => on_end;
    /// `'prefinish'`: the socket was ended, and all that was written is handed to the kernel.
    Prefinish(socket: Socket);
    /// `'finish'`: all that was written is handed to the kernel, and so is the end.
    Finish(socket: Socket) => on_finish;
    /// `'drain'`: the write queue is empty again, after a write that returned false.
    Drain(socket: Socket) => on_drain;
    /// `'pause'`: the stream stops flowing.
    Pause(socket: Socket);
    /// `'resume'`: the stream begins to flow.
    Resume(socket: Socket);
    /// `'timeout'`: no I/O for as long as [`Socket::set_timeout`] allows.
    Timeout(socket: Socket) => on_timeout;
    /// `'pipe'`: a source is piped into the socket from now on.
    Pipe(socket: Socket, source: Source);
    /// `'unpipe'`: a source is no longer piped into the socket.
    Unpipe(socket: Socket, source: Source);
    /// `'error'`: 'close' follows. Without a listener, the error is thrown.
    Error(socket: Socket, error: &'a crate::Error) => on_error, else throws error;
    /// `'close'`: the socket is closed; true if it was closed for an error.
    Close(socket: Socket, had_error: bool) => on_close;
} }

// `ServerError` and `ServerClose`, because `Error` and `Close` of this module are the socket's.
emitter! { Server emits ServerEvent kept as ServerListener in KeptOfServer {
    /// `'listening'`: the server accepts connections.
    Listening(server: Server) => on_listening;
    /// `'connection'`: a client has connected.
    Connection(server: Server, socket: Socket);
    /// `'drop'`: a connection beyond [`Server::set_max_connections`] was closed at once.
    Drop(server: Server, dropped: Dropped) => on_drop;
    /// `'error'`: the server does not listen, or no longer. Without a listener, the error is
    /// thrown. A single connection that cannot be accepted is no error: see [`Listener`].
    ///
    /// [`Listener`]: oneloop_net::Listener
    ServerError(server: Server, error: &'a crate::Error) => on_error, else throws error;
    /// `'close'`: the server accepts no more, and its last connection is closed.
    ServerClose(server: Server) => on_close;
} }

/// A connection that was closed at once: see [`Drop`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dropped {
    /// This end.
    pub local: Option<Addr>,
    /// The client's end.
    pub remote: Option<Addr>,
}
