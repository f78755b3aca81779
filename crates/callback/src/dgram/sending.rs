//! The peer of a UDP socket, and sending: to the peer, or to any address.

use super::event;
use super::handle::{Packets, ThenSent};
use super::socket::{Progress, Socket, host_and_port};
use crate::continuation::{Then, then};
use crate::error::Error;
use crate::events::ListenerId;
use crate::net::Endpoint;
use crate::thrown::IntoResult;
use nix::errno::Errno;
use oneloop_core::{Direction, Source};
use oneloop_net::{Chunk, Datagram, UdpSocket};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

impl Socket {
    // Connecting.

    /// Sets the peer, and from then on receives only from it. 'connect' follows, or 'error'.
    ///
    /// # Errors
    /// `ERR_SOCKET_DGRAM_IS_CONNECTED`, `ERR_SOCKET_DGRAM_NOT_RUNNING`, `ERR_SOCKET_BAD_PORT`.
    pub fn connect(&self, endpoint: impl Into<Endpoint>) -> Result<(), Error> {
        self.begin_to_connect(endpoint, None)
    }

    /// Like [`Socket::connect`], and calls a function at 'connect' or with the error, which is then
    /// not emitted.
    ///
    /// # Errors
    /// As [`Socket::connect`].
    pub fn connect_then<O: IntoResult>(
        &self,
        endpoint: impl Into<Endpoint>,
        connected: impl FnOnce(Result<(), Error>) -> O + 'static,
    ) -> Result<(), Error> {
        self.begin_to_connect(endpoint, Some(then(connected)))
    }

    fn begin_to_connect(
        &self,
        endpoint: impl Into<Endpoint>,
        then: Option<Then>,
    ) -> Result<(), Error> {
        // Node checks the port first; the order decides which error a program sees.
        let (host, port) = host_and_port(endpoint)?;
        let port = remote_port(port)?;
        self.check_running()?;
        if self.inner.connected.get() != Progress::No {
            return Err(is_connected());
        }
        self.inner.connected.set(Progress::Begun);
        self.once_bound(Box::new(move |socket| {
            let then = then.map(|then| socket.call_at_connect(then));
            let default = (socket.kind().localhost(), port).into();
            socket.look_up(host, default, move |socket, found| {
                socket.finish_connect(found, then);
                Ok(())
            });
            Ok(())
        }))
    }

    fn call_at_connect(&self, then: Then) -> ConnectListener {
        // Shared with the listener: the first of 'connect' and the error takes it.
        let then = Rc::new(Cell::new(Some(then)));
        let inside = Rc::clone(&then);
        let listener = self.once(event::Connect, move |_: Socket| match inside.take() {
            Some(then) => then(Ok(())),
            None => Ok(()),
        });
        ConnectListener { listener, then }
    }

    fn finish_connect(&self, found: Result<SocketAddr, Error>, then: Option<ConnectListener>) {
        let Some(socket) = self.handle().and_then(|handle| handle.socket()) else {
            return; // closed meanwhile
        };
        let connected = found.and_then(|addr| {
            let connected = self.check_family(addr).and_then(|()| socket.connect(addr));
            connected.map_err(|error| Error::system_at("connect", error, &addr.into(), None))
        });
        match connected {
            Ok(()) => {
                // connect(2) of UDP only stores the peer; the tick is Node's.
                self.inner.connected.set(Progress::Done);
                self.next_call(|socket| socket.emit(event::Connect, socket.clone()).map(drop));
            }
            Err(error) => {
                self.inner.connected.set(Progress::No);
                self.next_call(move |socket| {
                    let Some(ConnectListener { listener, then }) = then else {
                        return socket.emit_error(&error);
                    };
                    socket.off(listener);
                    then.take().map_or(Ok(()), |then| then(Err(error)))
                });
            }
        }
    }

    /// Removes the peer.
    ///
    /// # Errors
    /// `ERR_SOCKET_DGRAM_NOT_CONNECTED`, `ERR_SOCKET_DGRAM_NOT_RUNNING`.
    pub fn disconnect(&self) -> Result<(), Error> {
        self.check_connected()?;
        self.with_socket("connect", UdpSocket::disconnect)?;
        self.inner.connected.set(Progress::No);
        Ok(())
    }

