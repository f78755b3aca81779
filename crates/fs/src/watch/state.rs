//! From what inotify tells to what the user hears.
//!
//! ```text
//!            events                        changes
//!  inotify ────────▶ hear ─▶ tree ─┬──────────────▶ queue ─▶ poll_next
//!     ▲                     ▲      │ new directories
//!     └── add_watch ── a thread ◀──┘
//! ```
//!
//! While a thread looks at new directories, nothing is read: the kernel keeps what happens meanwhile, and the
//! numbers of the new watches are known when it is read.

use super::Change;
use super::look::{self, Found, Place};
use super::moves::{Moved, Moves};
use super::tree::{Node, Tree};
use crate::job::blocking;
use oneloop_core::{Direction, Done, Handle, Interest, Key, Ownership, Sleep, Source};
use rustix::fs::inotify::{self, ReadFlags};
use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How long half a rename waits for the other half.
const HALF_RENAME: Duration = Duration::from_millis(10);

/// One job looks at so many directories.
const BATCH_DIRS: usize = 64;

/// Room for the events of one read; one takes 16 bytes and its name.
const READ_BYTES: usize = 8 * 1024;

/// What the kernel said.
struct Event {
    wd: i32,
    flags: ReadFlags,
    cookie: u32,
    name: Option<OsString>,
}

/// A place to be looked at.
pub(super) struct Todo {
    parent: Option<Key<Node>>,
    /// Its name in the parent; of a root, its path.
    name: OsString,
    is_recursive: bool,
    /// What is found in it is told.
    is_told: bool,
    /// What is known of it may be wrong: it is looked at with all below it.
    is_deep: bool,
}

impl Todo {
    pub(super) fn root(path: &Path, is_recursive: bool) -> Self {
        Todo {
            parent: None,
            name: path.as_os_str().to_owned(),
            is_recursive,
            is_told: false,
            is_deep: false,
        }
    }

    fn new_dir(parent: Key<Node>, name: &OsStr) -> Self {
        Todo {
            parent: Some(parent),
            name: name.to_owned(),
            is_recursive: true,
            is_told: true,
            is_deep: false,
        }
    }

    /// Where it is, as far as it is known.
    fn path(&self, tree: &Tree) -> PathBuf {
        match self.parent {
            Some(parent) => tree.path(parent).join(&self.name),
            None => Path::new(&self.name).to_owned(),
        }
    }

    /// A directory in that one, looked at for the same reason.
    fn below(&self, parent: Key<Node>, name: OsString) -> Self {
        Todo {
            parent: Some(parent),
            name,
            ..*self
        }
    }
}

/// What a thread is asked to look at.
pub(super) struct Batch {
    pub(super) asked: Vec<Asked>,
    pub(super) places: Vec<Place>,
}

/// A place that is looked at, and where it was thought to be then.
pub(super) struct Asked {
    todo: Todo,
    path: PathBuf,
}

/// Looks at each of the places, on a thread of the pool.
pub(super) fn look_at_all(inotify: &OwnedFd, places: &[Place]) -> Vec<io::Result<Found>> {
    let look = |place| look::look_at(inotify, place);
    places.iter().map(look).collect()
}

/// What a watcher is; its tasks hold it weakly.
pub(super) struct State {
    pub(super) source: Source<Arc<OwnedFd>>,
    tree: RefCell<Tree>,
    moves: RefCell<Moves>,
    half_rename: Cell<Option<Sleep>>,
    /// Directories to be looked at.
    todo: RefCell<VecDeque<Todo>>,
    /// How many looks are under way.
    looks: Cell<usize>,
    /// Who waits for their end.
    waiting: Cell<Option<Waker>>,
    /// What was looked at since all events were heard: a directory above may have moved meanwhile.
    looked_at: RefCell<Vec<Asked>>,
    /// Watches that no node needed any more while a thread, which may have found them again, looked.
    unneeded: RefCell<Vec<i32>>,
    /// What is still to be told.
    queue: RefCell<VecDeque<io::Result<Change>>>,
    /// Directories with names that were looked up.
    looked_up: RefCell<Vec<Key<Node>>>,
    /// Where events are read to; a green thread's stack may be small.
    buf: RefCell<Box<[MaybeUninit<u8>]>>,
}

