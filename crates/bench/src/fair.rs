//! `fair`: the latency of quiet clients while one client floods.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::bench::Bench;
use crate::cli::FairOptions;
use crate::contenders::Kind;
use crate::progress::Progress;
use crate::report::Row;
use crate::sample::{Sample, Samples, note_disturbance, rotation};
use crate::server::Server;
use crate::spread::Spread;

const TITLE: &str =
    "Fair: quiet connections without and with one that floods (p99 at a steady pace)";
const MESSAGE_BYTES: usize = 64;

/// The minimum length of a round: several of the stalls that this benchmark looks for fit in it.
const ROUND_MIN: Duration = Duration::from_millis(250);

/// Runs the benchmark and prints its table.
pub(crate) fn run(bench: &mut Bench, options: &FairOptions) -> Result<()> {
    let servers = bench.start_all()?;
    let rounds = options.rounds.count as usize;
    let quiet = bench.connections_that_fit(options.quiet);
    let duration = options.rounds.duration(quiet).max(ROUND_MIN);
    let progress = Progress::start(rounds * servers.len());
    let mut results: Vec<_> = servers
        .iter()
        .map(|server| Results::of(server.kind))
        .collect();
    for round in 0..rounds {
        for turn in rotation(round, servers.len()) {
            progress.step(format!(
                "{quiet} quiet and a flood, {}",
                servers[turn].name()
            ));
            results[turn].add_round(&servers[turn], quiet, duration)?;
        }
    }
    drop(progress);
    let rows: Vec<_> = results
        .iter()
        .filter_map(|result| result.row(quiet))
        .collect();
    bench.report.table("fair", TITLE, &rows)?;
    note_disturbance(
        &mut bench.report,
        results.iter().map(|result| &result.without),
    );
    Ok(())
}

/// One server's rounds.
struct Results {
    without: Samples,
    with: Samples,
    flood_mib_per_s: Vec<f64>,
    flood_turn_p99_us: Vec<f64>,
}

impl Results {
    fn of(kind: Kind) -> Results {
        Results {
            without: Samples::of(kind),
            with: Samples::of(kind),
            flood_mib_per_s: Vec::new(),
            flood_turn_p99_us: Vec::new(),
        }
    }

    /// Measures the same connections, first without and then with the flood.
    fn add_round(&mut self, server: &Server, quiet: usize, duration: Duration) -> Result<()> {
        // The same sockets in both halves, so that the ratio shows the flood alone and not another
        // placement of connections.
        let mut load = server.connect(quiet, MESSAGE_BYTES)?;
        self.without
            .rounds
            .push(Sample::take(server, &mut load, duration)?);
        load.start_flood(server.address)?;
        let with = Sample::take(server, &mut load, duration)?;
        let flood = load.stop_flood().context("the flood is gone")?;
        let mib = flood.echoed_bytes as f64 / f64::from(1 << 20);
        let turn_p99_ns = flood.turns.value_at_quantile(0.99) as f64;
        self.flood_mib_per_s.push(mib / with.elapsed.as_secs_f64());
        self.flood_turn_p99_us.push(turn_p99_ns / 1e3);
        self.with.rounds.push(with);
        server.disconnect(load)
    }

    fn row(&self, quiet: usize) -> Option<FairRow> {
        let p50 = |sample: &Sample| sample.p50_us;
        let p99 = |sample: &Sample| sample.steady_p99_us;
        let worst = |sample: &Sample| sample.worst_us;
        let pairs = self.with.each(p99).zip(self.without.each(p99));
        Some(FairRow {
            server: self.with.kind,
            quiet,
            p50_us_without: Spread::of(self.without.each(p50))?,
            steady_p99_us_without: Spread::of(self.without.each(p99))?,
            worst_us_without: Spread::of(self.without.each(worst))?,
            p50_us_with: Spread::of(self.with.each(p50))?,
            steady_p99_us_with: Spread::of(self.with.each(p99))?,
            worst_us_with: Spread::of(self.with.each(worst))?,
            p99_ratio: Spread::of(pairs.map(|(with, without)| with / without))?,
            flood_mib_per_s: Spread::of(self.flood_mib_per_s.iter().copied())?,
            flood_turn_p99_us: Spread::of(self.flood_turn_p99_us.iter().copied())?,
        })
    }
}

#[derive(Serialize)]
struct FairRow {
    server: Kind,
    quiet: usize,
    p50_us_without: Spread,
    steady_p99_us_without: Spread,
    worst_us_without: Spread,
    p50_us_with: Spread,
    steady_p99_us_with: Spread,
    worst_us_with: Spread,
    p99_ratio: Spread,
    flood_mib_per_s: Spread,
    /// The generator's own part in the delay: its time for the flood in each turn.
    flood_turn_p99_us: Spread,
}

impl Row for FairRow {
    const COLUMNS: &'static [&'static str] = &[
        "server",
        "quiet",
        "p50 µs",
        "p99 µs",
        "worst µs",
        "p50 µs, flood",
        "p99 µs, flood",
        "worst µs, flood",
        "p99 ratio",
        "flood MiB/s",
        "load's own µs/turn",
    ];
    const TEXT_COLUMNS: usize = 1;

    fn cells(&self) -> Vec<String> {
        vec![
            self.server.name().into(),
            self.quiet.to_string(),
            format!("{:.0}", self.p50_us_without.median),
            format!("{:.0}", self.steady_p99_us_without.median),
            format!("{:.0}", self.worst_us_without.max),
            format!("{:.0}", self.p50_us_with.median),
            format!("{:.0}", self.steady_p99_us_with),
            format!("{:.0}", self.worst_us_with.max),
            format!("{:.2}", self.p99_ratio),
            format!("{:.0}", self.flood_mib_per_s.median),
            format!("{:.0}", self.flood_turn_p99_us.median),
        ]
    }
}
