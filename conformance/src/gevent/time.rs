//! Sleeping and timeouts.

use super::{LONG, compute_for, ms, truth};
use oneloop::green::{
    Elapsed, Wait, idle, join_all, sleep, spawn, timeout, timeout_with, yield_now,
};
use std::io;
use std::panic::{catch_unwind, resume_unwind};
use std::time::Duration;

pub(super) fn sleeping() {
    let sleeper = |wait_ms| {
        spawn(move || {
            sleep(ms(wait_ms));
            println!("{wait_ms} ms");
        })
    };
    join_all([60, 20, 40, 0].map(sleeper));

    let turns = |name, count| {
        spawn(move || {
            for number in 0..count {
                println!("{name} {number}");
                yield_now();
            }
        })
    };
    join_all([turns("a", 3), turns("b", 2), turns("c", 3)]);

    let idler = spawn(|| {
        println!("idle waits");
        idle();
        println!("idle goes on");
    });
    join_all([idler, turns("x", 3), turns("y", 3)]);
}

pub(super) fn timeout_nested() {
    fn nested(outer_ms: u64, inner_ms: u64) {
        let outer = timeout(ms(outer_ms), || {
            let inner = catch_unwind(|| timeout(ms(inner_ms), || sleep(LONG)));
            let caught_inner = truth(matches!(inner, Ok(Err(Elapsed))));
            let caught_outer = truth(inner.is_err());
            println!("inner scope: inner {caught_inner} outer {caught_outer}");
            if let Err(outer) = inner {
                resume_unwind(outer);
            }
            sleep(ms(60));
            println!("never printed");
        });
        let (inner, outer) = (truth(outer.is_ok()), truth(outer == Err(Elapsed)));
        println!("outer scope: inner {inner} outer {outer}");
    }
    println!("inner first");
    nested(40, 20);
    println!("outer first");
    nested(20, 40);
    let _ = timeout(ms(20), || {
        let _ = timeout(ms(40), || sleep(LONG));
        println!("never printed");
    });
    println!("the silent outer one ended both");
    let _ = timeout(ms(60), || {
        let _ = timeout(ms(20), || sleep(LONG));
        println!("the silent inner one ended only itself");
    });
}

pub(super) fn timeout_kinds() {
    if timeout(ms(20), || sleep(LONG)).is_err() {
        println!("timed out");
    }
    if let Err(error) = timeout(ms(20), || sleep(LONG)).map_err(|Elapsed| "my own") {
        println!("raised {error}");
    }
    let outer = timeout(ms(20), || {
        let sleeps = || -> io::Result<()> {
            sleep(LONG);
            Ok(())
        };
        if sleeps().is_err() {
            println!("never printed");
        }
    });
    if outer.is_err() {
        println!("went through a handler of ordinary exceptions");
    }
    let _ = timeout(ms(20), || {
        sleep(LONG);
        println!("never printed");
    });
    println!("silent");
    let sleeps = || {
        sleep(LONG);
        "slept"
    };
    let value = timeout(ms(20), sleeps).unwrap_or("gave up");
    println!("value instead: {value}");
    let value = timeout(ms(500), || "result").unwrap_or("gave up");
    println!("in time: {value}");
    if timeout(ms(20), sleeps).is_err() {
        println!("no value: timed out");
    }
    let inside = timeout_with(ms(20), |timeout| {
        println!("pending inside: {}", truth(timeout.is_pending()));
        timeout.cancel();
        timeout.is_pending()
    });
    println!("pending behind: {}", truth(inside.unwrap()));
    sleep(ms(40));
    println!("cancelled at the end of its scope");
    timeout(Duration::MAX, || sleep(ms(20))).unwrap();
    println!("none: no limit");
}

pub(super) fn timeout_and_join() {
    let task = spawn(|| {
        sleep(ms(60));
        println!("slow ends");
        "slow"
    });
    let joined = timeout(ms(20), || {
        task.finished().wait();
        println!("never printed");
    });
    if joined.is_err() {
        let runs = truth(!task.is_finished());
        println!("join timed out, the task runs: {runs}");
    }
    println!("get: {}", task.join().unwrap());

    let computed = timeout(ms(20), || {
        compute_for(ms(60));
        println!("computed past the time-out");
        yield_now();
        sleep(ms(20));
        println!("never printed");
    });
    if computed.is_err() {
        println!("raised at the next wait");
    }
    timeout(ms(20), || compute_for(ms(60))).unwrap();
    println!("no wait, no time-out");

    let task = spawn(|| timeout(ms(20), || sleep(LONG)));
    let result = task.join().unwrap();
    let (successful, timed_out) = (truth(result.is_ok()), truth(result == Err(Elapsed)));
    println!("in a greenlet: successful {successful} timed out {timed_out}");
}
