//! Threads for jobs that block, such as reading a file: the loop continues meanwhile.

use crate::mechanisms::concurrency::{Condvar, Mutex, MutexGuard, has_ended, thread};
use crate::mechanisms::guard::{guarded, report, wake_guarded};
use oneloop_posix::Process;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SendError, Sender};
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// The time after which a loop stops waiting for a held job, which may itself wait for the loop.
const LONG_JOB: Duration = Duration::from_millis(100);

/// The time between two looks whether the thread of a held job has ended.
const JOIN_INTERVAL: Duration = Duration::from_micros(50);

/// What a loop under chaos says of a job that it has waited for, in vain.
pub(crate) const ENDLESS_JOB: &str = "the program hangs: a job on a worker thread does not end";

/// The kind of a job. Each class has its own threads and its own queue, so that names that do not
/// resolve never hold up a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The job reads or writes files.
    Fs,
    /// The job looks up a name. It may take half a minute, and the end of the loop does not wait
    /// for it.
    Dns,
    /// The job computes, or is neither of the others.
    Cpu,
}

impl Class {
    pub(crate) const ALL: [Class; 3] = [Class::Fs, Class::Dns, Class::Cpu];

    fn name(self) -> &'static str {
        match self {
            Class::Fs => "fs",
            Class::Dns => "dns",
            Class::Cpu => "cpu",
        }
    }

    /// False if the end of the loop does not wait for a running job.
    fn is_joined(self) -> bool {
        // getaddrinfo(3) cannot be interrupted, and its result is of no use to a loop that has
        // ended.
        self != Class::Dns
    }
}

/// The numbers of a loop's worker threads. They start when they are needed, and end with the loop.
#[derive(Clone, Debug)]
#[doc(alias("UV_THREADPOOL_SIZE", "max_blocking_threads"))]
#[doc(alias = "GEVENT_THREADPOOL")]
pub struct PoolOptions {
    /// The maximum number of threads for [`Class::Fs`]: 4 by default, as in libuv.
    pub fs_threads_max: usize,
    /// The maximum number of threads for [`Class::Dns`]: 8 by default, as they only wait.
    pub dns_threads_max: usize,
    /// The maximum number of threads for [`Class::Cpu`]: one for each processor by default, at
    /// least 4.
    pub cpu_threads_max: usize,
    /// The maximum number of jobs of one class that wait for a thread: 1,024 by default. Further
    /// jobs wait for a place in the queue, in the order in which they came.
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
    /// Sets the same maximum number of threads for each class, and the default length of the
    /// queues.
    pub fn with_threads_max(threads_max: usize) -> Self {
        PoolOptions {
            fs_threads_max: threads_max,
            dns_threads_max: threads_max,
            cpu_threads_max: threads_max,
            ..PoolOptions::default()
        }
    }

    fn threads_max(&self, class: Class) -> usize {
        let threads = match class {
            Class::Fs => self.fs_threads_max,
            Class::Dns => self.dns_threads_max,
            Class::Cpu => self.cpu_threads_max,
        };
        threads.max(1) // with none, a job would wait forever
    }
}

/// What the worker threads of one class do at this moment: see [`Workers::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Threads that have started.
    pub threads: usize,
    /// Threads that wait for a job.
    pub idle: usize,
    /// Jobs that wait for a thread.
    pub queued: usize,
    /// Jobs that wait for room in the queue.
    pub waiting: usize,
}

impl PoolStats {
    /// Threads that do a job.
    pub fn busy(&self) -> usize {
        self.threads.saturating_sub(self.idle)
    }
}

/// A function for a worker thread.
pub type Job = Box<dyn FnOnce() + Send>;

/// The worker threads of all classes.
///
/// A loop with tasks has one behind [`Handle::offload`](crate::Handle::offload). A loop without
/// them submits jobs here, and lets each job report its result through an [`Inbox`](crate::Inbox):
///
/// ```
/// use oneloop::core::{Class, Inbox, Interest, PoolOptions, Reactor, Trigger, Workers};
/// let inbox = Inbox::<Vec<u64>>::new()?;
/// let mut reactor = Reactor::new()?;
/// reactor.add(&*inbox, Interest::READ, Trigger::Edge, ())?;
/// let workers = Workers::new(&PoolOptions::default())?;
/// let results = inbox.clone();
/// let job = move || drop(results.send(|mail| mail.push((1..=20).product())));
/// assert!(workers.submit(Class::Cpu, job).is_ok());
/// while reactor.wait(None)? == 0 {} // the inbox is readable once it has mail
/// assert_eq!(inbox.take(), [2_432_902_008_176_640_000]);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Its drop drops the jobs that have not begun and waits for those that have, except those of
/// [`Class::Dns`]. In a process that was forked from its owner there are no threads: jobs come
/// back.
///
/// ```text
///  submit ─┬─ room ──▶ queued ──a thread is free──▶ running ──▶ done
///          └─ full ──▶ comes back; a task waits with a ticket
///                          │ a job leaves the queue: the first ticket is admitted
///                          └──▶ admitted ──its task runs──▶ queued
/// ```
#[doc(alias("ThreadPool", "uv_queue_work"))]
pub struct Workers {
    crews: [Crew; 3],
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").finish_non_exhaustive()
    }
}

