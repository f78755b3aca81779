//! Groups and pools, green-locals, and OS threads.

use super::{ms, raise, truth};
use oneloop::green::{
    Group, GroupMapping, Pool, PoolFull, Wait, green_local, iwait, offload, sleep, spawn, timeout,
    yield_now,
};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// The maximum time for which a job waits for what has to be printed before its end. Only a job
/// that blocks the loop waits that long.
const JOB_MAX: Duration = Duration::from_secs(10);

/// The names of the green threads that were killed.
type Killed = Rc<RefCell<Vec<&'static str>>>;

/// Prints that it ends, or notes its name if it is killed.
fn sleep_or_note(name: &'static str, wait: Duration, killed: &Killed) {
    match catch_unwind(|| sleep(wait)) {
        Ok(()) => println!("{name} ends"),
        Err(_) => killed.borrow_mut().push(name),
    }
}

fn sorted(killed: &Killed) -> String {
    let mut names = killed.borrow().clone();
    names.sort_unstable();
    names.join(" ")
}

pub(super) fn pool() {
    let killed = Killed::default();
    let job = |name, wait_ms| {
        let killed = Rc::clone(&killed);
        move || {
            println!("{name} begins");
            sleep_or_note(name, ms(wait_ms), &killed);
        }
    };
    let pool = Pool::new(2);
    for (name, wait_ms) in [("a", 20), ("b", 80), ("c", 20), ("d", 80)] {
        pool.spawn(job(name, wait_ms));
        let full = truth(pool.free() == 0);
        println!("spawned {name} free {} full {full}", pool.free());
    }
    pool.join();
    println!("joined, free {}", pool.free());

    pool.spawn(job("e", 1000));
    pool.spawn(job("f", 1000));
    let extra = || println!("never printed");
    if let Err(PoolFull) = pool.try_spawn(extra) {
        println!("the pool is full");
    }
    if let Err(PoolFull) = pool.spawn_timeout(ms(20), extra) {
        println!("the pool is full");
    }
    if timeout(ms(20), || pool.wait_for_permit()).is_err() {
        println!("wait timed out, free {}", pool.free());
    }
    pool.kill();
    let (free, running) = (pool.free(), pool.running());
    println!("killed {} free {free} running {running}", sorted(&killed));
    pool.spawn(job("g", 20));
    pool.join();
}

pub(super) fn pool_map() {
    fn job(step: u64) -> u64 {
        sleep(ms(30 * step));
        println!("job {step} ends");
        if step == 5 {
            raise("five");
        }
        step * 10
    }
    let pool = Pool::new(3);
    println!("map {:?}", pool.map([3, 1, 2], job));
    for value in pool.imap([3, 1, 2], job) {
        println!("imap {value}");
    }
    for value in pool.imap_unordered([3, 1, 2], job) {
        println!("imap_unordered {value}");
    }
    println!("apply {}", pool.spawn(|| job(1)).join().unwrap());
    let also = pool.clone();
    let handle = spawn(move || also.map([2, 1], job));
    println!("map_async ready: {}", truth(handle.is_finished()));
    println!("map_async {:?}", handle.join().unwrap());
    let mut results = pool.imap([1, 5, 2], job);
    for _ in 0..3 {
        match catch_unwind(AssertUnwindSafe(|| results.next().unwrap())) {
            Ok(value) => println!("imap {value}"),
            Err(error) => println!("imap raised {}", error.downcast_ref::<&str>().unwrap()),
        }
    }
    println!("narrow");
    println!("map {:?}", Pool::new(1).map([2, 1], job));
}

pub(super) fn group() {
    let killed = Killed::default();
    let job = |name, wait_ms| {
        let killed = Rc::clone(&killed);
        move || sleep_or_note(name, ms(wait_ms), &killed)
    };
    let group = Group::new();
    let first = group.spawn(job("a", 20));
    group.spawn(job("b", 120));
    let outside = spawn(job("c", 80));
    group.add(&outside);
    let (members, is_first) = (group.len(), truth(group.contains(&first)));
    println!("members {members} one of them {is_first}");
    first.finished().wait();
    yield_now();
    let (members, is_first) = (group.len(), truth(group.contains(&first)));
    println!("members {members} one of them {is_first}");
    group.discard(&outside);
    println!("discarded, members {}", group.len());
    let timed_out = truth(group.join_timeout(ms(20)).is_err());
    println!("join timed out: {timed_out}");
    group.join();
    println!("joined, members {}", group.len());
    let tasks = ["x", "y", "z"].map(|name| group.spawn(job(name, 1000)));
    yield_now();
    group.kill_one(&tasks[1]);
    println!("killed {} members {}", sorted(&killed), group.len());
    group.kill();
    println!("killed {} members {}", sorted(&killed), group.len());
    let is_empty = truth(group.join_timeout(Duration::ZERO).is_ok());
    println!("empty group: {is_empty}");
}

