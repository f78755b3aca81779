//! Advice in sentences: what a frame shows that its reader should know.

use crate::places::{place_of, place_text};
use crate::probe::{CLASSES, Snapshot};
use crate::recording::Recording;
use oneloop_core::{Running, Stats};
use oneloop_monitor::Blocked;
use std::time::Duration;

/// A loop that works for more of its time is busy.
const BUSY: f64 = 0.8;
/// A place or a task that takes more of a loop's work is worth a sentence.
const MUCH: f64 = 0.4;
/// A turn that takes longer makes all other clients wait noticeably.
const SLOW_TURN: Duration = Duration::from_millis(20);

/// How much a sentence matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    Fine,
    Note,
    Warning,
}

impl Weight {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Weight::Fine => "fine",
            Weight::Note => "note",
            Weight::Warning => "warning",
        }
    }
}

/// A sentence, and how much it matters.
pub(crate) type Advice = (Weight, String);

/// What is known of one loop since the last frame.
pub(crate) struct Facts<'a> {
    pub(crate) name: &'a str,
    pub(crate) snapshot: &'a Snapshot,
    /// The counts of this frame alone.
    pub(crate) stats: &'a Stats,
    pub(crate) recording: &'a Recording,
    /// The last slow run, if it is of this frame.
    pub(crate) blocked: Option<&'a Blocked>,
    /// What a task is called beyond its place: a connection, or the description of the task.
    pub(crate) what_is: &'a dyn Fn(u64) -> Option<String>,
}

/// The advice about one loop.
pub(crate) fn advise(facts: &Facts<'_>) -> Vec<Advice> {
    let mut advice = Vec::new();
    advice.extend(on_work(facts));
    advice.extend(on_slow_runs(facts));
    advice.extend(on_pools(facts));
    advice.extend(on_limits(facts));
    if advice.is_empty() {
        let idle = percent(1.0 - facts.stats.utilization());
        let name = facts.name;
        advice.push((
            Weight::Fine,
            format!("{name} sleeps {idle} of the time, and nothing waits."),
        ));
    }
    advice
}

/// The advice about a loop that does not answer.
pub(crate) fn stuck(name: &str, silent: Duration, running: Option<Running>) -> Advice {
    let silent = duration(silent);
    let what = match running {
        None => "its thread may be stopped, or in a system call".to_owned(),
        Some(running) => match (running.task, running.spawned_at) {
            (None, _) => "its main future runs all the time".to_owned(),
            (Some(task), None) => format!("task {task} runs all the time"),
            (Some(task), Some(at)) => {
                let at = place_text(Some(place_of(at)));
                format!("task {task}, spawned at {at}, runs all the time")
            }
        },
    };
    (
        Weight::Warning,
        format!("{name} has not answered for {silent}: {what}."),
    )
}

/// The advice about a loop in slow motion.
pub(crate) fn slow_motion(name: &str) -> Advice {
    let text =
        format!("{name} is in slow motion, and its clients wait. It continues when you leave.");
    (Weight::Note, text)
}

fn on_work(facts: &Facts<'_>) -> Option<Advice> {
    let (busy, ran) = (facts.stats.utilization(), facts.recording.ran);
    if busy < BUSY || ran.is_zero() {
        return None;
    }
    let share = |took: Duration| took.as_secs_f64() / ran.as_secs_f64();
    let places = facts.recording.by_place.iter();
    let (place, took) = places
        .map(|(place, (_, took))| (*place, share(*took)))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    let mut text = format!("{} is {} busy", facts.name, percent(busy));
    if took >= MUCH {
        text += &format!(
            ", {} of it in tasks spawned at {}",
            percent(took),
            place_text(place)
        );
    }
    let tasks = facts.recording.by_task.iter();
    let hottest = tasks.map(|(task, (_, took))| (*task, share(*took)));
    let hottest = hottest.max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((task, took)) = hottest.filter(|(_, took)| *took >= MUCH) {
        let what =
            (facts.what_is)(task.to_u64()).map_or(String::new(), |what| format!(" ({what})"));
        text += &format!("; one of them, task {task}{what}, causes {}", percent(took));
    }
    text += match took >= MUCH {
        true => ". Give that work to a pool (offload), or add a loop (--threads).",
        false => ", by many tasks. Another loop would share the work (--threads).",
    };
    Some((Weight::Warning, text))
}

