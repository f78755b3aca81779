//! UDP sockets: `dgram`.

use super::{say, text};
use oneloop::callback::dgram::{self, Interface, Kind, RemoteInfo, Socket, SocketOptions};
use oneloop::callback::net::Error;
use oneloop::callback::process::{on_exit, on_uncaught_exception};
use oneloop::callback::{
    AbortController, AbortSignal, next_tick, queue_microtask, set_immediate, set_timeout,
};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn udp4() -> Socket {
    dgram::create_socket(Kind::Udp4)
}

fn port(s: &Socket) -> Result<u16, Error> {
    Ok(s.address()?.port())
}

fn family(addr: SocketAddr) -> &'static str {
    if addr.is_ipv6() { "IPv6" } else { "IPv4" }
}

/// `try{f();…}catch(e){…}`
fn attempt<T>(name: &str, f: impl FnOnce() -> Result<T, Error>) {
    match f() {
        Ok(_) => println!("{name} ok"),
        Err(e) => println!("{name} {} {e}", e.code().unwrap_or("undefined")),
    }
}

/// How `console.log(name, e, n)` prints the result of a send.
fn sent(name: &'static str) -> impl FnOnce(Result<usize, Error>) {
    move |result| match result {
        Ok(n) => println!("{name} null {n}"),
        Err(e) => println!("{name} {e} undefined"),
    }
}

pub(super) fn echo() -> Result<(), Error> {
    let s = udp4();
    s.on_listening(|s| {
        let addr = s.address()?;
        println!(
            "srv listening {} {} {}",
            addr.ip(),
            family(addr),
            addr.port() > 0
        );
        Ok::<_, Error>(())
    });
    s.on_message(|s, m, r: RemoteInfo| {
        println!(
            "srv message {} {} {} {}",
            text(m),
            r.family(),
            r.addr.ip(),
            r.size
        );
        next_tick(say("tick"));
        s.send_to(format!("echo {}", text(m)), r.addr)
    });
    s.on_close(|_| println!("srv close"));
    s.bind_then(("127.0.0.1", 0), |s| {
        println!("bound");
        let port = port(&s)?;
        let c = udp4();
        c.on_listening(|_| println!("cli listening"));
        c.on_message(move |c, m, _| {
            println!("cli message {}", text(m));
            c.close_then(|_| println!("cli closed"))?;
            s.close()?;
            println!("closing");
            Ok::<_, Error>(())
        });
        c.on_close(|_| println!("cli close"));
        c.send_to_then("hello", ("127.0.0.1", port), sent("sent"))?;
        println!("sending");
        Ok::<_, Error>(())
    })?;
    println!("binding");
    Ok(())
}

pub(super) fn connect() -> Result<(), Error> {
    let s = udp4();
    s.on_message(|s, m, r| {
        println!("srv message {}", text(m));
        s.send_to("back", r.addr)
    });
    s.bind_then(("127.0.0.1", 0), |s| {
        let port = port(&s)?;
        let c = udp4();
        attempt("remote", || c.remote_address());
        attempt("disconnect", || c.disconnect());
        attempt("connect 0", || c.connect(0));
        c.on_connect(|_| println!("connect event"));
        let inside = c.clone();
        c.connect_then(("127.0.0.1", port), move |connected| {
            let peer = inside.remote_address()?;
            let (is_port, family) = (peer.port() == port, family(peer));
            println!("connected {} {is_port} {family}", connected.is_ok());
            attempt("again", || inside.connect(port));
            attempt("send to", || inside.send_to("x", port));
            inside.send_then("hello", sent("sent"))
        })?;
        attempt("while connecting", || c.connect(port));
        c.on_connect(|_| println!("connect event 2"));
        c.on_message(move |c, m, _| {
            println!("cli message {}", text(m));
            c.disconnect()?;
            attempt("disconnected", || c.remote_address());
            c.close()?;
            s.close()
        });
        Ok::<_, Error>(())
    })?;
    Ok(())
}

