//! Threads for what blocks, such as reading a file: the loop goes on meanwhile.

use crate::guard::{guarded, report, wake_guarded};
use crate::handle::{Handle, KeepAlive};
use crate::task::JoinError;
use oneloop_posix::Process;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

/// What a job does. Each class has threads and a queue of its own, so that names which nobody
/// resolves never hold up a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It reads or writes files.
    Fs,
    /// It looks up a name: it may take half a minute, and nothing is lost if nobody waits for it.
    Dns,
    /// It computes, or does what is neither of the others.
    Cpu,
}

impl Class {
    const ALL: [Class; 3] = [Class::Fs, Class::Dns, Class::Cpu];

    fn name(self) -> &'static str {
        match self {
            Class::Fs => "fs",
            Class::Dns => "dns",
            Class::Cpu => "cpu",
        }
    }

    /// False if the loop's end need not wait for a job that has begun.
    fn is_joined(self) -> bool {
        self != Class::Dns
    }
}

/// How many threads do a loop's jobs. They are started as they are needed, and end with the loop.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// Threads for [`Class::Fs`]: 4 by default, as in libuv.
    pub fs_threads_max: usize,
    /// Threads for [`Class::Dns`]: 8 by default, as they do nothing but wait.
    pub dns_threads_max: usize,
    /// Threads for [`Class::Cpu`]: one for each processor by default, and at least 4.
    pub cpu_threads_max: usize,
    /// How many jobs of one class wait for a thread: 1,024 by default. Whoever comes then waits for a
    /// place in the queue first, in the order of coming.
    pub queued_max: usize,
}

impl Default for PoolOptions {
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        PoolOptions {
            fs_threads_max: 4,
            dns_threads_max: 8,
            cpu_threads_max: processors.max(4),
            queued_max: 1024,
        }
    }
}

impl PoolOptions {
    /// No class can do without a thread, nor without a place in its queue.
    fn threads_max(&self, class: Class) -> usize {
        let threads = match class {
            Class::Fs => self.fs_threads_max,
            Class::Dns => self.dns_threads_max,
            Class::Cpu => self.cpu_threads_max,
        };
        threads.max(1)
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// The threads of all classes. They end with the last handle of the loop, whose drop waits for the
/// jobs that they are at; but not for look-ups.
pub(crate) struct Pool {
    crews: [Crew; 3],
}

impl Pool {
    pub(crate) fn new(options: &PoolOptions) -> io::Result<Self> {
        let process = Process::this()?;
        Ok(Pool {
            crews: Class::ALL.map(|class| Crew::new(class, options, process)),
        })
    }

    fn crew(&self, class: Class) -> &Crew {
        &self.crews[class as usize]
    }
}

/// The threads of one class.
struct Crew {
    class: Class,
    threads_max: usize,
    shared: Arc<Shared>,
    threads: Cell<Vec<thread::JoinHandle<()>>>,
    /// Who has the threads: a process that was forked has none of them, and locks that they held.
    process: Process,
}

/// What a crew's threads share with those who have work for them.
struct Shared {
    queued_max: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Who waits for a place among the jobs.
    line: VecDeque<Arc<Mutex<Place>>>,
    /// Places that are kept for those who were in the line and have not yet come to take them.
    kept: usize,
    idle: usize,
    closed: bool,
}

/// Somebody's place in the line in front of a full queue.
#[derive(Default)]
struct Place {
    waker: Option<Waker>,
    is_admitted: bool,
}

/// Nothing that holds one of these locks can leave the inside half-changed.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    /// A place has come free: the first in the line has it.
    fn admit(&mut self) -> Option<Waker> {
        let first = self.line.pop_front()?;
        self.kept += 1;
        let mut place = lock(&first);
        place.is_admitted = true;
        place.waker.take()
    }
}

impl Crew {
    fn new(class: Class, options: &PoolOptions, process: Process) -> Self {
        Crew {
            class,
            threads_max: options.threads_max(class),
            shared: Arc::new(Shared {
                queued_max: options.queued_max.max(1),
                queue: Mutex::default(),
                changed: Condvar::new(),
            }),
            threads: Cell::default(),
            process,
        }
    }

    /// How many jobs wait for a thread, and how many for a place among these.
    #[cfg(test)]
    fn waiting(&self) -> (usize, usize) {
        let queue = lock(&self.shared.queue);
        (queue.jobs.len(), queue.line.len())
    }

