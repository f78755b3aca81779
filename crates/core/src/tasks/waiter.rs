//! The waiter of a source: a task of the same loop, by its name, or a waker of any other kind.

use crate::mechanisms::slots::Key;
use crate::tasks::key::Task;
use std::mem;
use std::task::Waker;

/// The waiter of a source in one direction, or none.
///
/// Nearly every source is polled by a task of its own loop. The name of that task is stored instead
/// of its waker, so that neither the wait nor the wake counts a reference, which is an atomic
/// operation.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// [`Task::NONE`] stands for no waiter: an `Option` around this type would take 24 bytes, not 16.
    Task(Key<Task>),
    Foreign(Waker),
}

impl Waiter {
    pub(crate) fn is_some(&self) -> bool {
        !matches!(self, Waiter::Task(task) if *task == Task::NONE)
    }
}

impl Default for Waiter {
    fn default() -> Self {
        Waiter::Task(Task::NONE)
    }
}

impl From<Waker> for Waiter {
    fn from(waker: Waker) -> Self {
        Waiter::Foreign(waker)
    }
}

const _: () = assert!(mem::size_of::<Waiter>() == mem::size_of::<Waker>());
