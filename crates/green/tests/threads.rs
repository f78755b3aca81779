//! What green threads promise, in gevent's order where it differs from eventlet's. On virtual time.

mod harness;

use harness::{Log, MS, run};
use oneloop_core::{Handle, JoinError};
use oneloop_green::{
    Builder, Elapsed, Group, JoinHandle, Outcome, RunError, Wait, catch_deadlock, current,
    green_local, idle, iwait, offload, sleep, spawn, spawn_after, spawn_after_local, timeout,
    wait_any, yield_now,
};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// Logs its text when it is dropped, after a wait if there is one.
struct Cleanup(Log, &'static str, Duration);

impl Drop for Cleanup {
    fn drop(&mut self) {
        if !self.2.is_zero() {
            self.0.say(format!("{}...", self.1));
            sleep(self.2);
        }
        self.0.say(self.1);
    }
}

fn sleeper(log: &Log, cleanup: Duration) -> JoinHandle<()> {
    let log = log.clone();
    spawn(move || {
        let _cleanup = Cleanup(log.clone(), "cleaned", cleanup);
        log.say("began");
        sleep(1000 * MS);
        log.say("slept");
    })
}

#[test]
fn spawn_runs_nothing_at_once_and_keeps_the_order() {
    let log = run(|| {
        let log = Log::default();
        let threads: Vec<_> = ["a", "b", "c"]
            .map(|name| {
                let log = log.clone();
                spawn(move || {
                    for _ in 0..2 {
                        log.say(name);
                        yield_now();
                    }
                })
            })
            .into();
        log.say("spawned");
        for thread in threads {
            thread.join().unwrap();
        }
        log
    });
    assert_eq!(log.unwrap().lines(), "spawned a b c a b c");
}

#[test]
fn equal_delays_keep_their_order_and_a_delay_of_zero_is_behind_ready_threads() {
    let log = run(|| {
        let log = Log::default();
        let say = |text: &'static str| {
            let log = log.clone();
            move || log.say(text)
        };
        drop(spawn_after(Duration::ZERO, say("later 0")));
        drop(spawn_after(20 * MS, say("20 a")));
        drop(spawn_after(10 * MS, say("10")));
        drop(spawn_after(20 * MS, say("20 b")));
        drop(spawn(say("now")));
        sleep(30 * MS);
        log.clone()
    });
    assert_eq!(log.unwrap().lines(), "now later 0 10 20 a 20 b");
}

#[test]
fn a_local_delay_is_canceled_with_its_spawner() {
    let log = run(|| {
        let log = Log::default();
        let (inner, outer) = (log.clone(), log.clone());
        let parent = spawn(move || {
            drop(spawn_after_local(10 * MS, move || inner.say("child")));
            outer.say("parent");
        });
        parent.join().unwrap();
        sleep(20 * MS);
        log
    });
    assert_eq!(log.unwrap().lines(), "parent");
}

#[test]
fn a_killed_thread_runs_its_drops_and_its_result_is_killed() {
    let (log, error) = run(|| {
        let log = Log::default();
        let victim = sleeper(&log, 5 * MS);
        yield_now();
        victim.kill();
        log.say("killed");
        (log, victim.join().unwrap_err())
    })
    .unwrap();
    assert_eq!(log.lines(), "began cleaned... cleaned killed");
    assert!(matches!(error, JoinError::Killed));
}

#[test]
fn kill_soon_only_schedules_the_kill() {
    let log = run(|| {
        let log = Log::default();
        let victim = sleeper(&log, Duration::ZERO);
        yield_now();
        victim.kill_soon();
        log.say("scheduled");
        yield_now();
        log.say("yielded");
        log
    });
    assert_eq!(log.unwrap().lines(), "began scheduled cleaned yielded");
}

#[test]
fn kill_now_runs_the_victim_before_all_others() {
    let log = run(|| {
        let log = Log::default();
        let victim = sleeper(&log, 5 * MS);
        yield_now();
        let other = log.clone();
        drop(spawn(move || other.say("other")));
        victim.kill_now();
        log.say("after kill");
        let _ = victim.join();
        log
    });
    let expected = "began cleaned... other after kill cleaned";
    assert_eq!(log.unwrap().lines(), expected);
}

#[test]
fn a_thread_killed_before_it_begins_never_runs_but_its_links_are_called() {
    let log = run(|| {
        let log = Log::default();
        let victim = sleeper(&log, Duration::ZERO);
        let link = log.clone();
        victim.on_exit(move |thread| link.say(format!("{:?}", thread.outcome().unwrap())));
        victim.kill_soon();
        assert!(victim.is_finished());
        assert!(matches!(victim.join(), Err(JoinError::Killed)));
        log.say("joined");
        yield_now(); // links are notified behind what is ready
        log
    });
    assert_eq!(log.unwrap().lines(), "joined Killed");
}

