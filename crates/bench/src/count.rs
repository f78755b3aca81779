//! `count`: the instructions and system calls of one unit of the server's work, beside recorded
//! figures. Neither depends on what else the machine does, so a later change cannot spend them
//! unseen.

mod chat;
mod record;
mod unit;

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Result, ensure};
use serde::Serialize;

use self::record::{Compared, Figures, Record};
use crate::bench::Bench;
use crate::cli::CountOptions;
use crate::contenders::{Kind, Unit};
use crate::progress::Progress;
use crate::report::Row;
use crate::server::{Program, Server};
use crate::strace::SyscallRow;
use crate::{callgrind, strace};

const TITLE: &str = "Instructions outside of the kernel, by callgrind, and system calls, by strace";

/// The recorded figures, beside the code that they are about.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.json");

/// Oneloop's server in each style.
pub(crate) const SERVERS: [Kind; 3] = [Kind::Main, Kind::MainCallback, Kind::MainGreen];

/// Runs the count, prints its table, and compares it with the record; or says why it cannot.
pub(crate) fn run(bench: &mut Bench, options: &CountOptions) -> Result<()> {
    let tools = Tools::find(bench);
    let progress = Progress::start(options.units.len() * bench.programs.len());
    let mut rows = Vec::new();
    for &unit in &options.units {
        for program in &bench.programs {
            progress.step(format!("{}, {}", unit.name(), program.kind.name()));
            let figures = tools.count(bench, unit, program)?;
            rows.push(CountRow::new(unit, program, figures));
        }
    }
    drop(progress);
    let path = Path::new(RECORD);
    if options.record {
        bench.report.table("count", TITLE, &rows)?;
        return Record::of(rows.iter().map(CountRow::entry))?.write(path);
    }
    let record = Record::read(path)?;
    let no_instructions = record.why_no_instructions()?;
    for row in &mut rows {
        row.compared = Some(record.compare(&row.key(), row.figures));
    }
    bench.report.table("count", TITLE, &rows)?;
    let instructions = no_instructions.is_none();
    if let Some(why) = no_instructions {
        bench.report.note(why);
    }
    let changes = rows.iter().filter_map(|row| row.change(instructions));
    let changed: Vec<_> = changes.collect();
    ensure!(
        changed.is_empty(),
        "{}\nmend what costs more; or, if the change is meant, record it by `make count RECORD=1`, \
         and give the figures in the commit",
        changed.join("\n")
    );
    Ok(())
}

/// Which of the two tools are there.
struct Tools {
    callgrind: bool,
    strace: bool,
}

impl Tools {
    fn find(bench: &mut Bench) -> Tools {
        let mut is_there = |name: &str, why: Option<&str>| {
            if let Some(why) = why {
                bench.report.skip(name, why);
            }
            why.is_none()
        };
        Tools {
            callgrind: is_there("instructions", callgrind::why_not()),
            strace: is_there("system calls", strace::why_not()),
        }
    }

    /// What one unit costs: the difference of two lives, so that start and end cancel.
    fn count(&self, bench: &Bench, unit: Unit, program: &Program) -> Result<Figures> {
        let live = |tracer: &[OsString], repeats| {
            // A server beside it, untraced: what a proxy connects its clients to.
            let upstream = match unit.needs_upstream() {
                true => {
                    let upstream = program.clone().with(&Unit::Message.arguments(None));
                    Some(Server::start(&upstream, bench.cores)?)
                }
                false => None,
            };
            let address = upstream.as_ref().map(|server| server.address);
            let program = program.under(tracer).with(&unit.arguments(address));
            let server = Server::start(&program, bench.cores)?.into_listening();
            unit.drive(&server, repeats)?;
            Ok(server)
        };
        let repeats = unit.repeats();
        let units = repeats * unit.width();
        let mut figures = Figures::default();
        if self.callgrind {
            let count = |repeats| callgrind::counted(|tracer| live(tracer, repeats));
            let (less, more) = (count(repeats)?, count(2 * repeats)?);
            figures.instructions = Some((more - less) / f64::from(units));
        }
        if self.strace {
            let count = |repeats| strace::counted(|tracer| live(tracer, repeats).map(drop));
            let (less, more) = (count(repeats)?, count(2 * repeats)?);
            let name = program.kind.name();
            let row = SyscallRow::new(unit.name(), name, units, &less, &more);
            figures.system_calls = Some(row.total);
        }
        Ok(figures)
    }
}

/// What one unit costs one server.
#[derive(Serialize)]
struct CountRow {
    unit: &'static str,
    server: &'static str,
    #[serde(flatten)]
    figures: Figures,
    #[serde(skip)]
    compared: Option<Compared>,
}

impl CountRow {
    fn new(unit: Unit, program: &Program, figures: Figures) -> CountRow {
        CountRow {
            unit: unit.name(),
            server: program.kind.name(),
            figures,
            compared: None,
        }
    }

    fn key(&self) -> String {
        format!("{}, {}", self.unit, self.server)
    }

    fn entry(&self) -> (String, Figures) {
        (self.key(), self.figures)
    }

    /// A sentence for each figure that is not as recorded.
    fn change(&self, instructions: bool) -> Option<String> {
        let sentences = self.compared.as_ref()?.changes(instructions);
        (!sentences.is_empty()).then(|| format!("{}: {}", self.key(), sentences.join("; ")))
    }
}

impl Row for CountRow {
    const COLUMNS: &'static [&'static str] = &[
        "for each",
        "server",
        "instructions",
        "to recorded",
        "system calls",
        "to recorded",
    ];
    const TEXT_COLUMNS: usize = 2;

    fn cells(&self) -> Vec<String> {
        let number = |value: Option<f64>, digits| match value {
            Some(value) => format!("{value:.digits$}"),
            None => String::new(),
        };
        let compared = self.compared.as_ref();
        vec![
            self.unit.into(),
            self.server.into(),
            number(self.figures.instructions, 0),
            number(compared.and_then(Compared::instructions), 3),
            number(self.figures.system_calls, 2),
            number(compared.and_then(Compared::system_calls), 3),
        ]
    }
}
