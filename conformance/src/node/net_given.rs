//! Sockets and servers: the first programs of this suite.

use super::{close_server, compute_for, say};
use oneloop::Handle;
use oneloop::callback::http;
use oneloop::callback::net::{self, Error, ServerOptions, Socket, SocketOptions, event};
use oneloop::callback::{next_tick, set_immediate, set_timeout, spawn_micro};
use oneloop::core::Phase;
use oneloop::net::Addr;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// `undefined`, or an error's code.
fn code(result: &Result<(), Error>) -> String {
    match result {
        Ok(()) => "undefined".to_owned(),
        Err(error) => error.code().unwrap_or("undefined").to_owned(),
    }
}

fn connect(server: &net::Server) -> Socket {
    super::connect(server).expect("what it listens on is a port")
}

pub(super) fn close_order() -> Result<(), Error> {
    net::create_server(|_| {})
        .listen(0)?
        .on_listening(|server| {
            server.close_then(|_| println!("close cb"));
            set_immediate(say("immediate"));
            next_tick(say("tick"));
            drop(spawn_micro(async { println!("micro") }));
            println!("listening cb");
        });
    Ok(())
}

pub(super) fn double_close() -> Result<(), Error> {
    let server = net::create_server(|_| {});
    server.close_then(|result| println!("not running: {}", code(&result)));
    net::create_server(|_| {})
        .listen(0)?
        .on_listening(|server| {
            server.close_then(|result| println!("1 {}", code(&result)));
            server.close_then(|result| println!("2 {}", code(&result)));
        });
    Ok(())
}

pub(super) fn half_open() -> Result<(), Error> {
    fn run(allow: bool, next: fn() -> Result<(), Error>) -> Result<(), Error> {
        println!("allowHalfOpen {allow}");
        let options = ServerOptions {
            socket: SocketOptions {
                allow_half_open: allow,
                ..SocketOptions::default()
            },
            ..ServerOptions::default()
        };
        let server = net::create_server_with(options, move |c| {
            c.resume();
            c.on_end(|c| {
                println!(
                    "srv end writable={} ended={}",
                    c.is_writable(),
                    c.is_writable_ended()
                );
                set_timeout(
                    move || {
                        let wrote = c.write_then("late", |result| match result {
                            Ok(()) => println!("write cb ok"),
                            Err(error) => println!("write cb {}", error.code().unwrap_or("")),
                        });
                        println!("write {wrote} destroyed {}", c.is_destroyed());
                        c.end();
                    },
                    60,
                );
            });
            c.on_error(|_, error| println!("srv err {}", error.code().unwrap_or("")));
            c.on_close(move |c, had_error| {
                println!("srv close {had_error}");
                let server = c.server().expect("a server accepted it");
                server.close_then(move |_| {
                    set_timeout(next, 150);
                });
            });
        })
        .listen(("127.0.0.1", 0))?;
        server.on_listening(|server| {
            let options = net::ConnectOptions {
                socket: SocketOptions {
                    allow_half_open: true,
                    ..SocketOptions::default()
                },
                ..net::ConnectOptions::default()
            };
            let port = server.port().expect("it listens");
            let c = net::connect_with(("127.0.0.1", port), options)?;
            c.on_connect(|c| {
                c.end();
            });
            c.on_data(|_, bytes| println!("cli got {}", String::from_utf8_lossy(bytes)));
            c.on_end(|_| println!("cli end"));
            Ok::<_, Error>(())
        });
        Ok(())
    }
    run(false, || run(true, || Ok(())))
}

pub(super) fn errors() -> Result<(), Error> {
    let a = net::create_server(|_| {}).listen(("127.0.0.1", 0))?;
    a.on_listening(|a| {
        let p = a.port().expect("it listens");
        let b = net::create_server(|_| {});
        b.on_error(move |_, e| {
            println!(
                "{} {} {} {} {}",
                e.code().unwrap_or(""),
                e.syscall().unwrap_or(""),
                e.errno().unwrap_or(0),
                e.address()
                    .and_then(Addr::inet)
                    .map_or(String::new(), |addr| addr.ip().to_string()),
                e.message().replace(&p.to_string(), "P")
            );
            a.close();
            let c = net::connect(("127.0.0.1", 1))?;
            c.on_error(|_, e| {
                println!(
                    "{} {} {} {}",
                    e.code().unwrap_or(""),
                    e.syscall().unwrap_or(""),
                    e.errno().unwrap_or(0),
                    e.message()
                )
            });
            c.on_close(|_, had_error| println!("close {had_error}"));
            Ok::<_, Error>(())
        });
        b.listen(("127.0.0.1", p))?;
        println!("listen() returned");
        Ok::<_, Error>(())
    });
    let c2 = Socket::new();
    c2.on_error(|_, e| println!("w {}", e.code().unwrap_or("")));
    c2.write("x");
    c2.destroy();
    if let Err(error) = net::connect(70000) {
        println!("{}", error.code().unwrap_or(""));
    }
    Ok(())
}

