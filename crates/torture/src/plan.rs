//! Which cases a scenario has: each call of a run without faults, with each of its errors.

use crate::cli::Cli;
use crate::exceptions::Impossible;
use crate::faults::{self, Fault};
use crate::trace::Call;

/// The cases of one scenario.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) faults: Vec<Fault>,
    /// How many injections are left out because no kernel can produce them.
    pub(crate) impossible: usize,
}

impl Plan {
    /// The cases that the command line selects.
    pub(crate) fn of(calls: &[Call], cli: &Cli) -> Plan {
        let mut plan = Plan::default();
        for call in calls.iter().filter(|call| is_selected(call, cli)) {
            for errno in faults::errnos(&call.name) {
                if cli.errno.as_deref().is_some_and(|only| only != *errno) {
                    continue;
                }
                let is_impossible = Impossible::reason(call, errno).is_some();
                for persists in [false, true] {
                    let is_left_out = if persists { cli.once } else { cli.persistent };
                    if is_left_out || persists && !faults::may_persist(errno) {
                        continue;
                    }
                    if is_impossible {
                        plan.impossible += 1;
                        continue;
                    }
                    plan.faults.push(Fault {
                        call: call.name.clone(),
                        at: call.at,
                        errno: (*errno).to_owned(),
                        persists,
                    });
                }
            }
        }
        plan
    }
}

fn is_selected(call: &Call, cli: &Cli) -> bool {
    cli.call.as_ref().is_none_or(|name| *name == call.name) && cli.at.is_none_or(|at| at == call.at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn plan(options: &[&str]) -> Vec<String> {
        let calls = ["getpid", "listen", "waitid"].map(|name| Call {
            name: name.into(),
            at: 2,
            line: format!("{name}() = 0"),
            is_on_eventfd: false,
        });
        let cli = Cli::parse_from([&["torture"], options].concat());
        let faults = Plan::of(&calls, &cli).faults;
        faults.iter().map(Fault::to_string).collect()
    }

    #[test]
    fn each_call_fails_with_each_error_once_and_for_good() {
        let expected = [
            "--call listen --at 2 --errno EADDRINUSE --once",
            "--call listen --at 2 --errno EADDRINUSE --persistent",
            "--call waitid --at 2 --errno EINTR --once",
            "--call waitid --at 2 --errno ECHILD --once",
            "--call waitid --at 2 --errno ECHILD --persistent",
        ];
        assert_eq!(plan(&[]), expected);
    }

    #[test]
    fn the_options_that_a_failed_case_prints_select_it_alone() {
        for case in plan(&[]) {
            let options: Vec<_> = case.split(' ').collect();
            assert_eq!(plan(&options).concat(), case);
        }
    }
}
