//! `idle`: memory for each idle connection, and what 19,000 of them cost the busy ones.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::bench::Bench;
use crate::cli::{IdleOptions, RoundOptions};
use crate::load::Load;
use crate::process::Memory;
use crate::progress::Progress;
use crate::report::Row;
use crate::sample::{Sample, Samples, rotation};
use crate::server::{Kind, Program, Server};
use crate::spread::Spread;

const MEMORY_TITLE: &str = "Idle: a server's own memory for each connection that has echoed once";
const BUSY_TITLE: &str =
    "Idle and busy: one thread holds the idle ones and echoes for the busy ones";

/// The echoed message: small, as on connections that are mostly idle.
const MESSAGE_BYTES: usize = 64;

/// Time for a server to finish what it puts off, before its memory is read.
const SETTLE: Duration = Duration::from_millis(100);

/// Runs the benchmark and prints its two tables.
pub(crate) fn run(bench: &mut Bench, options: &IdleOptions) -> Result<()> {
    let few = bench.connections_that_fit(options.connections);
    let many = match options.many {
        0 => 0,
        wanted => bench.connections_that_fit(wanted + 2 * options.busy) - 2 * options.busy,
    };
    let progress = Progress::start(2 * bench.programs.len());
    let (mut memory_rows, mut busy_rows) = (Vec::new(), Vec::new());
    for program in &bench.programs {
        progress.step(format!("{few} idle connections, {}", program.kind.name()));
        let server = Server::start(program, bench.cores)?;
        let (row, idle) = hold(&server, few)?;
        memory_rows.push(row);
        server.disconnect(idle)?;
    }
    let holders = bench
        .programs
        .iter()
        .filter(|program| options.many_servers.contains(&program.kind));
    for program in holders.filter(|_| many > 0) {
        progress.step(format!(
            "{many} idle and {} busy, {}",
            options.busy,
            program.kind.name()
        ));
        let (row, busy) = idle_and_busy(bench, program, many, options.busy, &options.rounds)?;
        memory_rows.push(row);
        busy_rows.extend(busy);
    }
    drop(progress);
    bench
        .report
        .table("idle_memory", MEMORY_TITLE, &memory_rows)?;
    if busy_rows.is_empty() {
        return Ok(());
    }
    bench.report.table("idle_and_busy", BUSY_TITLE, &busy_rows)
}

/// Opens `count` idle connections and measures what they cost.
fn hold(server: &Server, count: usize) -> Result<(MemoryRow, Load)> {
    // The first connection pays for what all share: buffers, lazily bound symbols.
    server.disconnect(server.connect(1, MESSAGE_BYTES)?)?;
    sleep(SETTLE);
    let before = server.memory()?;
    let idle = server.connect(count, MESSAGE_BYTES)?;
    sleep(SETTLE);
    let after = server.memory()?;
    Ok((MemoryRow::new(server.kind, count, before, after), idle))
}

/// Two servers of one kind, one with `idle` connections and one without, loaded in turns.
fn idle_and_busy(
    bench: &Bench,
    program: &Program,
    idle: usize,
    busy: usize,
    options: &RoundOptions,
) -> Result<(MemoryRow, Vec<BusyRow>)> {
    let servers = [
        Server::start(program, bench.cores)?,
        Server::start(program, bench.cores)?,
    ];
    let idle_counts = [0, idle];
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
    let rows = samples.iter().zip(idle_counts);
    Ok((
        row,
        rows.filter_map(|(samples, idle)| BusyRow::new(samples, idle, busy))
            .collect(),
    ))
}

#[derive(Serialize)]
struct MemoryRow {
    server: Kind,
    connections: usize,
    private_dirty_bytes_per_connection: f64,
    resident_bytes_per_connection: f64,
    private_dirty_bytes_before: u64,
    private_dirty_bytes_after: u64,
}

impl MemoryRow {
    fn new(server: Kind, connections: usize, before: Memory, after: Memory) -> MemoryRow {
        let each = |before: u64, after: u64| (after as f64 - before as f64) / connections as f64;
        MemoryRow {
            server,
            connections,
            private_dirty_bytes_per_connection: each(
                before.private_dirty_bytes,
                after.private_dirty_bytes,
            ),
            resident_bytes_per_connection: each(before.resident_bytes, after.resident_bytes),
            private_dirty_bytes_before: before.private_dirty_bytes,
            private_dirty_bytes_after: after.private_dirty_bytes,
        }
    }
}

impl Row for MemoryRow {
    const COLUMNS: &'static [&'static str] = &[
        "server",
        "connections",
        "private dirty bytes/connection",
        "RSS bytes/connection",
        "KiB before",
        "KiB after",
    ];
    const TEXT_COLUMNS: usize = 1;

    fn cells(&self) -> Vec<String> {
        vec![
            self.server.name().into(),
            self.connections.to_string(),
            format!("{:.0}", self.private_dirty_bytes_per_connection),
            format!("{:.0}", self.resident_bytes_per_connection),
            (self.private_dirty_bytes_before / 1024).to_string(),
            (self.private_dirty_bytes_after / 1024).to_string(),
        ]
    }
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
