//! What a request costs that no other program disturbs: system calls, and instructions outside of
//! the kernel.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::load::Workload;
use super::servers::{RUNTIMES, command};
use crate::bench::Bench;
use crate::contenders::HttpRuntime;
use crate::listening::Listening;
use crate::process::open_fds;
use crate::progress::Progress;
use crate::report::Row;
use crate::strace::{self, SyscallRow};

const CALLS_TITLE: &str = "HTTP: system calls for each request, by strace";
const INSTRUCTIONS_TITLE: &str =
    "HTTP: instructions outside of the kernel for each request, by callgrind";

const CLOSE_MAX: Duration = Duration::from_secs(10);

/// Prints the table of system calls, or says why it cannot.
pub(super) fn system_calls(bench: &mut Bench, workloads: &[Workload], requests: u32) -> Result<()> {
    if let Some(why) = strace::why_not() {
        bench.report.skip("http: system calls", why);
        return Ok(());
    }
    let progress = Progress::start(workloads.len() * RUNTIMES.len());
    let mut rows = Vec::new();
    for workload in workloads {
        for runtime in RUNTIMES {
            progress.step(format!(
                "system calls, {}, {}",
                workload.name,
                runtime.name()
            ));
            let count = |requests| {
                strace::counted(|tracer| {
                    let server = start_under(tracer, runtime, workload, bench)?;
                    ask(&server, workload, requests)
                })
            };
            let (less, more) = (count(requests)?, count(2 * requests)?);
            let name = runtime.name();
            rows.push(SyscallRow::new(workload.name, name, requests, &less, &more));
        }
    }
    drop(progress);
    bench.report.table("http_system_calls", CALLS_TITLE, &rows)
}

/// Prints the table of instructions, or says why it cannot.
pub(super) fn instructions(bench: &mut Bench, workloads: &[Workload], requests: u32) -> Result<()> {
    let mut valgrind = Command::new("valgrind");
    let version = valgrind.arg("--version").stdout(Stdio::null()).status();
    if version.is_err() {
        bench
            .report
            .skip("http: instructions", "there is no valgrind");
        return Ok(());
    }
    let progress = Progress::start(workloads.len() * RUNTIMES.len());
    let mut rows = Vec::new();
    for workload in workloads {
        let mut each = Vec::new();
        for runtime in RUNTIMES {
            progress.step(format!(
                "instructions, {}, {}",
                workload.name,
                runtime.name()
            ));
            let count = |requests| count_instructions(bench, runtime, workload, requests);
            let (less, more) = (count(requests)?, count(2 * requests)?);
            each.push((more - less) / f64::from(requests));
        }
        rows.push(InstructionRow {
            workload: workload.name,
            oneloop: each[0],
            tokio: each[1],
            ratio: each[0] / each[1],
        });
    }
    drop(progress);
    let report = &mut bench.report;
    report.table("http_instructions", INSTRUCTIONS_TITLE, &rows)
}

fn start_under(
    tracer: &[OsString],
    runtime: HttpRuntime,
    workload: &Workload,
    bench: &Bench,
) -> Result<Listening> {
    let command = [tracer, &command(runtime, workload.protocol)?].concat();
    Listening::start(runtime.name(), &command, bench.cores)
}

/// Asks that number of times, and waits until the server has closed all connections: both lives then have the
/// same number of closes, which cancel.
fn ask(server: &Listening, workload: &Workload, requests: u32) -> Result<()> {
    let idle = open_fds(server.pid())?;
    workload.run_times(server.address, requests)?;
    let deadline = Instant::now() + CLOSE_MAX;
    while open_fds(server.pid())? > idle {
        let name = server.name();
        ensure!(Instant::now() < deadline, "{name} keeps connections");
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn count_instructions(
    bench: &Bench,
    runtime: HttpRuntime,
    workload: &Workload,
    requests: u32,
) -> Result<f64> {
    let name = format!("oneloop-bench-{}.callgrind", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut out = OsString::from("--callgrind-out-file=");
    out.push(&path);
    let tracer = [
        "valgrind".into(),
        "--tool=callgrind".into(),
        "-q".into(),
        out,
    ];
    let server = start_under(&tracer, runtime, workload, bench)?;
    ask(&server, workload, requests)?;
    server.terminate()?; // valgrind writes its file when the server ends
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    let _ = fs::remove_file(&path); // a file left in the temporary folder does no harm
    parse_total(&text).context("callgrind wrote no total")
}

fn parse_total(text: &str) -> Option<f64> {
    let total = text.lines().find_map(|line| line.strip_prefix("totals:"))?;
    total.trim().parse().ok()
}

#[derive(Serialize)]
struct InstructionRow {
    workload: &'static str,
    oneloop: f64,
    tokio: f64,
    ratio: f64,
}

impl Row for InstructionRow {
    const COLUMNS: &'static [&'static str] = &["requests", "oneloop", "tokio", "ratio"];
    const TEXT_COLUMNS: usize = 1;

    fn cells(&self) -> Vec<String> {
        vec![
            self.workload.into(),
            format!("{:.0}", self.oneloop),
            format!("{:.0}", self.tokio),
            format!("{:.3}", self.ratio),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgrind_writes_the_total_at_the_end() {
        let text = "events: Ir\n\nfn=(1) main\n12 34\n\ntotals: 68205\n";
        assert_eq!(parse_total(text), Some(68205.0));
        assert_eq!(parse_total("events: Ir\n"), None);
    }
}
