//! What the page gets, as JSON: a frame a few times a second, the tasks and connections less often.

use crate::advice::{Advice, Facts, advise, slow_motion, stuck};
use crate::connections::{ConnectionInfo, ConnectionList};
use crate::places::{place_of, place_text};
use crate::probe::{CLASSES, Probe, Snapshot, Tasks};
use crate::recording::{Lags, Recording, Turn};
use oneloop_core::{Phase, Ran, Stats, TaskInfo, TaskState};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A loop that has not answered for so long is stuck.
const STUCK: Duration = Duration::from_millis(1500);

/// Places that a frame lists.
const PLACES_MAX: usize = 6;

/// How long a slow run is mentioned.
const BLOCKED_SHOWN: Duration = Duration::from_secs(6);

/// What the admin thread keeps of one loop from frame to frame.
pub(crate) struct LoopView {
    before: Option<Snapshot>,
    lags: Lags,
    /// When the loop last answered.
    answered: Instant,
    /// The difference that the last answers made: a loop that is held shows it still.
    shown: Option<Shown>,
    /// What tasks are called, by their keys.
    names: HashMap<u64, String>,
}

struct Shown {
    stats: Stats,
    seconds: f64,
    snapshot: Snapshot,
}

impl LoopView {
    pub(crate) fn new(now: Instant) -> Self {
        LoopView {
            before: None,
            lags: Lags::new(now),
            answered: now,
            shown: None,
            names: HashMap::new(),
        }
    }

    /// One loop's part of a frame, and the advice about it.
    pub(crate) fn frame(&mut self, now: Instant, probe: &Probe) -> (Value, Vec<Advice>) {
        let recording = probe.shared.take_recording();
        self.lags.add(now, &recording.turn_us);
        let latest = probe.shared.latest();
        let snapshot = latest.snapshot.clone();
        let running = latest
            .heartbeat
            .as_ref()
            .and_then(|heartbeat| heartbeat.running());
        let blocked = latest.blocked.back();
        let blocked = blocked.filter(|(at, _)| now - *at < BLOCKED_SHOWN).cloned();
        let slow: Vec<Value> = latest
            .blocked
            .iter()
            .map(|(at, blocked)| {
                json!({
                    "ago_ms": millis(now - *at),
                    "ms": millis(blocked.at_least),
                    "task": blocked.running.task.map(|task| task.to_string()),
                    "at": blocked.running.spawned_at.map(|at| place_text(Some(place_of(at)))),
                    "lines": blocked.backtrace,
                })
            })
            .collect();
        drop(latest);
        self.update(now, snapshot);
        let step = probe.shared.gate.at();
        let silent = now - self.answered;
        let is_free = probe.shared.gate.is_free();
        let is_stuck = silent > STUCK && is_free;
        let mut advice = Vec::new();
        if !is_free {
            advice.push(slow_motion(&probe.name));
            // What it counts meanwhile is about the wait.
            (self.before, self.answered) = (None, now);
        } else if is_stuck {
            advice.push(stuck(&probe.name, silent, running));
        } else if let Some(shown) = &self.shown {
            advice = advise(&Facts {
                name: &probe.name,
                snapshot: &shown.snapshot,
                stats: &shown.stats,
                recording: &recording,
                blocked: blocked.as_ref().map(|(_, blocked)| blocked),
                what_is: &|task| self.names.get(&task).cloned(),
            });
        }
        let value = json!({
            "name": probe.name,
            "stuck_ms": is_stuck.then(|| millis(silent)),
            "step": step.map(|step| json!({
                "turn": step.turn,
                "phase": step.phase,
                "lines": step.lines,
                "holds": step.holds,
            })),
            "lag_us": self.lags.quantiles(),
            "turns": recording.turns.iter().map(|turn| self.turn(now, turn)).collect::<Vec<_>>(),
            "sampled": recording.is_full(),
            "places": places(&recording),
            "slow": slow,
            "counts": self.shown.as_ref().map(counts),
        });
        (value, advice)
    }

    fn update(&mut self, now: Instant, snapshot: Option<Snapshot>) {
        let Some(snapshot) = snapshot else { return };
        if self
            .before
            .as_ref()
            .is_some_and(|before| before.at == snapshot.at)
        {
            return;
        }
        self.answered = now;
        if let Some(before) = &self.before {
            self.shown = Some(Shown {
                stats: difference(&snapshot.stats, &before.stats),
                seconds: (snapshot.at - before.at).as_secs_f64().max(1e-6),
                snapshot: snapshot.clone(),
            });
        }
        self.before = Some(snapshot);
    }

    fn turn(&self, now: Instant, turn: &Turn) -> Value {
        let ago = now.saturating_duration_since(turn.began + turn.slept);
        json!({
            "n": turn.number,
            "ago_ms": millis(ago),
            "busy_us": micros(turn.busy),
            "runs": turn.runs,
            "phases_us": turn.phases.map(micros),
            "longest": turn.longest.as_ref().map(|ran| self.run(ran)),
        })
    }

