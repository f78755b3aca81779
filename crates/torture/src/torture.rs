//! The whole: baselines, the plan, the cases on several threads, and the report.

use crate::case::{self, Observed};
use crate::cli::{self, Cli};
use crate::exceptions::{EXPLAINED, Explained, IMPOSSIBLE};
use crate::faults::Fault;
use crate::plan::Plan;
use crate::scenario::{SCENARIOS, Scenario};
use crate::trace;
use crate::traced::Start;
use crate::upstream;
use crate::verdict::{Baseline, Complaint, judge};
use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

/// How often a case is tried whose call is not made in each run.
const ATTEMPTS: u32 = 5;
/// How many runs without the fault must then make the call before the case fails.
const CONFIRMATIONS: u32 = 20;

/// A scenario whose calls are known.
struct Subject {
    scenario: &'static Scenario,
    start: Start,
    baseline: Baseline,
    plan: Plan,
}

/// The outcome of one case.
enum Outcome {
    Passed,
    /// No run under the fault made the call, and not each run without it does.
    NotReached,
    Explained(&'static str),
    Failed(Vec<Complaint>, Box<Observed>),
}

#[derive(Default)]
struct Totals {
    passed: usize,
    not_reached: usize,
    explained: BTreeMap<&'static str, usize>,
    failed: usize,
}

/// Runs what the command line selects. Returns true if no case failed.
pub(crate) fn run(cli: &Cli) -> Result<bool> {
    if cli.list {
        list();
        return Ok(true);
    }
    if let Some(why) = cannot_trace() {
        println!("skipped: {why}");
        return Ok(true);
    }
    let began = Instant::now();
    let subjects = prepare(cli)?;
    let cases = select(&subjects, cli);
    let totals = torture(&subjects, &cases, cli);
    let impossible: usize = subjects.iter().map(|subject| subject.plan.impossible).sum();
    for (reason, count) in &totals.explained {
        println!("{count} explained: {reason}");
    }
    println!(
        "{} scenarios, {} cases in {} s: {} passed, {} explained, {} not reached, {} failed; \
         {impossible} impossible injections were left out",
        subjects.len(),
        cases.len(),
        began.elapsed().as_secs(),
        totals.passed,
        totals.explained.values().sum::<usize>(),
        totals.not_reached,
        totals.failed,
    );
    Ok(totals.failed == 0)
}

fn list() {
    println!("Scenarios:");
    for scenario in SCENARIOS {
        let program = scenario.example.unwrap_or("main");
        println!("  {}: {program} {}", scenario.name, scenario.args.join(" "));
    }
    println!("Injections that no kernel can produce:");
    for impossible in IMPOSSIBLE {
        println!("  {}: {}", impossible.what(), impossible.reason);
    }
    println!("Outcomes that are right although they look wrong:");
    for explained in EXPLAINED {
        println!("  {}", explained.reason);
    }
}

/// Why strace cannot run here.
fn cannot_trace() -> Option<String> {
    let mut command = Command::new("strace");
    command.args(["-qq", "-o", "/dev/null", "true"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Err(error) => Some(format!("strace cannot be started ({error})")),
        Ok(status) if !status.success() => Some("strace may not trace here (ptrace)".to_owned()),
        Ok(_) => None,
    }
}

/// Runs each scenario without a fault, which must pass, and plans its cases.
fn prepare(cli: &Cli) -> Result<Vec<Subject>> {
    let upstream = upstream::start()?;
    for name in &cli.scenarios {
        let is_known = SCENARIOS.iter().any(|scenario| scenario.name == name);
        ensure!(is_known, "no scenario is called {name}: see --list");
    }
    let is_selected = |scenario: &&Scenario| {
        cli.scenarios.is_empty() || cli.scenarios.iter().any(|name| name == scenario.name)
    };
    let mut subjects = Vec::new();
    for scenario in SCENARIOS.iter().filter(is_selected) {
        let program = scenario.program(cli);
        ensure!(
            program.exists(),
            "{} is not built: see make torture",
            program.display()
        );
        let start = scenario.start(cli, upstream);
        let (baseline, plan) = measure(scenario, &start, cli)
            .with_context(|| format!("FAILED {} without a fault", command(cli, scenario, "")))?;
        subjects.push(Subject {
            scenario,
            start,
            baseline,
            plan,
        });
    }
    Ok(subjects)
}

fn measure(scenario: &Scenario, start: &Start, cli: &Cli) -> Result<(Baseline, Plan)> {
    let observed = case::run(start, scenario.play, None, None)?;
    let baseline = Baseline::of(&observed, scenario.pooled_fds);
    if let Some(complaint) = judge(scenario.play, &baseline, None, &observed).first() {
        bail!("{}\n{}", complaint.what, observed.stderr);
    }
    let calls = trace::calls_of_main(&observed.log);
    ensure!(!calls.is_empty(), "the log of strace has no call of main");
    Ok((baseline, Plan::of(&calls, cli)))
}

/// The cases to run, each with its subject's index; with --sample, some of them.
fn select(subjects: &[Subject], cli: &Cli) -> Vec<(usize, Fault)> {
    let mut cases: Vec<_> = subjects
        .iter()
        .enumerate()
        .flat_map(|(index, subject)| {
            subject
                .plan
                .faults
                .iter()
                .map(move |fault| (index, fault.clone()))
        })
        .collect();
    if let Some(count) = cli.sample {
        fastrand::Rng::with_seed(cli.seed).shuffle(&mut cases);
        cases.truncate(count);
    }
    cases
}

fn torture(subjects: &[Subject], cases: &[(usize, Fault)], cli: &Cli) -> Totals {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}")
        .expect("the template above is valid");
    let bar = ProgressBar::new(cases.len() as u64).with_style(style);
    let mut totals = Totals::default();
    let rest = Mutex::new(cases.iter());
    let (sender, outcomes) = channel();
    thread::scope(|scope| {
        for _ in 0..cli.jobs.max(1) {
            let (rest, sender) = (&rest, sender.clone());
            scope.spawn(move || {
                let next = || rest.lock().ok()?.next();
                while let Some((index, fault)) = next() {
                    let outcome = attempt(&subjects[*index], fault);
                    if sender.send((*index, fault, outcome)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (index, fault, outcome) in outcomes {
            let subject = &subjects[index];
            bar.set_message(subject.scenario.name);
            bar.inc(1);
            match outcome {
                Ok(Outcome::Passed) => totals.passed += 1,
                Ok(Outcome::NotReached) => {
                    totals.not_reached += 1;
                    let command = reproduce(cli, subject, fault);
                    bar.suspend(|| println!("not reached: {command}"));
                }
                Ok(Outcome::Explained(reason)) => *totals.explained.entry(reason).or_default() += 1,
                Ok(Outcome::Failed(complaints, observed)) => {
                    totals.failed += 1;
                    bar.suspend(|| report(subject, fault, &complaints, &observed, cli));
                }
                Err(error) => {
                    totals.failed += 1;
                    let command = reproduce(cli, subject, fault);
                    bar.suspend(|| println!("FAILED {command}: {error:#}"));
                }
            }
        }
    });
    bar.finish_and_clear();
    totals
}

/// Runs a case until its fault has hit a call.
fn attempt(subject: &Subject, fault: &Fault) -> Result<Outcome> {
    let Subject {
        scenario,
        start,
        baseline,
        ..
    } = subject;
    for _ in 0..ATTEMPTS {
        let observed = case::run(start, scenario.play, Some(fault), baseline.fds_max)?;
        if !observed.hits(fault).is_empty() {
            return Ok(outcome(subject, fault, observed));
        }
        ensure!(
            !observed.makes_call_of(fault),
            "strace has not failed the call"
        );
    }
    for _ in 0..CONFIRMATIONS {
        let observed = case::run(start, scenario.play, None, baseline.fds_max)?;
        if !observed.makes_call_of(fault) {
            return Ok(Outcome::NotReached);
        }
    }
    bail!("each run without the fault makes the call, and no run under the fault does")
}

/// The outcome of a run in which the fault has hit.
fn outcome(subject: &Subject, fault: &Fault, observed: Observed) -> Outcome {
    let Subject {
        scenario, baseline, ..
    } = subject;
    let hits = observed.hits(fault);
    let complaints = judge(scenario.play, baseline, Some(fault), &observed);
    let mut reason = None;
    let unexplained: Vec<_> = complaints
        .into_iter()
        .filter(|complaint| {
            let explained = Explained::reason(scenario.name, fault, complaint.kind, &hits);
            reason = reason.or(explained);
            explained.is_none()
        })
        .collect();
    match (unexplained.is_empty(), reason) {
        (false, _) => Outcome::Failed(unexplained, Box::new(observed)),
        (true, Some(reason)) => Outcome::Explained(reason),
        (true, None) => Outcome::Passed,
    }
}

fn report(
    subject: &Subject,
    fault: &Fault,
    complaints: &[Complaint],
    observed: &Observed,
    cli: &Cli,
) {
    println!("FAILED {}", reproduce(cli, subject, fault));
    for complaint in complaints {
        println!("    {:?}: {}", complaint.kind, complaint.what);
    }
    for hit in observed.hits(fault).into_iter().take(2) {
        println!("    {}", hit.line);
    }
    if cli.verbose {
        println!("{}\n{}", observed.log, observed.stderr);
    }
}

/// The command that runs this case alone.
fn reproduce(cli: &Cli, subject: &Subject, fault: &Fault) -> String {
    command(cli, subject.scenario, &format!(" {fault}"))
}

/// The command that runs a scenario with the same server, in which a call may have another number
/// than in another build.
fn command(cli: &Cli, scenario: &Scenario, options: &str) -> String {
    let server = match cli.main.to_str() {
        Some(path) if path != cli::MAIN => format!("--main {path} "),
        _ => String::new(),
    };
    format!(
        "make torture ARGS='{server}--scenario {}{options}'",
        scenario.name
    )
}
