//! Loops that other threads reach: the inbox, its bell, and the wakers of tasks.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use oneloop_core::EventLoop;
use oneloop_models::check;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Completes once `is_ready` returns true. With its first poll, `begin` gets the waker.
fn until(
    begin: impl FnOnce(&Waker),
    mut is_ready: impl FnMut() -> bool,
) -> impl Future<Output = ()> {
    let mut begin = Some(begin);
    poll_fn(move |cx| {
        if let Some(begin) = begin.take() {
            begin(cx.waker());
        }
        match is_ready() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
}

#[test]
fn a_task_sees_what_each_of_two_threads_wrote_before_its_wake() {
    check(|| {
        let written: [_; 2] = std::array::from_fn(|_| Arc::new(AtomicUsize::new(0)));
        let mut event_loop = EventLoop::new().unwrap();
        let begin = |waker: &Waker| {
            for written in &written {
                let (written, waker) = (Arc::clone(written), waker.clone());
                thread::spawn(move || {
                    written.store(1, Ordering::Relaxed);
                    waker.wake();
                });
            }
        };
        let are_both_written = || written.iter().all(|it| it.load(Ordering::Relaxed) == 1);
        event_loop.block_on(until(begin, are_both_written));
    });
}

#[test]
fn a_wake_counts_while_an_earlier_one_is_on_its_way() {
    check(|| {
        let written = Arc::new(AtomicUsize::new(0));
        let mut event_loop = EventLoop::new().unwrap();
        let begin = |waker: &Waker| {
            let (written, waker) = (Arc::clone(&written), waker.clone());
            thread::spawn(move || {
                for number in 1..=2 {
                    written.store(number, Ordering::Relaxed);
                    waker.wake_by_ref();
                }
            });
        };
        event_loop.block_on(until(begin, || written.load(Ordering::Relaxed) == 2));
    });
}

#[test]
fn a_loop_does_what_was_sent_before_its_last_remote_went_and_ends() {
    check(|| {
        let done = Arc::new(AtomicUsize::new(0));
        let mut event_loop = EventLoop::new().unwrap();
        for _ in 0..2 {
            let (remote, done) = (event_loop.handle().remote(), Arc::clone(&done));
            thread::spawn(move || {
                let job = move |_: &_| {
                    done.fetch_add(1, Ordering::Relaxed);
                };
                remote.run(job).unwrap();
            });
        }
        event_loop.run().unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_job_is_dropped_whether_it_came_before_or_after_the_end_of_the_loop() {
    check(|| {
        let token = Arc::new(());
        let event_loop = EventLoop::new().unwrap();
        let (remote, held) = (event_loop.handle().remote(), Arc::clone(&token));
        let kept = remote.clone(); // keeps the inbox
        let sender = thread::spawn(move || {
            let _ = remote.run(move |_| drop(held));
        });
        drop(event_loop);
        sender.join().unwrap();
        assert_eq!(Arc::strong_count(&token), 1);
        drop(kept);
    });
}

#[test]
fn a_loop_that_is_stopped_by_another_thread_ends() {
    check(|| {
        let mut event_loop = EventLoop::new().unwrap();
        let remote = event_loop.handle().remote();
        let kept = remote.clone();
        thread::spawn(move || remote.stop());
        event_loop.run().unwrap();
        drop(kept);
    });
}

#[test]
fn a_task_with_the_waker_of_an_ended_one_gets_its_own_wake_and_no_other() {
    check(|| {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        event_loop.block_on(async {
            // The second task gets the waker of the first one, unless the thread still has a clone.
            for _ in 0..2 {
                let mut polls = 0;
                let written = Arc::new(AtomicUsize::new(0));
                let at_thread = Arc::clone(&written);
                let begin = |waker: &Waker| {
                    let waker = waker.clone();
                    thread::spawn(move || {
                        at_thread.store(1, Ordering::Relaxed);
                        waker.wake_by_ref();
                    });
                };
                let is_written = move || {
                    polls += 1;
                    assert!(polls <= 2, "its own wake is the only one");
                    written.load(Ordering::Relaxed) == 1
                };
                handle.spawn(until(begin, is_written)).await.unwrap();
            }
        });
    });
}