fn errors_when_bound(s: &Socket) -> Result<(), Error> {
    attempt("bind again", || s.bind(0));
    attempt("ttl 0", || s.set_ttl(0));
    attempt("ttl 256", || s.set_ttl(256));
    attempt("ttl 4", || s.set_ttl(4));
    attempt("multicast ttl 256", || s.set_multicast_ttl(256));
    attempt("multicast ttl 0", || s.set_multicast_ttl(0));
    attempt("loopback", || s.set_multicast_loopback(false));
    attempt("broadcast", || s.set_broadcast(true));
    attempt("no group", || s.add_membership(LOCALHOST, Interface::Any));
    let group = Ipv4Addr::new(239, 1, 2, 3);
    let on = Interface::Addr(LOCALHOST);
    attempt("member", || s.add_membership(group, on));
    attempt("member again", || s.add_membership(group, on));
    attempt("left", || s.drop_membership(group, on));
    attempt("interface", || s.set_multicast_interface(on));
    attempt("not a member", || s.drop_membership(group, on));
    let (receives, sends) = (s.recv_buffer_size()? > 0, s.send_buffer_size()? > 0);
    let (size, count) = (s.send_queue_size(), s.send_queue_count());
    println!("sizes {receives} {sends} {size} {count}");
    Ok(())
}

fn errors_when_closed(s: &Socket, port: u16) -> Result<(), Error> {
    s.close()?;
    attempt("close again", || s.close());
    attempt("send closed", || s.send_to("x", port));
    attempt("bind closed", || s.bind(0));
    attempt("address closed", || s.address());
    attempt("buffer closed", || {
        s.unref().make_ref();
        Ok(())
    });
    Ok(())
}

pub(super) fn errors() -> Result<(), Error> {
    let s = udp4();
    attempt("address", || s.address());
    attempt("ttl before", || s.set_ttl(1));
    attempt("buffer before", || s.recv_buffer_size());
    attempt("port 0", || s.send_to("x", ("127.0.0.1", 0)));
    attempt("port 70000", || s.send_to("x", ("127.0.0.1", 70_000)));
    s.bind_then(("127.0.0.1", 0), |s| {
        errors_when_bound(&s)?;
        let p = port(&s)?;
        let show = move |e: &Error| {
            let message = e.message().replace(&p.to_string(), "PORT");
            (e.code().unwrap_or("undefined").to_owned(), message)
        };
        let inside = s.clone();
        s.send_to_then([0; 70_000], ("127.0.0.1", p), move |sent| {
            let e = sent.expect_err("it is too long");
            let (code, message) = show(&e);
            println!("too long {code} {} {message}", e.syscall().unwrap_or(""));
            let closing = inside.clone();
            inside.send_to_then("x", ("::1", p), move |sent| {
                let (code, message) = show(&sent.expect_err("it is of the other family"));
                println!("family {code} {message}");
                errors_when_closed(&closing, p)
            })
        })
    })?;
    s.on_close(|_| println!("close"));
    Ok(())
}

pub(super) fn queue() -> Result<(), Error> {
    let s = udp4();
    let got = Rc::new(Cell::new(0));
    s.on_message(move |s, m, _| {
        got.set(got.get() + 1);
        println!("message {}", text(m));
        next_tick(say("tick"));
        queue_microtask(say("micro"));
        if got.get() == 3 { s.close() } else { Ok(()) }
    });
    s.bind_then(("127.0.0.1", 0), |s| {
        let port = port(&s)?;
        let sent =
            |name: &'static str| move |n: Result<usize, Error>| println!("sent {name} {n:?}");
        let to = ("127.0.0.1", port);
        let c = udp4();
        c.on_listening(|_| println!("listening 1"));
        c.send_to_then("one", port, sent("one"))?;
        c.on_listening(|_| println!("listening 2"));
        c.send_to_then("two", to, sent("two"))?;
        c.send_to_then("", to, sent("empty"))?;
        c.send_to_then("lost", to, sent("lost"))?;
        c.close_then(|_| println!("closed"))?;
        println!("all asked for");
        udp4().bind_then(("127.0.0.1", 0), move |d| {
            d.send_to("one", port)?;
            d.send_to("", port)?;
            let close = d.clone();
            d.send_to_then("three", port, move |_| close.close())
        })?;
        Ok::<_, Error>(())
    })?;
    Ok(())
}

