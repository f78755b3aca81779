//! Which call into a loop runs this code.
//!
//! Each call has a number of its own. If two moments on a thread have the same number, the same call was
//! on the stack all the while: so the thread has not ended in between, nor have its thread-locals.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(OUTSIDE) };
    /// The number that the latest call got.
    static LATEST: Cell<u64> = const { Cell::new(0) };
}

#[derive(Clone, Copy, Debug)]
struct Current {
    number: u64,
    /// The next call gets the same number.
    is_shared: bool,
}

const OUTSIDE: Current = Current {
    number: 0,
    is_shared: false,
};

/// The number of the innermost call; 0 outside of loops.
pub(crate) fn current() -> u64 {
    CURRENT.get().number
}

/// Makes what runs until this is dropped a call of its own.
pub(crate) struct Entry {
    before: Current,
}

impl Entry {
    pub(crate) fn new() -> Self {
        let before = CURRENT.get();
        let number = if before.is_shared {
            before.number
        } else {
            next()
        };
        let is_shared = false;
        CURRENT.set(Current { number, is_shared });
        Entry { before }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Makes the calls of one function into its loop count as one: until this is dropped, they have the same
/// [`Handle::entry`](crate::Handle::entry). Between them no code but the function's own may run.
#[derive(Debug)]
pub struct OneEntry {
    before: Current,
    stays: PhantomData<*const ()>,
}

impl OneEntry {
    /// Makes the next calls count as one.
    #[expect(clippy::new_without_default, reason = "it is a guard")]
    pub fn new() -> Self {
        let before = CURRENT.get();
        let (number, is_shared) = (next(), true);
        CURRENT.set(Current { number, is_shared });
        let stays = PhantomData;
        OneEntry { before, stays }
    }
}

impl Drop for OneEntry {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

fn next() -> u64 {
    LATEST.set(LATEST.get() + 1);
    LATEST.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_a_number_of_its_own_unless_it_shares_one() {
        assert_eq!(current(), 0);
        let outer = Entry::new();
        let first = current();
        drop(Entry::new());
        assert_eq!(current(), first);
        let one = OneEntry::new();
        let shared = {
            let _call = Entry::new();
            let shared = current();
            let _inside = Entry::new(); // code of the user, who calls into a loop again
            assert_ne!(current(), shared);
            shared
        };
        let again = Entry::new();
        assert_eq!(current(), shared);
        drop((again, one, outer));
        assert_eq!(current(), 0);
    }
}