impl State {
    pub(super) fn new(handle: &Handle) -> io::Result<Rc<Self>> {
        let inotify = Arc::new(look::open()?);
        // A job may hold it as well, but nobody else reads it.
        let source = Source::new(handle, inotify, Interest::READ, Ownership::Sole)?;
        Ok(Rc::new(State {
            source,
            tree: RefCell::default(),
            moves: RefCell::default(),
            half_rename: Cell::default(),
            todo: RefCell::default(),
            looks: Cell::new(0),
            waiting: Cell::default(),
            looked_at: RefCell::default(),
            unneeded: RefCell::default(),
            queue: RefCell::default(),
            looked_up: RefCell::default(),
            buf: RefCell::new(Box::new([MaybeUninit::uninit(); READ_BYTES])),
        }))
    }

    pub(super) fn inotify(&self) -> Arc<OwnedFd> {
        Arc::clone(self.source.get_ref())
    }

    pub(super) fn poll_next(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<io::Result<Change>> {
        loop {
            let told = self.queue.borrow_mut().pop_front();
            if let Some(told) = told {
                return Poll::Ready(told);
            }
            self.start_look();
            if self.looks.get() > 0 {
                self.waiting.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            let read = |fd: BorrowedFd<'_>| read_events(fd, &mut self.buf.borrow_mut());
            match self.source.poll_io(cx, Direction::Read, read) {
                Poll::Ready(events) => events?.into_iter().for_each(|event| self.hear(event)),
                Poll::Pending => {
                    // Unless the task has had its share of I/O, there is no more for now.
                    let is_drained = !self.source.is_ready(Direction::Read);
                    if is_drained {
                        self.forget_looked_up();
                    }
                    let has_more = is_drained && self.look_where_it_went();
                    if !has_more && !self.poll_half_renames(cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Tells of renames whose other half did not come in time. True if there were any.
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
        let halves = self.moves.borrow_mut().take_all();
        halves.into_iter().for_each(|half| self.went_outside(half));
        true
    }

    /// The same twice is one; it is so only while nobody has heard of the first.
    fn tell(&self, change: Change) {
        let mut queue = self.queue.borrow_mut();
        if !matches!(queue.back(), Some(Ok(last)) if *last == change) {
            queue.push_back(Ok(change));
        }
    }

    fn tell_error(&self, error: io::Error) {
        self.queue.borrow_mut().push_back(Err(error));
    }
}

/// Reads what events there are.
fn read_events(fd: BorrowedFd<'_>, buf: &mut [MaybeUninit<u8>]) -> io::Result<Done<Vec<Event>>> {
    let mut reader = inotify::Reader::new(fd, buf);
    let mut events = Vec::new();
    loop {
        let event = reader.next()?;
        let name = event.file_name();
        events.push(Event {
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
impl State {
    fn hear(&self, event: Event) {
        if event.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.tell(Change::Overflow);
            return self.look_again();
        }
        let nodes = self.tree.borrow().of_wd(event.wd);
        if nodes.is_empty() && !event.flags.contains(ReadFlags::IGNORED) {
            // A watch that was given up while a thread set it up.
            self.remove_watch(event.wd);
        }
        for node in &nodes {
            match &event.name {
                Some(name) => self.hear_of_name(*node, name, &event),
                None => self.hear_of_self(*node, event.flags),
            }
        }
        if event.flags.contains(ReadFlags::MOVED_TO) {
            // The other halves, of other roots, went outside of those.
            self.end_renames(event.cookie);
        }
    }

    /// Something happened to what is watched itself. Of directories below a root the parent tells.
    fn hear_of_self(&self, node: Key<Node>, flags: ReadFlags) {
        let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED;
        let path = self.tree.borrow().path(node);
        if !self.tree.borrow().is_root(node) {
            if flags.contains(ReadFlags::IGNORED) {
                self.forget(node);
            }
        } else if flags.intersects(gone) {
            self.forget(node);
            self.tell(Change::Gone(path));
        } else if flags.contains(ReadFlags::MODIFY) {
            self.tell(Change::Modified(path));
        } else if flags.contains(ReadFlags::ATTRIB) {
            self.tell(Change::Attributes(path));
        }
    }

    /// Something happened to a name in a directory.
    fn hear_of_name(&self, dir: Key<Node>, name: &OsStr, event: &Event) {
        let flags = event.flags;
        // What went from here before is told before.
        let half = self.moves.borrow_mut().take_of_name(dir, name);
        half.into_iter().for_each(|half| self.went_outside(half));
        let path = self.tree.borrow().path(dir).join(name);
        let was_looked_up = self.was_looked_up(dir, name, flags);
        if flags.contains(ReadFlags::CREATE) {
            if !was_looked_up {
                self.tell(Change::Created(path));
                self.look_at_new(dir, name, flags);
            }
        } else if flags.contains(ReadFlags::DELETE) {
            self.forget_child(dir, name);
            self.tell(Change::Removed(path));
        } else if flags.contains(ReadFlags::MOVED_FROM) {
            let half = self.half_of(dir, name, event.cookie, path);
            let alone = self.moves.borrow_mut().push(half);
            alone.into_iter().for_each(|half| self.went_outside(half));
        } else if flags.contains(ReadFlags::MOVED_TO) {
            let root = self.tree.borrow().root_of(dir);
            let half = self.moves.borrow_mut().take_pair(event.cookie, root);
            match half {
                Some(half) => self.renamed(half, dir, name),
                None if was_looked_up => {}
                None => self.tell(Change::Created(path)),
            }
            self.look_at_new(dir, name, flags);
        } else if flags.contains(ReadFlags::MODIFY) {
            self.tell(Change::Modified(path));
        } else if flags.contains(ReadFlags::ATTRIB) {
            self.tell(Change::Attributes(path));
        }
    }

    /// True if this name was found before the kernel told that it was created. Whatever else happens to
    /// the name, it may be created again.
    fn was_looked_up(&self, dir: Key<Node>, name: &OsStr, flags: ReadFlags) -> bool {
        let comes_or_goes = ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM;
        if !flags.intersects(comes_or_goes | ReadFlags::MOVED_TO) {
            return false;
        }
        let mut tree = self.tree.borrow_mut();
        tree.get_mut(dir)
            .is_some_and(|dir| dir.looked_up.remove(name))
    }

    fn renamed(&self, half: Moved, dir: Key<Node>, name: &OsStr) {
        let to = self.tree.borrow().path(dir).join(name);
        self.forget_child(dir, name); // what had that name before
        if let Some(moved) = self.left_behind(&half)
            && !self.tree.borrow_mut().put(moved, dir, name)
        {
            self.forget(moved); // whoever looks where `dir` is by now finds both
        }
        self.tell(Change::Renamed {
            from: half.path,
            to,
        });
    }

    fn half_of(&self, dir: Key<Node>, name: &OsStr, cookie: u32, path: PathBuf) -> Moved {
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

    /// The node of what went, unless a look has found it elsewhere by now.
    fn left_behind(&self, half: &Moved) -> Option<Key<Node>> {
        let place = self.tree.borrow().place(half.node?)?;
        half.node.filter(|_| place == (half.dir, half.name.clone()))
    }

    fn went_outside(&self, half: Moved) {
        let node = self.left_behind(&half);
        node.into_iter().for_each(|node| self.forget(node));
        self.tell(Change::Removed(half.path));
    }

    fn end_renames(&self, cookie: u32) {
        let roots = self.tree.borrow().roots();
        for root in roots {
            let half = self.moves.borrow_mut().take_pair(cookie, root);
            half.into_iter().for_each(|half| self.went_outside(half));
        }
    }

    fn look_at_new(&self, dir: Key<Node>, name: &OsStr, flags: ReadFlags) {
        let tree = self.tree.borrow();
        let is_recursive = tree.get(dir).is_some_and(|dir| dir.is_recursive);
        if is_recursive && flags.contains(ReadFlags::ISDIR) {
            let todo = Todo::new_dir(dir, name);
            self.todo.borrow_mut().push_back(todo);
        }
    }

    /// All recursive roots, from the top: events were lost.
    fn look_again(&self) {
        let tree = self.tree.borrow();
        let roots = tree.roots().into_iter();
        let again = roots.filter(|root| tree.get(*root).is_some_and(|root| root.is_recursive));
        let again = again.map(|root| Todo {
            is_deep: true,
            ..Todo::root(&tree.path(root), true)
        });
        self.todo.borrow_mut().extend(again);
    }

    fn forget_child(&self, dir: Key<Node>, name: &OsStr) {
        let child = self.tree.borrow().child(dir, name);
        child.into_iter().for_each(|child| self.forget(child));
    }

    /// Takes a node out of the tree, with all below it.
    fn forget(&self, node: Key<Node>) {
        let unneeded = self.tree.borrow_mut().remove(node);
        self.unneeded.borrow_mut().extend(unneeded);
        self.remove_unneeded();
    }

    /// Has the kernel watch no more what nobody needs; but not while a thread looks, which may have been told
    /// by the kernel that the watch was there.
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

    fn remove_watch(&self, wd: i32) {
        // The kernel may have removed it by itself: what was watched is gone.
        let _ = inotify::remove_watch(self.source.as_fd(), wd);
    }

    /// Nothing is left to be read, so no name that was looked up is still to be told.
    fn forget_looked_up(&self) {
        let dirs = self.looked_up.take();
        let mut tree = self.tree.borrow_mut();
        for dir in dirs {
            if let Some(dir) = tree.get_mut(dir) {
                dir.looked_up.clear();
            }
        }
    }

    pub(super) fn unwatch(&self, path: &Path) -> bool {
        let root = self.tree.borrow().root_at(path);
        root.map(|root| self.forget(root)).is_some()
    }
}

/// Looking.
impl State {
    pub(super) fn begin_look(&self) {
        self.looks.set(self.looks.get() + 1);
    }

    pub(super) fn end_look(&self) {
        self.looks.set(self.looks.get() - 1);
        self.remove_unneeded();
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Has a thread look at directories that nobody has looked at yet, if there are any. A task takes in
    /// what it finds, whoever waits for the watcher meanwhile.
    fn start_look(self: &Rc<Self>) {
        let todo: Vec<_> = {
            let mut todo = self.todo.borrow_mut();
            let count = todo.len().min(BATCH_DIRS);
            todo.drain(..count).collect()
        };
        if todo.is_empty() {
            return;
        }
        self.begin_look();
        let batch = self.places(todo);
        let (inotify, state) = (self.inotify(), Rc::downgrade(self));
        self.source.handle().spawn_detached(async move {
            let places = batch.places;
            let found = blocking(move || Ok(look_at_all(&inotify, &places))).await;
            let Some(state) = state.upgrade() else { return };
            match found {
                Ok(found) => state.merge(batch.asked, found),
                Err(error) => state.tell_error(error),
            }
            state.end_look();
        });
    }

    /// The root at once, on this thread, and what is below it as after an overflow.
    pub(super) fn watch_now(&self, path: &Path, is_recursive: bool) -> io::Result<()> {
        let root = Todo::root(path, is_recursive);
        let place = Place {
            path: path.to_owned(),
            is_root: true,
            is_recursive: false,
        };
        let found = look::look_at(self.source.get_ref(), &place)?;
        self.take_in(&root, found);
        if is_recursive {
            self.todo.borrow_mut().push_back(Todo {
                is_deep: true,
                ..root
            });
        }
        Ok(())
    }

    /// Where it is that is to be looked at.
    pub(super) fn places(&self, todo: Vec<Todo>) -> Batch {
        let tree = self.tree.borrow();
        let asked = todo.into_iter().map(|todo| Asked {
            path: todo.path(&tree),
            todo,
        });
        let asked: Vec<_> = asked.collect();
        let place = |asked: &Asked| Place {
            path: asked.path.clone(),
            is_root: asked.todo.parent.is_none(),
            is_recursive: asked.todo.is_recursive,
        };
        let places = asked.iter().map(place).collect();
        Batch { asked, places }
    }

    /// All events were heard. Where a directory above had moved before a thread came to look, it looked in the
    /// wrong place, and has to do it again. True if there is such a one.
    fn look_where_it_went(&self) -> bool {
        let tree = self.tree.borrow();
        let looked_at = self.looked_at.take().into_iter();
        let elsewhere = looked_at.filter(|Asked { todo, path }| {
            let parent = todo.parent.and_then(|parent| tree.get(parent));
            parent.is_some() && todo.path(&tree) != *path
        });
        let mut todo = self.todo.borrow_mut();
        todo.extend(elsewhere.map(|asked| asked.todo));
        !todo.is_empty()
    }

    /// Takes in what a thread found. What was not there any more is told by the kernel.
    fn merge(&self, asked: Vec<Asked>, found: Vec<io::Result<Found>>) {
        for (asked, found) in asked.into_iter().zip(found) {
            match found {
                Ok(found) => {
                    let below = self.take_in(&asked.todo, found);
                    self.todo.borrow_mut().extend(below);
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => self.tell_error(error),
            }
            self.looked_at.borrow_mut().push(asked);
        }
    }

    /// As [`State::merge`] while a watch begins: without its root, or without watches, there is none. Gives
    /// what is to be looked at next.
    pub(super) fn merge_first(
        &self,
        asked: Vec<Asked>,
        found: Vec<io::Result<Found>>,
    ) -> io::Result<Vec<Todo>> {
        let mut next = Vec::new();
        for (asked, found) in asked.into_iter().zip(found) {
            match found {
                Ok(found) => next.extend(self.take_in(&asked.todo, found)),
                Err(error) if asked.todo.parent.is_none() => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(error),
                Err(error) if is_gone(&error) => {}
                Err(error) => self.tell_error(error),
            }
            self.looked_at.borrow_mut().push(asked);
        }
        Ok(next)
    }

    /// Gives the directories in it that are to be looked at as well.
    fn take_in(&self, asked: &Todo, found: Found) -> Vec<Todo> {
        let Some((node, is_new)) = self.place_node(asked, found.wd) else {
            return Vec::new();
        };
        if asked.is_deep {
            self.forget_missing(node, &found.names);
        }
        let mut below = Vec::new();
        for (name, is_dir) in found.names {
            if is_new && asked.is_told {
                self.tell_found(node, &name);
            }
            if is_dir && (is_new || asked.is_deep) {
                below.push(asked.below(node, name));
            }
        }
        below
    }

    /// The node of a place, and whether it is new. None if its parent is gone by now.
    fn place_node(&self, asked: &Todo, wd: i32) -> Option<(Key<Node>, bool)> {
        let known = match asked.parent {
            None => self.tree.borrow().root_at(Path::new(&asked.name)),
            Some(parent) => {
                self.tree.borrow().get(parent)?;
                self.tree.borrow().child(parent, &asked.name)
            }
        };
        if let Some(known) = known {
            if self.tree.borrow().wd(known) == Some(wd) {
                return Some((known, false));
            }
            self.forget(known); // something else has taken its place
        }
        let mut tree = self.tree.borrow_mut();
        // A directory is in one place: if it is known in another one, it has moved.
        if let Some(parent) = asked.parent
            && let Some(moved) = tree.below_same_root(parent, wd)
        {
            // If it cannot be there yet, the kernel tells of the move.
            return tree
                .put(moved, parent, &asked.name)
                .then_some((moved, false));
        }
        let node = tree.add(asked.parent, &asked.name, wd, asked.is_recursive);
        Some((node, true))
    }

    fn tell_found(&self, dir: Key<Node>, name: &OsStr) {
        let path = self.tree.borrow().path(dir).join(name);
        self.tell(Change::Created(path));
        let mut tree = self.tree.borrow_mut();
        if let Some(node) = tree.get_mut(dir) {
            node.looked_up.insert(name.to_owned());
            self.looked_up.borrow_mut().push(dir);
        }
    }

    /// Directories that went while events were lost.
    fn forget_missing(&self, dir: Key<Node>, names: &[(OsString, bool)]) {
        let dirs = names.iter().filter(|(_, is_dir)| *is_dir);
        let there: HashSet<&OsString> = dirs.map(|(name, _)| name).collect();
        let children = self.tree.borrow().children(dir);
        let missing = children.iter().filter(|(name, _)| !there.contains(name));
        missing.for_each(|(_, child)| self.forget(*child));
    }
}

/// It went before a thread came to look, or is no directory any more.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}
