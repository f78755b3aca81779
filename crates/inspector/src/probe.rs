//! One loop under inspection: what it notes while a page watches, and nothing at other times.

use crate::gate::Gate;
use crate::recording::Recording;
use oneloop_core::{
    Class, Handle, Heartbeat, LoopGone, Observing, Parked, PhaseReport, PoolStats, Remote, Site,
    Stats, TaskInfo, TimerStats, WaitsFor,
};
use oneloop_monitor::{Blocked, Monitor, MonitorOptions};
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A run of a task that takes longer is reported with its source line.
const SLOW: Duration = Duration::from_millis(40);

/// Reports of slow runs that are kept for the page.
const BLOCKED_MAX: usize = 16;

/// Tasks that are described of each place that spawns some.
const TASKS_OF_PLACE_MAX: usize = 40;

/// The share of a loop's time that descriptions of its tasks may take: one part in so many.
const TASKS_SHARE: u32 = 200;

/// The shortest time between two descriptions of all tasks.
const TASKS_PAUSE: Duration = Duration::from_secs(1);

/// A loop, as the admin thread knows it.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) name: String,
    remote: Remote,
    pub(crate) shared: Arc<ProbeState>,
}

/// What a loop and the admin thread share.
#[derive(Debug, Default)]
pub(crate) struct ProbeState {
    pub(crate) gate: Gate,
    recording: Mutex<Recording>,
    latest: Mutex<Latest>,
    /// The loop's side, while a page watches.
    watching: Mutex<Option<Parked<Watching>>>,
}

/// What the loop last said of itself.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) tasks: Option<Tasks>,
    pub(crate) heartbeat: Option<Arc<Heartbeat>>,
    /// The last slow runs, with the lines in which they were.
    pub(crate) blocked: VecDeque<(Instant, Blocked)>,
    /// How many snapshots were asked for that have not come.
    unanswered: usize,
    /// The next time at which tasks are described.
    tasks_due: Option<Instant>,
}

/// A loop's counts at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) at: Instant,
    pub(crate) stats: Stats,
    pub(crate) timers: TimerStats,
    pub(crate) pools: [PoolStats; 3],
    pub(crate) tasks: usize,
}

/// A loop's tasks at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    pub(crate) sites: Vec<Site>,
    pub(crate) shown: Vec<TaskInfo>,
    pub(crate) waits: HashMap<u64, Vec<WaitsFor>>,
}

/// The classes of worker threads, in the order of [`Snapshot::pools`].
pub(crate) const CLASSES: [(Class, &str); 3] =
    [(Class::Fs, "fs"), (Class::Dns, "dns"), (Class::Cpu, "cpu")];

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic left half-changed is a picture that the next frame replaces.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProbeState {
    pub(crate) fn latest(&self) -> MutexGuard<'_, Latest> {
        lock(&self.latest)
    }

    pub(crate) fn take_recording(&self) -> Recording {
        lock(&self.recording).take()
    }
}

impl Probe {
    /// Runs on the loop's thread.
    pub(crate) fn new(name: String, handle: &Handle) -> Self {
        let mut remote = handle.remote();
        remote.set_referenced(false); // the loop ends when its program is done
        Probe {
            name,
            remote,
            shared: Arc::default(),
        }
    }

    /// Asks the loop for a snapshot, and lets it note its turns until the next. Each page that
    /// watches makes the admin thread ask a few times a second.
    ///
    /// # Errors
    /// The loop has ended.
    pub(crate) fn ask(&self) -> Result<(), LoopGone> {
        let mut latest = self.shared.latest();
        if latest.unanswered > 0 {
            latest.unanswered += 1;
            // It is stuck, or in slow motion: one question waits for it already. An empty one finds
            // out whether it is gone.
            drop(latest);
            return self.remote.run(|_| ());
        }
        latest.unanswered = 1;
        drop(latest);
        let shared = Arc::clone(&self.shared);
        self.remote.run(move |handle| answer(handle, &shared))
    }

    /// Runs a function on the loop.
    ///
    /// # Errors
    /// The loop has ended.
    pub(crate) fn run(&self, job: impl FnOnce(&Handle) + Send + 'static) -> Result<(), LoopGone> {
        self.remote.run(job)
    }

    /// Ends the watch: the loop notes nothing from here on.
    pub(crate) fn leave(&self) {
        self.shared.gate.free();
        let shared = Arc::clone(&self.shared);
        let left = self.remote.run(move |_| {
            drop(lock(&shared.watching).take());
            *shared.latest() = Latest::default();
            *lock(&shared.recording) = Recording::default();
        });
        if left.is_err() {
            drop(lock(&self.shared.watching).take()); // the loop is gone, and its values with it
        }
    }
}

/// What a loop has while a page watches. It stays on its thread.
#[derive(Debug)]
struct Watching {
    observing: Rc<RefCell<Option<Observing>>>,
    /// `None` if other code handles the signal of its samples.
    _monitor: Option<Monitor>,
}

