//! Waiting for several green threads at once.

use crate::thread::{ExitLink, Thread, current};
use crate::wait::wait_at;
use oneloop_core::{Elapsed, Handle};
use oneloop_sync::{Receiver, channel};
use std::borrow::Borrow;
use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// Waits until all of them have ended, in whatever way: `joinall` of gevent. Results stay in their
/// [`JoinHandle`](crate::JoinHandle)s. If all had ended before, it lets others run, as in gevent.
///
/// ```
/// use oneloop_green::{join_all, run, spawn};
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

/// As [`join_all`], but waits no longer than that.
///
/// # Errors
/// [`Elapsed`] if one of them has not ended.
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
    let deadline = handle.now() + duration;
    for thread in threads {
        wait_at(handle.timeout_at(deadline, thread.borrow().finished()), at)?;
    }
    Ok(())
}

/// Kills all of them, in their order, and waits until they have ended: `killall` of gevent.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn kill_all<T: Borrow<Thread>>(threads: impl IntoIterator<Item = T>) {
    let threads: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.borrow().clone())
        .collect();
    for thread in &threads {
        thread.kill_soon();
    }
    let at = Location::caller();
    for thread in threads {
        thread.wait_killed(at);
    }
}

/// The first of them to end: `wait(…, count=1)` of gevent. `None` if there are none.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn wait_any<T: Borrow<Thread>>(threads: impl IntoIterator<Item = T>) -> Option<T> {
    iwait(threads).next()
}

/// Those of them that end first, so many, in the order of their ends: `wait(…, count=n)` of gevent.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn wait_n<T: Borrow<Thread>>(threads: impl IntoIterator<Item = T>, count: usize) -> Vec<T> {
    iwait(threads).take(count).collect()
}

/// All of them, each as it ends: `iwait` of gevent. It gives back what it was given, handles or
/// references to them.
///
/// ```
/// use oneloop_green::{iwait, run, sleep, spawn};
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
    let (into, ended) = channel(None);
    let waiter = Rc::new(RefCell::new(None::<Thread>));
    let link = |(number, thread): (usize, T)| {
        let (into, waiter) = (into.clone(), Rc::clone(&waiter));
        let call = move |ended: &Thread| {
            let _ = into.try_send(number); // nobody may wait any more
            let waiter = RefCell::borrow(&waiter);
            let waiter = waiter.as_ref().filter(|waiter| waiter.is_beside(ended));
            waiter.map(Thread::id)
        };
        let link = thread.borrow().link(Box::new(call));
        Some((thread, link))
    };
    IWait {
        waits_for: threads.into_iter().enumerate().map(link).collect(),
        ended,
        waiter,
    }
}

/// The iterator of [`iwait`].
#[derive(Debug)]
#[must_use = "it waits when it is asked for the next one"]
pub struct IWait<T> {
    /// None for those that it has given.
    waits_for: Vec<Option<(T, ExitLink)>>,
    ended: Receiver<usize>,
    /// Who waits for the next one, and runs as soon as it has ended.
    waiter: Rc<RefCell<Option<Thread>>>,
}

/// Somebody waits in [`IWait`] while this lives.
struct Waiting<'a>(&'a RefCell<Option<Thread>>);

impl<'a> Waiting<'a> {
    #[track_caller]
    fn new(waiter: &'a RefCell<Option<Thread>>) -> Self {
        waiter.replace(Some(current()));
        Waiting(waiter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.replace(None);
    }
}

impl<T> Iterator for IWait<T> {
    type Item = T;

    /// Waits for the next one to end.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    fn next(&mut self) -> Option<T> {
        let waiting = Waiting::new(&self.waiter);
        let number = wait_at(self.ended.receive(), Location::caller());
        drop(waiting);
        self.take(number)
    }
}

impl<T> IWait<T> {
    /// Waits for the next one to end, but not longer than that.
    ///
    /// # Errors
    /// [`Elapsed`] if none of them did.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn next_timeout(&mut self, duration: Duration) -> Result<Option<T>, Elapsed> {
        let next = Handle::current().timeout(duration, self.ended.receive());
        let waiting = Waiting::new(&self.waiter);
        let number = wait_at(next, Location::caller())?;
        drop(waiting);
        Ok(self.take(number))
    }

    fn take(&mut self, number: Option<usize>) -> Option<T> {
        let (thread, _) = self.waits_for[number?].take()?;
        Some(thread)
    }
}

impl<T> Drop for IWait<T> {
    fn drop(&mut self) {
        for (_, link) in self.waits_for.drain(..).flatten() {
            link.remove();
        }
    }
}
