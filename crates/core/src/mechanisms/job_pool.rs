//! Threads that a whole process shares for jobs that block: libuv's pool, without a loop.

use crate::mechanisms::concurrency::{Condvar, Mutex, MutexGuard, thread};
use crate::mechanisms::guard::{guarded, report};
use crate::mechanisms::workers::Job;
use oneloop_posix::Process;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::{fmt, io};

/// A pool of threads for the jobs of any number of loops.
///
/// Unlike [`Workers`](crate::Workers), it belongs to no loop: any thread submits, its threads do
/// all kinds of jobs, and a job that has not begun can be [canceled](JobPool::cancel). Jobs begin
/// in their order, except that *slow* ones, such as lookups of names, never keep more than
/// `slow_max` threads from the others.
///
/// ```text
///  submit ──▶ queued ──a thread is free──▶ running ──▶ done
///                └──cancel──▶ comes back
/// ```
///
/// ```
/// use oneloop::core::JobPool;
/// use std::sync::mpsc;
/// let pool = JobPool::new(4, 2)?;
/// let (results, result) = mpsc::channel();
/// pool.submit(false, move || results.send(6 * 7).unwrap());
/// assert_eq!(result.recv(), Ok(42));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Its threads live as long as the process. A process that was forked from it has none of them:
/// [`JobPool::is_forked`] tells, and such a process makes a pool of its own.
#[doc(alias("uv_queue_work", "uv_cancel"))]
pub struct JobPool {
    shared: Arc<PoolState>,
    process: Process,
}

impl fmt::Debug for JobPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobPool").finish_non_exhaustive()
    }
}

struct PoolState {
    threads_max: usize,
    slow_max: usize,
    queues: Mutex<Queues>,
    changed: Condvar,
}

#[derive(Default)]
struct Queues {
    jobs: VecDeque<(u64, Job)>,
    slow: VecDeque<(u64, Job)>,
    /// The number of jobs that were submitted.
    submitted: u64,
    threads: usize,
    /// The threads that wait for a job.
    idle: usize,
    slow_running: usize,
}

impl JobPool {
    /// A pool without threads: each one starts with the first job that needs it. At least one
    /// thread does jobs, and at least one of them slow jobs.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(threads_max: usize, slow_max: usize) -> io::Result<Self> {
        let threads_max = threads_max.max(1);
        let shared = PoolState {
            threads_max,
            slow_max: slow_max.clamp(1, threads_max),
            queues: Mutex::default(),
            changed: Condvar::new(),
        };
        Ok(JobPool {
            shared: Arc::new(shared),
            process: Process::this()?,
        })
    }

    /// True in a process that was forked from the pool's own: its jobs would wait forever.
    pub fn is_forked(&self) -> bool {
        !self.process.is_this()
    }

    /// Queues a job, from any thread. Returns its number, for [`JobPool::cancel`]; none is 0. A
    /// panic in the job is reported on stderr and ends nothing else.
    pub fn submit(&self, is_slow: bool, job: impl FnOnce() + Send + 'static) -> u64 {
        let mut queues = self.shared.lock();
        queues.submitted += 1;
        let number = queues.submitted;
        let entry: (u64, Job) = (number, Box::new(job));
        if is_slow {
            queues.slow.push_back(entry);
        } else {
            queues.jobs.push_back(entry);
        }
        // A notified thread counts as idle, and its job as queued, until it wakes.
        let needs_thread = queues.idle < queues.jobs.len() + queues.slow.len()
            && queues.threads < self.shared.threads_max;
        queues.threads += usize::from(needs_thread);
        drop(queues);
        self.shared.changed.notify_one();
        if needs_thread {
            self.start_thread();
        }
        number
    }

    /// Takes back a job that has not begun. `None` if it has, or is done.
    pub fn cancel(&self, number: u64) -> Option<Job> {
        let mut queues = self.shared.lock();
        let Queues { jobs, slow, .. } = &mut *queues;
        [jobs, slow].into_iter().find_map(|queue| {
            let index = queue.binary_search_by_key(&number, |(number, _)| *number);
            queue.remove(index.ok()?).map(|(_, job)| job)
        })
    }

    fn start_thread(&self) {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("pool".to_owned());
        if thread.spawn(move || shared.work()).is_err() {
            let mut queues = self.shared.lock();
            queues.threads -= 1;
            let is_alone = queues.threads == 0;
            drop(queues);
            // The others do the work; if there are none, this thread does it.
            while is_alone && self.shared.do_one() {}
        }
    }
}