    /// Queues a job, if there is room; gives it back if there is none.
    fn try_push(&self, job: Job) -> Result<(), Job> {
        if !self.process.is_this() {
            return Err(job);
        }
        let queue = lock(&self.shared.queue);
        if self.shared.has_room(&queue) {
            self.push(queue, job);
            Ok(())
        } else {
            Err(job)
        }
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue>, job: Job) {
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
        if threads.len() < self.threads_max {
            let shared = Arc::clone(&self.shared);
            let name = format!("{}-{}", self.class.name(), threads.len());
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
    fn has_room(&self, queue: &Queue) -> bool {
        queue.jobs.len() + queue.kept < self.queued_max
    }

    /// What each thread does.
    fn work(&self) {
        while let Some(job) = self.wait_for_job() {
            do_job(job);
        }
    }

    /// Does all that waits.
    fn work_off(&self) {
        while let Some(job) = self.next_job(lock(&self.queue)) {
            do_job(job);
        }
    }

    /// The next job; none once the pool is closed.
    fn wait_for_job(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        while queue.jobs.is_empty() {
            if queue.closed {
                return None;
            }
            queue.idle += 1;
            let woken = self.changed.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
        self.next_job(queue)
    }

    fn next_job(&self, mut queue: MutexGuard<'_, Queue>) -> Option<Job> {
        let job = queue.jobs.pop_front()?;
        let admitted = queue.admit();
        drop(queue);
        if let Some(waker) = admitted {
            wake_guarded(waker);
        }
        Some(job)
    }
}

/// The job's own panic is its outcome; what else may panic, such as the drop of a result that nobody
/// waits for, must end neither the thread nor the end of the pool.
fn do_job(job: impl FnOnce()) {
    if guarded(job).is_none() {
        report("an offloaded job, or its result, panicked while it was dropped");
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if !self.process.is_this() {
            mem::forget(self.threads.take());
            return;
        }
        let mut queue = lock(&self.shared.queue);
        queue.closed = true;
        let never = mem::take(&mut queue.jobs);
        drop(queue);
        self.shared.changed.notify_all();
        for job in never {
            do_job(|| drop(job));
        }
        if self.class.is_joined() {
            for thread in self.threads.take() {
                let _ = thread.join(); // it catches all panics
            }
        }
    }
}

/// A job that found the queue full, and its place in the line.
struct Unsent {
    job: Job,
    class: Class,
    place: Option<Arc<Mutex<Place>>>,
}

impl Unsent {
    /// Sends the job once there is room for it; gives it back while there is none.
    fn poll_send(mut self, crew: &Crew, waker: Waker) -> Option<Self> {
        if !crew.process.is_this() {
            return Some(self);
        }
        let mut queue = lock(&crew.shared.queue);
        let may_send = match &self.place {
            None => crew.shared.has_room(&queue),
            Some(place) => lock(place).is_admitted,
        };
        if may_send {
            queue.kept -= usize::from(self.place.is_some());
            crew.push(queue, self.job);
            return None;
        }
        let place = self.place.get_or_insert_with(|| {
            let place = Arc::default();
            queue.line.push_back(Arc::clone(&place));
            place
        });
        let before = lock(place).waker.replace(waker);
        drop(queue);
        drop(before);
        Some(self)
    }

    /// Gives up its place.
    fn leave(self, crew: &Crew) {
        let Some(place) = self.place.filter(|_| crew.process.is_this()) else {
            return;
        };
        let mut queue = lock(&crew.shared.queue);
        let admitted = if lock(&place).is_admitted {
            queue.kept -= 1;
            queue.admit()
        } else {
            queue.line.retain(|other| !Arc::ptr_eq(other, &place));
            None
        };
        drop(queue);
        if let Some(waker) = admitted {
            wake_guarded(waker);
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
    unsent: Option<Unsent>,
    outside: Outside,
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
    /// Runs a function that blocks on another thread, and gives what it returns:
    /// [`Handle::offload_to`], for [`Class::Cpu`].
    ///
    /// ```
    /// let mut event_loop = oneloop_core::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// let sum = event_loop.block_on(async { handle.offload(|| (1..=100).sum::<u32>()).await });
    /// assert_eq!(sum.unwrap(), 5050);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn offload<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Offload<T> {
        self.offload_to(Class::Cpu, job)
    }

    /// Runs a function that blocks on a thread of that class, and gives what it returns, or with what
    /// it panicked. It keeps the loop alive.
    ///
    /// Jobs of one class begin in their order. While its queue is full ([`PoolOptions::queued_max`]) the
    /// job stays in the future, which has to be polled to get it in.
    ///
    /// Cancel safe: dropped before the job has begun, it is never done, and goes with what is in it when a
    /// thread comes to it; after that, it is done, and its result is dropped. The loop's drop waits for jobs that have begun, but not for those of
    /// [`Class::Dns`].
    ///
    /// ```
    /// use oneloop_core::{Class, EventLoop};
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
        let outcome = Arc::new(Mutex::new(Outcome {
            result: None,
            waker: None,
            cancelled: false,
        }));
        let told = Arc::clone(&outcome);
        let job = Box::new(move || tell_outcome(job, &told));
        let unsent = self.inner.pool.crew(class).try_push(job).err();
        Offload {
            outcome,
            unsent: unsent.map(|job| Unsent {
                job,
                class,
                place: None,
            }),
            outside: Outside::new(self),
        }
    }
}

/// Does a job, unless it was cancelled, and tells who waits for it.
fn tell_outcome<T>(job: impl FnOnce() -> T, outcome: &Mutex<Outcome<T>>) {
    if lock(outcome).cancelled {
        return;
    }
    let result = catch_unwind(AssertUnwindSafe(job)).map_err(JoinError::Panicked);
    let mut outcome = lock(outcome);
    outcome.result = Some(result);
    let waker = outcome.waker.take();
    drop(outcome);
    if let Some(waker) = waker {
        wake_guarded(waker);
    }
}

impl<T> Offload<T> {
    fn crew(&self, class: Class) -> &Crew {
        self.outside.handle.inner.pool.crew(class)
    }
}

impl<T> Future for Offload<T> {
    type Output = Result<T, JoinError>;

    /// Polled again after it gave its result, it is pending for ever.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(unsent) = self.unsent.take() {
            let crew = self.crew(unsent.class);
            let unsent = unsent.poll_send(crew, cx.waker().clone());
            self.unsent = unsent;
        }
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
        if let Some(unsent) = self.unsent.take() {
            let crew = self.crew(unsent.class);
            unsent.leave(crew);
        }
        let mut outcome = lock(&self.outcome);
        outcome.cancelled = true;
        let dropped = (outcome.result.take(), outcome.waker.take());
        drop(outcome);
        drop(dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Offload, PoolOptions};
    use crate::{EventLoop, Handle, Options};
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};
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

    /// A loop with one thread for each class, and so many places in its queues.
    fn narrow_loop(queued_max: usize) -> EventLoop {
        let pool = PoolOptions {
            fs_threads_max: 1,
            dns_threads_max: 1,
            cpu_threads_max: 1,
            queued_max,
        };
        let options = Options {
            pool,
            ..Options::default()
        };
        EventLoop::with(options).unwrap()
    }

    /// A job that lasts until the sender is dropped, and has begun when this returns.
    fn block(handle: &Handle, class: Class) -> (mpsc::Sender<()>, Offload<()>) {
        let (go, wait) = mpsc::channel::<()>();
        let (tell, begun) = mpsc::channel();
        let job = handle.offload_to(class, move || {
            tell.send(()).unwrap();
            let _ = wait.recv();
        });
        begun.recv().unwrap();
        (go, job)
    }

    #[test]
    fn a_dropped_job_that_waits_is_never_done() {
        let event_loop = narrow_loop(8);
        let handle = event_loop.handle();
        let (go, busy) = block(&handle, Class::Cpu);
        let (tell, hear) = mpsc::channel();
        drop(handle.offload(move || tell.send(())));
        drop(go);
        drop((busy, event_loop, handle));
        assert!(hear.recv().is_err(), "the job was dropped unrun");
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
        let (tell, hear) = mpsc::channel();
        let jobs: Vec<_> = (0..10)
            .map(|number| {
                let tell = tell.clone();
                let job = handle.offload_to(Class::Fs, move || tell.send(number).unwrap());
                handle.spawn(job)
            })
            .collect();
        event_loop.block_on(crate::yield_now()); // all of them were polled
        assert_eq!(handle.inner.pool.crew(Class::Fs).waiting(), (2, 8));
        jobs[4].cancel();
        assert_eq!(handle.inner.pool.crew(Class::Fs).waiting(), (2, 7));
        drop(go);
        event_loop.block_on(busy).unwrap();
        event_loop.run().unwrap();
        assert_eq!(
            hear.try_iter().collect::<Vec<_>>(),
            [0, 1, 2, 3, 5, 6, 7, 8, 9]
        );
    }

    #[test]
    fn whoever_gives_up_an_admitted_place_leaves_it_to_the_next() {
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
    fn a_waiting_job_that_panics_when_it_is_dropped_does_not_disturb_the_loops_end() {
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
        let crew = Arc::clone(&handle.inner.pool.crew(Class::Fs).shared);
        let go = std::thread::spawn(move || {
            while !super::lock(&crew.queue).closed {
                std::thread::yield_now();
            }
            drop(go);
        });
        drop((event_loop, handle)); // panicked, with the thread left behind
        go.join().unwrap();
    }

    #[test]
    fn the_loops_end_waits_for_what_has_begun_but_not_for_names() {
        let event_loop = narrow_loop(8);
        let handle = event_loop.handle();
        let (go, stuck) = block(&handle, Class::Dns);
        let is_done = Arc::new(AtomicBool::new(false));
        let (tell, begun) = mpsc::channel();
        let done = Arc::clone(&is_done);
        let writes = handle.offload_to(Class::Fs, move || {
            tell.send(()).unwrap();
            std::thread::yield_now();
            done.store(true, Ordering::Release);
        });
        begun.recv().unwrap();
        drop((stuck, writes, event_loop, handle));
        assert!(is_done.load(Ordering::Acquire));
        drop(go); // only now: a join would have waited for it
    }
}
