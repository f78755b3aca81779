//! A job on another thread whose result goes to several waiters, even if the first one gives up.

use oneloop_core::{Class, Handle, KeepAlive, Offload, wake_guarded};
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

/// A job with any number of waiters. Clones name the same job.
///
/// A job that a thread has begun cannot be canceled. So its result stays here for the waiters that
/// come while it runs: they need no thread of their own.
pub(crate) struct SharedJob<T> {
    state: Arc<Mutex<JobState<T>>>,
}

struct JobState<T> {
    progress: JobProgress<T>,
    /// The wakers of the waiters, in the order in which they came.
    waiters: Vec<(Ticket, Waker)>,
    next_ticket: Ticket,
}

/// A waiter's place in line.
type Ticket = u64;

impl<T> JobState<T> {
    /// Stores a waker under the waiter's ticket, or under a new one at the end of the line. Returns
    /// the waker that it replaced, to be dropped after the lock: a waker's drop is foreign code
    /// (rule 2).
    fn wait(&mut self, ticket: &mut Option<Ticket>, waker: Waker) -> Option<Waker> {
        let mut waiters = self.waiters.iter_mut();
        if let Some((_, before)) = waiters.find(|(number, _)| Some(*number) == *ticket) {
            return Some(mem::replace(before, waker));
        }
        *ticket = Some(self.next_ticket);
        self.waiters.push((self.next_ticket, waker));
        self.next_ticket += 1;
        None
    }

    fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let index = self
            .waiters
            .iter()
            .position(|(number, _)| *number == ticket);
        index.map(|index| self.waiters.remove(index).1)
    }
}

/// The progress of a job.
///
/// ```text
///            a thread takes it          it returns
///  Queued ───────────────────▶ Begun ───────────────▶ Done
///    │                           │
///    │ its starter gives up,     └── it panics ─────▶ Failed(Panicked)
///    │ or the loop is gone
///    └──────────────────────────────────────────────▶ Failed(NeverBegun)
/// ```
enum JobProgress<T> {
    Queued,
    Begun,
    Done(T),
    Failed(JobFailure),
}

/// Why a job has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobFailure {
    /// No thread began the job, and none will. A waiter may start another job.
    NeverBegun,
    Panicked,
}

/// Locks a mutex, poisoned or not: no code that holds one of these locks can leave its contents
/// half-changed.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Clone for SharedJob<T> {
    fn clone(&self) -> Self {
        SharedJob {
            state: Arc::clone(&self.state),
        }
    }
}

/// A job that can be joined while it is queued or running.
pub(crate) struct WeakSharedJob<T>(Weak<Mutex<JobState<T>>>);

impl<T> WeakSharedJob<T> {
    /// The job, if it has not ended yet.
    pub(crate) fn upgrade(&self) -> Option<SharedJob<T>> {
        let job = SharedJob {
            state: self.0.upgrade()?,
        };
        // A finished job is not joined: its result may be old.
        let is_open = matches!(
            lock(&job.state).progress,
            JobProgress::Queued | JobProgress::Begun
        );
        is_open.then_some(job)
    }

    pub(crate) fn is(&self, job: &SharedJob<T>) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&job.state))
    }
}