    /// The peer's address.
    ///
    /// # Errors
    /// `ERR_SOCKET_DGRAM_NOT_CONNECTED`, `ERR_SOCKET_DGRAM_NOT_RUNNING`.
    pub fn remote_address(&self) -> Result<SocketAddr, Error> {
        self.check_running()?;
        self.check_connected()?;
        self.with_socket("getpeername", UdpSocket::peer_addr)
    }

    fn check_connected(&self) -> Result<(), Error> {
        if self.inner.connected.get() != Progress::Done {
            let message = "Not connected";
            return Err(Error::new("ERR_SOCKET_DGRAM_NOT_CONNECTED", message));
        }
        Ok(())
    }

    // Sending.

    /// Sends a datagram to the peer of [`Socket::connect`]. The result is not reported; see
    /// [`Socket::send_then`].
    ///
    /// # Errors
    /// `ERR_SOCKET_BAD_PORT` when there is no peer; `ERR_SOCKET_DGRAM_NOT_RUNNING`.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        self.send_to_peer(bytes.as_ref(), None)
    }

    /// Like [`Socket::send`], and calls a function with the number of bytes sent, or with the
    /// error.
    ///
    /// # Errors
    /// As [`Socket::send`].
    pub fn send_then<O: IntoResult>(
        &self,
        bytes: impl AsRef<[u8]>,
        sent: impl FnOnce(Result<usize, Error>) -> O + 'static,
    ) -> Result<(), Error> {
        self.send_to_peer(bytes.as_ref(), Some(then(sent)))
    }

    /// Sends a datagram to a port of a host, or of this machine. It binds an unbound socket first.
    /// The result is not reported, except that a name without an address is an 'error'; see
    /// [`Socket::send_to_then`].
    ///
    /// # Errors
    /// `ERR_SOCKET_DGRAM_IS_CONNECTED`, `ERR_SOCKET_DGRAM_NOT_RUNNING`, `ERR_SOCKET_BAD_PORT`.
    pub fn send_to(
        &self,
        bytes: impl AsRef<[u8]>,
        endpoint: impl Into<Endpoint>,
    ) -> Result<(), Error> {
        self.send_to_endpoint(bytes.as_ref(), endpoint, None)
    }

    /// Like [`Socket::send_to`], and calls a function with the number of bytes sent, or with the
    /// error.
    ///
    /// # Errors
    /// As [`Socket::send_to`].
    pub fn send_to_then<O: IntoResult>(
        &self,
        bytes: impl AsRef<[u8]>,
        endpoint: impl Into<Endpoint>,
        sent: impl FnOnce(Result<usize, Error>) -> O + 'static,
    ) -> Result<(), Error> {
        self.send_to_endpoint(bytes.as_ref(), endpoint, Some(then(sent)))
    }

    fn send_to_peer(&self, bytes: &[u8], then: Option<Then<usize>>) -> Result<(), Error> {
        if self.inner.connected.get() != Progress::Done {
            // Without a peer, Node's `send` treats the missing port as an invalid one.
            let message = "Port should be > 0 and < 65536. Received undefined.";
            return Err(Error::new("ERR_SOCKET_BAD_PORT", message));
        }
        self.check_running()?;
        self.send_now(None, bytes.to_owned(), then);
        Ok(())
    }

    fn send_to_endpoint(
        &self,
        bytes: &[u8],
        endpoint: impl Into<Endpoint>,
        then: Option<Then<usize>>,
    ) -> Result<(), Error> {
        // Node checks this before the arguments.
        if self.inner.connected.get() == Progress::Done {
            return Err(is_connected());
        }
        let (host, port) = host_and_port(endpoint)?;
        let port = remote_port(port)?;
        self.check_running()?;
        // A copy, as the bytes wait for a lookup and perhaps for room in the kernel.
        let bytes = bytes.to_owned();
        self.once_bound(Box::new(move |socket| {
            let default = (socket.kind().localhost(), port).into();
            socket.look_up(host, default, move |socket, found| {
                match (found, then) {
                    (Ok(addr), then) => socket.send_now(Some(addr), bytes, then),
                    (Err(error), Some(then)) => socket.next_call(|_| then(Err(error))),
                    (Err(error), None) => {
                        socket.next_call(move |socket| socket.emit_error(&error));
                    }
                }
                Ok(())
            });
            Ok(())
        }))
    }

    fn send_now(&self, to: Option<SocketAddr>, bytes: Vec<u8>, then: Option<Then<usize>>) {
        let Some(handle) = self.handle() else {
            return; // closed meanwhile
        };
        let with_nodes_error = |then: Then<usize>| -> ThenSent {
            Box::new(move |result| {
                then(result.map_err(|error| match to {
                    Some(to) => Error::system_at("send", error, &to.into(), None),
                    None => Error::system("send", error),
                }))
            })
        };
        let then = then.map(with_nodes_error);
        // Without a callback, an error is ignored: a lost datagram looks the same to the program.
        match to.map_or(Ok(()), |to| self.check_recipient(to)) {
            Ok(()) => handle.send(OutgoingDatagram { to, bytes }, then),
            Err(error) => {
                if let Some(then) = then {
                    self.next_call(|_| then(Err(error)));
                }
            }
        }
    }

    /// Refuses an address once there is a peer, as libuv does. Linux itself would send to it
    /// (udp(7)).
    fn check_recipient(&self, addr: SocketAddr) -> io::Result<()> {
        if self.inner.connected.get() == Progress::Done {
            return Err(Errno::EISCONN.into());
        }
        self.check_family(addr)
    }

    /// The number of bytes that wait to be sent: `getSendQueueSize`.
    pub fn send_queue_size(&self) -> usize {
        self.handle().map_or(0, |handle| handle.queue_size().1)
    }

    /// The number of datagrams that wait to be sent: `getSendQueueCount`.
    pub fn send_queue_count(&self) -> usize {
        self.handle().map_or(0, |handle| handle.queue_size().0)
    }
}

