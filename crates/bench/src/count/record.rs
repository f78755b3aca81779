//! The recorded figures, and how far others are from them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// How far a count may be from the record, as a share of it: what batches of events cost more or
/// less from run to run.
const TOLERANCE: f64 = 0.02;

/// What one unit costs; a figure is missing where its tool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) instructions: Option<f64>,
    pub(super) system_calls: Option<f64>,
}

/// The figures of all units, with the compiler that built the server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    compiler: String,
    units: BTreeMap<String, Figures>,
}

impl Record {
    /// A record of these figures, rounded so that a new one differs only where it means something.
    pub(super) fn of(units: impl Iterator<Item = (String, Figures)>) -> Result<Record> {
        let rounded = |figures: Figures| Figures {
            instructions: figures.instructions.map(f64::round),
            system_calls: figures
                .system_calls
                .map(|calls| (calls * 100.0).round() / 100.0),
        };
        Ok(Record {
            compiler: compiler()?,
            units: units
                .map(|(key, figures)| (key, rounded(figures)))
                .collect(),
        })
    }

    pub(super) fn read(path: &Path) -> Result<Record> {
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no record", path.display()))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Why instructions are not compared, if so: another compiler makes other ones.
    pub(super) fn why_no_instructions(&self) -> Result<Option<String>> {
        let (now, then) = (compiler()?, &self.compiler);
        let why = || format!("instructions are not compared: recorded with {then}, this is {now}");
        Ok((now != *then).then(why))
    }

    pub(super) fn compare(&self, key: &str, now: Figures) -> Compared {
        let recorded = self.units.get(key).copied().unwrap_or_default();
        Compared { now, recorded }
    }
}

/// The compiler, as it names itself.
fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output();
    let output = output.context("cannot run rustc")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Figures beside those of the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    now: Figures,
    recorded: Figures,
}

impl Compared {
    /// Instructions by those recorded.
    pub(super) fn instructions(&self) -> Option<f64> {
        ratio(self.now.instructions, self.recorded.instructions)
    }

    /// System calls by those recorded.
    pub(super) fn system_calls(&self) -> Option<f64> {
        ratio(self.now.system_calls, self.recorded.system_calls)
    }

    /// A sentence for each figure that differs by more than the tolerance, or has no record.
    pub(super) fn changes(&self, instructions: bool) -> Vec<String> {
        let Compared { now, recorded } = self;
        let instructions = instructions
            .then(|| change("instructions", 0, now.instructions, recorded.instructions))
            .flatten();
        let calls = change("system calls", 2, now.system_calls, recorded.system_calls);
        instructions.into_iter().chain(calls).collect()
    }
}

fn ratio(now: Option<f64>, recorded: Option<f64>) -> Option<f64> {
    Some(now? / recorded?)
}

fn change(what: &str, digits: usize, now: Option<f64>, recorded: Option<f64>) -> Option<String> {
    let now = now?; // without its tool there is nothing to compare
    match recorded {
        None => Some(format!("{now:.digits$} {what}, and none recorded")),
        Some(recorded) if (now - recorded).abs() <= TOLERANCE * recorded => None,
        Some(recorded) => Some(format!("{now:.digits$} {what}, not {recorded:.digits$}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(instructions: f64, system_calls: f64) -> Figures {
        Figures {
            instructions: Some(instructions),
            system_calls: Some(system_calls),
        }
    }

    fn changes(now: Figures, instructions: bool) -> Vec<String> {
        let units = [("message, main".to_owned(), figures(1000.4, 2.002))];
        let record = Record::of(units.into_iter()).unwrap();
        record.compare("message, main", now).changes(instructions)
    }

    #[test]
    fn what_differs_by_two_percent_is_no_change() {
        assert_eq!(changes(figures(1020.0, 2.03), true), [""; 0]);
        assert_eq!(changes(figures(980.0, 1.97), true), [""; 0]);
    }

    #[test]
    fn what_costs_more_or_less_is_a_change() {
        let changed = changes(figures(1021.0, 1.95), true);
        assert_eq!(
            changed,
            ["1021 instructions, not 1000", "1.95 system calls, not 2.00"]
        );
    }

    #[test]
    fn instructions_of_another_compiler_are_not_compared() {
        assert_eq!(changes(figures(2000.0, 2.0), false), [""; 0]);
    }

    #[test]
    fn what_no_tool_counted_is_not_compared_and_what_has_no_record_is_a_change() {
        let record = Record::of(std::iter::empty()).unwrap();
        let compared = |now| record.compare("message, main", now).changes(true);
        assert_eq!(compared(Figures::default()), [""; 0]);
        assert_eq!(compared(figures(1.0, 2.0)).len(), 2);
    }
}
