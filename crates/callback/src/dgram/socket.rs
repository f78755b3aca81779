//! A UDP socket as Node has it: `dgram.Socket`.

use super::event::{self, SocketEvent};
use super::handle::{Handle, Owner, Packets, Sent};
use super::options::{Kind, RemoteInfo, SocketOptions};
use crate::abort::AbortSignal;
use crate::continuation::{Then, then};
use crate::error::Error;
use crate::events::{Emitter, ListenerId};
use crate::net::Endpoint;
use crate::runtime::{Runtime, current};
use crate::tables::{listening, references};
use crate::thrown::{Outcome, Thrown};
use nix::errno::Errno;
use oneloop_core::{Direction, Source};
use oneloop_net::{Chunk, Datagram, Interface, UdpOptions, UdpSocket, literal_addr, resolve};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    No,
    Binding,
    Yes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Connected {
    No,
    Connecting,
    Yes,
}

/// What waits for a socket to be bound.
type Step = Box<dyn FnOnce(&Socket) -> Result<(), Error>>;

struct Inner {
    runtime: Rc<Runtime>,
    options: SocketOptions,
    events: Emitter,
    handle: RefCell<Option<Rc<Handle<Socket>>>>,
    bound: Cell<Bound>,
    connected: Cell<Connected>,
    is_closed: Cell<bool>,
    is_unreferenced: Cell<bool>,
    /// Steps that wait for 'listening', and who hears of it for them.
    queue: RefCell<Option<(ListenerId, Vec<Step>)>>,
}

/// A UDP socket in Node's words: see [`create_socket`]. Clones are the same socket, and every
/// handler is given one.
///
/// While it is bound it lives by itself; a handler that holds a clone of its own socket in its
/// captures, rather than using the one it is given, keeps it in memory for ever.
#[derive(Clone)]
pub struct Socket {
    inner: Rc<Inner>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Ok(addr) => write!(f, "Socket({addr})"),
            Err(_) => f.write_str("Socket(not bound)"),
        }
    }
}

/// Makes a socket: `dgram.createSocket`. It receives once it is bound.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn create_socket(options: impl Into<SocketOptions>) -> Socket {
    let options = options.into();
    let signal = options.signal.clone();
    let socket = Socket {
        inner: Rc::new(Inner {
            runtime: current(),
            options,
            events: Emitter::new(),
            handle: RefCell::default(),
            bound: Cell::new(Bound::No),
            connected: Cell::new(Connected::No),
            is_closed: Cell::new(false),
            is_unreferenced: Cell::new(false),
            queue: RefCell::default(),
        }),
    };
    if let Some(signal) = signal {
        socket.close_on_abort(&signal);
    }
    socket
}

listening!(Socket, SocketEvent);
references!(Socket, "the socket is open");

impl Socket {
    fn kind(&self) -> Kind {
        self.inner.options.kind
    }

    fn handle(&self) -> Option<Rc<Handle<Socket>>> {
        self.inner.handle.borrow().clone()
    }

    fn close_on_abort(&self, signal: &AbortSignal) {
        let weak = Rc::downgrade(&self.inner);
        let close = move || {
            // It may be closed by now.
            if let Some(inner) = weak.upgrade() {
                let _ = Socket { inner }.close();
            }
        };
        if let Some(listening) = signal.call_when_aborted(close) {
            let signal = signal.clone();
            let events = &self.inner.events;
            events.once(event::Close, move |_: Socket| signal.off(listening));
        }
    }

    // Binding.

    /// Takes a port of all addresses, or of one host; port 0 lets the kernel choose. 'listening'
    /// tells when it is done, and 'error' if it fails.
    ///
    /// # Errors
    /// `ERR_SOCKET_ALREADY_BOUND`, `ERR_SOCKET_DGRAM_NOT_RUNNING`, `ERR_SOCKET_BAD_PORT`.
    pub fn bind(&self, endpoint: impl Into<Endpoint>) -> Result<Socket, Error> {
        self.check_running()?;
        let (host, port) = host_and_port(endpoint)?;
        let port = Endpoint::checked_port(port, "Port")?;
        if self.inner.bound.get() != Bound::No {
            let message = "Socket is already bound";
            return Err(Error::new("ERR_SOCKET_ALREADY_BOUND", message));
        }
        self.inner.bound.set(Bound::Binding);
        let all = self.kind().unspecified();
        self.look_up(host, (all, port).into(), move |socket, found| {
            if socket.inner.is_closed.get() {
                return Ok(());
            }
            match found {
                Ok(addr) => socket.bind_to(addr),
                Err(error) => socket.fail_to_bind(&error),
            }
        });
        Ok(self.clone())
    }

