//! Waiting at the end of a file for what is appended to it: `tail -f`.

use oneloop_core::Handle;
use oneloop_fs::{Change, WatchOptions, Watcher};
use std::cell::Cell;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};
use std::task::{Context, Poll, ready};

/// A file that a stream follows, whatever name it has by now.
pub(super) struct Follow {
    watcher: Watcher,
    /// A duplicate of the stream's fd: it shares the position.
    file: File,
    /// Where the stream began to read, which may lie behind the end of the file.
    start: Cell<u64>,
    /// The size of the file when it was looked at for the last time.
    size: Cell<u64>,
}

impl Follow {
    /// Follows the file that an fd reads.
    pub(super) fn new(handle: &Handle, fd: &impl AsFd) -> io::Result<Self> {
        let mut file = File::from(fd.as_fd().try_clone_to_owned()?);
        let follow = Follow {
            watcher: Watcher::on(handle)?,
            start: Cell::new(file.stream_position()?),
            size: Cell::new(file.metadata()?.len()),
            file,
        };
        follow.watch()?;
        Ok(follow)
    }

    /// Watches the file by its fd. By then its name may be that of another file.
    fn watch(&self) -> io::Result<()> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let watched = self.watcher.watch_now(path, WatchOptions::default());
        watched.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let problem = "following a file needs /proc, which is not mounted here";
                io::Error::new(io::ErrorKind::Unsupported, problem)
            }
            _ => error,
        })
    }

    /// Waits until there may be more to read. A change that came before the read is reported, too,
    /// and costs one more read.
    pub(super) fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let change = ready!(self.watcher.poll_next(cx))?;
        Poll::Ready(match change {
            // A rename ends the watch, but its writer may continue: logrotate(8) renames first.
            Change::Gone(_) => self.watch(),
            _ => Ok(()),
        })
    }

    /// At the end of the file: moves to its beginning if it was truncated, as `tail -f` does.
    /// Returns whether it was.
    pub(super) fn begin_again_if_truncated(&self) -> io::Result<bool> {
        let mut file = &self.file;
        let position = file.stream_position()?;
        let size = file.metadata()?.len();
        let before = self.size.replace(size);
        // What was read was there. A start behind the end was not.
        let was_there = match position > self.start.get() {
            true => before.max(position),
            false => before,
        };
        let is_truncated = size < position && size < was_there;
        if is_truncated {
            self.start.set(0);
            file.seek(SeekFrom::Start(0))?;
        }
        Ok(is_truncated)
    }

    /// Sets whether the wait keeps the loop alive.
    pub(super) fn set_referenced(&self, referenced: bool) {
        self.watcher.set_referenced(referenced);
    }
}
