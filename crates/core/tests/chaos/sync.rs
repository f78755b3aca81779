//! The primitives of `oneloop::sync`, between tasks that also wait for timers: each value arrives
//! once, and no waiter sleeps while something is there for it.

use crate::harness::{TIMERS, check};
use oneloop::aio::{self, sleep, spawn};
use oneloop::callback::{run_on, set_timeout, spawn_micro};
use oneloop::green::{self, Wait};
use oneloop::sync::{
    Barrier, Condition, Event, Mutex, Notify, OnceCell, OneShot, Queue, RwLock, Semaphore,
    broadcast, channel, distant_channel, watch,
};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const TASKS: u64 = 4;
const VALUES: u64 = 12;

fn pause(number: u64) -> Duration {
    Duration::from_millis(number % 3)
}

#[test]
fn async_tasks_share_primitives() {
    check(TIMERS, |event_loop| event_loop.block_on(share()));
}

#[test]
fn callbacks_share_primitives() {
    check(TIMERS, |event_loop| {
        let done = Rc::new(Cell::new(false));
        let is_done = Rc::clone(&done);
        let code = run_on(event_loop, move || {
            set_timeout(
                move || {
                    drop(spawn_micro(async move {
                        share().await;
                        done.set(true);
                    }));
                },
                1,
            );
        });
        assert_eq!(code.unwrap(), 0);
        assert!(is_done.get());
    });
}

