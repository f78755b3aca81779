//! Where each option's value comes from, so that a wrong one is reported by the name it was given
//! under.

use crate::section::FileValue;
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
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    CommandLine,
    Environment,
    /// The file of `--config`.
    File(FileValue),
    Default,
}

impl Origins {
    /// The origins of what was matched. `file` is what the file sets, which clap takes for
    /// defaults.
    pub(crate) fn of(
        command: &Command,
        matches: &ArgMatches,
        file: &BTreeMap<String, FileValue>,
    ) -> Self {
        let origin = |arg: &Arg| {
            let id = arg.get_id().as_str();
            let source = match (matches.value_source(id), file.get(id)) {
                (Some(ValueSource::CommandLine), _) => Source::CommandLine,
                (Some(ValueSource::EnvVariable), _) => Source::Environment,
                (_, Some(found)) => Source::File(found.clone()),
                _ => Source::Default,
            };
            // A switch has no value on the command line, but elsewhere it does.
            let has_value = arg.get_action().takes_values()
                || matches!(source, Source::Environment | Source::File(_));
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
        Origins(command.get_arguments().map(origin).collect())
    }

    fn get(&self, id: &str) -> &Origin {
        self.0.get(id).expect("every id is that of an option")
    }

    /// True if the option was given for this service: on the command line, or in its own table of
    /// the file. Its user expects an effect.
    pub(crate) fn is_given(&self, id: &str) -> bool {
        match &self.get(id).source {
            Source::CommandLine => true,
            Source::File(found) => !found.is_shared,
            Source::Environment | Source::Default => false,
        }
    }

    /// True if the option was given nowhere.
    pub(crate) fn is_default(&self, id: &str) -> bool {
        matches!(self.get(id).source, Source::Default)
    }

    /// True if the option's value comes from its variable.
    pub(crate) fn is_in_environment(&self, id: &str) -> bool {
        matches!(self.get(id).source, Source::Environment)
    }

    /// The name that the option was given under: the variable's, the key's with its line, or else
    /// the flag's.
    pub(crate) fn name(&self, id: &str) -> String {
        let origin = self.get(id);
        match &origin.source {
            Source::Environment => origin.variable.clone(),
            Source::File(FileValue { at, key, .. }) => format!("{key} ({at})"),
            Source::CommandLine | Source::Default => origin.flag.clone(),
        }
    }

    /// The option with its value, as it was given: `--mode chat`, `ONELOOP_MODE=chat` or
    /// `mode = chat (server.toml:3)`.
    pub(crate) fn setting(&self, id: &str) -> String {
        let Origin {
            flag,
            variable,
            value,
            source,
        } = self.get(id);
        match source {
            Source::Environment => format!("{variable}={value}"),
            Source::File(FileValue { at, key, .. }) => format!("{key} = {value} ({at})"),
            _ if value.is_empty() => flag.clone(),
            _ => format!("{flag} {value}"),
        }
    }

    /// Puts the name of a variable, or a key with its line, in front of its problem. The problem of
    /// a flag needs no name: it quotes what the user has just typed.
    pub(crate) fn blame(&self, id: &str, problem: String) -> String {
        let origin = self.get(id);
        match &origin.source {
            Source::Environment => format!("{}: {problem}", origin.variable),
            Source::File(FileValue { at, key, .. }) => format!("{at}: {key}: {problem}"),
            Source::CommandLine | Source::Default => problem,
        }
    }

    /// The ids of all options that have other values in `new`.
    pub(crate) fn changed_to(&self, new: &Origins) -> Vec<String> {
        let is_other = |id: &&String| {
            let new = new.0.get(*id).map(|origin| &origin.value);
            new != self.0.get(*id).map(|origin| &origin.value)
        };
        self.0.keys().filter(is_other).cloned().collect()
    }

    /// Takes over where one option comes from.
    pub(crate) fn adopt(&mut self, id: &str, new: &Origins) {
        if let Some(origin) = new.0.get(id) {
            self.0.insert(id.to_owned(), origin.clone());
        }
    }
}
