//! One measured round: how much, how fast, at what cost.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::getpid;

use crate::contenders::Kind;
use crate::load::{Limit, Load};
use crate::process::cpu_time;
use crate::report::Report;
use crate::server::Server;
use crate::spread::Spread;

/// The time in which an idle server goes back to sleep, so that its CPU time is exact.
const SETTLE: Duration = Duration::from_millis(3);

/// The pace of a steady sender, in nanoseconds between two messages: about the median latency of 64
/// connections in closed loops.
const STEADY_NS: u64 = 500_000;

/// The part of the time without a CPU above which the report notes a disturbance.
const DISTURBED_MAX: f64 = 0.05;

/// The measurements of one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) elapsed: Duration,
    pub(crate) messages_per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// The 99th percentile that senders at a steady pace would see. A closed loop stops sending
    /// while the server stalls, and so hides a long stall behind one late message.
    pub(crate) steady_p99_us: f64,
    pub(crate) worst_us: f64,
    pub(crate) server_cpu_us: f64,
    /// Parts of the round that the server's and the generator's CPU were busy, 0 to 1.
    pub(crate) server_busy: f64,
    pub(crate) generator_busy: f64,
    /// The part of the round in which other programs kept one of the two from its CPU.
    pub(crate) disturbed: f64,
}

impl Sample {
    /// Loads `server` for `duration`, after a warm-up of a quarter of it.
    pub(crate) fn take(server: &Server, load: &mut Load, duration: Duration) -> Result<Sample> {
        Self::measure(server, load, duration)
            .with_context(|| format!("a round against {} failed", server.name()))
    }

    fn measure(server: &Server, load: &mut Load, duration: Duration) -> Result<Sample> {
        load.warm_up(duration / 4)?;
        if let Some(flood) = load.flood() {
            flood.reset();
        }
        sleep(SETTLE);
        let own = getpid(); // one thread, whose figures are exact after its sleep
        let (server_before, own_before) = (server.cpu_time()?, cpu_time(own)?);
        let round = load.run(Limit::Until(Instant::now() + duration))?;
        sleep(SETTLE);
        let own_time = cpu_time(own)?.since(own_before);
        let server_time = server.cpu_time()?.since(server_before);
        ensure!(round.messages > 0, "no message came back");
        let elapsed_ns = round.elapsed.as_nanos() as f64;
        let us = |quantile| round.latency.value_at_quantile(quantile) as f64 / 1e3;
        let steady = round.latency.clone_correct(STEADY_NS);
        Ok(Sample {
            elapsed: round.elapsed,
            messages_per_s: round.messages as f64 / round.elapsed.as_secs_f64(),
            p50_us: us(0.50),
            p99_us: us(0.99),
            steady_p99_us: steady.value_at_quantile(0.99) as f64 / 1e3,
            worst_us: us(1.0),
            server_cpu_us: server_time.used_ns as f64 / 1e3 / round.messages as f64,
            server_busy: server_time.used_ns as f64 / elapsed_ns,
            generator_busy: own_time.used_ns as f64 / elapsed_ns,
            disturbed: server_time.waited_ns.max(own_time.waited_ns) as f64 / elapsed_ns,
        })
    }
}

/// One server's samples, in the order of the rounds.
pub(crate) struct Samples {
    pub(crate) kind: Kind,
    pub(crate) rounds: Vec<Sample>,
}

impl Samples {
    /// No samples yet.
    pub(crate) fn of(kind: Kind) -> Samples {
        Samples {
            kind,
            rounds: Vec::new(),
        }
    }

    /// One value of each round.
    pub(crate) fn each(&self, value: fn(&Sample) -> f64) -> impl Iterator<Item = f64> {
        self.rounds.iter().map(value)
    }
}

/// Notes that other programs used much of the two CPUs during the rounds, if they did.
pub(crate) fn note_disturbance<'a>(
    report: &mut Report,
    samples: impl IntoIterator<Item = &'a Samples>,
) {
    let rounds = samples.into_iter().flat_map(|samples| &samples.rounds);
    note_disturbed(report, rounds.map(|sample| sample.disturbed));
}

/// The same for the part of each round that a program waited for its CPU.
pub(crate) fn note_disturbed(report: &mut Report, parts: impl IntoIterator<Item = f64>) {
    let Some(spread) = Spread::of(parts) else {
        return;
    };
    if spread.quartile_3 > DISTURBED_MAX {
        let (median, quartile_3) = (spread.median * 100.0, spread.quartile_3 * 100.0);
        report.note(format!(
            "other programs were running: servers or load waited for their CPU {median:.0} % of \
             the time, in a quarter of the rounds {quartile_3:.0} % and more"
        ));
    }
}

/// The order of the servers in a round: server r goes first in round r, so that each server takes
/// each place in the order equally often.
pub(crate) fn rotation(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| (round + turn) % count)
}
