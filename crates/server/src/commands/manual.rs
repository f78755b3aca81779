//! `oneloop man` and `oneloop completions`: what the command line has, for man(1) and for shells.

use crate::messages::print;
use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The name under which the server is installed.
const NAME: &str = "oneloop";

pub(crate) fn man_command() -> Command {
    Command::new("man")
        .bin_name("oneloop man")
        .about("Print the manual page, for `man -l`")
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help(
                    "Write the pages of the server and of each command to that directory instead",
                ),
        )
}

pub(crate) fn completions_command() -> Command {
    Command::new("completions")
        .bin_name("oneloop completions")
        .about("Print the completions for a shell")
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(value_parser!(Shell)),
        )
}

/// Prints or writes the pages of a whole command line.
pub(crate) fn man(whole: Command, args: &[OsString]) -> ExitCode {
    with_matches(man_command(), args, |matches| {
        let pages = pages(whole)?;
        match matches.get_one::<PathBuf>("dir") {
            Some(dir) => write_all(dir, &pages),
            None => io::stdout().lock().write_all(&pages[0].text),
        }
    })
}

/// Prints the completions of a whole command line.
pub(crate) fn completions(mut whole: Command, args: &[OsString]) -> ExitCode {
    with_matches(completions_command(), args, |matches| {
        let shell = *matches.get_one::<Shell>("shell").expect("clap requires it");
        // Into memory first: clap_complete panics where stdout is closed.
        let mut text = Vec::new();
        generate(shell, &mut whole, NAME, &mut text);
        io::stdout().lock().write_all(&text)
    })
}

fn with_matches(
    command: Command,
    args: &[OsString],
    run: impl FnOnce(&ArgMatches) -> io::Result<()>,
) -> ExitCode {
    let matches = match command.try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(message) => {
            let code = message.exit_code();
            let _ = message.print(); // the exit code says it as well
            return ExitCode::from(u8::try_from(code).unwrap_or(2));
        }
    };
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        // `oneloop man | head` closes the pipe early.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            print("error", error);
            ExitCode::FAILURE
        }
    }
}

/// A page of the manual.
struct Page {
    file: String,
    text: Vec<u8>,
}

/// The pages of the server, which comes first, and of its commands.
fn pages(mut whole: Command) -> io::Result<Vec<Page>> {
    whole.build();
    let commands = whole.get_subcommands().cloned();
    let commands = commands.map(|command| {
        let name = format!("{NAME}-{}", command.get_name());
        command.name(name)
    });
    let commands: Vec<_> = commands.collect();
    [whole].into_iter().chain(commands).map(page).collect()
}

fn page(command: Command) -> io::Result<Page> {
    let file = format!("{}.1", command.get_name());
    let has_commands = command.has_subcommands();
    let after_help = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command)
        .section("1")
        .date("")
        .source(format!("{NAME} {}", env!("CARGO_PKG_VERSION")))
        .manual("Oneloop");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_commands {
        man.render_subcommands_section(&mut text)?;
    }
    if let Some(after_help) = after_help {
        notes(&after_help).to_writer(&mut text)?;
    }
    Ok(Page { file, text })
}

/// What the help says behind the flags. clap_mangen would fill the lines of the examples.
fn notes(after_help: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["NOTES"]);
    for block in after_help.split("\n\n") {
        roff.control("PP", []);
        for line in block.lines() {
            let is_example = line.starts_with(' ');
            if is_example {
                roff.control("nf", []);
            }
            roff.text([roman(line)]);
            if is_example {
                roff.control("fi", []);
            }
        }
    }
    roff
}

fn write_all(dir: &Path, pages: &[Page]) -> io::Result<()> {
    for page in pages {
        let path = dir.join(&page.file);
        fs::write(&path, &page.text).map_err(|error| {
            let problem = format!("cannot write {}: {error}", path.display());
            io::Error::new(error.kind(), problem)
        })?;
    }
    Ok(())
}