impl Workers {
    /// No threads yet: each one starts with the first job that needs it.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(options: &PoolOptions) -> io::Result<Self> {
        Workers::make(options, None)
    }

    /// With a hold, jobs stay in their queues until [`Workers::run_one`].
    pub(crate) fn make(options: &PoolOptions, hold: Option<Hold>) -> io::Result<Self> {
        let process = Process::this()?;
        Ok(Workers {
            crews: Class::ALL.map(|class| Crew::new(class, options, process, hold)),
        })
    }

    /// Queues a job. Jobs of one class begin in their order. A panic in the job is reported on
    /// stderr and ends nothing else.
    ///
    /// # Errors
    /// The job, if the queue is full ([`PoolOptions::queued_max`]) or this is a forked process.
    pub fn submit(&self, class: Class, job: impl FnOnce() + Send + 'static) -> Result<(), Job> {
        self.crew(class).try_push(Box::new(job))
    }

    /// What the threads of a class do at this moment. All counts are 0 in a process that was forked
    /// from the owner's.
    ///
    /// ```
    /// use oneloop::core::{Class, PoolOptions, Workers};
    /// let workers = Workers::new(&PoolOptions::default())?;
    /// assert_eq!(workers.stats(Class::Fs).threads, 0, "none has started so far");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "num_blocking_threads")]
    pub fn stats(&self, class: Class) -> PoolStats {
        self.crew(class).stats()
    }

    /// Submits a job that found the queue full, once there is room. Returns it while there is none,
    /// with a ticket that wakes the waker.
    pub(crate) fn poll_submit(&self, unsent: Unsent, waker: Waker) -> Option<Unsent> {
        self.crew(unsent.class).poll_push(unsent, waker)
    }

    /// Gives up a job that waits for room.
    pub(crate) fn give_up(&self, unsent: Unsent) {
        self.crew(unsent.class).give_up(unsent);
    }

    /// True if a job of this class waits in a queue whose jobs are held.
    pub(crate) fn has_queued(&self, class: Class) -> bool {
        !lock(&self.crew(class).queue.queued).jobs.is_empty()
    }

    /// Runs the first held job of a class on a thread, and waits for it. False if there is no job,
    /// or if it takes long, and its thread continues alone.
    pub(crate) fn run_one(&self, class: Class) -> bool {
        self.crew(class).run_one()
    }

    fn crew(&self, class: Class) -> &Crew {
        &self.crews[class as usize]
    }

    #[cfg(test)]
    pub(crate) fn queue(&self, class: Class) -> Arc<JobQueue> {
        Arc::clone(&self.crew(class).queue)
    }
}

/// Threads take no job on their own: see [`Workers::run_one`].
#[derive(Clone, Copy)]
pub(crate) struct Hold {
    /// The time for which the drop waits for a job that has begun; `None` is forever.
    pub(crate) patience: Option<Duration>,
}

/// The threads of one class.
struct Crew {
    class: Class,
    threads_max: usize,
    queue: Arc<JobQueue>,
    threads: Cell<Vec<thread::JoinHandle<()>>>,
    runner: Cell<Option<Runner>>,
    /// The process of the threads. A forked child has none of them, but has the locks that they
    /// held.
    process: Process,
    hold: Option<Hold>,
}

/// The thread that runs a crew's held jobs, one after the other. A thread for each job would cost
/// the start of one, after which a busy system lets it wait longer than one that wakes.
struct Runner {
    jobs: Sender<Job>,
    done: Receiver<()>,
    thread: thread::JoinHandle<()>,
}

impl Runner {
    fn start(class: Class) -> io::Result<Self> {
        let (jobs, submitted) = mpsc::channel::<Job>();
        let (finish, done) = mpsc::channel();
        let thread = thread::Builder::new().name(format!("{}-held", class.name()));
        let thread = thread.spawn(move || {
            for job in submitted {
                do_job(job);
                let _ = finish.send(());
            }
        })?;
        Ok(Runner { jobs, done, thread })
    }
}

/// The queue between a crew's threads and the loop.
pub(crate) struct JobQueue {
    queued_max: usize,
    queued: Mutex<Queued>,
    changed: Condvar,
}

