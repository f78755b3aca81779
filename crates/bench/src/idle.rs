//! `idle`: memory per idle connection, and the cost of 19,000 of them for busy ones.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::bench::Bench;
use crate::cli::{IdleOptions, RoundOptions};
use crate::contenders::Kind;
use crate::load::Load;
use crate::memory_row::MemoryRow;
use crate::progress::Progress;
use crate::report::Row;
use crate::sample::{Sample, Samples, note_disturbance, rotation};
use crate::server::{Program, Server};
use crate::spread::Spread;

const MEMORY_TITLE: &str = "Idle: a server's own memory for each connection that has echoed once";
const BUSY_TITLE: &str =
    "Idle and busy: one thread holds the idle ones and echoes for the busy ones";

/// The echoed message: small, as on connections that are mostly idle.
const MESSAGE_BYTES: usize = 64;

/// The time that a server gets to finish deferred work before its memory is read.
const SETTLE: Duration = Duration::from_millis(100);

/// Runs the benchmark and prints its tables.
pub(crate) fn run(bench: &mut Bench, options: &IdleOptions) -> Result<()> {
    only_idle(bench, options.connections)?;
    // One process, with one limit of open files, holds the client's end of the idle connections and
    // of the busy ones.
    let many = match options.many {
        0 => 0,
        wanted => bench
            .connections_that_fit(wanted + options.busy)
            .saturating_sub(options.busy),
    };
    match many {
        0 => Ok(()),
        many => idle_beside_busy(bench, many, options),
    }
}

fn only_idle(bench: &mut Bench, wanted: usize) -> Result<()> {
    let count = bench.connections_that_fit(wanted);
    let progress = Progress::start(bench.programs.len());
    let mut rows = Vec::new();
    for program in &bench.programs {
        progress.step(format!("{count} idle connections, {}", program.kind.name()));
        let server = Server::start(program, bench.cores)?;
        let (row, idle) = hold(&server, count)?;
        rows.push(row);
        server.disconnect(idle)?;
    }
    drop(progress);
    bench.report.table("idle_memory", MEMORY_TITLE, &rows)
}

fn idle_beside_busy(bench: &mut Bench, many: usize, options: &IdleOptions) -> Result<()> {
    let busy = options.busy;
    let chosen = |program: &&Program| options.many_servers.contains(&program.kind);
    let programs: Vec<_> = bench.programs.iter().filter(chosen).collect();
    let progress = Progress::start(programs.len());
    let (mut memory_rows, mut rows, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for program in programs {
        progress.step(format!(
            "{many} idle and {busy} busy, {}",
            program.kind.name()
        ));
        let (row, samples) = idle_and_busy(bench, program, many, busy, &options.rounds)?;
        memory_rows.push(row);
        let counted = samples.iter().zip([0, many]);
        rows.extend(counted.filter_map(|(samples, idle)| BusyRow::new(samples, idle, busy)));
        all.extend(samples);
    }
    drop(progress);
    if rows.is_empty() {
        return Ok(());
    }
    bench
        .report
        .table("many_idle_memory", MEMORY_TITLE, &memory_rows)?;
    bench.report.table("idle_and_busy", BUSY_TITLE, &rows)?;
    note_disturbance(&mut bench.report, &all);
    Ok(())
}

/// Opens `count` idle connections and measures what they cost.
fn hold(server: &Server, count: usize) -> Result<(MemoryRow, Load)> {
    // The first connection pays for shared things: buffers, lazily bound symbols.
    server.disconnect(server.connect(1, MESSAGE_BYTES)?)?;
    sleep(SETTLE);
    let before = server.memory()?;
    let idle = server.connect(count, MESSAGE_BYTES)?;
    sleep(SETTLE);
    let after = server.memory()?;
    Ok((MemoryRow::new(server.name(), count, before, after), idle))
}

/// Loads two servers of one kind in turns, one without and one with `idle` connections: both then
/// see the same moments of the machine.
fn idle_and_busy(
    bench: &Bench,
    program: &Program,
    idle: usize,
    busy: usize,
    options: &RoundOptions,
) -> Result<(MemoryRow, [Samples; 2])> {
    let servers = [
        Server::start(program, bench.cores)?,
        Server::start(program, bench.cores)?,
    ];
    let (row, held) = hold(&servers[1], idle)?;
    let duration = options.duration(busy);
    let mut samples = [Samples::of(program.kind), Samples::of(program.kind)];
    for round in 0..options.count as usize {
        for turn in rotation(round, servers.len()) {
            let mut load = servers[turn].connect(busy, MESSAGE_BYTES)?;
            samples[turn]
                .rounds
                .push(Sample::take(&servers[turn], &mut load, duration)?);
            servers[turn].disconnect(load)?;
        }
    }
    held.reset()?;
    Ok((row, samples))
}

#[derive(Serialize)]
struct BusyRow {
    server: Kind,
    idle: usize,
    busy: usize,
    messages_per_s: Spread,
    p50_us: Spread,
    p99_us: Spread,
    server_cpu_us_per_message: Spread,
}

impl BusyRow {
    fn new(samples: &Samples, idle: usize, busy: usize) -> Option<BusyRow> {
        Some(BusyRow {
            server: samples.kind,
            idle,
            busy,
            messages_per_s: Spread::of(samples.each(|sample| sample.messages_per_s))?,
            p50_us: Spread::of(samples.each(|sample| sample.p50_us))?,
            p99_us: Spread::of(samples.each(|sample| sample.p99_us))?,
            server_cpu_us_per_message: Spread::of(samples.each(|sample| sample.server_cpu_us))?,
        })
    }
}

impl Row for BusyRow {
    const COLUMNS: &'static [&'static str] = &[
        "server",
        "idle",
        "busy",
        "messages/s",
        "p50 µs",
        "p99 µs",
        "CPU µs/message",
    ];
    const TEXT_COLUMNS: usize = 1;

    fn cells(&self) -> Vec<String> {
        vec![
            self.server.name().into(),
            self.idle.to_string(),
            self.busy.to_string(),
            format!("{:.0}", self.messages_per_s),
            format!("{:.0}", self.p50_us),
            format!("{:.0}", self.p99_us),
            format!("{:.2}", self.server_cpu_us_per_message),
        ]
    }
}
