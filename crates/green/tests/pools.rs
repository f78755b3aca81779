//! Pools: permits, and functions that are queued for one. On virtual time.

mod harness;

use harness::{Log, MS, event_loop, run};
use oneloop_core::{Handle, JoinError};
use oneloop_green::{
    Group, GroupMapping, Outcome, Pool, PoolFull, RunError, Wait, current, sleep, spawn,
    try_current, yield_now,
};
use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

/// A function that logs its name, and its end after the given time in milliseconds.
fn job(log: &Log, name: &'static str, ms: u32) -> impl FnOnce() -> &'static str + use<> {
    let log = log.clone();
    move || {
        log.say(name);
        sleep(ms * MS);
        log.say(format!("{name}."));
        name
    }
}

#[test]
fn submitted_functions_begin_in_order_as_permits_get_free() {
    let log = run(|| {
        let (log, pool) = (Log::default(), Pool::new(2));
        let jobs = [("a", 30), ("b", 10), ("c", 10), ("d", 5)];
        let jobs = jobs.map(|(name, ms)| pool.submit(job(&log, name, ms)));
        log.say(format!(
            "{} {} {}",
            pool.running(),
            pool.queued(),
            pool.waiting()
        ));
        pool.join();
        log.say(format!(
            "{} {} {}",
            pool.running(),
            pool.queued(),
            pool.free()
        ));
        assert_eq!(jobs.map(|job| job.join().unwrap()), ["a", "b", "c", "d"]);
        log
    });
    assert_eq!(log.unwrap().lines(), "2 2 2 a b b. c c. d d. a. 0 0 2");
}

#[test]
fn join_waits_for_queued_functions_and_for_what_they_submit() {
    let log = run(|| {
        let (log, pool) = (Log::default(), Pool::new(1));
        drop(pool.submit(job(&log, "a", 10)));
        let (inside, late) = (pool.clone(), job(&log, "c", 10));
        drop(pool.submit(move || drop(inside.submit(late))));
        drop(pool.submit(job(&log, "b", 10)));
        assert_eq!((pool.running(), pool.queued()), (1, 2));
        pool.join();
        log.say("joined");
        assert_eq!((pool.running(), pool.queued(), pool.free()), (0, 0, 1));
        log
    });
    assert_eq!(log.unwrap().lines(), "a a. b b. c c. joined");
}

#[test]
fn a_task_without_a_stack_submits_and_awaits_the_results() {
    let mut event_loop = event_loop();
    let pool = Pool::new(1);
    let inside = pool.clone();
    let names = event_loop.block_on(async move {
        assert!(try_current().is_none());
        let log = Log::default();
        let (first, second) = (
            inside.submit(job(&log, "a", 1)),
            inside.submit(job(&log, "b", 1)),
        );
        assert!(matches!(inside.try_spawn(|| ()), Err(PoolFull)));
        inside.group().until_empty().await;
        [first.await.unwrap(), second.await.unwrap()]
    });
    assert_eq!(names, ["a", "b"]);
    assert_eq!((pool.running(), pool.queued(), pool.free()), (0, 0, 1));
}

#[test]
fn spawn_needs_no_green_thread_while_a_permit_is_free() {
    let mut event_loop = event_loop();
    let pool = Pool::new(1);
    let spawned = event_loop.enter(|| pool.spawn(|| sleep(MS)));
    event_loop.block_on(async { spawned.await.unwrap() });
}

#[test]
fn submitted_functions_are_not_overtaken_by_later_ones() {
    let log = run(|| {
        let (log, pool) = (Log::default(), Pool::new(1));
        let first = pool.submit(job(&log, "a", 1));
        drop(pool.submit(job(&log, "b", 1)));
        first.join().unwrap();
        // The permit of `a` is released now, and `b` has not run yet.
        yield_now();
        drop(pool.submit(job(&log, "c", 1)));
        pool.join();
        log
    });
    assert_eq!(log.unwrap().lines(), "a a. b b. c c.");
}

#[test]
fn a_fair_pool_serves_waiting_spawns_and_queued_functions_in_one_line() {
    let log = run(|| {
        let (log, pool) = (Log::default(), Pool::fair(1));
        drop(pool.submit(job(&log, "a", 1)));
        let (inside, job_b) = (pool.clone(), job(&log, "b", 1));
        let spawner = spawn(move || drop(inside.spawn(job_b)));
        yield_now();
        drop(pool.submit(job(&log, "c", 1)));
        assert_eq!((pool.waiting(), pool.queued()), (2, 1));
        spawner.join().unwrap();
        pool.join();
        log
    });
    assert_eq!(log.unwrap().lines(), "a a. b b. c c.");
}

#[test]
fn a_queued_function_that_is_canceled_or_killed_never_begins() {
    let log = run(|| {
        let (log, pool) = (Log::default(), Pool::new(1));
        drop(pool.submit(job(&log, "a", 10)));
        let [canceled, killed, last] = ["b", "c", "d"].map(|name| pool.submit(job(&log, name, 1)));
        assert_eq!(pool.queued(), 3);
        assert!(canceled.cancel());
        killed.kill();
        assert_eq!(killed.outcome(), Some(Outcome::Killed));
        assert!(matches!(canceled.join(), Err(JoinError::Canceled)));
        assert_eq!((pool.running(), pool.queued(), pool.waiting()), (1, 1, 1));
        last.join().unwrap();
        log
    });
    assert_eq!(log.unwrap().lines(), "a a. d d.");
}

#[test]
fn a_queued_function_that_never_begins_is_dropped_on_its_own_thread() {
    struct SaysItsThread(Log);
    impl Drop for SaysItsThread {
        fn drop(&mut self) {
            self.0.say(format!("dropped on {:?}", current().outcome()));
        }
    }
    let log = run(|| {
        let (log, pool) = (Log::default(), Pool::new(1));
        drop(pool.submit(|| sleep(10 * MS)));
        let captured = SaysItsThread(log.clone());
        pool.submit(move || drop(captured)).kill();
        log.say("killed");
        log
    });
    assert_eq!(log.unwrap().lines(), "dropped on None killed");
}

#[test]
fn kill_ends_running_members_and_empties_the_queue() {
    let log = run(|| {
        let (log, pool) = (Log::default(), Pool::new(1));
        let jobs = ["a", "b"].map(|name| pool.submit(job(&log, name, 10)));
        yield_now();
        pool.kill();
        assert_eq!((pool.running(), pool.queued(), pool.free()), (0, 0, 1));
        for job in jobs {
            assert!(matches!(job.join(), Err(JoinError::Killed)));
        }
        pool.submit(job(&log, "c", 1)).join().unwrap(); // a killed pool can be used again
        log
    });
    assert_eq!(log.unwrap().lines(), "a c c.");
}

#[test]
fn queued_functions_outlive_the_pool_and_their_handles() {
    let log = run(|| {
        let (log, pool) = (Log::default(), Pool::new(1));
        drop(["a", "b", "c"].map(|name| pool.submit(job(&log, name, 1))));
        drop(pool);
        sleep(10 * MS);
        log
    });
    assert_eq!(log.unwrap().lines(), "a a. b b. c c.");
}

#[test]
fn a_loop_that_is_dropped_drops_its_queued_functions_without_a_run() {
    let (began, captured) = (Rc::new(Cell::new(false)), Rc::new(()));
    let mut event_loop = event_loop();
    event_loop.enter(|| {
        let pool = Pool::new(1);
        drop(pool.submit(|| pending::<()>().wait()));
        let (began, captured) = (Rc::clone(&began), Rc::clone(&captured));
        drop(pool.submit(move || {
            began.set(true);
            drop(captured);
        }));
    });
    event_loop.run().unwrap();
    assert_eq!(Rc::strong_count(&captured), 2);
    drop(event_loop);
    assert_eq!((began.get(), Rc::strong_count(&captured)), (false, 1));
}

#[test]
fn a_panic_of_a_queued_function_reaches_its_handle_and_releases_its_permit() {
    run(|| {
        let pool = Pool::new(1);
        drop(pool.submit(|| sleep(MS)));
        let panics = pool.submit(|| panic!("no luck"));
        let next = pool.submit(|| 7);
        assert_eq!(panics.join().unwrap_err().panic_message(), Some("no luck"));
        assert_eq!(next.join().unwrap(), 7);
    })
    .unwrap();
}

#[test]
fn a_deadlock_names_the_queued_functions() {
    let result = run(|| {
        let pool = Pool::new(1);
        drop(pool.submit(|| pending::<()>().wait()));
        pool.submit(|| ()).join().unwrap();
    });
    let Err(RunError::Deadlock(deadlock)) = result else {
        panic!("not a deadlock: {result:?}");
    };
    let deadlock = deadlock.to_string();
    assert!(
        deadlock.contains("green thread is queued for its pool"),
        "{deadlock}"
    );
    assert!(deadlock.contains("pools.rs"), "{deadlock}");
}

#[test]
fn try_submit_refuses_when_the_queue_has_reached_the_limit() {
    run(|| {
        let pool = Pool::new(1);
        drop(pool.try_submit(0, || sleep(MS)).unwrap()); // there is a permit
        assert!(matches!(pool.try_submit(0, || ()), Err(PoolFull)));
        drop(pool.try_submit(1, || ()).unwrap());
        assert!(matches!(pool.try_submit(1, || ()), Err(PoolFull)));
        pool.join();
        assert_eq!((pool.free(), pool.queued()), (1, 0));
    })
    .unwrap();
}

#[test]
fn until_queued_waits_for_a_short_queue() {
    let lengths = run(|| {
        let pool = Pool::new(1);
        for _ in 0..4 {
            drop(pool.submit(|| sleep(10 * MS)));
        }
        let mut lengths = vec![pool.queued()];
        for queued_max in [3, 1, 0] {
            pool.until_queued(queued_max).wait();
            lengths.push(pool.queued());
        }
        // A function that leaves the queue by a kill counts as well.
        let queued = pool.submit(|| sleep(10 * MS));
        queued.kill_soon();
        pool.until_queued(0).wait();
        lengths.push(pool.queued());
        lengths
    });
    assert_eq!(lengths.unwrap(), [3, 3, 1, 0, 0]);
}

#[test]
fn a_pool_that_grows_begins_queued_functions_and_one_that_shrinks_begins_fewer() {
    let log = run(|| {
        let (log, pool) = (Log::default(), Pool::new(1));
        for (name, ms) in [("a", 20), ("b", 20), ("c", 10), ("d", 10), ("e", 10)] {
            drop(pool.submit(job(&log, name, ms)));
        }
        pool.resize(2);
        yield_now();
        assert_eq!((pool.size(), pool.running(), pool.queued()), (2, 2, 3));
        pool.resize(1);
        assert_eq!((pool.size(), pool.running()), (1, 2)); // those that run continue
        sleep(25 * MS);
        assert_eq!((pool.running(), pool.free(), pool.queued()), (1, 0, 2));
        pool.join();
        assert_eq!(pool.free(), 1);
        pool.resize(3);
        pool.resize(2);
        assert_eq!(pool.free(), 2);
        log
    });
    assert_eq!(log.unwrap().lines(), "a b a. b. c c. d d. e e.");
}

#[test]
fn members_of_a_full_pool_submit_into_it_without_a_deadlock() {
    let log = run(|| {
        let (log, pool) = (Log::default(), Pool::new(1));
        let (inside, nested) = (pool.clone(), job(&log, "nested", 1));
        let outer = pool.submit(move || {
            drop(inside.submit(nested));
            assert!(inside.group().contains(&current()));
        });
        outer.join().unwrap();
        pool.join();
        log
    });
    assert_eq!(log.unwrap().lines(), "nested nested.");
}

#[test]
fn queued_functions_need_no_stacks() {
    const COUNT: usize = 100_000; // more than a process may have mappings for
    run(|| {
        let (pool, done) = (Pool::new(10), Rc::new(Cell::new(0)));
        for _ in 0..COUNT {
            let done = Rc::clone(&done);
            drop(pool.submit(move || done.update(|done| done + 1)));
        }
        assert_eq!(pool.queued(), COUNT - 10);
        pool.join();
        assert_eq!(done.get(), COUNT);
    })
    .unwrap();
}

#[test]
fn submitting_outside_of_a_loop_panics_and_takes_no_place() {
    let pool = Pool::new(1);
    let submit = || drop(pool.submit(|| ()));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(submit)).is_err());
    assert_eq!((pool.free(), pool.queued()), (1, 0));
}

