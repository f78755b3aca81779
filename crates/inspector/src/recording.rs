//! What an observer on a loop notes for the page, until the page takes it.

use crate::places::{SourceLine, place_of};
use hdrhistogram::Histogram;
use oneloop_core::{Key, Phase, PhaseReport, Ran, Task};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Turns that are noted between two frames. A busy loop takes more; they are sampled, so that what
/// the observer costs has a limit.
pub(crate) const TURNS_MAX: usize = 512;

/// Runs that are noted between two frames.
const RUNS_MAX: usize = 8192;

/// Turns that a frame shows: the slowest ones.
const SHOWN_MAX: usize = 48;

/// One turn, as the timeline shows it.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) number: u64,
    pub(crate) began: Instant,
    /// The time for which it worked.
    pub(crate) busy: Duration,
    pub(crate) slept: Duration,
    pub(crate) runs: usize,
    pub(crate) longest: Option<Ran>,
    /// The time of its runs, by the phases.
    pub(crate) phases: [Duration; Phase::ALL.len()],
}

impl Turn {
    fn new(number: u64, began: Instant) -> Self {
        Turn {
            number,
            began,
            busy: Duration::ZERO,
            slept: Duration::ZERO,
            runs: 0,
            longest: None,
            phases: Default::default(),
        }
    }
}

/// What was noted since the page last took it.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// The slowest turns.
    pub(crate) turns: Vec<Turn>,
    /// The time of each turn in microseconds.
    pub(crate) turn_us: Vec<u64>,
    /// The runs of tasks, by the places that spawned these.
    pub(crate) by_place: HashMap<Option<SourceLine>, (u64, Duration)>,
    pub(crate) by_task: HashMap<Key<Task>, (Option<SourceLine>, Duration)>,
    /// The time of all runs.
    pub(crate) ran: Duration,
    runs: usize,
    current: Option<Turn>,
    /// The task of the inspector itself, which the page does not show.
    pub(crate) own_task: Option<Key<Task>>,
}

impl Recording {
    /// True once the observer has noted its share.
    pub(crate) fn is_full(&self) -> bool {
        self.turn_us.len() >= TURNS_MAX || self.runs >= RUNS_MAX
    }

    /// Takes what was noted, for a frame.
    pub(crate) fn take(&mut self) -> Recording {
        let current = self.current.take();
        let taken = std::mem::take(self);
        self.current = current;
        self.own_task = taken.own_task;
        taken
    }

    /// Notes one phase.
    pub(crate) fn note(&mut self, report: &PhaseReport) {
        if self
            .current
            .as_ref()
            .is_none_or(|turn| turn.number != report.turn)
        {
            self.end_turn();
            self.current = Some(Turn::new(report.turn, report.began));
        }
        let own = self.own_task;
        let runs = report
            .ran
            .iter()
            .filter(|ran| ran.task.is_none() || ran.task != own);
        let mut took = Duration::ZERO;
        for ran in runs {
            took += ran.took;
            self.note_run(ran);
        }
        if let Some(turn) = &mut self.current {
            turn.slept += report.slept;
            turn.busy += took;
            turn.phases[report.phase as usize] += took;
        }
    }

    fn note_run(&mut self, ran: &Ran) {
        self.runs += 1;
        self.ran += ran.took;
        let place = ran.spawned_at.map(place_of);
        let (runs, took) = self.by_place.entry(place).or_default();
        *runs += 1;
        *took += ran.took;
        if let Some(task) = ran.task {
            let (_, took) = self.by_task.entry(task).or_insert((place, Duration::ZERO));
            *took += ran.took;
        }
        if let Some(turn) = &mut self.current {
            turn.runs += 1;
            if turn.longest.is_none_or(|longest| ran.took > longest.took) {
                turn.longest = Some(*ran);
            }
        }
    }

    /// Ends the present turn: the loop sleeps, or begins the next.
    pub(crate) fn end_turn(&mut self) {
        let Some(turn) = self.current.take().filter(|turn| turn.runs > 0) else {
            return;
        };
        self.turn_us
            .push(u64::try_from(turn.busy.as_micros()).unwrap_or(u64::MAX));
        if self.turns.len() < SHOWN_MAX {
            return self.turns.push(turn);
        }
        let fastest = self.turns.iter_mut().min_by_key(|shown| shown.busy);
        if let Some(fastest) = fastest.filter(|fastest| fastest.busy < turn.busy) {
            *fastest = turn;
        }
    }
}

/// How long turns took, over the last ten to twenty seconds.
#[derive(Debug)]
pub(crate) struct Lags {
    now: Histogram<u32>,
    before: Histogram<u32>,
    began: Instant,
}

/// How long one of the two histograms collects.
const WINDOW: Duration = Duration::from_secs(10);

impl Lags {
    pub(crate) fn new(now: Instant) -> Self {
        let empty = || {
            let histogram = Histogram::new_with_bounds(1, 3_600_000_000, 2);
            let mut histogram = histogram.expect("these bounds are valid");
            histogram.auto(true);
            histogram
        };
        Lags {
            now: empty(),
            before: empty(),
            began: now,
        }
    }

    pub(crate) fn add(&mut self, now: Instant, turn_us: &[u64]) {
        if now - self.began >= WINDOW {
            std::mem::swap(&mut self.now, &mut self.before);
            self.now.reset();
            self.began = now;
        }
        turn_us
            .iter()
            .for_each(|us| self.now.saturating_record(*us));
    }

    /// The median, the 99th percentile and the maximum in microseconds.
    pub(crate) fn quantiles(&self) -> [u64; 3] {
        let mut all = self.before.clone();
        // It fails for values beyond the bounds only, and those of both are the same.
        let _ = all.add(&self.now);
        [
            all.value_at_quantile(0.5),
            all.value_at_quantile(0.99),
            all.max(),
        ]
    }
}
