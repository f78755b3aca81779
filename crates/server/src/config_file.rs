//! Reads the file of `--config`: TOML, in which the keys are the names of the flags.
//!
//! The keys, their scope and their values come from the options themselves, so a new flag is a new
//! key.

use crate::features;
use crate::nearest::nearest;
use crate::options::{Options, ProcessOptions, ServiceOptions};
use crate::section::{FileValue, Section};
use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, ArgAction, Args, Command, CommandFactory};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The table of all services: `[service.NAME]`.
const SERVICE: &str = "service";

/// The option that names the file, which the file cannot set.
const CONFIG: &str = "config";

/// The most bytes that are read. A file as large as that is none of ours.
const BYTES_MAX: u64 = 1 << 20;

/// Reads the sections of a file that this flag or variable names: one for each service.
///
/// # Errors
/// A sentence for each problem, with the line and the key.
pub(crate) fn read(path: &Path, named_by: &str) -> Result<Vec<Section>, Vec<String>> {
    let file = path.display().to_string();
    let cannot = |why: &str| vec![format!("cannot read the file of {named_by}, {file}: {why}")];
    let mut bytes = Vec::new();
    let mut read = || {
        // To open a FIFO waits for its writer, and its text could not be read a second time.
        if !path.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let file = File::open(path)?;
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes)
    };
    match read() {
        Err(error) => return Err(cannot(&in_words(&error))),
        Ok(count) if count as u64 > BYTES_MAX => return Err(cannot("it is larger than 1 MiB")),
        Ok(_) => {}
    }
    match str::from_utf8(&bytes) {
        Ok(text) => parse(&file, text),
        Err(error) => {
            let line = line_of(&bytes, error.valid_up_to());
            Err(vec![format!("{file}:{line}: this line is not UTF-8")])
        }
    }
}

/// The system's message without its number.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or(&text)
        .to_lowercase()
}

/// The sections of a text, with the name of its file.
///
/// # Errors
/// As [`read`].
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Section>, Vec<String>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        file,
        text,
        keys: Key::all(),
        problems: Vec::new(),
    };
    for error in errors {
        let span = error.span().unwrap_or_default();
        let about = text.get(span.clone()).and_then(|text| text.lines().next());
        let about = about.filter(|text| !text.is_empty());
        let about = about.map_or(String::new(), |text| format!(": '{}'", text.escape_debug()));
        let message = error.message().replace('\n', ", ");
        reader.note(span.start, &format!("{message}{about}"));
    }
    if !reader.problems.is_empty() {
        // One line may break several rules, and the first one says it.
        reader.problems.dedup_by_key(|(line, _)| *line);
        return Err(reader.sentences());
    }
    let sections = reader.sections(table.get_ref());
    if reader.problems.is_empty() {
        Ok(sections)
    } else {
        Err(reader.sentences())
    }
}

/// Whether an option has one value for the process, or one for each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Process,
    Service,
}

/// A key of the file, which is an option.
struct Key {
    name: String,
    scope: Scope,
    arg: Arg,
}

impl Key {
    fn all() -> Vec<Key> {
        let of = |command: Command, scope| {
            let args: Vec<Arg> = command.get_arguments().cloned().collect();
            args.into_iter().map(move |arg| Key {
                name: arg.get_long().unwrap_or(arg.get_id().as_str()).to_owned(),
                scope,
                arg,
            })
        };
        let process = ProcessOptions::augment_args(Command::new(""));
        let service = ServiceOptions::augment_args(Command::new(""));
        of(process, Scope::Process)
            .chain(of(service, Scope::Service))
            .filter(|key| key.arg.get_id() != CONFIG)
            .collect()
    }

    fn is_switch(&self) -> bool {
        !self.arg.get_action().takes_values()
    }

