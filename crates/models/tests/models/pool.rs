//! The threads of the pool: their queue, the line of jobs that wait for room, and the end.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex, MutexGuard};
use oneloop_core::{Class, EventLoop, Handle, Options, PoolOptions, Workers};
use oneloop_models::check;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{self, Arc};
use std::task::Poll;

fn pool(threads_max: usize, queued_max: usize) -> PoolOptions {
    PoolOptions {
        queued_max,
        ..PoolOptions::with_threads_max(threads_max)
    }
}

/// A number that threads wait for.
struct Count {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Count {
    fn new() -> Arc<Self> {
        Arc::new(Count {
            count: Mutex::new(0),
            changed: Condvar::new(),
        })
    }

    fn wait_for(&self, min: usize) {
        self.wait(self.count.lock().unwrap(), min);
    }

    /// With one lock, not two, which would mean half as many schedules again.
    fn add_one_and_wait_for(&self, min: usize) {
        let mut count = self.count.lock().unwrap();
        *count += 1;
        self.changed.notify_all();
        self.wait(count, min);
    }

    fn wait(&self, mut count: MutexGuard<'_, usize>, min: usize) {
        while *count < min {
            count = self.changed.wait(count).unwrap();
        }
    }
}

#[test]
fn each_job_runs_or_is_dropped_at_the_end_of_the_pool() {
    check(|| {
        let token = Arc::new(());
        let begun = Arc::new(AtomicUsize::new(0));
        let workers = Workers::new(&pool(1, 2)).unwrap();
        for _ in 0..2 {
            let (held, begun) = (Arc::clone(&token), Arc::clone(&begun));
            let job = move || {
                begun.fetch_add(1, Ordering::Relaxed);
                drop(held);
            };
            assert!(workers.submit(Class::Cpu, job).is_ok());
        }
        drop(workers);
        // loom looks at both orders of this and a job that begins. But the threads are gone, and so
        // is what they held.
        assert!(begun.load(Ordering::Relaxed) <= 2);
        assert_eq!(Arc::strong_count(&token), 1);
    });
}

#[test]
fn a_job_waits_for_no_thread_that_is_at_work_while_another_may_start() {
    check(|| {
        let workers = Workers::new(&pool(2, 3)).unwrap();
        // The thread of this job may be idle later, or still be at work.
        assert!(workers.submit(Class::Cpu, || ()).is_ok());
        let met = Count::new();
        // Each of the two jobs needs the other one to run at the same time.
        for _ in 0..2 {
            let met = Arc::clone(&met);
            let meet = move || met.add_one_and_wait_for(2);
            assert!(workers.submit(Class::Cpu, meet).is_ok());
        }
        met.wait_for(2); // the end of the pool would drop a job that has not begun
    });
}

#[test]
fn jobs_that_find_no_room_begin_in_their_order() {
    check(|| {
        let mut event_loop = EventLoop::with(Options::from(pool(1, 1))).unwrap();
        // loom need not see this lock: a job holds it for one push.
        let begun = Arc::new(sync::Mutex::new(Vec::new()));
        event_loop.block_on(async {
            let handle = Handle::current();
            let spawn = |number| {
                let begun = Arc::clone(&begun);
                let job = move || begun.lock().unwrap().push(number);
                handle.spawn(async move { Handle::current().offload(job).await.unwrap() })
            };
            // One may run, one is queued, and one waits for its place with a ticket.
            let [first, second, third] = [0, 1, 2].map(spawn);
            first.await.unwrap();
            // The ticket may have been admitted by now, and the place be kept for it.
            for task in [second, third, spawn(3)] {
                task.await.unwrap();
            }
        });
        assert_eq!(*begun.lock().unwrap(), [0, 1, 2, 3]);
    });
}

/// Polls a future once.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[test]
fn a_job_that_gives_up_its_ticket_leaves_its_place_to_the_next() {
    check(|| {
        let mut event_loop = EventLoop::with(Options::from(pool(1, 1))).unwrap();
        event_loop.block_on(async {
            let handle = Handle::current();
            let queued: [_; 2] = std::array::from_fn(|_| handle.offload(|| ()));
            let mut gives_up = Box::pin(handle.offload(|| ()));
            let _ = poll_once(gives_up.as_mut()).await; // takes a ticket, if there is no room
            let mut waits = pin!(handle.offload(|| ()));
            let polled = poll_once(waits.as_mut()).await;
            // Its ticket may have been admitted by now, and the place be kept for it.
            drop(gives_up);
            if polled.is_pending() {
                waits.await.unwrap();
            }
            drop(queued);
        });
    });
}

#[test]
fn a_job_that_is_canceled_does_not_begin_or_continues_alone() {
    check(|| {
        let token = Arc::new(());
        let begun = Arc::new(AtomicUsize::new(0));
        let gate = Count::new(); // opens at 1
        let mut event_loop = EventLoop::with(Options::from(pool(1, 2))).unwrap();
        event_loop.block_on(async {
            let mut jobs = [(); 2].map(|()| {
                let (held, begun) = (Arc::clone(&token), Arc::clone(&begun));
                let gate = Arc::clone(&gate);
                Box::pin(Handle::current().offload(move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    gate.wait_for(1);
                    held
                }))
            });
            for job in &mut jobs {
                assert!(poll_once(job.as_mut()).await.is_pending());
            }
            drop(jobs); // must not wait for one that has begun
        });
        gate.add_one_and_wait_for(1);
        drop(event_loop);
        // The only thread came to the second job when that was canceled.
        assert!(begun.load(Ordering::Relaxed) <= 1);
        assert_eq!(Arc::strong_count(&token), 1);
    });
}
