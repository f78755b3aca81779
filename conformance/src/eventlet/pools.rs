//! Pools of green threads, and pools of resources.

use super::{ValueError, attempt, ms, raised};
use oneloop::Handle;
use oneloop::green::{Pile, Pool, Wait, catch_unwind, eventlet, sleep, spawn, timeout};
use oneloop::sync::ResourcePool;
use std::cell::Cell;
use std::time::Duration;

pub(super) fn green_pool() {
    fn job(name: &'static str, wait_ms: u64) -> &'static str {
        println!("{name} begins");
        sleep(ms(wait_ms));
        println!("{name} ends");
        name
    }
    Handle::current().on_unhandled(|_| ());
    let pool = Pool::fair(2);
    let threads = [("a", 20), ("b", 80), ("c", 20), ("d", 80)].map(|(name, wait_ms)| {
        let thread = pool.spawn(move || job(name, wait_ms));
        println!(
            "spawned {name} free {} running {}",
            pool.free(),
            pool.running()
        );
        thread
    });
    let spawns = pool.clone();
    let outside = spawn(move || drop(spawns.spawn(|| job("e", 20))));
    sleep(Duration::ZERO);
    println!("waiting to spawn {}", pool.waiting());
    pool.join();
    println!("all ended, free {} running {}", pool.free(), pool.running());
    let results = threads.map(|thread| thread.join().expect("it returns its name"));
    println!("results {}", results.join(" "));
    outside.join().expect("it only spawns");

    let joins = pool.clone();
    pool.spawn(move || {
        if catch_unwind(|| joins.join()).is_err() {
            println!("waitall from inside is refused");
        }
    });
    let bad = pool.spawn(|| ValueError("broken").raise());
    pool.spawn(|| job("f", 20));
    pool.join();
    let error = bad.join().map_or_else(|error| raised(&error), |()| None);
    let message = error.expect("it raised").0;
    println!(
        "the failed one gave its place back: {} {message}",
        pool.free()
    );
}

pub(super) fn pool_nested() {
    fn job(name: &str) -> String {
        println!("{name} begins");
        sleep(Duration::ZERO);
        println!("{name} ends");
        name.to_uppercase()
    }
    fn member(pool: &Pool, name: &'static str) {
        println!("{name} free {}", pool.free());
        let thread = pool.spawn_or_inline(move || job(&format!("child of {name}")));
        println!("{name} has spawned");
        let result = thread.join().expect("it returns its name");
        println!("{name} waits for {result}");
        pool.spawn_or_inline(move || job(&format!("second child of {name}")));
        println!("{name} ends");
    }
    let spawn_member = |pool: &Pool, name| {
        let inside = pool.clone();
        pool.spawn_or_inline(move || member(&inside, name));
    };
    for size in [1, 2] {
        println!("size {size}");
        let pool = Pool::fair(size);
        spawn_member(&pool, "member");
        pool.join();
    }
    println!("both full");
    let pool = Pool::fair(2);
    spawn_member(&pool, "a");
    spawn_member(&pool, "b");
    pool.join();

    fn nest(pool: &Pool, depth: u32) -> u32 {
        println!("depth {depth}");
        match depth {
            3 => depth,
            _ => nested(pool, depth + 1),
        }
    }
    fn nested(pool: &Pool, depth: u32) -> u32 {
        let inside = pool.clone();
        let thread = pool.spawn_or_inline(move || nest(&inside, depth));
        thread.join().expect("it returns its depth")
    }
    println!("nested {}", nested(&Pool::fair(1), 0));
}

thread_local! {
    static RUNNING: Cell<u32> = const { Cell::new(0) };
}

pub(super) fn imap() {
    fn job((step, add): (u32, u32)) -> u32 {
        RUNNING.set(RUNNING.get() + 1);
        println!("job {step} begins, running {}", RUNNING.get());
        sleep(ms(20) * step);
        RUNNING.set(RUNNING.get() - 1);
        println!("job {step} ends");
        if step == 5 {
            ValueError("five").raise();
        }
        step * 10 + add
    }
    Handle::current().on_unhandled(|_| ());
    let pool = Pool::fair(2);
    for value in eventlet::imap(&pool, [4, 1, 2], |step| job((step, 0))) {
        println!("imap {value}");
    }
    let values: Vec<_> = eventlet::imap(&pool, [1, 2].into_iter().zip([7, 8]), job).collect();
    println!("two inputs {values:?}");
    let values: Vec<_> = eventlet::imap(&pool, [(1, 5), (2, 6)], job).collect();
    println!("starmap {values:?}");
    let mut results = eventlet::imap(&pool, [1, 5, 2], |step| job((step, 0)));
    while let Some(next) = attempt(|| results.next()).transpose() {
        match next {
            Ok(value) => println!("next {value}"),
            Err(error) => println!("raised {}", error.0),
        }
    }
    println!("no more");

    let numbers = (0..6).inspect(|number| println!("drawn {number}"));
    let mut results = eventlet::imap(&Pool::fair(2), numbers, |number| number);
    println!("first {}", results.next().expect("there are six"));
    sleep(ms(20));
    println!("and no more is drawn than the pool holds");
}

pub(super) fn pile() {
    fn job(name: &'static str, wait_ms: u64) -> &'static str {
        sleep(ms(wait_ms));
        println!("{name} ends");
        if name == "bad" {
            ValueError("broken").raise();
        }
        name
    }
    Handle::current().on_unhandled(|_| ());
    let pile = Pile::new(&Pool::fair(1000));
    for (name, wait_ms) in [("slow", 60), ("quick", 20), ("middle", 40)] {
        pile.spawn(move || job(name, wait_ms));
    }
    for result in pile {
        println!("result {result}");
    }

    let pool = Pool::fair(2);
    let (mut first, second) = (Pile::new(&pool), Pile::new(&pool));
    for (name, wait_ms) in [("a", 40), ("bad", 20), ("c", 40)] {
        first.spawn(move || job(name, wait_ms));
        println!("spawned {name} free {}", pool.free());
    }
    second.spawn(|| job("other", 60));
    while let Some(next) = attempt(|| first.next()).transpose() {
        match next {
            Ok(name) => println!("next {name}"),
            Err(error) => println!("raised {}", error.0),
        }
    }
    println!("no more");
    println!("the other pile {}", second.collect::<Vec<_>>().join(" "));
}

pub(super) fn resource_pool() {
    /// Returns a function that returns 0, 1, 2 and so on.
    fn numbers() -> impl Fn() -> u32 {
        let made = Cell::new(0);
        move || {
            println!("made {}", made.get());
            made.replace(made.get() + 1)
        }
    }
    let pool = ResourcePool::new(2, numbers());
    drop(pool.try_get()); // makes one beforehand: `min_size`
    println!("free {}", pool.available());
    let (a, b) = (pool.get().wait(), pool.get().wait());
    println!("got {} {} free {}", *a, *b, pool.available());
    let waits = pool.clone();
    let waiter = spawn(move || {
        let item = waits.get().wait();
        println!("waiter got {}", *item);
        drop(item);
        println!("waiter gave it back");
    });
    sleep(Duration::ZERO);
    println!("waiting {}", pool.waiting());
    let number = *b;
    eventlet::put(&pool, b);
    println!("put {number}");
    waiter.join().expect("it only prints");
    eventlet::put(&pool, a);
    let free = pool.available();
    let (a, b) = (pool.get().wait(), pool.get().wait());
    println!("free {free} the oldest first: {} {}", *a, *b);

    let stack = ResourcePool::lifo(3, numbers());
    let get_all = || [(); 3].map(|()| stack.get().wait());
    for item in get_all() {
        eventlet::put(&stack, item);
    }
    let [a, b, c] = get_all().map(|item| *item);
    println!("the newest first: {a} {b} {c}");
    let one = ResourcePool::new(1, numbers());
    let failed = attempt(|| {
        let _item = one.get().wait();
        ValueError("broken").raise();
    });
    if failed.is_err() && one.idle() == 1 {
        println!("an error gives back, too");
    }
    let tokens = ResourcePool::new(1, || ());
    let token = tokens.get().wait();
    let _ = timeout(ms(20), || {
        drop(tokens.get().wait());
        println!("never printed");
    });
    eventlet::put(&tokens, token);
    println!("tokens free {}", tokens.available());
}
