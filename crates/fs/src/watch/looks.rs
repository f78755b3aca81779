//! Looks at directories: starts those that are due, and merges the results of the threads.

use super::change::Change;
use super::look::{self, Found, Target};
use super::pending::{LookBatch, PendingLook, StartedLook};
use super::state::WatcherState;
use super::tree::Node;
use crate::job::blocking;
use oneloop_core::Key;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::iter;
use std::path::Path;
use std::rc::Rc;

/// The maximum number of directories that one job looks at.
const BATCH_DIRS: usize = 64;

impl WatcherState {
    /// Starts a job that looks at pending directories, if there are any.
    // A separate task merges the result, because the task that polls the watcher may be dropped.
    pub(super) fn start_look(self: &Rc<Self>) {
        let next = || self.pending.borrow_mut().pop_front();
        let batch = LookBatch::new(iter::from_fn(next), &self.tree.borrow(), BATCH_DIRS);
        if batch.targets.is_empty() {
            return;
        }
        self.begin_look();
        let (inotify, state) = (self.inotify(), Rc::downgrade(self));
        self.source.handle().spawn_detached(async move {
            let targets = batch.targets;
            let found = blocking(move || Ok(look::look_at_all(&inotify, &targets))).await;
            let Some(state) = state.upgrade() else { return };
            match found {
                Ok(found) => state.merge(batch.started, found),
                Err(error) => state.report_error(error),
            }
            state.end_look();
        });
    }

    /// Watches the root at once, on this thread, and looks at the directories below it as after an
    /// overflow.
    pub(super) fn watch_now(&self, path: &Path, is_recursive: bool) -> io::Result<()> {
        let root = PendingLook::root(path, is_recursive);
        let target = Target {
            path: path.to_owned(),
            is_root: true,
            is_recursive: false,
        };
        let found = look::look_at(self.source.get_ref(), &target)?;
        self.merge_found(&root, found);
        if is_recursive {
            self.pending.borrow_mut().push_back(PendingLook {
                is_deep: true,
                ..root
            });
        }
        Ok(())
    }

    /// Looks again at directories that had moved before the thread looked at their old paths, and at
    /// names that a look has taken from them. Returns true if there are any. The caller has read all
    /// events, so the tree has every move.
    pub(super) fn look_again_at_moved(&self) -> bool {
        let tree = self.tree.borrow();
        let looked_at = self.looked_at.take().into_iter();
        let (doubtful, other): (Vec<_>, _) =
            looked_at.partition(|started| started.is_doubtful(&tree));
        let mut pending = self.pending.borrow_mut();
        pending.extend(doubtful.into_iter().map(|started| started.look));
        pending.extend(self.left_names.take());
        // A second half may still come, and one of these looks may find a directory that moved
        // without one: then others are doubtful, too.
        if !pending.is_empty() || !self.moves.borrow().is_empty() {
            self.looked_at.replace(other);
        }
        !pending.is_empty()
    }

    /// Merges the results of a thread. A directory that is gone is no error: an event reports that.
    fn merge(&self, started: Vec<StartedLook>, found: Vec<io::Result<Found>>) {
        for (started, found) in started.into_iter().zip(found) {
            match found {
                Ok(found) => {
                    let below = self.merge_found(&started.look, found);
                    self.pending.borrow_mut().extend(below);
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => self.report_error(error),
            }
            self.looked_at.borrow_mut().push(started);
        }
    }

    /// As [`WatcherState::merge`], for a watch that begins: it fails without its root, and if the
    /// user has no more watches. Returns the directories to look at next.
    pub(super) fn merge_first(
        &self,
        started: Vec<StartedLook>,
        found: Vec<io::Result<Found>>,
    ) -> io::Result<Vec<PendingLook>> {
        let mut next = Vec::new();
        for (started, found) in started.into_iter().zip(found) {
            match found {
                Ok(found) => next.extend(self.merge_found(&started.look, found)),
                Err(error) if started.look.parent.is_none() => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(error),
                Err(error) if is_gone(&error) => {}
                Err(error) => self.report_error(error),
            }
            self.looked_at.borrow_mut().push(started);
        }
        Ok(next)
    }

    /// Merges one look. Returns the directories in it to look at next.
    fn merge_found(&self, look: &PendingLook, found: Found) -> Vec<PendingLook> {
        let Some((node, arrival)) = self.node_at(look, found.wd) else {
            return Vec::new();
        };
        // No change has reported the names at this path.
        let is_unreported = look.is_unreported || arrival != Arrival::Known;
        if look.is_deep {
            self.forget_missing(node, &found.names);
        }
        let mut below = Vec::new();
        for (name, is_dir) in found.names {
            if is_unreported && look.reports_names {
                self.report_found(node, &name);
            }
            if is_dir && (is_unreported || look.is_deep) {
                below.push(PendingLook {
                    is_unreported,
                    ..look.below(node, name)
                });
            }
        }
        below
    }

    /// Returns the node of a look, and how it came there. `None` if its parent is gone by now.
    fn node_at(&self, look: &PendingLook, wd: i32) -> Option<(Key<Node>, Arrival)> {
        let known = match look.parent {
            None => self.tree.borrow().root_at(Path::new(&look.name)),
            Some(parent) => {
                self.tree.borrow().get(parent)?;
                self.tree.borrow().child(parent, &look.name)
            }
        };
        if let Some(known) = known {
            if self.tree.borrow().wd(known) == Some(wd) {
                return Some((known, Arrival::Known));
            }
            self.forget(known); // another directory has this name now
        }
        let mut tree = self.tree.borrow_mut();
        // A directory has one parent, so a node of this watch with another parent has moved, and
        // its event is still to be read.
        if let Some(parent) = look.parent
            && let Some(moved) = tree.below_same_root(parent, wd)
        {
            let left = tree.entry(moved);
            if !tree.put(moved, parent, &look.name) {
                return None; // an event that is still to be read says where the node is
            }
            // Without such an event the look was wrong, as the path named another directory.
            let left = left.map(|(parent, name)| PendingLook::new_dir(parent, &name));
            self.left_names.borrow_mut().extend(left);
            return Some((moved, Arrival::Moved));
        }
        let node = tree.add(look.parent, &look.name, wd, look.is_recursive);
        Some((node, Arrival::New))
    }

    fn report_found(&self, dir: Key<Node>, name: &OsStr) {
        let path = self.tree.borrow().path(dir).join(name);
        self.report(Change::Created(path));
        let mut tree = self.tree.borrow_mut();
        if let Some(node) = tree.get_mut(dir) {
            node.found.insert(name.to_owned());
            self.dirs_with_found.borrow_mut().push(dir);
        }
    }

    /// Forgets directories that were removed while events were lost.
    fn forget_missing(&self, dir: Key<Node>, names: &[(OsString, bool)]) {
        let dirs = names.iter().filter(|(_, is_dir)| *is_dir);
        let there: HashSet<&OsString> = dirs.map(|(name, _)| name).collect();
        let children = self.tree.borrow().children(dir);
        let missing = children.iter().filter(|(name, _)| !there.contains(name));
        missing.for_each(|(_, child)| self.forget(*child));
    }
}

/// How the directory that a look has found came to its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Known,
    /// It was watched under another name. If its new parent was not watched when it came, no event
    /// will say so, and none about the names in it.
    Moved,
    New,
}

/// True if a directory was removed, or replaced by a file, before a thread looked at it.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}
