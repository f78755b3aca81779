//! What the process is to do, once its options are known to fit together.

use crate::access::Identity;
use crate::bind::{self, Places};
use crate::check;
use crate::configuration::Configuration;
use crate::messages::Refusal;
use crate::options::{Options, ProcessOptions};
use crate::peer::Peers;
use crate::self_connect::{self, OwnListener};
use crate::work::Work;
use oneloop::net::Addr;

/// Where each service listens, and what it does.
#[derive(Debug)]
pub(crate) struct Plan {
    /// At least one.
    pub(crate) services: Vec<PlannedService>,
    /// What the process becomes once it listens.
    pub(crate) identity: Option<Identity>,
    /// A sentence for each option that is ignored.
    pub(crate) ignored: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct PlannedService {
    pub(crate) options: Options,
    pub(crate) addrs: Vec<Addr>,
    /// The sockets that it takes from those that were passed.
    pub(crate) passed_names: Vec<String>,
    pub(crate) work: Work,
}

impl PlannedService {
    /// Where it listens.
    pub(crate) fn places(&self) -> Places<'_> {
        Places {
            options: &self.options,
            addrs: &self.addrs,
            passed_names: &self.passed_names,
        }
    }
}

impl Plan {
    /// # Errors
    /// All problems that can be found without a start.
    pub(crate) fn of(configuration: Configuration) -> Result<Self, Refusal> {
        Plan::with_addrs(configuration, bind::resolve)
    }

    /// The same, with another way to get the addresses of a service.
    pub(crate) fn with_addrs(
        configuration: Configuration,
        addrs: impl Fn(&Options) -> Result<Vec<Addr>, String>,
    ) -> Result<Self, Refusal> {
        let (mut services, mut ignored, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for options in configuration.services {
            match check::check(&options) {
                Ok(notes) => ignored.extend(notes),
                Err(problem) => problems.push(problem),
            }
            let addrs = addrs(&options).map_err(|problem| options.origins.blame("listen", problem));
            match (addrs, Work::of(&options)) {
                (Ok(addrs), Ok(work)) => services.push(PlannedService {
                    passed_names: bind::passed_names(&options),
                    options,
                    addrs,
                    work,
                }),
                (addrs, work) => problems.extend(addrs.err().into_iter().chain(work.err())),
            }
        }
        problems.extend(shared_addrs(&services));
        let identity = services.first().map(|first| Identity::of(&first.options));
        let identity = match identity.unwrap_or(Ok(None)) {
            Ok(identity) => identity,
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        if problems.is_empty() {
            Ok(Plan {
                services,
                identity,
                ignored,
            })
        } else {
            // Two checks may find the same: `--mode exec` without a program.
            problems.dedup();
            Err(Refusal::Problems(problems))
        }
    }

    /// Checks that no proxy would connect to this server, which has these listeners.
    ///
    /// # Errors
    /// A sentence that names the target, and the listener that it leads to.
    pub(crate) fn check_upstreams(&self, own: &[OwnListener]) -> Result<(), String> {
        for PlannedService { options, work, .. } in &self.services {
            if let Work::Relay(Peers::Upstream(upstream)) = work {
                self_connect::check(upstream, own)
                    .map_err(|problem| options.origins.blame("to", problem))?;
            }
        }
        Ok(())
    }

    /// The options that all services share.
    pub(crate) fn process(&self) -> &ProcessOptions {
        &self.first().process
    }

    /// The options of the first service, which name the origins of those of the process as well.
    pub(crate) fn first(&self) -> &Options {
        &self.services[0].options
    }
}

/// A sentence for each address that two services would listen on.
fn shared_addrs(services: &[PlannedService]) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, service) in services.iter().enumerate() {
        for addr in service.addrs.iter().filter(|addr| !bind::has_port_0(addr)) {
            let before = services[..number].iter();
            if let Some(other) = before.into_iter().find(|other| other.addrs.contains(addr)) {
                let name = |service: &PlannedService| service.options.name.clone();
                let problem = format!(
                    "cannot listen on {addr}: the service '{}' does so already",
                    name(other).unwrap_or_default()
                );
                problems.push(service.options.origins.blame("listen", problem));
            }
        }
    }
    problems
}
