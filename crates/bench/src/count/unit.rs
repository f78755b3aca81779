//! The units of work that are counted, and how the load makes them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::chat::Chat;
use crate::contenders::Unit;
use crate::listening::Listening;
use crate::load::{Limit, Load};

const MESSAGE_BYTES: usize = 64;
const MESSAGE: [u8; MESSAGE_BYTES] = [b'.'; MESSAGE_BYTES];
/// The maximum time until a connection is answered and closed.
const ECHO_MAX: Duration = Duration::from_secs(10);
/// Connections at a time, and members of a chat.
const CONNECTIONS: u32 = 16;

impl Unit {
    pub(super) fn needs_upstream(self) -> bool {
        matches!(self, Unit::ProxiedMessage | Unit::ProxiedConnection)
    }

    /// What the server's command line needs beyond its style and where it listens.
    pub(super) fn arguments(self, upstream: Option<SocketAddr>) -> Vec<String> {
        let mode = match (self, upstream) {
            (Unit::Delivery, _) => "--mode chat --raw".to_owned(),
            (_, Some(upstream)) => format!("--mode proxy --to {upstream}"),
            (_, None) => String::new(),
        };
        let quiet = "--log-level error".split(' '); // the log of each start tells nothing here
        let mode = mode.split_whitespace();
        quiet.chain(mode).map(str::to_owned).collect()
    }

    /// Repeats of the shorter of two lives.
    pub(super) fn repeats(self) -> u32 {
        match self {
            Unit::Message | Unit::ProxiedMessage => 500,
            Unit::Connection | Unit::ProxiedConnection => 60,
            Unit::Delivery => 400,
        }
    }

    /// Units in a repeat.
    pub(super) fn width(self) -> u32 {
        match self {
            Unit::Delivery => CONNECTIONS - 1,
            _ => CONNECTIONS,
        }
    }

    /// Makes the units, and returns when the server has closed all connections.
    pub(super) fn drive(self, server: &Listening, repeats: u32) -> Result<()> {
        let connect = || Load::connect(server.address, CONNECTIONS as usize, MESSAGE_BYTES);
        let idle = server.open_fds()?;
        match self {
            Unit::Message | Unit::ProxiedMessage => {
                let mut load = connect()?;
                load.run(Limit::Each(repeats))?;
                load.close()?;
            }
            // To connect is to echo one message; to close is to send FIN and wait for the other.
            Unit::ProxiedConnection => (0..repeats).try_for_each(|_| connect()?.close())?,
            Unit::Connection => (0..repeats).try_for_each(|_| short_connections(server))?,
            Unit::Delivery => {
                let mut chat = Chat::join(server.address, CONNECTIONS as usize)?;
                (0..repeats).try_for_each(|_| chat.say())?;
            }
        }
        server.wait_for_fds(idle)
    }
}

/// Connects, sends and ends while the server is stopped, so that how many events it finds at once
/// does not depend on the scheduler.
fn short_connections(server: &Listening) -> Result<()> {
    server.stop()?;
    let clients: Result<Vec<_>> = (0..CONNECTIONS).map(|_| send(server.address)).collect();
    server.resume()?; // even if a client failed: the server must be able to end
    for mut client in clients? {
        let mut echo = Vec::new();
        client.set_read_timeout(Some(ECHO_MAX))?;
        client.read_to_end(&mut echo).context("no echo")?;
        ensure!(echo == MESSAGE, "the echo differs from the message");
    }
    Ok(())
}

fn send(address: SocketAddr) -> Result<TcpStream> {
    let mut client = TcpStream::connect(address).context("a client cannot connect")?;
    client.write_all(&MESSAGE)?;
    client.shutdown(Shutdown::Write)?;
    Ok(client)
}
