//! The server's end: an acceptor, whose certificates can be replaced while it serves.

use crate::handshake::{HANDSHAKE_LIMIT, within};
use crate::identities::{Identities, Replaceable};
use crate::identity::{Identity, provider};
use crate::roots::Roots;
use crate::stream::TlsStream;
use crate::transport::Transport;
use oneloop_core::{Handle, JoinHandle, Signals};
use oneloop_net::{ReadHalf, WriteHalf};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::Ticketer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

/// Does the server's part of handshakes.
///
/// ```
/// use oneloop::aio::{TcpListener, TcpStream, block_on, spawn};
/// use oneloop::tls::{ClientOptions, Identity, Roots, ServerOptions, TlsAcceptor, TlsConnector};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let identity = Identity::from_pem(&certificate, &key)?; // a server has `from_pem_files`
/// let acceptor = TlsAcceptor::new([identity], ServerOptions::default())?;
/// let connector = TlsConnector::new(Roots::from_pem(&certificate)?, ClientOptions::default())?;
/// block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let addr = listener.local_addr()?;
///     spawn(async move {
///         let (stream, _peer) = listener.accept().await?;
///         let stream = acceptor.accept(stream).await?;
///         stream.write_all(b"hello").await?;
///         stream.shutdown().await
///     });
///     let stream = TcpStream::connect(addr).await?;
///     let stream = connector.connect("localhost", stream).await?;
///     assert_eq!(stream.read_text(80).await?, "hello");
///     Ok(())
/// })
/// # }
/// ```
///
/// A clone is the same acceptor, and may go to another thread: a server on many cores reloads its
/// certificates once. Clients resume their sessions by tickets, of TLS 1.3 and 1.2, whose keys
/// change every six hours and stay in this process; a reload does not change them.
///
/// The handshake belongs into the client's task, as in this example's one: an accept loop that waits
/// for it waits for the slowest client.
#[derive(Clone)]
#[doc(alias("ServerConfig", "HTTPS", "SSL", "create_server"))]
pub struct TlsAcceptor {
    shared: Arc<SharedAcceptor>,
}

struct SharedAcceptor {
    config: Replaceable<Arc<ServerConfig>>,
    /// `None` if the program made the configuration itself.
    identities: Option<Arc<Identities>>,
    handshake_limit: Duration,
}

/// The options of a [`TlsAcceptor`].
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The protocols that the server speaks, the preferred one first, such as `["h2", "http/1.1"]`.
    /// A client that asks for none of them is rejected; one that does not ask is accepted.
    pub alpn: Vec<&'static str>,
    /// Whether clients need a certificate of their own.
    pub client_certificates: ClientCertificates,
    /// How long a handshake may take. The default is 10 s.
    pub handshake_limit: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            alpn: Vec::new(),
            client_certificates: ClientCertificates::default(),
            handshake_limit: HANDSHAKE_LIMIT,
        }
    }
}

/// What a server asks of its clients.
#[derive(Clone, Debug, Default)]
#[doc(alias("mTLS", "mutual TLS", "verify_client", "requestCert"))]
pub enum ClientCertificates {
    /// No certificate.
    #[default]
    Ignored,
    /// A certificate that one of these roots has signed, or none: see
    /// [`TlsStream::peer_certificates`].
    Optional(Roots),
    /// A certificate that one of these roots has signed.
    Required(Roots),
}

