//! `green`: the cost of a task, as a green thread or as a future: a yield, spawn and join, a wake
//! by a channel, and the memory while it sleeps.

use std::io::Write;
use std::process::{ChildStdin, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::bench::Bench;
use crate::cli::GreenOptions;
use crate::comparators;
use crate::contenders::Runtime;
use crate::process::{Memory, memory};
use crate::program::{Found, Running, bench};
use crate::progress::Progress;
use crate::report::Row;
use crate::sample::rotation;
use crate::spread::Spread;
use crate::tasks::job::{Job, parse_answer};

const TIME_TITLE: &str = "Tasks: time, medians (and quartiles) of interleaved rounds";
const MEMORY_TITLE: &str = "Tasks: memory of each that sleeps";

/// The runtime to whose figures the ratios refer.
const YARDSTICK: Runtime = Runtime::OneloopGreen;

/// The maximum time of a job. Most jobs take a tenth of a second; one that spawns the sleeping
/// tasks takes as long as the runtime needs.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// The maximum number of rounds for memory: it hardly varies, and each round needs fresh processes.
const MEMORY_ROUNDS_MAX: u32 = 3;

/// Time for a runtime to finish what it puts off, before its memory is read.
const SETTLE: Duration = Duration::from_millis(100);

/// Returns the command that starts a runtime, or the reason why the runtime cannot run here.
fn find(runtime: Runtime) -> Result<Found> {
    Ok(match runtime {
        Runtime::OneloopGreen | Runtime::OneloopAsync | Runtime::Tokio | Runtime::May => {
            Found::Command(vec![bench()?.into()]).with(&["tasks", runtime.name()])
        }
        Runtime::Go => comparators::go::find()?.with(&["tasks"]),
        Runtime::Gevent | Runtime::Eventlet => {
            comparators::python::find(runtime.name()).with(&["tasks"])
        }
    })
}

/// Runs the benchmark and prints its tables.
pub(crate) fn run(bench: &mut Bench, options: &GreenOptions) -> Result<()> {
    let mut runtimes = options.runtimes.clone();
    runtimes.sort();
    runtimes.dedup();
    let mut programs = Vec::new();
    for runtime in runtimes {
        match find(runtime)? {
            Found::Command(command) => programs.push(Program { runtime, command }),
            Found::Missing(why) => bench.report.skip(runtime.name(), &why),
        }
    }
    ensure!(!programs.is_empty(), "no runtime is left to measure");
    time(bench, &programs, options)?;
    sleeping(bench, &programs, options)
}

fn time(bench: &mut Bench, programs: &[Program], options: &GreenOptions) -> Result<()> {
    let rounds = options.rounds.count as usize;
    let progress = Progress::start(Cost::ALL.len() * rounds * programs.len());
    let mut rows = Vec::new();
    for cost in Cost::ALL {
        let mut all = programs
            .iter()
            .map(|program| Timed::start(program, bench.cores.server, cost, options))
            .collect::<Result<Vec<_>>>()?;
        for round in 0..rounds {
            for turn in rotation(round, all.len()) {
                let timed = &mut all[turn];
                progress.step(format!("{}, {}", cost.name(), timed.runtime.name()));
                timed.take_round()?;
            }
        }
        let results = all
            .iter()
            .map(|timed| (timed.runtime, &timed.rounds_ns[..]));
        rows.extend(spreads(results).map(|(runtime, ns, ratio)| TimeRow {
            cost,
            runtime,
            ns,
            ratio_to_oneloop: ratio,
        }));
    }
    drop(progress);
    bench.report.table("green_time", TIME_TITLE, &rows)
}

fn sleeping(bench: &mut Bench, programs: &[Program], options: &GreenOptions) -> Result<()> {
    let rounds = options.rounds.count.min(MEMORY_ROUNDS_MAX) as usize;
    let progress = Progress::start(options.sleeping.len() * rounds * programs.len());
    let mut rows = Vec::new();
    for &tasks in &options.sleeping {
        let mut all: Vec<_> = programs.iter().map(Slept::by).collect();
        for round in 0..rounds {
            for turn in rotation(round, all.len()) {
                let slept = &mut all[turn];
                progress.step(format!("{tasks} sleep, {}", slept.program.runtime.name()));
                slept.take_round(bench.cores.server, tasks);
            }
        }
        let results = all
            .iter()
            .map(|slept| (slept.program.runtime, &slept.bytes[..]));
        rows.extend(spreads(results).map(|(runtime, bytes, ratio)| MemoryRow {
            tasks,
            runtime,
            anonymous_bytes_per_task: bytes,
            ratio_to_oneloop: ratio,
        }));
        for Slept {
            program, failed, ..
        } in all
        {
            if let Some(error) = failed {
                let name = program.runtime.name();
                let text = format!("{name} could not hold {tasks} sleeping tasks: {error:#}");
                bench.report.note(text);
            }
        }
    }
    drop(progress);
    bench.report.table("green_memory", MEMORY_TITLE, &rows)
}

/// The spread of each runtime's rounds, and of their ratios to the yardstick's, round by round: a
/// slow moment of the machine is in both and cancels.
fn spreads<'a>(
    results: impl Iterator<Item = (Runtime, &'a [f64])> + Clone,
) -> impl Iterator<Item = (Runtime, Spread, Option<Spread>)> {
    let yardstick = results.clone().find(|(runtime, _)| *runtime == YARDSTICK);
    results.filter_map(move |(runtime, rounds)| {
        let ratios = yardstick.and_then(|(_, yardstick)| {
            Spread::of(rounds.iter().zip(yardstick).map(|(own, other)| own / other))
        });
        Some((runtime, Spread::of(rounds.iter().copied())?, ratios))
    })
}

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Cost {
    /// One task lets the others run.
    Yield,
    /// One task is spawned, runs, and is joined.
    SpawnAndJoin,
    /// One value goes through a channel to a task that waits for it.
    ChannelHop,
}

impl Cost {
    const ALL: [Cost; 3] = [Cost::Yield, Cost::SpawnAndJoin, Cost::ChannelHop];

    fn name(self) -> &'static str {
        match self {
            Cost::Yield => "yield",
            Cost::SpawnAndJoin => "spawn + join",
            Cost::ChannelHop => "channel hop",
        }
    }

    /// Returns a job that does the operation at least `count` times, and the exact number.
    fn job(self, count: u64, options: &GreenOptions) -> (Job, u64) {
        let tasks = options.tasks;
        match self {
            Cost::Yield => {
                let times = count.div_ceil(tasks);
                (Job::Yield { tasks, times }, tasks * times)
            }
            Cost::SpawnAndJoin => (Job::Spawn { times: count }, count),
            Cost::ChannelHop => {
                let round_trips = count.div_ceil(2);
                (Job::Channel { round_trips }, 2 * round_trips)
            }
        }
    }
}