    /// Like [`Socket::bind`], and calls a function at 'listening'. As in Node, an error of binding
    /// is heard then, by a listener that forgets the function.
    ///
    /// # Errors
    /// As [`Socket::bind`].
    pub fn bind_then<O: Outcome>(
        &self,
        endpoint: impl Into<Endpoint>,
        listening: impl FnOnce(Socket) -> O + 'static,
    ) -> Result<Socket, Error> {
        let bound = self.bind(endpoint)?;
        let listeners = Rc::new(Cell::new(None));
        let forget = {
            let listeners = Rc::clone(&listeners);
            move |socket: &Socket| {
                if let Some((on_error, on_listening)) = listeners.take() {
                    socket.off(on_error);
                    socket.off(on_listening);
                }
            }
        };
        let forget_at_error = forget.clone();
        let on_error = self.on(event::Error, move |(socket, _): (Socket, &Error)| {
            forget_at_error(&socket)
        });
        let on_listening = self.once(event::Listening, move |socket: Socket| {
            forget(&socket);
            listening(socket)
        });
        listeners.set(Some((on_error, on_listening)));
        Ok(bound)
    }

    fn bind_to(&self, addr: SocketAddr) -> Result<(), Thrown> {
        let options = &self.inner.options;
        let udp_options = UdpOptions {
            reuse_addr: options.reuse_addr,
            v6_only: options.ipv6_only.then_some(true),
            recv_buffer_bytes: options.recv_buffer_size,
            send_buffer_bytes: options.send_buffer_size,
            ..UdpOptions::default()
        };
        let runtime = &self.inner.runtime;
        let socket = if self.kind().takes(addr.ip()) {
            (runtime.handle).enter(|| UdpSocket::bind_with(addr, udp_options))
        } else {
            Err(Errno::EINVAL.into())
        };
        match socket {
            Ok(socket) => {
                let is_referenced = !self.inner.is_unreferenced.get();
                let handle = Handle::start(runtime, self.clone(), socket, is_referenced);
                self.inner.handle.replace(Some(handle));
                self.inner.bound.set(Bound::Yes);
                self.emit(event::Listening, self.clone()).map(drop)
            }
            Err(error) => self.fail_to_bind(&Error::system_at("bind", error, &addr.into(), None)),
        }
    }

    fn fail_to_bind(&self, error: &Error) -> Result<(), Thrown> {
        self.inner.bound.set(Bound::No);
        self.emit_error(error)
    }

    /// From a host to its address, in a later tick: the default without one, and with its port.
    fn look_up(
        &self,
        host: Host,
        default: SocketAddr,
        then: impl FnOnce(&Socket, Result<SocketAddr, Error>) -> Result<(), Thrown> + 'static,
    ) {
        let port = default.port();
        let host = match host {
            Host::Default => return self.next_call(move |socket| then(socket, Ok(default))),
            Host::Addr(addr) => return self.next_call(move |socket| then(socket, Ok(addr))),
            Host::Name(host) => host,
        };
        if let Ok(Some(addr)) = literal_addr(&host, port) {
            return self.next_call(move |socket| then(socket, Ok(addr)));
        }
        let socket = self.clone();
        self.inner.runtime.handle.spawn_detached(async move {
            let found = resolve(&host, port).await;
            let kind = socket.kind();
            let first =
                |addrs: Vec<SocketAddr>| addrs.into_iter().find(|addr| kind.takes(addr.ip()));
            let none = || io::Error::other("the host has no address of that family");
            let found = found.and_then(|addrs| first(addrs).ok_or_else(none));
            let found = found.map_err(|error| Error::not_found(&host, error));
            let runtime = Rc::clone(&socket.inner.runtime);
            runtime.make_callback(|| then(&socket, found));
        });
    }

    /// Has a step done once it is bound; it begins to be, if it has not.
    fn once_bound(&self, step: Step) -> Result<(), Error> {
        if self.inner.bound.get() == Bound::No {
            self.bind(0)?;
        }
        if self.inner.bound.get() == Bound::Yes {
            return step(self);
        }
        let mut queue = self.inner.queue.borrow_mut();
        let (_, steps) = queue.get_or_insert_with(|| {
            let flush = |socket: Socket| socket.flush_queue();
            (self.inner.events.once(event::Listening, flush), Vec::new())
        });
        steps.push(step);
        Ok(())
    }

