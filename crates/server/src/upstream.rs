//! `--mode proxy`: the server that each client is connected to.

use crate::access::SendProxy;
use crate::endpoint::Endpoint;
use crate::introduction::Introduction;
use crate::options::Options;
use oneloop::Handle;
use oneloop::net::{Addr, ConnectOptions, Keepalive, Socket, TcpStream};
use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;

/// The targets of `--to`, which are tried in turn.
#[derive(Debug)]
pub(crate) struct Upstream {
    targets: Vec<Target>,
    connect_timeout: Duration,
    keepalive: Option<Keepalive>,
    send_proxy: Option<SendProxy>,
}

#[derive(Debug)]
pub(crate) enum Target {
    Addr(Addr),
    /// A name is resolved for each client, as its addresses may change.
    Name(String, u16),
}

impl Target {
    fn all_of(endpoint: Endpoint) -> Vec<Target> {
        match endpoint {
            Endpoint::Addrs(addrs) => addrs.into_iter().map(Target::Addr).collect(),
            Endpoint::Name(host, port) => vec![Target::Name(host, port)],
        }
    }

    async fn open(&self, options: ConnectOptions, header: &[u8]) -> io::Result<Socket> {
        let socket = self.connect(options).await?;
        if !header.is_empty() {
            socket.write_all(header).await?; // at once: nothing waits to be sent yet
        }
        Ok(socket)
    }

    async fn connect(&self, options: ConnectOptions) -> io::Result<Socket> {
        let stream = match self {
            Target::Addr(Addr::Inet(addr)) => TcpStream::connect_with(*addr, options).await,
            // A full Unix backlog is retried there (EAGAIN of connect(2)), up to the same
            // timeout.
            Target::Addr(unix) => return Socket::connect(unix)?.await,
            Target::Name(host, port) => {
                TcpStream::connect_with((host.as_str(), *port), options).await
            }
        };
        Ok(stream?.into())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Addr(addr) => addr.fmt(f),
            Target::Name(host, _) => f.write_str(host),
        }
    }
}

impl Upstream {
    /// # Errors
    /// A sentence that says which address is wrong, and why.
    pub(crate) fn of(options: &Options) -> Result<Self, String> {
        let parse = |text: &String| {
            let wrong = |why: &str| {
                let problem = format!("cannot connect to '{text}': {why}");
                options.origins.blame("to", problem)
            };
            match Endpoint::parse(text) {
                None => Err(wrong(&Endpoint::what_is_wrong(text))),
                Some(endpoint) if endpoint.has_port_0() => Err(wrong("no server has port 0")),
                Some(endpoint) => Ok(endpoint),
            }
        };
        let endpoints = options.service.to.iter().map(parse);
        let endpoints: Vec<_> = endpoints.collect::<Result<_, _>>()?;
        Ok(Upstream {
            targets: endpoints.into_iter().flat_map(Target::all_of).collect(),
            connect_timeout: options.service.connect_timeout.into(),
            keepalive: options.service.keepalive.0,
            send_proxy: SendProxy::of(options),
        })
    }

    /// The addresses that each target leads to now. As it takes its time to resolve a name, only
    /// names with one of these ports are resolved.
    pub(crate) fn leads_to(&self, ports: &[u16]) -> impl Iterator<Item = (&Target, Vec<Addr>)> {
        self.targets.iter().map(|target| {
            let addrs = match target {
                Target::Addr(addr) => vec![addr.clone()],
                Target::Name(host, port) if ports.contains(port) => {
                    let found = (host.as_str(), *port).to_socket_addrs();
                    found.into_iter().flatten().map(Addr::Inet).collect()
                }
                Target::Name(..) => Vec::new(),
            };
            (target, addrs)
        })
    }

    /// The bytes that introduce a client; none without `--send-proxy`, and then its addresses are
    /// not asked for.
    pub(crate) fn header(&self, client: impl FnOnce() -> io::Result<Introduction>) -> Vec<u8> {
        let Some(send_proxy) = self.send_proxy else {
            return Vec::new();
        };
        match client() {
            Ok(addrs) => send_proxy.header(&addrs),
            Err(_) => send_proxy.header(&Introduction::unknown()), // it is gone already
        }
    }

    /// Connects to the first target that can be reached, and sends it these bytes first.
    ///
    /// # Errors
    /// The error of the last target.
    pub(crate) async fn connect(&self, handle: &Handle, header: &[u8]) -> io::Result<Socket> {
        let mut failed =
            io::Error::new(io::ErrorKind::NotFound, "there is no server to connect to");
        let options = ConnectOptions {
            keepalive: self.keepalive,
            ..ConnectOptions::default()
        };
        for target in &self.targets {
            // The timeout is for each target, so that a dead first one leaves time for the
            // second.
            let passed = io::Error::new(io::ErrorKind::TimedOut, "--connect-timeout passed");
            let connected = handle
                .timeout(self.connect_timeout, target.open(options, header))
                .await;
            // Only the last error is returned. Targets are alternatives, so the log needs one
            // line per client.
            match connected.unwrap_or(Err(passed)) {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = io::Error::new(error.kind(), format!("{target}: {error}")),
            }
        }
        Err(failed)
    }
}
