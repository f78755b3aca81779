//! Waiting for several threads, and waits that cannot end.

use super::{LONG, ms, truth, value};
use oneloop::Handle;
use oneloop::green::{
    JoinHandle, Wait, catch_deadlock, iwait, join_all_timeout, kill_all, sleep, spawn, spawn_after,
    wait_any, wait_n, yield_now,
};
use oneloop::sync::{Event, Queue, Semaphore};
use std::future::pending;
use std::panic::{catch_unwind, resume_unwind};
use std::time::Duration;

pub(super) fn join_all_kill_all() {
    fn child(name: &'static str, wait: Duration) -> JoinHandle<&'static str> {
        spawn(move || {
            if let Err(kill) = catch_unwind(|| sleep(wait)) {
                println!("{name} was killed");
                sleep(ms(20));
                resume_unwind(kill);
            }
            println!("{name} ends");
            name
        })
    }
    fn spawn_all() -> [JoinHandle<&'static str>; 4] {
        [
            child("c", ms(60)),
            child("a", ms(20)),
            child("b", ms(40)),
            child("never", LONG),
        ]
    }
    fn sorted<'a>(tasks: impl IntoIterator<Item = &'a JoinHandle<&'static str>>) -> String {
        let mut values: Vec<_> = tasks.into_iter().filter_map(value).collect();
        values.sort_unstable();
        values.join(" ")
    }
    let count_dead =
        |tasks: &[JoinHandle<_>]| tasks.iter().filter(|task| task.is_finished()).count();

    let tasks = spawn_all();
    println!("of two: {}", sorted(wait_n(&tasks, 2)));
    let _ = join_all_timeout(&tasks[3..], Duration::ZERO);
    println!("of none in no time: {}", count_dead(&tasks[3..]));
    let _ = join_all_timeout(&tasks, ms(40));
    println!("in 40 ms: {}", sorted(&tasks));
    kill_all(&tasks);
    println!("all dead: {}", truth(count_dead(&tasks) == 4));

    let tasks = spawn_all();
    yield_now();
    tasks[..2].iter().for_each(|task| task.kill_soon());
    println!("not yet, dead: {}", count_dead(&tasks));
    kill_all(&tasks);
    println!("all dead: {}", truth(count_dead(&tasks) == 4));
    kill_all([0; 2].map(|_| spawn(|| println!("never printed"))));
}

pub(super) fn wait_iwait() {
    let child = |wait_ms| {
        spawn(move || {
            sleep(ms(wait_ms));
            format!("after {wait_ms} ms")
        })
    };
    for task in iwait([60, 20, 40].map(child)) {
        println!("iwait: {}", task.join().unwrap());
    }
    let first = wait_any([60, 20, 40].map(child)).unwrap();
    println!("wait for one: {}", first.join().unwrap());

    let event = Event::new();
    let awaited = event.clone();
    let event_set = spawn(move || {
        awaited.until_set().wait();
        "event"
    });
    let task = spawn(|| {
        sleep(ms(20));
        "task"
    });
    spawn_after(ms(40), move || event.set());
    let ended = iwait([event_set, task]).map(|ended| ended.join().unwrap());
    println!("both kinds: {}", ended.collect::<Vec<_>>().join(" "));
    let ready = Event::new().until_set().wait_timeout(ms(20)).is_ok();
    println!("timed out, ready: {}", usize::from(ready));
    let ready = [0, 0].map(child);
    sleep(ms(20));
    println!("ready before: {}", iwait(ready).count());
    spawn_after(ms(20), || println!("the last that could happen"));
    let nothing = catch_deadlock(|| pending::<()>().wait());
    let ended = truth(nothing.is_err());
    println!("wait for nothing in particular: {ended}");
}

pub(super) fn would_block_forever() {
    fn attempt(name: &str, wait: impl FnOnce()) {
        if catch_deadlock(wait).is_err() {
            println!("{name} would block for ever");
        }
    }
    let event = Event::new();
    let waited = event.clone();
    let task = spawn(move || {
        println!("the other waits");
        waited.until_set().wait();
        println!("the other goes on");
    });
    attempt("join", || task.finished().wait());
    attempt("event", || event.until_set().wait());
    attempt("get", || Queue::unbounded().get().wait());
    attempt("acquire", || drop(Semaphore::new(0).acquire().wait()));
    let mut timer = Handle::current().sleep(ms(20));
    timer.set_referenced(false);
    let timer = spawn(move || {
        timer.wait();
        println!("never printed");
    });
    if catch_deadlock(|| event.until_set().wait()).is_err() {
        println!("an unreferenced timer is no reason to wait");
    }
    timer.kill();
    let in_time = event.until_set().wait_timeout(ms(20)).is_ok();
    println!("with a limit it waits: {}", truth(in_time));
    println!("the other is still there: {}", truth(!task.is_finished()));
    event.set();
    task.join().unwrap();
    println!("joined");
}
