//! Connections for hyper-util's pooled client: the cargo feature `hyper-client`.

use crate::{Local, local};
use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use oneloop_net::{ConnectOptions, TcpStream};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_service::Service;

/// Connects hyper-util's client over TCP on the current loop: its `HttpConnector`.
///
/// Names are looked up without blocking the loop, and of several addresses the one that answers
/// first is used: see [`TcpStream::connect_with`].
///
/// ```text
/// let client = Client::builder(LoopExecutor)
///     .pool_timer(LoopTimer) // ends connections that have been idle for 90 s
///     .build(LoopConnector::default());
/// let answer = client.get("http://example.org/".parse()?).await?;
/// ```
///
/// It is a service of tower, which connects to the host of a URI:
///
/// ```
/// use oneloop::aio::hyper::LoopConnector;
/// use oneloop::aio::{TcpListener, block_on};
/// use tower_service::Service;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let uri = format!("http://{}/", listener.local_addr()?).parse()?;
///     let stream = LoopConnector::default().call(uri).await?;
///     assert!(stream.with(|stream| stream.peer_addr()).is_ok());
///     Ok(())
/// })
/// # }
/// ```
///
/// An idle connection keeps the loop alive until the client closes it: after its idle timeout, or
/// when the client is dropped. The client is `Send`, but only its own loop may use it: another
/// thread panics, as with [`local()`].
///
/// # Errors
/// As [`TcpStream::connect_with`]; [`InvalidInput`](io::ErrorKind::InvalidInput) for a URI without a
/// host, or whose scheme is not `http`.
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias("HttpConnector", "reqwest"))]
pub struct LoopConnector {
    options: ConnectOptions,
    allows_any_scheme: bool,
}

impl LoopConnector {
    /// Connects with options, such as a time limit.
    pub fn with_options(options: ConnectOptions) -> Self {
        LoopConnector {
            options,
            ..LoopConnector::default()
        }
    }

    /// Connects for every scheme, for a connector that adds TLS above this one: `enforce_http(false)`
    /// of `HttpConnector`. Without it, what the user believes to be encrypted would not be.
    pub fn allow_any_scheme(mut self) -> Self {
        self.allows_any_scheme = true;
        self
    }

    /// The host and port of a URI.
    fn target(&self, uri: &Uri) -> io::Result<(String, u16)> {
        let invalid = |problem: String| io::Error::new(io::ErrorKind::InvalidInput, problem);
        let is_https = uri.scheme_str() == Some("https");
        if uri.scheme_str() != Some("http") && !self.allows_any_scheme {
            return Err(invalid(format!("the scheme of {uri} is not http")));
        }
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err(invalid(format!("{uri} has no host")));
        }
        // RFC 3986: the address of IPv6 stands in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        Ok((host.to_owned(), port))
    }
}

impl Service<Uri> for LoopConnector {
    type Response = Local<TcpStream>;
    type Error = io::Error;
    type Future = LoopConnecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> LoopConnecting {
        let connector = *self;
        let connecting = async move {
            let target = connector.target(&uri)?;
            let stream = TcpStream::connect_with(target, connector.options).await?;
            Ok(local(stream))
        };
        LoopConnecting {
            connecting: local(Box::pin(connecting)),
        }
    }
}

type LoopConnection = io::Result<Local<TcpStream>>;

/// The future of a [`LoopConnector`]. Cancel safe: dropping it closes all attempts.
#[must_use = "futures do nothing unless awaited"]
pub struct LoopConnecting {
    connecting: Local<Pin<Box<dyn Future<Output = LoopConnection>>>>,
}

impl fmt::Debug for LoopConnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoopConnecting")
    }
}

impl Future for LoopConnecting {
    type Output = LoopConnection;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LoopConnection> {
        Pin::new(&mut self.connecting).poll(cx)
    }
}

impl Connection for Local<TcpStream> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
