//! Lists of timers.

use super::{compute_for, say};
use oneloop::callback::{
    Timeout, clear_interval, clear_timeout, set_immediate, set_interval, set_timeout,
};
use std::cell::Cell;
use std::rc::Rc;

pub(super) fn timer_in_timer() {
    set_timeout(say("t60"), 60);
    set_timeout(
        || {
            println!("t30a");
            set_timeout(say("t30a-child"), 30);
            set_immediate(say("imm"));
        },
        30,
    );
    set_timeout(say("t30b"), 30);
    set_timeout(say("t1"), 1);
    compute_for(120);
}

pub(super) fn coalesce_lists_order() {
    set_timeout(say("60"), 60);
    set_timeout(say("30"), 30);
    set_timeout(say("60b"), 60);
    set_timeout(say("1"), 1);
    compute_for(150);
    set_timeout(say("late1"), 1);
}

pub(super) fn interval_and_refresh() {
    let interval = Rc::new(Cell::new(None::<Timeout>));
    let inside = Rc::clone(&interval);
    let mut n = 0;
    interval.set(Some(set_interval(
        move || {
            n += 1;
            println!("i {n}");
            if n == 3 {
                clear_interval(inside.get().expect("it is set"));
            }
        },
        60,
    )));
    let refreshed = set_timeout(say("refreshed"), 100);
    set_timeout(
        move || {
            refreshed.refresh();
        },
        50,
    );
    set_timeout(say("negative is 1"), -5);
}

pub(super) fn clear_inside_the_list() {
    let b = Rc::new(Cell::new(None::<Timeout>));
    let c = Rc::new(Cell::new(None::<Timeout>));
    let (b_inside, c_inside) = (Rc::clone(&b), Rc::clone(&c));
    let a = set_timeout(
        move || {
            println!("a");
            clear_timeout(b_inside.get().expect("it is set"));
        },
        30,
    );
    b.set(Some(set_timeout(say("b"), 30)));
    c.set(Some(set_timeout(
        move || {
            println!("c");
            clear_timeout(a);
            clear_timeout(c_inside.get().expect("it is set"));
        },
        30,
    )));
    set_timeout(say("d"), 30);
}

pub(super) fn timeout_in_order() {
    set_timeout(say("a"), 90);
    set_timeout(
        || {
            println!("b");
            set_timeout(say("b2"), 120);
        },
        30,
    );
    let i = set_interval(say("i"), 60);
    set_timeout(move || clear_interval(i), 210);
    set_timeout(say("overflow"), 2_f64.powi(31));
    set_timeout(say("nan"), f64::NAN);
    set_timeout(say("infinite"), f64::INFINITY);
    set_timeout(say("fraction"), 1.9);
}
