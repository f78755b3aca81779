#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! TLS on every byte stream of the loop, in every style: [rustls], with the cryptography of ring.
//!
//! [`TlsAcceptor::accept`] and [`TlsConnector::connect`] take a connected stream (`TcpStream`,
//! `UnixStream`, or a [`TlsStream`]) and return a [`TlsStream`], which is read and written like any
//! other stream. A green thread waits for the handshake by `.wait()`, and `green::net::Stream::from`
//! makes a stream of its style of the result.
//!
//! # A server
//!
//! ```no_run
//! use oneloop::aio::{TcpListener, TcpStream, spawn};
//! use oneloop::signal::SIGHUP;
//! use oneloop::tls::{Identity, ServerOptions, TlsAcceptor};
//! use std::io;
//!
//! async fn serve(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
//!     let stream = acceptor.accept(stream).await?; // in the client's own task
//!     while let Some(chunk) = stream.read_chunk().await? {
//!         stream.write_all(&chunk).await?;
//!     }
//!     stream.shutdown().await
//! }
//!
//! #[oneloop::main]
//! async fn main() -> io::Result<()> {
//!     let identity = Identity::from_pem_files("fullchain.pem", "privkey.pem")?;
//!     let acceptor = TlsAcceptor::new([identity], ServerOptions::default())?;
//!     // What certbot has renewed is for the handshakes that begin later.
//!     acceptor.reload_on(&[SIGHUP], |reloaded| {
//!         if let Err(error) = reloaded {
//!             eprintln!("the former certificate stays: {error}");
//!         }
//!     })?;
//!     let listener = TcpListener::bind("0.0.0.0:8443")?;
//!     loop {
//!         let (stream, peer) = listener.accept().await?;
//!         let served = serve(stream, acceptor.clone());
//!         spawn(async move {
//!             if let Err(error) = served.await {
//!                 eprintln!("{peer}: {error}");
//!             }
//!         });
//!     }
//! }
//! ```
//!
//! # Names elsewhere
//!
//! | there | here |
//! |---|---|
//! | tokio-rustls' `TlsAcceptor`, `TlsConnector` | [`TlsAcceptor`], [`TlsConnector`], with a limit for the handshake; [`TlsAcceptor::from_config`] takes a `ServerConfig` |
//! | `rustls_pemfile`, `CertifiedKey` | [`Identity`] |
//! | `RootCertStore`, `rustls-native-certs`, `webpki-roots` | [`Roots`] |
//! | Node's `tls.createServer`, `server.setSecureContext` | [`TlsAcceptor::new`], [`TlsAcceptor::reload`] |
//! | Node's `tls.connect`, `ca`, `ALPNProtocols` | [`TlsConnector::connect`], [`Roots`], [`ClientOptions::alpn`] |
//! | Node's `requestCert`, `rejectUnauthorized` | [`ClientCertificates`] |
//! | Python's `ssl.wrap_socket`, `SSLContext.load_cert_chain` | [`TlsAcceptor::accept`], [`Identity::from_pem_files`] |
//!
//! # What happens when …
//!
//! | what | at this end | at the peer |
//! |---|---|---|
//! | the peer ends by close_notify | a read returns 0 bytes | |
//! | the stream below ends without it | [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) | |
//! | a [`TlsStream`] is dropped | the connection closes | `UnexpectedEof`, or `ECONNRESET` if bytes were left unread |
//! | a client speaks plain HTTP | the handshake fails with [`InvalidData`](std::io::ErrorKind::InvalidData), and says so | the alert `decode_error`, then the end |
//! | a record is too large, cut or altered | `InvalidData`, also for each later read and write | an alert, then the end |
//! | a handshake takes too long | [`TimedOut`](std::io::ErrorKind::TimedOut) | the end |
//! | a certificate or key does not load | an error that names the file; a reload keeps the former | |
//!
//! Nothing that a peer sends makes this crate panic.
//!
//! # What it costs
//!
//! The way between rustls and the stream allocates nothing per read or write, and adds no system call:
//! rustls allocates a buffer for each record, as it does elsewhere. A connection that waits holds
//! rustls' state and its buffer of 4 KiB.
//!
//! # Cargo features
//!
//! `hyper` puts hyper's `Read` and `Write` on a [`TlsStream`]; the feature of that name of `oneloop`
//! turns it on. The traits of tokio and futures-io are always there.

mod acceptor;
mod connector;
mod foreign_traits;
mod handshake;
mod identities;
mod identity;
mod inherent;
mod pem;
mod roots;
mod stream;
mod transport;

pub use acceptor::{ClientCertificates, ServerOptions, TlsAcceptor};
pub use connector::{ClientOptions, TlsConnector};
pub use identity::Identity;
pub use roots::Roots;
pub use stream::TlsStream;
pub use tokio_rustls::rustls;