/// Prints its name when it is dropped.
struct Value(&'static str);

impl Drop for Value {
    fn drop(&mut self) {
        println!("the value of {} is dropped", self.0);
    }
}

green_local! {
    static NAME: Cell<Option<&'static str>> = Cell::new(None);
    static VALUE: RefCell<Option<Value>> = RefCell::new(None);
    static COUNT: Cell<u32> = Cell::new(10);
}

pub(super) fn local() {
    fn child(name: &'static str, wait_ms: u64) {
        let before = NAME.with(Cell::get).unwrap_or("nothing");
        println!("{name} begins with {before}");
        NAME.with(|here| here.set(Some(name)));
        VALUE.with(|here| here.replace(Some(Value(name))));
        sleep(ms(wait_ms));
        println!("{name} still has {}", NAME.with(Cell::get).unwrap());
    }
    NAME.with(|here| here.set(Some("main")));
    spawn(|| child("a", 20));
    spawn(|| child("b", 40));
    sleep(ms(60));
    println!("main still has {}", NAME.with(Cell::get).unwrap());
    NAME.with(Cell::take);
    println!("deleted: {}", truth(NAME.with(Cell::get).is_none()));

    COUNT.with(|count| count.set(count.get() + 1));
    let elsewhere = spawn(|| COUNT.with(Cell::get)).join().unwrap();
    println!("elsewhere {elsewhere} here {}", COUNT.with(Cell::get));
}

pub(super) fn thread_pool() {
    // The twin's jobs sleep, each longer than what has to be printed before its end. A busy machine
    // may stretch any sleep, so here a job waits until that is printed: its sender is dropped then.
    fn blocks(name: &str, before: &Receiver<()>, main: ThreadId) -> String {
        let _ = before.recv_timeout(JOB_MAX);
        let is_main = thread::current().id() == main;
        let place = if is_main {
            "in the main thread"
        } else {
            "in another thread"
        };
        format!("{name} {place}")
    }
    let nothing = || channel().1;
    let main = thread::current().id();
    let (ticking, ticks) = channel();
    let ticker = spawn(move || {
        for number in 0..3 {
            println!("tick {number}");
            sleep(ms(20));
        }
        drop(ticking);
    });
    println!("apply {}", offload(move || blocks("first", &ticks, main)));
    ticker.join().unwrap();
    let (b_runs, b_ends) = channel();
    let results = [("a", b_ends), ("b", nothing())]
        .map(|(name, before)| spawn(move || offload(move || blocks(name, &before, main))));
    let ready = truth(results.iter().any(|result| result.is_finished()));
    println!("ready: {ready}");
    let mut b_runs = Some(b_runs);
    for result in iwait(results) {
        println!("done {}", result.join().unwrap());
        drop(b_runs.take());
    }
    let Err(error) = catch_unwind(|| offload(|| raise("broken in a thread")));
    println!("raised {}", error.downcast_ref::<&str>().unwrap());
    let doubled = Pool::new(2).map([1, 2, 3], |number| offload(move || number * 2));
    println!("map {doubled:?}");
    let now = nothing();
    let result = offload(move || blocks("hub", &now, main));
    println!("the hub has one, too: {result}");
}

fn turns(name: &str, count: u32) {
    for number in 0..count {
        println!("{name} {number}");
        yield_now();
    }
}

fn square(number: u32) -> u32 {
    println!("square {number}");
    yield_now();
    number * number
}

pub(super) fn imap_turns() {
    fn among_others<R: IntoIterator<Item = u32>>(results: impl FnOnce([u32; 3]) -> R) {
        let other = spawn(|| turns("other", 8));
        for result in results([1, 2, 3]) {
            println!("result {result}");
        }
        other.join().unwrap();
    }
    let (pool, group) = (Pool::new(2), Group::new());
    among_others(|numbers| pool.imap(numbers, square));
    among_others(|numbers| pool.imap_unordered(numbers, square));
    among_others(|numbers| pool.map(numbers, square));
    among_others(|numbers| group.imap(numbers, square));
    among_others(|numbers| group.imap_unordered(numbers, square));
    among_others(|numbers| group.map(numbers, square));

    let mut results = pool.imap(0..6, square);
    println!("first {}", results.next().unwrap());
    sleep(ms(20));
    println!("all are done: {}", truth(pool.running() == 0));
    let rest: Vec<_> = results.map(|result| result.to_string()).collect();
    println!("rest {}", rest.join(" "));

    let pool = Pool::new(1);
    let held = pool.spawn(yield_now);
    let waited = pool.clone();
    let waits = spawn(move || waited.spawn(|| println!("spawned by who waited")));
    yield_now();
    yield_now();
    held.join().unwrap();
    pool.spawn(|| println!("spawned by who came"));
    waits.finished().wait();
    pool.join();
}
