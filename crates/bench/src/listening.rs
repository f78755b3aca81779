//! A server's process, from its start until it is killed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;

use crate::cores::Cores;
use crate::process::{CpuTime, Memory, cpu_time, memory, open_fds};
use crate::program::Running;

/// Where a server listens: a free port.
pub(crate) const LISTEN: &str = "127.0.0.1:0";

const LISTENING: &str = "listening on ";
const START_MAX: Duration = Duration::from_secs(10);
/// The maximum time that a server takes to notice that its clients have left.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// A server that listens, on its core. Killed when dropped, and when the benchmark dies.
pub(crate) struct Listening {
    name: &'static str,
    pub(crate) address: SocketAddr,
    process: Running,
}

impl Listening {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(
        name: &'static str,
        command: &[OsString],
        cores: Cores,
    ) -> Result<Listening> {
        let mut process = Running::start(cores.server, command, Stdio::null())
            .with_context(|| format!("cannot start {name}"))?;
        let line = process
            .read_line(START_MAX)
            .with_context(|| format!("{name} did not come up"))?;
        let address = parse_listening(&line)
            .with_context(|| format!("{name} printed {line:?}, not `{LISTENING}ADDRESS`"))?;
        ensure!(
            address.ip().is_loopback(),
            "{name} listens on {address}, not on loopback"
        );
        Ok(Listening {
            name,
            address,
            process,
        })
    }

    /// The server's name in the tables.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// The CPU time so far. It is exact only while the server sleeps: see [`cpu_time`].
    pub(crate) fn cpu_time(&self) -> Result<CpuTime> {
        cpu_time(self.pid()).with_context(|| format!("cannot read the CPU time of {}", self.name))
    }

    /// Memory now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        memory(self.pid()).with_context(|| format!("cannot read the memory of {}", self.name))
    }

    /// How many fds the server has open.
    pub(crate) fn open_fds(&self) -> Result<usize> {
        open_fds(self.pid())
    }

    /// Waits until the server has no more than `count` fds: it has closed its connections.
    pub(crate) fn wait_for_fds(&self, count: usize) -> Result<()> {
        let deadline = Instant::now() + CLOSE_MAX;
        while self.open_fds()? > count {
            let name = self.name;
            ensure!(
                Instant::now() < deadline,
                "{name} keeps connections whose clients have left"
            );
            sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Stops the server, until [`Listening::resume`]: meanwhile the kernel takes what clients send.
    pub(crate) fn stop(&self) -> Result<()> {
        self.process.stop()
    }

    /// Continues the server.
    pub(crate) fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    /// Ends the server by SIGTERM, and waits until it has ended.
    pub(crate) fn terminate(self) -> Result<()> {
        self.process
            .terminate()
            .with_context(|| format!("cannot end {}", self.name))
    }
}

fn parse_listening(text: &str) -> Option<SocketAddr> {
    text.strip_prefix(LISTENING)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listening_line_names_the_address() {
        let address = "127.0.0.1:4242".parse().unwrap();
        assert_eq!(
            parse_listening("listening on 127.0.0.1:4242"),
            Some(address)
        );
        assert_eq!(parse_listening("listening on port 4242"), None);
        assert_eq!(parse_listening("127.0.0.1:4242"), None);
    }
}
