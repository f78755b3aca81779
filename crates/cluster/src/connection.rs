//! A connection that a cluster has placed on this loop.

use crate::loop_state::ConnectionCount;
use oneloop_net::{Addr, ByteStream, Socket};
use std::ops::Deref;

/// A connection that a cluster has placed on this loop, and which counts there until it is dropped.
///
/// It dereferences to [`Socket`], which has the reads and writes of the async style. For another
/// style, [`Connection::into_parts`] takes it apart.
#[derive(Debug)]
pub struct Connection {
    // In this order: the socket is closed when the count ends.
    socket: Socket,
    peer: Addr,
    count: ConnectionCount,
}

impl Connection {
    pub(crate) fn new(socket: Socket, peer: Addr, count: ConnectionCount) -> Self {
        Connection {
            socket,
            peer,
            count,
        }
    }

    /// The address of the peer, as `accept(2)` returned it.
    pub fn peer(&self) -> &Addr {
        &self.peer
    }

    /// The socket, the address of the peer, and what counts the connection: drop that when the
    /// connection ends.
    ///
    /// A callback socket is `callback::net::Socket::from_connected(socket, options)`. The green
    /// style needs no parts: `green::net::Stream::from(connection)`.
    pub fn into_parts(self) -> (Socket, Addr, ConnectionCount) {
        (self.socket, self.peer, self.count)
    }
}

impl Deref for Connection {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl ByteStream for Connection {
    fn socket(&self) -> &Socket {
        &self.socket
    }
}
