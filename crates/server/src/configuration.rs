//! Reads the options from the command line, the environment and the file of `--config`. A wrong
//! value is reported by the name that it was given under: the flag, the variable or the key.

use crate::endpoint::Endpoint;
use crate::features;
use crate::messages::Refusal;
use crate::nearest::nearest;
use crate::options::{ModeName, Options};
use crate::origins::Origins;
use crate::section::Section;
use clap::builder::{Resettable, StyledStr};
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, ValueEnum};
use std::env;
use std::ffi::{OsStr, OsString};

/// The prefix of all variables.
const PREFIX: &str = "ONELOOP_";

/// A variable of the loop itself: it switches on the reports of tasks that are left at an end.
const VARIABLE_OF_THE_LOOP: &str = "ONELOOP_DEBUG";

/// The options of each service, and of the process.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    /// At least one. The options of the process are the same in each.
    pub(crate) services: Vec<Options>,
}

/// The options of these arguments, this environment, and the file that they name. Flags are parsed
/// first, and alone: a wrong variable must not be reported where its flag is given as well.
///
/// # Errors
/// What is wrong, or the help.
pub(crate) fn parse(command: &Command, args: &[OsString]) -> Result<Configuration, Refusal> {
    // clap would report a wrong variable by the name of its flag, hence the two passes.
    let flags_only = keep_variables(command, |_| false);
    let flags = flags_only
        .try_get_matches_from(args)
        .map_err(|error| match error.kind() {
            // The help shows each variable's value, so it needs them all, even empty ones.
            ErrorKind::DisplayHelp => command
                .clone()
                .try_get_matches_from(args)
                .err()
                .unwrap_or(error),
            _ => with_tip(error, command, args),
        })?;
    if let Some(name) = flags.subcommand_name() {
        let problem = format!("the command comes first: oneloop {name} [OPTIONS]");
        return Err(problem.into());
    }
    // A flag overrides its variable, so a wrong variable must not keep the server from starting
    // there.
    for arg in command.get_arguments().filter(|arg| has_value(arg)) {
        let id = arg.get_id();
        if flags.value_source(id.as_str()) != Some(ValueSource::CommandLine) {
            check_variable(command, arg)?;
        }
    }
    let command = keep_variables(command, has_value);
    let matches = command.clone().try_get_matches_from(args)?;
    let sections = sections(&matches)?;
    let services = sections.into_iter().map(|section| {
        if section.values.is_empty() {
            matched(&command, &matches, section) // a start without a file parses once less
        } else {
            options(&command, args, section)
        }
    });
    Ok(Configuration {
        services: services.collect::<Result<_, _>>()?,
    })
}

/// What the file sets for each service. Without a file, there is one service.
#[cfg(feature = "config")]
fn sections(matches: &ArgMatches) -> Result<Vec<Section>, Refusal> {
    let Some(path) = matches.get_one::<std::path::PathBuf>("config") else {
        return Ok(vec![Section::default()]);
    };
    let given = |id: &str, flag, variable| match matches.value_source(id) {
        Some(ValueSource::CommandLine) => Some(flag),
        Some(ValueSource::EnvVariable) => Some(variable),
        _ => None,
    };
    let named_by = given("config", "--config", "ONELOOP_CONFIG").unwrap_or_default();
    let sections = crate::config_file::read(path, named_by).map_err(Refusal::Problems)?;
    match given("listen", "--listen", "ONELOOP_LISTEN") {
        Some(listen) if sections.len() > 1 => {
            let (path, count) = (path.display(), sections.len());
            let problem = format!("{listen} is for one service, and {path} has {count}");
            Err(problem.into())
        }
        _ => Ok(sections),
    }
}

/// This build reads no file.
#[cfg(not(feature = "config"))]
fn sections(_: &ArgMatches) -> Result<Vec<Section>, Refusal> {
    Ok(vec![Section::default()])
}

/// The options of one service. A flag overrides a variable, which overrides the file.
///
/// # Errors
/// What is wrong with a flag or a variable.
pub(crate) fn options(
    command: &Command,
    args: &[OsString],
    section: Section,
) -> Result<Options, Error> {
    // For clap, what the file sets is a default.
    let with_file = |arg: Arg| match section.values.get(arg.get_id().as_str()) {
        Some(found) => arg.default_values(found.values.iter().map(OsString::from)),
        None => arg,
    };
    let command = command.clone().mut_args(with_file);
    let matches = command.clone().try_get_matches_from(args)?;
    matched(&command, &matches, section)
}

fn matched(command: &Command, matches: &ArgMatches, section: Section) -> Result<Options, Error> {
    let mut options = Options::from_arg_matches(matches)?;
    options.origins = Origins::of(command, matches, &section.values);
    options.name = section.name;
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

/// Adds a tip for an argument that belongs to no flag, or to one that this build leaves out.
fn with_tip(mut error: Error, command: &Command, args: &[OsString]) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let tip = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => features::tip(arg).or_else(|| tip(arg, command, args)),
        _ => None,
    };
    if let Some(tip) = tip {
        let tips = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        error.insert(ContextKind::Suggested, tips);
    }
    error
}

fn tip(arg: &str, command: &Command, args: &[OsString]) -> Option<String> {
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
        let commands = command.get_subcommands().map(Command::get_name);
        let near = nearest(arg, commands)?;
        Some(format!("for that command, use 'oneloop {near}'"))
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
    // The common prefix would make all names similar.
    let own_part = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let own_parts: Vec<_> = known.iter().map(|name| own_part(name)).collect();
    let own_parts = own_parts.iter().map(String::as_str);
    match nearest(&own_part(&name.to_ascii_uppercase()), own_parts) {
        Some(near) => {
            format!("{name} is not a variable of this server: did you mean {PREFIX}{near}?")
        }
        None => format!("{name} is not a variable of this server: --help names them all"),
    }
}
