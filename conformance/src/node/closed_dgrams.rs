//! UDP sockets that are closed while they are bound, while they connect, and while they send.

use super::{say, text};
use oneloop::callback::dgram::{self, Kind, Socket, event};
use oneloop::callback::net::Error;
use oneloop::callback::process::on_uncaught_exception;
use oneloop::callback::{next_tick, set_immediate, set_timeout};
use std::cell::Cell;

const HERE: &str = "127.0.0.1";
const NOWHERE: &str = "192.0.2.1";

fn show(e: &Error) -> String {
    let (code, syscall) = (e.code(), e.syscall());
    let or_undefined = |text: Option<&str>| text.unwrap_or("undefined").to_owned();
    format!("{} {}", or_undefined(code), or_undefined(syscall))
}

/// `tell(name)`
fn tell<T>(name: &'static str) -> impl FnOnce(Result<T, Error>) {
    move |result| match result {
        Ok(_) => println!("{name} no error"),
        Err(e) => println!("{name} {}", show(&e)),
    }
}

fn make() -> Socket {
    let s = dgram::create_socket(Kind::Udp4);
    s.on_listening(|_| println!("listening"));
    s.on_connect(|_| println!("connect"));
    s.on_close(|_| println!("close"));
    s.on_error(|_, e| println!("error {}", show(e)));
    s.on_message(|_, m, _| println!("message {}", text(m)));
    s
}

/// `try{f();…}catch(e){…}`
fn attempt<T>(name: &str, result: Result<T, Error>) {
    match result {
        Ok(_) => println!("{name} went on"),
        Err(e) => println!("{name} {}", e.code().unwrap_or("undefined")),
    }
}

fn closed(_: Socket) {
    println!("closed");
}

fn in_a_message(s: &Socket) -> Result<(), Error> {
    let n = Cell::new(0);
    s.on_message(move |s, _, _| {
        n.set(n.get() + 1);
        if n.get() == 2 {
            s.close()?;
            next_tick(say("tick"));
            set_immediate(say("imm"));
        }
        Ok::<_, Error>(())
    });
    s.bind_then((HERE, 0), |s| {
        let port = s.address()?.port();
        ["a", "b", "c"]
            .into_iter()
            .try_for_each(|x| s.send_to(x, (HERE, port)))
    })?;
    Ok(())
}

/// A call on a socket.
type Scenario = (&'static str, fn(&Socket) -> Result<(), Error>);

const SCENARIOS: &[Scenario] = &[
    ("bound", |s| {
        s.bind(0)?;
        s.close()?;
        next_tick(say("tick"));
        set_immediate(say("imm"));
        attempt("again", s.close());
        Ok(())
    }),
    ("never bound", |s| {
        s.close_then(closed)?;
        attempt("bind", s.bind(0));
        attempt("send", s.send_to("x", 1));
        attempt("again", s.close_then(|_| println!("twice")));
        Ok(())
    }),
    ("bound by name", |s| s.bind(("localhost", 0))?.close()),
    ("sending", |s| {
        s.send_to_then("x", (HERE, 9), tell("sent"))?;
        s.close_then(closed)?;
        attempt("send", s.send_to_then("y", 9, tell("late")));
        Ok(())
    }),
    ("sending, bound", |s| {
        s.bind_then((HERE, 0), |s| {
            s.send_to_then("x", (HERE, 9), tell("sent"))?;
            s.close()?;
            println!("end");
            Ok::<_, Error>(())
        })?;
        Ok(())
    }),
    ("connecting", |s| {
        s.connect_then((HERE, 9), tell("connected"))?;
        s.close_then(closed)?;
        attempt("send", s.send("x"));
        Ok(())
    }),
    ("connecting, bound", |s| {
        s.bind_then(0, |s| {
            s.connect_then((HERE, 9), tell("connected"))?;
            s.close_then(closed)
        })?;
        Ok(())
    }),
    ("cannot be bound", |s| {
        s.bind_then((NOWHERE, 0), |_| println!("no"))?;
        s.close_then(closed)
    }),
    ("cannot be bound, sending", |s| {
        s.bind((NOWHERE, 0))?;
        s.send_to_then("x", (HERE, 9), tell("no"))?;
        s.once(event::Error, |(s, _): (Socket, &Error)| {
            attempt("close", s.close_then(closed));
        });
        Ok(())
    }),
    ("cannot be bound, and then can", |s| {
        s.bind((NOWHERE, 0))?;
        s.once(event::Error, |(s, _): (Socket, &Error)| {
            attempt("bind", s.bind_then((HERE, 0), |s| s.close()));
        });
        Ok(())
    }),
    ("in a message", in_a_message),
    ("queued behind a peer", |s| {
        s.connect_then((HERE, 9), tell("connected"))?;
        let sends = s.clone();
        s.send_to_then("x", (HERE, 9), move |sent| {
            tell("sent")(sent);
            sends.close()
        })
    }),
];

fn run(scenarios: &'static [Scenario]) -> Result<(), Error> {
    let Some(((name, scenario), rest)) = scenarios.split_first() else {
        return Ok(());
    };
    println!("-- {name}");
    scenario(&make())?;
    set_timeout(move || run(rest), 50);
    Ok(())
}

pub(super) fn close() -> Result<(), Error> {
    on_uncaught_exception(|thrown, _| {
        let error = thrown.error().and_then(|e| e.downcast_ref::<Error>());
        println!("uncaught {}", error.and_then(Error::code).unwrap_or(""));
    });
    run(SCENARIOS)
}
