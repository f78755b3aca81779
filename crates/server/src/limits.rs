//! How many connections fit into what the system allows: open files, and the backlog.

use crate::open_files;
use crate::options::Options;
use crate::plan::Plan;
use crate::work::Work;
use oneloop::net::COPY_FDS_MAX;
use tracing::warn;

/// Fds of the process: stdio, signals, and what the resolver and the log may open for a moment.
const PROCESS_FDS: u64 = 16;
/// Fds of each thread: epoll and the eventfd of its loop.
const THREAD_FDS: u64 = 2;
/// Fds of each listener: its socket, and the reserve that it sheds connections with.
const LISTENER_FDS: u64 = 2;

/// Raises the limit of open files as far as the system allows, and returns how many connections
/// there are fds for. Logs what the system does not allow.
pub(crate) fn prepare(plan: &Plan) -> u64 {
    for service in &plan.services {
        check_backlog(&service.options);
    }
    if let Err(error) = open_files::raise() {
        warn!(%error, "cannot raise the limit of open files");
    }
    // A client of any service may come, so each counts as one of the dearest.
    let costs = plan.services.iter().map(|service| match &service.work {
        Work::Talk(_) => (1, 0),
        Work::Relay(peers) => (peers.fds(), COPY_FDS_MAX as u64),
    });
    let (of_client, of_thread) = costs.reduce(dearest).unwrap_or((1, 0));
    // A relay between sockets may splice, and then keeps pipes in the pool of its thread.
    let other = other_fds(plan) + u64::from(plan.process().threads) * of_thread;
    (allowed().saturating_sub(other) / of_client).max(1)
}

/// How many connections may be open: at most `--max-conns`, and no more than `fit`. Logs if those
/// are fewer.
pub(crate) fn connections_max(options: &Options, fit: u64) -> usize {
    match options.process.max_conns.map(u64::from) {
        Some(wanted) if wanted > fit => {
            warn!(
                wanted,
                fit,
                allowed = allowed(),
                "{} needs more open files than the system allows: raise `ulimit -Hn`",
                options.origins.name("max_conns")
            );
            to_count(fit)
        }
        Some(wanted) => to_count(wanted),
        None => to_count(fit),
    }
}

fn dearest(a: (u64, u64), b: (u64, u64)) -> (u64, u64) {
    (a.0.max(b.0), a.1.max(b.1))
}

/// How many files may be open. If a sandbox hides the limit, there is none to respect: accept(2)
/// will report EMFILE.
fn allowed() -> u64 {
    open_files::limit().unwrap_or(u64::MAX)
}

fn other_fds(plan: &Plan) -> u64 {
    let listeners: usize = plan
        .services
        .iter()
        .map(|service| service.addrs.len())
        .sum();
    let thread = THREAD_FDS + LISTENER_FDS * listeners as u64;
    PROCESS_FDS + u64::from(plan.process().threads) * thread
}

fn to_count(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn check_backlog(options: &Options) {
    let backlog = options.service.backlog;
    // listen(2): the kernel silently uses the smaller of the two.
    let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    let somaxconn = somaxconn
        .ok()
        .and_then(|text| text.trim().parse::<i32>().ok());
    if let Some(somaxconn) = somaxconn.filter(|somaxconn| backlog > *somaxconn) {
        warn!(
            backlog,
            somaxconn,
            "the kernel reduces {} to net.core.somaxconn: raise that with sysctl",
            options.origins.name("backlog")
        );
    }
}
