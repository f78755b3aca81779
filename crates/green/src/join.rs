//! Waiting for several green threads.

use crate::record::Thread;
use crate::thread::{ExitLink, current};
use crate::wait::wait_at;
use oneloop_core::{Elapsed, Handle};
use oneloop_sync::{Receiver, channel};
use std::borrow::Borrow;
use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// Waits until all of the threads have ended, in any way: `joinall` of gevent. Results stay in
/// their [`JoinHandle`](crate::JoinHandle)s. If all had ended before, it yields, as in gevent.
///
/// ```
/// use oneloop::green::{join_all, run, spawn};
/// run(|| {
///     let threads = [spawn(|| 1), spawn(|| 2)];
///     join_all(&threads);
///     assert!(threads.iter().all(|thread| thread.is_finished()));
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
#[doc(alias("joinall", "waitall"))]
pub fn join_all<T: Borrow<Thread>>(threads: impl IntoIterator<Item = T>) {
    let at = Location::caller();
    let mut all_had_ended = None;
    for thread in threads {
        let thread = thread.borrow();
        all_had_ended = Some(all_had_ended.unwrap_or(true) && thread.is_finished());
        wait_at(thread.finished(), at);
    }
    if all_had_ended == Some(true) {
        wait_at(oneloop_core::yield_now(), at);
    }
}

/// As [`join_all`], but waits for `duration` at most.
///
/// # Errors
/// [`Elapsed`] if one of the threads has not ended.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn join_all_timeout<T: Borrow<Thread>>(
    threads: impl IntoIterator<Item = T>,
    duration: Duration,
) -> Result<(), Elapsed> {
    let at = Location::caller();
    let handle = Handle::current();
    // One deadline for all: a timeout for each wait would add up.
    let deadline = handle.now() + duration;
    for thread in threads {
        wait_at(handle.timeout_at(deadline, thread.borrow().finished()), at)?;
    }
    Ok(())
}

/// Kills all of the threads, in their order, and waits until they have ended: `killall` of gevent.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
#[doc(alias = "killall")]
pub fn kill_all<T: Borrow<Thread>>(threads: impl IntoIterator<Item = T>) {
    let threads: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.borrow().clone())
        .collect();
    // All of them before the first wait: their cleanups overlap.
    for thread in &threads {
        thread.kill_soon();
    }
    let at = Location::caller();
    for thread in threads {
        thread.wait_killed(at);
    }
}

/// Waits for the first of the threads to end, and returns it: `wait(…, count=1)` of gevent. `None`
/// if there are none.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
#[doc(alias("wait", "select"))]
pub fn wait_any<T: Borrow<Thread>>(threads: impl IntoIterator<Item = T>) -> Option<T> {
    iwait(threads).next()
}

/// Waits for the first `count` of the threads to end, and returns them in the order of their ends:
/// `wait(…, count=n)` of gevent.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn wait_n<T: Borrow<Thread>>(threads: impl IntoIterator<Item = T>, count: usize) -> Vec<T> {
    iwait(threads).take(count).collect()
}

/// Yields the threads in the order in which they end: `iwait` of gevent. It yields the same items
/// that it was given, handles or references to them.
///
/// ```
/// use oneloop::green::{iwait, run, sleep, spawn};
/// use std::time::Duration;
/// let order = run(|| {
///     let threads = [2, 1].map(|ms| {
///         spawn(move || {
///             sleep(Duration::from_millis(ms));
///             ms
///         })
///     });
///     iwait(threads).map(|ended| ended.join().unwrap()).collect::<Vec<_>>()
/// })?;
/// assert_eq!(order, [1, 2]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn iwait<T: Borrow<Thread>>(threads: impl IntoIterator<Item = T>) -> IWait<T> {
    // Without a limit: a link runs on no green thread, so it cannot wait for room.
    let (into, ended) = channel(None);
    let waiter = Rc::new(RefCell::new(None::<Thread>));
    let link = |(number, thread): (usize, T)| {
        let (into, waiter) = (into.clone(), Rc::clone(&waiter));
        let call = move |ended: &Thread| {
            let _ = into.try_send(number); // fails once the iterator was dropped
            // The waiter runs before the next link is notified, if it is on the same loop.
            let waiter = RefCell::borrow(&waiter);
            let waiter = waiter.as_ref().filter(|waiter| waiter.is_beside(ended));
            waiter.map(Thread::id)
        };
        let link = thread.borrow().link(Box::new(call));
        Some((thread, link))
    };
    IWait {
        threads: threads.into_iter().enumerate().map(link).collect(),
        ended,
        waiter,
    }
}

/// The iterator of [`iwait`].
#[derive(Debug)]
#[must_use = "an iterator waits in `next`"]
pub struct IWait<T> {
    /// `None` for those that it has yielded.
    threads: Vec<Option<(T, ExitLink)>>,
    /// The indexes of those that have ended.
    ended: Receiver<usize>,
    /// The green thread that waits for the next one.
    waiter: Rc<RefCell<Option<Thread>>>,
}

/// The current green thread is the waiter of an [`IWait`] while this lives.
struct RegisteredWaiter<'a>(&'a RefCell<Option<Thread>>);

impl<'a> RegisteredWaiter<'a> {
    #[track_caller]
    fn new(waiter: &'a RefCell<Option<Thread>>) -> Self {
        waiter.replace(Some(current()));
        RegisteredWaiter(waiter)
    }
}

impl Drop for RegisteredWaiter<'_> {
    fn drop(&mut self) {
        self.0.replace(None);
    }
}

impl<T> Iterator for IWait<T> {
    type Item = T;

    /// Waits for the next thread to end.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    fn next(&mut self) -> Option<T> {
        let registered = RegisteredWaiter::new(&self.waiter);
        let number = wait_at(self.ended.receive(), Location::caller());
        drop(registered);
        self.take(number)
    }
}

impl<T> IWait<T> {
    /// Waits for the next thread to end, for `duration` at most.
    ///
    /// # Errors
    /// [`Elapsed`] if none has ended in time.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn next_timeout(&mut self, duration: Duration) -> Result<Option<T>, Elapsed> {
        let next = Handle::current().timeout(duration, self.ended.receive());
        let registered = RegisteredWaiter::new(&self.waiter);
        let number = wait_at(next, Location::caller())?;
        drop(registered);
        Ok(self.take(number))
    }

    fn take(&mut self, number: Option<usize>) -> Option<T> {
        let (thread, _) = self.threads[number?].take()?;
        Some(thread)
    }
}

impl<T> Drop for IWait<T> {
    fn drop(&mut self) {
        // A thread may live on for long: its link would keep the channel.
        for (_, link) in self.threads.drain(..).flatten() {
            link.remove();
        }
    }
}
