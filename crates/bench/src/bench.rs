//! The programs, the cores, the limits and the report, which all benchmarks share.

use anyhow::Result;

use crate::cli::ServerOptions;
use crate::cores::{Cores, pin_to};
use crate::process::raise_fds_max;
use crate::report::Report;
use crate::server::{Program, Server};

/// Descriptors that are no connections: epolls, pipes, a listener, those of worker threads.
const OTHER_FDS: u64 = 100;

/// One call of the program.
pub(crate) struct Bench {
    pub(crate) programs: Vec<Program>,
    pub(crate) cores: Cores,
    pub(crate) report: Report,
    fds_max: u64,
}

impl Bench {
    /// Finds the servers, pins this thread, and raises the limit of open files.
    pub(crate) fn start(options: &ServerOptions) -> Result<Bench> {
        let cores = Cores::choose()?;
        let mut report = Report::start(cores);
        let programs = Program::find(&options.servers, options.main.as_deref(), &mut report)?;
        pin_to(cores.generator)?;
        Ok(Bench {
            programs,
            cores,
            report,
            fds_max: raise_fds_max()?,
        })
    }

    /// Starts one server of each kind.
    pub(crate) fn start_all(&self) -> Result<Vec<Server>> {
        self.programs
            .iter()
            .map(|program| Server::start(program, self.cores))
            .collect()
    }

    /// Returns `wanted`, or as many connections as the limit of open files allows, with a note.
    pub(crate) fn connections_that_fit(&mut self, wanted: usize) -> usize {
        let fds = usize::try_from(self.fds_max.saturating_sub(OTHER_FDS)).unwrap_or(usize::MAX);
        let fitting = wanted.min(fds.max(1));
        if fitting < wanted {
            let limit = self.fds_max;
            self.report.note(format!(
                "{fitting} connections instead of {wanted}: the limit of open files is {limit}"
            ));
        }
        fitting
    }
}
