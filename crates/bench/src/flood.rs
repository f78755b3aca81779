//! The flooding client of the fairness benchmark.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::connection::open_socket;

const WRITE_BYTES: usize = 64 * 1024;

/// The index of the flood's source address. Any one will do.
const SOURCE_INDEX: u32 = 0;

/// One connection that always has the next 64 KiB to send, and drops the echo unread by any check.
///
/// The flood shares the generator's epoll and acts once a turn, after the quiet connections: at
/// most one `send` and one `recv`. A separate thread or process would share the generator's core
/// (the server has the other one), and the scheduler's slices of milliseconds would count in the
/// latencies of the quiet connections as if the server were slow. Within the generator, the flood
/// delays the measurement of a quiet message by one `turn` at most, and the benchmark prints the
/// time of a turn.
///
/// A flood of this kind is still fast: a turn without quiet echoes is short, so the longer a server
/// stays with the flood, the faster the flood sends.
pub(crate) struct Flood {
    fd: OwnedFd,
    buffer: Vec<u8>,
    can_send: bool,
    can_receive: bool,
    pub(crate) counts: FloodCounts,
}

/// The counts of a flood since its `reset`.
pub(crate) struct FloodCounts {
    /// The number of bytes that came back.
    pub(crate) echoed_bytes: u64,
    /// The generator's time for each turn, in nanoseconds.
    pub(crate) turns: Histogram<u64>,
}

impl Flood {
    /// Starts to connect. The edges that `ready` records tell when the socket can be used.
    pub(crate) fn open(address: SocketAddr) -> Result<Flood> {
        let fd = open_socket(address, SOURCE_INDEX)
            .with_context(|| format!("cannot connect the flood to {address}"))?;
        let buffer = vec![b'!'; WRITE_BYTES];
        let counts = FloodCounts {
            echoed_bytes: 0,
            turns: histogram(),
        };
        Ok(Flood {
            fd,
            buffer,
            can_send: false,
            can_receive: false,
            counts,
        })
    }

    /// Resets the counts.
    pub(crate) fn reset(&mut self) {
        self.counts.echoed_bytes = 0;
        self.counts.turns.reset();
    }

    /// Records an edge.
    pub(crate) fn ready(&mut self, flags: EventFlags) {
        self.can_send |= flags.contains(EventFlags::OUT);
        self.can_receive |= flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR);
    }

    /// True when `turn` has something to do.
    pub(crate) fn can_act(&self) -> bool {
        self.can_send || self.can_receive
    }

    /// One `send` and one `recv`, if the socket may take them.
    pub(crate) fn turn(&mut self) -> Result<()> {
        if !self.can_act() {
            return Ok(());
        }
        let began = Instant::now();
        self.send()?;
        self.receive()?;
        self.counts
            .turns
            .saturating_record(began.elapsed().as_nanos() as u64);
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        if !self.can_send {
            return Ok(());
        }
        match send(&self.fd, &self.buffer, SendFlags::NOSIGNAL) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(Errno::AGAIN) => {
                self.can_send = false;
                Ok(())
            }
            Err(error) => Err(error).context("the flooding connection broke"),
        }
    }

    fn receive(&mut self) -> Result<()> {
        if !self.can_receive {
            return Ok(());
        }
        match recv(&self.fd, &mut self.buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => bail!("the server closed the flooding connection"),
            // One `recv` a turn, even if there is more: the quiet connections come first.
            Ok((count, _)) => self.counts.echoed_bytes += count as u64,
            Err(Errno::AGAIN) => self.can_receive = false,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("the flooding connection broke"),
        }
        Ok(())
    }
}

impl AsFd for Flood {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Nanoseconds from 1 to a minute, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("1 ns to 60 s to 3 digits is valid")
}
