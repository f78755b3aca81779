//! `syscalls`: system calls for each message and for each short connection, counted by strace.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::bench::Bench;
use crate::cli::SyscallOptions;
use crate::contenders::Kind;
use crate::load::Limit;
use crate::progress::Progress;
use crate::report::Row;
use crate::server::{Program, Server};
use crate::strace::{Calls, parse_table, per_unit};

const TITLE: &str = "System calls, by strace: difference of two runs, so that start-up cancels";
const MESSAGE_BYTES: usize = 64;
/// The maximum time that strace takes to write its table after the server is gone.
const TABLE_MAX: Duration = Duration::from_secs(5);
/// The minimum count for each unit that the table shows. A rarer call is noise: a timer, a table
/// that grows.
const SHOWN_MIN: f64 = 0.005;

/// Runs the benchmark and prints its table, or says why it cannot.
pub(crate) fn run(bench: &mut Bench, options: &SyscallOptions) -> Result<()> {
    let Ok(status) = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status()
    else {
        bench.report.note("syscalls is skipped: there is no strace");
        return Ok(());
    };
    if !status.success() || !may_trace() {
        bench
            .report
            .note("syscalls is skipped: strace is not allowed to trace here");
        return Ok(());
    }
    let width = bench.connections_that_fit(options.connections);
    let progress = Progress::start(2 * bench.programs.len());
    let mut rows = Vec::new();
    for program in &bench.programs {
        for workload in [Workload::Messages, Workload::ShortConnections] {
            progress.step(format!("{}, {}", workload.name(), program.kind.name()));
            rows.push(workload.count(bench, program, width, options.repeats)?);
        }
    }
    drop(progress);
    rows.sort_by_key(|row: &SyscallRow| row.unit);
    bench.report.table("syscalls", TITLE, &rows)
}

fn may_trace() -> bool {
    let mut trace = Command::new("strace");
    trace
        .args(["-c", "-o", "/dev/null", "true"])
        .stderr(Stdio::null());
    trace.status().is_ok_and(|status| status.success())
}

/// The unit for which system calls are counted.
#[derive(Clone, Copy)]
enum Workload {
    /// Messages on connections that stay open.
    Messages,
    /// Connect, one message, FIN, close.
    ShortConnections,
}

impl Workload {
    fn name(self) -> &'static str {
        match self {
            Workload::Messages => "message",
            Workload::ShortConnections => "short connection",
        }
    }

    fn count(
        self,
        bench: &Bench,
        program: &Program,
        width: usize,
        repeats: u32,
    ) -> Result<SyscallRow> {
        // Start-up and the end are in both counts, and cancel in the difference.
        let less = self.trace(bench, program, width, repeats)?;
        let more = self.trace(bench, program, width, 2 * repeats)?;
        let units = u32::try_from(width)? * repeats;
        let mut calls = per_unit(&less, &more, units);
        let total = calls.values().sum();
        calls.retain(|_, count| count.abs() >= SHOWN_MIN);
        Ok(SyscallRow {
            unit: self.name(),
            server: program.kind,
            units,
            total,
            calls,
        })
    }

    /// One server's life under strace, with `width` × `repeats` units in it.
    fn trace(self, bench: &Bench, program: &Program, width: usize, repeats: u32) -> Result<Calls> {
        let table = Table::new()?;
        // -D: strace runs as a grandchild, so that the process that is started and killed here is
        // the server.
        let tracer = ["strace", "-D", "-f", "-c", "-o"].map(OsString::from);
        let tracer = [&tracer[..], &[table.path().into(), "--".into()]].concat();
        let server = Server::start(&program.under(&tracer), bench.cores)?;
        self.drive(&server, width, repeats)?;
        drop(server);
        table.read()
    }

    fn drive(self, server: &Server, width: usize, repeats: u32) -> Result<()> {
        let connect = || server.connect(width, MESSAGE_BYTES);
        match self {
            Workload::Messages => {
                let mut load = connect()?;
                load.run(Limit::Each(repeats))?;
                load.close()
            }
            // To connect is to echo one message; to close is to send FIN and wait for the other.
            Workload::ShortConnections => (0..repeats).try_for_each(|_| connect()?.close()),
        }
    }
}

/// The file that strace writes; removed when dropped.
struct Table(PathBuf);

impl Table {
    fn new() -> Result<Table> {
        let name = format!("oneloop-bench-{}.strace", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Table(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn read(&self) -> Result<Calls> {
        let deadline = Instant::now() + TABLE_MAX;
        while Instant::now() < deadline {
            let text = fs::read_to_string(&self.0).context("cannot read strace's table")?;
            if let Some(calls) = parse_table(&text) {
                return Ok(calls);
            }
            sleep(Duration::from_millis(5));
        }
        bail!("strace wrote no table within {TABLE_MAX:?}")
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // a file left in the temporary folder does no harm
    }
}

#[derive(Serialize)]
struct SyscallRow {
    unit: &'static str,
    server: Kind,
    units: u32,
    total: f64,
    calls: BTreeMap<String, f64>,
}

impl Row for SyscallRow {
    const COLUMNS: &'static [&'static str] = &["for each", "server", "calls", "by kind"];
    const TEXT_COLUMNS: usize = 4;

    fn cells(&self) -> Vec<String> {
        let mut kinds: Vec<_> = self.calls.iter().collect();
        kinds.sort_by(|a, b| b.1.total_cmp(a.1));
        let kinds: Vec<_> = kinds
            .iter()
            .map(|(name, count)| format!("{name} {count:.2}"))
            .collect();
        vec![
            self.unit.into(),
            self.server.name().into(),
            format!("{:.2}", self.total),
            kinds.join(", "),
        ]
    }
}
