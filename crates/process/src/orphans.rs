//! Children whose loop is gone: the next spawn, on any loop, reaps those that have ended.

use crate::pidfd::ChildFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

static ORPHANS: Mutex<Vec<Arc<ChildFd>>> = Mutex::new(Vec::new());

/// Leaves a running child to the next spawn.
pub(crate) fn leave(child: Arc<ChildFd>) {
    let mut orphans = ORPHANS.lock().unwrap_or_else(PoisonError::into_inner);
    orphans.push(child);
}

/// Reaps the orphans that have ended.
// No system call if there are no orphans, and one poll(2) if none has ended: each spawn calls this.
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
    // An error means that the child was reaped elsewhere: it is no zombie, either.
    orphans.retain(|child| !ended.next().unwrap_or(false) || matches!(child.reap(), Ok(None)));
}