impl PoolState {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // A panic cannot leave it half-changed.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of each thread.
    fn work(&self) {
        loop {
            while self.do_one() {}
            let mut queues = self.lock();
            while self.has_none(&queues) {
                queues.idle += 1;
                let woken = self.changed.wait(queues);
                queues = woken.unwrap_or_else(PoisonError::into_inner);
                queues.idle -= 1;
            }
        }
    }

    /// True if no job may begin now.
    fn has_none(&self, queues: &Queues) -> bool {
        queues.jobs.is_empty() && (queues.slow.is_empty() || queues.slow_running == self.slow_max)
    }

    /// Does the first job that may begin. False if there is none.
    fn do_one(&self) -> bool {
        let mut queues = self.lock();
        if self.has_none(&queues) {
            return false;
        }
        let number =
            |queue: &VecDeque<(u64, Job)>| queue.front().map_or(u64::MAX, |(number, _)| *number);
        let is_slow =
            queues.slow_running < self.slow_max && number(&queues.slow) < number(&queues.jobs);
        let queue = if is_slow {
            &mut queues.slow
        } else {
            &mut queues.jobs
        };
        let (_, job) = queue.pop_front().expect("it has a job");
        queues.slow_running += usize::from(is_slow);
        drop(queues);
        if guarded(job).is_none() {
            report("a job of the pool panicked");
        }
        if is_slow {
            let mut queues = self.lock();
            queues.slow_running -= 1;
            let may_begin = !queues.slow.is_empty();
            drop(queues);
            if may_begin {
                self.changed.notify_one();
            }
        }
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A job that reports its name when it begins, and ends when its sender is dropped.
    fn job(
        name: &'static str,
        begun: &Sender<&'static str>,
    ) -> (Sender<()>, impl FnOnce() + Send + 'static) {
        let (end, ends): (_, Receiver<()>) = channel();
        let begun = begun.clone();
        let job = move || {
            begun.send(name).unwrap();
            let _ = ends.recv();
        };
        (end, job)
    }

    #[test]
    fn slow_jobs_leave_threads_for_the_others() {
        let pool = JobPool::new(2, 1).unwrap();
        let (begun, begins) = channel();
        let slow = [job("slow", &begun), job("slow too", &begun)].map(|(end, job)| {
            pool.submit(true, job);
            end
        });
        assert_eq!(begins.recv(), Ok("slow"));
        let (end, fast) = job("fast", &begun);
        pool.submit(false, fast);
        assert_eq!(
            begins.recv(),
            Ok("fast"),
            "the second slow one waits for the first"
        );
        drop(end);
        drop(slow);
        assert_eq!(begins.recv(), Ok("slow too"));
    }

    #[test]
    fn a_job_can_be_canceled_until_it_begins() {
        let pool = JobPool::new(1, 1).unwrap();
        let (begun, begins) = channel();
        let (end, first) = job("first", &begun);
        let first = pool.submit(false, first);
        assert_eq!(begins.recv(), Ok("first"));
        let (_, second) = job("second", &begun);
        let second = pool.submit(false, second);
        assert!(pool.cancel(first).is_none(), "it runs");
        assert!(pool.cancel(second).is_some());
        assert!(pool.cancel(second).is_none(), "it is gone");
        let (_, third) = job("third", &begun);
        pool.submit(true, third);
        drop(end);
        assert_eq!(begins.recv(), Ok("third"));
    }

    #[test]
    fn jobs_of_many_threads_are_all_done() {
        let pool = JobPool::new(4, 2).unwrap();
        let (done, is_done) = channel();
        thread::scope(|scope| {
            for _ in 0..8 {
                let (pool, done) = (&pool, done.clone());
                scope.spawn(move || {
                    for number in 0..100 {
                        let done = done.clone();
                        pool.submit(number % 2 == 0, move || done.send(()).unwrap());
                    }
                });
            }
        });
        assert_eq!(is_done.iter().take(800).count(), 800);
    }
}
