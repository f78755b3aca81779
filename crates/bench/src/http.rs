//! `http`: the same hyper server on Oneloop and on tokio, asked by wrk and h2load in turns.

mod costs;
mod load;
mod memory;
mod servers;

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use self::load::{Workload, why_not};
use self::servers::{RUNTIMES, command};
use crate::bench::Bench;
use crate::cli::HttpOptions;
use crate::contenders::HttpRuntime;
use crate::listening::Listening;
use crate::progress::Progress;
use crate::report::Row;
use crate::sample::{note_disturbed, rotation};
use crate::spread::Spread;

const TITLE: &str = "HTTP: hyper on Oneloop and on tokio, medians (and quartiles) of pairs";

/// The time in which a server notices that its clients have left, and goes back to sleep.
const SETTLE: Duration = Duration::from_millis(30);

/// Runs the benchmark and prints its tables.
pub(crate) fn run(bench: &mut Bench, options: &HttpOptions) -> Result<()> {
    if let Some(why) = why_not() {
        bench.report.skip("http", &why);
        return Ok(());
    }
    let workloads: Vec<_> = options.loads.iter().copied().map(Workload::of).collect();
    if options.pairs > 0 {
        pairs(bench, &workloads, options)?;
    }
    if options.requests > 0 {
        costs::system_calls(bench, &workloads, options.requests)?;
        costs::instructions(bench, &workloads, options.requests)?;
    }
    if options.kept > 0 {
        memory::run(bench, options.kept)?;
    }
    Ok(())
}

fn pairs(bench: &mut Bench, workloads: &[Workload], options: &HttpOptions) -> Result<()> {
    let count = options.pairs as usize;
    let progress = Progress::start(workloads.len() * count * RUNTIMES.len());
    let (mut rows, mut disturbed) = (Vec::new(), Vec::new());
    for workload in workloads {
        let start = |runtime: HttpRuntime| {
            let command = command(runtime, workload.protocol)?;
            Listening::start(runtime.name(), &command, bench.cores)
        };
        let servers = [start(RUNTIMES[0])?, start(RUNTIMES[1])?];
        for server in &servers {
            Sample::take(server, workload, 1)?; // warms up
        }
        let mut samples = [Vec::new(), Vec::new()];
        for pair in 0..count {
            for turn in rotation(pair, servers.len()) {
                progress.step(format!("{}, {}", workload.name, servers[turn].name()));
                samples[turn].push(Sample::take(&servers[turn], workload, options.seconds)?);
            }
        }
        disturbed.extend(samples.iter().flatten().map(|sample| sample.disturbed));
        rows.extend(PairRow::of(workload, &samples));
    }
    drop(progress);
    bench.report.table("http", TITLE, &rows)?;
    note_disturbed(&mut bench.report, disturbed);
    Ok(())
}

/// One run of the clients.
struct Sample {
    per_s: f64,
    cpu_us: f64,
    disturbed: f64,
}

impl Sample {
    fn take(server: &Listening, workload: &Workload, seconds: u32) -> Result<Sample> {
        let before = server.cpu_time()?;
        let answers = workload
            .run_for(server.address, seconds)
            .with_context(|| format!("{}, {}", workload.name, server.name()))?;
        sleep(SETTLE);
        let time = server.cpu_time()?.since(before);
        ensure!(answers.count > 0, "no request was answered");
        Ok(Sample {
            per_s: answers.per_s,
            cpu_us: time.used_ns as f64 / 1e3 / answers.count as f64,
            disturbed: time.waited_ns as f64 / 1e9 / f64::from(seconds),
        })
    }
}

#[derive(Serialize)]
struct PairRow {
    workload: &'static str,
    pairs: usize,
    requests_per_s: [Spread; 2],
    requests_per_s_ratio: Spread,
    cpu_us_per_request: [Spread; 2],
    cpu_ratio: Spread,
}

impl PairRow {
    fn of(workload: &Workload, samples: &[Vec<Sample>; 2]) -> Option<PairRow> {
        let [own, peer] = samples;
        let spreads = |value: fn(&Sample) -> f64| {
            let spread = |samples: &[Sample]| Spread::of(samples.iter().map(value));
            // Pair by pair: a slow moment of the machine is in both figures, and cancels.
            let ratios = own
                .iter()
                .zip(peer)
                .map(|(own, peer)| value(own) / value(peer));
            Some(([spread(own)?, spread(peer)?], Spread::of(ratios)?))
        };
        let (requests_per_s, requests_per_s_ratio) = spreads(|sample| sample.per_s)?;
        let (cpu_us_per_request, cpu_ratio) = spreads(|sample| sample.cpu_us)?;
        Some(PairRow {
            workload: workload.name,
            pairs: own.len(),
            requests_per_s,
            requests_per_s_ratio,
            cpu_us_per_request,
            cpu_ratio,
        })
    }
}

impl Row for PairRow {
    const COLUMNS: &'static [&'static str] = &[
        "requests",
        "requests/s",
        "tokio",
        "ratio",
        "CPU µs/request",
        "tokio",
        "ratio",
    ];
    const TEXT_COLUMNS: usize = 1;

    fn cells(&self) -> Vec<String> {
        let [per_s, tokio_per_s] = self.requests_per_s.map(|spread| spread.median);
        let [cpu, tokio_cpu] = self.cpu_us_per_request.map(|spread| spread.median);
        vec![
            self.workload.into(),
            format!("{per_s:.0}"),
            format!("{tokio_per_s:.0}"),
            format!("{:.3}", self.requests_per_s_ratio),
            format!("{cpu:.2}"),
            format!("{tokio_cpu:.2}"),
            format!("{:.3}", self.cpu_ratio),
        ]
    }
}
