//! `--mode proxy`: where each client is connected to.

use crate::endpoint::Endpoint;
use crate::options::Options;
use oneloop::Handle;
use oneloop::net::{Addr, Socket, TcpStream};
use std::future::Future;
use std::io;
use std::time::Duration;

/// The places of `--to`, to be tried in turn.
#[derive(Debug)]
pub(crate) struct Upstream {
    endpoints: Vec<Endpoint>,
    connect_timeout: Duration,
}

impl Upstream {
    /// # Errors
    /// A sentence on what is no place.
    pub(crate) fn of(options: &Options) -> Result<Self, String> {
        let parse = |text: &String| {
            let wrong = || format!("cannot connect to '{text}': give HOST:PORT, PORT or unix:PATH");
            Endpoint::parse(text).ok_or_else(wrong)
        };
        Ok(Upstream {
            endpoints: options.to.iter().map(parse).collect::<Result<_, _>>()?,
            connect_timeout: options.connect_timeout.into(),
        })
    }

    /// Connects to the first place that can be reached. A name is looked up each time, as it may move.
    ///
    /// # Errors
    /// That of the last place.
    pub(crate) async fn connect(&self, handle: &Handle) -> io::Result<Socket> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "there is no place to connect to");
        for endpoint in &self.endpoints {
            let connected = match endpoint {
                Endpoint::Addrs(addrs) => self.connect_to_first(handle, addrs).await,
                Endpoint::Name(host, port) => {
                    let stream = TcpStream::connect(handle, (host.as_str(), *port));
                    let connected = self.in_time(handle, stream).await.map(Socket::from);
                    connected.map_err(|error| at(host, &error))
                }
            };
            match connected {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn connect_to_first(&self, handle: &Handle, addrs: &[Addr]) -> io::Result<Socket> {
        let mut failed = io::ErrorKind::NotFound.into();
        for addr in addrs {
            match self.in_time(handle, connect(handle, addr)).await {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = at(&addr.to_string(), &error),
            }
        }
        Err(failed)
    }

    async fn in_time<T>(
        &self,
        handle: &Handle,
        step: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let passed = io::Error::new(io::ErrorKind::TimedOut, "--connect-timeout passed");
        let step = handle.timeout(self.connect_timeout, step).await;
        step.unwrap_or(Err(passed))
    }
}

async fn connect(handle: &Handle, addr: &Addr) -> io::Result<Socket> {
    match addr {
        Addr::Inet(addr) => Ok(TcpStream::connect(handle, *addr).await?.into()),
        unix => Socket::connect(handle, unix)?.await,
    }
}

/// An error that says where.
fn at(place: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{place}: {error}"))
}
