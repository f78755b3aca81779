use crate::*;
use std::cell::Cell;

/// Creates 1, 2, 3, … for a pool.
fn count() -> impl Fn() -> u32 {
    let made = Cell::new(0);
    move || {
        made.set(made.get() + 1);
        made.get()
    }
}

#[test]
fn things_are_created_when_needed_up_to_the_maximum_and_then_awaited() {
    let pool = ResourcePool::new(2, count());
    let one = now(pool.get());
    drop(now(pool.get()));
    assert_eq!((pool.idle(), pool.available()), (1, 1));
    let two = pool.try_get().unwrap();
    assert_eq!((*one, *two), (1, 2));
    let [first, second] = [0, 1].map(|_| Polled::pending(pool.get()));
    drop(two);
    drop(first);
    assert_eq!(*second.output(), 2);
}

#[test]
fn a_pool_lends_the_longest_idle_thing_or_the_last_one_that_came_back() {
    for (pool, lent) in [
        (ResourcePool::new(2, count()), 1),
        (ResourcePool::lifo(2, count()), 2),
    ] {
        let (one, two) = (now(pool.get()), now(pool.get()));
        drop(one);
        drop(two);
        assert_eq!(*now(pool.get()), lent);
    }
}

#[test]
fn a_detached_thing_is_replaced() {
    let pool = ResourcePool::new(1, count());
    let mut broken = now(pool.get());
    *broken = 7;
    let next = Polled::pending(pool.get());
    assert_eq!(broken.detach(), 7);
    assert_eq!(*next.output(), 2);
}

#[test]
fn a_panic_in_create_gives_the_turn_to_the_next_task() {
    let make = count();
    let pool = ResourcePool::new(1, move || {
        let made = make();
        assert!(made > 1, "the first one cannot be made");
        made
    });
    let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(pool.try_get())));
    assert!(tried.is_err());
    assert_eq!(*now(pool.get()), 2);
}