#[test]
fn killing_a_group_returns_although_all_members_end_at_once() {
    let left = run(|| {
        let group = Group::new();
        (0..3).for_each(|_| drop(group.spawn(|| sleep(1000 * MS))));
        yield_now();
        group.kill();
        group.len()
    });
    assert_eq!(left.unwrap(), 0);
}

#[test]
fn a_panic_in_the_drop_of_a_thread_that_never_began_leaves_no_waiter_parked() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }
    run(|| {
        let reports = Rc::new(Cell::new(0));
        let counts = Rc::clone(&reports);
        Handle::current().on_unhandled(move |_| counts.set(counts.get() + 1));
        let bad = Bad;
        let victim = spawn(move || drop(bad));
        victim.kill();
        assert!(matches!(victim.join(), Err(JoinError::Killed)));
        assert_eq!(reports.get(), 1);
    })
    .unwrap();
}

#[test]
fn cancel_ends_only_a_thread_that_has_not_begun() {
    run(|| {
        let (a, b) = (spawn(|| sleep(MS)), spawn(|| ()));
        assert!(b.cancel());
        yield_now();
        assert!(!a.cancel());
        assert!(a.join().is_ok());
        assert!(matches!(b.join(), Err(JoinError::Canceled)));
    })
    .unwrap();
}

#[test]
fn a_thread_sees_its_wake_before_a_later_kill() {
    let log = run(|| {
        let log = Log::default();
        let says = log.clone();
        let (awaited, victim_waits_for) = (spawn(|| 7), Rc::new(Cell::new(None)));
        victim_waits_for.set(Some(awaited));
        let victim = spawn(move || {
            let awaited = victim_waits_for.take().unwrap();
            says.say(format!("{}", awaited.join().unwrap()));
            sleep(MS);
            says.say("not reached");
        });
        yield_now(); // the awaited thread has ended, and the victim is ready
        victim.kill();
        log
    });
    assert_eq!(log.unwrap().lines(), "7");
}

#[test]
fn a_kill_can_be_swallowed() {
    let value = run(|| {
        let stubborn = spawn(|| {
            let caught = catch_unwind(|| sleep(1000 * MS));
            assert!(caught.is_err());
            sleep(MS); // waits again
            "alive"
        });
        yield_now();
        stubborn.kill();
        stubborn.join().unwrap()
    });
    assert_eq!(value.unwrap(), "alive");
}

#[test]
fn a_thrown_payload_is_the_panic_of_its_thread() {
    run(|| {
        let victim = spawn(|| sleep(1000 * MS));
        yield_now();
        victim.throw(Box::new("mine"));
        let error = victim.join().unwrap_err();
        assert_eq!(error.panic_message(), Some("mine"));
    })
    .unwrap();
}

#[test]
fn a_panic_reaches_the_join_and_the_others_continue() {
    run(|| {
        let (bad, good) = (spawn(|| panic!("bad")), spawn(|| 1));
        assert_eq!(good.join().unwrap(), 1);
        assert_eq!(bad.outcome(), Some(Outcome::Panicked));
        let error = bad.join().unwrap_err();
        assert_eq!(error.panic_message(), Some("bad"));
    })
    .unwrap();
}

#[test]
fn an_unobserved_panic_is_reported_once() {
    let reported = run(|| {
        let reported = Rc::new(RefCell::new(Vec::new()));
        let reports = Rc::clone(&reported);
        Handle::current().on_unhandled(move |unhandled| {
            let message = unhandled.error.panic_message().unwrap().to_owned();
            reports.borrow_mut().push(message);
        });
        drop(spawn(|| panic!("dropped before")));
        let late = spawn(|| panic!("dropped after"));
        spawn(|| sleep(1000 * MS)).kill_soon();
        yield_now();
        yield_now();
        drop(late);
        reported
    });
    assert_eq!(
        *reported.unwrap().borrow(),
        ["dropped before", "dropped after"]
    );
}

#[test]
fn links_and_joiners_are_notified_in_the_order_in_which_they_asked() {
    let log = run(|| {
        let log = Log::default();
        let thread = spawn(|| ());
        for name in ["a", "b"] {
            let log = log.clone();
            thread.on_exit(move |_| log.say(name));
        }
        let spawned = log.clone();
        thread.on_exit_spawn(move |_| {
            sleep(MS);
            spawned.say("spawned");
        });
        thread.finished().wait();
        log.say("joined");
        let late = log.clone();
        thread.on_exit(move |_| late.say("late"));
        sleep(2 * MS);
        log
    });
    assert_eq!(
        log.unwrap().lines(),
        "a b joined late spawned",
        "all in their order"
    );
}

