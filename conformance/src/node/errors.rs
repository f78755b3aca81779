//! What continues after a throw.

use super::{compute_for, say, throw};
use oneloop::callback::process::on_uncaught_exception;
use oneloop::callback::{
    Timeout, clear_interval, next_tick, queue_microtask, set_immediate, set_interval, set_timeout,
    spawn_micro,
};
use std::cell::Cell;
use std::rc::Rc;

fn catch_all() {
    on_uncaught_exception(|e, _| println!("caught {e}"));
}

pub(super) fn uncaught() {
    on_uncaught_exception(|e, origin| println!("caught {e} {origin}"));
    set_timeout(
        || {
            next_tick(say("tick-after-throw"));
            Err::<(), _>("x")
        },
        1,
    );
    set_timeout(say("same list next timer"), 1);
    set_immediate(say("imm"));
    set_timeout(|| drop(spawn_micro(async { Err::<(), _>("rej") })), 120);
    compute_for(30);
}

pub(super) fn tick_throw() {
    catch_all();
    next_tick(throw("t1"));
    next_tick(say("t2"));
    drop(spawn_micro(async { println!("m") }));
    set_immediate(say("imm"));
}

pub(super) fn throw_in_first_tick() {
    catch_all();
    set_immediate(say("imm0"));
    set_timeout(say("timeout"), 0);
    next_tick(throw("t1"));
    next_tick(say("t2"));
    drop(spawn_micro(async { println!("m") }));
    set_immediate(say("imm"));
    compute_for(30);
}

pub(super) fn throw_in_tick_of_timer() {
    catch_all();
    set_timeout(
        || {
            set_immediate(say("imm"));
            set_timeout(say("t0"), 30);
            next_tick(throw("a"));
            next_tick(say("b"));
            queue_microtask(say("m"));
        },
        1,
    );
    set_timeout(say("same list"), 1);
    compute_for(30);
}

pub(super) fn throw_in_immediate() {
    catch_all();
    set_immediate(|| {
        next_tick(say("tick"));
        queue_microtask(say("micro"));
        Err::<(), _>("i1")
    });
    set_immediate(say("i2"));
    set_immediate(say("i3"));
}

pub(super) fn throw_in_microtask() {
    catch_all();
    queue_microtask(throw("m1"));
    queue_microtask(say("m2"));
    next_tick(say("t"));
}

pub(super) fn throwing_interval() {
    catch_all();
    let interval = Rc::new(Cell::new(None::<Timeout>));
    let inside = Rc::clone(&interval);
    let mut n = 0;
    interval.set(Some(set_interval(
        move || {
            n += 1;
            println!("i {n}");
            if n == 2 {
                clear_interval(inside.get().expect("it is set"));
            }
            Err::<(), _>("x")
        },
        30,
    )));
}
