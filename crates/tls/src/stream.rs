//! A connection that encrypts.

use crate::transport::{Transport, polled, rustls_error};
use oneloop_core::{Direction, Source};
use oneloop_net::{AsSource, CHUNK_BYTES, Chunk, HalfClose, ReadHalf, Shutdown, WriteHalf};
use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{self, CommonState, HandshakeKind, ProtocolVersion};

type Session<S> = tokio_rustls::TlsStream<Transport<S>>;

/// A connection that encrypts, over a stream of ours: the result of
/// [`TlsAcceptor::accept`](crate::TlsAcceptor::accept) and
/// [`TlsConnector::connect`](crate::TlsConnector::connect).
///
/// It is read and written as the stream below it: by `&self`, so one task reads while another one
/// writes; by [`ReadHalf`] and [`WriteHalf`], so `Lines`, `Frames` and `copy` take it; and by the
/// traits of tokio, futures-io and hyper, so other people's crates do.
///
/// **The end.** [`TlsStream::shutdown`] sends close_notify, and then the end of the stream below. The
/// peer reads to the end, and may still send. An end without close_notify is an
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), because an attacker could have cut the stream.
/// Dropping a `TlsStream` closes the connection and sends no close_notify: a task that was canceled
/// in the middle of its answer must not look as if it had finished.
///
/// **Writing.** A write encrypts bytes into records, and what the kernel does not take stays in the
/// session, at most 64 KiB. [`TlsStream::write_all`] waits until the kernel holds all bytes. After a
/// single [`write`](TlsStream::write) or a write through a trait, call `flush`, as tokio-rustls
/// demands; a task that reads the same stream sends the rest as well.
#[doc(alias("SslStream", "TLSSocket", "SSLSocket"))]
pub struct TlsStream<S> {
    transport: Transport<S>,
    /// Borrowed while it reads or writes the transport, which calls no code of the program.
    session: RefCell<Session<S>>,
    /// What rustls has rejected: without new bytes, it would not say so a second time.
    failure: OnceCell<Box<rustls::Error>>,
}

impl<S> TlsStream<S> {
    pub(crate) fn new(transport: Transport<S>, session: Session<S>) -> Self {
        TlsStream {
            transport,
            session: RefCell::new(session),
            failure: OnceCell::new(),
        }
    }

    /// The stream below, for its addresses and options. Bytes that are written to it directly destroy
    /// the connection.
    #[doc(alias("get_ref", "tcp_stream"))]
    pub fn stream(&self) -> &S {
        self.transport.stream()
    }

    /// The protocol that both ends agreed on (ALPN), such as `b"h2"`.
    #[doc(alias("ALPN", "selected_alpn_protocol"))]
    pub fn alpn_protocol(&self) -> Option<Vec<u8>> {
        self.inspect(|state| state.alpn_protocol().map(<[u8]>::to_vec))
    }

    /// True if both ends agreed on this protocol (ALPN).
    pub fn is_alpn(&self, protocol: &str) -> bool {
        self.inspect(|state| state.alpn_protocol() == Some(protocol.as_bytes()))
    }

    /// The name that the client asked for (SNI). `None` at the client's end.
    #[doc(alias = "SNI")]
    pub fn server_name(&self) -> Option<String> {
        match &*self.session.borrow() {
            Session::Server(session) => session.get_ref().1.server_name().map(str::to_owned),
            Session::Client(_) => None,
        }
    }

    /// The peer's certificate and its chain. At the server's end, those of a client that was asked
    /// for them: see [`ClientCertificates`](crate::ClientCertificates).
    pub fn peer_certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        self.inspect(|state| {
            let certificates = state.peer_certificates()?.iter();
            Some(certificates.map(|der| der.clone().into_owned()).collect())
        })
    }

    /// The version of TLS.
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inspect(CommonState::protocol_version)
    }

    /// Whether the handshake resumed a session.
    #[doc(alias("session_reused", "isSessionReused"))]
    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.inspect(CommonState::handshake_kind)
    }

    /// Calls a function with rustls' view of the connection, such as for its cipher suite. The
    /// function must not read or write this stream.
    pub fn inspect<T>(&self, function: impl FnOnce(&CommonState) -> T) -> T {
        function(self.session.borrow().get_ref().1)
    }
}

