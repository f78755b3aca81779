//! From the command line and the environment to options: each value knows where it comes from, so that
//! a wrong one is reported by the name under which it was given.

use crate::endpoint::Endpoint;
use crate::options::{ModeName, Options};
use clap::builder::{Resettable, StyledStr};
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, ValueEnum};
use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};

/// What the names of all variables begin with.
const PREFIX: &str = "ONELOOP_";

/// How similar a name must be to be suggested, from 0 to 1.
const SIMILARITY_MIN: f64 = 0.65;

/// Where the values of the options come from, by the options' ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(BTreeMap<String, Origin>);

#[derive(Clone, Debug)]
struct Origin {
    flag: String,
    variable: String,
    /// As it was given, or the default; empty for a flag that takes none.
    value: String,
    source: Option<ValueSource>,
}

impl Origins {
    fn of(command: &Command, matches: &ArgMatches) -> Self {
        let options = command
            .get_arguments()
            .filter(|arg| arg.get_env().is_some());
        let origin = |arg: &Arg| {
            let id = arg.get_id().as_str();
            let source = matches.value_source(id);
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
        self.0.get(id).expect("it is the id of an option")
    }

    /// True if the option was given on the command line.
    pub(crate) fn is_on_command_line(&self, id: &str) -> bool {
        self.get(id).source == Some(ValueSource::CommandLine)
    }

    /// True if the option's value is that of its variable.
    pub(crate) fn is_in_environment(&self, id: &str) -> bool {
        self.get(id).source == Some(ValueSource::EnvVariable)
    }

    /// The name under which the option was given: that of the variable, or the flag.
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

    /// Names the variable that a problem comes from; of a flag, the problem itself says enough.
    pub(crate) fn blame(&self, id: &str, problem: String) -> String {
        if self.is_in_environment(id) {
            format!("{}: {problem}", self.name(id))
        } else {
            problem
        }
    }
}

/// The options of this process.
///
/// # Errors
/// What clap has to say: what is wrong, or the help.
pub(crate) fn read() -> Result<Options, Error> {
    let args: Vec<OsString> = env::args_os().collect();
    let command = Options::command();
    let flags_only = keep_variables(&command, |_| false);
    let flags = flags_only
        .try_get_matches_from(&args)
        .map_err(|error| match error.kind() {
            // The help shows every variable, also an empty one.
            ErrorKind::DisplayHelp => command
                .clone()
                .try_get_matches_from(&args)
                .err()
                .unwrap_or(error),
            _ => with_tip(error, &args),
        })?;
    for arg in command.get_arguments().filter(|arg| has_value(arg)) {
        let id = arg.get_id();
        if flags.value_source(id.as_str()) != Some(ValueSource::CommandLine) {
            check_variable(&command, arg)?;
        }
    }
    let matches = keep_variables(&command, has_value).try_get_matches_from(&args)?;
    let mut options = Options::from_arg_matches(&matches)?;
    options.origins = Origins::of(&command, &matches);
    Ok(options)
}

/// The command without those of its variables that are not to count.
fn keep_variables(command: &Command, keep: impl Fn(&Arg) -> bool) -> Command {
    command.clone().mut_args(|arg| {
        if keep(&arg) {
            arg
        } else {
            arg.env(Resettable::Reset)
        }
    })
}

/// True if the option's variable is set. An empty one counts as unset, as it does to a shell's `${X:-}`:
/// a service manager or a compose file often cannot unset what it passes on.
fn has_value(arg: &Arg) -> bool {
    arg.get_env()
        .and_then(env::var_os)
        .is_some_and(|value| !value.is_empty())
}

/// Parses one variable by itself, as clap reports a wrong value by the name of its flag.
fn check_variable(command: &Command, arg: &Arg) -> Result<(), Error> {
    let alone = keep_variables(command, |other| other.get_id() == arg.get_id());
    let Err(mut error) = alone.try_get_matches_from([command.get_name()]) else {
        return Ok(());
    };
    let variable = arg.get_env().unwrap_or_default().display().to_string();
    if error.get(ContextKind::InvalidArg).is_some() {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
        Err(error)
    } else {
        let problem = format!("invalid value for '{variable}': it is not UTF-8\n");
        Err(Error::raw(error.kind(), problem))
    }
}

/// Adds what was probably meant by an argument that belongs to no flag.
fn with_tip(mut error: Error, args: &[OsString]) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let tip = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => tip(arg, args),
        _ => None,
    };
    if let Some(tip) = tip {
        let tips = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        error.insert(ContextKind::Suggested, tips);
    }
    error
}