#[test]
fn a_link_can_be_removed_before_the_end() {
    let (log, removed) = run(|| {
        let log = Log::default();
        let thread = spawn(|| ());
        let [gone, stays, late] = ["gone", "stays", "late"].map(|name| {
            let log = log.clone();
            thread.on_exit(move |_| log.say(name))
        });
        let removed = gone.remove();
        drop(stays);
        thread.finished().wait();
        (log, [removed, late.remove()])
    })
    .unwrap();
    assert_eq!(
        (log.lines().as_str(), removed),
        ("stays late", [true, false])
    );
}

#[test]
fn many_threads_can_wait_for_one_end() {
    let count = run(|| {
        let thread = spawn(|| sleep(MS));
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let thread = thread.thread().clone();
                spawn(move || thread.finished().wait())
            })
            .collect();
        let mut thread = thread;
        assert_eq!(thread.join_timeout(MS / 2).unwrap_err(), Elapsed);
        assert_eq!(thread.join_timeout(MS).unwrap().unwrap(), ());
        waiting.into_iter().filter_map(|w| w.join().ok()).count()
    });
    assert_eq!(count.unwrap(), 3);
}

#[test]
fn iwait_yields_handles_in_the_order_of_their_ends() {
    run(|| {
        let sleeps = |ms: u32| {
            spawn(move || {
                sleep(ms * MS);
                ms
            })
        };
        let ends = iwait([3, 1, 2].map(sleeps)).map(|ended| ended.join().unwrap());
        assert_eq!(ends.collect::<Vec<_>>(), [1, 2, 3]);
        let threads = [30, 10, 20].map(sleeps);
        assert_eq!(wait_any(&threads).unwrap().thread(), threads[1].thread());
        let mut others = iwait(&threads);
        others.next();
        assert_eq!(others.next_timeout(MS).unwrap_err(), Elapsed);
        assert_eq!(others.next().unwrap().thread(), threads[2].thread());
    })
    .unwrap();
}

#[test]
fn timeouts_nest_and_each_catches_its_own() {
    run(|| {
        let inner_first = timeout(20 * MS, || timeout(10 * MS, || sleep(100 * MS)));
        assert_eq!(inner_first, Ok(Err(Elapsed)));
        let outer_first = timeout(10 * MS, || timeout(20 * MS, || sleep(100 * MS)));
        assert_eq!(outer_first, Err(Elapsed));
        let both = timeout(10 * MS, || timeout(10 * MS, || sleep(100 * MS)));
        assert_eq!(both, Err(Elapsed), "the outer one was started first");
        let neither = timeout(10 * MS, || timeout(10 * MS, || sleep(MS)));
        assert_eq!(neither, Ok(Ok(())));
        sleep(100 * MS); // none of them interrupts this
    })
    .unwrap();
}

#[test]
fn a_timeout_that_is_over_during_a_computation_interrupts_the_next_wait() {
    run(|| {
        let waited = Rc::new(Cell::new(false));
        let inside = Rc::clone(&waited);
        let result = timeout(Duration::ZERO, move || {
            yield_now(); // not interrupted: it returns before the phase of the timers
            inside.set(true);
            sleep(MS);
        });
        assert_eq!((result, waited.get()), (Err(Elapsed), true));
    })
    .unwrap();
}

#[test]
fn a_wait_that_times_out_drops_its_future() {
    run(|| {
        let alive = Rc::new(());
        let held = Rc::clone(&alive);
        let never = async move {
            let _held = held;
            pending::<()>().await;
        };
        assert_eq!(never.wait_timeout(MS), Err(Elapsed));
        assert_eq!(Rc::strong_count(&alive), 1);
        assert_eq!(async { 1 }.wait_timeout(MS), Ok(1));
    })
    .unwrap();
}

#[test]
fn idle_returns_behind_every_task_that_is_ready() {
    let log = run(|| {
        let log = Log::default();
        let (busy, lazy) = (log.clone(), log.clone());
        let lazy = spawn(move || {
            idle();
            lazy.say("idle");
        });
        drop(spawn(move || {
            for i in 0..1000 {
                yield_now();
                if i % 500 == 0 {
                    busy.say("busy");
                }
            }
        }));
        lazy.join().unwrap();
        log
    });
    assert_eq!(log.unwrap().lines(), "busy busy idle");
}

