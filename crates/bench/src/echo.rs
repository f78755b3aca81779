//! `echo`: messages per second, latency and CPU per message, all servers in rotation.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::bench::Bench;
use crate::cli::EchoOptions;
use crate::contenders::Kind;
use crate::progress::Progress;
use crate::report::Row;
use crate::sample::{Sample, Samples, note_disturbance, rotation};
use crate::server::Server;
use crate::spread::Spread;

const TITLE: &str = "Echo: closed loop, medians (and quartiles) of interleaved rounds";

/// Runs the benchmark and prints its table.
pub(crate) fn run(bench: &mut Bench, options: &EchoOptions) -> Result<()> {
    let servers = bench.start_all()?;
    let mut cells = Vec::new();
    for &connections in &options.connections {
        let connections = bench.connections_that_fit(connections);
        cells.extend(options.bytes.iter().map(|&message_bytes| Cell {
            connections,
            message_bytes,
        }));
    }
    cells.dedup();
    let rounds = options.rounds.count as usize;
    let progress = Progress::start(cells.len() * rounds * servers.len());
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for cell in cells {
        let duration = options.rounds.duration(cell.connections);
        let samples = cell.measure(&servers, rounds, duration, &progress)?;
        rows.extend(cell.rows(&samples));
        all.extend(samples);
    }
    drop(progress);
    bench.report.table("echo", TITLE, &rows)?;
    note_disturbance(&mut bench.report, &all);
    Ok(())
}

/// One combination of sizes.
#[derive(Clone, Copy, PartialEq)]
struct Cell {
    connections: usize,
    message_bytes: usize,
}

impl Cell {
    /// Measures all servers. Every round opens new connections: 10,000 for each server at once
    /// would not fit under the usual limits, and a fresh start is the same for all.
    fn measure(
        self,
        servers: &[Server],
        rounds: usize,
        duration: Duration,
        progress: &Progress,
    ) -> Result<Vec<Samples>> {
        let Cell {
            connections,
            message_bytes,
        } = self;
        let mut samples: Vec<_> = servers
            .iter()
            .map(|server| Samples::of(server.kind))
            .collect();
        for round in 0..rounds {
            for turn in rotation(round, servers.len()) {
                let server = &servers[turn];
                let name = server.name();
                progress.step(format!("echo {connections} × {message_bytes} B, {name}"));
                let mut load = server.connect(connections, message_bytes)?;
                samples[turn]
                    .rounds
                    .push(Sample::take(server, &mut load, duration)?);
                server.disconnect(load)?;
            }
        }
        Ok(samples)
    }

    fn rows(self, samples: &[Samples]) -> Vec<EchoRow> {
        let yardstick = samples.iter().find(|samples| samples.kind == Kind::C);
        samples
            .iter()
            .filter_map(|samples| self.row(samples, yardstick))
            .collect()
    }

    fn row(self, samples: &Samples, yardstick: Option<&Samples>) -> Option<EchoRow> {
        let cost = |sample: &Sample| sample.server_cpu_us;
        let ratio = yardstick.and_then(|yardstick| {
            // Round by round: a slow moment of the machine is in both figures, and cancels.
            let pairs = samples.each(cost).zip(yardstick.each(cost));
            Spread::of(pairs.map(|(own, c)| own / c))
        });
        Some(EchoRow {
            connections: self.connections,
            message_bytes: self.message_bytes,
            server: samples.kind,
            messages_per_s: Spread::of(samples.each(|sample| sample.messages_per_s))?,
            p50_us: Spread::of(samples.each(|sample| sample.p50_us))?,
            p99_us: Spread::of(samples.each(|sample| sample.p99_us))?,
            server_cpu_us_per_message: Spread::of(samples.each(cost))?,
            cpu_ratio_to_c: ratio,
            server_busy: Spread::of(samples.each(|sample| sample.server_busy))?,
            generator_busy: Spread::of(samples.each(|sample| sample.generator_busy))?,
        })
    }
}

#[derive(Serialize)]
struct EchoRow {
    connections: usize,
    message_bytes: usize,
    server: Kind,
    messages_per_s: Spread,
    p50_us: Spread,
    p99_us: Spread,
    server_cpu_us_per_message: Spread,
    cpu_ratio_to_c: Option<Spread>,
    server_busy: Spread,
    generator_busy: Spread,
}

impl Row for EchoRow {
    const COLUMNS: &'static [&'static str] = &[
        "connections",
        "bytes",
        "server",
        "messages/s",
        "p50 µs",
        "p99 µs",
        "CPU µs/message",
        "ratio to c",
        "server busy",
        "load busy",
    ];
    const TEXT_COLUMNS: usize = 0;

    fn cells(&self) -> Vec<String> {
        vec![
            self.connections.to_string(),
            self.message_bytes.to_string(),
            self.server.name().into(),
            format!("{:.0}", self.messages_per_s.median),
            format!("{:.0}", self.p50_us.median),
            format!("{:.0}", self.p99_us.median),
            format!("{:.2}", self.server_cpu_us_per_message),
            self.cpu_ratio_to_c
                .map_or("–".into(), |ratio| format!("{ratio:.3}")),
            percent(self.server_busy),
            percent(self.generator_busy),
        ]
    }
}

fn percent(part: Spread) -> String {
    format!("{:.0} %", part.median * 100.0)
}