fn tip(arg: &str, args: &[OsString]) -> Option<String> {
    if arg.starts_with('-') {
        None
    } else if ModeName::from_str(arg, false).is_ok() {
        Some(format!("to choose that mode, use '--mode {arg}'"))
    } else if Endpoint::parse(arg).is_some() {
        Some(format!("to listen there, use '--listen {arg}'"))
    } else if arg.starts_with('/') && !has_mode_exec(args) {
        Some(format!("to listen there, use '--listen unix:{arg}'"))
    } else if has_mode_exec(args) {
        Some(format!(
            "to run it for each client, use '--mode exec -- {arg}'"
        ))
    } else {
        None
    }
}

fn has_mode_exec(args: &[OsString]) -> bool {
    let is_exec = |arg: &OsString| {
        ["exec", "--mode=exec", "-mexec"]
            .iter()
            .any(|exec| arg == exec)
    };
    args.iter().any(is_exec)
}

/// Warnings of variables that look like ours and are none.
pub(crate) fn unknown_variables() -> Vec<String> {
    let command = Options::command();
    let known: Vec<&str> = command
        .get_arguments()
        .filter_map(|arg| arg.get_env().and_then(OsStr::to_str))
        .collect();
    let set = env::vars_os().filter(|(_, value)| !value.is_empty());
    let names = set.map(|(name, _)| name.to_string_lossy().into_owned());
    let unknown = names.filter(|name| {
        name.to_ascii_uppercase().starts_with(PREFIX) && !known.contains(&name.as_str())
    });
    unknown.map(|name| warning(&name, &known)).collect()
}

fn warning(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("{name} is no variable of this server: did you mean {near}?"),
        None => format!("{name} is no variable of this server: --help names them all"),
    }
}

/// The known name that is most similar to this one, if any is.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_ascii_uppercase();
    let own_part = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let similarity = |other: &&str| strsim::jaro_winkler(&own_part(&name), &own_part(other));
    let nearest = known
        .iter()
        .copied()
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
    (similarity(&nearest) >= SIMILARITY_MIN).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_no_name_far_away() {
        let known = [
            "ONELOOP_LISTEN",
            "ONELOOP_MODE",
            "ONELOOP_TO",
            "ONELOOP_MAX_CONNS",
            "ONELOOP_THREADS",
            "ONELOOP_IDLE_TIMEOUT",
            "ONELOOP_WRITE_TIMEOUT",
            "ONELOOP_LOG",
            "ONELOOP_LOG_LEVEL",
        ];
        for (name, near) in [
            ("ONELOOP_MAXCONNS", Some("ONELOOP_MAX_CONNS")),
            ("ONELOOP_MAX_CONNECTIONS", Some("ONELOOP_MAX_CONNS")),
            ("ONELOOP_LISTN", Some("ONELOOP_LISTEN")),
            ("ONELOOP_IDLE", Some("ONELOOP_IDLE_TIMEOUT")),
            ("ONELOOP_LOGLEVEL", Some("ONELOOP_LOG_LEVEL")),
            ("oneloop_mode", Some("ONELOOP_MODE")),
            ("ONELOOP_THREAD", Some("ONELOOP_THREADS")),
            ("ONELOOP_T0", Some("ONELOOP_TO")),
            ("ONELOOP_XYZZY", None),
            ("ONELOOP_PORT", None),
        ] {
            assert_eq!(nearest(name, &known), near, "{name}");
        }
    }
}