impl Watching {
    fn begin(handle: &Handle, shared: &Arc<ProbeState>) -> Self {
        shared.latest().heartbeat = Some(handle.heartbeat());
        let blocks = Arc::clone(shared);
        let monitor = |backtrace| {
            let options = MonitorOptions {
                threshold: SLOW,
                backtrace,
            };
            let blocks = Arc::clone(&blocks);
            Monitor::start(handle, options, move |blocked| {
                let mut latest = blocks.latest();
                if latest.blocked.len() == BLOCKED_MAX {
                    latest.blocked.pop_front();
                }
                latest.blocked.push_back((Instant::now(), blocked.clone()));
            })
        };
        Watching {
            observing: Rc::default(),
            // Without the signal, a slow run still has a task.
            _monitor: monitor(true).or_else(|_| monitor(false)).ok(),
        }
    }

    /// Notes turns from here on, until the share of one frame is full.
    fn note(&self, handle: &Handle, shared: &Arc<ProbeState>) {
        if self.observing.borrow().is_some() {
            return;
        }
        // Weak, or the observer would keep itself.
        let (slot, shared) = (Rc::downgrade(&self.observing), Arc::clone(shared));
        let observing = handle.observe_also(move |report: &PhaseReport| {
            let mut recording = lock(&shared.recording);
            recording.note(report);
            let is_full = recording.is_full();
            drop(recording);
            shared
                .gate
                .pass(report.turn, report.phase, || lines(report));
            if is_full && shared.gate.is_free() {
                let ended = slot.upgrade().and_then(|slot| slot.borrow_mut().take());
                drop(ended); // the next question begins another
            }
        });
        *self.observing.borrow_mut() = Some(observing);
    }
}

/// What woke and what ran in a phase, a line for each.
fn lines(report: &PhaseReport) -> Vec<String> {
    let woke = report.woke.iter().map(|woke| format!("woke: {woke}"));
    let ran = report.ran.iter().map(|ran| format!("ran: {ran}"));
    woke.chain(ran).collect()
}

/// Answers the admin thread, on the loop.
fn answer(handle: &Handle, shared: &Arc<ProbeState>) {
    let own_task = handle.current_task();
    let mut watching = lock(&shared.watching).take();
    let present = watching.get_or_insert_with(|| handle.park(Watching::begin(handle, shared)));
    present.with(|present| present.note(handle, shared));
    *lock(&shared.watching) = watching;
    lock(&shared.recording).own_task = own_task;
    let began = Instant::now();
    let snapshot = Snapshot {
        at: began,
        stats: handle.stats(),
        timers: handle.timer_stats(),
        pools: CLASSES.map(|(class, _)| handle.pool_stats(class)),
        tasks: handle.task_count(),
    };
    let is_due = shared.latest().tasks_due.is_none_or(|due| due <= began);
    let tasks = is_due.then(|| tasks_of(handle));
    let took = began.elapsed();
    let mut latest = shared.latest();
    latest.snapshot = Some(snapshot);
    latest.unanswered = 0;
    if tasks.is_some() {
        latest.tasks = tasks;
        latest.tasks_due = Some(began + TASKS_PAUSE.max(took * TASKS_SHARE));
    }
}

fn tasks_of(handle: &Handle) -> Tasks {
    let own = handle.current_task();
    let (sites, mut shown) = handle.dump_sites(TASKS_OF_PLACE_MAX);
    shown.retain(|task| Some(task.key) != own);
    let mut waits: HashMap<u64, Vec<WaitsFor>> = HashMap::new();
    for (task, wait) in handle.dump_waits() {
        waits.entry(task.to_u64()).or_default().push(wait);
    }
    Tasks {
        sites,
        shown,
        waits,
    }
}

/// The loops of a program that an inspector shows.
///
/// A clone names the same loops, and may be sent to the threads of other loops.
#[derive(Clone, Debug, Default)]
pub struct Loops {
    probes: Arc<Mutex<Vec<Probe>>>,
}

impl Loops {
    /// Shows a loop under this name; it must be called on the loop's thread, before or while the loop
    /// runs. A loop that ends disappears.
    ///
    /// It costs the loop nothing until a page watches, and nothing once none does.
    ///
    /// ```
    /// use oneloop::inspector::Inspector;
    /// let event_loop = oneloop::EventLoop::new()?;
    /// let inspector = Inspector::new();
    /// inspector.loops().attach("main", &event_loop.handle());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn attach(&self, name: impl Into<String>, handle: &Handle) {
        let probe = Probe::new(name.into(), handle);
        let mut probes = lock(&self.probes);
        // Threads come in any order; "loop 10" is behind "loop 9".
        let place = |probe: &Probe| (probe.name.len(), probe.name.clone());
        let index = probes.partition_point(|other| place(other) <= place(&probe));
        probes.insert(index, probe);
    }

    pub(crate) fn probes(&self) -> Vec<Probe> {
        lock(&self.probes).clone()
    }

    /// Removes a loop that has ended.
    pub(crate) fn remove(&self, gone: &Probe) {
        let is_other = |probe: &Probe| !Arc::ptr_eq(&probe.shared, &gone.shared);
        lock(&self.probes).retain(is_other);
    }
}