#[derive(Default)]
struct Queued {
    jobs: VecDeque<Job>,
    /// The jobs that wait for room, by their tickets, in order.
    tickets: VecDeque<Arc<Mutex<Ticket>>>,
    /// The places that are kept for admitted tickets whose tasks have not run yet.
    kept: usize,
    /// The number of threads that wait for a job.
    idle: usize,
    closed: bool,
}

/// A job's place in line for a full queue.
#[derive(Default)]
struct Ticket {
    waker: Option<Waker>,
    is_admitted: bool,
}

/// A job that found the queue full, and its ticket once it has been polled.
pub(crate) struct Unsent {
    class: Class,
    job: Job,
    ticket: Option<Arc<Mutex<Ticket>>>,
}

impl Unsent {
    pub(crate) fn new(class: Class, job: Job) -> Self {
        Unsent {
            class,
            job,
            ticket: None,
        }
    }
}

/// Locks a mutex and ignores its poison: no code that holds one of these locks panics, so none
/// leaves the value half-changed.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crew {
    fn new(class: Class, options: &PoolOptions, process: Process, hold: Option<Hold>) -> Self {
        Crew {
            class,
            threads_max: options.threads_max(class),
            queue: Arc::new(JobQueue {
                queued_max: options.queued_max.max(1),
                queued: Mutex::default(),
                changed: Condvar::new(),
            }),
            threads: Cell::default(),
            runner: Cell::default(),
            process,
            hold,
        }
    }

    fn stats(&self) -> PoolStats {
        if !self.process.is_this() {
            return PoolStats::default(); // a thread of the parent may have held the lock in the fork
        }
        let threads = self.threads.take();
        let count = threads.len();
        self.threads.set(threads);
        let queued = lock(&self.queue.queued);
        PoolStats {
            threads: count,
            idle: queued.idle,
            queued: queued.jobs.len(),
            waiting: queued.tickets.len(),
        }
    }

    /// Queues a job if there is room, and returns it if there is none.
    fn try_push(&self, job: Job) -> Result<(), Job> {
        if !self.process.is_this() {
            return Err(job);
        }
        let queued = lock(&self.queue.queued);
        if self.queue.has_room(&queued) {
            self.push(queued, job);
            Ok(())
        } else {
            Err(job)
        }
    }

    fn push(&self, mut queued: MutexGuard<'_, Queued>, job: Job) {
        queued.jobs.push_back(job);
        // A notified thread counts as idle, and its job as queued, until it wakes.
        let has_idle = queued.idle >= queued.jobs.len();
        drop(queued);
        // After the unlock, so that the thread does not wake only to wait for the lock.
        self.queue.changed.notify_one();
        // A thread is started only when all others are at work: a loop that reads one file at a
        // time has one.
        if !has_idle && self.hold.is_none() {
            self.grow();
        }
    }

    fn run_one(&self) -> bool {
        let Some(job) = self.queue.next_job(lock(&self.queue.queued)) else {
            return false;
        };
        let runner = self
            .runner
            .take()
            .map_or_else(|| Runner::start(self.class), Ok);
        let Ok(runner) = runner else {
            do_job(job); // the system refuses a thread, so this one does the work
            return true;
        };
        if let Err(SendError(job)) = runner.jobs.send(job) {
            do_job(job);
        } else if runner.done.recv_timeout(LONG_JOB) == Err(RecvTimeoutError::Timeout) {
            let mut threads = self.threads.take();
            threads.retain(|thread| !has_ended(thread));
            threads.push(runner.thread);
            self.threads.set(threads);
            return false;
        }
        self.runner.set(Some(runner));
        true
    }

    /// Waits for a thread's end. False if its job takes longer than a held crew waits.
    fn join(&self, thread: thread::JoinHandle<()>) -> bool {
        if let Some(patience) = self.hold.and_then(|hold| hold.patience) {
            let begin = Instant::now();
            while !has_ended(&thread) {
                if begin.elapsed() > patience {
                    return false;
                }
                std::thread::sleep(JOIN_INTERVAL);
            }
        }
        let _ = thread.join(); // it catches all panics
        true
    }

    /// Starts another thread unless the maximum is reached. If the system refuses it, the present
    /// threads do the work; if there are none, this thread does it.
    fn grow(&self) {
        let mut threads = self.threads.take();
        if threads.len() < self.threads_max {
            let queue = Arc::clone(&self.queue);
            let name = format!("{}-{}", self.class.name(), threads.len());
            let thread = thread::Builder::new().name(name);
            match thread.spawn(move || queue.work()) {
                Ok(thread) => threads.push(thread),
                Err(_) if threads.is_empty() => self.queue.work_off(),
                Err(_) => {}
            }
        }
        self.threads.set(threads);
    }

    fn poll_push(&self, mut unsent: Unsent, waker: Waker) -> Option<Unsent> {
        if !self.process.is_this() {
            return Some(unsent);
        }
        let mut queued = lock(&self.queue.queued);
        let may_push = match &unsent.ticket {
            None => self.queue.has_room(&queued),
            Some(ticket) => lock(ticket).is_admitted,
        };
        if may_push {
            // Its place in the queue was kept for it since it was admitted, so no later job can
            // overtake it.
            queued.kept -= usize::from(unsent.ticket.is_some());
            self.push(queued, unsent.job);
            return None;
        }
        let ticket = unsent.ticket.get_or_insert_with(|| {
            let ticket = Arc::default();
            queued.tickets.push_back(Arc::clone(&ticket));
            ticket
        });
        let before = lock(ticket).waker.replace(waker);
        drop(queued);
        drop(before); // foreign code, so after the locks (rule 2)
        Some(unsent)
    }

    fn give_up(&self, unsent: Unsent) {
        let Some(ticket) = unsent.ticket.filter(|_| self.process.is_this()) else {
            return;
        };
        let mut queued = lock(&self.queue.queued);
        let admitted = if lock(&ticket).is_admitted {
            queued.kept -= 1; // no job leaves the queue now, so the next ticket is admitted here
            queued.admit()
        } else {
            queued.tickets.retain(|other| !Arc::ptr_eq(other, &ticket));
            None
        };
        drop(queued);
        admitted.into_iter().for_each(wake_guarded);
    }
}

