//! Reads the options from the command line and the environment. A wrong value is reported by the
//! name that it was given under: the flag or the variable.

use crate::endpoint::Endpoint;
use crate::options::{ModeName, Options};
use crate::origins::Origins;
use clap::builder::{Resettable, StyledStr};
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, Command, CommandFactory, FromArgMatches, ValueEnum};
use std::env;
use std::ffi::{OsStr, OsString};

/// The prefix of all variables.
const PREFIX: &str = "ONELOOP_";

/// A variable of the loop itself: it switches on the reports of tasks that are left at an end.
const VARIABLE_OF_THE_LOOP: &str = "ONELOOP_DEBUG";

/// How similar a name must be to be suggested, from 0 to 1.
const SIMILARITY_MIN: f64 = 0.65;

/// The options of this process. Flags are parsed first, and alone: a wrong variable must not be
/// reported where its flag is given as well.
///
/// # Errors
/// Clap's message: what is wrong, or the help.
pub(crate) fn read() -> Result<Options, Error> {
    parse(&env::args_os().collect::<Vec<_>>())
}

/// The options of these arguments and this environment.
pub(crate) fn parse(args: &[OsString]) -> Result<Options, Error> {
    let command = Options::command();
    // clap would report a wrong variable by the name of its flag, hence the two passes.
    let flags_only = keep_variables(&command, |_| false);
    let flags = flags_only
        .try_get_matches_from(args)
        .map_err(|error| match error.kind() {
            // The help shows each variable's value, so it needs them all, even empty ones.
            ErrorKind::DisplayHelp => command
                .clone()
                .try_get_matches_from(args)
                .err()
                .unwrap_or(error),
            _ => with_tip(error, args),
        })?;
    // A flag overrides its variable, so a wrong variable must not keep the server from starting
    // there.
    for arg in command.get_arguments().filter(|arg| has_value(arg)) {
        let id = arg.get_id();
        if flags.value_source(id.as_str()) != Some(ValueSource::CommandLine) {
            check_variable(&command, arg)?;
        }
    }
    let matches = keep_variables(&command, has_value).try_get_matches_from(args)?;
    let mut options = Options::from_arg_matches(&matches)?;
    options.origins = Origins::of(&command, &matches);
    Ok(options)
}

/// The command with only those variables that `keep` selects.
fn keep_variables(command: &Command, keep: impl Fn(&Arg) -> bool) -> Command {
    command.clone().mut_args(|arg| {
        if keep(&arg) {
            arg
        } else {
            arg.env(Resettable::Reset)
        }
    })
}

/// True if the option's variable is set. An empty one counts as unset, as in a shell's `${X:-}`: a
/// service manager or a compose file often cannot unset a variable that it passes on.
fn has_value(arg: &Arg) -> bool {
    arg.get_env()
        .and_then(env::var_os)
        .is_some_and(|value| !value.is_empty())
}

/// Parses one variable alone, and puts its name into the error, where clap puts the flag's.
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

/// Adds a tip for an argument that belongs to no flag.
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

/// A warning for each variable that has the prefix, and is not one of ours.
pub(crate) fn unknown_variables() -> Vec<String> {
    let command = Options::command();
    let known: Vec<&str> = command
        .get_arguments()
        .filter_map(|arg| arg.get_env().and_then(OsStr::to_str))
        .collect();
    let set = env::vars_os().filter(|(_, value)| !value.is_empty());
    let names = set.map(|(name, _)| name.to_string_lossy().into_owned());
    let unknown = names.filter(|name| {
        // Upper case: `oneloop_mode` is as likely meant for us as `ONELOOP_MOD`.
        name.to_ascii_uppercase().starts_with(PREFIX)
            && name != VARIABLE_OF_THE_LOOP
            && !known.contains(&name.as_str())
    });
    unknown.map(|name| warning(&name, &known)).collect()
}

fn warning(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("{name} is not a variable of this server: did you mean {near}?"),
        None => format!("{name} is not a variable of this server: --help names them all"),
    }
}

/// The known name that is most similar to this one, if one is similar enough.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_ascii_uppercase();
    // The common prefix would make all names similar.
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
    fn the_nearest_name_is_suggested_unless_it_is_too_different() {
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
