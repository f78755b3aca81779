//! Timers whose callbacks take longer than their interval, and what runs between two passes.

use super::{compute_for, connect, say, serve};
use oneloop::callback::net::Error;
use oneloop::callback::timers::promises;
use oneloop::callback::{
    Timeout, clear_interval, clear_timeout, next_tick, process, set_immediate, set_interval,
    set_timeout, spawn_micro,
};
use std::cell::Cell;
use std::rc::Rc;

pub(super) fn slow_timer() {
    set_timeout(
        || {
            println!("A");
            set_immediate(say("imm"));
            set_timeout(say("C"), 1);
            compute_for(200);
        },
        80,
    );
    set_timeout(say("B"), 200);
}

fn immediates(number: u32) {
    println!("imm {number}");
    if number < 3 {
        set_immediate(move || immediates(number + 1));
    }
}

pub(super) fn slow_interval() -> Result<(), Error> {
    let server = serve(|c| {
        c.on_data(|c, d| {
            println!("data {}", super::text(d));
            c.end();
        });
    })?;
    server.on_listening(|server| {
        let n = Rc::new(Cell::new(0));
        let inside = Rc::clone(&n);
        let interval = set_interval(
            move || {
                inside.set(inside.get() + 1);
                compute_for(7);
            },
            3,
        );
        let c = connect(&server)?;
        c.on_connect(|c| {
            println!("connect");
            c.write("hi");
        });
        c.resume();
        c.on_close(move |_, _| {
            println!("close");
            set_immediate(|| immediates(1));
            let (server, n) = (server.clone(), Rc::clone(&n));
            let end = move || {
                println!("timeout");
                clear_interval(interval);
                server.close_then(move |_| println!("closed {}", n.get() > 2));
            };
            set_timeout(end, 50);
        });
        Ok::<(), Error>(())
    });
    Ok(())
}

pub(super) fn slow_timeouts() {
    fn run(number: u32) {
        println!("t {number}");
        set_immediate(move || println!("imm of {number}"));
        if number < 4 {
            set_timeout(move || run(number + 1), 1);
        }
        compute_for(60);
    }
    set_timeout(|| run(1), 60);
}

/// Runs every `ms` milliseconds, four times, and takes 60 ms each time.
fn four_times(name: &'static str, ms: u32, then: impl Fn() + 'static) {
    let interval = Rc::new(Cell::new(None::<Timeout>));
    let inside = Rc::clone(&interval);
    let mut n = 0;
    let run = move || {
        n += 1;
        println!("{name} {n}");
        compute_for(60);
        if n == 4 {
            clear_interval(inside.get().expect("it is set"));
        }
        then();
    };
    interval.set(Some(set_interval(run, ms)));
}

pub(super) fn slow_intervals() {
    four_times("a", 40, || {
        set_immediate(say("imm"));
    });
    four_times("b", 75, || {});
}

pub(super) fn refreshed_list() {
    let a = set_timeout(say("a"), 100);
    compute_for(40);
    a.refresh();
    set_timeout(say("b"), 80);
    compute_for(300);
    set_timeout(say("c"), 1);
}

pub(super) fn refreshed_while_it_runs() {
    let interval = Rc::new(Cell::new(None::<Timeout>));
    let inside = Rc::clone(&interval);
    let mut n = 0;
    let run = move || {
        n += 1;
        println!("i {n}");
        let interval = inside.get().expect("it is set");
        if n == 3 {
            return clear_interval(interval);
        }
        compute_for(60);
        interval.refresh();
        set_timeout(say("t60"), 60);
    };
    interval.set(Some(set_interval(run, 100)));
}

pub(super) fn changed_by_a_tick() {
    let others = Rc::new(Cell::new(None::<(Timeout, Timeout)>));
    let inside = Rc::clone(&others);
    set_timeout(
        move || {
            println!("a");
            let (b, c) = inside.get().expect("they are set");
            next_tick(move || {
                println!("tick");
                b.refresh();
                clear_timeout(c);
            });
        },
        30,
    );
    let b = set_timeout(say("b"), 30);
    others.set(Some((b, set_timeout(say("c"), 30))));
    set_timeout(say("d"), 30);
    compute_for(90);
}

pub(super) fn throw_in_slow_timer() {
    process::on_uncaught_exception(|e, _| println!("heard {e}"));
    set_timeout(
        || {
            println!("A");
            set_immediate(say("imm"));
            next_tick(say("tick"));
            set_timeout(say("C"), 1);
            compute_for(200);
            Err::<(), _>("x")
        },
        80,
    );
    set_timeout(say("A2"), 80);
    set_timeout(say("B"), 200);
    compute_for(120);
}

pub(super) fn slow_promises() {
    drop(spawn_micro(async {
        for k in 1..4 {
            promises::set_timeout(3, None).await?;
            println!("slept {k}");
            compute_for(20);
            set_immediate(move || println!("imm {k}"));
        }
        for k in 1..4 {
            promises::set_immediate(None).await?;
            println!("immediate {k}");
            set_timeout(move || println!("t {k}"), 1);
            compute_for(20);
        }
        Ok::<(), Error>(())
    }));
}

pub(super) fn cleared_meanwhile() {
    let b = Rc::new(Cell::new(None::<Timeout>));
    let inside = Rc::clone(&b);
    set_timeout(
        move || {
            println!("A");
            compute_for(150);
            let b = inside.get().expect("it is set");
            set_immediate(move || {
                println!("imm");
                clear_timeout(b);
            });
        },
        60,
    );
    b.set(Some(set_timeout(say("never"), 120)));
    set_timeout(say("C"), 140);
}
