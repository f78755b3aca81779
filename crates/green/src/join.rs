//! Waiting for several green threads at once.

use crate::thread::Thread;
use crate::wait::wait_at;
use oneloop_core::{Elapsed, Handle};
use oneloop_sync::{Receiver, channel};
use std::borrow::Borrow;
use std::panic::Location;
use std::time::Duration;

/// Waits until all of them have ended, in whatever way: `joinall` of gevent. Results stay in their
/// [`JoinHandle`](crate::JoinHandle)s.
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
    for thread in threads {
        wait_at(thread.borrow().finished(), at);
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
    join_all(threads);
}

/// The first of them to end: `wait(…, count=1)` of gevent. `None` if there are none.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn wait_any<T: Borrow<Thread>>(threads: impl IntoIterator<Item = T>) -> Option<Thread> {
    iwait(threads).next()
}

/// Those of them that end first, so many, in the order of their ends: `wait(…, count=n)` of gevent.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn wait_n<T: Borrow<Thread>>(
    threads: impl IntoIterator<Item = T>,
    count: usize,
) -> Vec<Thread> {
    iwait(threads).take(count).collect()
}

/// All of them, each as it ends: `iwait` of gevent.
pub fn iwait<T: Borrow<Thread>>(threads: impl IntoIterator<Item = T>) -> IWait {
    let (into, ended) = channel(None);
    for thread in threads {
        let into = into.clone();
        thread.borrow().on_exit(move |thread| {
            let _ = into.try_send(thread.clone()); // nobody may wait any more
        });
    }
    IWait { ended }
}

/// The iterator of [`iwait`].
#[derive(Debug)]
#[must_use = "it waits when it is asked for the next one"]
pub struct IWait {
    ended: Receiver<Thread>,
}

impl Iterator for IWait {
    type Item = Thread;

    /// Waits for the next one to end.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    fn next(&mut self) -> Option<Thread> {
        wait_at(self.ended.receive(), Location::caller())
    }
}

impl IWait {
    /// Waits for the next one to end, but not longer than that.
    ///
    /// # Errors
    /// [`Elapsed`] if none of them did.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn next_timeout(&mut self, duration: Duration) -> Result<Option<Thread>, Elapsed> {
        let next = Handle::current().timeout(duration, self.ended.receive());
        wait_at(next, Location::caller())
    }
}
