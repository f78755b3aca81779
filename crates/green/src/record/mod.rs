//! The record of one green thread, which its own stack, its task and its handles share.
//!
//! ```text
//!   spawn ──▶ New ── first poll ──▶ Begun ── its stack is empty ──▶ Ended
//!              │                      │                             ▲
//!              └── killed, canceled, loop dropped ──────────────────┘
//!                                     │
//!                                     └── its loop is dropped while a drop waits, or its OS thread
//!                                         is destroying thread-locals ──▶ LeftBehind
//!
//!   Begun:
//!              ┌───── woken: the future is ready ──────┐
//!              ▼                                       │
//!           running ── wait: the future is pending ─▶ waiting
//!            │   ▲                                     │ kill, timeout, throw, failed scope,
//!     panics │   │ caught by its timeout,              ▼ deadlock, loop dropped
//!            │   │ scope or catch_unwind          interrupted
//!            │   │                                     │ resumed: the payload is thrown
//!            │   └────────── unwinding ◀───────────────┘
//!            └─────────────▶ │     ▲
//!               a drop waits │     │ woken; nothing interrupts this wait
//!                            ▼     │
//!                       waiting in a drop
//! ```
//!
//! Only `New`, `Begun`, `Ended` and `LeftBehind` are stored. The task's state says whether the
//! thread runs or waits, and the frames of the stack whether it unwinds (`cleanup`): a flag of ours
//! would miss a user's panic. A thread that is left behind has ended for its joiners; its stack
//! stays where it is, and never runs again. A new thread of a scope, whose function borrows, is
//! left behind as well if its OS thread is destroying thread-locals.

mod begin;
pub(crate) mod ending;
mod extras;
pub(crate) mod interrupt;
mod type_name;

use crate::links::{Link, LinkId, Links};
use crate::name::Name;
use crate::outcome::{AnyResult, Outcome};
use crate::switch::Switch;
use crate::token::error_of;
use extras::ThreadExtras;
use oneloop_core::{Handle, JoinError, Key, Task, Unhandled};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use type_name::short_type_name;

/// A green thread; clones are the same one. Its result is in its [`JoinHandle`](crate::JoinHandle).
#[derive(Clone)]
#[doc(alias("Greenlet", "GreenThread", "fiber", "coroutine"))]
pub struct Thread {
    record: Rc<ThreadRecord>,
}

impl Thread {
    pub(crate) fn new(record: Rc<ThreadRecord>) -> Self {
        Thread { record }
    }

    pub(crate) fn record(&self) -> &Rc<ThreadRecord> {
        &self.record
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thread({})", self.record)
    }
}

impl PartialEq for Thread {
    fn eq(&self, other: &Self) -> bool {
        // Not by the task's key: that of a thread on another loop may be equal.
        Rc::ptr_eq(&self.record, &other.record)
    }
}
impl Eq for Thread {}

/// How far a green thread has come: see the drawing above.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifecycle {
    New,
    Begun,
    Ended,
    LeftBehind,
}

/// Returns the name of a type. A function, as it is half the size of the name itself.
type TypeName = fn() -> &'static str;

/// One green thread; `R` is the slot of its result.
pub(crate) struct ThreadRecord<R: ?Sized = dyn AnyResult> {
    pub(crate) handle: Handle,
    pub(crate) name: Name,
    pub(crate) spawned_at: &'static Location<'static>,
    /// The start and the end of its stack; a queued thread gets one when it begins.
    stack: Cell<(usize, usize)>,
    pub(crate) switch: Switch,
    pub(crate) key: Cell<Key<Task>>,
    lifecycle: Cell<Lifecycle>,
    /// Set once the result is in its slot.
    outcome: Cell<Option<Outcome>>,
    /// There may be an interrupt, a timeout or a close to look for. A wait reads only this flag.
    alert: Cell<bool>,
    /// The loop is being dropped: every wait fails.
    closing: Cell<bool>,
    /// Nothing interrupts for now: see [`ThreadRecord::shield`](Self::shield).
    shielded: Cell<bool>,
    /// A token was thrown, and the thread has not waited since.
    interrupted: Cell<bool>,
    /// A handle may still take the result, so that a panic is not reported.
    pub(crate) observed: Cell<bool>,
    /// The type of the future that it waits for, and where it waits.
    waits_for: Cell<Option<(TypeName, &'static Location<'static>)>>,
    links: RefCell<Links<Thread>>,
    next_link: Cell<LinkId>,
    /// Boxed, as most threads never need them: 8 bytes instead of 100.
    extras: RefCell<Option<Box<ThreadExtras>>>,
    // Last, as an unsized field must be: the record is shared as `ThreadRecord<dyn AnyResult>`.
    pub(crate) slot: R,
}

