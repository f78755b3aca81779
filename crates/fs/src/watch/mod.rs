//! Watches files and directories for changes, by inotify(7).

mod change;
mod events;
mod look;
mod looks;
mod moves;
mod pending;
mod state;
mod tree;

pub use change::Change;

use crate::job::blocking;
use oneloop_core::{Direction, Handle, Stream};
use pending::{LookBatch, PendingLook};
use state::WatcherState;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// How a path is watched.
#[derive(Clone, Copy, Debug, Default)]
pub struct WatchOptions {
    /// Watches all directories below the path, too, also those that are created later. Symbolic
    /// links are not followed. Each directory takes one watch; a user has
    /// `fs.inotify.max_user_watches`.
    pub recursive: bool,
}

/// Reports changes of files and directories: see [`Watcher::watch`] and [`Watcher::next`].
///
/// Changes come in the order in which the kernel reports them. Two equal changes in a row count as
/// one, if the second comes before the first was returned.
///
/// A directory that is created below a recursive watch is watched from then on. Names that it holds
/// by then are reported once, as [`Change::Created`]. A rename is one change if both names are
/// watched. The kernel reports a rename as two events, with others in between: if the second event
/// does not come within 10 ms or 64 further renames, the first is reported as [`Change::Removed`].
///
/// A change does not mean that a file is complete: its writer may continue.
///
/// ```
/// # let mut event_loop = oneloop::EventLoop::new()?;
/// # event_loop.block_on(async {
/// use oneloop::fs::{Change, TempDir, WatchOptions, Watcher};
/// let dir = TempDir::new().await?;
/// let watcher = Watcher::new()?;
/// watcher.watch(&dir, WatchOptions::default()).await?;
/// let path = dir.path().join("new");
/// oneloop::fs::File::create(&path).await?;
/// assert_eq!(watcher.next().await?, Change::Created(path));
/// # std::io::Result::Ok(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("inotify", "notify", "uv_fs_event_t", "FSWatcher"))]
pub struct Watcher {
    state: Rc<WatcherState>,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watcher({:?})", self.state.source)
    }
}

impl Watcher {
    /// Creates a watcher that watches nothing yet. It takes one fd (inotify).
    ///
    /// # Errors
    /// `EMFILE` if the process has no more fds, or if the user has no more watchers; the message
    /// then names the limit.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn new() -> io::Result<Self> {
        Watcher::on(&Handle::current())
    }

    /// Creates a watcher on a loop, which need not run yet.
    ///
    /// # Errors
    /// As [`Watcher::new`].
    pub fn on(handle: &Handle) -> io::Result<Self> {
        Ok(Watcher {
            state: WatcherState::new(handle)?,
        })
    }

    /// Watches a file, or a directory with the names in it, and completes once the kernel watches
    /// all of it. Follows a symbolic link. Replaces an earlier watch of the same path.
    ///
    /// If the future is dropped, the path is not watched.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`; `ENOSPC` if the user has no more watches; the message then names the
    /// limit. [`Watcher::next`] returns the other errors of directories below the path.
    pub async fn watch(&self, path: impl AsRef<Path>, options: WatchOptions) -> io::Result<()> {
        let path = path.as_ref();
        self.unwatch(path);
        let guard = WatchGuard {
            state: &self.state,
            path,
            is_complete: false,
        };
        self.state.begin_look();
        let mut looks = vec![PendingLook::root(path, options.recursive)];
        // Level by level: only the look at a directory finds the directories in it.
        while !looks.is_empty() {
            let batch = LookBatch::new(looks, &self.state.tree.borrow(), usize::MAX);
            let inotify = self.state.inotify();
            let targets = batch.targets;
            let found = blocking(move || Ok(look::look_at_all(&inotify, &targets))).await?;
            looks = self.state.merge_first(batch.started, found)?;
        }
        guard.complete();
        Ok(())
    }

    /// As [`Watcher::watch`], but watches the path before it returns, as Node's `fs.watch` does. It
    /// blocks the loop while the kernel looks up the path. Directories below are watched later,
    /// while a task waits for [`Watcher::next`].
    ///
    /// # Errors
    /// As [`Watcher::watch`].
    pub fn watch_now(&self, path: impl AsRef<Path>, options: WatchOptions) -> io::Result<()> {
        let path = path.as_ref();
        self.unwatch(path);
        self.state.watch_now(path, options.recursive)
    }

    /// Stops watching a path. Returns false if the path was not watched. Changes that happened
    /// before may still come.
    pub fn unwatch(&self, path: impl AsRef<Path>) -> bool {
        self.state.unwatch(path.as_ref())
    }

    /// Polls for the next change. It keeps the waker of the last task that polled.
    ///
    /// # Errors
    /// `EACCES` or `ENOSPC` if a directory cannot be watched. The other directories stay watched,
    /// and later calls return their changes.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<io::Result<Change>> {
        self.state.poll_next(cx)
    }

    /// Waits for the next change. Cancel safe: no change is lost.
    ///
    /// # Errors
    /// As [`Watcher::poll_next`].
    pub fn next(&self) -> impl Future<Output = io::Result<Change>> + '_ {
        let next = |cx: &mut Context<'_>| self.state.poll_next(cx);
        self.state.source.io(Direction::Read, next)
    }

    /// Sets whether a wait for a change keeps the loop alive; by default it does.
    pub fn set_referenced(&self, referenced: bool) {
        self.state.source.set_referenced(referenced);
    }
}

/// The stream never ends.
impl Stream for Watcher {
    type Item = io::Result<Change>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.state.poll_next(cx).map(Some)
    }
}

/// Ends a look. Removes the watch if it is not complete, because it failed or its future was
/// dropped.
struct WatchGuard<'a> {
    state: &'a Rc<WatcherState>,
    path: &'a Path,
    is_complete: bool,
}

impl WatchGuard<'_> {
    fn complete(mut self) {
        self.is_complete = true;
    }
}

impl Drop for WatchGuard<'_> {
    fn drop(&mut self) {
        if !self.is_complete {
            self.state.unwatch(self.path);
        }
        self.state.end_look();
    }
}
