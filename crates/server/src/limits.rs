//! What the system allows: open fds and waiting connections.

use crate::options::Options;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Fds that are no connection: stdio, epoll, eventfd, listeners, reserves, signals, a log.
const OTHER_FDS: u64 = 64;

/// Raises the limit of open fds as far as it goes, and warns of what it does not allow.
pub(crate) fn prepare(options: &Options) {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    ) {
        warn!(%error, "cannot raise the limit of open files");
    }
    let allowed = getrlimit(Resource::Nofile).current;
    let wanted = options.max_conns.map(|conns| u64::from(conns) + OTHER_FDS);
    if let (Some(wanted), Some(allowed)) = (wanted, allowed)
        && wanted > allowed
    {
        warn!(
            wanted,
            allowed, "--max-conns needs more open files than the limit allows: raise `ulimit -Hn`"
        );
    }
    if let Some(somaxconn) = somaxconn()
        && options.backlog > somaxconn
    {
        warn!(
            backlog = options.backlog,
            somaxconn, "the kernel cuts --backlog to net.core.somaxconn: raise it with sysctl"
        );
    }
}

fn somaxconn() -> Option<i32> {
    std::fs::read_to_string("/proc/sys/net/core/somaxconn")
        .ok()?
        .trim()
        .parse()
        .ok()
}
