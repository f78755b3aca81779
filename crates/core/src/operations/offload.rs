//! Jobs that block, done by the loop's worker threads.

use crate::mechanisms::concurrency::Mutex;
use crate::mechanisms::guard::wake_guarded;
use crate::mechanisms::workers::{Class, Unsent, lock};
use crate::operations::keep_alive::KeepAlive;
use crate::state::Handle;
use crate::tasks::join_error::JoinError;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

impl Handle {
    /// Runs a function that blocks on another thread, and returns its result:
    /// [`Handle::offload_to`] with [`Class::Cpu`]. Cancel safe as that is.
    ///
    /// ```
    /// let mut event_loop = oneloop::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// let sum = event_loop.block_on(async { handle.offload(|| (1..=100).sum::<u32>()).await });
    /// assert_eq!(sum.unwrap(), 5050);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias("spawn_blocking", "block_in_place", "run_in_executor"))]
    #[doc(alias("to_thread", "uv_queue_work"))]
    pub fn offload<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Offload<T> {
        self.offload_to(Class::Cpu, job)
    }

    /// Runs a function that blocks on a thread of that class, and returns its result or its panic.
    /// The job keeps the loop alive.
    ///
    /// Jobs of one class begin in their order. While the queue is full
    /// ([`PoolOptions::queued_max`](crate::PoolOptions::queued_max)) the job stays in the future,
    /// which has to be polled to submit it.
    ///
    /// Cancel safe. Dropped before the job has begun, the future cancels the job, which is dropped
    /// when a thread comes to it; later, the job completes and its result is dropped. The drop of
    /// the loop waits for jobs that have begun, except those of [`Class::Dns`].
    ///
    /// ```
    /// use oneloop::core::Class;
    /// use oneloop::EventLoop;
    /// let mut event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// let read = || std::fs::read_to_string("/proc/self/comm");
    /// let text = event_loop.block_on(async { handle.offload_to(Class::Fs, read).await });
    /// assert!(text.unwrap().is_ok());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn offload_to<T: Send + 'static>(
        &self,
        class: Class,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Offload<T> {
        let result = Arc::new(Mutex::new(JobResult {
            result: None,
            waker: None,
            canceled: false,
        }));
        let shared = Arc::clone(&result);
        let submitted = self
            .state
            .workers
            .submit(class, move || run_job(job, &shared));
        Offload {
            result,
            unsent: submitted.err().map(|job| Unsent::new(class, job)),
            outside: Outside::new(self),
        }
    }
}

/// The result of a job, on its way from the thread to the future.
struct JobResult<T> {
    result: Option<Result<T, JoinError>>,
    waker: Option<Waker>,
    /// The future was dropped: a job that has not begun is dropped unrun.
    canceled: bool,
}

/// Runs a job unless it was canceled, and wakes the task that waits for it.
fn run_job<T>(job: impl FnOnce() -> T, result: &Mutex<JobResult<T>>) {
    // The closure and its captures are dropped here, on the worker: their owner did not want to
    // wait for that.
    if lock(result).canceled {
        return;
    }
    let outcome = catch_unwind(AssertUnwindSafe(job)).map_err(JoinError::Panicked);
    let mut result = lock(result);
    result.result = Some(outcome);
    let waker = result.waker.take();
    drop(result);
    waker.into_iter().for_each(wake_guarded);
}

/// The result of a job on another thread: see [`Handle::offload`]. Cancel safe: a job that has not
/// begun is canceled, and a result that comes later is dropped.
#[must_use = "dropped, a job that has not begun never runs"]
pub struct Offload<T> {
    result: Arc<Mutex<JobResult<T>>>,
    unsent: Option<Unsent>,
    outside: Outside,
}

impl<T> fmt::Debug for Offload<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = lock(&self.result).result.is_some();
        write!(f, "Offload(done: {done})")
    }
}

impl<T> Future for Offload<T> {
    type Output = Result<T, JoinError>;

    /// Polled again after it has returned the result, it is pending forever.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(unsent) = self.unsent.take() {
            // The submission may start the job at once, so the result is looked at only after it.
            let workers = &self.outside.handle.state.workers;
            let unsent = workers.poll_submit(unsent, cx.waker().clone());
            self.unsent = unsent;
        }
        let waker = cx.waker().clone(); // foreign code, so before the lock (rule 2)
        let mut result = lock(&self.result);
        match result.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                let before = result.waker.replace(waker);
                drop(result);
                drop(before);
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Offload<T> {
    fn drop(&mut self) {
        if let Some(unsent) = self.unsent.take() {
            self.outside.handle.state.workers.give_up(unsent);
        }
        let mut result = lock(&self.result);
        // A running job completes all the same: nothing can interrupt its thread in a system call.
        result.canceled = true;
        let dropped = (result.result.take(), result.waker.take());
        drop(result);
        drop(dropped);
    }
}

/// Keeps the loop alive, and virtual time still, while work goes on outside of it.
struct Outside {
    handle: Handle,
    _alive: KeepAlive,
}

