//! Unix message sockets: datagrams, and connections that keep message boundaries. Node has neither;
//! the functions follow its `dgram`.

use super::handle::{Owner, PacketHandle, Packets, ThenSent};
use crate::ends::{Ends, emit_last, end_with_program};
use crate::error::Error;
use crate::events::Emitter;
use crate::runtime::{Runtime, current};
use crate::tables::{identity, listening, references, weak};
use crate::thrown::{IntoResult, Thrown, callback_of};
use nix::errno::Errno;
use oneloop_core::{Direction, JoinHandle, Source};
use oneloop_net::{
    Addr, Chunk, Credentials, FDS_MAX, ToUnixAddr, UnixDatagram, UnixMessage, UnixSeqpacket,
    UnixSeqpacketListener,
};
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The events of a [`UnixSocket`].
pub(super) mod event {
    use super::{Message, UnixSocket};
    use crate::events::EmitterEvent;
    use crate::tables::emitter;

    /// An event of a [`UnixSocket`].
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not an event of this socket",
        label = "for 'message', write `on_message(…)`, or `on(event::MessageReceived, …)`",
        note = "an event is a type, in `oneloop::callback::dgram::event`"
    )]
    pub trait UnixEvent: EmitterEvent {}

    // Not `Message`, `Error` and `Close`: `dgram::event` exports those of UDP sockets as well.
    emitter! { UnixSocket emits UnixEvent {
        /// `'message'`: a message, and its fds.
        MessageReceived(socket: UnixSocket, message: &'a Message) => on_message;
        /// `'end'` of a connection: the peer sends no more.
        End(socket: UnixSocket) => on_end;
        /// `'error'`. Without a listener, the error is thrown.
        UnixError(socket: UnixSocket, error: &'a crate::Error) => on_error, else throws error;
        /// `'close'`: the socket is closed.
        UnixClose(socket: UnixSocket) => on_close;
    } }
}

/// A socket in the kernel, of either kind.
pub(super) enum KernelSocket {
    Datagram(UnixDatagram),
    Seqpacket(UnixSeqpacket),
}

/// A message to be sent: to a name, or to the peer.
pub(super) struct OutgoingMessage {
    to: Option<Addr>,
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Packets for KernelSocket {
    type Message = (Chunk, UnixMessage);
    type Outgoing = OutgoingMessage;

    fn source(&self) -> &Source {
        match self {
            KernelSocket::Datagram(socket) => socket.source(),
            KernelSocket::Seqpacket(socket) => socket.source(),
        }
    }

    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Self::Message>>> {
        ready!(self.source().poll_ready(cx, Direction::Read))?; // no buffer while it waits
        let received = Chunk::poll_fill(|space| {
            let received = match self {
                // Datagrams have no end: an empty one is a message, too.
                KernelSocket::Datagram(socket) => {
                    socket.poll_recv_fds(cx, space, FDS_MAX).map_ok(Some)
                }
                KernelSocket::Seqpacket(socket) => socket.poll_recv_fds(cx, space, FDS_MAX),
            };
            received.map_ok(|message| (message.as_ref().map_or(0, |m| m.bytes), message))
        });
        received.map_ok(|(bytes, message)| Some((bytes, message?)))
    }

    async fn send(&self, outgoing: &OutgoingMessage) -> io::Result<usize> {
        let OutgoingMessage { to, bytes, fds } = outgoing;
        // Borrowed: sendmsg(2) makes the receiver's duplicates.
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let send = |cx: &mut Context<'_>| match self {
            KernelSocket::Datagram(socket) => socket.poll_send_fds(cx, bytes, &fds),
            KernelSocket::Seqpacket(socket) => socket.poll_send_fds(cx, bytes, &fds),
        };
        match (self, to) {
            // It sleeps between its tries: epoll does not report room at another socket.
            (KernelSocket::Datagram(socket), Some(to)) => {
                socket.send_fds_to(bytes, &fds, to).await?
            }
            // send(2) refuses a name on a connected socket.
            (KernelSocket::Seqpacket(_), Some(_)) => return Err(Errno::EISCONN.into()),
            (_, None) => self.source().io(Direction::Write, send).await?,
        }
        Ok(bytes.len())
    }

    fn byte_count(outgoing: &OutgoingMessage) -> usize {
        outgoing.bytes.len()
    }
}

/// A message that a [`UnixSocket`] received.
#[derive(Debug)]
pub struct Message {
    bytes: Chunk,
    /// The fds that no listener has taken: all listeners receive the same message.
    fds: RefCell<Vec<OwnedFd>>,
    about: UnixMessage,
}

impl Message {
    /// Its bytes, 64 KiB at most.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The sender's name; unnamed for a connection.
    pub fn from(&self) -> &Addr {
        &self.about.from
    }

    /// Takes the fds that came with it: the first call returns all of them. Fds that no listener
    /// takes are closed after the event.
    pub fn take_fds(&self) -> Vec<OwnedFd> {
        self.fds.take()
    }

    /// True if it was longer than the bytes here.
    pub fn is_truncated(&self) -> bool {
        self.about.is_truncated()
    }

    /// True if it had more fds than this process may open.
    pub fn is_short_of_fds(&self) -> bool {
        self.about.is_short_of_fds
    }
}

/// What clones of a socket share.
struct UnixState {
    runtime: Rc<Runtime>,
    events: Emitter,
    /// None once it is closed.
    handle: RefCell<Option<Rc<PacketHandle<UnixSocket>>>>,
}

/// A Unix datagram socket, or one end of a connection that keeps message boundaries
/// (`SOCK_SEQPACKET`). Clones are the same socket, and every listener receives one.
///
/// ```
/// use oneloop::callback::{dgram::UnixSocket, run};
///
/// run(|| {
///     let (a, b) = UnixSocket::pair()?;
///     b.on_message(|b, message| {
///         assert_eq!(message.bytes(), b"an open file");
///         assert_eq!(message.take_fds().len(), 1);
///         b.close();
///     });
///     let file = std::fs::File::open("/dev/null")?;
///     a.send_fds("an open file", vec![file.into()]);
///     a.close();
///     Ok::<_, oneloop::callback::Thrown>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct UnixSocket {
    inner: Rc<UnixState>,
}

