//! `--mode proxy`: where each client is connected to.

use crate::endpoint::Endpoint;
use crate::options::Options;
use oneloop::Handle;
use oneloop::net::{Addr, ConnectOptions, Keepalive, Socket, TcpStream};
use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;

/// The places of `--to`, to be tried in turn.
#[derive(Debug)]
pub(crate) struct Upstream {
    places: Vec<Place>,
    connect_timeout: Duration,
    keepalive: Option<Keepalive>,
}

#[derive(Debug)]
pub(crate) enum Place {
    Addr(Addr),
    /// A name is looked up each time, as it may move.
    Name(String, u16),
}

impl Place {
    fn all_of(endpoint: Endpoint) -> Vec<Place> {
        match endpoint {
            Endpoint::Addrs(addrs) => addrs.into_iter().map(Place::Addr).collect(),
            Endpoint::Name(host, port) => vec![Place::Name(host, port)],
        }
    }

    async fn connect(&self, options: ConnectOptions) -> io::Result<Socket> {
        let stream = match self {
            Place::Addr(Addr::Inet(addr)) => TcpStream::connect_with(*addr, options).await,
            Place::Addr(unix) => return Socket::connect(unix)?.await,
            Place::Name(host, port) => {
                TcpStream::connect_with((host.as_str(), *port), options).await
            }
        };
        Ok(stream?.into())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Addr(addr) => addr.fmt(f),
            Place::Name(host, _) => f.write_str(host),
        }
    }
}

impl Upstream {
    /// # Errors
    /// A sentence on what is no place.
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
        let endpoints = options.to.iter().map(parse);
        let endpoints: Vec<_> = endpoints.collect::<Result<_, _>>()?;
        Ok(Upstream {
            places: endpoints.into_iter().flat_map(Place::all_of).collect(),
            connect_timeout: options.connect_timeout.into(),
            keepalive: options.keepalive.0,
        })
    }

    /// Where its places lead to now. Of names, only those with one of these ports are looked up, which takes
    /// its time.
    pub(crate) fn leads_to(&self, ports: &[u16]) -> impl Iterator<Item = (&Place, Vec<Addr>)> {
        self.places.iter().map(|place| {
            let addrs = match place {
                Place::Addr(addr) => vec![addr.clone()],
                Place::Name(host, port) if ports.contains(port) => {
                    let found = (host.as_str(), *port).to_socket_addrs();
                    found.into_iter().flatten().map(Addr::Inet).collect()
                }
                Place::Name(..) => Vec::new(),
            };
            (place, addrs)
        })
    }

    /// Connects to the first place that can be reached.
    ///
    /// # Errors
    /// That of the last place.
    pub(crate) async fn connect(&self, handle: &Handle) -> io::Result<Socket> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "there is no place to connect to");
        let options = ConnectOptions {
            keepalive: self.keepalive,
            ..ConnectOptions::default()
        };
        for place in &self.places {
            let passed = io::Error::new(io::ErrorKind::TimedOut, "--connect-timeout passed");
            let connected = handle
                .timeout(self.connect_timeout, place.connect(options))
                .await;
            match connected.unwrap_or(Err(passed)) {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = io::Error::new(error.kind(), format!("{place}: {error}")),
            }
        }
        Err(failed)
    }
}