pub(super) fn destroy_soon() -> Result<(), Error> {
    let server = net::create_server(|c| {
        c.on_error(|_, e| println!("srv {}", e.code().unwrap_or("")));
        c.resume();
        c.on_close(|_, had_error| println!("srv close {had_error}"));
        c.on_end(|_| println!("srv end"));
    });
    server.listen(("127.0.0.1", 0))?.on_listening(|server| {
        connect(&server).on_connect(move |c| {
            let server = server.clone();
            c.reset_and_destroy()?;
            c.on_error(|_, e| println!("cli err {}", e.code().unwrap_or("")));
            c.on_close(move |_, had_error| {
                println!("cli close {had_error}");
                let d = connect(&server);
                let server = server.clone();
                d.on_connect(|d| {
                    d.destroy_with("boom");
                });
                d.on_error(|_, e| println!("d {e}"));
                d.on_close(move |_, had_error| {
                    println!("d close {had_error}");
                    server.close();
                });
            });
            Ok::<_, Error>(())
        });
    });
    Ok(())
}

pub(super) fn accept_order() -> Result<(), Error> {
    let n = Rc::new(Cell::new(0));
    let server = net::create_server(move |c| {
        n.set(n.get() + 1);
        println!("conn {}", n.get());
        let counted = Rc::clone(&n);
        set_immediate(move || println!("imm {}", counted.get()));
        c.end();
        c.resume();
        if n.get() == 3 {
            close_server(&c);
        }
    })
    .listen(("127.0.0.1", 0))?;
    server.on_listening(|server| {
        for _ in 0..3 {
            connect(&server).resume();
        }
        compute_for(30);
    });
    Ok(())
}

pub(super) fn write_before_connect() -> Result<(), Error> {
    let server = net::create_server(move |c| {
        let b = Rc::new(RefCell::new(String::new()));
        let got = Rc::clone(&b);
        c.on_data(move |_, d| b.borrow_mut().push_str(&String::from_utf8_lossy(d)));
        c.on_end(move |c| {
            println!("got {}", got.borrow());
            close_server(&c);
        });
    })
    .listen(("127.0.0.1", 0))?;
    server.on_listening(|server| {
        let c = connect(&server);
        println!(
            "pre {} {} {} {}",
            c.write("early"),
            c.is_connecting(),
            c.is_pending(),
            c.ready_state()
        );
        c.on_ready(|_| println!("ready"));
        c.on_connect(|c| {
            println!("connect {}", c.ready_state());
            c.end_with("!");
        });
    });
    Ok(())
}

pub(super) fn timers_after_poll() {
    // fs.readFile(__filename, …): another thread reads, and the poll reports the result.
    drop(spawn_micro(async {
        let handle = Handle::current();
        let read = handle.offload(|| std::fs::read("/proc/self/comm"));
        drop(read.await);
        handle.phase(Phase::Poll).await;
        set_timeout(say("timer"), 1);
        set_immediate(|| {
            println!("imm");
            compute_for(5);
            set_immediate(say("imm2"));
        });
    }));
}

pub(super) fn event_order_on_end() -> Result<(), Error> {
    let server = net::create_server(move |c| {
        c.on_data(|_, _| println!("data"));
        c.on_end(|_| println!("end"));
        c.on_finish(|_| println!("finish"));
        c.on_close(|_, _| println!("close"));
        c.on(event::Prefinish, |_| println!("prefinish"));
        c.on_close(|c, _| {
            close_server(&c);
        });
    })
    .listen(("127.0.0.1", 0))?;
    server.on_listening(|server| {
        connect(&server).end_with("x");
    });
    Ok(())
}