impl fmt::Debug for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.socket().as_deref() {
            Some(KernelSocket::Datagram(_)) => f.write_str("UnixSocket(datagram)"),
            Some(KernelSocket::Seqpacket(_)) => f.write_str("UnixSocket(seqpacket)"),
            None => f.write_str("UnixSocket(closed)"),
        }
    }
}

listening!(UnixSocket, event::UnixEvent);
references!(UnixSocket, "the socket is open");
identity!(UnixSocket);
weak!(WeakUnixSocket of UnixSocket with UnixState);

impl UnixSocket {
    fn start(runtime: Rc<Runtime>, socket: KernelSocket) -> Self {
        let unix = UnixSocket {
            inner: Rc::new(UnixState {
                runtime: Rc::clone(&runtime),
                events: Emitter::new(),
                handle: RefCell::default(),
            }),
        };
        end_with_program(&runtime, &unix.inner);
        // The handle holds the socket until it is closed, so an open socket needs no other owner.
        let handle = PacketHandle::start(&runtime, unix.clone(), socket, true);
        unix.inner.handle.replace(Some(handle));
        unix
    }

    /// Makes a datagram socket with a name: a path, or an [`Addr::UnixAbstract`].
    ///
    /// # Errors
    /// `EADDRINUSE`, also for a file that an earlier socket left; `EACCES`, `ENOENT`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn bind(name: impl ToUnixAddr) -> Result<Self, Error> {
        let runtime = current();
        let addr = name.to_unix_addr();
        let socket = (runtime.handle)
            .enter(|| UnixDatagram::bind(&*addr))
            .map_err(|error| Error::system_at("bind", error, &addr, None))?;
        Ok(Self::start(runtime, KernelSocket::Datagram(socket)))
    }

    /// Makes a datagram socket without a name, to send from.
    ///
    /// # Errors
    /// `EMFILE`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn unbound() -> Result<Self, Error> {
        let runtime = current();
        let socket = runtime.handle.enter(UnixDatagram::unbound)?;
        Ok(Self::start(runtime, KernelSocket::Datagram(socket)))
    }

    /// Makes the two ends of one connection that keeps message boundaries.
    ///
    /// # Errors
    /// `EMFILE`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn pair() -> Result<(Self, Self), Error> {
        let runtime = current();
        let (a, b) = runtime.handle.enter(UnixSeqpacket::pair)?;
        let a = Self::start(Rc::clone(&runtime), KernelSocket::Seqpacket(a));
        Ok((a, Self::start(runtime, KernelSocket::Seqpacket(b))))
    }

    /// Connects to a server of [`UnixSocket::listen`], and calls a function with the connection, or
    /// with the error.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn connect<O: IntoResult>(
        name: impl ToUnixAddr,
        connected: impl FnOnce(Result<UnixSocket, Error>) -> O + 'static,
    ) {
        // In a task, as connecting waits while the server's backlog is full.
        let (runtime, addr) = (current(), name.to_unix_addr().into_owned());
        runtime.handle.clone().spawn_detached(async move {
            let socket = UnixSeqpacket::connect(&addr).await;
            runtime.make_callback(|| {
                let socket = socket
                    .map(|socket| Self::start(Rc::clone(&runtime), KernelSocket::Seqpacket(socket)))
                    .map_err(|error| Error::system_at("connect", error, &addr, None));
                callback_of(&connected).result(connected(socket))
            });
        });
    }

    /// Listens for connections that keep message boundaries, and calls a function with each.
    ///
    /// # Errors
    /// `EADDRINUSE`, also for a file that an earlier socket left; `EACCES`, `ENOENT`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn listen<O: IntoResult>(
        name: impl ToUnixAddr,
        on_connection: impl Fn(UnixSocket) -> O + 'static,
    ) -> Result<UnixServer, Error> {
        UnixServer::start(name.to_unix_addr().into_owned(), move |socket| {
            callback_of(&on_connection).result(on_connection(socket))
        })
    }

    fn handle(&self) -> Option<Rc<PacketHandle<UnixSocket>>> {
        self.inner.handle.borrow().clone()
    }

    fn socket(&self) -> Option<Rc<KernelSocket>> {
        self.handle()?.socket()
    }

    /// Sends a message to the peer. The result is not reported; see [`UnixSocket::send_then`].
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        self.send_message(bytes.as_ref(), Vec::new(), None, None);
    }

    /// Like [`UnixSocket::send`], and calls a function with the number of bytes sent, or with the
    /// error.
    pub fn send_then<O: IntoResult>(
        &self,
        bytes: impl AsRef<[u8]>,
        sent: impl FnOnce(Result<usize, Error>) -> O + 'static,
    ) {
        self.send_message(bytes.as_ref(), Vec::new(), None, Some(then_sent(sent)));
    }

    /// Sends a datagram to a name, and calls a function with the number of bytes sent, or with the
    /// error.
    pub fn send_to_then<O: IntoResult>(
        &self,
        bytes: impl AsRef<[u8]>,
        name: impl ToUnixAddr,
        sent: impl FnOnce(Result<usize, Error>) -> O + 'static,
    ) {
        let to = Some(name.to_unix_addr().into_owned());
        self.send_message(bytes.as_ref(), Vec::new(), to, Some(then_sent(sent)));
    }

    /// Sends a message and fds to the peer, which gets duplicates; the fds here are closed once it
    /// is sent.
    pub fn send_fds(&self, bytes: impl AsRef<[u8]>, fds: Vec<OwnedFd>) {
        self.send_message(bytes.as_ref(), fds, None, None);
    }

    /// Like [`UnixSocket::send_fds`], and calls a function with the number of bytes sent, or with
    /// the error.
    pub fn send_fds_then<O: IntoResult>(
        &self,
        bytes: impl AsRef<[u8]>,
        fds: Vec<OwnedFd>,
        sent: impl FnOnce(Result<usize, Error>) -> O + 'static,
    ) {
        self.send_message(bytes.as_ref(), fds, None, Some(then_sent(sent)));
    }

    fn send_message(
        &self,
        bytes: &[u8],
        fds: Vec<OwnedFd>,
        to: Option<Addr>,
        then: Option<ThenSent>,
    ) {
        // A copy, as the message may wait for room after this call has returned.
        let bytes = bytes.to_owned();
        match (self.handle(), then) {
            (Some(handle), then) => handle.send(OutgoingMessage { to, bytes, fds }, then),
            (None, Some(then)) => {
                let closed = Err(Errno::EBADF.into());
                self.inner.runtime.next_tick(|| then(closed));
            }
            (None, None) => {}
        }
    }

    /// The process at the other end of a connection, as of the moment when it connected.
    ///
    /// # Errors
    /// `ENOTCONN` for a datagram socket, `EBADF` once it is closed.
    pub fn peer_credentials(&self) -> Result<Credentials, Error> {
        Ok(match self.socket().as_deref() {
            Some(KernelSocket::Datagram(socket)) => socket.peer_credentials()?,
            Some(KernelSocket::Seqpacket(socket)) => socket.peer_credentials()?,
            None => return Err(io::Error::from(Errno::EBADF).into()),
        })
    }

    /// The name of this socket, while it is open.
    pub fn address(&self) -> Option<Addr> {
        match self.socket().as_deref()? {
            KernelSocket::Datagram(socket) => socket.local_addr().ok(),
            KernelSocket::Seqpacket(socket) => socket.local_addr().ok(),
        }
    }

    /// Closes the socket; 'close' comes in the next tick. Messages that wait to be sent fail with
    /// `ECANCELED`. The file of a name stays. Does nothing to a closed socket.
    pub fn close(&self) {
        let handle = self.inner.handle.take();
        if let Some(handle) = handle {
            handle.close();
            // In a tick, as dgram.js (`socketCloseNT`), and not in the closing phase.
            self.inner.runtime.next_call(self, |socket| {
                let inner = &socket.inner;
                emit_last(
                    &inner.runtime,
                    inner,
                    &inner.events,
                    event::UnixClose,
                    socket.clone(),
                )
            });
        }
    }

    /// Like [`UnixSocket::close`], and calls a function at 'close'; never, if it is closed already.
    pub fn close_then<O: IntoResult>(&self, closed: impl FnOnce(UnixSocket) -> O + 'static) {
        self.once(event::UnixClose, closed);
        self.close();
    }

    fn set_referenced(&self, referenced: bool) {
        if let Some(handle) = self.handle() {
            handle.set_referenced(referenced);
        }
    }
}