    fn flush_queue(&self) -> Result<(), Thrown> {
        let queue = self.inner.queue.take();
        let steps = queue.map(|(_, steps)| steps).unwrap_or_default();
        for step in steps {
            self.check_running()?; // one of them may have closed it
            step(self)?;
        }
        Ok(())
    }

    // Connecting.

    /// Names the only peer, whose datagrams alone are received from then on: 'connect' tells when
    /// it is done, and 'error' if it fails.
    ///
    /// # Errors
    /// `ERR_SOCKET_DGRAM_IS_CONNECTED`, `ERR_SOCKET_DGRAM_NOT_RUNNING`, `ERR_SOCKET_BAD_PORT`.
    pub fn connect(&self, endpoint: impl Into<Endpoint>) -> Result<(), Error> {
        self.begin_to_connect(endpoint, None)
    }

    /// Like [`Socket::connect`], and calls a function at 'connect', or with the error, which is not
    /// told otherwise then.
    ///
    /// # Errors
    /// As [`Socket::connect`].
    pub fn connect_then<O: Outcome>(
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
        let (host, port) = host_and_port(endpoint)?;
        let port = remote_port(port)?;
        self.check_running()?;
        if self.inner.connected.get() != Connected::No {
            return Err(is_connected());
        }
        self.inner.connected.set(Connected::Connecting);
        self.once_bound(Box::new(move |socket| {
            let then = then.map(|then| socket.call_at_connect(then));
            let localhost = socket.kind().localhost();
            let default = (localhost, port).into();
            socket.look_up(host, default, move |socket, found| {
                socket.do_connect(found, then);
                Ok(())
            });
            Ok(())
        }))
    }

    fn call_at_connect(&self, then: Then) -> AtConnect {
        let then = Rc::new(Cell::new(Some(then)));
        let inside = Rc::clone(&then);
        let listener = self.once(event::Connect, move |_: Socket| match inside.take() {
            Some(then) => then(Ok(())),
            None => Ok(()),
        });
        AtConnect { listener, then }
    }

    fn do_connect(&self, found: Result<SocketAddr, Error>, then: Option<AtConnect>) {
        let Some(socket) = self.handle().and_then(|handle| handle.socket()) else {
            return;
        };
        let connected = found.and_then(|addr| {
            let connected = self.check_family(addr).and_then(|()| socket.connect(addr));
            connected.map_err(|error| Error::system_at("connect", error, &addr.into(), None))
        });
        match connected {
            Ok(()) => {
                self.inner.connected.set(Connected::Yes);
                self.next_call(|socket| socket.emit(event::Connect, socket.clone()).map(drop));
            }
            Err(error) => {
                self.inner.connected.set(Connected::No);
                self.next_call(move |socket| {
                    let Some(AtConnect { listener, then }) = then else {
                        return socket.emit_error(&error);
                    };
                    socket.off(listener);
                    then.take().map_or(Ok(()), |then| then(Err(error)))
                });
            }
        }
    }

    /// Takes the peer back.
    ///
    /// # Errors
    /// `ERR_SOCKET_DGRAM_NOT_CONNECTED`, `ERR_SOCKET_DGRAM_NOT_RUNNING`.
    pub fn disconnect(&self) -> Result<(), Error> {
        self.check_connected()?;
        self.with_socket("connect", UdpSocket::disconnect)?;
        self.inner.connected.set(Connected::No);
        Ok(())
    }

    // Sending.

