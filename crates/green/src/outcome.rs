//! How a green thread ended, and what it left.

use crate::thread::Thread;
use crate::unwind::resume_unwind;
use oneloop_core::{JoinError, Key, Task};
use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::task::Waker;

/// What is thrown through a green thread's stack to end it: see [`Thread::kill`](crate::Thread::kill).
pub(crate) struct Kill;

/// What is thrown through a stack whose loop is dropped.
pub(crate) struct Close;

/// Why a green thread has no value, given what was thrown through its stack.
pub(crate) fn error_of(payload: Box<dyn Any + Send>) -> JoinError {
    if payload.is::<Kill>() {
        JoinError::Killed
    } else if payload.is::<Close>() {
        JoinError::Cancelled
    } else {
        JoinError::Panicked(payload)
    }
}

/// True if what [`catch_unwind`](crate::catch_unwind) caught is a kill, and not a panic or a time-out of
/// further out: `except GreenletExit`.
///
/// ```
/// use oneloop_green::{JoinError, catch_unwind, is_kill, run, sleep, spawn, yield_now};
/// use std::{panic::resume_unwind, time::Duration};
/// let killed = run(|| {
///     let thread = spawn(|| {
///         if let Err(payload) = catch_unwind(|| sleep(Duration::from_secs(3600))) {
///             assert!(is_kill(&*payload));
///             resume_unwind(payload);
///         }
///     });
///     yield_now();
///     thread.kill();
///     matches!(thread.join(), Err(JoinError::Killed))
/// })?;
/// assert!(killed);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn is_kill(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Kill>()
}

/// True for what ends a green thread from outside, rather than by its own failure.
pub(crate) fn is_ending(payload: &(dyn Any + Send)) -> bool {
    is_kill(payload) || payload.is::<Close>()
}

/// How a green thread ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Its function returned.
    Returned,
    /// Its function panicked, or something was thrown into it.
    Panicked,
    /// It was killed.
    Killed,
    /// It was cancelled before it began, or its loop was dropped.
    Cancelled,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Returned => "the green thread returned",
            Outcome::Panicked => "the green thread panicked",
            Outcome::Killed => "the green thread was killed",
            Outcome::Cancelled => "the green thread was cancelled",
        })
    }
}
impl std::error::Error for Outcome {}

impl Outcome {
    pub(crate) fn of<T>(result: &Result<T, JoinError>) -> Self {
        match result {
            Ok(_) => Outcome::Returned,
            Err(JoinError::Panicked(_)) => Outcome::Panicked,
            Err(JoinError::Killed) => Outcome::Killed,
            Err(JoinError::Cancelled) => Outcome::Cancelled,
        }
    }
}

/// Where a green thread leaves its result; `dyn Leaves` where its type does not matter.
pub(crate) struct Place<T> {
    result: Cell<Option<Result<T, JoinError>>>,
}

impl<T> Default for Place<T> {
    fn default() -> Self {
        Place {
            result: Cell::new(None),
        }
    }
}

impl<T> Place<T> {
    pub(crate) fn leave(&self, result: Result<T, JoinError>) {
        self.result.set(Some(result));
    }

    pub(crate) fn take(&self) -> Option<Result<T, JoinError>> {
        self.result.take()
    }

    /// Looks at the result, which is put back: the caller's code finds nothing borrowed.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&Result<T, JoinError>) -> R) -> Option<R> {
        let result = self.result.take()?;
        let seen = panic::catch_unwind(AssertUnwindSafe(|| look(&result)));
        self.result.set(Some(result));
        Some(seen.unwrap_or_else(|payload| resume_unwind(payload)))
    }
}

pub(crate) trait Leaves {
    fn fail(&self, error: JoinError);
    fn outcome(&self) -> Option<Outcome>;
    /// Takes the panic that nobody will see otherwise.
    fn take_panic(&self) -> Option<JoinError>;
}

impl<T> Leaves for Place<T> {
    fn fail(&self, error: JoinError) {
        self.leave(Err(error));
    }

    fn outcome(&self) -> Option<Outcome> {
        self.peek(Outcome::of)
    }

    fn take_panic(&self) -> Option<JoinError> {
        if self.outcome() != Some(Outcome::Panicked) {
            return None;
        }
        self.take()?.err()
    }
}

/// A function that hears of an end, and gives the task that is to run before the next one hears.
pub(crate) type Call = Box<dyn FnOnce(&Thread) -> Option<Key<Task>>>;

/// Something that hears of a green thread's end.
pub(crate) enum Link {
    /// A green thread that joins.
    Task(Key<Task>),
    /// A green thread that kills.
    Killer(Key<Task>),
    /// Any other future that does.
    Wake(Waker),
    Call(Call),
    /// Is called on the stack that ends: see [`eventlet::link`](crate::eventlet::link).
    Inside(Inside),
}

/// A link of eventlet's.
pub(crate) type Inside = Box<dyn FnOnce(&Thread)>;

/// Names a link for as long as it waits.
pub(crate) type LinkId = u32;

/// Who hears of the end, in this order: mostly nobody or one, and then nothing is allocated.
#[derive(Default)]
pub(crate) enum Links {
    #[default]
    None,
    One(LinkId, Link),
    Many(Vec<(LinkId, Link)>),
}

impl Links {
    pub(crate) fn push(&mut self, id: LinkId, link: Link) {
        *self = match mem::take(self) {
            Links::None => Links::One(id, link),
            Links::One(first_id, first) => Links::Many(vec![(first_id, first), (id, link)]),
            Links::Many(mut links) => {
                links.push((id, link));
                Links::Many(links)
            }
        };
    }

    pub(crate) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        match self {
            Links::One(other, link) if *other == id => Some(link),
            Links::Many(links) => {
                let found = links.iter_mut().find(|(other, _)| *other == id)?;
                Some(&mut found.1)
            }
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, id: LinkId) -> Option<Link> {
        match self {
            Links::One(other, _) if *other == id => match mem::take(self) {
                Links::One(_, link) => Some(link),
                _ => None,
            },
            Links::Many(links) => {
                let index = links.iter().position(|(other, _)| *other == id)?;
                Some(links.remove(index).1)
            }
            _ => None,
        }
    }

    /// True if there is anything to call, which takes a run of its own.
    pub(crate) fn have_calls(&self) -> bool {
        let is_call = |link: &Link| matches!(link, Link::Call(_) | Link::Inside(_));
        match self {
            Links::None => false,
            Links::One(_, link) => is_call(link),
            Links::Many(links) => links.iter().any(|(_, link)| is_call(link)),
        }
    }

    pub(crate) fn have_inside(&self) -> bool {
        let is_inside = |link: &Link| matches!(link, Link::Inside(_));
        match self {
            Links::None => false,
            Links::One(_, link) => is_inside(link),
            Links::Many(links) => links.iter().any(|(_, link)| is_inside(link)),
        }
    }

    /// Takes some out, in their order.
    pub(crate) fn take_some(&mut self, which: impl Fn(&Link) -> bool) -> Links {
        let mut taken = Links::None;
        let links = match mem::take(self) {
            Links::None => return taken,
            Links::One(id, link) => vec![(id, link)],
            Links::Many(links) => links,
        };
        for (id, link) in links {
            match which(&link) {
                true => taken.push(id, link),
                false => self.push(id, link),
            }
        }
        taken
    }

    /// All of them, first come first.
    pub(crate) fn into_queue(self) -> VecDeque<Link> {
        match self {
            Links::None => VecDeque::new(),
            Links::One(_, link) => VecDeque::from([link]),
            Links::Many(links) => links.into_iter().map(|(_, link)| link).collect(),
        }
    }
}
