//! Phases, ticks and microtasks.

use super::say;
use oneloop::callback::{
    clear_immediate, next_tick, process, queue_microtask, set_immediate, set_timeout, spawn_micro,
};
use oneloop::core::yield_now;

pub(super) fn phases() {
    set_timeout(say("timeout0"), 0);
    set_immediate(say("immediate"));
    next_tick(say("tick"));
    drop(spawn_micro(async { println!("micro") }));
    queue_microtask(say("qmicro"));
    println!("main");
}

pub(super) fn tick_micro_interleave() {
    next_tick(|| {
        println!("t1");
        drop(spawn_micro(async {
            println!("m1");
            next_tick(say("t3"));
            queue_microtask(say("m2"));
        }));
        next_tick(say("t2"));
    });
    queue_microtask(|| {
        println!("M");
        next_tick(say("T"));
    });
}

pub(super) fn immediate_queue_snapshot() {
    set_immediate(|| {
        println!("1");
        set_immediate(say("3"));
        next_tick(say("1t"));
    });
    let cleared = set_immediate(say("cleared"));
    set_immediate(say("2"));
    let inside = cleared.clone();
    set_immediate(move || clear_immediate(&inside));
    clear_immediate(&cleared);
}

pub(super) fn async_functions() {
    process::on_uncaught_exception(|e, origin| println!("caught {e} {origin}"));
    drop(spawn_micro(async {
        println!("a1");
        next_tick(say("tick"));
        yield_now().await; // await null
        println!("a2");
        Err::<(), _>("rejected")
    }));
    next_tick(say("T"));
    set_immediate(say("imm"));
}

pub(super) fn timers_after_check() {
    set_timeout(
        || {
            set_timeout(say("A"), 30);
            set_immediate(|| {
                println!("B");
                set_timeout(say("C"), 30);
            });
        },
        0,
    );
}

pub(super) fn ticks_before_microtasks_always() {
    set_timeout(
        || {
            queue_microtask(|| {
                println!("m1");
                next_tick(say("t2"));
                queue_microtask(say("m2"));
            });
            next_tick(|| {
                println!("t1");
                queue_microtask(say("m3"));
            });
        },
        1,
    );
    set_timeout(say("after"), 60);
}

pub(super) fn next_tick_storm() {
    fn tick(n: u32) {
        if n < 1000 {
            next_tick(move || tick(n + 1));
        } else {
            println!("ticks {n}");
        }
    }
    fn micro(n: u32) {
        if n < 1000 {
            queue_microtask(move || micro(n + 1));
        } else {
            println!("micros {n}");
        }
    }
    next_tick(|| tick(1));
    queue_microtask(|| micro(1));
    set_immediate(say("immediate"));
    set_timeout(say("timeout"), 60);
}
