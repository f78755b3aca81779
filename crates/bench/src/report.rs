//! The results: tables on stdout as they come, and one JSON document at the end.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cores::Cores;

/// One line of a table, and one object of the JSON document.
pub(crate) trait Row: Serialize {
    /// The heads of the columns.
    const COLUMNS: &'static [&'static str];
    /// How many columns, from the left, are text.
    const TEXT_COLUMNS: usize;
    /// One text for each column.
    fn cells(&self) -> Vec<String>;
}

/// Collects the results of one call.
pub(crate) struct Report {
    document: Map<String, Value>,
    notes: Vec<String>,
}

impl Report {
    /// Starts a report, and prints what it runs on.
    pub(crate) fn start(cores: Cores) -> Report {
        let kernel = first_line("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into());
        let processor = processor().unwrap_or_else(|| "unknown CPU".into());
        let Cores { server, generator } = cores;
        println!("Linux {kernel}, {processor}; programs on CPU {server}, load on CPU {generator}");
        let mut document = Map::new();
        document.insert(
            "machine".into(),
            json!({ "kernel": kernel, "processor": processor,
                    "server_cpu": server, "generator_cpu": generator }),
        );
        let mut report = Report {
            document,
            notes: Vec::new(),
        };
        if cores.are_shared() {
            report.note("only one CPU: server and load share it, so trust only CPU per message");
        }
        report
    }

    /// Says one thing about the run that is not a number.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        println!("note: {text}");
        self.notes.push(text);
    }

    /// Says that one of those to be measured is not.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        self.note(format!("{name} is skipped: {why}"));
    }

    /// Prints a table, and keeps its rows under `name`.
    pub(crate) fn table<R: Row>(&mut self, name: &str, title: &str, rows: &[R]) -> Result<()> {
        println!("\n## {title}\n\n{}", render(rows));
        self.document
            .insert(name.into(), serde_json::to_value(rows)?);
        Ok(())
    }

    /// Writes the JSON document.
    pub(crate) fn write_json(mut self, path: &Path) -> Result<()> {
        self.document.insert("notes".into(), json!(self.notes));
        let text = serde_json::to_string_pretty(&Value::Object(self.document))? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn render<R: Row>(rows: &[R]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_MARKDOWN)
        .set_header(R::COLUMNS);
    for row in rows {
        table.add_row(row.cells());
    }
    for column in table.column_iter_mut().skip(R::TEXT_COLUMNS) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn first_line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.lines().next()?.to_owned())
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Pair(&'static str, u32);

    impl Row for Pair {
        const COLUMNS: &'static [&'static str] = &["name", "count"];
        const TEXT_COLUMNS: usize = 1;
        fn cells(&self) -> Vec<String> {
            vec![self.0.into(), self.1.to_string()]
        }
    }

    #[test]
    fn numbers_are_aligned_to_the_right() {
        let expected = "| name | count |\n|------|-------|\n| a    |     1 |\n| bb   |  2000 |";
        assert_eq!(render(&[Pair("a", 1), Pair("bb", 2000)]), expected);
    }
}