pub(super) fn bind_error() -> Result<(), Error> {
    on_uncaught_exception(|e, _| {
        let error = e.error().and_then(|error| error.downcast_ref::<Error>());
        println!(
            "uncaught {}",
            error.and_then(Error::code).unwrap_or("undefined")
        );
    });
    udp4().bind_then(("127.0.0.1", 0), |a| {
        let p = port(&a)?;
        let b = udp4();
        b.on_error(move |b, e| {
            let message = e.message().replace(&p.to_string(), "PORT");
            let (code, syscall) = (e.code().unwrap_or(""), e.syscall().unwrap_or(""));
            let addr = e.address().and_then(|addr| addr.inet());
            let (ip, is_port) = (
                addr.map(|addr| addr.ip()),
                addr.map(|addr| addr.port()) == Some(p),
            );
            println!(
                "error {code} {syscall} {message} {} {is_port}",
                ip.unwrap_or(LOCALHOST.into())
            );
            b.bind_then(("127.0.0.1", 0), |b| {
                println!("bound after all");
                b.close()
            })?;
            udp4().bind_then(("127.0.0.1", p), |_| println!("never"))?;
            let d = udp4().bind(("127.0.0.1", p))?;
            d.on_close(|_| println!("d closed"));
            let a = a.clone();
            set_timeout(
                move || {
                    a.close()?;
                    d.close()
                },
                20,
            );
            Ok::<_, Error>(())
        });
        b.bind(("127.0.0.1", p))
    })?;
    Ok(())
}

pub(super) fn burst() -> Result<(), Error> {
    let s = udp4();
    let n = Rc::new(Cell::new(0));
    s.on_message(move |s, _, _| {
        n.set(n.get() + 1);
        if n.get() == 1 {
            let (soon, later) = (Rc::clone(&n), Rc::clone(&n));
            set_immediate(move || println!("immediate after {}", soon.get()));
            set_timeout(move || println!("end {}", later.get()), 50);
        }
        if n.get() == 80 { s.close() } else { Ok(()) }
    });
    s.bind_then(("127.0.0.1", 0), |s| {
        let c = udp4();
        let left = Rc::new(Cell::new(80));
        let sends = c.clone();
        c.connect_then(s.address()?, move |_| {
            for i in 0..80 {
                let (left, c) = (Rc::clone(&left), sends.clone());
                sends.send_then(format!("m{i}"), move |_| {
                    left.set(left.get() - 1);
                    if left.get() == 0 {
                        println!("all sent");
                        c.close()?;
                    }
                    Ok::<_, Error>(())
                })?;
            }
            Ok::<_, Error>(())
        })
    })?;
    Ok(())
}

fn with_signal(signal: &AbortSignal) -> Socket {
    dgram::create_socket(SocketOptions {
        signal: Some(signal.clone()),
        ..SocketOptions::from(Kind::Udp4)
    })
}

pub(super) fn abort() -> Result<(), Error> {
    let a = AbortController::new();
    let s = with_signal(a.signal());
    s.on_close(|_| println!("close"));
    s.bind_then(("127.0.0.1", 0), move |s| {
        println!("listening");
        a.abort();
        println!("aborted");
        if let Err(e) = s.address() {
            println!("{}", e.code().unwrap_or("undefined"));
        }
        next_tick(say("tick"));
    })?;
    let t = with_signal(&AbortSignal::aborted());
    t.on_close(|_| println!("t close"));
    if let Err(e) = t.bind(0) {
        println!("{}", e.code().unwrap_or("undefined"));
    }
    Ok(())
}

pub(super) fn unref() -> Result<(), Error> {
    on_exit(|c| println!("exit {c}"));
    udp4().bind_then(("127.0.0.1", 0), |s| {
        println!("listening");
        s.unref();
        set_timeout(say("timeout"), 20);
    })?;
    Ok(())
}

pub(super) fn refused() -> Result<(), Error> {
    udp4().bind_then(("127.0.0.1", 0), |gone| {
        let p = port(&gone)?;
        gone.close_then(move |_| {
            let c = udp4();
            c.on_error(|c, e| {
                let (code, syscall) = (e.code().unwrap_or(""), e.syscall().unwrap_or(""));
                println!("error {code} {syscall} {e}");
                c.close()
            });
            c.on_close(|_| println!("close"));
            let sends = c.clone();
            c.connect_then(("127.0.0.1", p), move |_| {
                sends.send_then("anybody?", sent("sent"))
            })
        })
    })?;
    Ok(())
}