/// The operations of the warm-up: enough to see how fast a runtime is, and to fill its pools.
const WARM_UP_COUNT: u64 = 10_000;

/// A runtime that does one job repeatedly.
struct Timed {
    runtime: Runtime,
    worker: Worker,
    job: Job,
    /// How many times the job does the timed operation.
    count: u64,
    /// Nanoseconds each time, one figure a round.
    rounds_ns: Vec<f64>,
}

impl Timed {
    /// Starts a runtime, and measures how much work fits into a round.
    fn start(program: &Program, core: usize, cost: Cost, options: &GreenOptions) -> Result<Timed> {
        let mut worker = program.start(core)?;
        let (warm_up, warm_up_count) = cost.job(WARM_UP_COUNT, options);
        worker.run(warm_up)?; // not timed: it pays for page faults and for growing pools
        let warm_ns = worker.run(warm_up)?.as_nanos().max(1) as f64;
        let rounds = options.rounds.round_ms as f64 * 1e6 / warm_ns;
        let (job, count) = cost.job((rounds * warm_up_count as f64).ceil() as u64, options);
        Ok(Timed {
            runtime: program.runtime,
            worker,
            job,
            count,
            rounds_ns: Vec::new(),
        })
    }

    fn take_round(&mut self) -> Result<()> {
        let elapsed = self.worker.run(self.job)?;
        self.rounds_ns
            .push(elapsed.as_nanos() as f64 / self.count as f64);
        Ok(())
    }
}

/// The memory of the sleeping tasks of a runtime.
struct Slept<'a> {
    program: &'a Program,
    /// Bytes for each task, one figure a round.
    bytes: Vec<f64>,
    /// Why the runtime could not hold that many tasks. It then gets a note and no row.
    failed: Option<anyhow::Error>,
}

impl<'a> Slept<'a> {
    fn by(program: &'a Program) -> Self {
        Slept {
            program,
            bytes: Vec::new(),
            failed: None,
        }
    }

    fn take_round(&mut self, core: usize, tasks: u64) {
        if self.failed.is_some() {
            return;
        }
        match self.program.bytes_per_sleeping(core, tasks) {
            Ok(bytes) => self.bytes.push(bytes),
            Err(error) => self.failed = Some(error),
        }
    }
}

/// A runtime that can run here.
struct Program {
    runtime: Runtime,
    command: Vec<std::ffi::OsString>,
}

