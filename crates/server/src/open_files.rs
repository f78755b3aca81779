//! The process's limit of open files (`RLIMIT_NOFILE`).

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many files this process may open; `None` if a sandbox refuses the question.
pub(crate) fn limit() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some(soft)
}

/// Raises the soft limit to the hard one. The soft limit is 1,024 on most systems only because
/// select(2) cannot watch an fd beyond it; epoll can.
pub(crate) fn raise() -> nix::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        // Programs of `--mode exec` get the old limit back: some loop over all possible fds.
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}