#[test]
fn mapping_with_a_pool_leaves_queued_functions_their_turn() {
    run(|| {
        let pool = Pool::new(2);
        let queued = [1, 2, 3].map(|n| pool.submit(move || n));
        assert_eq!(pool.map([10, 20], |n| n + 1), [11, 21]);
        assert_eq!(queued.map(|job| job.join().unwrap()), [1, 2, 3]);
    })
    .unwrap();
}

#[test]
fn a_group_tells_every_style_when_it_is_empty() {
    let mut event_loop = event_loop();
    let elapsed = event_loop.block_on(async {
        let handle = Handle::current();
        let (group, began) = (Group::new(), handle.now());
        drop([3, 5].map(|ms| group.spawn(move || sleep(ms * MS))));
        group.until_empty().await;
        handle.now() - began
    });
    assert_eq!(elapsed, 5 * MS);
}

#[test]
fn a_pool_that_outlives_its_loop_has_its_permits_back() {
    let pool = Pool::new(1);
    for _ in 0..2 {
        let inside = pool.clone();
        run(move || {
            inside.spawn(|| sleep(60_000 * MS));
            inside.submit(|| panic!("it never begins"));
            yield_now();
        })
        .unwrap();
        let counts = (pool.running(), pool.queued(), pool.free(), pool.waiting());
        assert_eq!(counts, (0, 0, 1, 0));
    }
    assert_eq!(run(move || pool.submit(|| 42).join().unwrap()).unwrap(), 42);
}
