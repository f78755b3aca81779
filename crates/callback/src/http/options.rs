//! How to make a server, a request and an agent: the first arguments of Node's functions.

use super::agent::Agent;
use super::headers::HeaderLines;
use crate::abort::AbortSignal;
use crate::error::Error;
use crate::net::SocketOptions;
use hyper::Uri;
use std::net::IpAddr;
use std::path::PathBuf;

/// How to make a server. The defaults are those of Node 20.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// How to make each accepted socket. Node's HTTP server sends small writes at once
    /// (`no_delay`). `allow_half_open` and `signal` are not used.
    pub socket: SocketOptions,
    /// The time in milliseconds for which a connection without a request is kept, which its client
    /// reads in `Keep-Alive`; 0 sets no limit. As in Node, the server waits a second longer.
    pub keep_alive_timeout_ms: u64,
    /// The time in milliseconds that the head of a request may take; 0 sets no limit.
    pub headers_timeout_ms: u64,
    /// The time in milliseconds that a whole request may take; 0 sets no limit.
    pub request_timeout_ms: u64,
    /// How often the server looks for requests that take too long, in milliseconds. A slow client
    /// may have that much more time.
    pub connections_checking_interval_ms: u64,
    /// The largest head of a request in bytes; a larger one is answered with 431.
    pub max_header_size: usize,
    /// Answers 400 to a request of HTTP/1.1 without a `Host`.
    pub require_host_header: bool,
    /// The number of requests that a connection may carry; 0 sets no limit.
    pub max_requests_per_socket: u64,
}

impl Default for ServerOptions {
    fn default() -> Self {
        let socket = SocketOptions {
            no_delay: true,
            ..SocketOptions::default()
        };
        ServerOptions {
            socket,
            keep_alive_timeout_ms: 5_000,
            headers_timeout_ms: 60_000,
            request_timeout_ms: 300_000,
            connections_checking_interval_ms: 30_000,
            max_header_size: 16 * 1024,
            require_host_header: true,
            max_requests_per_socket: 0,
        }
    }
}

/// What to request: `http.request(options)`.
///
/// ```
/// use oneloop::callback::http::RequestOptions;
///
/// let mut options = RequestOptions::of_url("http://localhost:8080/search?q=tea")?;
/// assert_eq!((&*options.host, options.port), ("localhost", 8080));
/// options.method = "PUT".into();
/// options.set_header("Content-Type", "text/plain");
/// # Ok::<(), oneloop::callback::http::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RequestOptions {
    /// The method, such as `GET`.
    pub method: String,
    /// A name or an IP address; not used with `socket_path`, except for the header `Host`.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path with its query, such as `/search?q=tea`.
    pub path: String,
    /// The Unix socket of the server, in place of a host and port.
    pub socket_path: Option<PathBuf>,
    /// The headers, each with its lines.
    pub headers: Vec<(String, Vec<String>)>,
    /// Sends a `Host` header, unless `headers` has one.
    pub sets_host: bool,
    /// A user and a password, `user:password`, for the header `Authorization`.
    pub auth: Option<String>,
    /// What keeps the connections; without it, the [`global_agent`](super::global_agent).
    pub agent: Option<Agent>,
    /// The timeout of the connection in milliseconds: see
    /// [`set_timeout`](super::ClientRequest::set_timeout).
    pub timeout_ms: Option<u64>,
    /// The local address.
    pub local_address: Option<IpAddr>,
    /// Uses only those of the host's addresses that are IPv4 (4) or IPv6 (6).
    pub family: Option<u8>,
    /// The largest head of a response in bytes.
    pub max_header_size: usize,
    /// Destroys the request when the signal is aborted.
    pub signal: Option<AbortSignal>,
}

impl Default for RequestOptions {
    fn default() -> Self {
        RequestOptions {
            method: "GET".to_owned(),
            host: "localhost".to_owned(),
            port: 80,
            path: "/".to_owned(),
            socket_path: None,
            headers: Vec::new(),
            sets_host: true,
            auth: None,
            agent: None,
            timeout_ms: None,
            local_address: None,
            family: None,
            max_header_size: 16 * 1024,
            signal: None,
        }
    }
}

impl RequestOptions {
    /// The host, port, path and user that a URL names.
    ///
    /// # Errors
    /// `ERR_INVALID_URL`; `ERR_INVALID_PROTOCOL` for another scheme than `http:`.
    pub fn of_url(url: &str) -> Result<Self, Error> {
        let invalid = || Error::new("ERR_INVALID_URL", format!("Invalid URL: {url}"));
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let scheme = uri.scheme_str().ok_or_else(invalid)?;
        if scheme != "http" {
            let message = format!("Protocol \"{scheme}:\" not supported. Expected \"http:\"");
            return Err(Error::new("ERR_INVALID_PROTOCOL", message));
        }
        let authority = uri.authority().ok_or_else(invalid)?.as_str();
        let auth = authority.rsplit_once('@').map(|(auth, _)| auth.to_owned());
        let host = uri.host().ok_or_else(invalid)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(RequestOptions {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(80),
            path: match path.starts_with('?') {
                true => format!("/{path}"),
                false => path.to_owned(),
            },
            auth,
            ..RequestOptions::default()
        })
    }

    /// Adds a header.
    pub fn set_header(&mut self, name: &str, value: impl HeaderLines) -> &mut Self {
        self.headers.push((name.to_owned(), value.into_lines()));
        self
    }
}

/// What a request is made of: a URL, or [`RequestOptions`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what to request",
    label = "write a URL, or `http::RequestOptions`"
)]
pub trait IntoRequestOptions {
    /// The options.
    ///
    /// # Errors
    /// As [`RequestOptions::of_url`].
    fn into_options(self) -> Result<RequestOptions, Error>;
}

impl IntoRequestOptions for RequestOptions {
    fn into_options(self) -> Result<RequestOptions, Error> {
        Ok(self)
    }
}

impl IntoRequestOptions for &str {
    fn into_options(self) -> Result<RequestOptions, Error> {
        RequestOptions::of_url(self)
    }
}

impl IntoRequestOptions for String {
    fn into_options(self) -> Result<RequestOptions, Error> {
        RequestOptions::of_url(&self)
    }
}

impl IntoRequestOptions for &String {
    fn into_options(self) -> Result<RequestOptions, Error> {
        RequestOptions::of_url(self)
    }
}

/// How an agent keeps connections: `new http.Agent(options)`.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Keeps a connection for further requests. Without it, each request has one of its own, and
    /// says `Connection: close`.
    pub keep_alive: bool,
    /// The number of connections to one host; further requests wait.
    pub max_sockets: usize,
    /// The number of connections in all.
    pub max_total_sockets: usize,
    /// The number of idle connections to one host.
    pub max_free_sockets: usize,
    /// The timeout of each connection in milliseconds, 0 for none: an idle one is closed then, and
    /// the request of a busy one emits 'timeout'.
    pub timeout_ms: u64,
    /// Uses the connection again that was idle the longest. By default it is the one that was used
    /// last, which the server has most likely not closed.
    pub uses_oldest: bool,
}

impl Default for AgentOptions {
    fn default() -> Self {
        AgentOptions {
            keep_alive: false,
            max_sockets: usize::MAX,
            max_total_sockets: usize::MAX,
            max_free_sockets: 256,
            timeout_ms: 0,
            uses_oldest: false,
        }
    }
}