impl Outside {
    fn new(handle: &Handle) -> Self {
        let outside = &handle.state.jobs_outside;
        // Virtual time must not jump over a job that runs in real time.
        outside.set(outside.get() + 1);
        Outside {
            handle: handle.clone(),
            _alive: handle.keep_alive(),
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let outside = &self.handle.state.jobs_outside;
        outside.set(outside.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Class, EventLoop, Handle, Offload, Options, PoolOptions};
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    #[test]
    fn jobs_run_side_by_side_and_return_their_results() {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let (sender, receiver) = mpsc::channel();
        // The first job can end only because the second one runs meanwhile.
        let first = handle.offload(move || receiver.recv().unwrap());
        let second = handle.offload(move || sender.send(7));
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

    /// A loop with one thread for each class.
    fn narrow_loop(queued_max: usize) -> EventLoop {
        let pool = PoolOptions {
            queued_max,
            ..PoolOptions::with_threads_max(1)
        };
        EventLoop::with(pool.into()).unwrap()
    }

    /// A job that lasts until the sender is dropped, and has begun when this returns.
    fn block(handle: &Handle, class: Class) -> (mpsc::Sender<()>, Offload<()>) {
        let (go, wait) = mpsc::channel::<()>();
        let (sender, begun) = mpsc::channel();
        let job = handle.offload_to(class, move || {
            sender.send(()).unwrap();
            let _ = wait.recv();
        });
        begun.recv().unwrap();
        (go, job)
    }

    #[test]
    fn a_dropped_job_that_waits_never_runs() {
        let event_loop = narrow_loop(8);
        let handle = event_loop.handle();
        let (go, busy) = block(&handle, Class::Cpu);
        let (sender, receiver) = mpsc::channel();
        drop(handle.offload(move || sender.send(())));
        drop(go);
        drop((busy, event_loop, handle));
        assert!(receiver.recv().is_err(), "the job was dropped unrun");
    }

    #[test]
    fn a_class_that_is_stuck_holds_up_no_other() {
        let mut event_loop = narrow_loop(8);
        let handle = event_loop.handle();
        let (go, stuck) = block(&handle, Class::Dns);
        for class in [Class::Fs, Class::Cpu] {
            let job = handle.offload_to(class, || 7);
            assert_eq!(event_loop.block_on(job).unwrap(), 7);
        }
        drop(go);
        event_loop.block_on(stuck).unwrap();
    }

    #[test]
    fn a_full_queue_makes_jobs_wait_and_keeps_their_order() {
        let mut event_loop = narrow_loop(2);
        let handle = event_loop.handle();
        let (go, busy) = block(&handle, Class::Fs);
        let (sender, receiver) = mpsc::channel();
        let jobs: Vec<_> = (0..10)
            .map(|number| {
                let sender = sender.clone();
                let job = handle.offload_to(Class::Fs, move || sender.send(number).unwrap());
                handle.spawn(job)
            })
            .collect();
        event_loop.block_on(crate::yield_now()); // all of them were polled
        assert_eq!(handle.state.workers.queue(Class::Fs).waiting(), (2, 8));
        jobs[4].cancel();
        assert_eq!(handle.state.workers.queue(Class::Fs).waiting(), (2, 7));
        drop(go);
        event_loop.block_on(busy).unwrap();
        event_loop.run().unwrap();
        assert_eq!(
            receiver.try_iter().collect::<Vec<_>>(),
            [0, 1, 2, 3, 5, 6, 7, 8, 9]
        );
    }

    #[test]
    fn a_dropped_job_with_an_admitted_ticket_leaves_its_place_to_the_next() {
        let mut event_loop = narrow_loop(1);
        let handle = event_loop.handle();
        let (go, busy) = block(&handle, Class::Fs);
        let queued = handle.offload_to(Class::Fs, || 1);
        let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
        let mut gives_up = handle.offload_to(Class::Fs, || 2);
        let mut waits = handle.offload_to(Class::Fs, || 3);
        assert!(Pin::new(&mut gives_up).poll(cx).is_pending());
        assert!(Pin::new(&mut waits).poll(cx).is_pending());
        drop(go);
        event_loop.block_on(busy).unwrap();
        assert_eq!(event_loop.block_on(queued).unwrap(), 1);
        drop(gives_up); // admitted, as `queued` has left the queue
        assert_eq!(event_loop.block_on(waits).unwrap(), 3);
    }

    #[test]
    fn a_waiting_job_whose_drop_panics_does_not_disturb_the_end_of_the_loop() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in a drop");
            }
        }
        let event_loop = narrow_loop(8);
        let handle = event_loop.handle();
        let (go, busy) = block(&handle, Class::Fs);
        let bomb = Bomb;
        drop(handle.offload_to(Class::Fs, move || drop(bomb)));
        drop(busy);
        let queue = handle.state.workers.queue(Class::Fs);
        let go = std::thread::spawn(move || {
            while !queue.is_closed() {
                std::thread::yield_now();
            }
            drop(go);
        });
        drop((event_loop, handle)); // once, this panicked and left the thread behind
        go.join().unwrap();
    }

    #[test]
    fn the_end_of_the_loop_waits_for_jobs_that_have_begun_but_not_for_names() {
        let event_loop = narrow_loop(8);
        let handle = event_loop.handle();
        let (go, stuck) = block(&handle, Class::Dns);
        let is_done = Arc::new(AtomicBool::new(false));
        let (sender, begun) = mpsc::channel();
        let done = Arc::clone(&is_done);
        let writes = handle.offload_to(Class::Fs, move || {
            sender.send(()).unwrap();
            std::thread::yield_now();
            done.store(true, Ordering::Release);
        });
        begun.recv().unwrap();
        drop((stuck, writes, event_loop, handle));
        assert!(is_done.load(Ordering::Acquire));
        drop(go); // only now: a join would have waited for it
    }
}
