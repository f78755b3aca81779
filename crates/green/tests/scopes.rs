//! A scope's threads end before it does, and the first failure cancels the rest.

mod harness;

use harness::{MS, run};
use oneloop_core::Handle;
use oneloop_green::{scope, sleep, spawn, timeout, try_scope, yield_now};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// Counts in its drop, which waits before.
struct Ended<'a>(&'a Cell<u32>, Duration);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        sleep(self.1);
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_scope_waits_for_its_threads_and_their_threads() {
    run(|| {
        let log = RefCell::new(Vec::new());
        let sum = scope(|s| {
            let outer = s.spawn(|| {
                scope(|t| {
                    drop(t.spawn(|| {
                        sleep(2 * MS);
                        log.borrow_mut().push("inner");
                    }))
                });
                log.borrow_mut().push("outer");
                20
            });
            s.spawn(|| {
                sleep(MS);
                log.borrow_mut().push("first");
            });
            1 + outer.join().unwrap()
        });
        assert_eq!(
            (sum, log.into_inner()),
            (21, vec!["first", "inner", "outer"])
        );
    })
    .unwrap();
}

#[test]
fn the_first_panic_kills_the_rest_and_interrupts_the_function() {
    run(|| {
        let (ended, reached) = (Cell::new(0), Cell::new(false));
        let failed = catch_unwind(AssertUnwindSafe(|| {
            scope(|s| {
                s.spawn(|| {
                    let _ended = Ended(&ended, 5 * MS);
                    sleep(1000 * MS);
                });
                s.spawn(|| {
                    sleep(MS);
                    panic!("first");
                });
                sleep(1000 * MS);
                reached.set(true);
            });
        }));
        let payload = failed.unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"first"));
        assert_eq!((ended.get(), reached.get()), (1, false));
        sleep(MS); // no interrupt is left
    })
    .unwrap();
}

#[test]
fn an_error_cancels_the_rest_and_is_the_result() {
    run(|| {
        let ended = Cell::new(0);
        let result = try_scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    let _ended = Ended(&ended, Duration::ZERO);
                    sleep(1000 * MS);
                });
            }
            s.spawn_try(|| {
                sleep(MS);
                Err::<(), _>("thread")
            });
            Ok(())
        });
        assert_eq!((result, ended.get()), (Err("thread"), 3));
        let result: Result<(), _> = try_scope(|s| {
            s.spawn(|| sleep(1000 * MS));
            Err("function")
        });
        assert_eq!(result, Err("function"));
    })
    .unwrap();
}

#[test]
fn a_kill_or_a_timeout_of_the_caller_ends_the_threads_first() {
    let ended = Rc::new(Cell::new(0));
    let counts = Rc::clone(&ended);
    run(move || {
        let inside = Rc::clone(&counts);
        let caller = spawn(move || {
            let local = String::from("borrowed");
            scope(|s| {
                s.spawn(|| {
                    let _ended = Ended(&inside, 5 * MS);
                    sleep(1000 * MS);
                    assert_eq!(local, "not reached");
                });
            });
        });
        sleep(MS);
        caller.kill_soon();
        sleep(MS);
        caller.kill_soon(); // it waits for its thread's cleanup, which nothing interrupts
        sleep(MS);
        assert!(!caller.is_finished());
        sleep(5 * MS);
        assert!(caller.is_finished());
        let over = timeout(MS, || {
            scope(|s| {
                s.spawn(|| {
                    let _ended = Ended(&counts, MS);
                    sleep(1000 * MS);
                });
            });
        });
        assert!(over.is_err());
    })
    .unwrap();
    assert_eq!(ended.get(), 2);
}

#[test]
fn a_dropped_loop_ends_the_threads_before_the_values_they_borrow() {
    struct Checked(Cell<u32>);
    impl Drop for Checked {
        fn drop(&mut self) {
            assert_eq!(self.0.get(), 2, "the threads have ended before");
        }
    }
    for spawned_first in [true, false] {
        run(move || {
            let other = || drop(spawn(yield_now));
            if spawned_first {
                other(); // a thread of the scope gets its slot later
                yield_now();
            }
            let caller = spawn(|| {
                let ended = Checked(Cell::new(0));
                scope(|s| {
                    for _ in 0..2 {
                        s.spawn(|| {
                            let _ended = Ended(&ended.0, MS);
                            sleep(1000 * MS);
                        });
                    }
                });
            });
            Handle::current().on_unhandled(|unhandled| panic!("{unhandled}"));
            sleep(MS);
            drop(caller);
        })
        .unwrap();
    }
}

#[test]
fn cancel_ends_the_threads_and_the_function_continues() {
    run(|| {
        let killed = scope(|s| {
            let thread = s.spawn(|| sleep(1000 * MS));
            yield_now();
            s.cancel();
            thread.join().is_err()
        });
        assert!(killed);
    })
    .unwrap();
}

#[test]
fn scopes_take_explicit_types_and_closures_that_borrow() {
    let sums = run(|| {
        let (numbers, sum) = (vec![1, 2, 3], Cell::new(0));
        let failed = try_scope::<_, &'static str>(|scope| {
            for number in &numbers {
                let sum = &sum;
                scope.spawn(move || sum.set(sum.get() + number));
            }
            scope.spawn_try(|| {
                if numbers.len() > 5 {
                    Err("many")
                } else {
                    Ok(())
                }
            });
            Ok(numbers.len())
        });
        let len = scope::<usize>(|scope| {
            scope.spawn(|| sum.set(sum.get() * numbers.len()));
            numbers.len()
        });
        let never: Result<(), _> = try_scope::<(), String>(|scope| {
            scope.spawn_try(|| Err::<(), _>(format!("{numbers:?}")));
            Ok(())
        });
        let text = String::from("borrowed");
        let borrowed = try_scope::<(), &str>(|scope| {
            scope.spawn(|| sum.set(sum.get() + numbers.len()));
            scope.spawn_try(|| Err::<(), _>(&text[..]));
            Ok(())
        });
        assert_eq!(borrowed, Err("borrowed"));
        (failed, len, sum.get(), never)
    });
    let failed = Err("[1, 2, 3]".to_owned());
    assert_eq!(sums.unwrap(), (Ok(3), 3, 21, failed));
}
