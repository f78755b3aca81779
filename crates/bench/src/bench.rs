//! What all benchmarks share: the programs, the cores, the limits and the report.

use anyhow::Result;

use crate::cli::ServerOptions;
use crate::cores::{Cores, pin_to};
use crate::process::raise_fds_max;
use crate::report::Report;
use crate::server::{Program, Server};

/// Descriptors that are neither's connections: epolls, pipes, a listener, worker threads' own.
const OTHER_FDS: u64 = 100;

/// One call of the program.
pub(crate) struct Bench {
    pub(crate) programs: Vec<Program>,
    pub(crate) cores: Cores,
    pub(crate) report: Report,
    fds_max: u64,
}

impl Bench {
    /// Finds the servers, if there are any to be measured, pins this thread and raises the limit of open files.
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

    /// `wanted` connections, or as many as the limit of open files allows, which is then said.
    pub(crate) fn connections_that_fit(&mut self, wanted: usize) -> usize {
        let fds = usize::try_from(self.fds_max.saturating_sub(OTHER_FDS)).unwrap_or(usize::MAX);
        let fitting = wanted.min(fds.max(1));
        if fitting < wanted {
            let limit = self.fds_max;
            self.report.note(format!(
                "{fitting} connections instead of {wanted}: only {limit} files may be open"
            ));
        }
        fitting
    }
}
