//! The state of a watcher.

use super::change::Change;
use super::look;
use super::moves::Moves;
use super::pending::{PendingLook, StartedLook};
use super::tree::{Node, Tree};
use oneloop_core::{Handle, Interest, Key, Ownership, Sleep, Source};
use rustix::fs::inotify;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

/// The bytes for the events of one read. An event takes 16 bytes and its name (inotify(7)).
const READ_BYTES: usize = 8 * 1024;

/// The state of a watcher, with two cycles of work around it:
///
/// ```text
///            events                   changes
///  inotify ────────▶ events.rs ─────────────────▶ queue ──▶ poll_next
///     ▲                 │  ▲                        ▲
///     │ add_watch       ▼  │ paths                  │ names found in new directories
///  a thread           tree.rs ◀──── looks.rs ───────┘
///     ▲                               ▲   │
///     │                pending looks ─┘   │
///     └───────────────────────────────────┘
/// ```
///
/// While a thread looks at directories, no events are read: they stay in the kernel, so that the
/// numbers of the new watches are in the tree before the events that bear them are read.
// The task that waits for a thread holds this weakly: it must not keep a dropped watcher alive.
pub(super) struct WatcherState {
    pub(super) source: Source<Arc<OwnedFd>>,
    pub(super) tree: RefCell<Tree>,
    pub(super) moves: RefCell<Moves>,
    /// Runs while first halves of renames wait for the second ones.
    pub(super) half_rename: Cell<Option<Sleep>>,
    /// Directories that no thread has looked at yet.
    pub(super) pending: RefCell<VecDeque<PendingLook>>,
    /// How many batches of looks are with threads.
    looks: Cell<usize>,
    /// Wakes the task in [`poll_next`](Self::poll_next) that waits for the end of these looks.
    pub(super) waker: Cell<Option<Waker>>,
    /// The looks since the tree last knew every move: all events were read, no first half of a
    /// rename waited, and no look was due. Until then, the tree may learn that a directory
    /// above one of them has moved.
    pub(super) looked_at: RefCell<Vec<StartedLook>>,
    /// Names whose directory a look has found under another name: a move that is still unread, or
    /// the look took the path of a directory that was about to move.
    pub(super) left_names: RefCell<Vec<PendingLook>>,
    /// Watches that lost their last node while a thread looked, which may have found them again.
    unneeded: RefCell<Vec<i32>>,
    /// Changes and errors that were not returned yet.
    pub(super) queue: RefCell<VecDeque<io::Result<Change>>>,
    /// Directories whose `found` names the kernel may still report as created.
    pub(super) dirs_with_found: RefCell<Vec<Key<Node>>>,
    /// The buffer that events are read into. On the heap, because a green thread's stack may be
    /// small.
    pub(super) buf: RefCell<Box<[MaybeUninit<u8>]>>,
}

impl WatcherState {
    pub(super) fn new(handle: &Handle) -> io::Result<Rc<Self>> {
        handle.chaos_file_shortage()?;
        let inotify = Arc::new(look::open()?);
        // `Sole`, although jobs hold clones of the `Arc`: it is one fd, which the last clone
        // closes.
        let source = Source::new(handle, inotify, Interest::READ, Ownership::Sole)?;
        Ok(Rc::new(WatcherState {
            source,
            tree: RefCell::default(),
            moves: RefCell::default(),
            half_rename: Cell::default(),
            pending: RefCell::default(),
            looks: Cell::new(0),
            waker: Cell::default(),
            looked_at: RefCell::default(),
            left_names: RefCell::default(),
            unneeded: RefCell::default(),
            queue: RefCell::default(),
            dirs_with_found: RefCell::default(),
            buf: RefCell::new(Box::new([MaybeUninit::uninit(); READ_BYTES])),
        }))
    }

    pub(super) fn inotify(&self) -> Arc<OwnedFd> {
        Arc::clone(self.source.get_ref())
    }

    /// Queues a change, unless it equals the last one that is queued: a writer of a file causes one
    /// event per write.
    pub(super) fn report(&self, change: Change) {
        let mut queue = self.queue.borrow_mut();
        if !matches!(queue.back(), Some(Ok(last)) if *last == change) {
            queue.push_back(Ok(change));
        }
    }

    pub(super) fn report_error(&self, error: io::Error) {
        self.queue.borrow_mut().push_back(Err(error));
    }

    pub(super) fn unwatch(&self, path: &Path) -> bool {
        let root = self.tree.borrow().root_at(path);
        root.map(|root| self.forget(root)).is_some()
    }

    /// Removes a node and all nodes below it, with the watches that no other node needs.
    pub(super) fn forget(&self, node: Key<Node>) {
        let unneeded = self.tree.borrow_mut().remove(node);
        self.unneeded.borrow_mut().extend(unneeded);
        self.remove_unneeded();
    }

    /// Removes the watches that no node needs, unless a thread is looking: for a directory that is
    /// already watched, inotify_add_watch(2) returns the existing watch, so one of these may be the
    /// thread's result.
    fn remove_unneeded(&self) {
        if self.looks.get() > 0 {
            return;
        }
        for wd in self.unneeded.take() {
            if self.tree.borrow().of_wd(wd).is_empty() {
                self.remove_watch(wd);
            }
        }
    }

    pub(super) fn remove_watch(&self, wd: i32) {
        // EINVAL if the kernel has removed the watch, because the file is gone (inotify(7),
        // IN_IGNORED).
        let _ = inotify::remove_watch(self.source.as_fd(), wd);
    }

    pub(super) fn is_looking(&self) -> bool {
        self.looks.get() > 0
    }

    pub(super) fn begin_look(&self) {
        self.looks.set(self.looks.get() + 1);
    }

    pub(super) fn end_look(&self) {
        self.looks.set(self.looks.get() - 1);
        self.remove_unneeded();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
