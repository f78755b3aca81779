//! Watching files and directories: `fs.watch`.

use crate::ends::{Ends, emit_last, end_with_program};
use crate::error::Error;
use crate::events::{Emitter, EmitterEvent};
use crate::runtime::{Runtime, current};
use crate::tables::{identity, listening, references, weak};
use crate::thrown::{IntoResult, Thrown};
use oneloop_core::{JoinHandle, yield_now};
use oneloop_fs::{Change, WatchOptions as FsWatchOptions, Watcher};
use std::cell::Cell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The events of an [`FsWatcher`]. Each is a type, for [`FsWatcher::on`].
pub mod event {
    use super::{EventType, FsWatcher};
    use crate::tables::emitter;
    use std::path::Path;

    emitter! { FsWatcher {
        /// `'change'`: what happened, and to which name below the watched path. Without a name, the
        /// kernel dropped events: look at everything again. (Node emits nothing then.)
        Change(what: EventType, name: Option<&'a Path>) => on_change;
        /// `'error'`: a directory below cannot be watched. Without a listener, the error is thrown.
        Error(error: &'a crate::Error) => on_error, else throws error;
        /// `'close'`: the watcher emits nothing more.
        Close() => on_close;
    } }
}

/// What happened to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Its contents or its attributes have changed.
    Change,
    /// It was created, removed or renamed.
    Rename,
}

/// As Node names it: `change`, `rename`.
impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EventType::Change => "change",
            EventType::Rename => "rename",
        })
    }
}

/// How [`watch_with`] watches.
#[derive(Clone, Copy, Debug)]
pub struct WatchOptions {
    /// The watcher keeps the program alive, as it does by default.
    pub persistent: bool,
    /// It watches all directories below as well.
    pub recursive: bool,
}

impl Default for WatchOptions {
    fn default() -> Self {
        WatchOptions {
            persistent: true,
            recursive: false,
        }
    }
}

/// Emits the changes of a file or directory: see [`watch`]. Clones are the same watcher.
#[derive(Clone)]
pub struct FsWatcher {
    inner: Rc<WatcherState>,
}

/// What clones of a watcher share.
struct WatcherState {
    runtime: Rc<Runtime>,
    path: PathBuf,
    events: Emitter,
    watcher: Watcher,
    /// The task that emits. None once the watcher is closed.
    task: Cell<Option<JoinHandle<()>>>,
}

impl fmt::Debug for FsWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FsWatcher({:?})", self.inner.path)
    }
}

/// Calls a function with each change of a file or directory from now on: `fs.watch`.
///
/// ```
/// use oneloop::callback::{fs, run};
/// run(|| {
///     let dir = std::env::temp_dir();
///     let watcher = fs::watch(&dir, |what, name| println!("{what} {name:?}"))?;
///     watcher.close();
///     Ok::<_, fs::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What Node throws: `ENOENT: no such file or directory, watch '/a'`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias("uv_fs_event_t", "chokidar", "watchFile"))]
pub fn watch<O: IntoResult>(
    path: impl AsRef<Path>,
    listener: impl Fn(EventType, Option<&Path>) -> O + 'static,
) -> Result<FsWatcher, Error> {
    watch_with(path, WatchOptions::default(), listener)
}

/// Watches with options.
///
/// # Errors
/// As [`watch`].
///
/// # Panics
/// As [`watch`].
#[track_caller]
pub fn watch_with<O: IntoResult>(
    path: impl AsRef<Path>,
    options: WatchOptions,
    listener: impl Fn(EventType, Option<&Path>) -> O + 'static,
) -> Result<FsWatcher, Error> {
    let (runtime, path) = (current(), path.as_ref());
    let failed = |error| Error::file("watch", error, Some(path), None);
    let watcher = Watcher::on(&runtime.handle).map_err(failed)?;
    let recursive = options.recursive;
    // Node's `fs.watch` adds the watch before it returns: no change after the call is missed.
    let watched = watcher.watch_now(path, FsWatchOptions { recursive });
    watched.map_err(failed)?;
    watcher.set_referenced(options.persistent);
    let watcher = FsWatcher {
        inner: Rc::new(WatcherState {
            runtime,
            path: path.to_owned(),
            events: Emitter::new(),
            watcher,
            task: Cell::new(None),
        }),
    };
    end_with_program(&watcher.inner.runtime, &watcher.inner);
    // Before the task starts, so that no change comes without its listener.
    watcher.on_change(listener);
    let task = watcher.inner.runtime.handle.spawn(watcher.clone().run());
    watcher.inner.task.set(Some(task));
    Ok(watcher)
}

listening!(FsWatcher, EmitterEvent);
references!(FsWatcher, "it watches");
identity!(FsWatcher);
weak!(WeakFsWatcher of FsWatcher with WatcherState);

impl FsWatcher {
    async fn run(self) {
        let WatcherState {
            runtime, watcher, ..
        } = &*self.inner;
        while let Some(change) = runtime.until_over(watcher.next()).await {
            let has_failed = change.is_err();
            runtime.make_callback(|| match change {
                Ok(change) => self.emit_change(change),
                Err(error) => {
                    let error = Error::file("watch", error, Some(&self.inner.path), None);
                    self.inner.events.emit(event::Error, &error).map(drop)
                }
            });
            if has_failed {
                // An error may come each time. The loop must run, or a thrown one never ends the
                // program.
                yield_now().await;
            }
        }
    }

    /// Node forwards inotify's IN_MOVED_FROM and IN_MOVED_TO, so a rename is two events.
    fn emit_change(&self, change: Change) -> Result<(), Thrown> {
        match change {
            Change::Modified(path) | Change::Attributes(path) => {
                self.emit(EventType::Change, Some(&path))
            }
            Change::Created(path) | Change::Removed(path) | Change::Gone(path) => {
                self.emit(EventType::Rename, Some(&path))
            }
            Change::Renamed { from, to } => {
                self.emit(EventType::Rename, Some(&from))?;
                self.emit(EventType::Rename, Some(&to))
            }
            // The kernel dropped events: any name may have changed.
            _ => self.emit(EventType::Rename, None),
        }
    }

    fn emit(&self, what: EventType, path: Option<&Path>) -> Result<(), Thrown> {
        let name = path.map(|path| self.name_of(path));
        let events = &self.inner.events;
        events.emit(event::Change, (what, name)).map(drop)
    }

    /// The part of a path below the watched path; of that path itself, its last part.
    fn name_of<'a>(&self, path: &'a Path) -> &'a Path {
        // As in Node, where the name of a watched file is that file's own.
        match path.strip_prefix(&self.inner.path) {
            Ok(below) if below != Path::new("") => below,
            _ => path.file_name().map_or(path, Path::new),
        }
    }

    /// Stops watching, and emits 'close' in the next tick.
    pub fn close(&self) {
        let Some(task) = self.inner.task.take() else {
            return;
        };
        // First, so that no change is emitted behind `close`.
        task.cancel();
        self.inner.runtime.next_call(self, |watcher| {
            let inner = &watcher.inner;
            emit_last(&inner.runtime, inner, &inner.events, event::Close, ())
        });
    }

    fn set_referenced(&self, referenced: bool) {
        self.inner.watcher.set_referenced(referenced);
    }
}

impl Ends for WatcherState {
    fn end(&self) {
        self.events.end();
    }
}
