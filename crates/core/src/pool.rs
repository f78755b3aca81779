//! Threads for what blocks, such as looking up a name: the loop goes on meanwhile.

use crate::handle::{Handle, KeepAlive};
use crate::task::JoinError;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

/// As many as libuv's pool has.
const THREADS_MAX: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that wait, and the threads that do them. Threads are started as they are needed, up to four,
/// and end with the last handle of the loop, whose drop waits for the jobs that they are at.
#[derive(Default)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Cell<Vec<thread::JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

/// Nothing that holds one of these locks can leave the inside half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    fn push(&self, job: Job) {
        let mut queue = lock(&self.shared.queue);
        queue.jobs.push_back(job);
        let has_idle = queue.idle >= queue.jobs.len();
        drop(queue);
        self.shared.changed.notify_one();
        if !has_idle {
            self.grow();
        }
    }

    /// Starts one more thread, if there may be one. If it cannot be had, those that are there do the
    /// work; if there is none at all, this thread does it.
    fn grow(&self) {
        let mut threads = self.threads.take();
        if threads.len() < THREADS_MAX {
            let shared = Arc::clone(&self.shared);
            let name = format!("offload-{}", threads.len());
            let thread = thread::Builder::new().name(name);
            match thread.spawn(move || shared.work()) {
                Ok(thread) => threads.push(thread),
                Err(_) if threads.is_empty() => self.shared.work_off(),
                Err(_) => {}
            }
        }
        self.threads.set(threads);
    }
}

impl Shared {
    /// What each thread does.
    fn work(&self) {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                do_job(job);
                queue = lock(&self.queue);
            } else if queue.closed {
                return;
            } else {
                queue.idle += 1;
                queue = self
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }

    /// Does all that waits.
    fn work_off(&self) {
        while let Some(job) = {
            let mut queue = lock(&self.queue);
            queue.jobs.pop_front()
        } {
            do_job(job);
        }
    }
}

/// The job's own panic is its outcome; what else may panic, such as the drop of a result that nobody
/// waits for, must not end the thread.
fn do_job(job: Job) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        eprintln!("a result of an offloaded job panicked while it was dropped");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = lock(&self.shared.queue);
        queue.closed = true;
        let never = std::mem::take(&mut queue.jobs);
        drop(queue);
        drop(never);
        self.shared.changed.notify_all();
        for thread in self.threads.take() {
            let _ = thread.join(); // it catches all panics
        }
    }
}

/// What a job and its future share.
struct Outcome<T> {
    result: Option<Result<T, JoinError>>,
    waker: Option<Waker>,
    /// The future was dropped: a job that has not begun is not to.
    cancelled: bool,
}

/// The result of a job on another thread: see [`Handle::offload`].
#[must_use = "dropped, a job that has not begun is never done"]
pub struct Offload<T> {
    outcome: Arc<Mutex<Outcome<T>>>,
    _outside: Outside,
}

impl<T> fmt::Debug for Offload<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = lock(&self.outcome).result.is_some();
        write!(f, "Offload(done: {done})")
    }
}

/// Keeps the loop alive, and virtual time still, while something goes on outside of it.
struct Outside {
    handle: Handle,
    _alive: KeepAlive,
}

impl Outside {
    fn new(handle: &Handle) -> Self {
        let outside = &handle.inner.outside;
        outside.set(outside.get() + 1);
        Outside {
            handle: handle.clone(),
            _alive: handle.keep_alive(),
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let outside = &self.handle.inner.outside;
        outside.set(outside.get() - 1);
    }
}

impl Handle {
    /// Runs a function that blocks on another thread, and gives what it returns. It keeps the loop
    /// alive. Cancel safe: dropped before the job has begun, it is never done; after that, it is, and
    /// its result is dropped.
    ///
    /// ```
    /// let mut event_loop = oneloop_core::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// let text = event_loop.block_on(async {
    ///     handle.offload(|| std::fs::read_to_string("/proc/self/comm")).await
    /// });
    /// assert!(text.unwrap().is_ok());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn offload<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Offload<T> {
        let outcome = Arc::new(Mutex::new(Outcome {
            result: None,
            waker: None,
            cancelled: false,
        }));
        let told = Arc::clone(&outcome);
        let job = move || {
            if lock(&told).cancelled {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(job)).map_err(JoinError::Panicked);
            let mut outcome = lock(&told);
            outcome.result = Some(result);
            let waker = outcome.waker.take();
            drop(outcome);
            if let Some(waker) = waker {
                waker.wake();
            }
        };
        self.inner.pool.push(Box::new(job));
        Offload {
            outcome,
            _outside: Outside::new(self),
        }
    }
}

impl<T> Future for Offload<T> {
    type Output = Result<T, JoinError>;

    /// Polled again after it gave its result, it is pending for ever.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone(); // foreign code, so before the lock
        let mut outcome = lock(&self.outcome);
        match outcome.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                let before = outcome.waker.replace(waker);
                drop(outcome);
                drop(before);
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Offload<T> {
    fn drop(&mut self) {
        let mut outcome = lock(&self.outcome);
        outcome.cancelled = true;
        let dropped = (outcome.result.take(), outcome.waker.take());
        drop(outcome);
        drop(dropped);
    }
}

#[cfg(test)]
mod tests {
    use crate::{EventLoop, Options};
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn jobs_run_side_by_side_and_give_their_results() {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let (tell, hear) = mpsc::channel();
        // The first one can end only because the second one runs meanwhile.
        let first = handle.offload(move || hear.recv().unwrap());
        let second = handle.offload(move || tell.send(7));
        let results = event_loop.block_on(async { (first.await, second.await) });
        assert_eq!(results.0.unwrap(), 7);
        results.1.unwrap().unwrap();
    }

    #[test]
    fn a_panic_is_the_jobs_error() {
        let mut event_loop = EventLoop::new().unwrap();
        let job = event_loop.handle().offload(|| panic!("in the job"));
        let error = event_loop.block_on(job).unwrap_err();
        assert_eq!(error.panic_message(), Some("in the job"));
    }

    #[test]
    fn virtual_time_waits_for_a_job() {
        let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
        let handle = event_loop.handle();
        let start = handle.now();
        let (go, wait) = mpsc::channel();
        let job = handle.offload(move || wait.recv().unwrap());
        let sleep = handle.sleep(Duration::from_secs(1));
        let slept = handle.spawn(sleep);
        std::thread::spawn(move || go.send(()));
        event_loop.block_on(job).unwrap();
        assert_eq!(event_loop.handle().now(), start);
        event_loop.block_on(slept).unwrap();
    }

    #[test]
    fn a_dropped_job_that_waits_is_never_done() {
        let event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let (go, wait) = mpsc::channel::<()>();
        let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
        let busy: Vec<_> = (0..super::THREADS_MAX)
            .map(|_| {
                let wait = std::sync::Arc::clone(&wait);
                handle.offload(move || wait.lock().unwrap().recv())
            })
            .collect();
        let (tell, hear) = mpsc::channel();
        drop(handle.offload(move || tell.send(())));
        drop(go);
        drop((busy, event_loop, handle));
        assert!(hear.recv().is_err(), "the job was dropped unrun");
    }
}