    /// Sends a datagram to the peer that [`Socket::connect`] named. Nobody hears whether it went.
    ///
    /// # Errors
    /// `ERR_SOCKET_BAD_PORT` when there is no peer; `ERR_SOCKET_DGRAM_NOT_RUNNING`.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        self.send_to_peer(bytes.as_ref(), None)
    }

    /// Like [`Socket::send`], and calls a function with how many bytes went, or why they did not.
    ///
    /// # Errors
    /// As [`Socket::send`].
    pub fn send_then<O: Outcome>(
        &self,
        bytes: impl AsRef<[u8]>,
        sent: impl FnOnce(Result<usize, Error>) -> O + 'static,
    ) -> Result<(), Error> {
        self.send_to_peer(bytes.as_ref(), Some(then(sent)))
    }

    /// Sends a datagram to a port of a host, or of this machine. A socket that is not bound is
    /// bound first. Nobody hears whether it went; a name without an address is told by 'error'.
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

    /// Like [`Socket::send_to`], and calls a function with how many bytes went, or why they did
    /// not.
    ///
    /// # Errors
    /// As [`Socket::send_to`].
    pub fn send_to_then<O: Outcome>(
        &self,
        bytes: impl AsRef<[u8]>,
        endpoint: impl Into<Endpoint>,
        sent: impl FnOnce(Result<usize, Error>) -> O + 'static,
    ) -> Result<(), Error> {
        self.send_to_endpoint(bytes.as_ref(), endpoint, Some(then(sent)))
    }

    fn send_to_peer(&self, bytes: &[u8], sent: Option<Then<usize>>) -> Result<(), Error> {
        if self.inner.connected.get() != Connected::Yes {
            let message = "Port should be > 0 and < 65536. Received undefined.";
            return Err(Error::new("ERR_SOCKET_BAD_PORT", message));
        }
        self.check_running()?;
        self.do_send(None, bytes.to_owned(), sent);
        Ok(())
    }

    fn send_to_endpoint(
        &self,
        bytes: &[u8],
        endpoint: impl Into<Endpoint>,
        sent: Option<Then<usize>>,
    ) -> Result<(), Error> {
        if self.inner.connected.get() == Connected::Yes {
            return Err(is_connected());
        }
        let (host, port) = host_and_port(endpoint)?;
        let port = remote_port(port)?;
        self.check_running()?;
        let bytes = bytes.to_owned();
        self.once_bound(Box::new(move |socket| {
            let localhost = socket.kind().localhost();
            let default = (localhost, port).into();
            socket.look_up(host, default, move |socket, found| {
                match (found, sent) {
                    (Ok(addr), sent) => socket.do_send(Some(addr), bytes, sent),
                    (Err(error), Some(sent)) => socket.next_call(|_| sent(Err(error))),
                    (Err(error), None) => {
                        socket.next_call(move |socket| socket.emit_error(&error));
                    }
                }
                Ok(())
            });
            Ok(())
        }))
    }

    fn do_send(&self, to: Option<SocketAddr>, bytes: Vec<u8>, sent: Option<Then<usize>>) {
        let Some(handle) = self.handle() else {
            return;
        };
        let tell = |sent: Then<usize>| -> Sent {
            Box::new(move |result| {
                sent(result.map_err(|error| match to {
                    Some(to) => Error::system_at("send", error, &to.into(), None),
                    None => Error::system("send", error),
                }))
            })
        };
        let sent = sent.map(tell);
        match to.map_or(Ok(()), |to| self.check_recipient(to)) {
            Ok(()) => handle.send(OutgoingDatagram { to, bytes }, sent),
            Err(error) => {
                if let Some(sent) = sent {
                    self.next_call(|_| sent(Err(error)));
                }
            }
        }
    }

    /// As libuv, and unlike Linux, refuses an address once there is a peer.
    fn check_recipient(&self, addr: SocketAddr) -> io::Result<()> {
        if self.inner.connected.get() == Connected::Yes {
            return Err(Errno::EISCONN.into());
        }
        self.check_family(addr)
    }

    fn check_family(&self, addr: SocketAddr) -> io::Result<()> {
        if self.kind().takes(addr.ip()) {
            Ok(())
        } else {
            Err(Errno::EINVAL.into())
        }
    }

    /// How many bytes wait to be sent: `getSendQueueSize`.
    pub fn send_queue_size(&self) -> usize {
        self.handle().map_or(0, |handle| handle.queue_size().1)
    }

    /// How many datagrams wait to be sent: `getSendQueueCount`.
    pub fn send_queue_count(&self) -> usize {
        self.handle().map_or(0, |handle| handle.queue_size().0)
    }

    // Closing.

    /// Stops receiving, and closes the socket; 'close' comes in the next tick. While it is being
    /// bound for something that is to be sent, it is closed after that.
    ///
    /// # Errors
    /// `ERR_SOCKET_DGRAM_NOT_RUNNING` if it is closed already.
    pub fn close(&self) -> Result<(), Error> {
        if let Some((_, steps)) = &mut *self.inner.queue.borrow_mut() {
            steps.push(Box::new(Socket::close));
            return Ok(());
        }
        self.check_running()?;
        self.inner.is_closed.set(true);
        let handle = self.inner.handle.take();
        if let Some(handle) = handle {
            handle.close();
        }
        self.next_call(|socket| socket.emit(event::Close, socket.clone()).map(drop));
        Ok(())
    }

    /// Like [`Socket::close`], and calls a function at 'close'.
    ///
    /// # Errors
    /// As [`Socket::close`].
    pub fn close_then<O: Outcome>(
        &self,
        closed: impl FnOnce(Socket) -> O + 'static,
    ) -> Result<(), Error> {
        self.once(event::Close, closed);
        self.close()
    }

    fn set_referenced(&self, referenced: bool) {
        self.inner.is_unreferenced.set(!referenced);
        if let Some(handle) = self.handle() {
            handle.set_referenced(referenced);
        }
    }

    // State.

    /// This end's address.
    ///
    /// # Errors
    /// `EBADF` before it is bound; `ERR_SOCKET_DGRAM_NOT_RUNNING`.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.with_socket("getsockname", UdpSocket::local_addr)
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

    // The kernel's options.

    /// Lets it send to broadcast addresses.
    ///
    /// # Errors
    /// `EBADF` before it is bound; `ERR_SOCKET_DGRAM_NOT_RUNNING`. So do all options.
    pub fn set_broadcast(&self, broadcast: bool) -> Result<(), Error> {
        self.with_socket("setBroadcast", |socket| socket.set_broadcast(broadcast))
    }

    /// Over how many routers a datagram goes at most: 1 to 255.
    ///
    /// # Errors
    /// `EINVAL` for another number; those of [`Socket::set_broadcast`].
    pub fn set_ttl(&self, ttl: u32) -> Result<(), Error> {
        self.with_socket("setTTL", |socket| socket.set_ttl(ttl))
    }

    /// Over how many routers a datagram goes to a group at most: 0 to 255.
    ///
    /// # Errors
    /// `EINVAL` for another number; those of [`Socket::set_broadcast`].
    pub fn set_multicast_ttl(&self, ttl: u32) -> Result<(), Error> {
        self.with_socket("setMulticastTTL", |socket| socket.set_multicast_ttl(ttl))
    }

    /// Says whether this machine, too, hears what is sent to a group from here; it does by default.
    ///
    /// # Errors
    /// Those of [`Socket::set_broadcast`].
    pub fn set_multicast_loopback(&self, is_heard_here: bool) -> Result<(), Error> {
        self.with_socket("setMulticastLoopback", |socket| {
            socket.set_multicast_loop(is_heard_here)
        })
    }

    /// Through which interface datagrams go to a group.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` for one that is not there; those of [`Socket::set_broadcast`].
    pub fn set_multicast_interface(&self, interface: Interface) -> Result<(), Error> {
        self.with_socket("setMulticastInterface", |socket| {
            socket.set_multicast_interface(interface)
        })
    }

    /// Hears what is sent to a group from now on. Unlike in Node, the socket has to be bound.
    ///
    /// # Errors
    /// `EADDRINUSE` if it hears it already, `EINVAL` for an address that is no group's; those of
    /// [`Socket::set_broadcast`].
    pub fn add_membership(
        &self,
        group: impl Into<IpAddr>,
        interface: Interface,
    ) -> Result<(), Error> {
        let group = group.into();
        self.with_socket("addMembership", |socket| {
            socket.join_multicast(group, interface)
        })
    }

    /// Hears a group no longer.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if it does not hear it; those of [`Socket::set_broadcast`].
    pub fn drop_membership(
        &self,
        group: impl Into<IpAddr>,
        interface: Interface,
    ) -> Result<(), Error> {
        let group = group.into();
        self.with_socket("dropMembership", |socket| {
            socket.leave_multicast(group, interface)
        })
    }

    /// How many bytes may wait to be received: `getRecvBufferSize`.
    ///
    /// # Errors
    /// `ERR_SOCKET_BUFFER_SIZE` before it is bound; `ERR_SOCKET_DGRAM_NOT_RUNNING`.
    pub fn recv_buffer_size(&self) -> Result<usize, Error> {
        self.with_buffer("uv_recv_buffer_size", UdpSocket::recv_buffer_bytes)
    }

    /// Sets how many bytes may wait to be received; the kernel doubles it.
    ///
    /// # Errors
    /// As [`Socket::recv_buffer_size`].
    pub fn set_recv_buffer_size(&self, bytes: usize) -> Result<(), Error> {
        let set = |socket: &UdpSocket| socket.set_recv_buffer_bytes(bytes);
        self.with_buffer("uv_recv_buffer_size", set)
    }

    /// How many bytes may wait to be sent: `getSendBufferSize`.
    ///
    /// # Errors
    /// As [`Socket::recv_buffer_size`].
    pub fn send_buffer_size(&self) -> Result<usize, Error> {
        self.with_buffer("uv_send_buffer_size", UdpSocket::send_buffer_bytes)
    }

    /// Sets how many bytes may wait to be sent; the kernel doubles it.
    ///
    /// # Errors
    /// As [`Socket::recv_buffer_size`].
    pub fn set_send_buffer_size(&self, bytes: usize) -> Result<(), Error> {
        let set = |socket: &UdpSocket| socket.set_send_buffer_bytes(bytes);
        self.with_buffer("uv_send_buffer_size", set)
    }

    fn with_buffer<T>(
        &self,
        call: &'static str,
        f: impl FnOnce(&UdpSocket) -> io::Result<T>,
    ) -> Result<T, Error> {
        self.check_running()?;
        self.try_socket(f)
            .map_err(|error| Error::buffer_size(call, error))
    }

    /// Asks the kernel's socket for something, by Node's name for it.
    fn with_socket<T>(
        &self,
        call: &'static str,
        f: impl FnOnce(&UdpSocket) -> io::Result<T>,
    ) -> Result<T, Error> {
        self.check_running()?;
        self.try_socket(f)
            .map_err(|error| Error::system(call, error))
    }

    fn try_socket<T>(&self, f: impl FnOnce(&UdpSocket) -> io::Result<T>) -> io::Result<T> {
        match self.handle().and_then(|handle| handle.socket()) {
            Some(socket) => f(&socket),
            None => Err(Errno::EBADF.into()),
        }
    }

    fn check_running(&self) -> Result<(), Error> {
        if self.inner.is_closed.get() {
            return Err(Error::new("ERR_SOCKET_DGRAM_NOT_RUNNING", "Not running"));
        }
        Ok(())
    }

    fn check_connected(&self) -> Result<(), Error> {
        if self.inner.connected.get() != Connected::Yes {
            let message = "Not connected";
            return Err(Error::new("ERR_SOCKET_DGRAM_NOT_CONNECTED", message));
        }
        Ok(())
    }

    // Events.

    fn next_call(&self, f: impl FnOnce(&Socket) -> Result<(), Thrown> + 'static) {
        self.inner.runtime.next_call(self, f);
    }

    fn emit<E: SocketEvent>(&self, event: E, args: E::Args<'_>) -> Result<bool, Thrown> {
        self.inner.events.emit(event, args)
    }

    /// What waited to be bound is forgotten.
    fn emit_error(&self, error: &Error) -> Result<(), Thrown> {
        let queue = self.inner.queue.take();
        if let Some((listening, steps)) = queue {
            self.off(listening);
            drop(steps);
        }
        self.emit(event::Error, (self.clone(), error)).map(drop)
    }
}

