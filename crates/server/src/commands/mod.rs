//! The commands of the program, such as `oneloop check`. Without one, it serves.

#[cfg(feature = "config")]
mod check;
#[cfg(feature = "inspect")]
mod inspect;
#[cfg(feature = "manual")]
mod manual;

use crate::options::Options;
use clap::{Command, CommandFactory};
use std::ffi::OsString;
use std::process::ExitCode;

/// What the first word of a command line asks for.
pub(crate) struct Verb {
    /// Its flags and its help; its name is the word.
    command: fn() -> Command,
    /// Runs it with its command line, which begins with its name.
    run: fn(&[OsString]) -> ExitCode,
}

/// The commands of this build, in the order of `--help`.
const VERBS: &[Verb] = &[
    #[cfg(feature = "config")]
    Verb {
        command: check::command,
        run: check::run,
    },
    #[cfg(feature = "inspect")]
    Verb {
        command: inspect::command,
        run: inspect::run,
    },
    #[cfg(feature = "manual")]
    Verb {
        command: manual::man_command,
        run: |args| manual::man(tree(), args),
    },
    #[cfg(feature = "manual")]
    Verb {
        command: manual::completions_command,
        run: |args| manual::completions(tree(), args),
    },
];

impl Verb {
    /// The command that this command line begins with, if it does.
    pub(crate) fn of(args: &[OsString]) -> Option<&'static Verb> {
        let word = args.get(1)?;
        VERBS
            .iter()
            .find(|verb| word == (verb.command)().get_name())
    }

    /// Runs the command of this command line.
    pub(crate) fn run(&self, args: &[OsString]) -> ExitCode {
        (self.run)(&args[1..])
    }
}

/// The whole command line: the flags of the server, and all commands.
pub(crate) fn tree() -> Command {
    let commands = VERBS.iter().map(|verb| (verb.command)());
    Options::command()
        .subcommands(commands)
        .disable_help_subcommand(true)
}