impl<T: Send + 'static> SharedJob<T> {
    pub(crate) fn new() -> Self {
        SharedJob {
            state: Arc::new(Mutex::new(JobState {
                progress: JobProgress::Queued,
                waiters: Vec::new(),
                next_ticket: 0,
            })),
        }
    }

    pub(crate) fn downgrade(&self) -> WeakSharedJob<T> {
        WeakSharedJob(Arc::downgrade(&self.state))
    }

    /// Starts the job on a thread of that class, and waits for it. `finally` runs before the
    /// waiters wake, also when the job has no result.
    pub(crate) fn begin(
        &self,
        handle: &Handle,
        class: Class,
        function: impl FnOnce() -> T + Send + 'static,
        finally: impl FnOnce(&SharedJob<T>) + Send + 'static,
    ) -> JobWait<T> {
        // A guard: the job also ends when its function panics, and when the pool drops it unrun.
        let end = EndGuard {
            job: self.clone(),
            finally: Some(finally),
            result: None,
        };
        let function = move || {
            let mut end = end;
            // The pool may still hold a job whose starter has given up. Its waiters have received
            // the failure, so no task wants its result.
            if end.job.set_begun() {
                end.result = Some(function());
            }
        };
        let mut wait = self.join(handle);
        wait.offload = Some(handle.offload_to(class, function));
        wait
    }

    /// Waits for a job that was started before.
    pub(crate) fn join(&self, handle: &Handle) -> JobWait<T> {
        JobWait {
            job: self.clone(),
            ticket: None,
            offload: None,
            _alive: handle.keep_alive(),
        }
    }

    /// Returns false if the starter has given up.
    fn set_begun(&self) -> bool {
        let mut state = lock(&self.state);
        let is_wanted = matches!(state.progress, JobProgress::Queued);
        if is_wanted {
            state.progress = JobProgress::Begun;
        }
        is_wanted
    }

    /// Ends the job, unless it has ended.
    fn end(&self, result: Option<T>) {
        let state = lock(&self.state);
        let progress = match (result, &state.progress) {
            (Some(result), _) => JobProgress::Done(result),
            (None, JobProgress::Queued) => JobProgress::Failed(JobFailure::NeverBegun),
            (None, JobProgress::Begun) => JobProgress::Failed(JobFailure::Panicked),
            (None, JobProgress::Done(_) | JobProgress::Failed(_)) => return,
        };
        finish(state, progress);
    }

    /// Gives up on behalf of the starter. A job that no thread has begun never runs.
    fn give_up(&self) {
        let state = lock(&self.state);
        if matches!(state.progress, JobProgress::Queued) {
            finish(state, JobProgress::Failed(JobFailure::NeverBegun));
        }
    }
}

/// Sets how the job ended, and wakes its waiters after the lock (rule 2).
fn finish<T>(mut state: MutexGuard<'_, JobState<T>>, progress: JobProgress<T>) {
    state.progress = progress;
    let waiters = mem::take(&mut state.waiters);
    drop(state);
    waiters
        .into_iter()
        .for_each(|(_, waker)| wake_guarded(waker));
}

/// Ends a job in its drop, however the job ended.
struct EndGuard<T: Send + 'static, F: FnOnce(&SharedJob<T>)> {
    job: SharedJob<T>,
    finally: Option<F>,
    result: Option<T>,
}

impl<T: Send + 'static, F: FnOnce(&SharedJob<T>)> Drop for EndGuard<T, F> {
    fn drop(&mut self) {
        if let Some(finally) = self.finally.take() {
            finally(&self.job);
        }
        self.job.end(self.result.take());
    }
}

/// One waiter of a job. It keeps the loop alive. Dropping it leaves the job to the other waiters.
pub(crate) struct JobWait<T: Send + 'static> {
    job: SharedJob<T>,
    ticket: Option<Ticket>,
    /// The pool's future, for the waiter that started the job. Its result is empty.
    offload: Option<Offload<()>>,
    _alive: KeepAlive,
}

impl<T: Send + 'static> fmt::Debug for JobWait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobWait")
    }
}

impl<T: Send + 'static> JobWait<T> {
    /// Waits for the result, and returns what `take` makes of it.
    pub(crate) fn poll_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut T) -> R,
    ) -> Poll<Result<R, JobFailure>> {
        if let Some(offload) = &mut self.offload {
            // A pool whose queue is full takes the job only in a later poll.
            let _ = Pin::new(offload).poll(cx);
        }
        let waker = cx.waker().clone(); // foreign code, so it runs before the lock (rule 2)
        let mut state = lock(&self.job.state);
        match &mut state.progress {
            JobProgress::Done(result) => Poll::Ready(Ok(take(result))),
            JobProgress::Failed(failure) => Poll::Ready(Err(*failure)),
            JobProgress::Queued | JobProgress::Begun => {
                let before = state.wait(&mut self.ticket, waker);
                drop(state);
                drop(before);
                Poll::Pending
            }
        }
    }
}

impl<T: Send + 'static> Drop for JobWait<T> {
    fn drop(&mut self) {
        let ticket = self.ticket.take();
        let waker = ticket.and_then(|ticket| lock(&self.job.state).leave(ticket));
        drop(waker);
        // Only the starter cancels the job, and only before a thread has begun it.
        if self.offload.is_some() {
            self.job.give_up();
        }
    }
}
