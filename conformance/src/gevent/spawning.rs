//! Spawning: the order in which threads begin, results, links.

use super::{LONG, exception, is_successful, link, ms, raise, truth, value};
use oneloop::green::{Outcome, Wait, join_all, sleep, spawn, spawn_after, try_current, yield_now};
use std::rc::Rc;

pub(super) fn spawn_order() {
    fn child(name: &'static str) {
        println!("{name} runs");
        if name == "a" {
            spawn(|| child("a of a"));
            println!("a goes on");
        }
        yield_now();
        println!("{name} ends");
    }
    println!("spawning");
    let tasks = ["a", "b", "c"].map(|name| spawn(move || child(name)));
    println!("spawned, nothing ran");
    join_all(tasks);
    println!("joined");
    sleep(ms(20));
}

pub(super) fn spawn_later() {
    let print = |after_ms, what| spawn_after(ms(after_ms), move || println!("{what}"));
    let tasks = [
        print(60, "60 ms"),
        print(20, "20 ms, first"),
        print(20, "20 ms, second"),
        print(20, "20 ms, third"),
        print(40, "40 ms"),
        print(0, "0 ms, first"),
        print(0, "0 ms, second"),
        spawn(|| println!("spawned last")),
    ];
    println!("main waits");
    join_all(tasks);
    let never = print(20, "never printed");
    never.kill();
    sleep(ms(40));
    println!("killed before its time: {}", truth(never.is_finished()));
}

pub(super) fn join_get() {
    let good = spawn(|| {
        sleep(ms(20));
        42
    });
    let bad = spawn(|| {
        sleep(ms(20));
        raise("broken")
    });
    let no_value = truth(value(&good).is_none());
    let (ready, successful) = (truth(good.is_finished()), truth(is_successful(&good)));
    println!("before: no value {no_value} ready {ready} successful {successful}");
    good.finished().wait();
    let (ready, successful) = (truth(good.is_finished()), truth(is_successful(&good)));
    let seen = value(&good).unwrap();
    println!("after join: {seen} ready {ready} successful {successful}");
    println!("get: {seen} {}", good.join().unwrap());
    bad.finished().wait();
    let (ready, successful) = (truth(bad.is_finished()), truth(is_successful(&bad)));
    print!("join of the failed raised nothing: ready {ready} successful {successful}");
    println!(" error {}", exception(&bad).unwrap());
    for attempt in [1, 2] {
        println!("get {attempt} raised: {}", exception(&bad).unwrap());
    }
    let mut slow = spawn(|| sleep(LONG));
    let _ = slow.finished().wait_timeout(ms(20));
    let running = truth(!slow.is_finished());
    println!("join timed out, still running: {running}");
    if slow.peek(|_| ()).is_none() {
        println!("get without waiting: not ready");
    }
    if slow.join_timeout(ms(20)).is_err() {
        let running = truth(!slow.is_finished());
        println!("get timed out, still running: {running}");
    }
}

pub(super) fn unhandled() {
    let others = spawn(|| {
        for number in 1..=3 {
            println!("counts {number}");
            sleep(ms(20));
        }
        "counted"
    });
    let bad = Rc::new(spawn(|| {
        println!("fails");
        raise("broken")
    }));
    link(&bad, |bad| {
        if let Some(error) = exception(bad) {
            println!("link hears: {error}");
        }
    });
    link(&bad, |bad| {
        if bad.outcome() == Some(Outcome::Returned) {
            println!("never printed");
        }
    });
    join_all([others.thread(), bad.thread()]);
    println!("others: {}", value(&others).unwrap());
    if let Some(error) = exception(&bad) {
        println!("joinall raised: {error}");
    }
}

pub(super) fn links() {
    fn print_link(name: &str, value: &str) {
        let place = match try_current() {
            Some(_) => "in a greenlet",
            None => "in the hub",
        };
        println!("{name} {value} {place}");
    }
    let task = Rc::new(spawn(|| {
        println!("works");
        "done"
    }));
    let link = |name| super::link(&task, move |task| print_link(name, value(task).unwrap()));
    let raw_link = |name| {
        let seen = Rc::clone(&task);
        task.on_exit(move |_| print_link(name, value(&seen).unwrap()))
    };
    link("link 1");
    raw_link("rawlink 1");
    link("link 2");
    raw_link("rawlink 2");
    link("never printed").remove();
    task.finished().wait();
    println!("joined");
    link("late link");
    raw_link("late rawlink");
    println!("late ones are not called at once");
    yield_now();
    println!("a turn later");
    yield_now();

    let task = spawn(|| sleep(ms(20)));
    yield_now();
    task.on_exit(|_| println!("linked before the join"));
    let thread = task.thread().clone();
    spawn(move || thread.on_exit(|_| println!("linked after the join")));
    task.finished().wait();
    println!("the join is a link among the others");
    yield_now();
}
