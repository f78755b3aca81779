//! SIGUSR1: what the server is at as a whole, each client, and each task of every loop, as log lines. Nothing
//! stops for it.
//!
//! There is no list of clients to walk, as it would cost each of them something all the time. A client
//! of an async task or a green thread is woken, finds that a report is asked for, and adds its line.

use crate::logging::{TASKS, lost_lines};
use crate::service::{Service, Shared};
use oneloop::{Handle, Phase, Signals, TaskState};
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::info;

/// The log has room for some thousand lines, and the other tasks want their turn.
const LINES_AT_ONCE: usize = 1000;
/// Time for the log to be written meanwhile.
const PAUSE: Duration = Duration::from_millis(10);
/// How often it is tried to say that lines are missing.
const LOST_TRIES: u32 = 1000;
/// How long the loops wait for the slowest of them before they say what they know.
const LOOPS_WAIT: Duration = Duration::from_secs(1);

/// Has each signal ask all loops for their clients and tasks.
pub(crate) fn listen(shared: &Arc<Shared>, handle: &Handle, signals: Signals) {
    let shared = Arc::clone(shared);
    handle.spawn_detached(async move {
        while signals.recv().await.is_ok() {
            shared.ask_for_tasks();
        }
    });
}

/// Has a loop tell of its clients and tasks whenever they are asked for.
pub(crate) fn answer(service: &Rc<Service>) {
    let inside = Rc::clone(service);
    service.handle.spawn_detached(async move {
        let mut answered = 0;
        loop {
            let asked = poll_fn(|cx| inside.shared.poll_asked_for_tasks(cx, answered));
            answered = asked.await;
            tell(&inside, answered).await;
        }
    });
}

/// What one client has to say of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) queued: usize,
    /// In tenths of a second.
    pub(crate) age: u32,
    pub(crate) waits: &'static str,
}

/// What a client may wait for.
pub(crate) const FOR_INPUT: &str = "waits for input";
pub(crate) const FOR_CLIENT: &str = "waits for the client to take output";
pub(crate) const FOR_PEER: &str = "waits for the peer to take input";
pub(crate) const FOR_CONNECTION: &str = "waits for its peer to be there";

/// The reports of one loop's clients while they come in.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// How many times they were asked for.
    round: Cell<u32>,
    lines: RefCell<Vec<String>>,
    queued: Cell<u64>,
}

impl Reports {
    /// Tells a client whether it has reported in this round.
    #[inline]
    pub(crate) fn round(&self) -> u32 {
        self.round.get()
    }

    /// True once in each round, for a client that remembers the last one that it `heard` of.
    #[inline]
    pub(crate) fn is_asked(&self, heard: &mut u32) -> bool {
        let round = self.round();
        round != std::mem::replace(heard, round)
    }

    /// Adds a client's report to this round.
    pub(crate) fn add(&self, number: u64, peer: Option<impl Display>, report: Report) {
        let peer = peer.map_or_else(|| "gone".to_owned(), |peer| peer.to_string());
        let (age, tenths) = (report.age / 10, report.age % 10);
        let line = format!(
            "client {number} {peer}: {} bytes in, {} out, {} queued, connected for {age}.{tenths} s, {}",
            report.received, report.sent, report.queued, report.waits,
        );
        self.lines.borrow_mut().push(line);
        self.queued.set(self.queued.get() + report.queued as u64);
    }
}

/// What the loops have found out together, for the summary.
#[derive(Debug, Default)]
pub(crate) struct Gathered(Mutex<Sum>);

#[derive(Debug, Default)]
struct Sum {
    round: u64,
    loops: u16,
    queued: u64,
    is_told: bool,
}

impl Gathered {
    fn with<T>(&self, round: u64, f: impl FnOnce(&mut Sum) -> T) -> T {
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sum.round != round {
            *sum = Sum {
                round,
                ..Sum::default()
            };
        }
        f(&mut sum)
    }

    /// True once the summary of this round has been told.
    pub(crate) fn is_told(&self, round: u64) -> bool {
        self.with(round, |sum| sum.is_told)
    }
}

async fn tell(service: &Rc<Service>, round: u64) {
    let (clients, queued) = ask_clients(service).await;
    tell_summary(&service.shared, &service.handle, round, queued).await;
    let handle = &service.handle;
    let tasks = handle.dump_tasks();
    let count = |state| tasks.iter().filter(|task| task.state == state).count();
    info!(
        target: TASKS,
        tasks = tasks.len(),
        waiting = count(TaskState::Waiting),
        ready = count(TaskState::Ready),
        clients = clients.len(),
        queued,
        "all clients and tasks of this loop follow"
    );
    let lost_before = lost_lines();
    let tasks = tasks.iter().map(ToString::to_string);
    for (number, line) in clients.into_iter().chain(tasks).enumerate() {
        if number > 0 && number % LINES_AT_ONCE == 0 {
            handle.sleep(PAUSE).await;
        }
        info!(target: TASKS, "{line}");
    }
    let lost = lost_lines() - lost_before;
    if lost > 0 {
        tell_of_lost(handle, lost).await;
    }
}

/// Says how many lines are missing, once there is room for that.
async fn tell_of_lost(handle: &Handle, lost: usize) {
    for _ in 0..LOST_TRIES {
        handle.sleep(PAUSE).await;
        let before = lost_lines();
        info!(target: TASKS, lost, "lines were left out: the log took no more");
        if lost_lines() == before {
            return;
        }
    }
}

/// Has each client of this loop report; gives their lines, and how many bytes wait for all of them.
async fn ask_clients(service: &Service) -> (Vec<String>, u64) {
    let reports = &service.reports;
    reports.round.set(reports.round.get().wrapping_add(1));
    reports.queued.set(0);
    reports.lines.take();
    service.clients.report(reports, service.shared.age());
    service.handle.wake_waiting();
    // Those that are woken run in the phase that comes next, or behind it (rule 15).
    service.handle.phase(Phase::Check).await;
    service.handle.phase(Phase::Check).await;
    (reports.lines.take(), reports.queued.get())
}

/// Tells how the whole server is, once all loops have asked their clients.
async fn tell_summary(shared: &Arc<Shared>, handle: &Handle, round: u64, queued: u64) {
    let is_last = shared.gathered.with(round, |sum| {
        sum.queued += queued;
        sum.loops += 1;
        sum.loops == shared.options.threads
    });
    if !is_last {
        let told = poll_fn(|cx| shared.poll_summary(cx, round));
        let _ = handle.timeout(LOOPS_WAIT, told).await; // a loop that is busy is not waited for
    }
    let sum = shared.gathered.with(round, |sum| {
        let was_told = std::mem::replace(&mut sum.is_told, true);
        (!was_told).then_some((sum.queued, sum.loops))
    });
    if let Some((queued, loops)) = sum {
        summarize(shared, queued, loops);
        shared.wake_tellers();
    }
}

fn summarize(shared: &Shared, queued: u64, loops: u16) {
    let (accepted, refused) = shared.totals();
    let (options, listeners) = (&shared.options, shared.listening_on.join(", "));
    info!(
        target: TASKS,
        connections = shared.connections(),
        accepted,
        refused,
        shed = shared.shed(),
        queued,
        uptime = %humantime::format_duration(whole_seconds(shared.started)),
        mode = %options.mode,
        style = %options.style,
        loops,
        threads = options.threads,
        listeners,
        "the server"
    );
}

fn whole_seconds(since: Instant) -> Duration {
    Duration::from_secs(since.elapsed().as_secs())
}
