//! Results of a pool's threads, in the order in which they were spawned.

use crate::imap::value_of;
use crate::join_handle::JoinHandle;
use crate::pool::Pool;
use std::cell::RefCell;
use std::collections::VecDeque;

/// Results of green threads in the order in which they were spawned: eventlet's `GreenPile`.
///
/// ```
/// use oneloop::green::{run, Pile, Pool};
/// let results = run(|| {
///     let pile = Pile::new(&Pool::new(10));
///     for n in 1..=3 {
///         pile.spawn(move || n * n);
///     }
///     pile.collect::<Vec<_>>()
/// })?;
/// assert_eq!(results, [1, 4, 9]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "GreenPile")]
pub struct Pile<T> {
    pool: Pool,
    // The order in which `next` returns the results, whichever call ends first.
    calls: RefCell<VecDeque<JoinHandle<T>>>,
}

impl<T: 'static> Pile<T> {
    /// A pile whose green threads run in the pool, which other code may use as well.
    pub fn new(pool: &Pool) -> Self {
        Pile {
            pool: pool.clone(),
            calls: RefCell::default(),
        }
    }

    /// Starts a green thread once the pool has a permit: see [`Pool::spawn`].
    ///
    /// # Panics
    /// As [`Pool::spawn`].
    #[track_caller]
    pub fn spawn(&self, function: impl FnOnce() -> T + 'static) {
        let call = self.pool.spawn(function);
        self.calls.borrow_mut().push_back(call);
    }
}

impl<T: 'static> Iterator for Pile<T> {
    type Item = T;

    /// Waits for the result of the thread that was spawned first among those not yet read.
    ///
    /// # Panics
    /// Outside of a green thread, and when that thread did.
    #[track_caller]
    fn next(&mut self) -> Option<T> {
        let call = self.calls.borrow_mut().pop_front()?;
        Some(value_of(call.join()))
    }
}
