//! The tasks that can go on, first in first out.

use crate::slots::Key;
use crate::task::Task;
use crate::waker::TaskWaker;
use std::cell::RefCell;
use std::collections::VecDeque;

/// Each task is in it at most once. It holds names, not wakers: to queue a task counts no reference.
#[derive(Debug, Default)]
pub(crate) struct RunQueue {
    tasks: RefCell<VecDeque<Key<Task>>>,
}

impl RunQueue {
    /// Queues a task, unless it is queued already.
    pub(crate) fn push(&self, waker: &TaskWaker) {
        if waker.begin_wait_for_run() {
            self.tasks.borrow_mut().push_back(waker.task());
        }
    }

    /// Queues a task before all others.
    pub(crate) fn push_first(&self, waker: &TaskWaker) {
        let mut tasks = self.tasks.borrow_mut();
        if !waker.begin_wait_for_run() {
            tasks.retain(|task| *task != waker.task());
        }
        tasks.push_front(waker.task());
    }

    pub(crate) fn pop(&self) -> Option<Key<Task>> {
        self.tasks.borrow_mut().pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
