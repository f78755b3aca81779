//! What a thread of the pool does for a watcher: watch a place, and look at what is in it by then.

use oneloop_posix::Refusal;
use rustix::fs::inotify::{self, WatchFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// A place to be watched.
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// It was named by the user, and may be a file, or a symbolic link.
    pub(super) is_root: bool,
    /// What is in it is to be known, too.
    pub(super) is_recursive: bool,
}

/// What was there.
pub(super) struct Found {
    pub(super) wd: i32,
    /// The names in a directory, and which of them are directories.
    pub(super) names: Vec<(OsString, bool)>,
}

/// The watch comes first, so that what is made from then on is told by the kernel, and what was made before
/// is found; something may well be both.
pub(super) fn look_at(inotify: &OwnedFd, place: &Place) -> io::Result<Found> {
    let mut flags = WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MODIFY
        | WatchFlags::ATTRIB
        | WatchFlags::MOVE
        | WatchFlags::MOVE_SELF;
    if !place.is_root {
        flags |= WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
    }
    let watch = || {
        let wd = inotify::add_watch(inotify.as_fd(), &place.path, flags);
        wd.map_err(|errno| explain(errno, "max_user_watches", "watches"))
    };
    let mut wd = watch()?;
    if !place.is_recursive {
        let names = Vec::new();
        return Ok(Found { wd, names });
    }
    loop {
        let names = names_in(place)?;
        let before = mem::replace(&mut wd, watch()?);
        if before == wd {
            return Ok(Found { wd, names });
        }
        // Another directory has taken its place: whose names they are, nobody knows.
    }
}

fn names_in(place: &Place) -> io::Result<Vec<(OsString, bool)>> {
    let entries = match fs::read_dir(&place.path) {
        Err(error) if place.is_root && error.kind() == io::ErrorKind::NotADirectory => {
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

/// An inotify fd.
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

/// `ENOSPC` says nothing of disks here, and `EMFILE` mostly nothing of open files: inotify(7) has limits of
/// its own, for all processes of a user together.
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
            "{errno}: this user has as many inotify {what} as fs.inotify.{limit} allows ({now}); \
             watch less, or raise it: sysctl -w fs.inotify.{limit}=NUMBER"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_in_words_that_say_what_to_do() {
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