fn on_slow_runs(facts: &Facts<'_>) -> Option<Advice> {
    if let Some(blocked) = facts.blocked {
        let at_least = duration(blocked.at_least);
        let task = match (blocked.running.task, blocked.running.spawned_at) {
            (Some(task), Some(at)) => {
                let at = place_text(Some(place_of(at)));
                format!("task {task}, spawned at {at},")
            }
            (Some(task), None) => format!("task {task}"),
            (None, _) => "the main future".to_owned(),
        };
        let line = blocked.backtrace.iter().find(|line| is_of_program(line));
        let line = line.map_or(String::new(), |line| format!(", in {line}"));
        let name = facts.name;
        return Some((
            Weight::Warning,
            format!(
                "On {name}, {task} ran for more than {at_least} without a wait{line}. Everything else waited."
            ),
        ));
    }
    let slowest = facts.recording.turns.iter().max_by_key(|turn| turn.busy)?;
    let longest = slowest.longest?;
    if slowest.busy < SLOW_TURN {
        return None;
    }
    let took = duration(slowest.busy);
    let place = longest.spawned_at.map(place_of);
    let (runs, longest_took) = (slowest.runs, duration(longest.took));
    Some((
        Weight::Note,
        format!(
            "A turn of {} took {took}: {runs} runs, the longest {longest_took}, of a task spawned at {}.",
            facts.name,
            place_text(place)
        ),
    ))
}

fn on_pools(facts: &Facts<'_>) -> Vec<Advice> {
    let pools = facts.snapshot.pools.iter().zip(CLASSES);
    let full = pools.filter(|(pool, _)| pool.queued > 0 && pool.idle == 0);
    let advice = full.map(|(pool, (_, class))| {
        let (queued, threads) = (pool.queued + pool.waiting, pool.threads);
        let text = format!(
            "{queued} jobs of {} wait for the {threads} threads of its pool '{class}'.",
            facts.name
        );
        (Weight::Note, text)
    });
    advice.collect()
}

fn on_limits(facts: &Facts<'_>) -> Option<Advice> {
    let (runs, unhandled) = (facts.stats.run_budget_spent, facts.stats.tasks_unhandled);
    if unhandled > 0 {
        let text = format!(
            "{unhandled} tasks of {} have just panicked: see stderr.",
            facts.name
        );
        return Some((Weight::Warning, text));
    }
    (runs > 10).then(|| {
        let text = format!(
            "{runs} phases of {} ended with tasks still ready: tasks wake each other without end.",
            facts.name
        );
        (Weight::Note, text)
    })
}

