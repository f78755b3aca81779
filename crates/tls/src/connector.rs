//! The client's end.

use crate::handshake::{HANDSHAKE_LIMIT, within};
use crate::identities::Identities;
use crate::identity::{Identity, provider};
use crate::roots::Roots;
use crate::stream::TlsStream;
use crate::transport::Transport;
use oneloop_net::{ReadHalf, WriteHalf};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Does the client's part of handshakes.
///
/// ```no_run
/// use oneloop::aio::{TcpStream, block_on};
/// use oneloop::tls::{ClientOptions, Roots, TlsConnector};
/// # fn main() -> std::io::Result<()> {
/// let connector = TlsConnector::new(Roots::system()?, ClientOptions::default())?;
/// block_on(async {
///     let stream = TcpStream::connect("example.com:443").await?;
///     let stream = connector.connect("example.com", stream).await?;
///     stream.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n").await?;
///     println!("{}", stream.read_text(1 << 20).await?);
///     Ok(())
/// })
/// # }
/// ```
///
/// A clone shares the cache of sessions: a later connection to the same name resumes one, which saves
/// the server a signature and the client the check of the certificates
/// ([`TlsStream::handshake_kind`] tells). The cache has room for 256 names.
#[derive(Clone)]
#[doc(alias("ClientConfig", "HTTPS", "SSL", "wrap_socket"))]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    handshake_limit: Duration,
}

/// The options of a [`TlsConnector`].
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The protocols that the client speaks, the preferred one first, such as `["h2", "http/1.1"]`.
    /// [`TlsStream::alpn_protocol`] is what the server took.
    pub alpn: Vec<&'static str>,
    /// The client's certificate, for servers that ask for one.
    pub identity: Option<Identity>,
    /// How long a handshake may take. The default is 10 s.
    pub handshake_limit: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            alpn: Vec::new(),
            identity: None,
            handshake_limit: HANDSHAKE_LIMIT,
        }
    }
}

impl TlsConnector {
    /// Creates a connector that trusts these roots.
    ///
    /// # Errors
    /// None today.
    pub fn new(roots: Roots, options: ClientOptions) -> io::Result<Self> {
        let ClientOptions {
            alpn,
            identity,
            handshake_limit,
        } = options;
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(Arc::clone(roots.store()));
        let mut config = match identity {
            Some(identity) => builder.with_client_cert_resolver(Identities::new([identity])?),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn
            .into_iter()
            .map(|name| name.as_bytes().into())
            .collect();
        Ok(TlsConnector::from_config(Arc::new(config), handshake_limit))
    }

    /// Creates a connector of a configuration of rustls, for what the options lack.
    pub fn from_config(config: Arc<ClientConfig>, handshake_limit: Duration) -> Self {
        TlsConnector {
            config,
            handshake_limit,
        }
    }

    /// Does the handshake with a server that must have a certificate for this name: a DNS name, which
    /// the server learns (SNI), or an IP address.
    ///
    /// Not cancel safe: dropped before it is ready, it closes the connection.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for what is no name; otherwise as
    /// [`TlsAcceptor::accept`](crate::TlsAcceptor::accept).
    #[doc(alias("handshake", "starttls"))]
    pub async fn connect<S: ReadHalf + WriteHalf>(
        &self,
        name: &str,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let Ok(server) = ServerName::try_from(name.to_owned()) else {
            let problem = format!("{name:?} is neither a DNS name nor an IP address");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        };
        let transport = Transport::new(stream);
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.config));
        let handshake = connector.connect(server, transport.clone()).into_fallible();
        let session = within(self.handshake_limit, &transport, handshake).await?;
        Ok(TlsStream::new(transport, session.into()))
    }

    /// The configuration in use.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("handshake_limit", &self.handshake_limit)
            .finish_non_exhaustive()
    }
}
