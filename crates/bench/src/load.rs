//! The load generator: one thread, raw epoll, a closed loop on each connection.
//!
//! The generator shares no code with the servers that it judges, and costs about as much as the C
//! server: one `recv` and one `send` for each message, and a share of one `epoll_wait`.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use crate::connection::Connection;
use crate::flood::{Flood, FloodCounts, histogram};

const EVENTS_MAX: usize = 1024;
const BUFFER_BYTES: usize = 64 * 1024;

/// The maximum number of connections that are opened at once. It is below the smallest backlog of
/// the servers (128, that of mio and the standard library), so that the kernel drops no SYN: TCP
/// would send it again only a second later.
const OPENING_MAX: usize = 100;

/// The maximum time without any echo. After that, the run fails.
const STALL: Duration = Duration::from_secs(10);
const WAIT_MAX: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
const NO_WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

const FLOOD_TOKEN: u64 = u64::MAX;

/// When a run ends. Messages in progress are always completed and counted.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// No message starts after this instant.
    Until(Instant),
    /// Each connection sends exactly this many messages.
    Each(u32),
}

/// The results of one run.
pub(crate) struct Round {
    pub(crate) messages: u64,
    pub(crate) elapsed: Duration,
    /// Nanoseconds from the first `send` of a message to its last byte back.
    pub(crate) latency: Histogram<u64>,
}

/// Open connections to one server.
pub(crate) struct Load {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    message: Vec<u8>,
    buffer: Vec<u8>,
    events: Vec<Event>,
    flood: Option<Flood>,
}