pub(super) fn accept_one_per_poll() -> Result<(), Error> {
    let (n, imm) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    fn tick(n: Rc<Cell<u32>>, imm: Rc<Cell<u32>>) {
        imm.set(imm.get() + 1);
        if n.get() < 20 {
            set_immediate(|| tick(n, imm));
        }
    }
    let (conns, turns) = (Rc::clone(&n), Rc::clone(&imm));
    let server = net::create_server(move |c| {
        conns.set(conns.get() + 1);
        c.destroy();
        if conns.get() == 20 {
            println!(
                "conns {} immediates ran between {}",
                conns.get(),
                turns.get() >= 19
            );
            close_server(&c);
        }
    })
    .listen_with(
        ("127.0.0.1", 0),
        net::ListenOptions {
            backlog: Some(1024),
            ..net::ListenOptions::default()
        },
    )?;
    server.on_listening(move |server| {
        for _ in 0..20 {
            connect(&server).on_error(|_, _| {}).resume();
        }
        let (n, imm) = (Rc::clone(&n), Rc::clone(&imm));
        set_immediate(|| tick(n, imm));
    });
    Ok(())
}

pub(super) fn http_close() -> Result<(), Error> {
    let s = http::create_server(|_, r| {
        r.end_with("ok");
    });
    s.listen_then(("127.0.0.1", 0), |s| {
        let agent = http::Agent::new(http::AgentOptions {
            keep_alive: true,
            ..http::AgentOptions::default()
        });
        let options = http::RequestOptions {
            host: "127.0.0.1".into(),
            port: s.port().expect("it listens"),
            agent: Some(agent),
            ..http::RequestOptions::default()
        };
        http::get_then(options, move |r| {
            r.resume();
            r.on_end(move |_| {
                let s = s.clone();
                set_timeout(move || close_and_time(&s), 20);
            });
        })
    })
    .map(drop)
}

fn close_and_time(s: &http::Server) {
    let (keep_alive, headers) = (s.keep_alive_timeout_ms(), s.headers_timeout_ms());
    let request = s.request_timeout_ms();
    println!("keepAliveTimeout {keep_alive} headersTimeout {headers} requestTimeout {request}");
    let t = Handle::current().now();
    s.close_then(move |_| {
        let took = Handle::current().now() - t;
        println!("closed fast {}", took < Duration::from_millis(500));
    });
}

pub(super) fn connect_error_order() -> Result<(), Error> {
    let c = net::connect(("127.0.0.1", 1))?;
    c.on(event::Lookup, |_| println!("lookup"));
    c.on(event::ConnectionAttempt, |_| println!("connectionAttempt "));
    c.on(event::ConnectionAttemptFailed, |_| {
        println!("connectionAttemptFailed ")
    });
    c.on_connect(|_| println!("connect "));
    c.on_ready(|_| println!("ready "));
    c.on_error(|_, e| println!("error {}", e.code().unwrap_or("")));
    c.on_end(|_| println!("end "));
    c.on_close(|_, had_error| println!("close {had_error}"));
    Ok(())
}

pub(super) fn keepalive_nodelay_defaults() -> Result<(), Error> {
    let options = ServerOptions {
        socket: SocketOptions {
            no_delay: true,
            keep_alive: Some(Duration::from_secs(1)),
            high_water_mark: 1024,
            ..SocketOptions::default()
        },
        pause_on_connect: true,
    };
    let server = net::create_server_with(options, move |c| {
        println!(
            "paused {} {} {} {} {} {}",
            c.is_paused(),
            c.readable_high_water_mark(),
            c.writable_high_water_mark(),
            &c == c.set_no_delay(true),
            &c == c.set_keep_alive(Some(Duration::from_secs(2))),
            &c == c.make_ref()
        );
        c.destroy();
        close_server(&c);
    })
    .listen(("127.0.0.1", 0))?;
    server.on_listening(|server| {
        connect(&server).on_error(|_, _| {});
    });
    Ok(())
}

pub(super) fn destroy_twice_write_after() -> Result<(), Error> {
    let server = net::create_server(move |c| {
        c.destroy();
        c.destroy();
        c.write_then("x", |result| println!("w {}", code(&result)));
        c.end();
        c.on_error(|_, e| println!("error {}", e.code().unwrap_or("")));
        c.on_close(|c, had_error| {
            println!("close {had_error}");
            close_server(&c);
        });
    })
    .listen(("127.0.0.1", 0))?;
    server.on_listening(|server| {
        connect(&server).on_error(|_, _| {});
    });
    let d = Socket::new();
    d.on_error(|_, e| println!("end-write {}", e.code().unwrap_or("")));
    d.end();
    d.write("y");
    Ok(())
}
