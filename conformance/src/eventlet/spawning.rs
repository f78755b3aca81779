//! Spawning: the order in which threads begin.

use super::{ValueError, ms, py};
use oneloop::Handle;
use oneloop::green::{JoinHandle, eventlet, sleep, spawn, spawn_after_local as after_local};
use std::any::Any;
use std::time::Duration;

pub(super) fn spawn_order() {
    fn child(name: &'static str) -> String {
        println!("{name} runs");
        if name == "a" {
            spawn(|| child("a of a"));
            println!("a goes on");
        }
        sleep(Duration::ZERO);
        println!("{name} ends");
        name.to_uppercase()
    }
    println!("spawning");
    let threads = ["a", "b", "c"].map(|name| spawn(move || child(name)));
    println!("spawned, nothing ran");
    let names = threads.map(|thread| thread.join().expect("it returns its name"));
    println!("waited for {}", names.join(" "));
    sleep(ms(20));
}

pub(super) fn spawn_after() {
    fn say_after(delay_ms: u64, line: &'static str) {
        eventlet::spawn_after(ms(delay_ms), move || println!("{line}"));
    }
    say_after(60, "60 ms");
    say_after(20, "20 ms, first");
    say_after(20, "20 ms, second");
    say_after(20, "20 ms, third");
    say_after(40, "40 ms");
    say_after(0, "spawned after 0, first");
    spawn(|| println!("spawned, second"));
    say_after(0, "spawned after 0, third");
    eventlet::spawn_n(|| println!("spawned without a result, fourth"));
    println!("main waits");
    sleep(ms(80));
    let late = eventlet::spawn_after(ms(20), || "the result");
    println!("wait for {}", late.join().expect("it has one"));
}

/// Prints that it ends, also when it is killed.
struct Ends(&'static str);

impl Drop for Ends {
    fn drop(&mut self) {
        println!("{} ends", self.0);
    }
}

pub(super) fn spawn_n() {
    fn fails() {
        println!("fails");
        ValueError("broken").raise();
    }
    fn counts(name: &'static str) {
        let _ends = Ends(name);
        for number in 1..=3 {
            println!("{name} {number}");
            sleep(ms(40));
        }
    }
    Handle::current().on_unhandled(|_| ());
    eventlet::spawn_n(|| counts("a"));
    eventlet::spawn_n(fails);
    let victim = eventlet::spawn_n(|| counts("b"));
    let has_result = (&victim as &dyn Any).is::<JoinHandle<()>>();
    println!("has a result: {}", py(has_result));
    sleep(ms(60));
    eventlet::kill(&victim);
    println!("killed {}", py(victim.is_finished()));
    sleep(ms(100));
}

pub(super) fn spawn_after_local() {
    fn spawner(name: &'static str, lives_ms: u64) {
        eventlet::spawn_after(ms(40), move || {
            println!("{name} spawned it: it runs anyway")
        });
        after_local(ms(40), move || {
            println!("{name} spawned it locally: it runs")
        });
        sleep(ms(lives_ms));
        println!("{name} ends");
    }
    spawn(|| spawner("short", 20));
    sleep(ms(60));
    spawn(|| spawner("long", 60));
    sleep(ms(80));
    let killed = spawn(|| spawner("killed", 1000));
    sleep(ms(20));
    eventlet::kill(&killed);
    sleep(ms(40));
    let canceled = after_local(ms(20), || println!("never printed"));
    canceled.cancel();
    sleep(ms(40));
    println!("main ends");
}