impl Load {
    /// Opens `count` connections, each of which has echoed one message on return.
    pub(crate) fn connect(address: SocketAddr, count: usize, message_bytes: usize) -> Result<Load> {
        let no_event = Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        };
        let mut load = Load {
            epoll: epoll::create(CreateFlags::CLOEXEC).context("cannot create an epoll")?,
            connections: Vec::with_capacity(count),
            message: vec![b'.'; message_bytes],
            buffer: vec![0; BUFFER_BYTES],
            events: vec![no_event; EVENTS_MAX],
            flood: None,
        };
        while load.connections.len() < count {
            let first = load.connections.len();
            for index in first..count.min(first + OPENING_MAX) {
                let connection = Connection::open(address, u32::try_from(index)?)?;
                add(&load.epoll, &connection, index as u64)?;
                load.connections.push(connection);
            }
            load.drive(first..load.connections.len(), Limit::Each(1))
                .with_context(|| format!("{first} of {count} connections are open"))?;
        }
        Ok(load)
    }

    /// Runs the closed loop on all connections.
    pub(crate) fn run(&mut self, limit: Limit) -> Result<Round> {
        self.drive(0..self.connections.len(), limit)
    }

    /// Runs for a time, and discards the results: caches, socket buffers and TCP's quick ACKs
    /// settle.
    pub(crate) fn warm_up(&mut self, duration: Duration) -> Result<()> {
        self.run(Limit::Until(Instant::now() + duration)).map(drop)
    }

    /// Opens one more connection that floods the server during the next runs.
    pub(crate) fn start_flood(&mut self, address: SocketAddr) -> Result<()> {
        let flood = Flood::open(address)?;
        add(&self.epoll, &flood, FLOOD_TOKEN)?;
        self.flood = Some(flood);
        Ok(())
    }

    /// Closes the flooding connection, and returns its counts since its `reset`.
    pub(crate) fn stop_flood(&mut self) -> Option<FloodCounts> {
        let Flood { counts, .. } = self.flood.take()?;
        Some(counts)
    }

    /// The flooding connection, if there is one.
    pub(crate) fn flood(&mut self) -> Option<&mut Flood> {
        self.flood.as_mut()
    }

    /// How many connections are open.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Resets all connections, because only a reset leaves no TIME_WAIT behind. The kernel keeps
    /// about 100,000 of those; beyond that it forgets them early, and ports are reused too soon.
    pub(crate) fn reset(self) -> Result<()> {
        self.connections.into_iter().try_for_each(Connection::reset)
    }

    /// Sends FIN on all connections, waits until the server has ended each, and closes them.
    pub(crate) fn close(mut self) -> Result<()> {
        for connection in &self.connections {
            connection.finish()?;
        }
        let mut open = self.connections.len();
        let mut ended = vec![false; open];
        let mut last_end = Instant::now();
        while open > 0 {
            ensure!(
                last_end.elapsed() < STALL,
                "the server keeps {open} connections after FIN"
            );
            for slot in 0..self.wait(&WAIT_MAX)? {
                let index = self.events[slot].data.u64() as usize;
                if !ended[index] && self.connections[index].has_ended() {
                    ended[index] = true;
                    open -= 1;
                    last_end = Instant::now();
                }
            }
        }
        Ok(())
    }

    fn drive(&mut self, range: Range<usize>, limit: Limit) -> Result<Round> {
        let began = Instant::now();
        let mut round = Round {
            messages: 0,
            elapsed: Duration::ZERO,
            latency: histogram(),
        };
        let mut active = range.len();
        for connection in &mut self.connections[range] {
            connection.messages = 0;
            connection.begin(Instant::now());
            connection.push(&mut self.message)?;
        }
        let mut last_echo = Instant::now();
        while active > 0 {
            // The flood has no event for its next turn while its socket stays ready, so the wait
            // must not sleep.
            let flooding = self.flood.as_ref().is_some_and(Flood::can_act);
            let count = self.wait(if flooding { &NO_WAIT } else { &WAIT_MAX })?;
            let before = round.messages;
            for slot in 0..count {
                active -= usize::from(self.on_event(slot, limit, &mut round)?);
            }
            if let Some(flood) = &mut self.flood {
                flood.turn()?;
            }
            let now = Instant::now();
            if round.messages > before {
                last_echo = now;
            }
            let waited = now - last_echo;
            ensure!(
                waited < STALL,
                "no echo for {STALL:?} with {active} messages under way"
            );
        }
        round.elapsed = began.elapsed();
        Ok(round)
    }

    /// Advances one connection; true when it has sent its last message of this run.
    fn on_event(&mut self, slot: usize, limit: Limit, round: &mut Round) -> Result<bool> {
        let (token, flags) = (self.events[slot].data.u64(), self.events[slot].flags);
        if token == FLOOD_TOKEN {
            if let Some(flood) = &mut self.flood {
                flood.ready(flags);
            }
            return Ok(false);
        }
        let connection = &mut self.connections[token as usize];
        connection.push(&mut self.message)?;
        // OUT alone means that no bytes have come, which saves a `recv` that would return EAGAIN.
        if flags == EventFlags::OUT || !connection.pull(&mut self.buffer, self.message.len())? {
            return Ok(false);
        }
        let now = Instant::now();
        round.messages += 1;
        round
            .latency
            .saturating_record((now - connection.started).as_nanos() as u64);
        connection.messages += 1;
        let more = match limit {
            Limit::Until(end) => now < end,
            Limit::Each(messages) => connection.messages < messages,
        };
        if more {
            // At once, not in the next turn: a closed loop measures the server, not this loop.
            connection.begin(now);
            connection.push(&mut self.message)?;
        }
        Ok(!more)
    }

    fn wait(&mut self, timeout: &Timespec) -> Result<usize> {
        match epoll::wait(&self.epoll, &mut self.events[..], Some(timeout)) {
            Ok(count) => Ok(count),
            Err(Errno::INTR) => Ok(0),
            Err(error) => Err(error).context("epoll_wait failed"),
        }
    }
}

/// Registers a socket once, edge-triggered. Interest in OUT costs nothing on TCP, where an OUT edge
/// comes only after a full buffer.
fn add(epoll: &OwnedFd, source: impl std::os::fd::AsFd, token: u64) -> Result<()> {
    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
    epoll::add(epoll, source, EventData::new_u64(token), flags).context("cannot watch a socket")
}