/// Reading, writing and ending, as polls.
impl<S: ReadHalf + WriteHalf> TlsStream<S> {
    /// Decrypts at most `room` bytes, and passes them to `put`. Returns their number, 0 at the end.
    #[inline]
    pub(crate) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        mut put: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let mut session = self.session.borrow_mut();
        let mut taken = 0;
        // Several records may have arrived at once. Only the first turn may read the transport.
        while taken < room && (taken == 0 || !session.get_ref().1.wants_read()) {
            let data = match self.poll_decrypted(cx, &mut session) {
                Poll::Ready(Ok(data)) => data,
                _ if taken > 0 => break, // it comes again
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.send_rest(&mut session, cx);
                    return Poll::Pending;
                }
            };
            let count = data.len().min(room - taken);
            if count == 0 {
                break;
            }
            put(&data[..count]);
            Pin::new(&mut *session).consume(count);
            taken += count;
        }
        Poll::Ready(Ok(taken))
    }

    /// Waits for bytes that are decrypted; none are the end.
    #[inline]
    fn poll_decrypted<'a>(
        &self,
        cx: &mut Context<'_>,
        session: &'a mut Session<S>,
    ) -> Poll<io::Result<&'a [u8]>> {
        self.check()?;
        let polled = Pin::new(session).poll_fill_buf(cx);
        if let Poll::Ready(Err(error)) = &polled
            && let Some(error) = rustls_error(error)
        {
            let _ = self.failure.set(Box::new(error.clone())); // the first one
        }
        polled
    }

    /// # Errors
    /// Why the connection has failed.
    #[inline]
    fn check(&self) -> io::Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(error) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                (**error).clone(),
            )),
        }
    }

    /// Sends what earlier writes have left in the session, unless a writer waits to do so: the peer
    /// may need it before it answers.
    fn send_rest(&self, session: &mut Session<S>, cx: &mut Context<'_>) {
        if session.get_ref().1.wants_write() && !self.transport.is_write_awaited() {
            // An error shows at the next write, or the read sees the same.
            let _ = Pin::new(session).poll_flush(cx);
        }
    }

    /// Calls a function that writes, with the session.
    #[inline]
    fn writing<T>(
        &self,
        function: impl FnOnce(Pin<&mut Session<S>>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.check()?;
        function(Pin::new(&mut *self.session.borrow_mut()))
    }

    /// Sends close_notify once, all that was written before it, and the end of the stream below.
    ///
    /// # Errors
    /// As [`TlsStream::shutdown`].
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Also after a failure, when an alert was the last message: rustls then adds no close_notify.
        Pin::new(&mut *self.session.borrow_mut()).poll_shutdown(cx)
    }

    /// Ends the stream: sends close_notify behind all that was written, and then the end of the stream
    /// below. The peer may still send, and its bytes can be read.
    ///
    /// Cancel safe: another call continues.
    ///
    /// # Errors
    /// Those of `send(2)`: `EPIPE`, `ECONNRESET`.
    #[doc(alias("close_notify", "SSL_shutdown"))]
    pub fn shutdown(&self) -> impl Future<Output = io::Result<()>> {
        self.source()
            .io(Direction::Write, move |cx| self.poll_shutdown(cx))
    }
}

/// The context of a call that does not wait: see [`Transport`].
fn without_waiting<T>(
    poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>,
) -> Poll<io::Result<T>> {
    poll(&mut Context::from_waker(Waker::noop()))
}

/// The result of a call that does not wait.
fn tried<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>) -> io::Result<T> {
    match without_waiting(poll) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl<S: ReadHalf> AsSource for TlsStream<S> {
    fn source(&self) -> &Source {
        self.transport.source()
    }
}

impl<S: ReadHalf + WriteHalf> ReadHalf for TlsStream<S> {
    fn read_once(&self, buf: &mut [u8]) -> io::Result<usize> {
        tried(|cx| self.poll_read(cx, buf))
    }

    #[inline]
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut at = 0;
        self.poll_take(cx, buf.len(), |bytes| {
            buf[at..][..bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        })
    }

    #[inline]
    fn poll_read_chunk(
        &self,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<Option<Chunk>>> {
        let bytes_max = bytes_max.clamp(1, CHUNK_BYTES);
        let filled = Chunk::poll_fill(|space| {
            let count = ready!(self.poll_read(cx, &mut space[..bytes_max]))?;
            Poll::Ready(Ok((count, ())))
        });
        filled.map_ok(|(chunk, ())| (!chunk.is_empty()).then_some(chunk))
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut session = self.session.borrow_mut();
        let polled = self.poll_decrypted(cx, &mut session).map_ok(|_bytes| ());
        if polled.is_pending() {
            self.send_rest(&mut session, cx);
        }
        polled
    }

    fn try_read_chunk(&self, bytes_max: usize) -> Poll<io::Result<Option<Chunk>>> {
        without_waiting(|cx| self.poll_read_chunk(cx, bytes_max))
    }

    fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_once(buf)
    }
}

impl<S: ReadHalf + WriteHalf> WriteHalf for TlsStream<S> {
    fn write_once(&self, buf: &[u8]) -> io::Result<usize> {
        tried(|cx| self.poll_write(cx, buf))
    }

    fn write_vectored_once(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        tried(|cx| self.poll_write_vectored(cx, bufs))
    }

    /// Sends close_notify and the end, as [`TlsStream::shutdown`] without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) while the kernel does not take all of it: flush
    /// first, or call again.
    fn end(&self) -> io::Result<()> {
        tried(|cx| self.poll_shutdown(cx))
    }

    #[inline]
    fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writing(|session| session.poll_write(cx, buf))
    }

    #[inline]
    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writing(|session| session.poll_write_vectored(cx, bufs))
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writing(|session| session.poll_flush(cx))
    }

    fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.write_once(buf)
    }

    fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match polled(self.write_vectored_once(bufs)) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(0),
        }
    }

    /// Writes all bytes, and waits until the kernel holds them. Not cancel safe: dropped
    /// halfway, it leaves an unknown part written.
    fn write_all(&self, mut buf: &[u8]) -> impl Future<Output = io::Result<()>> {
        self.source().io(Direction::Write, move |cx| {
            while !buf.is_empty() {
                let count = ready!(self.poll_write(cx, buf))?;
                buf = &buf[count..];
            }
            self.poll_flush(cx)
        })
    }
}

impl<S: ReadHalf + WriteHalf + HalfClose> HalfClose for TlsStream<S> {
    /// Ends one direction or both. The end of writing is [`WriteHalf::end`]: it sends close_notify.
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.end()?;
        }
        if how != Shutdown::Write {
            self.stream().shutdown(Shutdown::Read)?;
        }
        Ok(())
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("stream", self.stream())
            .field("version", &self.protocol_version())
            .finish_non_exhaustive()
    }
}
