//! What happens to files and directories, as inotify(7) tells it.

mod look;
mod moves;
mod state;
mod tree;

use crate::job::blocking;
use oneloop_core::{Direction, Handle};
use state::{State, Todo};
use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::{Context, Poll};

/// Something that happened. Paths begin with what was given to [`Watcher::watch`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A file or directory was made, or came from outside.
    Created(PathBuf),
    /// What is in a file has changed, or its length.
    Modified(PathBuf),
    /// What is known of it has changed: permissions, times, owner, number of links.
    Attributes(PathBuf),
    /// A file or directory was removed, or went outside.
    Removed(PathBuf),
    /// It has another name, perhaps in another directory, and took the place of what had that name.
    Renamed {
        /// The name that it had.
        from: PathBuf,
        /// The name that it has.
        to: PathBuf,
    },
    /// What was given to [`Watcher::watch`] is no longer there, and no longer watched: it was removed, or has
    /// another name.
    Gone(PathBuf),
    /// More happened than the kernel keeps (`fs.inotify.max_queued_events`), and some of it is lost: look at
    /// everything again. Directories that were made meanwhile are watched from now on.
    Overflow,
}

/// How something is watched.
#[derive(Clone, Copy, Debug, Default)]
pub struct WatchOptions {
    /// With all directories below it, those to come as well; symbolic links are not followed. Each directory
    /// takes one watch, of which a user has `fs.inotify.max_user_watches`.
    pub recursive: bool,
}

/// Tells what happens to files and directories: see [`Watcher::watch`] and [`Watcher::next`].
///
/// Each change is told in the order in which the kernel tells it. What happens to the same file twice, with
/// nothing else in between, is told once, if it was not told before the second time.
///
/// A directory that is made below a recursive watch is watched from then on; what is in it by then is told as
/// [`Change::Created`], once. A rename is one change if both names are watched. Its halves may come apart in
/// the kernel, so that half a rename is told after 10 ms, or when 64 more have come, as [`Change::Removed`].
///
/// Reading does not say that a file is complete: its writer may go on.
///
/// ```
/// # let mut event_loop = oneloop_core::EventLoop::new()?;
/// # event_loop.block_on(async {
/// use oneloop_fs::{Change, TempDir, WatchOptions, Watcher};
/// let dir = TempDir::new().await?;
/// let watcher = Watcher::new()?;
/// watcher.watch(&dir, WatchOptions::default()).await?;
/// let path = dir.path().join("new");
/// oneloop_fs::File::create(&path).await?;
/// assert_eq!(watcher.next().await?, Change::Created(path));
/// # std::io::Result::Ok(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Watcher {
    state: Rc<State>,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watcher({:?})", self.state.source)
    }
}

impl Watcher {
    /// One that watches nothing yet. It takes one fd (inotify).
    ///
    /// # Errors
    /// `EMFILE` when the process has no more fds, or when the user has no more watchers, with the name of that
    /// limit.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn new() -> io::Result<Self> {
        Watcher::on(&Handle::current())
    }

    /// One on a loop that need not run yet.
    ///
    /// # Errors
    /// As [`Watcher::new`].
    pub fn on(handle: &Handle) -> io::Result<Self> {
        Ok(Watcher {
            state: State::new(handle)?,
        })
    }

    /// Watches a file, or a directory with the names in it; ready when it does. A symbolic link is followed.
    /// Watched already, it is watched anew.
    ///
    /// Cancel: it is not watched.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`; `ENOSPC` when the user has no more watches, with the name of that limit. A directory
    /// below that cannot be read is told by [`Watcher::next`].
    pub async fn watch(&self, path: impl AsRef<Path>, options: WatchOptions) -> io::Result<()> {
        let path = path.as_ref();
        self.unwatch(path);
        let watching = Watching {
            state: &self.state,
            path,
            is_through: false,
        };
        self.state.begin_look();
        let mut todo = vec![Todo::root(path, options.recursive)];
        while !todo.is_empty() {
            let batch = self.state.places(todo);
            let inotify = self.state.inotify();
            let places = batch.places;
            let found = blocking(move || Ok(state::look_at_all(&inotify, &places))).await?;
            todo = self.state.merge_first(batch.asked, found)?;
        }
        watching.end();
        Ok(())
    }

    /// Watches it from now on: [`Watcher::watch`] for who cannot wait, as Node's `fs.watch`. It blocks the loop
    /// while the kernel looks up the path. Directories below are watched a little later, while somebody waits
    /// for [`Watcher::next`].
    ///
    /// # Errors
    /// As [`Watcher::watch`].
    pub fn watch_now(&self, path: impl AsRef<Path>, options: WatchOptions) -> io::Result<()> {
        let path = path.as_ref();
        self.unwatch(path);
        self.state.watch_now(path, options.recursive)
    }

    /// Watches it no longer. False if it was not watched. What happened before may still be told.
    pub fn unwatch(&self, path: impl AsRef<Path>) -> bool {
        self.state.unwatch(path.as_ref())
    }

    /// The next change. It keeps the waker of the last task that asked.
    ///
    /// # Errors
    /// A directory that cannot be watched: `EACCES`, `ENOSPC`. The others go on, and so does this.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<io::Result<Change>> {
        self.state.poll_next(cx)
    }

    /// The next change. Cancel safe: no change is lost.
    ///
    /// # Errors
    /// As [`Watcher::poll_next`].
    pub fn next(&self) -> impl Future<Output = io::Result<Change>> + '_ {
        let next = |cx: &mut Context<'_>| self.state.poll_next(cx);
        self.state.source.io(Direction::Read, next)
    }

    /// Says whether waiting for a change keeps the loop alive; it does by default.
    pub fn set_referenced(&self, referenced: bool) {
        self.state.source.set_referenced(referenced);
    }
}

/// A watch that begins: not at all, if it is given up.
struct Watching<'a> {
    state: &'a Rc<State>,
    path: &'a Path,
    is_through: bool,
}

impl Watching<'_> {
    fn end(mut self) {
        self.is_through = true;
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        if !self.is_through {
            self.state.unwatch(self.path);
        }
        self.state.end_look();
    }
}
