//! SIGUSR1: logs the server as a whole, each client, and each task of every loop. Nothing stops for
//! it.
//!
//! No list of clients is walked, as that would cost each client memory all the time. A client of an
//! async task or a green thread is woken, finds that a report is due, and adds its line.

use crate::logging::{TASKS, lost_lines};
use crate::reports::{ClientReport, Order};
use crate::server::Server;
use crate::serving_loop::ServingLoop;
use oneloop::Handle;
use oneloop::core::{Phase, Signals, TaskState};
use std::fmt::Display;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::info;

/// Lines between two pauses: the log has room for some thousand, and other tasks want their turn.
const LINES_AT_ONCE: usize = 1000;

/// Time for the log to be written, and between two attempts to log that lines are missing.
const PAUSE: Duration = Duration::from_millis(10);

/// How many attempts are made to log that lines are missing.
const LOST_TRIES: u32 = 1000;

/// How long the loops wait for the slowest of them before one logs the summary without it.
const LOOPS_WAIT: Duration = Duration::from_secs(1);

/// Makes each signal request reports from all loops.
pub(crate) fn listen(serving: &ServingLoop, signals: Signals) {
    let server = Arc::clone(&serving.server);
    serving.spawn_endless(async move {
        while signals.recv().await.is_ok() {
            server.request_reports();
        }
    });
}

/// Makes a loop report its clients and tasks whenever that is requested.
pub(crate) fn answer(serving: &Rc<ServingLoop>) {
    let inside = Rc::clone(serving);
    serving.spawn_endless(async move {
        let mut answered = 0;
        loop {
            let requested = poll_fn(|cx| inside.server.poll_report_request(cx, answered));
            answered = requested.await;
            report(&inside, answered).await;
        }
    });
}

async fn report(serving: &ServingLoop, round: u64) {
    let (clients, queued) = ask_clients(serving, None).await;
    let handle = &serving.handle;
    report_summary(&serving.server, handle, round, queued).await;
    let tasks = handle.dump_tasks();
    let count = |state| tasks.iter().filter(|task| task.state == state).count();
    // The counts come first: a reader of the log knows then how many lines to expect, and finds
    // out that some are missing.
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
    let clients = clients.iter().map(ToString::to_string);
    for (number, line) in clients.chain(tasks).enumerate() {
        if number > 0 && number % LINES_AT_ONCE == 0 {
            handle.sleep(PAUSE).await;
        }
        info!(target: TASKS, "{line}");
    }
    let lost = lost_lines() - lost_before;
    if lost > 0 {
        report_lost(handle, lost).await;
    }
}

/// Logs how many lines are missing, once the log has room for that.
async fn report_lost(handle: &Handle, lost: u64) {
    for _ in 0..LOST_TRIES {
        handle.sleep(PAUSE).await;
        let before = lost_lines();
        info!(target: TASKS, lost, "lines are missing: the log had no room for them");
        if lost_lines() == before {
            return;
        }
    }
}

/// Makes each client of this loop report, and one obey an order. Returns the reports, and the bytes
/// queued for all clients.
pub(crate) async fn ask_clients(
    serving: &ServingLoop,
    order: Option<Order>,
) -> (Vec<ClientReport>, u64) {
    let _one_round_at_a_time = serving.asking.acquire().await;
    for service in serving.services() {
        service.reports.begin_round();
        service.clients.report();
        if let Some(order) = order {
            service.reports.give(order);
            service.clients.obey();
        }
    }
    serving.handle.wake_waiting();
    // The woken clients run in the next phase or, if they are too many for it, in the turn after
    // that (rule 15).
    serving.handle.phase(Phase::Check).await;
    serving.handle.phase(Phase::Check).await;
    let (mut clients, mut queued) = (Vec::new(), 0);
    for service in serving.services() {
        let (of_service, bytes) = service.reports.take();
        clients.extend(of_service);
        queued += bytes;
    }
    (clients, queued)
}

/// Logs how the whole server is, once all loops have asked their clients.
async fn report_summary(server: &Arc<Server>, handle: &Handle, round: u64, queued: u64) {
    let loops = server.summary.add(round, queued);
    if loops < server.options.threads {
        let logged = poll_fn(|cx| server.poll_summary(cx, round));
        let _ = handle.timeout(LOOPS_WAIT, logged).await; // a busy loop must not hold up the others
    }
    if let Some((queued, loops)) = server.summary.take(round) {
        summarize(server, queued, loops);
        // This follows the line: a loop that sees it writes its own lines next.
        server.summary.set_logged(round);
        server.wake_reporters();
    }
}

fn summarize(server: &Server, queued: u64, loops: u16) {
    let (accepted, refused) = server.totals();
    let (services, listeners) = (&server.services, server.listening_on());
    info!(
        target: TASKS,
        connections = server.connections(),
        accepted,
        refused,
        shed = server.count_shed(0),
        queued,
        uptime = %humantime::format_duration(whole_seconds(server.started)),
        mode = %list(services.iter().map(|service| service.mode)),
        style = %list(services.iter().map(|service| service.style)),
        loops,
        threads = server.options.threads,
        listeners,
        refused_for = reasons(server),
        "the server"
    );
}

/// The reasons for which clients were refused, with their counts.
fn reasons(server: &Server) -> Option<String> {
    let counts = server.refusals.by_reason().filter(|(_, count)| *count > 0);
    let texts: Vec<_> = counts
        .map(|(reason, count)| format!("{}={count}", reason.name()))
        .collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

/// Different values, separated by commas.
fn list(values: impl Iterator<Item = impl Display>) -> String {
    let mut texts: Vec<_> = values.map(|value| value.to_string()).collect();
    texts.sort();
    texts.dedup();
    texts.join(",")
}

fn whole_seconds(since: Instant) -> Duration {
    Duration::from_secs(since.elapsed().as_secs())
}
