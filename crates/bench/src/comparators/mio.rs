//! The mio comparator: one thread, a slab of connections, readiness by hand.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

const BUFFER_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 1024;
const LISTENER: Token = Token(usize::MAX);
/// How long a listener that ran out of descriptors pauses. Registered edge-triggered, it would get
/// no event when a descriptor is free.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Echoes on `address` until the process ends.
pub(crate) fn serve(address: SocketAddr) -> io::Result<Infallible> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut listener = TcpListener::bind(address)?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let mut server = Server {
        listener,
        connections: Slab::new(),
        buffer: vec![0; BUFFER_BYTES],
        rests: false,
    };
    loop {
        match poll.poll(&mut events, server.rests.then_some(ACCEPT_REST)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        if server.rests {
            server.accept_all(poll.registry());
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept_all(poll.registry()),
                Token(key) => server.on_event(key, event),
            }
        }
    }
}

struct Server {
    listener: TcpListener,
    connections: Slab<Connection>,
    /// Shared: a connection owns bytes only while its peer does not read.
    buffer: Vec<u8>,
    /// The last accept failed, and is tried again after a rest.
    rests: bool,
}

impl Server {
    fn accept_all(&mut self, registry: &Registry) {
        self.rests = false;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => drop(self.add(stream, registry)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    self.rests = true;
                    return;
                }
            }
        }
    }

    fn add(&mut self, mut stream: TcpStream, registry: &Registry) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let entry = self.connections.vacant_entry();
        // WRITABLE from the start costs nothing on TCP: an edge comes only after a full buffer.
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(entry.key()), interest)?;
        entry.insert(Connection {
            stream,
            leftover: Vec::new(),
            peer_finished: false,
        });
        Ok(())
    }

    fn on_event(&mut self, key: usize, event: &Event) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.peer_finished |= event.is_read_closed() || event.is_error();
        if !matches!(connection.advance(&mut self.buffer), Ok(ConnectionEnd::Yes)) {
            self.connections.remove(key);
        }
    }
}

enum ConnectionEnd {
    Yes,
    No,
}

struct Connection {
    stream: TcpStream,
    /// Echo bytes that the socket did not take yet.
    leftover: Vec<u8>,
    /// Sticky: after the peer's FIN a short read promises no further edge.
    peer_finished: bool,
}

impl Connection {
    /// Sends what is owed, then echoes until the socket is empty or full.
    fn advance(&mut self, buffer: &mut [u8]) -> io::Result<ConnectionEnd> {
        if !self.leftover.is_empty() {
            let sent = send_some(&mut self.stream, &self.leftover)?;
            self.leftover.drain(..sent);
            if self.leftover.is_empty() {
                self.leftover = Vec::new();
            }
        }
        while self.leftover.is_empty() {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Ok(ConnectionEnd::No),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let sent = send_some(&mut self.stream, &buffer[..count])?;
            self.leftover.extend_from_slice(&buffer[sent..count]);
            if count < buffer.len() && !self.peer_finished {
                break;
            }
        }
        Ok(ConnectionEnd::Yes)
    }
}

/// Sends as much as the socket takes.
fn send_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
