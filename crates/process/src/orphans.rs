//! Children whose loop is gone: whoever spawns next reaps those that have ended.

use crate::pidfd::ChildFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

static ORPHANS: Mutex<Vec<Arc<ChildFd>>> = Mutex::new(Vec::new());

/// Leaves a child that still runs to whoever spawns next.
pub(crate) fn leave(child: Arc<ChildFd>) {
    let mut orphans = ORPHANS.lock().unwrap_or_else(PoisonError::into_inner);
    orphans.push(child);
}

/// Reaps those that have ended: one system call if there are none of them, and none if there are no
/// orphans.
pub(crate) fn reap() {
    let mut orphans = ORPHANS.lock().unwrap_or_else(PoisonError::into_inner);
    if orphans.is_empty() {
        return;
    }
    let mut fds: Vec<_> = orphans
        .iter()
        .map(|child| PollFd::from_borrowed_fd(child.as_fd(), PollFlags::IN))
        .collect();
    if !matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1..)) {
        return;
    }
    let ended: Vec<_> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    drop(fds);
    let mut ended = ended.into_iter();
    // One whose status somebody else has taken is no zombie either.
    orphans.retain(|child| !ended.next().unwrap_or(false) || matches!(child.reap(), Ok(None)));
}