#[test]
fn a_deadlock_is_an_error_that_names_the_waiters() {
    let caught = run(|| {
        let stuck = Builder::new().name("stuck");
        let stuck = stuck.spawn(|| pending::<()>().wait()).unwrap();
        let caught = catch_deadlock(|| stuck.finished().wait()).unwrap_err();
        assert!(!stuck.is_finished(), "only the main thread is interrupted");
        sleep(MS); // the loop continues
        caught.to_string()
    })
    .unwrap();
    assert!(
        caught.contains("'stuck' waits for Pending<()> at"),
        "{caught}"
    );
    assert!(caught.contains("'main' waits for Finished at"), "{caught}");
    assert!(caught.contains("threads.rs"), "{caught}");
    let error = run(|| pending::<()>().wait()).unwrap_err();
    assert!(matches!(error, RunError::Deadlock(_)));
    // A `main` that returns it prints its `Debug`.
    let printed = format!("{:?}", io::Error::from(error));
    assert!(printed.contains("\n  task 0.0 waits"), "{printed}");
}

#[test]
fn each_thread_has_its_own_locals_which_are_dropped_with_it() {
    green_local! {
        static COUNT: Rc<Cell<u32>> = Rc::new(Cell::new(0));
    }
    run(|| {
        let mine = COUNT.with(Rc::clone);
        mine.set(1);
        let theirs = spawn(|| {
            let count = COUNT.with(Rc::clone);
            yield_now();
            COUNT.with(|count| count.set(count.get() + 1));
            count
        });
        let theirs = theirs.join().unwrap();
        assert_eq!((mine.get(), theirs.get()), (1, 1));
        assert_eq!(
            Rc::strong_count(&theirs),
            1,
            "it was dropped with its thread"
        );
    })
    .unwrap();
}

#[test]
fn offload_suspends_only_its_caller_and_returns_panics() {
    run(|| {
        let (go, wait) = std::sync::mpsc::channel();
        let other = spawn(move || go.send(5).unwrap());
        assert_eq!(offload(move || wait.recv().unwrap()), 5);
        assert!(other.is_finished());
        let panicked = catch_unwind(|| offload(|| panic!("there")));
        let payload = panicked.unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"there"));
    })
    .unwrap();
}

#[test]
fn a_dropped_loop_unwinds_its_threads() {
    let log = Log::default();
    let says = log.clone();
    run(move || {
        for cleanup in [Duration::ZERO, MS] {
            drop(sleeper(&says, cleanup));
        }
        yield_now();
    })
    .unwrap();
    assert_eq!(log.lines(), "began began cleaned cleaned... cleaned");
}

#[test]
fn a_drop_that_waits_forever_is_left_behind_with_its_loop() {
    struct Stuck;
    impl Drop for Stuck {
        fn drop(&mut self) {
            pending::<()>().wait();
        }
    }
    let thread = run(|| {
        let thread = spawn(|| {
            let _stuck = Stuck;
            sleep(MS);
        });
        yield_now();
        thread.thread().clone()
    })
    .unwrap();
    assert_eq!(thread.outcome(), Some(Outcome::Canceled));
}

#[test]
fn waiting_outside_of_a_green_thread_panics_with_advice() {
    let panicked = catch_unwind(AssertUnwindSafe(|| pending::<()>().wait()));
    let message = *panicked
        .unwrap_err()
        .downcast::<String>()
        .unwrap_or_default();
    assert!(
        message.is_empty() || message.contains("green::run"),
        "{message}"
    );
}

#[test]
fn async_tasks_and_green_threads_join_each_other() {
    let sum = run(|| {
        let handle = Handle::current();
        let green = spawn(|| {
            sleep(MS);
            1
        });
        let task = handle.spawn(async move { green.await.unwrap() + 1 });
        task.wait().unwrap() + 1
    });
    assert_eq!(sum.unwrap(), 3);
}

#[test]
fn a_hundred_thousand_at_once() {
    let sum = run(|| {
        let threads: Vec<_> = (0..100_000_u64)
            .map(|i| {
                spawn(move || {
                    sleep(MS);
                    i
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum::<u64>()
    });
    assert_eq!(sum.unwrap(), 100_000 * 99_999 / 2);
}

#[test]
fn threads_have_names_ids_and_spawn_locations() {
    run(|| {
        assert_eq!(current().name(), Some("main"));
        let thread = Builder::new().name("worker").spawn(|| current()).unwrap();
        let id = thread.id();
        let seen = thread.join().unwrap();
        assert_eq!((seen.name(), seen.id()), (Some("worker"), id));
        assert!(seen.spawned_at().file().ends_with("threads.rs"));
        let tasks = Handle::current().dump_tasks();
        assert_eq!(tasks.len(), 1);
    })
    .unwrap();
}
