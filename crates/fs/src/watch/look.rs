//! A look at a directory, on a thread of the pool: the thread watches the directory, and lists the
//! names in it.

use oneloop_posix::Refusal;
use rustix::fs::inotify::{self, WatchFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// A file or directory to watch.
pub(super) struct Target {
    pub(super) path: PathBuf,
    /// The user named this path, so it may be a file or a symbolic link.
    pub(super) is_root: bool,
    /// The look lists the names in the directory, too.
    pub(super) is_recursive: bool,
}

/// The result of a look.
pub(super) struct Found {
    /// The number of the watch (a watch descriptor).
    pub(super) wd: i32,
    /// The names in the directory, and whether each is a directory itself.
    pub(super) names: Vec<(OsString, bool)>,
}

/// Looks at each target.
pub(super) fn look_at_all(inotify: &OwnedFd, targets: &[Target]) -> Vec<io::Result<Found>> {
    let look = |target| look_at(inotify, target);
    targets.iter().map(look).collect()
}

/// Watches a target, and lists the names in it.
// In this order: the kernel reports the names that are created after the watch, and the list has
// those that were created before. A name may be in both; the other order could miss one.
pub(super) fn look_at(inotify: &OwnedFd, target: &Target) -> io::Result<Found> {
    let mut flags = WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MODIFY
        | WatchFlags::ATTRIB
        | WatchFlags::MOVE
        | WatchFlags::MOVE_SELF;
    if !target.is_root {
        // Files below a root are watched through their directories. A symbolic link could lead out
        // of the tree, or back into it in a circle.
        flags |= WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
    }
    let watch = || {
        let wd = inotify::add_watch(inotify.as_fd(), &target.path, flags);
        wd.map_err(|errno| explain(errno, "max_user_watches", "watches"))
    };
    let mut wd = watch()?;
    if !target.is_recursive {
        let names = Vec::new();
        return Ok(Found { wd, names });
    }
    loop {
        let names = names_in(target)?;
        let before = mem::replace(&mut wd, watch()?);
        if before == wd {
            return Ok(Found { wd, names });
        }
        // The path named another directory in between, so the names may be those of either one:
        // list again.
    }
}

fn names_in(target: &Target) -> io::Result<Vec<(OsString, bool)>> {
    let entries = match fs::read_dir(&target.path) {
        Err(error) if target.is_root && error.kind() == io::ErrorKind::NotADirectory => {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    entries
        .map(|entry| {
            let entry = entry?;
            let is_dir = entry.file_type().is_ok_and(|file_type| file_type.is_dir());
            Ok((entry.file_name(), is_dir))
        })
        .collect()
}

/// Opens an inotify fd.
pub(super) fn open() -> io::Result<OwnedFd> {
    let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
    inotify::init(flags).map_err(|errno| match Refusal::of(errno) {
        Some(Refusal::Everywhere) => io::Error::new(
            io::ErrorKind::Unsupported,
            format!("watching needs inotify(7), which this kernel or sandbox refuses: {errno}"),
        ),
        _ => explain(errno, "max_user_instances", "watchers"),
    })
}

/// Names the limit that was reached.
// Here `ENOSPC` is not about disks, and `EMFILE` rarely about open files: inotify(7) sets limits
// that all processes of a user share. The bare errno sends the reader to the wrong place.
fn explain(errno: Errno, limit: &str, what: &str) -> io::Error {
    let is_limit = matches!(
        (errno, what),
        (Errno::NOSPC, _) | (Errno::MFILE, "watchers")
    );
    if !is_limit {
        return errno.into();
    }
    let now = fs::read_to_string(format!("/proc/sys/fs/inotify/{limit}"));
    let now = now.map_or_else(|_| "unknown".to_owned(), |now| now.trim().to_owned());
    let kind = io::Error::from(errno).kind();
    io::Error::new(
        kind,
        format!(
            "{errno}: this user has reached the limit of inotify {what}, fs.inotify.{limit} ({now}); \
             watch less, or raise it: sysctl -w fs.inotify.{limit}=NUMBER"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_limit_says_how_to_raise_it() {
        let error = explain(Errno::NOSPC, "max_user_watches", "watches");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let words = error.to_string();
        assert!(
            words.contains("sysctl -w fs.inotify.max_user_watches=NUMBER"),
            "{words}"
        );
        let error = explain(Errno::MFILE, "max_user_instances", "watchers");
        assert!(error.to_string().contains("fs.inotify.max_user_instances"));
        let missing = explain(Errno::NOENT, "max_user_watches", "watches");
        assert_eq!(Errno::from_io_error(&missing), Some(Errno::NOENT));
    }
}
