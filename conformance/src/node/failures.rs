//! Failures of sockets, and the listeners that receive them.

use super::{close_server, connect, say, serve, text, throw};
use oneloop::callback::net::{self, Error, event};
use oneloop::callback::process::{on_exit, on_uncaught_exception};
use oneloop::callback::{Thrown, next_tick, set_timeout, spawn_micro};
use std::cell::Cell;
use std::rc::Rc;

pub(super) fn throw_in_data() -> Result<(), Error> {
    on_uncaught_exception(|e, _| println!("caught {e}"));
    serve(|c| {
        let n = Cell::new(0);
        c.on_data(move |_, d| {
            println!("data {}", text(d));
            next_tick(say("tick"));
            drop(spawn_micro(async { println!("micro") }));
            n.set(n.get() + 1);
            if n.get() == 1 {
                return Err("in data");
            }
            Ok(())
        });
        c.on_data(|_, d| println!("second {}", text(d)));
        c.on_end(|c| {
            println!("end");
            close_server(&c);
        });
    })?
    .on_listening(|s| {
        connect(&s)?.on_connect(|c| {
            c.write("one");
            set_timeout(
                move || {
                    c.end_with("two");
                },
                60,
            );
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

/// `e.code`
fn code(e: &Thrown) -> String {
    let error = e.error().and_then(|error| error.downcast_ref::<Error>());
    error
        .and_then(Error::code)
        .unwrap_or("undefined")
        .to_owned()
}

pub(super) fn unheard_error() -> Result<(), Error> {
    on_uncaught_exception(|e, origin| println!("caught {} {origin}", code(e)));
    let c = net::connect(("127.0.0.1", 1))?;
    c.on_close(|_, had_error| println!("close {had_error}"));
    Ok(())
}

pub(super) fn unheard_error_exits() -> Result<(), Error> {
    on_exit(|code| println!("exit {code}"));
    net::connect(("127.0.0.1", 1))?.on_close(|_, _| println!("never"));
    Ok(())
}

pub(super) fn no_such_name() -> Result<(), Error> {
    let c = net::connect(("no such name", 80))?;
    c.on(event::Lookup, |(_, found, host)| {
        let code = found.err().and_then(|e| e.code().map(str::to_owned));
        println!(
            "lookup {} undefined undefined {host}",
            code.unwrap_or_default()
        );
    });
    c.on_error(|_, e| {
        println!(
            "{} {} {e}",
            e.code().unwrap_or(""),
            e.syscall().unwrap_or("")
        );
    });
    c.on_close(|_, had_error| println!("close {had_error}"));
    let s = net::create_server(|_| {});
    s.on_error(|_, e| println!("server {} {e}", e.code().unwrap_or("")));
    set_timeout(move || s.listen(("no such name", 0)), 150);
    Ok(())
}

pub(super) fn reset_while_reading() -> Result<(), Error> {
    serve(|c| {
        c.on_data(|c, d| {
            println!("data {}", text(d));
            set_timeout(move || c.reset_and_destroy().map(drop), 30);
        });
        c.on_close(|c, had_error| {
            println!("srv close {had_error}");
            close_server(&c);
        });
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.write("x");
        c.on_data(|_, _| {});
        c.on_end(|_| println!("never"));
        c.on_error(|c, e| {
            let syscall = e.syscall().unwrap_or("");
            println!(
                "{} {syscall} {e} {}",
                e.code().unwrap_or(""),
                c.is_destroyed()
            );
            next_tick(say("tick"));
        });
        c.on_close(|_, had_error| println!("cli close {had_error}"));
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn error_in_connection_handler() -> Result<(), Error> {
    on_uncaught_exception(|e, origin| println!("caught {e} {origin}"));
    let n = Rc::new(Cell::new(0));
    serve(move |c| {
        c.resume();
        let counted = Rc::clone(&n);
        c.on_end(move |c| {
            println!("end");
            if counted.get() == 2 {
                close_server(&c);
            }
        });
        n.set(n.get() + 1);
        if n.get() == 1 {
            return Err("in connection");
        }
        println!("second");
        Ok(())
    })?
    .on_listening(|s| {
        connect(&s)?.end();
        connect(&s)?.end();
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn error_in_close_handler() -> Result<(), Error> {
    on_uncaught_exception(|e, _| println!("caught {e}"));
    serve(|c| {
        c.on_close(|_, _| Err::<(), _>("in close"));
        c.on_close(|_, _| println!("never"));
        c.destroy();
        set_timeout(
            move || {
                println!("goes on");
                close_server(&c);
            },
            60,
        );
    })?
    .on_listening(|s| {
        connect(&s)?.on_error(|_, _| {}).resume();
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn two_throwing_ticks() -> Result<(), Error> {
    on_uncaught_exception(|e, _| println!("caught {e}"));
    serve(|c| {
        c.on_error(|_, _| {});
        c.resume();
        c.on_close(|c, _| close_server(&c));
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.on_close(|_, _| println!("close"));
        c.on_connect(|c| {
            c.destroy();
            next_tick(throw("one"));
            next_tick(throw("two"));
            next_tick(say("three"));
        });
        Ok::<_, Error>(())
    });
    Ok(())
}
