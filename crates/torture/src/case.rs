//! Runs a scenario once, with a fault or without, and notes what happens.

use crate::clients::{self, Served};
use crate::faults::Fault;
use crate::scenario::Play;
use crate::trace::{self, Line};
use crate::traced::{Start, Traced, eventually};
use anyhow::Result;
use rustix::process::Signal;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

/// How long anything may take that should come at once. Only a failed case waits for so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for a client of a server whose fault persists: it may have to wait for good.
const PATIENCE_WHILE_FAULTY: Duration = Duration::from_secs(2);
/// How much one client sends at once, in bytes: more than the buffers of a new connection hold.
const BULK_BYTES: usize = 300_000;
/// How many fresh clients try: with threads, a single fault may hit one on each.
const FRESH_CLIENTS_MAX: u32 = 4;
/// A program is quiet if its log of calls grows by less than `QUIET_BYTES`, about 50 calls, in one
/// of these windows.
const WINDOW: Duration = Duration::from_millis(50);
const WINDOWS: u32 = 40;
const QUIET_BYTES: u64 = 4_000;

/// What happened in one run.
#[derive(Debug)]
pub(crate) struct Observed {
    /// Whether the program announced where it listens, or ended, before patience did.
    pub(crate) has_started: bool,
    /// Whether a server ended although nothing asked it to.
    pub(crate) ended_early: bool,
    /// How the clients were served, one after the other. They come until one is served, so that
    /// the last one is fresh: no single fault hits it.
    pub(crate) served: Vec<Served>,
    /// The open fds once all clients have left, unless the server has ended.
    pub(crate) fds: Option<usize>,
    pub(crate) is_quiet: bool,
    /// `None` if the program did not end.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) log: String,
}

impl Observed {
    /// The lines of the calls that this fault has failed.
    pub(crate) fn hits(&self, fault: &Fault) -> Vec<Line<'_>> {
        trace::injected(&self.log, &fault.call, &fault.errno)
    }

    /// True if the main thread made a call that this fault fails.
    pub(crate) fn makes_call_of(&self, fault: &Fault) -> bool {
        let calls = trace::calls_of_main(&self.log);
        let is_made = |call: &trace::Call| call.name == fault.call && call.at >= fault.at;
        calls.iter().any(is_made)
    }
}

/// Runs a program under the faults of `start`. `fds_max` is the number of fds to return to.
pub(crate) fn run(
    start: &Start,
    play: Play,
    fault: Option<&Fault>,
    fds_max: Option<usize>,
) -> Result<Observed> {
    let mut start = start.clone();
    start.expressions.extend(fault.map(Fault::expression));
    let traced = Traced::start(&start)?;
    let persists = fault.is_some_and(|fault| fault.persists);
    let mut run = Run {
        traced,
        patience: if persists {
            PATIENCE_WHILE_FAULTY
        } else {
            PATIENCE
        },
        observed: Observed {
            has_started: true,
            ended_early: false,
            served: Vec::new(),
            fds: None,
            is_quiet: true,
            status: None,
            stdout: String::new(),
            stderr: String::new(),
            log: String::new(),
        },
    };
    match play {
        Play::Program { .. } => {}
        Play::Echo | Play::Chat | Play::Drain => run.play(play, fds_max)?,
    }
    run.end()
}

struct Run {
    traced: Traced,
    patience: Duration,
    observed: Observed,
}

impl Run {
    /// Plays the clients of a server, and asks it to end.
    fn play(&mut self, play: Play, fds_max: Option<usize>) -> Result<()> {
        let server = match self.traced.next_line(PATIENCE) {
            Ok(Some(line)) => port(line),
            Ok(None) => return Ok(()), // it has ended; the verdict asks whether it said why
            Err(_) => None,
        };
        let Some(server) = server else {
            self.observed.has_started = false;
            self.traced.signal(Signal::TERM);
            return Ok(());
        };
        match play {
            Play::Drain => self.drain(server),
            _ => self.serve(play, server, fds_max)?,
        }
        self.traced.signal(Signal::TERM);
        Ok(())
    }

    fn serve(&mut self, play: Play, server: SocketAddr, fds_max: Option<usize>) -> Result<()> {
        let client = |bulk_bytes| match play {
            Play::Chat => clients::chat(server, self.patience),
            _ => clients::echo(server, bulk_bytes, self.patience),
        };
        self.observed.served.push(client(BULK_BYTES));
        for _ in 0..FRESH_CLIENTS_MAX {
            let fresh = client(0);
            self.observed.served.push(fresh.clone());
            if fresh == Served::Whole {
                break;
            }
        }
        let fds_max = fds_max.unwrap_or(usize::MAX);
        self.observed.is_quiet = self.becomes_quiet();
        eventually(self.patience, || {
            self.observed.fds = self.traced.open_fds();
            self.observed
                .fds
                .is_none_or(|fds| fds <= fds_max)
                .then_some(())
        });
        self.observed.ended_early = self.traced.ended()?.is_some();
        Ok(())
    }

    /// Two clients stay: an idle one, and one that has not read its answer when the signal comes.
    fn drain(&mut self, server: SocketAddr) {
        let idle = clients::wait_with_output(server, 0, self.patience);
        match clients::wait_with_output(server, BULK_BYTES, self.patience) {
            Ok(waiting) => {
                self.traced.signal(Signal::TERM);
                self.observed
                    .served
                    .push(waiting.read_to_end(self.patience));
            }
            Err(served) => self.observed.served.push(served),
        }
        drop(idle);
    }

    fn becomes_quiet(&self) -> bool {
        (0..WINDOWS).any(|_| {
            let before = self.traced.log_bytes();
            thread::sleep(WINDOW);
            self.traced.log_bytes() - before < QUIET_BYTES
        })
    }

    fn end(mut self) -> Result<Observed> {
        self.observed.status = self.traced.wait(PATIENCE)?;
        self.observed.stderr = self.traced.stderr();
        self.observed.log = self.traced.log();
        if self.observed.status.is_some() {
            self.traced.stdout().clone_into(&mut self.observed.stdout);
        }
        Ok(self.observed)
    }
}

/// The address at the end of an announcement.
fn port(line: &str) -> Option<SocketAddr> {
    line.split_whitespace().last()?.parse().ok()
}