impl Queued {
    /// Keeps a free place for the first ticket, and returns the waker of its task.
    fn admit(&mut self) -> Option<Waker> {
        let first = self.tickets.pop_front()?;
        self.kept += 1;
        let mut ticket = lock(&first);
        ticket.is_admitted = true;
        ticket.waker.take()
    }
}

impl JobQueue {
    fn has_room(&self, queued: &Queued) -> bool {
        // Places that are kept count as taken, or a new job would overtake the line.
        queued.jobs.len() + queued.kept < self.queued_max
    }

    /// The work of each thread, until the queue is closed.
    fn work(&self) {
        while let Some(job) = self.wait_for_job() {
            do_job(job);
        }
    }

    /// Does all queued jobs on this thread.
    fn work_off(&self) {
        while let Some(job) = self.next_job(lock(&self.queued)) {
            do_job(job);
        }
    }

    /// The next job; `None` once the queue is closed.
    fn wait_for_job(&self) -> Option<Job> {
        let mut queued = lock(&self.queued);
        while queued.jobs.is_empty() {
            if queued.closed {
                return None;
            }
            queued.idle += 1;
            let woken = self.changed.wait(queued);
            queued = woken.unwrap_or_else(PoisonError::into_inner);
            queued.idle -= 1;
        }
        self.next_job(queued)
    }

    fn next_job(&self, mut queued: MutexGuard<'_, Queued>) -> Option<Job> {
        let job = queued.jobs.pop_front()?;
        // Each job that leaves the queue makes room for one ticket.
        let admitted = queued.admit();
        drop(queued);
        admitted.into_iter().for_each(wake_guarded);
        Some(job)
    }

    /// The number of jobs that wait for a thread, and of those that wait for room.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let queued = lock(&self.queued);
        (queued.jobs.len(), queued.tickets.len())
    }

    #[cfg(test)]
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.queued).closed
    }
}

/// Runs a job. A panic that it does not catch, such as one in the drop of a result that no task
/// waits for, must end neither the thread nor the drop of the pool (rule 13).
fn do_job(job: impl FnOnce()) {
    if guarded(job).is_none() {
        report("an offloaded job, or its result, panicked while it was dropped");
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if !self.process.is_this() {
            // A join would wait for a thread that exists in the parent only.
            mem::forget((self.threads.take(), self.runner.take()));
            return;
        }
        let mut queued = lock(&self.queue.queued);
        queued.closed = true;
        // Dropped below, outside of the lock: their drops are foreign code.
        let unbegun = mem::take(&mut queued.jobs);
        drop(queued);
        self.queue.changed.notify_all();
        for job in unbegun {
            do_job(|| drop(job));
        }
        if let Some(Runner { jobs, thread, .. }) = self.runner.take() {
            drop(jobs);
            let _ = thread.join(); // it has no job, so it ends at once
        }
        if self.class.is_joined() {
            let threads = self.threads.take();
            let all_ended = threads.into_iter().all(|thread| self.join(thread));
            // Only under chaos, which is for tests, and a test that hangs has failed.
            assert!(all_ended || std::thread::panicking(), "{ENDLESS_JOB}");
        }
    }
}