impl Ends for UnixState {
    fn end(&self) {
        self.events.end();
    }
}

/// A callback of a send, with Node's error.
fn then_sent<O: IntoResult>(sent: impl FnOnce(Result<usize, Error>) -> O + 'static) -> ThenSent {
    Box::new(|result| {
        let result = result.map_err(|error| Error::system("send", error));
        callback_of(&sent).result(sent(result))
    })
}

impl Owner for UnixSocket {
    type Packets = KernelSocket;

    fn on_message(&self, (bytes, mut about): (Chunk, UnixMessage)) -> Result<(), Thrown> {
        // Dropped after the emit, which closes the fds that no listener took.
        let fds = RefCell::new(std::mem::take(&mut about.fds));
        let message = Message { bytes, fds, about };
        let events = &self.inner.events;
        events
            .emit(event::MessageReceived, (self.clone(), &message))
            .map(drop)
    }

    fn on_end(&self) -> Result<(), Thrown> {
        self.inner.events.emit(event::End, self.clone()).map(drop)
    }

    fn on_error(&self, error: io::Error) -> Result<(), Thrown> {
        let error = Error::system("recvmsg", error);
        let events = &self.inner.events;
        events
            .emit(event::UnixError, (self.clone(), &error))
            .map(drop)
    }
}

