//! `process.exit` from anywhere, and listeners of 'exit' that throw or exit.

use super::{connect, say, serve, throw};
use oneloop::callback::events::{Emitter, EmitterEvent};
use oneloop::callback::net::Error;
use oneloop::callback::process::{
    exit, on_before_exit, on_exit, on_signal, on_uncaught_exception, set_exit_code,
};
use oneloop::callback::timers::promises;
use oneloop::callback::{
    AbortController, next_tick, queue_microtask, set_immediate, set_timeout, spawn_micro,
};
use oneloop::signal::number::SIGUSR2;
use rustix::process::{Signal, getpid, kill_process};
use std::cell::Cell;
use std::rc::Rc;

fn tell_exit(name: &'static str) {
    on_exit(move |code| println!("{name} {code}"));
}

fn exit_with(code: u8) -> impl Fn() {
    move || exit(code)
}

/// Prints a name and the code, and throws the first time.
fn throw_once_at_exit() {
    let first = Cell::new(true);
    on_exit(move |code| {
        println!("a {code}");
        if first.replace(false) {
            Err("x")
        } else {
            Ok(())
        }
    });
}

/// A listener of 'exit' that prints and throws, and a second one that is never called.
fn throw_at_exit(name: &'static str) {
    on_exit(move |code| {
        println!("{name} {code}");
        Err::<(), _>("x")
    });
    on_exit(|_| println!("no"));
}

pub(super) fn in_a_microtask() {
    tell_exit("exit");
    queue_microtask(|| -> ! {
        queue_microtask(say("no"));
        exit(4)
    });
}

pub(super) fn in_an_async_function() {
    tell_exit("exit");
    on_uncaught_exception(|e, _| println!("no {e}"));
    println!("before");
    drop(spawn_micro(async {
        queue_microtask(say("no"));
        next_tick(say("no"));
        if true {
            exit(4);
        }
    }));
    set_timeout(say("no"), 0);
}

pub(super) fn in_a_tick() {
    tell_exit("exit");
    next_tick(|| -> ! {
        next_tick(say("no"));
        queue_microtask(say("no"));
        exit(4)
    });
}

struct X;
impl EmitterEvent for X {
    type Args<'a> = ();
}

pub(super) fn after_an_await() {
    let emitter = Emitter::new();
    let controller = AbortController::new();
    tell_exit("exit");
    controller.signal().on_abort(|_| -> ! {
        println!("abort");
        exit(3)
    });
    emitter.on(X, move |()| {
        println!("one");
        controller.abort();
        println!("no");
    });
    emitter.on(X, |()| println!("no"));
    drop(spawn_micro(async move {
        promises::set_timeout(1, None).await?;
        println!("slept");
        let emitted = emitter.emit(X, ());
        println!("no");
        emitted
    }));
}

pub(super) fn within_exit() {
    tell_exit("a");
    on_exit(|code| -> ! {
        println!("b {code}");
        exit(5)
    });
    tell_exit("no");
    set_timeout(exit_with(4), 1);
}

pub(super) fn code_within_exit() {
    on_exit(|code| {
        println!("a {code}");
        set_exit_code(6);
    });
    tell_exit("b");
    on_exit(|code| {
        println!("c {code}");
        tell_exit("no");
    });
    set_timeout(exit_with(4), 1);
}

pub(super) fn throw_within_exit() {
    tell_exit("a");
    throw_at_exit("b");
    set_timeout(exit_with(4), 1);
}

pub(super) fn throw_at_the_end() {
    on_exit(|code| {
        println!("a {code}");
        queue_microtask(say("no"));
    });
    throw_at_exit("b");
    set_timeout(|| {}, 1);
}

pub(super) fn throw_at_the_end_with_a_code() {
    set_exit_code(3);
    throw_at_exit("a");
}

pub(super) fn throw_within_uncaught_exit() {
    throw_at_exit("a");
    set_timeout(throw("y"), 1);
}

pub(super) fn handled_throw_within_exit() {
    on_uncaught_exception(|e, origin| println!("heard {e} {origin}"));
    throw_once_at_exit();
    tell_exit("b");
    set_timeout(
        || -> ! {
            next_tick(say("tick"));
            set_immediate(say("imm"));
            set_timeout(
                || {
                    println!("timer");
                    next_tick(say("no"));
                    queue_microtask(say("micro"));
                },
                30,
            );
            exit(4)
        },
        1,
    );
}

