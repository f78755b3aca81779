//! Which of a queue's values is the next one.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// What a queue holds, in one of three orders.
pub(crate) enum Items<T> {
    Fifo(VecDeque<T>),
    Lifo(Vec<T>),
    Priority(Priorities<T>),
}

impl<T> Items<T> {
    pub(crate) fn push(&mut self, value: T) {
        match self {
            Items::Fifo(items) => items.push_back(value),
            Items::Lifo(items) => items.push(value),
            Items::Priority(items) => items.push(value),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        match self {
            Items::Fifo(items) => items.pop_front(),
            Items::Lifo(items) => items.pop(),
            Items::Priority(items) => items.heap.pop().map(|ranked| ranked.value),
        }
    }

    /// What [`Items::pop`] would give.
    pub(crate) fn next(&self) -> Option<&T> {
        match self {
            Items::Fifo(items) => items.front(),
            Items::Lifo(items) => items.last(),
            Items::Priority(items) => items.heap.peek().map(|ranked| &ranked.value),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Items::Fifo(items) => items.len(),
            Items::Lifo(items) => items.len(),
            Items::Priority(items) => items.heap.len(),
        }
    }
}

/// The smallest first; of equals, the one that came first.
pub(crate) struct Priorities<T> {
    heap: BinaryHeap<Ranked<T>>,
    pushed: u64,
    /// `T::cmp`: only who makes such a queue has to know that there is one.
    compare: fn(&T, &T) -> Ordering,
}

impl<T: Ord> Default for Priorities<T> {
    fn default() -> Self {
        Priorities {
            heap: BinaryHeap::new(),
            pushed: 0,
            compare: T::cmp,
        }
    }
}

impl<T> Priorities<T> {
    fn push(&mut self, value: T) {
        self.pushed += 1;
        self.heap.push(Ranked {
            value,
            number: self.pushed,
            compare: self.compare,
        });
    }
}

/// The greatest is the one to be taken first, as `BinaryHeap` has it.
struct Ranked<T> {
    value: T,
    number: u64,
    compare: fn(&T, &T) -> Ordering,
}

impl<T> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_value = (self.compare)(&other.value, &self.value);
        by_value.then(other.number.cmp(&self.number))
    }
}
impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl<T> Eq for Ranked<T> {}
