//! One measured round: how much, how fast, at what cost.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::load::{Limit, Load};
use crate::process::own_cpu_ns;
use crate::server::{Kind, Server};

/// Long enough for an idle server to go back to sleep, so that its CPU time is exact.
const SETTLE: Duration = Duration::from_millis(3);

/// What one round measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) messages_per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) server_cpu_us: f64,
    /// Parts of the round that the server's and the generator's CPU were busy, 0 to 1.
    pub(crate) server_busy: f64,
    pub(crate) generator_busy: f64,
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
        } else {
            sleep(SETTLE); // under a flood there is no sleep to wait for
        }
        let (server_before, own_before) = (server.cpu_ns()?, own_cpu_ns());
        let round = load.run(Limit::Until(Instant::now() + duration))?;
        let own_ns = own_cpu_ns() - own_before;
        sleep(SETTLE);
        let server_ns = server.cpu_ns()?.saturating_sub(server_before);
        ensure!(round.messages > 0, "no message came back");
        let elapsed_ns = round.elapsed.as_nanos() as f64;
        let us = |quantile| round.latency.value_at_quantile(quantile) as f64 / 1e3;
        Ok(Sample {
            messages_per_s: round.messages as f64 / round.elapsed.as_secs_f64(),
            p50_us: us(0.50),
            p99_us: us(0.99),
            server_cpu_us: server_ns as f64 / 1e3 / round.messages as f64,
            server_busy: server_ns as f64 / elapsed_ns,
            generator_busy: own_ns as f64 / elapsed_ns,
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

/// Turns that rotate: in round r, server r goes first, so that no place in the order is anyone's.
pub(crate) fn rotation(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| (round + turn) % count)
}