impl TlsAcceptor {
    /// Creates an acceptor. Of several identities, a handshake takes the first whose certificate has
    /// the name that the client asks for (SNI), and without such a name, the first.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) without an identity, or for roots that are
    /// empty.
    pub fn new(
        identities: impl IntoIterator<Item = Identity>,
        options: ServerOptions,
    ) -> io::Result<Self> {
        let ServerOptions {
            alpn,
            client_certificates,
            handshake_limit,
        } = options;
        let identities = Identities::new(identities)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()
            .map_err(invalid_input)?;
        let verified = |roots: Roots| {
            let roots = Arc::clone(roots.store());
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider()))
        };
        let builder = match client_certificates {
            ClientCertificates::Ignored => builder.with_no_client_auth(),
            ClientCertificates::Optional(roots) => {
                let verifier = verified(roots).allow_unauthenticated().build();
                builder.with_client_cert_verifier(verifier.map_err(invalid_input)?)
            }
            ClientCertificates::Required(roots) => {
                let verifier = verified(roots).build();
                builder.with_client_cert_verifier(verifier.map_err(invalid_input)?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&identities) as _);
        config.alpn_protocols = alpn
            .into_iter()
            .map(|name| name.as_bytes().into())
            .collect();
        // Tickets hold the session, so the server keeps nothing for a client that may come back.
        config.ticketer = Ticketer::new().map_err(io::Error::other)?;
        Ok(TlsAcceptor::shared(
            Arc::new(config),
            Some(identities),
            handshake_limit,
        ))
    }

    /// Creates an acceptor of a configuration of rustls, for what the options lack. It has no
    /// files to reload; [`TlsAcceptor::set_config`] replaces the configuration.
    pub fn from_config(config: Arc<ServerConfig>, handshake_limit: Duration) -> Self {
        TlsAcceptor::shared(config, None, handshake_limit)
    }

    fn shared(
        config: Arc<ServerConfig>,
        identities: Option<Arc<Identities>>,
        handshake_limit: Duration,
    ) -> Self {
        TlsAcceptor {
            shared: Arc::new(SharedAcceptor {
                config: Replaceable::new(config),
                identities,
                handshake_limit,
            }),
        }
    }

    /// Does the handshake with a client that has connected. On an error the client gets an alert,
    /// and the connection is closed.
    ///
    /// Not cancel safe: dropped before it is ready, it closes the connection.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) after [`ServerOptions::handshake_limit`];
    /// [`InvalidData`](io::ErrorKind::InvalidData) around a [`rustls::Error`](crate::rustls::Error),
    /// or for a client that speaks no TLS at all, around an error whose source is one;
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) for a client that leaves; those of the stream.
    #[doc(alias("handshake", "wrap_socket"))]
    pub async fn accept<S: ReadHalf + WriteHalf>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let transport = Transport::new(stream);
        let acceptor = tokio_rustls::TlsAcceptor::from(self.config());
        let handshake = acceptor.accept(transport.clone()).into_fallible();
        let session = within(self.shared.handshake_limit, &transport, handshake).await?;
        Ok(TlsStream::new(transport, session.into()))
    }

    /// Reads the files of all identities again, for handshakes that begin later. Existing
    /// connections continue. If one file is missing or wrong, or a key does not belong to its certificate, all
    /// identities stay as they are.
    ///
    /// Cancel safe: dropped, it reloads all files or none.
    ///
    /// # Errors
    /// As [`Identity::from_pem_files`]; [`Unsupported`](io::ErrorKind::Unsupported) for an acceptor
    /// of [`TlsAcceptor::from_config`].
    ///
    /// # Panics
    /// Outside a loop.
    pub async fn reload(&self) -> io::Result<()> {
        self.identities()?.reload().await
    }

    /// Reloads the files at each of these signals, and passes each result to `report`: see
    /// [`TlsAcceptor::reload`]. The task ends when its handle is
    /// [canceled](JoinHandle::cancel); it does not keep the loop alive.
    ///
    /// ```no_run
    /// use oneloop::signal::SIGHUP;
    /// # use oneloop::tls::TlsAcceptor;
    /// # fn example(acceptor: TlsAcceptor) -> std::io::Result<()> {
    /// acceptor.reload_on(&[SIGHUP], |reloaded| match reloaded {
    ///     Ok(()) => eprintln!("new certificates"),
    ///     Err(error) => eprintln!("the former certificates stay: {error}"),
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Signals::new`].
    ///
    /// # Panics
    /// Outside a loop.
    #[doc(alias = "SIGHUP")]
    #[track_caller]
    pub fn reload_on(
        &self,
        numbers: &[i32],
        mut report: impl FnMut(io::Result<()>) + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let handle = Handle::current();
        let signals = Signals::new(&handle, numbers)?;
        let acceptor = self.clone();
        Ok(handle.spawn(async move {
            while signals.recv().await.is_ok() {
                report(acceptor.reload().await);
            }
        }))
    }

    /// Replaces the identities, for handshakes that begin later.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) without an identity;
    /// [`Unsupported`](io::ErrorKind::Unsupported) for an acceptor of [`TlsAcceptor::from_config`].
    /// Then the former identities stay.
    pub fn set_identities(&self, identities: impl IntoIterator<Item = Identity>) -> io::Result<()> {
        self.identities()?.set(identities)
    }

    /// Replaces the configuration, for handshakes that begin later.
    pub fn set_config(&self, config: Arc<ServerConfig>) {
        self.shared.config.set(config);
    }

    /// The configuration in use.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.shared.config.get()
    }

    fn identities(&self) -> io::Result<&Arc<Identities>> {
        self.shared.identities.as_ref().ok_or_else(|| {
            let problem = "the acceptor was made of a configuration: replace that by `set_config`";
            io::Error::new(io::ErrorKind::Unsupported, problem)
        })
    }
}

fn invalid_input(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor")
            .field("identities", &self.shared.identities)
            .field("handshake_limit", &self.shared.handshake_limit)
            .finish_non_exhaustive()
    }
}
