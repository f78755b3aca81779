//! What the system allows: open fds and waiting connections.

use crate::options::Options;
use crate::work::Work;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use oneloop::net::COPY_FDS_MAX;
use tracing::warn;

/// Fds of the process: stdio, signals, what the resolver and the log may need for a moment.
const PROCESS_FDS: u64 = 16;
/// Fds of a thread, and of each listener there with its reserve.
const THREAD_FDS: u64 = 2;
const LISTENER_FDS: u64 = 2;

/// Raises the limit of open fds as far as it goes, and gives how many connections fit: at most
/// `--max-conns`, and no more than there are fds for. Warns of what the system does not allow.
pub(crate) fn prepare(options: &Options, listeners: usize, work: &Work) -> usize {
    warn_of_backlog(options);
    if let Err(error) = raise_open_files() {
        warn!(%error, "cannot raise the limit of open files");
    }
    let allowed = open_files_max().unwrap_or(u64::MAX);
    let (of_client, of_thread) = match work {
        Work::Talk(_) => (1, 0),
        Work::Relay(peers) => (peers.fds(), COPY_FDS_MAX as u64),
    };
    let other = other_fds(options, listeners) + u64::from(options.threads) * of_thread;
    let fit = (allowed.saturating_sub(other) / of_client).max(1);
    match options.max_conns.map(u64::from) {
        Some(wanted) if wanted > fit => {
            warn!(
                wanted,
                fit,
                allowed,
                "{} needs more open files than are allowed: raise `ulimit -Hn`",
                options.origins.name("max_conns")
            );
            to_count(fit)
        }
        Some(wanted) => to_count(wanted),
        None => to_count(fit),
    }
}

/// How many files this process may open; `None` if a sandbox refuses to tell.
pub(crate) fn open_files_max() -> Option<u64> {
    let (current, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some(current)
}

fn raise_open_files() -> nix::Result<()> {
    let (current, maximum) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if current < maximum {
        setrlimit(Resource::RLIMIT_NOFILE, maximum, maximum)?;
    }
    Ok(())
}

fn other_fds(options: &Options, listeners: usize) -> u64 {
    let thread = THREAD_FDS + LISTENER_FDS * listeners as u64;
    PROCESS_FDS + u64::from(options.threads) * thread
}

fn to_count(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn warn_of_backlog(options: &Options) {
    let backlog = options.backlog;
    let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    let somaxconn = somaxconn
        .ok()
        .and_then(|text| text.trim().parse::<i32>().ok());
    if let Some(somaxconn) = somaxconn.filter(|somaxconn| backlog > *somaxconn) {
        warn!(
            backlog,
            somaxconn,
            "the kernel cuts {} to net.core.somaxconn: raise it with sysctl",
            options.origins.name("backlog")
        );
    }
}
