//! `syscalls`: system calls for each message and for each short connection, counted by strace.

use anyhow::Result;

use crate::bench::Bench;
use crate::cli::SyscallOptions;
use crate::load::Limit;
use crate::progress::Progress;
use crate::server::{Program, Server};
use crate::strace::{Calls, SyscallRow, counted, why_not};

const TITLE: &str = "System calls, by strace: difference of two runs, so that start-up cancels";
const MESSAGE_BYTES: usize = 64;

/// Runs the benchmark and prints its table, or says why it cannot.
pub(crate) fn run(bench: &mut Bench, options: &SyscallOptions) -> Result<()> {
    if let Some(why) = why_not() {
        bench.report.skip("syscalls", why);
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
        let server = program.kind.name();
        Ok(SyscallRow::new(self.name(), server, units, &less, &more))
    }

    /// One server's life under strace, with `width` × `repeats` units in it.
    fn trace(self, bench: &Bench, program: &Program, width: usize, repeats: u32) -> Result<Calls> {
        counted(|tracer| {
            let server = Server::start(&program.under(tracer), bench.cores)?;
            self.drive(&server, width, repeats)
        })
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
