//! Servers: where they listen, which clients they accept, and when they are closed.

use super::{close_server, connect, say, serve, text};
use oneloop::callback::net::{self, ConnectOptions, Error, Socket, event};
use oneloop::callback::{process, set_immediate, set_timeout};
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

fn show(ip: Option<IpAddr>) -> String {
    ip.map_or_else(|| "undefined".to_owned(), |ip| ip.to_string())
}

pub(super) fn max_connections() -> Result<(), Error> {
    let n = Cell::new(0);
    let s = serve(move |c| {
        n.set(n.get() + 1);
        println!("connection {}", n.get());
        c.resume();
    })?;
    s.set_max_connections(Some(1));
    s.on_drop(|s, d| {
        let remote = d.remote.and_then(|addr| addr.inet()).map(|addr| addr.ip());
        let port = d.local.and_then(|addr| addr.port());
        println!("drop {} {}", show(remote), port == s.port());
    });
    s.on_listening(|s| {
        connect(&s)?.on_connect(move |a| {
            println!("a connected");
            let b = connect(&s)?;
            b.resume();
            b.on_end(|_| println!("b end"));
            let s = s.clone();
            b.on_close(move |_, had_error| {
                println!("b close {had_error}");
                a.end();
                s.close_then(|_| println!("closed"));
            });
            Ok::<_, Error>(())
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn get_connections() -> Result<(), Error> {
    let clients = Rc::new(RefCell::new(Vec::<Socket>::new()));
    let to_destroy = Rc::clone(&clients);
    serve(move |c| {
        c.resume();
        let clients = Rc::clone(&to_destroy);
        let server = c.server().expect("it was accepted");
        server.clone().get_connections(move |n| {
            println!("connections null {n}");
            if n == 2 {
                set_timeout(
                    move || {
                        for client in clients.borrow().iter() {
                            client.destroy();
                        }
                        set_timeout(
                            move || {
                                server.clone().get_connections(move |n| {
                                    println!("then {n}");
                                    server.close();
                                });
                            },
                            60,
                        );
                    },
                    30,
                );
            }
        });
        println!("handler");
    })?
    .on_listening(move |s| {
        let two = [connect(&s)?, connect(&s)?];
        clients.borrow_mut().extend(two);
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn unref() -> Result<(), Error> {
    let s = serve(|_| {})?;
    s.on_listening(|s| {
        println!("listening");
        s.unref();
        set_timeout(say("timer"), 30);
    });
    process::on_exit(move |code| println!("exit {code} {}", s.is_listening()));
    Ok(())
}

pub(super) fn localhost() -> Result<(), Error> {
    serve(|c| {
        c.end();
    })?
    .on_listening(|s| {
        let options = ConnectOptions {
            family: Some(4),
            ..ConnectOptions::default()
        };
        let c = net::connect_with(("localhost", s.port().expect("it listens")), options)?;
        println!("connecting {}", c.is_connecting());
        c.on(event::Lookup, |(_, found, host)| match found {
            Ok(addr) => {
                let ip = addr.inet().map(|addr| addr.ip());
                println!("lookup null {} 4 {host}", show(ip));
            }
            Err(error) => println!("lookup {error}"),
        });
        c.on(event::ConnectionAttempt, |(_, addr)| {
            println!("attempt {}", show(addr.inet().map(|addr| addr.ip())));
        });
        c.on_connect(|c| println!("connect {}", show(c.remote_address())));
        c.resume();
        c.on_close(move |_, _| {
            println!("close");
            s.close();
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn local_address() -> Result<(), Error> {
    let port = Rc::new(Cell::new(0));
    let expected = Rc::clone(&port);
    serve(move |c| {
        let is_from = c.remote_port() == Some(expected.get());
        let is_to = c.local_port() == c.server().and_then(|s| s.port());
        println!(
            "from {} {} {is_from} {} {is_to}",
            show(c.remote_address()),
            c.remote_family().unwrap_or("undefined"),
            show(c.local_address())
        );
        c.end();
    })?
    .on_listening(move |s| {
        let free = net::create_server(|_| {}).listen(("127.0.0.2", 0))?;
        let port = Rc::clone(&port);
        free.on_listening(move |free| {
            port.set(free.port().expect("it listens"));
            let (s, port) = (s.clone(), Rc::clone(&port));
            free.close_then(move |_| from_there(&s, port.get()));
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

fn from_there(s: &net::Server, port: u16) -> Result<(), Error> {
    let from = |ip: [u8; 4], port| ConnectOptions {
        local_address: Some(ip.into()),
        local_port: port,
        ..ConnectOptions::default()
    };
    let to = ("127.0.0.1", s.port().expect("it listens"));
    let c = net::connect_with(to, from([127, 0, 0, 2], port))?;
    c.on_connect(move |c| {
        let is_port = c.local_port() == Some(port);
        println!("local {} {is_port}", show(c.local_address()));
    });
    c.resume();
    let s = s.clone();
    c.on_close(move |_, had_error| {
        println!("close {had_error}");
        let d = net::connect_with(to, from([192, 0, 2, 1], 0))?;
        let s = s.clone();
        d.on_error(move |_, e| {
            println!(
                "{} {} {e}",
                e.code().unwrap_or(""),
                e.syscall().unwrap_or("")
            );
            s.close();
        });
        d.on(event::ConnectionAttempt, |_| println!("never"));
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn addresses() -> Result<(), Error> {
    let s = net::create_server(|c| {
        println!(
            "{} {} {} {}",
            c.remote_family().unwrap_or(""),
            show(c.remote_address()),
            c.local_family().unwrap_or(""),
            show(c.local_address())
        );
        c.end();
    });
    s.listen(("::1", 0))?.on_listening(|s| {
        let a = s
            .address()
            .and_then(|addr| addr.inet())
            .expect("it listens");
        let family = if a.is_ipv6() { "IPv6" } else { "IPv4" };
        println!("{family} {} {} {}", a.ip(), a.port() > 0, s.is_listening());
        let c = net::connect(("::1", a.port()))?;
        c.resume();
        c.on_close(move |c, _| {
            println!("{} {}", show(c.remote_address()), c.remote_port().is_none());
            s.close();
            let address = s.address().map_or("null", |_| "an address");
            println!("{address} {}", s.is_listening());
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn many_clients() -> Result<(), Error> {
    let n = Cell::new(0);
    let log = Rc::new(RefCell::new(Vec::<String>::new()));
    serve(move |c| {
        let k = n.get();
        n.set(k + 1);
        let note = {
            let log = Rc::clone(&log);
            move |entry: String| log.borrow_mut().push(entry)
        };
        note(format!("c{k}"));
        let at_data = note.clone();
        c.on_data(move |_, d| {
            at_data(format!("d{k}{}", text(d)));
            let at_immediate = at_data.clone();
            set_immediate(move || at_immediate(format!("i{k}")));
        });
        let log = Rc::clone(&log);
        c.on_end(move |c| {
            note(format!("e{k}"));
            if k == 3 {
                let log = Rc::clone(&log);
                set_timeout(
                    move || {
                        println!("{}", log.borrow().join(" "));
                        close_server(&c);
                    },
                    60,
                );
            }
        });
    })?
    .on_listening(|s| {
        for i in 0..4 {
            connect(&s)?.end_with(format!("x{i}"));
        }
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn listen_again() -> Result<(), Error> {
    let first = Cell::new(true);
    let address = |s: &net::Server| s.address().map_or("null", |_| "an address");
    let s = net::create_server(|_| {});
    s.on_listening(move |s| {
        println!("listening {}", s.is_listening());
        if let Err(e) = s.listen(0) {
            println!("{} {e}", e.code().unwrap_or(""));
        }
        s.close();
        println!("{} {}", s.is_listening(), address(&s));
    });
    s.on_close(move |s| {
        println!("close");
        if first.replace(false) {
            s.listen(("127.0.0.1", 0))?;
        }
        Ok::<_, Error>(())
    });
    s.listen(("127.0.0.1", 0))?;
    println!("called {} {}", s.is_listening(), address(&s));
    Ok(())
}

pub(super) fn close_waits() -> Result<(), Error> {
    let s = serve(|c| {
        c.resume();
        let s = c.server().expect("it was accepted");
        s.close_then(|result| {
            println!("closed {}", result.map_or("an error", |()| "undefined"));
        });
        println!("{}", s.is_listening());
        let open = c.clone();
        set_timeout(
            move || {
                println!("still open");
                open.end();
            },
            60,
        );
        c.on_close(|_, _| println!("connection closed"));
    })?;
    s.on_close(|_| println!("close event"));
    s.on_listening(|s| {
        let c = connect(&s)?;
        c.resume();
        c.on_close(|_, _| println!("cli close"));
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn chat() -> Result<(), Error> {
    let members = Rc::new(RefCell::new(Vec::<Socket>::new()));
    serve(move |c| {
        members.borrow_mut().push(c.clone());
        let others = Rc::clone(&members);
        c.on_data(move |c, d| {
            for m in others.borrow().iter().filter(|m| **m != c) {
                m.write(d);
            }
        });
        let members = Rc::clone(&members);
        c.on_end(move |c| {
            members.borrow_mut().retain(|m| *m != c);
            if members.borrow().is_empty() {
                println!("empty");
                close_server(&c);
            }
        });
    })?
    .on_listening(|s| {
        let all: Vec<Socket> = ["Ada", "Ben", "Cleo"]
            .into_iter()
            .map(|n| {
                let c = connect(&s)?;
                c.on_data(move |_, d| println!("{n} hears {}", text(d)));
                Ok(c)
            })
            .collect::<Result<_, Error>>()?;
        let (ada, cleo) = (all[0].clone(), all[2].clone());
        set_timeout(
            move || {
                ada.write("I am Ada");
            },
            60,
        );
        set_timeout(
            move || {
                cleo.write("I am Cleo");
            },
            120,
        );
        set_timeout(
            move || {
                for c in &all {
                    c.end();
                }
            },
            180,
        );
        Ok::<_, Error>(())
    });
    Ok(())
}