impl<R: Default> ThreadRecord<R> {
    pub(crate) fn new(handle: Handle, name: Name, spawned_at: &'static Location<'static>) -> Self {
        ThreadRecord {
            handle,
            name,
            spawned_at,
            stack: Cell::new((0, 0)),
            switch: Switch::default(),
            key: Cell::new(Task::NONE),
            lifecycle: Cell::new(Lifecycle::New),
            outcome: Cell::new(None),
            alert: Cell::new(false),
            closing: Cell::new(false),
            shielded: Cell::new(false),
            interrupted: Cell::new(false),
            // The handle that `spawn` returns observes it.
            observed: Cell::new(true),
            waits_for: Cell::new(None),
            links: RefCell::default(),
            next_link: Cell::new(0),
            extras: RefCell::new(None),
            slot: R::default(),
        }
    }
}

/// Its stack.
impl ThreadRecord {
    /// The addresses of its stack: none before it has one. Async-signal-safe.
    pub(crate) fn stack(&self) -> Range<usize> {
        let (start, end) = self.stack.get();
        start..end
    }

    /// Notes where its stack is, before it runs.
    pub(crate) fn set_stack(&self, stack: Range<usize>) {
        self.stack.set((stack.start, stack.end));
    }
}

/// How far it has come.
impl ThreadRecord {
    pub(crate) fn has_begun(&self) -> bool {
        self.lifecycle.get() != Lifecycle::New
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(
            self.lifecycle.get(),
            Lifecycle::Ended | Lifecycle::LeftBehind
        )
    }

    /// True once its stack is empty, so that nothing borrows through it.
    pub(crate) fn is_gone(&self) -> bool {
        self.lifecycle.get() == Lifecycle::Ended
    }

    pub(crate) fn has_result(&self) -> bool {
        self.outcome.get().is_some()
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome.get()
    }
}

/// Links.
impl ThreadRecord {
    /// Adds a link, or returns it if the thread has ended.
    pub(crate) fn link(&self, link: Link<Thread>) -> Result<LinkId, Link<Thread>> {
        if self.has_ended() {
            return Err(link);
        }
        // It wraps after four billion links of one thread: no link lives that long.
        let id = self.next_link.replace(self.next_link.get().wrapping_add(1));
        self.links.borrow_mut().push(id, link);
        Ok(id)
    }

    /// Replaces the link of that id, and returns the old one; or returns `link`, if there is none.
    pub(crate) fn replace_link(
        &self,
        id: Option<LinkId>,
        link: Link<Thread>,
    ) -> Result<Link<Thread>, Link<Thread>> {
        let mut links = self.links.borrow_mut();
        match id.and_then(|id| links.get_mut(id)) {
            Some(before) => Ok(mem::replace(before, link)),
            None => Err(link),
        }
    }

    /// Removes a link; false if it was notified before.
    pub(crate) fn unlink(&self, id: LinkId) -> bool {
        let removed = self.links.borrow_mut().remove(id);
        removed.is_some() // dropped here, after the borrow: its drop is foreign code
    }
}

/// Green-locals.
impl ThreadRecord {
    /// The value of a green-local, which `make` makes if there is none yet.
    pub(crate) fn local(&self, key: usize, make: impl FnOnce() -> Rc<dyn Any>) -> Rc<dyn Any> {
        let find = |extras: &ThreadExtras| {
            let found = extras.locals.iter().find(|(other, _)| *other == key)?;
            Some(Rc::clone(&found.1))
        };
        if let Some(found) = self.extras.borrow().as_deref().and_then(find) {
            return found;
        }
        let value = make(); // the user's code: nothing is borrowed
        let mut extras = self.extras.borrow_mut();
        let extras = extras.get_or_insert_default();
        extras.locals.push((key, Rc::clone(&value)));
        value
    }
}

/// Panics that no handle can report.
impl ThreadRecord {
    /// Calls foreign code from outside of any green stack. Its panic is reported, and ends nothing
    /// else.
    pub(crate) fn guarded<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        let called = catch_unwind(AssertUnwindSafe(call));
        called.map_err(|payload| self.report_thrown(payload)).ok()
    }

    /// Reports what foreign code threw, unless it is a token of ours.
    pub(crate) fn report_thrown(&self, payload: Box<dyn Any + Send>) {
        if let error @ JoinError::Panicked(_) = error_of(payload) {
            self.report(error);
        }
    }

    /// Reports the panic that ended the thread, if no handle can return it anymore.
    pub(crate) fn report_unobserved(&self) {
        if self.observed.get() || !self.has_ended() {
            return;
        }
        if let Some(error) = self.slot.take_panic() {
            self.report(error);
        }
    }

    fn report(&self, error: JoinError) {
        let spawned_at = self.spawned_at;
        Handle::report_unhandled(Unhandled { error, spawned_at });
    }
}

/// As a dump of the tasks and a [`Deadlock`](crate::Deadlock) show it.
impl fmt::Display for ThreadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.get() {
            Some(name) => write!(f, "green thread '{name}'")?,
            None => f.write_str("green thread")?,
        }
        if !self.has_begun() {
            return f.write_str(" has not begun");
        }
        let Some((future, at)) = self.waits_for.get() else {
            return Ok(());
        };
        let future = short_type_name(future());
        write!(f, " waits for {future} at {}:{}", at.file(), at.line())
    }
}
