//! Turns the events of inotify(7) into changes.

use super::change::Change;
use super::moves::Moved;
use super::pending::PendingLook;
use super::state::WatcherState;
use super::tree::Node;
use oneloop_core::{Direction, Done, Key};
use rustix::fs::inotify::{self, ReadFlags};
use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long the first half of a rename waits for the second one.
const HALF_RENAME: Duration = Duration::from_millis(10);

/// An event of inotify(7).
struct InotifyEvent {
    /// The number of the watch (a watch descriptor).
    wd: i32,
    flags: ReadFlags,
    /// Equal in both halves of a rename.
    cookie: u32,
    /// The name in the directory; `None` if the event is about the watched file itself.
    name: Option<OsString>,
}

impl WatcherState {
    pub(super) fn poll_next(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<io::Result<Change>> {
        loop {
            let change = self.queue.borrow_mut().pop_front();
            if let Some(change) = change {
                return Poll::Ready(change);
            }
            // No events are read meanwhile: the tree would not know the new watches that they name.
            self.start_look();
            if self.is_looking() {
                self.waker.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            let read = |fd: BorrowedFd<'_>| read_events(fd, &mut self.buf.borrow_mut());
            match self.source.poll_io(cx, Direction::Read, read) {
                Poll::Ready(events) => events?
                    .into_iter()
                    .for_each(|event| self.handle_event(event)),
                Poll::Pending => {
                    // Not ready means EAGAIN. If the source is ready, the task has spent its I/O
                    // budget, and more events may be there.
                    let is_drained = !self.source.is_ready(Direction::Read);
                    if is_drained {
                        self.forget_found();
                    }
                    let has_more = is_drained && self.look_again_at_moved();
                    if !has_more && !self.poll_half_renames(cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Reports the first halves of renames whose second half did not come in time. Returns true if
    /// there were any.
    fn poll_half_renames(&self, cx: &mut Context<'_>) -> bool {
        if self.moves.borrow().is_empty() {
            self.half_rename.set(None);
            return false;
        }
        let begun = self.half_rename.take();
        let mut sleep = begun.unwrap_or_else(|| self.source.handle().sleep(HALF_RENAME));
        if Pin::new(&mut sleep).poll(cx).is_pending() {
            self.half_rename.set(Some(sleep));
            return false;
        }
        // One by one: the report of one may drop newer ones.
        loop {
            let oldest = self.moves.borrow_mut().take_oldest();
            let Some(half) = oldest else { break };
            self.report_moved_out(half);
        }
        true
    }

    /// Forgets the names that looks found: all events were read, so the kernel will not report one
    /// of them as created any more.
    fn forget_found(&self) {
        let dirs = self.dirs_with_found.take();
        let mut tree = self.tree.borrow_mut();
        for dir in dirs {
            if let Some(dir) = tree.get_mut(dir) {
                dir.found.clear();
            }
        }
    }
}

/// Reads the events that fit into the buffer.
fn read_events(
    fd: BorrowedFd<'_>,
    buf: &mut [MaybeUninit<u8>],
) -> io::Result<Done<Vec<InotifyEvent>>> {
    let mut reader = inotify::Reader::new(fd, buf);
    let mut events = Vec::new();
    loop {
        let event = reader.next()?;
        let name = event.file_name();
        events.push(InotifyEvent {
            wd: event.wd(),
            flags: event.events(),
            cookie: event.cookie(),
            name: name.map(|name| OsStr::from_bytes(name.to_bytes()).to_owned()),
        });
        if reader.is_buffer_empty() {
            return Ok(Done::one(events));
        }
    }
}

/// Events.
impl WatcherState {
    fn handle_event(&self, event: InotifyEvent) {
        if event.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.report(Change::Overflow);
            return self.look_again_at_roots();
        }
        let nodes = self.tree.borrow().of_wd(event.wd);
        if nodes.is_empty() && !event.flags.contains(ReadFlags::IGNORED) {
            // A thread added this watch after its node was forgotten.
            self.remove_watch(event.wd);
        }
        for node in &nodes {
            match &event.name {
                Some(name) => self.handle_name_event(*node, name, &event),
                None => self.handle_self_event(*node, event.flags),
            }
        }
        if event.flags.contains(ReadFlags::MOVED_TO) {
            // The first halves in other roots: their file has moved out of those roots.
            self.end_renames(event.cookie);
        }
    }

    /// Handles an event about the watched file itself. For a directory below a root, the events of
    /// its parent report the same.
    fn handle_self_event(&self, node: Key<Node>, flags: ReadFlags) {
        let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED;
        let path = self.tree.borrow().path(node);
        if !self.tree.borrow().is_root(node) {
            if flags.contains(ReadFlags::IGNORED) {
                self.forget(node);
            }
        } else if flags.intersects(gone) {
            self.end_renames_in(node);
            self.forget(node);
            self.report(Change::Gone(path));
        } else if flags.contains(ReadFlags::MODIFY) {
            self.report(Change::Modified(path));
        } else if flags.contains(ReadFlags::ATTRIB) {
            self.report(Change::Attributes(path));
        }
    }

    /// Handles an event about a name in a directory.
    fn handle_name_event(&self, dir: Key<Node>, name: &OsStr, event: &InotifyEvent) {
        let flags = event.flags;
        // The file that had this name before has moved, which is reported first.
        let half = self.moves.borrow_mut().take_of_name(dir, name);
        half.into_iter()
            .for_each(|half| self.report_moved_out(half));
        if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO) {
            let child = self.tree.borrow().child(dir, name);
            child
                .into_iter()
                .for_each(|child| self.end_renames_in(child));
        }
        let path = self.tree.borrow().path(dir).join(name);
        let was_found = self.take_found(dir, name, flags);
        if flags.contains(ReadFlags::CREATE) {
            if !was_found {
                self.report(Change::Created(path));
                self.look_at_new_dir(dir, name, flags, true);
            }
        } else if flags.contains(ReadFlags::DELETE) {
            self.forget_child(dir, name);
            self.report(Change::Removed(path));
        } else if flags.contains(ReadFlags::MOVED_FROM) {
            let half = self.first_half(dir, name, event.cookie, path);
            let oldest = self.moves.borrow_mut().push(half);
            oldest
                .into_iter()
                .for_each(|half| self.report_moved_out(half));
        } else if flags.contains(ReadFlags::MOVED_TO) {
            let root = self.tree.borrow().root_of(dir);
            let half = self.moves.borrow_mut().take_pair(event.cookie, root);
            let is_unreported = half.is_none() && !was_found;
            match half {
                Some(half) => self.report_renamed(half, dir, name),
                None if was_found => {}
                None => self.report(Change::Created(path)),
            }
            self.look_at_new_dir(dir, name, flags, is_unreported);
        } else if flags.contains(ReadFlags::MODIFY) {
            self.report(Change::Modified(path));
        } else if flags.contains(ReadFlags::ATTRIB) {
            self.report(Change::Attributes(path));
        }
    }

    /// True if a look reported this name before the event of its creation was read. That holds for
    /// one event: the name may be removed and created again.
    fn take_found(&self, dir: Key<Node>, name: &OsStr, flags: ReadFlags) -> bool {
        let comes_or_goes = ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM;
        if !flags.intersects(comes_or_goes | ReadFlags::MOVED_TO) {
            return false;
        }
        let mut tree = self.tree.borrow_mut();
        tree.get_mut(dir).is_some_and(|dir| dir.found.remove(name))
    }

    fn report_renamed(&self, half: Moved, dir: Key<Node>, name: &OsStr) {
        let to = self.tree.borrow().path(dir).join(name);
        self.forget_child(dir, name); // the rename replaced it
        if let Some(moved) = self.left_behind(&half)
            && !self.tree.borrow_mut().put(moved, dir, name)
        {
            self.forget(moved); // the look at `dir`, wherever it is by then, finds both again
        }
        self.report(Change::Renamed {
            from: half.path,
            to,
        });
    }

    fn first_half(&self, dir: Key<Node>, name: &OsStr, cookie: u32, path: PathBuf) -> Moved {
        let tree = self.tree.borrow();
        Moved {
            cookie,
            root: tree.root_of(dir),
            dir,
            name: name.to_owned(),
            path,
            node: tree.child(dir, name),
        }
    }

    /// The node of a first half, unless a look has found that directory elsewhere by now.
    fn left_behind(&self, half: &Moved) -> Option<Key<Node>> {
        let entry = self.tree.borrow().entry(half.node?)?;
        half.node.filter(|_| entry == (half.dir, half.name.clone()))
    }

    fn report_moved_out(&self, half: Moved) {
        if let Some(node) = self.left_behind(&half) {
            // What left this directory since then left it outside, and is removed with it.
            let is_in = |dir| self.tree.borrow().is_within(dir, node);
            self.moves.borrow_mut().drop_in(is_in);
            self.forget(node);
        }
        self.report(Change::Removed(half.path));
    }

    fn end_renames(&self, cookie: u32) {
        let roots = self.tree.borrow().roots();
        for root in roots {
            let half = self.moves.borrow_mut().take_pair(cookie, root);
            half.into_iter()
                .for_each(|half| self.report_moved_out(half));
        }
    }

    /// Reports the first halves in a directory while their paths are right: it is about to move or
    /// to go.
    fn end_renames_in(&self, dir: Key<Node>) {
        let is_in = |other| self.tree.borrow().is_within(other, dir);
        loop {
            let oldest = self.moves.borrow_mut().take_in(is_in);
            let Some(half) = oldest else { break };
            self.report_moved_out(half);
        }
    }

    /// `is_unreported`: no change has reported the names in the directory. An earlier look may have
    /// reported them, under the same name, when the changes were still about another directory.
    fn look_at_new_dir(&self, dir: Key<Node>, name: &OsStr, flags: ReadFlags, is_unreported: bool) {
        let tree = self.tree.borrow();
        let is_recursive = tree.get(dir).is_some_and(|dir| dir.is_recursive);
        if is_recursive && flags.contains(ReadFlags::ISDIR) {
            self.pending.borrow_mut().push_back(PendingLook {
                is_unreported: is_unreported && tree.child(dir, name).is_some(),
                ..PendingLook::new_dir(dir, name)
            });
        }
    }

    /// Looks at all recursive roots from the top, because events were lost.
    fn look_again_at_roots(&self) {
        let tree = self.tree.borrow();
        let roots = tree.roots().into_iter();
        let again = roots.filter(|root| tree.get(*root).is_some_and(|root| root.is_recursive));
        let again = again.map(|root| PendingLook {
            is_deep: true,
            ..PendingLook::root(&tree.path(root), true)
        });
        self.pending.borrow_mut().extend(again);
    }

    fn forget_child(&self, dir: Key<Node>, name: &OsStr) {
        let child = self.tree.borrow().child(dir, name);
        child.into_iter().for_each(|child| self.forget(child));
    }
}