/// True for a frame of the program itself, and not of the standard library, of a library or of the
/// loop.
fn is_of_program(line: &str) -> bool {
    let others = [
        "/rustc/",
        "/.cargo/registry/",
        "oneloop_",
        "<oneloop_",
        "oneloop::core::",
    ];
    line.contains(" at ") && !others.iter().any(|other| line.contains(other))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn duration(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.1} s"),
        seconds if seconds >= 0.001 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{:.0} µs", seconds * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Turn;
    use oneloop_core::{EventLoop, PoolStats, TimerStats};
    use std::time::Instant;

    /// The advice about a loop that was busy for this share of a second.
    fn advice(busy: f64, change: impl FnOnce(&mut Snapshot, &mut Recording)) -> Vec<String> {
        let mut stats = Stats::default();
        stats.phases[0] = Duration::from_secs_f64(busy);
        stats.idle = Duration::from_secs_f64(1.0 - busy);
        let mut snapshot = Snapshot {
            at: Instant::now(),
            stats,
            timers: TimerStats::default(),
            pools: [PoolStats::default(); 3],
            tasks: 1,
        };
        let mut recording = Recording::default();
        change(&mut snapshot, &mut recording);
        let advice = advise(&Facts {
            name: "loop 0",
            snapshot: &snapshot,
            stats: &snapshot.stats,
            recording: &recording,
            blocked: None,
            what_is: &|task| (task == 7).then(|| "client 3".to_owned()),
        });
        advice.into_iter().map(|(_, text)| text).collect()
    }

    /// A task's key, by its number.
    fn key(number: u64) -> oneloop_core::Key<oneloop_core::Task> {
        oneloop_core::Key::from_u64(number)
    }

    #[test]
    fn a_loop_that_sleeps_is_fine() {
        assert_eq!(
            advice(0.02, |_, _| ()),
            ["loop 0 sleeps 98 % of the time, and nothing waits."]
        );
    }

    #[test]
    fn the_place_and_the_task_that_make_a_loop_busy_are_named() {
        let advice = advice(0.97, |_, recording| {
            let place = Some(("main.rs", 88));
            recording.ran = Duration::from_millis(100);
            recording
                .by_place
                .insert(place, (10, Duration::from_millis(91)));
            recording
                .by_place
                .insert(None, (1, Duration::from_millis(9)));
            recording
                .by_task
                .insert(key(7), (place, Duration::from_millis(84)));
        });
        let expected = format!(
            "loop 0 is 97 % busy, 91 % of it in tasks spawned at main.rs:88; one of them, task {} \
             (client 3), causes 84 %. Give that work to a pool (offload), or add a loop (--threads).",
            key(7)
        );
        assert_eq!(advice, [expected]);
    }

    #[test]
    fn jobs_that_wait_and_tasks_that_panic_are_counted() {
        let advice = advice(0.1, |snapshot, _| {
            snapshot.pools[0].threads = 4;
            snapshot.pools[0].queued = 17;
            snapshot.stats.tasks_unhandled = 2;
        });
        let expected = [
            "17 jobs of loop 0 wait for the 4 threads of its pool 'fs'.",
            "2 tasks of loop 0 have just panicked: see stderr.",
        ];
        assert_eq!(advice, expected);
    }

    #[test]
    fn a_slow_turn_is_mentioned_with_its_longest_run() {
        let mut event_loop = EventLoop::new().unwrap();
        let turns = std::rc::Rc::new(std::cell::RefCell::new(Recording::default()));
        let noted = std::rc::Rc::clone(&turns);
        let observing = event_loop
            .handle()
            .observe_also(move |report| noted.borrow_mut().note(report));
        event_loop
            .handle()
            .spawn(async { std::thread::sleep(SLOW_TURN) });
        event_loop.run().unwrap();
        drop(observing);
        turns.borrow_mut().end_turn();
        let shown: Vec<Turn> = turns.borrow_mut().take().turns;
        let advice = advice(0.5, |_, recording| recording.turns = shown);
        assert!(
            advice[0].starts_with("A turn of loop 0 took 2"),
            "{advice:?}"
        );
        assert!(advice[0].contains("1 runs, the longest 2"), "{advice:?}");
        assert!(advice[0].contains("advice.rs:"), "{advice:?}");
    }

    #[test]
    fn a_frame_of_a_library_is_not_the_programs() {
        assert!(is_of_program("app::on_data at src/main.rs:88"));
        assert!(!is_of_program(
            "trace at /root/.cargo/registry/src/backtrace/src/lib.rs:1"
        ));
        assert!(!is_of_program(
            "core::ops::call at /rustc/5980/library/core/src/ops.rs:250"
        ));
        assert!(!is_of_program("main"));
    }
}