impl Program {
    fn start(&self, core: usize) -> Result<Worker> {
        let name = self.runtime.name();
        let mut process = Running::start(core, &self.command, Stdio::piped())
            .with_context(|| format!("cannot start {name}"))?;
        let stdin = process.take_stdin()?;
        Ok(Worker {
            name,
            process,
            stdin,
        })
    }

    fn bytes_per_sleeping(&self, core: usize, tasks: u64) -> Result<f64> {
        let mut worker = self.start(core)?;
        // The first task allocates what all tasks share.
        worker.run(Job::Sleep { tasks: 1 })?;
        let before = worker.memory()?;
        worker.run(Job::Sleep { tasks })?;
        let after = worker.memory()?;
        // Anonymous memory only: pages of the program's own file come in whenever code first runs.
        let bytes = after.anonymous_bytes.saturating_sub(before.anonymous_bytes);
        Ok(bytes as f64 / tasks as f64)
    }
}

/// A runtime in a child process. Between jobs it blocks in a read of its stdin, so its CPU is idle.
struct Worker {
    name: &'static str,
    process: Running,
    stdin: ChildStdin,
}

impl Worker {
    fn run(&mut self, job: Job) -> Result<Duration> {
        let name = self.name;
        self.ask(job)
            .with_context(|| format!("{name} did not do the job `{job}`"))
    }

    fn ask(&mut self, job: Job) -> Result<Duration> {
        self.stdin.write_all(format!("{job}\n").as_bytes())?;
        parse_answer(&self.process.read_line(ANSWER_MAX)?)
    }

    fn memory(&self) -> Result<Memory> {
        sleep(SETTLE);
        memory(self.process.pid())
    }
}

#[derive(Serialize)]
struct TimeRow {
    cost: Cost,
    runtime: Runtime,
    ns: Spread,
    ratio_to_oneloop: Option<Spread>,
}

impl Row for TimeRow {
    const COLUMNS: &'static [&'static str] = &["cost", "runtime", "ns", "ratio to oneloop-green"];
    const TEXT_COLUMNS: usize = 2;

    fn cells(&self) -> Vec<String> {
        vec![
            self.cost.name().into(),
            self.runtime.name().into(),
            format!("{:.0}", self.ns),
            ratio_cell(self.ratio_to_oneloop),
        ]
    }
}

#[derive(Serialize)]
struct MemoryRow {
    tasks: u64,
    runtime: Runtime,
    anonymous_bytes_per_task: Spread,
    ratio_to_oneloop: Option<Spread>,
}

impl Row for MemoryRow {
    const COLUMNS: &'static [&'static str] = &[
        "sleeping tasks",
        "runtime",
        "anonymous bytes/task",
        "ratio to oneloop-green",
    ];
    const TEXT_COLUMNS: usize = 2;

    fn cells(&self) -> Vec<String> {
        vec![
            self.tasks.to_string(),
            self.runtime.name().into(),
            format!("{:.0}", self.anonymous_bytes_per_task),
            ratio_cell(self.ratio_to_oneloop),
        ]
    }
}

fn ratio_cell(ratio: Option<Spread>) -> String {
    ratio.map_or("–".into(), |ratio| format!("{ratio:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::defaults;
    use crate::contenders::BuiltIn;
    use clap::ValueEnum;

    #[test]
    fn a_job_does_at_least_what_is_asked_for_and_says_how_much() {
        let options: GreenOptions = defaults();
        let (tasks, times) = (1000, 3);
        assert_eq!(
            Cost::Yield.job(2001, &options),
            (Job::Yield { tasks, times }, 3000)
        );
        let round_trips = 3;
        assert_eq!(
            Cost::ChannelHop.job(5, &options),
            (Job::Channel { round_trips }, 6)
        );
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let results = [
            (Runtime::OneloopGreen, &[1.0, 10.0, 2.0][..]),
            (Runtime::Go, &[3.0, 30.0, 6.0][..]),
            (Runtime::May, &[][..]),
        ];
        let rows: Vec<_> = spreads(results.into_iter()).collect();
        assert_eq!(rows.len(), 2, "a runtime without a round has no row");
        let (runtime, spread, ratio) = rows[1];
        let ratio = ratio.unwrap();
        assert_eq!((runtime, spread.median), (Runtime::Go, 6.0));
        assert_eq!((ratio.min, ratio.max), (3.0, 3.0));
    }

    #[test]
    fn the_built_in_runtimes_have_one_name() {
        for runtime in [
            Runtime::OneloopGreen,
            Runtime::OneloopAsync,
            Runtime::Tokio,
            Runtime::May,
        ] {
            assert!(BuiltIn::from_str(runtime.name(), false).is_ok());
        }
    }
}
