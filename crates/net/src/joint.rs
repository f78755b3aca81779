//! A job on another thread whose outcome is for all who wait for it, also when who began it gave
//! up.

use oneloop_core::{Class, Handle, KeepAlive, Offload, wake_guarded};
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

/// One job; clones are the same one.
///
/// A job that a thread has begun cannot be taken back. So what it gives stays here for whoever
/// comes while it runs: they need no thread of their own.
pub(crate) struct Joint<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

struct Shared<T> {
    stage: Stage<T>,
    /// Who waits, in the order of coming, each with the number of its place.
    waiting: Vec<(u64, Waker)>,
    next_place: u64,
}

impl<T> Shared<T> {
    /// Keeps a waker in somebody's place, or in a new one at the end; gives the one that was there.
    fn wait(&mut self, place: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let mut waiting = self.waiting.iter_mut();
        if let Some((_, before)) = waiting.find(|(number, _)| Some(*number) == *place) {
            return Some(mem::replace(before, waker));
        }
        *place = Some(self.next_place);
        self.waiting.push((self.next_place, waker));
        self.next_place += 1;
        None
    }

    fn leave(&mut self, place: u64) -> Option<Waker> {
        let index = self.waiting.iter().position(|(number, _)| *number == place);
        index.map(|index| self.waiting.remove(index).1)
    }
}

/// ```text
/// Queued ──▶ Begun ──▶ Done
///   │          └─────▶ Failed (it panicked)
///   └──▶ Failed (who began it gave up, or the loop is gone)
/// ```
enum Stage<T> {
    Queued,
    Begun,
    Done(T),
    Failed(Failure),
}

/// Why there is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was never begun, and never will be: another one may be.
    NeverBegun,
    Panicked,
}

/// Nothing that holds one of these locks can leave the inside half-changed.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Clone for Joint<T> {
    fn clone(&self) -> Self {
        Joint {
            shared: Arc::clone(&self.shared),
        }
    }
}

/// A job for whoever comes while it is queued or under way.
pub(crate) struct WeakJoint<T>(Weak<Mutex<Shared<T>>>);

impl<T> WeakJoint<T> {
    /// The job, if it can still be joined.
    pub(crate) fn upgrade(&self) -> Option<Joint<T>> {
        let joint = Joint {
            shared: self.0.upgrade()?,
        };
        let is_open = matches!(lock(&joint.shared).stage, Stage::Queued | Stage::Begun);
        is_open.then_some(joint)
    }

    pub(crate) fn is(&self, joint: &Joint<T>) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&joint.shared))
    }
}

impl<T: Send + 'static> Joint<T> {
    pub(crate) fn new() -> Self {
        Joint {
            shared: Arc::new(Mutex::new(Shared {
                stage: Stage::Queued,
                waiting: Vec::new(),
                next_place: 0,
            })),
        }
    }

    pub(crate) fn downgrade(&self) -> WeakJoint<T> {
        WeakJoint(Arc::downgrade(&self.shared))
    }

    /// Has a thread of that class do the job. `finally` runs before its outcome is told, also if
    /// it has none.
    pub(crate) fn begin(
        &self,
        handle: &Handle,
        class: Class,
        job: impl FnOnce() -> T + Send + 'static,
        finally: impl FnOnce(&Joint<T>) + Send + 'static,
    ) -> Joined<T> {
        let end = End {
            joint: self.clone(),
            finally: Some(finally),
            outcome: None,
        };
        let job = move || {
            let mut end = end;
            if end.joint.set_begun() {
                end.outcome = Some(job());
            }
        };
        let mut joined = self.join(handle);
        joined.job = Some(handle.offload_to(class, job));
        joined
    }

    /// Waits for a job that somebody else has begun.
    pub(crate) fn join(&self, handle: &Handle) -> Joined<T> {
        Joined {
            joint: self.clone(),
            place: None,
            job: None,
            _alive: handle.keep_alive(),
        }
    }

    /// False if who wanted it has given up.
    fn set_begun(&self) -> bool {
        let mut shared = lock(&self.shared);
        let is_wanted = matches!(shared.stage, Stage::Queued);
        if is_wanted {
            shared.stage = Stage::Begun;
        }
        is_wanted
    }

    /// Ends it, unless it has ended.
    fn end(&self, outcome: Option<T>) {
        let shared = lock(&self.shared);
        let stage = match (outcome, &shared.stage) {
            (Some(outcome), _) => Stage::Done(outcome),
            (None, Stage::Queued) => Stage::Failed(Failure::NeverBegun),
            (None, Stage::Begun) => Stage::Failed(Failure::Panicked),
            (None, Stage::Done(_) | Stage::Failed(_)) => return,
        };
        tell(shared, stage);
    }

    /// Gives up, for who began it: a job that no thread has begun is not to be.
    fn give_up(&self) {
        let shared = lock(&self.shared);
        if matches!(shared.stage, Stage::Queued) {
            tell(shared, Stage::Failed(Failure::NeverBegun));
        }
    }
}

/// Tells all who wait how it ended.
fn tell<T>(mut shared: MutexGuard<'_, Shared<T>>, stage: Stage<T>) {
    shared.stage = stage;
    let waiting = mem::take(&mut shared.waiting);
    drop(shared);
    waiting
        .into_iter()
        .for_each(|(_, waker)| wake_guarded(waker));
}

/// Tells how a job ended, however it did.
struct End<T: Send + 'static, F: FnOnce(&Joint<T>)> {
    joint: Joint<T>,
    finally: Option<F>,
    outcome: Option<T>,
}

impl<T: Send + 'static, F: FnOnce(&Joint<T>)> Drop for End<T, F> {
    fn drop(&mut self) {
        if let Some(finally) = self.finally.take() {
            finally(&self.joint);
        }
        self.joint.end(self.outcome.take());
    }
}

/// Somebody's wait for a job, which keeps the loop alive. Dropping it leaves the job to the others.
pub(crate) struct Joined<T: Send + 'static> {
    joint: Joint<T>,
    place: Option<u64>,
    /// For who began it. It has to be polled, and tells nothing.
    job: Option<Offload<()>>,
    _alive: KeepAlive,
}

impl<T: Send + 'static> fmt::Debug for Joined<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Joined")
    }
}

impl<T: Send + 'static> Joined<T> {
    /// Waits for the outcome, and gives what `take` makes of it.
    pub(crate) fn poll_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut T) -> R,
    ) -> Poll<Result<R, Failure>> {
        if let Some(job) = &mut self.job {
            let _ = Pin::new(job).poll(cx); // a place in the queue, if it has none
        }
        let waker = cx.waker().clone(); // foreign code, so before the lock
        let mut shared = lock(&self.joint.shared);
        match &mut shared.stage {
            Stage::Done(outcome) => Poll::Ready(Ok(take(outcome))),
            Stage::Failed(failure) => Poll::Ready(Err(*failure)),
            Stage::Queued | Stage::Begun => {
                let before = shared.wait(&mut self.place, waker);
                drop(shared);
                drop(before);
                Poll::Pending
            }
        }
    }
}

impl<T: Send + 'static> Drop for Joined<T> {
    fn drop(&mut self) {
        let waiting = self.place.take();
        let gone = waiting.and_then(|place| lock(&self.joint.shared).leave(place));
        drop(gone);
        if self.job.is_some() {
            self.joint.give_up();
        }
    }
}