    fn is_list(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Append)
    }

    /// Checks values as the command line does.
    ///
    /// # Errors
    /// What is wrong, and what is allowed.
    fn check(&self, values: &[String]) -> Result<(), String> {
        if self.is_switch() {
            return Ok(()); // a boolean has no wrong value
        }
        let flag = |value: &String| match self.arg.get_long() {
            Some(long) => format!("--{long}={value}"),
            None => value.clone(),
        };
        let start = match self.arg.get_long() {
            Some(_) => vec!["oneloop".to_owned()],
            None => vec!["oneloop".to_owned(), "--".to_owned()],
        };
        let command = Options::command().mut_args(|arg| arg.env(Resettable::Reset));
        match command.try_get_matches_from(start.into_iter().chain(values.iter().map(flag))) {
            Err(error) => self.explain(&error).map_or(Ok(()), Err),
            Ok(_) => Ok(()),
        }
    }

    /// What clap finds wrong with a value of this key; `None` if it is something else.
    fn explain(&self, error: &Error) -> Option<String> {
        let value = match error.get(ContextKind::InvalidValue) {
            Some(ContextValue::String(value)) => value,
            _ => return None,
        };
        let allowed = match (error.kind(), error.get(ContextKind::ValidValue)) {
            (ErrorKind::InvalidValue, Some(ContextValue::Strings(values))) => {
                format!("give {}", alternatives(values))
            }
            (ErrorKind::ValueValidation, _) => error.source()?.to_string(),
            _ => "give a value".to_owned(),
        };
        Some(format!(
            "invalid value '{value}' for '{}': {allowed}",
            self.name
        ))
    }
}

/// A list for a sentence: `a, b or c`.
fn alternatives(values: &[String]) -> String {
    match values {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        all => all.join(", "),
    }
}

