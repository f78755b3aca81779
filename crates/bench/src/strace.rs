//! Counts system calls by `strace -c`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::report::Row;

/// The maximum time that strace takes to write its table after the server is gone.
const TABLE_MAX: Duration = Duration::from_secs(5);
/// The minimum count for each unit that the table shows. A rarer call is noise: a timer, a table
/// that grows.
const SHOWN_MIN: f64 = 0.005;

/// How often each system call was made.
pub(crate) type Calls = BTreeMap<String, i64>;

/// Why strace counts nothing here, if so.
pub(crate) fn why_not() -> Option<&'static str> {
    let runs = |arguments: &[&str]| {
        let mut strace = Command::new("strace");
        strace.args(arguments).stdout(Stdio::null());
        strace.stderr(Stdio::null()).status()
    };
    match runs(&["-V"]) {
        Err(_) => Some("there is no strace"),
        Ok(status) if status.success() && may_trace(runs) => None,
        Ok(_) => Some("strace is not allowed to trace here"),
    }
}

fn may_trace(runs: impl Fn(&[&str]) -> io::Result<ExitStatus>) -> bool {
    runs(&["-c", "-o", "/dev/null", "true"]).is_ok_and(|status| status.success())
}

/// The calls of one server's life, which `live` starts under the tracer that it gets, drives, and
/// kills.
pub(crate) fn counted(live: impl FnOnce(&[OsString]) -> Result<()>) -> Result<Calls> {
    let table = Table::new()?;
    // -D: strace runs as a grandchild, so that the process that is started and killed here is the
    // server.
    let tracer = ["strace", "-D", "-f", "-c", "-o"].map(OsString::from);
    live(&[&tracer[..], &[table.path().into(), "--".into()]].concat())?;
    table.read()
}

/// The calls of a whole `strace -c` table; `None` while its last line is not written yet.
///
/// A line is `% time, seconds, usecs/call, calls, [errors,] syscall`; the errors may be missing.
fn parse_table(text: &str) -> Option<Calls> {
    let mut calls = Calls::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(name), Some(count)) = (fields.last(), fields.get(3)) else {
            continue;
        };
        let Ok(count) = count.parse::<i64>() else {
            continue;
        };
        if *name == "total" {
            return Some(calls);
        }
        *calls.entry((*name).to_owned()).or_default() += count;
    }
    None
}

/// What `more` has beyond `less`, for each of `units`.
fn per_unit(less: &Calls, more: &Calls, units: u32) -> BTreeMap<String, f64> {
    let mut difference = more.clone();
    for (name, count) in less {
        *difference.entry(name.clone()).or_default() -= count;
    }
    difference
        .into_iter()
        .map(|(name, count)| (name, count as f64 / f64::from(units)))
        .collect()
}

/// The file that strace writes; removed when dropped.
struct Table(PathBuf);

impl Table {
    fn new() -> Result<Table> {
        let name = format!("oneloop-bench-{}.strace", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Table(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn read(&self) -> Result<Calls> {
        let deadline = Instant::now() + TABLE_MAX;
        while Instant::now() < deadline {
            let text = fs::read_to_string(&self.0).context("cannot read strace's table")?;
            if let Some(calls) = parse_table(&text) {
                return Ok(calls);
            }
            sleep(Duration::from_millis(5));
        }
        bail!("strace wrote no table within {TABLE_MAX:?}")
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // a file left in the temporary folder does no harm
    }
}

/// The system calls of a server for each unit of work.
#[derive(Serialize)]
pub(crate) struct SyscallRow {
    pub(crate) unit: &'static str,
    server: &'static str,
    units: u32,
    pub(crate) total: f64,
    calls: BTreeMap<String, f64>,
}

impl SyscallRow {
    /// The difference of two lives, of which `more` has `units` more than `less`: start-up and end
    /// are in both, and cancel.
    pub(crate) fn new(
        unit: &'static str,
        server: &'static str,
        units: u32,
        less: &Calls,
        more: &Calls,
    ) -> SyscallRow {
        let mut calls = per_unit(less, more, units);
        let total = calls.values().sum();
        calls.retain(|_, count| count.abs() >= SHOWN_MIN);
        SyscallRow {
            unit,
            server,
            units,
            total,
            calls,
        }
    }
}

impl Row for SyscallRow {
    const COLUMNS: &'static [&'static str] = &["for each", "server", "calls", "by kind"];
    const TEXT_COLUMNS: usize = 4;

    fn cells(&self) -> Vec<String> {
        let mut kinds: Vec<_> = self.calls.iter().collect();
        kinds.sort_by(|a, b| b.1.total_cmp(a.1));
        let kinds: Vec<_> = kinds
            .iter()
            .map(|(name, count)| format!("{name} {count:.2}"))
            .collect();
        vec![
            self.unit.into(),
            self.server.into(),
            format!("{:.2}", self.total),
            kinds.join(", "),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 50.00    0.000200           2       100           recvfrom
 40.00    0.000160           1       100           sendto
 10.00    0.000040           0        70         6 accept4
------ ----------- ----------- --------- --------- ----------------
100.00    0.000400           1       270         6 total
";

    #[test]
    fn calls_are_counted_with_and_without_errors() {
        let calls = parse_table(TABLE).unwrap();
        assert_eq!(calls.len(), 3);
        assert_eq!(calls["recvfrom"], 100);
        assert_eq!(calls["accept4"], 70);
    }

    #[test]
    fn an_unfinished_table_is_not_read() {
        let (unfinished, _) = TABLE.split_at(TABLE.len() - 60);
        assert_eq!(parse_table(unfinished), None);
        assert_eq!(parse_table(""), None);
    }

    #[test]
    fn start_up_cancels_in_the_difference() {
        let less = Calls::from([("mmap".into(), 20), ("recvfrom".into(), 100)]);
        let more = Calls::from([
            ("mmap".into(), 20),
            ("recvfrom".into(), 300),
            ("close".into(), 1),
        ]);
        let calls = per_unit(&less, &more, 200);
        assert_eq!(calls["mmap"], 0.0);
        assert_eq!(calls["recvfrom"], 1.0);
        assert_eq!(calls["close"], 0.005);
    }
}
