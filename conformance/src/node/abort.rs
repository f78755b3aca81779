//! `AbortController`, and the operations that it cancels.

use super::{close_server, say, serve};
use oneloop::callback::net::{self, ConnectOptions, Error, ListenOptions, SocketOptions};
use oneloop::callback::process::on_uncaught_exception;
use oneloop::callback::timers::promises;
use oneloop::callback::{
    AbortController, AbortSignal, next_tick, queue_microtask, set_immediate, set_timeout,
    spawn_micro,
};

/// `reason.name`: only a `DOMException` has a name, and other errors have a code.
fn name(reason: &Error) -> String {
    reason.code().unwrap_or("undefined").to_owned()
}

pub(super) fn signal() {
    on_uncaught_exception(|e, _| println!("caught {e}"));
    let a = AbortController::new();
    let s = a.signal().clone();
    let inside = s.clone();
    s.on_abort(move |reason| {
        println!("1 {} {} {reason}", inside.is_aborted(), name(&reason));
        Err::<(), _>("in listener")
    });
    let two = s.on_abort(|_| println!("two"));
    s.on_abort(|_| println!("3"));
    let any = AbortSignal::any([AbortController::new().signal(), &s]);
    let source = s.clone();
    any.on_abort(move |reason| {
        let source = source.reason().expect("it is aborted");
        println!("any {}", source.message() == reason.message());
    });
    next_tick(say("tick"));
    s.off(two);
    a.abort();
    a.abort_with("again");
    println!("aborted {}", s.is_aborted());
    println!("{}", AbortSignal::aborted().is_aborted());
    if let Err(e) = s.check() {
        println!("throws {}", name(&e));
    }
    let t = AbortSignal::timeout(30);
    t.on_abort(|reason| println!("timeout {}", name(&reason)));
    set_timeout(
        move || {
            drop(t);
            println!("end");
        },
        90,
    );
}

fn with_signal(signal: &AbortSignal) -> ConnectOptions {
    ConnectOptions {
        socket: SocketOptions {
            signal: Some(signal.clone()),
            ..SocketOptions::default()
        },
        ..ConnectOptions::default()
    }
}

pub(super) fn socket() -> Result<(), Error> {
    serve(|c| {
        c.resume();
        c.on_end(|_| println!("srv end"));
        c.on_close(|c, _| close_server(&c));
    })?
    .on_listening(|s| {
        let a = AbortController::new();
        let to = ("127.0.0.1", s.port().expect("it listens"));
        let c = net::connect_with(to, with_signal(a.signal()))?;
        let at_connect = a.clone();
        c.on_connect(move |c| {
            println!("connected");
            let a = at_connect.clone();
            set_immediate(move || {
                a.abort();
                println!("aborted {}", c.is_destroyed());
            });
        });
        c.on_error(|_, e| println!("{} {e}", e.code().unwrap_or("")));
        c.on_close(move |_, had_error| {
            println!("close {had_error}");
            let d = net::connect_with(("127.0.0.1", 1), with_signal(a.signal()))?;
            println!("d {}", d.is_destroyed());
            d.on_error(|_, e| println!("d {}", e.code().unwrap_or("")));
            d.on_close(|_, _| println!("d close"));
            Ok::<_, Error>(())
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn server() -> Result<(), Error> {
    let a = AbortController::new();
    let options = ListenOptions {
        signal: Some(a.signal().clone()),
        ..ListenOptions::default()
    };
    let s = net::create_server(|_| {}).listen_with(("127.0.0.1", 0), options)?;
    s.on_listening(move |s| {
        println!("listening");
        a.abort();
        println!("aborted {}", s.is_listening());
        next_tick(say("tick"));
    });
    s.on_close(|_| println!("close"));
    Ok(())
}

pub(super) fn timers() {
    let a = AbortController::new();
    let signal = a.signal().clone();
    drop(spawn_micro(async move {
        println!("waits");
        if let Err(e) = promises::set_timeout(1000, &signal).await {
            println!("AbortError {} {e}", e.code().unwrap_or(""));
        }
        if let Err(e) = promises::set_timeout(1, &signal).await {
            println!("at once {}", e.code().unwrap_or(""));
        }
        promises::set_immediate(None).await?;
        println!("immediate");
        promises::set_timeout(30, None).await?;
        println!("slept");
        Ok::<_, Error>(())
    }));
    set_timeout(
        move || {
            next_tick(say("tick"));
            queue_microtask(say("micro before"));
            a.abort();
            queue_microtask(say("micro after"));
        },
        30,
    );
}