async fn share() {
    let queue = Queue::bounded(2);
    let (sender, receiver) = channel(Some(1));
    let (distant, mut from_distant) = distant_channel(1);
    let permits = Semaphore::new(2);
    let held = Rc::new(Cell::new(0));
    let sum = Mutex::new(0);
    let started = Event::new();
    let tasks = (0..TASKS).map(|task| {
        let (queue, sender, permits) = (queue.clone(), sender.clone(), permits.clone());
        let (held, sum, started) = (Rc::clone(&held), sum.clone(), started.clone());
        let distant = distant.clone();
        spawn(async move {
            started.until_set().await;
            for value in 0..VALUES {
                sleep(pause(task + value)).await;
                queue.put(task * VALUES + value).await;
                sender.send(value).await.unwrap();
                distant.send(value).await.unwrap();
                let permit = permits.acquire().await;
                held.set(held.get() + 1);
                assert!(held.get() <= 2);
                sleep(pause(value)).await;
                held.set(held.get() - 1);
                drop(permit);
                let mut guard = sum.lock().await;
                let before = *guard;
                sleep(pause(value)).await;
                *guard = before + value; // no other task has changed it
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    drop((sender, distant));
    let received_from_distant = spawn(async move {
        let mut sum = 0;
        while let Some(value) = from_distant.receive().await {
            sum += value;
        }
        sum
    });
    let queued = spawn(async move {
        let mut values = Vec::new();
        for _ in 0..TASKS * VALUES {
            values.push(queue.get().await);
        }
        values
    });
    let received = spawn(async move {
        let mut sum = 0;
        while let Some(value) = receiver.receive().await {
            sum += value;
        }
        sum
    });
    started.set();
    for task in tasks {
        task.await.unwrap();
    }
    let expected = TASKS * VALUES * (VALUES - 1) / 2;
    assert_eq!(*sum.lock().await, expected);
    assert_eq!(received.await.unwrap(), expected);
    assert_eq!(received_from_distant.await.unwrap(), expected);
    let mut values = queued.await.unwrap();
    for task in 0..TASKS {
        let of_task = values.iter().filter(|value| *value / VALUES == task);
        assert!(of_task.is_sorted(), "each task's values keep their order");
    }
    values.sort_unstable();
    assert_eq!(values, Vec::from_iter(0..TASKS * VALUES));
}

#[test]
fn green_threads_share_primitives() {
    check(TIMERS, |event_loop| {
        green::run_on(event_loop, || {
            let (condition, ready) = (Condition::new(), Rc::new(Cell::new(0_u64)));
            let answer = OneShot::new();
            let queue = Queue::rendezvous();
            let consumers = (0..TASKS).map(|_| {
                let (condition, ready) = (condition.clone(), Rc::clone(&ready));
                let (queue, answer) = (queue.clone(), answer.clone());
                green::spawn(move || {
                    let mut lock = condition.lock().wait();
                    while ready.get() == 0 {
                        lock = lock.wait().wait();
                    }
                    ready.set(ready.get() - 1);
                    drop(lock);
                    assert_eq!(answer.get().wait(), 42);
                    (0..VALUES).map(|_| queue.get().wait()).sum::<u64>()
                })
            });
            let consumers: Vec<_> = consumers.collect();
            let producer = green::spawn(move || {
                for value in 0..TASKS * VALUES {
                    green::sleep(pause(value));
                    queue.put(value).wait();
                }
            });
            for _ in 0..TASKS {
                green::sleep(pause(1));
                let lock = condition.lock().wait();
                ready.set(ready.get() + 1);
                drop(lock);
                condition.notify_one();
            }
            answer.send(42).unwrap();
            let sums = consumers.into_iter().map(|thread| thread.join().unwrap());
            let sum: u64 = sums.sum();
            producer.join().unwrap();
            let values = TASKS * VALUES;
            assert_eq!(sum, values * (values - 1) / 2);
        })
        .unwrap();
    });
}

#[test]
fn a_canceled_wait_takes_nothing() {
    check(TIMERS, |event_loop| {
        event_loop.block_on(async {
            let queue = Queue::unbounded();
            let getter = queue.clone();
            let received = spawn(async move {
                let mut received = Vec::new();
                while received.len() < VALUES as usize {
                    let got = aio::timeout(Duration::from_millis(1), getter.get()).await;
                    received.extend(got);
                }
                received
            });
            for value in 0..VALUES {
                sleep(Duration::from_millis(1)).await;
                queue.put(value).await;
            }
            assert_eq!(received.await.unwrap(), Vec::from_iter(0..VALUES));
        });
    });
}

#[test]
fn async_tasks_share_news_and_locks() {
    check(TIMERS, |event_loop| event_loop.block_on(share_news()));
}

#[test]
fn green_threads_share_news_and_locks() {
    check(TIMERS, |event_loop| {
        green::run_on(event_loop, || {
            let threads = (0..2).map(|_| green::spawn(|| share_news().wait()));
            for thread in Vec::from_iter(threads) {
                thread.join().unwrap();
            }
        })
        .unwrap();
    });
}

#[test]
fn callbacks_share_news_and_locks() {
    check(TIMERS, |event_loop| {
        let done = OneShot::new();
        let is_done = done.clone();
        let code = run_on(event_loop, move || {
            let shared = async move {
                share_news().await;
                done.send(()).unwrap();
            };
            set_timeout(move || drop(spawn_micro(shared)), 1);
        });
        assert_eq!(code.unwrap(), 0);
        assert!(is_done.is_sent());
    });
}

/// Tasks that begin together: each writes, then all read what all have written.
async fn share_news() {
    let (latest, state) = watch::channel(0);
    let news = broadcast::Sender::new(TASKS as usize);
    let (begin, written) = (Barrier::new(TASKS as usize), Barrier::new(TASKS as usize));
    let (values, greeting) = (RwLock::new(Vec::new()), OnceCell::new());
    let (creations, done) = (Rc::new(Cell::new(0)), Notify::new());
    let tasks = (0..TASKS).map(|task| {
        let (latest, mut state) = (latest.clone(), state.clone());
        let (news, mut all) = (news.clone(), news.subscribe());
        let (begin, written) = (begin.clone(), written.clone());
        let (values, greeting) = (values.clone(), greeting.clone());
        let (creations, done) = (Rc::clone(&creations), done.clone());
        spawn(async move {
            sleep(pause(task)).await;
            begin.wait().await;
            let create = async || {
                sleep(pause(task + 1)).await;
                creations.set(creations.get() + 1);
                (creations.get() > 1).then_some("hello").ok_or("not yet")
            };
            while greeting.get_or_try_init(create).await.is_err() {}
            let mut guard = values.write().await;
            let before = guard.len();
            sleep(pause(task)).await;
            assert_eq!(guard.len(), before, "a writer is alone");
            guard.push(task);
            drop(guard);
            news.send(task).unwrap();
            latest.send_modify(|count| *count += 1);
            written.wait().await;
            let guard = values.read().await;
            sleep(pause(task)).await;
            assert_eq!(guard.len() as u64, TASKS);
            state.wait_for(|count| *count == TASKS).await.unwrap();
            let mut received = Vec::new();
            for _ in 0..TASKS {
                received.push(all.receive().await.unwrap());
            }
            assert_eq!(received, *guard, "news come in the order of the writes");
            done.notify_one();
            *greeting.get().unwrap()
        })
    });
    let tasks = Vec::from_iter(tasks);
    done.notified().await;
    for task in tasks {
        assert_eq!(task.await.unwrap(), "hello");
    }
    assert_eq!(creations.get(), 2, "one failed, and one created it");
}
