//! The events of sockets of messages. Each is a type, for [`Socket::on`] and [`UnixSocket::on`].

use super::{Message as UnixMessage, RemoteInfo, Socket, UnixSocket};
use crate::events::Event;
use crate::tables::emitter;

/// An event of a [`Socket`].
pub trait SocketEvent: Event {}

/// An event of a [`UnixSocket`].
pub trait UnixEvent: Event {}

emitter! { Socket emits SocketEvent {
    /// `'listening'`: the socket is bound, and receives.
    Listening(socket: Socket) => on_listening;
    /// `'message'`: a datagram, and its sender.
    Message(socket: Socket, bytes: &'a [u8], from: RemoteInfo) => on_message;
    /// `'connect'`: the socket has a peer.
    Connect(socket: Socket) => on_connect;
    /// `'error'`. Without a listener, the error is thrown.
    Error(socket: Socket, error: &'a crate::Error) => on_error, else throws error;
    /// `'close'`: the socket receives no more.
    Close(socket: Socket) => on_close;
} }

emitter! { UnixSocket emits UnixEvent {
    /// `'message'`: a message, and its fds.
    MessageReceived(socket: UnixSocket, message: &'a UnixMessage) => on_message;
    /// `'end'` of a connection: the peer sends no more.
    End(socket: UnixSocket) => on_end;
    /// `'error'`. Without a listener, the error is thrown.
    UnixError(socket: UnixSocket, error: &'a crate::Error) => on_error, else throws error;
    /// `'close'`: the socket is closed.
    UnixClose(socket: UnixSocket) => on_close;
} }
