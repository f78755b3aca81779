use crate::*;
use oneloop_aio::{inherit_locals, join, task_local, yield_now};

task_local! {
    static NUMBER: u32;
    /// Of another type.
    static NAME: Rc<str>;
}

#[test]
fn a_value_exists_inside_of_its_scope_and_nowhere_else() {
    run(async {
        assert_eq!(NUMBER.try_get(), None);
        let inside = NUMBER.scope(1, async {
            yield_now().await;
            let inner = NUMBER.scope(2, async { NUMBER.get() });
            assert_eq!((inner.await, NUMBER.get()), (2, 1));
            assert_eq!(NAME.try_get(), None);
            let both = NAME.scope("a".into(), async {
                NAME.with(|name| NUMBER.with(|number| format!("{name}{number}")))
            });
            both.await
        });
        assert_eq!(inside.await, "a1");
        assert_eq!(NUMBER.try_get(), None);
    });
}

#[test]
fn scopes_that_are_made_outside_of_each_other_add_up() {
    run(async {
        let inner = NUMBER.scope(1, async { (NUMBER.get(), NAME.get()) });
        let (number, name) = NAME.scope("a".into(), inner).await;
        assert_eq!((number, &*name), (1, "a"));
    });
}

#[test]
fn two_scopes_that_take_turns_keep_their_values_apart() {
    async fn turns() -> u32 {
        for _ in 0..3 {
            yield_now().await;
        }
        NUMBER.get()
    }
    run(async {
        let (a, b) = join(NUMBER.scope(1, turns()), NUMBER.scope(2, turns())).await;
        assert_eq!((a, b), (1, 2));
    });
}

#[test]
fn a_task_sees_the_values_of_its_spawner_on_request() {
    run(NUMBER.scope(1, async {
        let alone = spawn(async { NUMBER.try_get() });
        let related = spawn(inherit_locals(async {
            yield_now().await;
            NUMBER.try_get()
        }));
        assert_eq!(alone.await.unwrap(), None);
        assert_eq!(related.await.unwrap(), Some(1));
    }));
}

#[test]
fn a_value_lives_as_long_as_the_futures_that_have_it() {
    run(async {
        let name: Rc<str> = "a".into();
        let spawns = || {
            spawn(inherit_locals(async {
                yield_now().await;
                NAME.get()
            }))
        };
        let task = NAME.sync_scope(Rc::clone(&name), spawns);
        assert_eq!(Rc::strong_count(&name), 2);
        drop(task.await);
        assert_eq!(Rc::strong_count(&name), 1);
    });
}

#[test]
fn destructors_see_the_value() {
    struct Reads(Rc<Cell<u32>>);
    impl Drop for Reads {
        fn drop(&mut self) {
            self.0
                .set(self.0.get() * 10 + NUMBER.try_get().unwrap_or(0));
        }
    }
    run(async {
        let seen = Rc::new(Cell::new(0));
        let reads = Reads(Rc::clone(&seen));
        NUMBER.scope(1, async move { drop(reads) }).await;
        let reads = Reads(Rc::clone(&seen));
        let canceled = spawn(NUMBER.scope(2, async move {
            let _reads = reads;
            pending::<()>().await
        }));
        yield_now().await;
        canceled.cancel();
        let reads = Reads(Rc::clone(&seen));
        drop(NUMBER.scope(3, async move { drop(reads) })); // never polled
        assert_eq!(seen.get(), 123);
    });
}

#[test]
fn a_panic_leaves_the_scope() {
    run(async {
        let panics = spawn(NUMBER.scope(1, async { panic!("on purpose") }));
        assert!(panics.await.is_err());
        assert_eq!(NUMBER.try_get(), None);
        let caught = std::panic::catch_unwind(|| NUMBER.sync_scope(1, || panic!("on purpose")));
        assert!(caught.is_err());
        assert_eq!(NUMBER.try_get(), None);
    });
}

#[test]
fn a_function_has_a_value_without_a_loop() {
    assert_eq!(NUMBER.sync_scope(1, || NUMBER.get()), 1);
    assert_eq!(NUMBER.try_get(), None);
}

#[test]
#[should_panic(expected = "use `KEY.scope(value, future)`")]
fn a_value_that_is_missing_is_a_panic_that_says_what_to_do() {
    NUMBER.get();
}

/// A green stack may be suspended inside of a scope, while other tasks enter and leave scopes.
#[test]
fn green_threads_inside_of_scopes_do_not_see_each_others_values() {
    use oneloop::green;
    let seen = green::run(|| {
        let waits = |number, pauses| {
            move || {
                NUMBER.sync_scope(number, || {
                    for _ in 0..pauses {
                        green::yield_now();
                        assert_eq!(NUMBER.get(), number);
                    }
                });
                NUMBER.try_get()
            }
        };
        let threads = [(1, 1), (2, 3), (3, 2)].map(|(number, pauses)| {
            let thread = green::spawn(waits(number, pauses));
            green::yield_now();
            assert_eq!(NUMBER.try_get(), None);
            thread
        });
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(seen.unwrap(), [None; 3]);
}
