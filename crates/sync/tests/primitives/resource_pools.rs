use crate::*;
use std::cell::Cell;

/// A pool's maker of 1, 2, 3, …
fn count() -> impl Fn() -> u32 {
    let made = Cell::new(0);
    move || {
        made.set(made.get() + 1);
        made.get()
    }
}

#[test]
fn things_are_made_as_they_are_needed_and_wait_for_each_other_after_that() {
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
fn the_longest_idle_is_lent_first_or_the_last_one_that_came_back() {
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
fn another_one_is_made_for_one_that_was_taken_out() {
    let pool = ResourcePool::new(1, count());
    let mut broken = now(pool.get());
    *broken = 7;
    let next = Polled::pending(pool.get());
    assert_eq!(broken.detach(), 7);
    assert_eq!(*next.output(), 2);
}

#[test]
fn a_panic_while_one_is_made_leaves_the_place_to_the_next() {
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
