//! The tasks that can go on, first in first out.

use crate::waker::TaskWaker;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

/// Each task is in it at most once: `TaskWaker` sees to that.
#[derive(Debug, Default)]
pub(crate) struct RunQueue {
    tasks: RefCell<VecDeque<Arc<TaskWaker>>>,
}

impl RunQueue {
    pub(crate) fn push(&self, task: Arc<TaskWaker>) {
        self.tasks.borrow_mut().push_back(task);
    }

    pub(crate) fn pop(&self) -> Option<Arc<TaskWaker>> {
        self.tasks.borrow_mut().pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
