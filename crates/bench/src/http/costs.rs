//! What a request costs that no other program disturbs: system calls, and instructions outside of
//! the kernel.

use std::ffi::OsString;

use anyhow::Result;
use serde::Serialize;

use super::load::Workload;
use super::servers::{RUNTIMES, command};
use crate::bench::Bench;
use crate::callgrind;
use crate::contenders::HttpRuntime;
use crate::listening::Listening;
use crate::progress::Progress;
use crate::report::Row;
use crate::strace::{self, SyscallRow};

const CALLS_TITLE: &str = "HTTP: system calls for each request, by strace";
const INSTRUCTIONS_TITLE: &str =
    "HTTP: instructions outside of the kernel for each request, by callgrind";

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
    if let Some(why) = callgrind::why_not() {
        bench.report.skip("http: instructions", why);
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
            let count = |requests| {
                callgrind::counted(|tracer| {
                    let server = start_under(tracer, runtime, workload, bench)?;
                    ask(&server, workload, requests)?;
                    Ok(server)
                })
            };
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

/// Asks that number of times, and waits until the server has closed all connections: both lives
/// then have the same number of closes, which cancel.
fn ask(server: &Listening, workload: &Workload, requests: u32) -> Result<()> {
    let idle = server.open_fds()?;
    workload.run_times(server.address, requests)?;
    server.wait_for_fds(idle)
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
