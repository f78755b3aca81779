//! Events, one-shot values, semaphores, locks.

use super::{link, ms, truth, value};
use oneloop::green::{Wait, join_all, sleep, spawn, spawn_after, yield_now};
use oneloop::sync::{BoundedSemaphore, Event, NotOwner, OneShot, OverReleased, RLock, Semaphore};
use std::rc::Rc;
use std::time::Duration;

pub(super) fn event() {
    fn waiter(event: &Event, name: &str, timeout: Option<Duration>) {
        let wait = event.until_set();
        let woke = match timeout {
            Some(timeout) => wait.wait_timeout(timeout).is_ok(),
            None => {
                wait.wait();
                true
            }
        };
        println!("{name} woke: {}", truth(woke));
    }
    let event = Event::new();
    let spawn_waiter = |name, timeout| {
        let event = event.clone();
        spawn(move || waiter(&event, name, timeout))
    };
    let tasks = ["a", "b", "c"].map(|name| spawn_waiter(name, None));
    yield_now();
    event.set();
    println!("set; no waiter ran");
    join_all(tasks);
    waiter(&event, "at once", None);

    event.clear();
    let tasks = ["d", "e"].map(|name| spawn_waiter(name, None));
    yield_now();
    event.set();
    event.clear();
    println!("set and cleared: {}", truth(event.is_set()));
    join_all(tasks);

    waiter(&event, "timed out", Some(ms(20)));
    let tasks = [
        spawn_waiter("f", Some(ms(1000))),
        spawn_waiter("g", Some(ms(20))),
    ];
    sleep(ms(40));
    event.set();
    join_all(tasks);
    event.clear();
    let linked = event.clone();
    spawn(move || {
        linked.until_set().wait();
        println!("link sees it set: {}", truth(linked.is_set()));
    });
    yield_now();
    event.set();
    println!("links are called a turn later");
    yield_now();
}

type AsyncResult = OneShot<Result<&'static str, &'static str>>;

pub(super) fn async_result() {
    fn waiter(name: &str, result: &AsyncResult) {
        match result.get().wait() {
            Ok(value) => println!("{name} got {value}"),
            Err(error) => println!("{name} caught {error}"),
        }
    }
    fn bring(value: Result<&'static str, &'static str>) {
        let result = AsyncResult::new();
        let tasks = ["a", "b", "c"].map(|name| {
            let result = result.clone();
            spawn(move || waiter(name, &result))
        });
        yield_now();
        result.send(value).unwrap();
        let ready = truth(result.is_sent());
        let successful = truth(matches!(result.try_get(), Some(Ok(_))));
        println!("brought, ready: {ready} successful: {successful}");
        join_all(tasks);
        waiter("late", &result);
    }
    bring(Ok("value"));
    bring(Err("broken"));

    let result = AsyncResult::new();
    if result.try_get().is_none() {
        println!("not ready");
    }
    if result.get().wait_timeout(ms(20)).is_err() {
        println!("timed out");
    }
    let timed_out = result.get().wait_timeout(ms(20)).is_err();
    println!("wait timed out: {}", truth(timed_out));
    let task = Rc::new(spawn(|| "of a task"));
    let linked = result.clone();
    link(&task, move |task| {
        linked.send(Ok(value(task).unwrap())).unwrap()
    });
    println!("linked to a task: {}", result.get().wait().unwrap());
    result.replace(Ok("second"));
    println!("a second set replaces: {}", result.get().wait().unwrap());
}

pub(super) fn semaphore() {
    let lock = Semaphore::barging(1);
    let worker = |name| {
        let lock = lock.clone();
        spawn(move || {
            for number in [1, 2] {
                let permit = lock.acquire().wait();
                println!("{name} {number}");
                yield_now();
                drop(permit);
            }
        })
    };
    join_all(["a", "b", "c"].map(worker));

    let once = |name| {
        let lock = lock.clone();
        spawn(move || {
            let permit = lock.acquire().wait();
            println!("{name} in");
            yield_now();
            drop(permit);
            println!("{name} out");
        })
    };
    join_all(["a", "b", "c"].map(once));

    let two = Semaphore::barging(2);
    let (first, second) = (two.try_acquire(), two.try_acquire());
    let locked = truth(two.available() == 0);
    let acquired = [&first, &second]
        .map(|permit| truth(permit.is_some()))
        .join(" ");
    println!("acquired {acquired} locked {locked}");
    let at_once = truth(two.try_acquire().is_some());
    let in_time = truth(two.acquire().wait_timeout(ms(20)).is_ok());
    println!("without waiting: {at_once} timed out: {in_time}");
    spawn_after(ms(20), move || drop(first));
    drop(two.acquire().wait());
    let available = two.available();
    let acquired = truth(two.try_acquire().is_some());
    println!("wait: {available} acquired: {acquired}");

    let bounded = BoundedSemaphore::new(1);
    bounded.acquire().wait().forget();
    bounded.release().unwrap();
    if bounded.release() == Err(OverReleased) {
        println!("released too often");
    }
}

pub(super) fn rlock() {
    let lock = RLock::new();
    let owned = lock.clone();
    let owner = spawn(move || {
        {
            let _outer = owned.acquire().wait();
            {
                let _inner = owned.acquire().wait();
                println!("owner has it twice");
                sleep(ms(20));
            }
            println!("owner has it once");
            sleep(ms(20));
        }
        println!("owner has it no more");
    });
    let other = |name| {
        let lock = lock.clone();
        spawn(move || {
            println!("{name} tries: {}", truth(lock.try_acquire().is_some()));
            let _held = lock.acquire().wait();
            println!("{name} has it");
        })
    };
    let (a, b) = (other("a"), other("b"));
    let stranger = spawn(move || {
        if lock.release() == Err(NotOwner) {
            println!("a stranger cannot release it");
        }
    });
    join_all([owner, a, b, stranger]);
}
