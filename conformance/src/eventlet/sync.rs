//! Events and semaphores.

use super::{ValueError, ms, py};
use oneloop::green::eventlet::{self, Event};
use oneloop::green::{Wait, join_all, sleep, spawn, timeout};
use oneloop::sync::{BoundedSemaphore, CappedSemaphore, OverReleased, Semaphore};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

pub(super) fn event() {
    type Brought = Event<Result<&'static str, ValueError>>;
    fn wait_for(name: &str, event: &Brought) -> String {
        match event.get().wait() {
            Ok(value) => format!("{name} got {value}"),
            Err(error) => format!("{name} caught {}", error.0),
        }
    }
    fn bring(how: impl Fn(&Brought)) {
        let event = Event::new();
        let lines = Rc::new(RefCell::new(Vec::new()));
        let threads = ["a", "b", "c"].map(|name| {
            let (event, lines) = (event.clone(), Rc::clone(&lines));
            spawn(move || {
                let line = wait_for(name, &event);
                lines.borrow_mut().push(line);
            })
        });
        sleep(Duration::ZERO);
        let poll = event.try_get().map_or("not yet", |_| "something");
        println!("ready: {} poll: {poll}", py(event.is_sent()));
        how(&event);
        println!("given; no waiter ran: {}", py(lines.borrow().is_empty()));
        join_all(threads);
        let late = wait_for("late", &event);
        let mut lines = lines.take();
        lines.push(late);
        lines.sort();
        println!("{}", lines.join(", "));
    }
    bring(|event| event.send(Ok("value")).expect("it is the first"));
    bring(|event| {
        event
            .send(Err(ValueError("broken")))
            .expect("it is the first")
    });
    let event = Brought::new();
    let nothing = event.get().wait_timeout(ms(20)).is_err();
    println!(
        "wait for 20 ms: nothing {} ready {}",
        py(nothing),
        py(event.is_sent())
    );
    if timeout(ms(20), || event.get().wait()).is_err() {
        println!("timed out");
    }
    let sends = event.clone();
    eventlet::spawn_after(ms(20), move || sends.send(Ok("after both")));
    let value = event.get().wait().expect("no error was sent");
    let result = event.try_get().expect("it was sent");
    let (is_ok, is_err) = (py(result.is_ok()), py(result.is_err()));
    println!("wait: {value} a result {is_ok} an exception {is_err}");
}

pub(super) fn event_once() {
    fn attempt<T, E>(name: &str, result: Result<T, E>) {
        let how = if result.is_ok() {
            "worked"
        } else {
            "is refused"
        };
        println!("{name} {how}");
    }
    fn value(event: &Event<Result<u32, ValueError>>) -> u32 {
        event.get().wait().expect("no error was sent")
    }
    let event = Event::new();
    let waiter = || {
        let event = event.clone();
        spawn(move || value(&event))
    };
    attempt("reset of a fresh one", event.reset());
    attempt("send", event.send(Ok(1)));
    attempt("second send", event.send(Ok(2)));
    attempt(
        "send_exception behind it",
        event.send(Err(ValueError("broken"))),
    );
    println!("value: {}", value(&event));
    let got = waiter().join().expect("it waits for nothing");
    println!("a wait for the ready does not wait: {got}");
    attempt("reset", event.reset());
    println!("ready: {}", py(event.is_sent()));
    let waiting = waiter();
    sleep(Duration::ZERO);
    attempt("send", event.send(Ok(3)));
    attempt("reset before the waiter ran", event.reset());
    attempt("send", event.send(Ok(4)));
    let got = waiting.join().expect("something was sent");
    println!("the waiter got {got} the next gets {}", value(&event));
}

pub(super) fn semaphore() {
    let lock = Semaphore::new(1);
    let worker = |name| {
        let lock = lock.clone();
        spawn(move || {
            for number in 1..=2 {
                let _permit = lock.acquire().wait();
                println!("{name} {number} waiting {}", lock.waiting());
                sleep(Duration::ZERO);
            }
        })
    };
    join_all(["a", "b", "c"].map(worker));
    println!("free {}", lock.available());

    let once = |name| {
        let lock = lock.clone();
        spawn(move || {
            let permit = lock.acquire().wait();
            println!("{name} in");
            sleep(ms(20));
            drop(permit);
            println!("{name} out");
        })
    };
    join_all(["a", "b", "c"].map(once));

    let two = Semaphore::new(2);
    let acquired = |permit: Option<_>| py(permit.map(oneloop::sync::Permit::forget).is_some());
    let locked = || py(two.available() == 0);
    let acquire = || acquired(Some(two.acquire().wait()));
    println!("acquired {} {} locked {}", acquire(), acquire(), locked());
    let at_once = acquired(two.try_acquire());
    let in_time = acquired(two.acquire().wait_timeout(ms(20)).ok());
    println!("without waiting: {at_once} timed out: {in_time}");
    let releases = two.clone();
    eventlet::spawn_after(ms(20), move || releases.release());
    println!("acquired {} locked {}", acquire(), locked());
    let acquires = two.clone();
    let victim = spawn(move || acquires.acquire().wait().forget());
    sleep(Duration::ZERO);
    eventlet::kill(&victim);
    two.release();
    println!("who was killed waits no more: {}", two.available());
}

pub(super) fn bounded_capped() {
    let bounded = BoundedSemaphore::new(1);
    bounded.acquire().wait().forget();
    bounded.release().expect("it was acquired");
    if bounded.release() == Err(OverReleased) {
        println!("released too often");
    }

    /// The number of permits that can be acquired, less the number that can be released.
    fn balance(capped: &CappedSemaphore) -> usize {
        capped.available() - capped.room()
    }
    let capped = CappedSemaphore::new(1, 2);
    let report = || {
        let (locked, bounded) = (capped.available() == 0, capped.room() == 0);
        println!(
            "balance {} locked {} bounded {}",
            balance(&capped),
            py(locked),
            py(bounded)
        );
    };
    report();
    capped.release().wait();
    report();
    println!("release without waiting: {}", py(capped.try_release()));

    let releases = capped.clone();
    let releaser = spawn(move || {
        println!("release waits");
        releases.release().wait();
        println!("released, balance {}", balance(&releases));
    });
    sleep(ms(20));
    println!("acquire");
    capped.acquire().wait();
    println!("acquired, balance {}", balance(&capped));
    releaser.join().expect("it only prints");

    let acquires = capped.clone();
    let acquirer = spawn(move || {
        for number in 1..=3 {
            acquires.acquire().wait();
            println!("acquired {number}");
        }
    });
    sleep(ms(20));
    println!("release");
    capped.release().wait();
    acquirer.join().expect("it only prints");
}