/// Reads a table, and collects what is wrong with it.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    keys: Vec<Key>,
    /// Each with its line.
    problems: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        line_of(self.text.as_bytes(), at)
    }

    fn note(&mut self, at: usize, problem: &str) {
        let line = self.line(at);
        let problem = format!("{}:{line}: {problem}", self.file);
        self.problems.push((line, problem));
    }

    /// All problems, in the order of their lines.
    fn sentences(mut self) -> Vec<String> {
        self.problems.sort_by_key(|(line, _)| *line);
        self.problems
            .into_iter()
            .map(|(_, problem)| problem)
            .collect()
    }

    fn sections(&mut self, table: &DeTable<'_>) -> Vec<Section> {
        let (mut shared, mut tables) = (BTreeMap::new(), Vec::new());
        let has_tables = table.contains_key(SERVICE);
        for (key, value) in table {
            if key.get_ref() == SERVICE {
                tables = self.tables(value);
                continue;
            }
            let Some((id, found)) = self.value(key, value, None) else {
                continue;
            };
            // Two services cannot have one address.
            if has_tables && id == "listen" {
                let problem = "'listen' is for one service: write it into [service.NAME]";
                self.note(key.span().start, problem);
            }
            let is_shared = has_tables;
            shared.insert(id, FileValue { is_shared, ..found });
        }
        if !has_tables {
            let (name, values) = (None, shared);
            return vec![Section { name, values }];
        }
        let with_shared = |(name, own)| {
            let mut values = shared.clone();
            values.extend(own);
            let name = Some(name);
            Section { name, values }
        };
        tables.into_iter().map(with_shared).collect()
    }

    /// The tables of the services, in the order of the file.
    fn tables(
        &mut self,
        value: &Spanned<DeValue<'_>>,
    ) -> Vec<(String, BTreeMap<String, FileValue>)> {
        let DeValue::Table(services) = value.get_ref() else {
            self.note(
                value.span().start,
                "a service has a name: write [service.NAME]",
            );
            return Vec::new();
        };
        if services.is_empty() {
            self.note(
                value.span().start,
                "there is no service: write [service.NAME]",
            );
        }
        let mut services: Vec<_> = services.iter().collect();
        services.sort_by_key(|(name, _)| name.span().start);
        let mut tables = Vec::new();
        for (name, value) in services {
            let at = name.span().start;
            let name = name.get_ref().to_string();
            let DeValue::Table(table) = value.get_ref() else {
                let problem = format!("'{name}' is no table: write [service.NAME] above it");
                self.note(at, &problem);
                continue;
            };
            if !is_name(&name) {
                let problem = format!(
                    "'{}' is no name of a service: give at most 64 letters, digits, - and _",
                    name.escape_debug()
                );
                self.note(at, &problem);
            }
            let mut values = BTreeMap::new();
            for (key, value) in table {
                if let Some((id, found)) = self.value(key, value, Some(&name)) {
                    values.insert(id, found);
                }
            }
            // The default addresses are for the only service of a command line.
            if !table.contains_key("listen") {
                let problem = format!("the service '{name}' has no 'listen': give its addresses");
                self.note(at, &problem);
            }
            tables.push((name, values));
        }
        tables
    }

    /// The id of an option, and its value in this table: that of a service, or the top.
    fn value(
        &mut self,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
        service: Option<&str>,
    ) -> Option<(String, FileValue)> {
        let (name, at) = (key.get_ref().as_ref(), key.span().start);
        let Some(known) = self.keys.iter().find(|known| known.name == name) else {
            let problem = self.unknown(name);
            self.note(at, &problem);
            return None;
        };
        let problem = match texts(value.get_ref(), known) {
            _ if known.scope == Scope::Process && service.is_some() => {
                format!("'{name}' is for the whole process: write it above the first table")
            }
            Err(why) => format!("'{name}' {why}"),
            Ok(values) => match known.check(&values) {
                Err(problem) => problem,
                Ok(()) => {
                    let found = FileValue {
                        at: format!("{}:{}", self.file, self.line(at)),
                        key: name.to_owned(),
                        values,
                        is_shared: false,
                    };
                    return Some((known.arg.get_id().to_string(), found));
                }
            },
        };
        self.note(at, &problem);
        None
    }

    fn unknown(&self, name: &str) -> String {
        let known = self.keys.iter().map(|key| key.name.as_str());
        let shown = name.escape_debug();
        if let Some(tip) = features::tip(&format!("--{name}")) {
            format!("unknown key '{shown}': {tip}")
        } else if let Some(near) = nearest(name, known.chain([SERVICE])) {
            format!("unknown key '{shown}': did you mean '{near}'?")
        } else {
            format!(
                "unknown key '{shown}': the keys are the names of the flags, which --help lists"
            )
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=64).contains(&name.len()) && name.chars().all(is_allowed)
}

/// A value as the command line would have it.
///
/// # Errors
/// What the key takes, for a sentence that begins with the key.
fn texts(value: &DeValue<'_>, key: &Key) -> Result<Vec<String>, String> {
    match value {
        DeValue::Array(values) if key.is_list() => {
            if values.is_empty() {
                return Err("has no value: give one, or leave the key out".to_owned());
            }
            let values = values.iter().map(|value| text(value.get_ref(), key));
            values.collect()
        }
        value => Ok(vec![text(value, key)?]),
    }
}

fn text(value: &DeValue<'_>, key: &Key) -> Result<String, String> {
    match value {
        DeValue::Boolean(value) if key.is_switch() => Ok(value.to_string()),
        _ if key.is_switch() => Err("is a switch: give true or false".to_owned()),
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            // A number beyond these is beyond each limit, too.
            let value = u128::from_str_radix(number.as_str(), number.radix());
            Ok(value.map_or_else(|_| number.to_string(), |value| value.to_string()))
        }
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Datetime(time) => Ok(time.to_string()),
        DeValue::Boolean(_) => Err("is no switch: give its value in quotes".to_owned()),
        DeValue::Array(_) => Err("has one value: give it without brackets".to_owned()),
        DeValue::Table(_) => Err("is a key, and no table: write it as 'KEY = VALUE'".to_owned()),
    }
}

/// The line of a byte, counted from 1.
fn line_of(text: &[u8], at: usize) -> usize {
    let before = &text[..at.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}