    fn run(&self, ran: &Ran) -> Value {
        json!({
            "task": ran.task.map(|task| task.to_string()),
            "what": ran.task.and_then(|task| self.names.get(&task.to_u64())),
            "at": ran.spawned_at.map(|at| place_text(Some(place_of(at)))),
            "us": micros(ran.took),
        })
    }

    /// The loop's tasks, for the tree.
    pub(crate) fn tasks(&mut self, probe: &Probe) -> Option<Value> {
        let tasks = probe.shared.latest().tasks.take()?;
        self.names = tasks
            .shown
            .iter()
            .map(|task| (task.key.to_u64(), task.what.clone()))
            .collect();
        Some(json!({
            "name": probe.name,
            "sites": tasks.sites.iter().take(100).map(|site| json!({
                "at": place_text(Some((site.file, site.line))),
                "tasks": site.tasks,
            })).collect::<Vec<_>>(),
            "tasks": tasks.shown.iter().map(|task| task_value(task, &tasks)).collect::<Vec<_>>(),
        }))
    }
}

fn task_value(task: &TaskInfo, tasks: &Tasks) -> Value {
    let waits = tasks.waits.get(&task.key.to_u64());
    let waits = waits.map(|waits| waits.iter().map(ToString::to_string).collect::<Vec<_>>());
    json!({
        "key": task.key.to_string(),
        "what": task.what,
        "state": match task.state {
            TaskState::Running => "runs",
            TaskState::Ready => "ready",
            _ => "waits",
        },
        "ms": millis(task.since),
        "at": place_text(Some(place_of(task.spawned_at))),
        "by": task.spawned_by.map(|by| by.to_string()),
        "waits": waits,
    })
}

fn counts(shown: &Shown) -> Value {
    let Shown {
        stats,
        seconds,
        snapshot,
    } = shown;
    let rate = |count: u64| (count as f64 / seconds).round();
    let pools = snapshot.pools.iter().zip(CLASSES);
    json!({
        "utilization": stats.utilization(),
        "idle_us": micros(stats.idle),
        "phases_us": stats.phases.map(micros),
        "turns": rate(stats.turns),
        "events": rate(stats.events),
        "runs": rate(stats.tasks_run),
        "spawned": rate(stats.tasks_spawned),
        "timers_fired": rate(stats.timers_fired),
        "rings": rate(stats.rings),
        "tasks": snapshot.tasks,
        "timers": {
            "armed": snapshot.timers.armed,
            "referenced": snapshot.timers.referenced,
            "next_ms": snapshot.timers.next_in.map(millis),
            "lag_us": micros(snapshot.stats.lag_last),
        },
        "pools": pools.map(|(pool, (_, name))| json!({
            "name": name,
            "threads": pool.threads,
            "idle": pool.idle,
            "queued": pool.queued,
            "waiting": pool.waiting,
        })).collect::<Vec<_>>(),
        "total": {
            "turns": snapshot.stats.turns,
            "runs": snapshot.stats.tasks_run,
            "busy_max_us": micros(snapshot.stats.busy_max),
        },
    })
}

fn places(recording: &Recording) -> Vec<Value> {
    let mut places: Vec<_> = recording.by_place.iter().collect();
    places.sort_by_key(|(_, (_, took))| std::cmp::Reverse(*took));
    let whole = recording.ran.as_secs_f64().max(1e-9);
    let places = places.into_iter().take(PLACES_MAX);
    places
        .map(|(place, (runs, took))| {
            json!({
                "at": place_text(*place),
                "runs": runs,
                "us": micros(*took),
                "share": took.as_secs_f64() / whole,
            })
        })
        .collect()
}

/// The names of the phases, in their order.
pub(crate) fn phases() -> Vec<String> {
    Phase::ALL.iter().map(ToString::to_string).collect()
}

/// The connections of the program.
pub(crate) fn connections(list: &ConnectionList) -> Value {
    let value = |one: &ConnectionInfo| {
        json!({
            "number": one.number,
            "loop": one.on_loop,
            "peer": one.peer,
            "age_ms": millis(one.age),
            "received": one.received,
            "sent": one.sent,
            "queued": one.queued,
            "state": one.state,
            "paused": one.is_paused,
        })
    };
    json!({
        "total": list.total,
        "shown": list.shown.iter().map(value).collect::<Vec<_>>(),
    })
}

/// The counts between two moments. The maxima are those since the start.
fn difference(now: &Stats, before: &Stats) -> Stats {
    let mut between = *now;
    between.turns -= before.turns;
    between.events -= before.events;
    between.timers_fired -= before.timers_fired;
    between.rings -= before.rings;
    between.tasks_spawned -= before.tasks_spawned;
    between.tasks_run -= before.tasks_run;
    between.tasks_unhandled -= before.tasks_unhandled;
    between.io_budget_spent -= before.io_budget_spent;
    between.run_budget_spent -= before.run_budget_spent;
    between.idle -= before.idle;
    for (phase, before) in between.phases.iter_mut().zip(before.phases) {
        *phase -= before;
    }
    between
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