/// Listens for connections that keep message boundaries: see [`UnixSocket::listen`]. It listens
/// until it is closed; dropping it changes nothing.
#[derive(Debug)]
pub struct UnixServer {
    listener: Rc<UnixSeqpacketListener>,
    acceptor: RefCell<Option<JoinHandle<()>>>,
}

impl UnixServer {
    #[track_caller]
    fn start(
        addr: Addr,
        on_connection: impl Fn(UnixSocket) -> Result<(), Thrown> + 'static,
    ) -> Result<Self, Error> {
        let runtime = current();
        let listener = (runtime.handle)
            .enter(|| UnixSeqpacketListener::bind(&addr))
            .map_err(|error| Error::listen(error, &addr))?;
        // Shared with the task, for `unref`, which reaches the source.
        let listener = Rc::new(listener);
        let (accepting, handle) = (Rc::clone(&listener), runtime.handle.clone());
        let acceptor = handle.spawn(async move {
            let source = accepting.source();
            // The end of the program wakes this task, and the next poll returns the error.
            let accept = |cx: &mut Context<'_>| match runtime.is_over() {
                true => Poll::Ready(Err(Errno::ECANCELED.into())),
                false => accepting.poll_accept(cx),
            };
            let failed = loop {
                match source.io(Direction::Read, accept).await {
                    Ok((socket, _)) => runtime.make_callback(|| {
                        let socket = KernelSocket::Seqpacket(socket);
                        on_connection(UnixSocket::start(Rc::clone(&runtime), socket))
                    }),
                    Err(error) => break error,
                }
            };
            if !runtime.is_over() {
                // A server has no events, so this is an 'error' without a listener.
                runtime.make_callback(|| Err(Error::system("accept", failed).into()));
            }
        });
        Ok(UnixServer {
            listener,
            acceptor: RefCell::new(Some(acceptor)),
        })
    }

    /// Allows the program to end while it listens.
    pub fn unref(&self) -> &Self {
        self.listener.source().set_referenced(false);
        self
    }

    /// Stops listening; connections stay open. The file of a name stays.
    pub fn close(&self) {
        let acceptor = self.acceptor.take();
        if let Some(acceptor) = acceptor {
            acceptor.cancel();
        }
    }
}
