//! How a program ends.

use super::{connect, say, serve, throw};
use oneloop::callback::net::{self, Error};
use oneloop::callback::process::{
    exit, on_before_exit, on_exit, on_signal, on_uncaught_exception, set_exit_code,
};
use oneloop::callback::{next_tick, set_immediate, set_timeout};
use oneloop::signal::number::SIGTERM;
use rustix::process::{Signal, getpid, kill_process};
use std::cell::Cell;

pub(super) fn unref() {
    let t = set_timeout(say("never"), 1000);
    t.unref();
    println!("hasRef {}", t.has_ref());
    set_immediate(say("unrefd imm runs only because the loop iterates")).unref();
    set_timeout(say("alive"), 80);
    on_exit(|c| println!("exit {c}"));
    on_before_exit(|c| println!("beforeExit {c}"));
}

pub(super) fn unref_only() {
    set_immediate(say("NEVER?")).unref();
    set_timeout(say("NEVER"), 1).unref();
    on_exit(|_| println!("exit"));
}

pub(super) fn before_exit() {
    let more = Cell::new(true);
    on_exit(|c| println!("exit {c}"));
    on_before_exit(move |c| {
        println!("beforeExit {c}");
        if more.replace(false) {
            set_timeout(say("more"), 1);
        }
    });
}

pub(super) fn uncaught_ends() {
    on_exit(|c| println!("exit {c}"));
    on_before_exit(|_| println!("never"));
    set_timeout(throw("boom"), 1);
    set_timeout(say("never"), 1);
}

pub(super) fn throw_in_handler() {
    on_uncaught_exception(|_, _| Err::<(), _>("in handler"));
    on_exit(|c| println!("exit {c}"));
    set_timeout(throw("boom"), 1);
}

pub(super) fn exit_with_a_code() {
    on_exit(|c| {
        println!("exit {c}");
        set_exit_code(9);
        set_timeout(say("no"), 0);
    });
    set_timeout(
        || {
            next_tick(say("no tick"));
            if true {
                exit(3);
            }
        },
        1,
    );
}

pub(super) fn unref_then_ref() {
    let t = set_timeout(say("waited for"), 60);
    t.unref();
    t.make_ref();
    println!("{}", t.has_ref());
    let u = set_timeout(say("never"), 1000);
    u.unref();
    set_immediate(move || {
        u.make_ref();
        u.unref();
        println!("{}", u.has_ref());
    });
}

pub(super) fn exit_in_data() -> Result<(), Error> {
    on_exit(|code| println!("exit {code}"));
    serve(|c| {
        c.on_data(|_, _| {
            println!("data");
            next_tick(say("never"));
            if true {
                exit(5);
            }
        });
        c.on_close(|_, _| println!("never"));
    })?
    .on_listening(|s| connect(&s).map(|c| c.write("x")));
    Ok(())
}

/// `process.kill(process.pid,'SIGTERM')`
fn terminate() -> std::io::Result<()> {
    Ok(kill_process(getpid(), Signal::TERM)?)
}

pub(super) fn sigterm() -> Result<(), Error> {
    on_exit(|_| println!("never"));
    serve(|_| {})?.on_listening(|_| {
        println!("listening");
        set_timeout(terminate, 30);
        set_timeout(say("never"), 500);
    });
    Ok(())
}

pub(super) fn signal_handler() -> Result<(), Error> {
    on_exit(|code| println!("exit {code}"));
    let s = net::create_server(|c| {
        c.resume();
    })
    .listen(("127.0.0.1", 0))?;
    s.on_listening(|s| {
        on_signal(SIGTERM, move |_| {
            println!("got SIGTERM");
            next_tick(say("tick"));
            s.close();
        })?;
        terminate()
    });
    s.on_close(|_| println!("close"));
    Ok(())
}