/// A function that is called at 'connect', or with the error instead.
struct ConnectListener {
    listener: ListenerId,
    then: Rc<Cell<Option<Then>>>,
}

fn is_connected() -> Error {
    Error::new("ERR_SOCKET_DGRAM_IS_CONNECTED", "Already connected")
}

/// Checks a port to send to, which cannot be 0.
fn remote_port(port: i64) -> Result<u16, Error> {
    u16::try_from(port)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| {
            let message = format!("Port should be > 0 and < 65536. Received type number ({port}).");
            Error::new("ERR_SOCKET_BAD_PORT", message)
        })
}

/// A datagram to be sent: to an address, or to the peer.
pub(super) struct OutgoingDatagram {
    to: Option<SocketAddr>,
    bytes: Vec<u8>,
}

impl Packets for UdpSocket {
    type Message = (Chunk, SocketAddr);
    type Outgoing = OutgoingDatagram;

    fn source(&self) -> &Source {
        self.source()
    }

    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Self::Message>>> {
        ready!(self.source().poll_ready(cx, Direction::Read))?; // no buffer while it waits
        let received = Chunk::poll_fill(|space| {
            let received = self.poll_recv_from(cx, space);
            received.map_ok(|(Datagram { bytes, .. }, from)| (bytes, from))
        });
        received.map_ok(Some)
    }

    async fn send(&self, outgoing: &OutgoingDatagram) -> io::Result<usize> {
        let OutgoingDatagram { to, bytes } = outgoing;
        let send = |cx: &mut Context<'_>| match to {
            Some(to) => self.poll_send_to(cx, bytes, *to),
            None => self.poll_send(cx, bytes),
        };
        self.source().io(Direction::Write, send).await?;
        Ok(bytes.len())
    }

    fn byte_count(outgoing: &OutgoingDatagram) -> usize {
        outgoing.bytes.len()
    }
}
