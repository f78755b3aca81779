//! The items of a queue, in the order in which they are taken.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// The items of a queue, in one of three orders.
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

    /// The item that [`Items::pop`] would return.
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

/// A heap that returns the smallest item first and, among equal items, the one that was pushed
/// first.
pub(crate) struct Priorities<T> {
    heap: BinaryHeap<Ranked<T>>,
    /// How many items were ever pushed.
    pushed: u64,
    // A pointer to `T::cmp`, so that only the constructor needs `T: Ord`: the other kinds of queue
    // take values that have no order.
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

/// An item with its rank. `BinaryHeap` pops the greatest, so the order is reversed.
struct Ranked<T> {
    value: T,
    /// Counts up with each push, because a heap alone does not keep the order of equal items.
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
