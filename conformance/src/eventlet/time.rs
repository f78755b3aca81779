//! Sleeping, yielding, timeouts.

use super::{ValueError, attempt, ms, py, receive};
use oneloop::Handle;
use oneloop::green::net::UnixStream;
use oneloop::green::{
    Elapsed, Wait, catch_unwind, eventlet, join_all, sleep, spawn, timeout, timeout_with, yield_now,
};
use std::cell::Cell;
use std::io::{self, Write};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

pub(super) fn sleeps() {
    join_all([60, 20, 40, 0].map(|wait_ms| {
        spawn(move || {
            sleep(ms(wait_ms));
            println!("{wait_ms} ms");
        })
    }));

    fn turns(name: &str, count: u32) {
        for number in 0..count {
            println!("{name} {number}");
            sleep(Duration::ZERO);
        }
        println!("{name} ends");
    }
    let threads =
        [("a", 3), ("b", 2), ("c", 3)].map(|(name, count)| spawn(move || turns(name, count)));
    turns("main", 2);
    join_all(threads);
    println!("waited");
}

pub(super) fn timers_in_a_storm() -> io::Result<()> {
    let (a, mut b) = UnixStream::pair()?;
    let stop = Rc::new(Cell::new(false));
    let storm = || {
        let stop = Rc::clone(&stop);
        spawn(move || {
            let handle = Handle::current();
            let (end, mut turns) = (handle.now() + ms(200), 0);
            while !stop.get() && handle.now() < end {
                yield_now();
                turns += 1;
            }
            let (stopped, many) = (py(stop.get()), py(turns > 100));
            println!("the storm stops, was told to: {stopped} had many turns: {many}");
            Ok(())
        })
    };
    let storms = [storm(), storm()];
    let timer = spawn(move || {
        sleep(ms(20));
        println!("20 ms");
        b.write_all(b"a byte")?;
        sleep(ms(20));
        println!("40 ms");
        stop.set(true);
        Ok(())
    });
    let reader = spawn(move || {
        println!("got {}", receive(&a)?);
        io::Result::Ok(())
    });
    for thread in storms.into_iter().chain([timer, reader]) {
        thread.join().expect("it does not panic")?;
    }
    Ok(())
}

pub(super) fn timeout_nested() {
    fn nested(outer: Duration, inner: Duration) {
        let ended = timeout(outer, || {
            // The token of the outer timeout passes through the inner one.
            let ended = catch_unwind(|| timeout(inner, || sleep(ms(1000))));
            let is_inner = matches!(ended, Ok(Err(Elapsed)));
            println!(
                "inner scope: inner {} outer {}",
                py(is_inner),
                py(ended.is_err())
            );
            if let Err(foreign) = ended {
                resume_unwind(foreign);
            }
            sleep(ms(60));
            println!("never printed");
        });
        let is_outer = ended == Err(Elapsed);
        println!(
            "outer scope: inner {} outer {}",
            py(!is_outer),
            py(is_outer)
        );
    }
    println!("inner first");
    nested(ms(40), ms(20));
    println!("outer first");
    nested(ms(20), ms(40));
    let _ = timeout(ms(20), || {
        let _ = timeout(ms(40), || sleep(ms(1000)));
        println!("never printed");
    });
    println!("the silent outer one ended both");
    let _ = timeout(ms(60), || {
        let _ = timeout(ms(20), || sleep(ms(1000)));
        println!("the silent inner one ended only itself");
    });
}

pub(super) fn timeout_kinds() {
    fn times_out() -> Result<(), Elapsed> {
        timeout(ms(20), || {
            sleep(ms(1000));
            println!("never printed");
        })
    }
    if times_out() == Err(Elapsed) {
        println!("plain timed out");
    }
    let own = attempt(|| times_out().unwrap_or_else(|Elapsed| ValueError("my own").raise()));
    if let Err(error) = own {
        println!("own raised {}", error.0);
    }
    let _ = times_out();
    println!("false was silent");
    let sleeps = || {
        sleep(ms(1000));
        "slept"
    };
    println!(
        "value instead: {}",
        timeout(ms(20), sleeps).unwrap_or("gave up")
    );
    println!(
        "in time: {}",
        timeout(ms(500), || "result").unwrap_or("gave up")
    );
    if timeout(ms(20), sleeps).is_err() {
        println!("no value: timed out");
    }
    let _ = timeout_with(ms(20), |timeout| {
        println!("pending inside: {}", py(timeout.is_pending()));
    });
    let timers_fired = || Handle::current().stats().timers_fired;
    let before = timers_fired();
    sleep(ms(40));
    println!("pending behind: {}", py(timers_fired() > before + 1)); // only the sleep's was
    let _ = timeout(Duration::MAX, || sleep(ms(20)));
    println!("none: no limit");
    let slow = eventlet::spawn_after(ms(60), || "slow");
    if timeout(ms(20), || slow.finished().wait()).is_err() {
        println!(
            "waited too long, still to come: {}",
            py(!slow.is_finished())
        );
    }
    println!("result: {}", slow.join().expect("it has one"));
}
