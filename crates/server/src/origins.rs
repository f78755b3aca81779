//! Where each option's value comes from, so that a wrong one is reported by the name it was given
//! under.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use std::collections::BTreeMap;
use std::ffi::OsStr;

/// Where the values of the options come from, by the ids of the options.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(BTreeMap<String, Origin>);

#[derive(Clone, Debug)]
struct Origin {
    flag: String,
    variable: String,
    /// As it was given, or the default; empty for a flag without a value.
    value: String,
    source: Option<ValueSource>,
}

impl Origins {
    pub(crate) fn of(command: &Command, matches: &ArgMatches) -> Self {
        let options = command
            .get_arguments()
            .filter(|arg| arg.get_env().is_some());
        let origin = |arg: &Arg| {
            let id = arg.get_id().as_str();
            let source = matches.value_source(id);
            // A switch has no value on the command line, but its variable does.
            let has_value =
                arg.get_action().takes_values() || source == Some(ValueSource::EnvVariable);
            let values = matches
                .get_raw(id)
                .filter(|_| has_value)
                .unwrap_or_default();
            let values: Vec<_> = values.map(OsStr::to_string_lossy).collect();
            let origin = Origin {
                flag: format!("--{}", arg.get_long().unwrap_or_default()),
                variable: arg.get_env().unwrap_or_default().display().to_string(),
                value: values.join(","),
                source,
            };
            (id.to_owned(), origin)
        };
        Origins(options.map(origin).collect())
    }

    fn get(&self, id: &str) -> &Origin {
        self.0.get(id).expect("every id is that of an option")
    }

    /// True if the option was given on the command line.
    pub(crate) fn is_on_command_line(&self, id: &str) -> bool {
        self.get(id).source == Some(ValueSource::CommandLine)
    }

    /// True if the option's value comes from its variable.
    pub(crate) fn is_in_environment(&self, id: &str) -> bool {
        self.get(id).source == Some(ValueSource::EnvVariable)
    }

    /// The name that the option was given under: the variable's, or else the flag's.
    pub(crate) fn name(&self, id: &str) -> &str {
        let origin = self.get(id);
        if self.is_in_environment(id) {
            &origin.variable
        } else {
            &origin.flag
        }
    }

    /// The option with its value, as it was given: `--mode chat` or `ONELOOP_MODE=chat`.
    pub(crate) fn setting(&self, id: &str) -> String {
        let (name, value) = (self.name(id), &self.get(id).value);
        match (self.is_in_environment(id), value.is_empty()) {
            (true, _) => format!("{name}={value}"),
            (false, true) => name.to_owned(),
            (false, false) => format!("{name} {value}"),
        }
    }

    /// Puts the name of a variable in front of its problem. The problem of a flag needs no name: it
    /// quotes what the user has just typed.
    pub(crate) fn blame(&self, id: &str, problem: String) -> String {
        if self.is_in_environment(id) {
            format!("{}: {problem}", self.name(id))
        } else {
            problem
        }
    }
}