/// Who is called at 'connect', unless connecting fails.
struct AtConnect {
    listener: ListenerId,
    then: Rc<Cell<Option<Then>>>,
}

fn is_connected() -> Error {
    Error::new("ERR_SOCKET_DGRAM_IS_CONNECTED", "Already connected")
}

/// Where an endpoint is, besides its port.
enum Host {
    /// This machine.
    Default,
    Name(String),
    Addr(SocketAddr),
}

fn host_and_port(endpoint: impl Into<Endpoint>) -> Result<(Host, i64), Error> {
    match endpoint.into() {
        Endpoint::Port { host, port } => Ok((host.map_or(Host::Default, Host::Name), port)),
        Endpoint::Addr(addr) => Ok((Host::Addr(addr), addr.port().into())),
        Endpoint::Path(path) => {
            let message = format!("a UDP socket has a port, not a path: {}", path.display());
            Err(Error::new("ERR_INVALID_ARG_VALUE", message))
        }
    }
}

/// A port to send to, which cannot be 0.
fn remote_port(port: i64) -> Result<u16, Error> {
    u16::try_from(port)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| {
            let message = format!("Port should be > 0 and < 65536. Received type number ({port}).");
            Error::new("ERR_SOCKET_BAD_PORT", message)
        })
}

/// A datagram on its way out.
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

impl Owner for Socket {
    type Packets = UdpSocket;

    fn on_message(&self, (bytes, addr): (Chunk, SocketAddr)) -> Result<(), Thrown> {
        let size = bytes.len();
        let from = RemoteInfo { addr, size };
        self.emit(event::Message, (self.clone(), &bytes, from))
            .map(drop)
    }

    fn on_end(&self) -> Result<(), Thrown> {
        Ok(()) // UDP has none
    }

    fn on_error(&self, error: io::Error) -> Result<(), Thrown> {
        self.emit_error(&Error::system("recvmsg", error))
    }
}
