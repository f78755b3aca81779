//! `--mode proxy`: where each client is connected to.

use crate::endpoint::Endpoint;
use crate::options::Options;
use oneloop::Handle;
use oneloop::net::{Addr, Socket, resolve};
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
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for endpoint in &self.endpoints {
            let addrs = match endpoint {
                Endpoint::Addrs(addrs) => addrs.clone(),
                Endpoint::Name(host, port) => {
                    match self.in_time(handle, resolve(handle, host, *port)).await {
                        Ok(addrs) => addrs.into_iter().map(Addr::Inet).collect(),
                        Err(error) => {
                            failed = at(host, &error);
                            continue;
                        }
                    }
                }
            };
            for addr in addrs {
                match self.in_time(handle, connect(handle, &addr)).await {
                    Ok(socket) => return Ok(socket),
                    Err(error) => failed = at(&addr.to_string(), &error),
                }
            }
        }
        Err(failed)
    }

    async fn in_time<T>(
        &self,
        handle: &Handle,
        step: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let elapsed = |_| io::Error::new(io::ErrorKind::TimedOut, "--connect-timeout passed");
        handle
            .timeout(self.connect_timeout, step)
            .await
            .unwrap_or_else(|error| Err(elapsed(error)))
    }
}

async fn connect(handle: &Handle, addr: &Addr) -> io::Result<Socket> {
    let socket = Socket::connect(handle, addr)?.await?;
    if addr.inet().is_some() {
        socket.set_nodelay(true)?;
    }
    Ok(socket)
}

/// An error that says where.
fn at(place: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{place}: {error}"))
}