pub(super) fn exit_without_telling() {
    on_uncaught_exception(|e, _| println!("heard {e}"));
    throw_once_at_exit();
    set_timeout(
        || -> ! {
            set_timeout(
                || -> ! {
                    println!("timer");
                    exit(8)
                },
                1,
            );
            exit(4)
        },
        1,
    );
}

pub(super) fn rejected_exit() {
    on_uncaught_exception(|e, origin| println!("heard {e} {origin}"));
    throw_once_at_exit();
    drop(spawn_micro(async {
        if true {
            exit(3);
        }
    }));
    queue_microtask(say("micro"));
}

pub(super) fn when_uncaught() {
    on_uncaught_exception(|e, origin| {
        println!("heard {e} {origin}");
        if e.message() == "b" {
            exit(6);
        }
    });
    tell_exit("exit");
    for message in ["a", "b", "c"] {
        drop(spawn_micro(async move { Err::<(), _>(message) }));
    }
}

pub(super) fn code_when_uncaught() {
    on_exit(|code| {
        println!("exit {code}");
        set_exit_code(9);
    });
    tell_exit("b");
    set_exit_code(3);
    set_timeout(throw("y"), 1);
}

pub(super) fn within_uncaught_exit() {
    on_exit(|code| -> ! {
        println!("exit {code}");
        exit(9)
    });
    tell_exit("no");
    set_timeout(throw("y"), 1);
}

pub(super) fn before_exit() {
    on_before_exit(|code| {
        println!("a {code}");
        set_exit_code(2);
    });
    on_before_exit(|code| -> ! {
        println!("b {code}");
        exit(8)
    });
    on_before_exit(|_| println!("no"));
    tell_exit("exit");
}

pub(super) fn throw_before_exit() {
    on_uncaught_exception(|e, _| println!("heard {e}"));
    let n = Cell::new(0);
    on_before_exit(move |code| {
        println!("a {code}");
        n.set(n.get() + 1);
        if n.get() <= 2 {
            return Err("x");
        }
        set_exit_code(7);
        Ok(())
    });
    on_before_exit(|code| println!("b {code}"));
    tell_exit("exit");
}

pub(super) fn microtasks_at_the_end() {
    on_exit(|code| {
        println!("a {code}");
        next_tick(say("no"));
        set_immediate(say("no"));
        queue_microtask(|| {
            println!("m1");
            queue_microtask(|| -> ! {
                println!("m3");
                exit(7)
            });
            queue_microtask(say("no"));
        });
        queue_microtask(say("m2"));
    });
    tell_exit("b");
}

pub(super) fn rejection_at_the_end() {
    on_exit(|code| {
        println!("a {code}");
        drop(spawn_micro(async { Err::<(), _>("late") }));
    });
    tell_exit("b");
}

pub(super) fn no_microtasks_after_exit() {
    on_exit(|code| {
        println!("a {code}");
        queue_microtask(say("no"));
    });
    set_immediate(exit_with(2));
    set_immediate(say("no"));
}

pub(super) fn in_main() {
    tell_exit("exit");
    set_timeout(say("no"), 0);
    set_immediate(say("no"));
    next_tick(say("no"));
    queue_microtask(say("no"));
    set_exit_code(2);
    exit(4)
}

pub(super) fn in_an_event() -> Result<(), Error> {
    tell_exit("exit");
    let server = serve(|_| {
        println!("connection");
        on_signal(SIGUSR2, |_| -> ! {
            println!("signal");
            exit(3)
        })?;
        std::io::Result::Ok(kill_process(getpid(), Signal::USR2)?)
    })?;
    let client = Rc::new(Cell::new(None));
    server.on_listening(move |server| {
        client.set(Some(connect(&server)?));
        Ok::<(), Error>(())
    });
    Ok(())
}

pub(super) fn codes() {
    tell_exit("exit");
    on_before_exit(|code| {
        println!("before {code}");
        set_exit_code(7);
    });
    set_exit_code(2);
    set_timeout(|| set_exit_code(5), 1);
}
