//! Kills, and what the end of a green thread notifies.

use super::{LONG, exception, is_successful, ms, truth, value};
use oneloop::JoinError;
use oneloop::green::{
    Outcome, Thread, Wait, iwait, join_all, kill_all, sleep, spawn, spawn_after, timeout, yield_now,
};
use std::panic::{catch_unwind, resume_unwind};

/// Calls a function when it is dropped: `finally`.
struct Finally<F: Fn()>(F);

impl<F: Fn()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Waits, runs the cleanup, and unwinds again if the wait was interrupted. A wait of the cleanup
/// can be interrupted as well, as in Python's `finally` and unlike in a drop.
fn sleep_finally(cleanup: impl FnOnce()) {
    let slept = catch_unwind(|| sleep(LONG));
    cleanup();
    slept.unwrap_or_else(|interrupt| resume_unwind(interrupt));
}

pub(super) fn kill_block() {
    let victim = |name| {
        spawn(move || {
            let _dies = Finally(|| println!("{name} dies"));
            sleep(LONG);
        })
    };
    let [a, b, c] = ["a", "b", "c"].map(victim);
    yield_now();
    println!("kill a");
    a.kill();
    println!("a was killed: {}", truth(a.is_finished()));
    println!("kill b without waiting");
    b.kill_soon();
    println!("b not yet: {}", truth(b.is_finished()));
    c.kill_soon();
    c.kill_soon();
    println!("killed twice, c not yet: {}", truth(c.is_finished()));
    yield_now();
    let dead = [&b, &c].map(|victim| truth(victim.is_finished()));
    println!("a turn later: {}", dead.join(" "));
    c.kill();
    println!("kill of the dead does nothing");
}

pub(super) fn kill_unstarted() {
    fn print_end(name: &'static str) -> impl FnOnce(&Thread) {
        move |thread| {
            let killed = thread.outcome() == Some(Outcome::Killed);
            println!("{name} hears of a kill: {}", truth(killed));
        }
    }
    let waited = spawn(|| println!("never printed"));
    waited.on_exit_spawn(print_end("link"));
    waited.on_exit(print_end("rawlink"));
    println!("kill");
    waited.kill();
    let (dead, successful) = (truth(waited.is_finished()), truth(is_successful(&waited)));
    println!("killed: dead {dead} successful {successful}");
    yield_now();

    let scheduled = spawn(|| println!("never printed"));
    scheduled.on_exit_spawn(print_end("second link"));
    scheduled.kill_soon();
    let dead = truth(scheduled.is_finished());
    println!("kill without waiting: dead at once: {dead}");
    sleep(ms(20));

    let before = spawn(|| println!("spawned before runs"));
    let victim = spawn(|| println!("never printed"));
    victim.kill();
    let waits = truth(!before.is_finished());
    println!("killed; no thread ran meanwhile: {waits}");
    before.join().unwrap();
}

pub(super) fn kill_cleanup_blocks() {
    let victim = |name, wait_ms| {
        spawn(move || {
            sleep_finally(|| {
                println!("{name} cleans up");
                sleep(ms(wait_ms));
                println!("{name} cleaned up");
            });
        })
    };
    let (a, b) = (victim("a", 40), victim("b", 40));
    yield_now();
    spawn(|| {
        sleep(ms(20));
        println!("the other runs");
    });
    a.kill();
    println!("a killed");
    let _ = timeout(ms(20), || b.kill());
    let dead = truth(b.is_finished());
    println!("b cleans longer than kill waited, dead: {dead}");
    b.finished().wait();
    println!("b ended, dead: {}", truth(b.is_finished()));

    let twice = victim("twice", 1000);
    yield_now();
    twice.kill_soon();
    sleep(ms(20));
    twice.kill();
    println!("a second kill ended the cleanup");
}

pub(super) fn kill_is_a_value() {
    let killed = spawn(|| sleep(LONG));
    yield_now();
    killed.kill();
    let (successful, error) = (is_successful(&killed), exception(&killed).is_some());
    let (successful, error) = (truth(successful), truth(error));
    println!("killed: successful {successful} an error {error}");
    let exits = matches!(killed.join(), Err(JoinError::Killed));
    println!("get gives the exit: {}", truth(exits));

    let own = spawn(|| sleep(LONG));
    yield_now();
    own.throw(Box::new("of my own"));
    own.finished().wait();
    let (successful, error) = (is_successful(&own), exception(&own).unwrap());
    println!("own: successful {} error {error}", truth(successful));
    let error = own.join().unwrap_err();
    println!("get raises {}", error.panic_message().unwrap());

    let stubborn = spawn(|| {
        if catch_unwind(|| sleep(LONG)).is_err() {
            println!("swallowed");
        }
        sleep(ms(20));
        "lived on"
    });
    yield_now();
    stubborn.kill();
    let (successful, value) = (is_successful(&stubborn), value(&stubborn).unwrap());
    println!("stubborn: successful {} value {value}", truth(successful));
}

pub(super) fn kill_and_timeout() {
    let task = spawn(|| {
        let _cleanup = Finally(|| {
            println!("victim dies");
            sleep(ms(60));
            println!("no time-out came into the cleanup");
        });
        if timeout(ms(40), || sleep(LONG)).is_err() {
            println!("never printed");
        }
    });
    yield_now();
    task.kill();
    println!("successful: {}", truth(is_successful(&task)));

    let task = spawn(|| {
        let _cleanup = Finally(|| {
            sleep(ms(60));
            println!("cleaned up");
        });
        sleep(LONG);
    });
    yield_now();
    if timeout(ms(20), || task.kill()).is_err() {
        println!("kill timed out, dead: {}", truth(task.is_finished()));
    }
    task.finished().wait();
    println!("joined, dead: {}", truth(task.is_finished()));
}

pub(super) fn first_to_continue() {
    let dies_at_once = || sleep(LONG);
    let cleans_up = || sleep_finally(|| sleep(ms(20)));
    let victims: [(_, fn()); 2] = [("dies at once", dies_at_once), ("cleans up", cleans_up)];
    for (name, victim) in victims {
        let task = spawn(victim);
        task.on_exit(move |_| println!("{name}: rawlink"));
        task.on_exit_spawn(move |_| println!("{name}: link"));
        let joined = task.finished();
        let joiner = spawn(|| joined.wait());
        joiner.on_exit(move |_| println!("{name}: joined"));
        yield_now();
        spawn(move || println!("{name}: ready before"));
        task.kill();
        println!("{name}: killed");
        joiner.join().unwrap();
        yield_now();
    }

    let tasks = [0; 3].map(|_| spawn(|| sleep(LONG)));
    for task in &tasks {
        task.on_exit(|_| println!("one of all"));
    }
    yield_now();
    kill_all(tasks);
    println!("all killed");
    yield_now();

    let turns = |(name, count)| {
        spawn(move || {
            for number in 0..count {
                println!("{name} {number}");
                yield_now();
            }
            name
        })
    };
    for task in iwait([("a", 3), ("b", 1), ("c", 2)].map(turns)) {
        println!("{} has ended", task.join().unwrap());
    }
    spawn(|| println!("ready before a join of the dead"));
    join_all([spawn(|| ())]);
    let done = [0; 2].map(|_| spawn(|| ()));
    yield_now();
    spawn(|| println!("ready before"));
    join_all(done);
    println!("joined the dead");

    spawn_after(ms(20), || println!("spawned later"));
    sleep(ms(20));
    println!("slept as long");
}
