//! Queues of requests, which are the links themselves: no memory but the caller's.
#![forbid(unsafe_code)]

use crate::abi::live::Live;
use std::cell::Cell;

/// A request that can wait in a queue: in one at a time.
pub(crate) trait Linked: Sized {
    /// The request behind it.
    fn next(&self) -> &Cell<Option<Live<Self>>>;
}

/// Requests in order.
#[repr(C)]
pub(crate) struct Queue<T> {
    first: Cell<Option<Live<T>>>,
    last: Cell<Option<Live<T>>>,
}

impl<T: Linked> Queue<T> {
    pub(crate) fn clear(&self) {
        self.first.set(None);
        self.last.set(None);
    }

    pub(crate) fn push(&self, request: Live<T>) {
        request.next().set(None);
        match self.last.replace(Some(request)) {
            Some(last) => last.next().set(Some(request)),
            None => self.first.set(Some(request)),
        }
    }

    pub(crate) fn pop(&self) -> Option<Live<T>> {
        let first = self.first.get()?;
        self.first.set(first.next().get());
        if self.first.get().is_none() {
            self.last.set(None);
        }
        Some(first)
    }

    pub(crate) fn first(&self) -> Option<Live<T>> {
        self.first.get()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    pub(crate) fn len(&self) -> usize {
        let mut next = self.first.get();
        std::iter::from_fn(|| next.inspect(|request| next = request.next().get())).count()
    }
}
