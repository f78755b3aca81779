//! HTTP servers, whose clients send and receive plain text.

use super::discard;
use super::http_raw::{listen, raw};
use oneloop::callback::http::{self, Error, IncomingMessage, Server, ServerResponse, event};
use oneloop::callback::net::{self, Socket};
use oneloop::callback::{
    Thrown, clear_interval, next_tick, process, set_interval_with_self, set_timeout,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

pub(super) fn hello() -> Result<(), Error> {
    let s = http::create_server(|req, res| {
        let header = |name| req.headers().get(name).unwrap_or("undefined").to_owned();
        let (host, x) = (header("host"), header("x-a"));
        println!(
            "{} {} {} {host} {x}",
            req.method(),
            req.url(),
            req.http_version()
        );
        res.end_with("Hello World\n");
    });
    s.on_close(|_| println!("closed"));
    listen(&s, |s| {
        let head =
            "GET /a?b=c HTTP/1.1\r\nHost: here\r\nX-A: 1\r\nX-A: 2\r\nConnection: close\r\n\r\n";
        raw(&s.clone(), head, move |all| {
            println!("{all}");
            raw(&s.clone(), "GET / HTTP/1.0\r\n\r\n", move |all| {
                println!("{}", all.behind_version());
                s.close();
            });
        });
    })
}

pub(super) fn events() -> Result<(), Error> {
    let s = http::create_server(|req, res| {
        println!("request {}", req.method());
        req.on_data(|_, bytes| println!("req data {}", String::from_utf8_lossy(bytes)));
        let ended = res.clone();
        req.on_end(move |req| {
            println!("req end {}", req.is_complete());
            ended.end_with("done");
            println!(
                "ended {} {}",
                ended.is_writable_ended(),
                ended.headers_sent()
            );
        });
        req.on_close(|_| println!("req close"));
        req.on(event::Resume, |_| println!("req resume"));
        res.on_finish(|res| println!("res finish {}", res.is_writable_finished()));
        res.on_close(|_| println!("res close"));
        next_tick(|| println!("tick"));
    });
    s.on_connection(|c| {
        println!("connection");
        c.on_close(|_, _| println!("socket close"));
    });
    s.on_close(|_| println!("server close"));
    listen(&s, |s| {
        println!("listening");
        let text =
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        raw(&s.clone(), text, move |all| {
            println!("{all}");
            s.close();
        });
    })
}

pub(super) fn keep_alive() -> Result<(), Error> {
    let n = Cell::new(0);
    let s = http::create_server(move |req, res| {
        n.set(n.get() + 1);
        println!("request {} {}", n.get(), req.url());
        res.end_with(format!("answer {}", n.get()));
    });
    s.set_keep_alive_timeout(200);
    s.on_connection(|_| println!("connection"));
    s.on_close(|_| println!("server close"));
    listen(&s, |s| {
        let c = raw(
            &s.clone(),
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
            move |all| {
                println!("{all}");
                s.close();
            },
        );
        c.on_data(|c, bytes| {
            if bytes.ends_with(b"answer 1") {
                c.write("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
            }
        });
        c.on_end(|_| println!("end"));
    })
}

pub(super) fn pipelining() -> Result<(), Error> {
    const THREE: &str = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\n\
                         Content-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\n\
                         Connection: close\r\n\r\n";
    let s = http::create_server(|req, res| {
        let url = req.url().to_owned();
        println!("request {url}");
        let (finished, closed) = (url.clone(), url.clone());
        res.on_finish(move |_| println!("finish {finished}"));
        res.on_close(move |_| println!("close {closed}"));
        res.end_with(url);
    });
    let t = http::create_server(|req, res| {
        let (url, ms) = (req.url().to_owned(), if req.url() == "/1" { 40 } else { 5 });
        set_timeout(move || discard(res.end_with(url)), ms);
    });
    listen(&s, move |s| {
        raw(&s.clone(), THREE, move |all| {
            println!("{all}");
            s.close();
            listen(&t, |t| {
                raw(&t.clone(), THREE, move |all| {
                    let bodies = all.0.split('\n').filter(|line| {
                        let digit = |at| line.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
                        (line.starts_with('/') && digit(1))
                            || line.get(1..2) == Some("/") && digit(2)
                    });
                    let bodies: Vec<_> = bodies.map(|line| &line[..2]).collect();
                    println!("{}", bodies.join(" "));
                    t.close();
                });
            })
        });
    })
}

pub(super) fn chunked() -> Result<(), Error> {
    let s = http::create_server(|req, res| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let parts = Rc::clone(&seen);
        req.on_data(move |_, bytes| {
            parts
                .borrow_mut()
                .push(String::from_utf8_lossy(bytes).into_owned());
        });
        req.on_end(move |req| {
            let trailers = req.trailers().into_iter().flat_map(http::Headers::iter);
            let trailers = trailers.map(|(name, value)| format!("\"{name}\":\"{value}\""));
            let trailers: Vec<_> = trailers.collect();
            println!(
                "{} {} {{{}}}",
                req.url(),
                seen.borrow().join("|"),
                trailers.join(",")
            );
            res.write("first");
            res.write("");
            res.write("second");
            let res = res.clone();
            set_timeout(
                move || {
                    res.write("third");
                    res.end();
                },
                5,
            );
        });
    });
    listen(&s, |s| {
        let text = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\
                    \r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-T: tail\r\n\r\n";
        raw(&s.clone(), text, move |all| {
            println!("{all}");
            raw(&s.clone(), "GET /10 HTTP/1.0\r\n\r\n", move |all| {
                println!("{}", all.behind_version());
                let text = "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
                            Connection: close\r\n\r\n3\r\nab";
                let c = raw(&s.clone(), text, move |all| {
                    println!("{all}");
                    s.close();
                });
                let d = c.clone();
                set_timeout(move || discard(c.write("c\r\n")), 20);
                set_timeout(move || discard(d.write("2\r\nde\r\n0\r\n\r\n")), 40);
            });
        });
    })
}

pub(super) fn aborted() -> Result<(), Error> {
    let server = Rc::new(RefCell::new(None::<Server>));
    let closed = Rc::clone(&server);
    let s = http::create_server(move |req, res| {
        println!("request {}", req.url());
        req.on_data(|_, bytes| println!("data {}", String::from_utf8_lossy(bytes)));
        req.on_end(|_| println!("req end"));
        req.on_aborted(|req| println!("aborted {}", req.is_aborted()));
        req.on_error(|_, error| {
            println!(
                "req error {} {}",
                error.code().unwrap_or_default(),
                error.message()
            );
        });
        req.on_close(|req| println!("req close {} {}", req.is_complete(), req.is_destroyed()));
        res.on_finish(|_| println!("finish"));
        let (is_get, closed) = (req.url() == "/get", Rc::clone(&closed));
        res.on_close(move |res| {
            let (ended, finished) = (res.is_writable_ended(), res.is_writable_finished());
            println!("res close {ended} {finished} {}", res.is_destroyed());
            let server = closed.borrow().clone().filter(|_| is_get);
            if let Some(server) = server {
                server.close();
            }
        });
        if is_get {
            res.write("part");
        }
    });
    server.replace(Some(s.clone()));
    s.on_close(move |_| {
        println!("server close");
        server.take();
    });
    listen(&s, |s| {
        let text = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
        let c = raw(&s.clone(), text, move |_| {
            println!("gone");
            let d = raw(&s, "GET /get HTTP/1.1\r\nHost: a\r\n\r\n", |_| {
                println!("gone, too")
            });
            d.once(net::event::Data, |(d, _): (Socket, &[u8])| {
                discard(d.destroy())
            });
        });
        set_timeout(move || discard(c.destroy()), 30);
    })
}

/// The names of clients whose connections were closed.
#[derive(Clone, Default)]
struct Gone(Rc<RefCell<Vec<String>>>);

impl Gone {
    fn add(&self, name: &str) {
        self.0.borrow_mut().push(name.to_owned());
    }

    fn names(&self) -> String {
        self.0.borrow().join(" ")
    }

    fn sorted(&self) -> String {
        self.0.borrow_mut().sort();
        self.names()
    }
}

pub(super) fn close() -> Result<(), Error> {
    let s = http::create_server(|req, res| {
        println!("request {}", req.url());
        if req.url() == "/slow" {
            let answer = move || {
                println!("answer");
                res.end_with("slow");
            };
            set_timeout(answer, 100);
        } else {
            res.end_with("fast");
        }
    });
    s.set_keep_alive_timeout(100);
    s.on_close(|_| println!("server close"));
    listen(&s, |s| {
        let gone = Gone::default();
        let idle = gone.clone();
        raw(&s, "GET /fast HTTP/1.1\r\nHost: a\r\n\r\n", move |_| {
            idle.add("idle")
        });
        let (slow, t) = (gone.clone(), s.clone());
        let busy = move || {
            raw(&t, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", move |all| {
                slow.add(&all.0[all.0.len().saturating_sub(4)..]);
            });
        };
        set_timeout(busy, 20);
        let (at_end, t) = (gone.clone(), s.clone());
        let close = move || {
            println!("close");
            t.close_then(move |result| {
                println!("callback {}", result.is_ok());
                set_timeout(move || println!("{}", at_end.names()), 20);
            });
            t.close_then(|result| {
                let error = result.expect_err("it is closed");
                println!("again {}", error.code().unwrap_or_default());
            });
        };
        set_timeout(close, 60);
        set_timeout(
            move || println!("{} {}", gone.names(), s.is_listening()),
            90,
        );
    })
}

pub(super) fn close_all() -> Result<(), Error> {
    let gone = Gone::default();
    let s = http::create_server(|req, res| {
        println!("request {}", req.url());
        if req.url() == "/idle" {
            res.end_with("x");
        }
    });
    let at_end = gone.clone();
    s.on_close(move |_| {
        println!("server close");
        let at_end = at_end.clone();
        set_timeout(move || println!("{}", at_end.sorted()), 20);
    });
    listen(&s, move |s| {
        for (ms, name, text) in [
            (0, "idle", "GET /idle HTTP/1.1\r\nHost: a\r\n\r\n"),
            (20, "busy", "GET /busy HTTP/1.1\r\nHost: a\r\n\r\n"),
            (40, "silent", ""),
        ] {
            let (s, gone) = (s.clone(), gone.clone());
            let ask = move || discard(raw(&s, text, move |_| gone.add(name)));
            set_timeout(ask, ms);
        }
        let t = s.clone();
        let idle = move || {
            println!("close idle");
            t.close_idle_connections();
        };
        set_timeout(idle, 80);
        let t = s.clone();
        let count = move || {
            println!("{}", gone.names());
            t.get_connections(|count| println!("{count}"));
        };
        set_timeout(count, 110);
        let all = move || {
            println!("close all");
            s.close();
            s.close_all_connections();
        };
        set_timeout(all, 140);
    })
}

fn on_expected(req: IncomingMessage, res: ServerResponse) {
    println!("request {}", req.url());
    let body = Rc::new(RefCell::new(String::new()));
    let parts = Rc::clone(&body);
    req.on_data(move |_, bytes| parts.borrow_mut().push_str(&String::from_utf8_lossy(bytes)));
    req.on_end(move |_| discard(res.end_with(format!("got {}", body.borrow()))));
}

fn expecting(url: &str, expect: &str) -> String {
    format!(
        "POST {url} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: {expect}\r\n\
         Connection: close\r\n\r\n"
    )
}

fn ask(s: &Server, url: &str, expect: &str, done: impl FnOnce() + 'static) {
    let c = raw(s, expecting(url, expect), move |all| {
        println!("{all}");
        done();
    });
    c.once(net::event::Data, |(c, bytes): (Socket, &[u8])| {
        if bytes.starts_with(b"HTTP/1.1 100") {
            c.write("body");
        }
    });
}

fn check_continue(req: IncomingMessage, res: ServerResponse) -> Result<(), Error> {
    println!("checkContinue {}", req.url());
    if req.url() == "/no" {
        res.set_status_code(413)?.end_with("too much");
    } else {
        res.write_continue();
        on_expected(req, res);
    }
    Ok(())
}

pub(super) fn expect() -> Result<(), Error> {
    listen(&http::create_server(on_expected), |s| {
        ask(&s.clone(), "/auto", "100-continue", move || {
            s.on_check_continue(check_continue);
            ask(&s.clone(), "/yes", "100-continue", move || {
                ask(&s.clone(), "/no", "100-continue", move || {
                    ask(&s.clone(), "/odd", "tea", move || expect_tea(s));
                });
            });
        });
    })
}

fn expect_tea(s: Server) {
    s.on_check_expectation(|req, res| {
        let expected = req.headers().get("expect").unwrap_or_default();
        println!("checkExpectation {expected}");
        res.write_head(200)?.end_with("as you");
        Ok::<_, Error>(())
    });
    raw(&s.clone(), expecting("/tea", "tea") + "body", move |all| {
        println!("{all}");
        s.close();
    });
}

fn code(error: &Error) -> &str {
    error.code().unwrap_or("undefined")
}

pub(super) fn errors() -> Result<(), Error> {
    let s = http::create_server(|req, res| {
        println!("request {}", req.url());
        req.on_error(|_, error| println!("req error {}", code(error)));
        res.on_close(|_| println!("res close"));
        req.on_data(|_, _| ());
        if req.url() != "/bad-chunk" {
            res.end_with("fine");
        }
    });
    s.on_close(|_| println!("closed"));
    listen(&s, |s| {
        let large = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(20_000)
        );
        let bad = [
            "GARBAGE\r\n\r\n",
            "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            &large,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            "GET /ok HTTP/1.1\r\nHost: a\r\n\r\nGARBAGE\r\n\r\n",
        ];
        send_bad(s, bad.iter().map(|text| (*text).to_owned()).collect());
    })
}

fn send_bad(s: Server, mut bad: std::collections::VecDeque<String>) {
    let Some(text) = bad.pop_front() else {
        return bad_chunk(s);
    };
    raw(&s.clone(), text, move |all| {
        let first = all.0.split('\n').next().unwrap_or_default();
        println!("\"{first}\" {}", all.0.ends_with("Connection: close\n\n"));
        send_bad(s, bad);
    });
}

fn bad_chunk(s: Server) {
    let text = "POST /bad-chunk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    raw(&s.clone(), text, move |all| {
        println!("{}", all.quoted());
        s.on_client_error(|error, c| {
            println!("clientError {} true {}", &code(error)[..4], c.is_writable());
            c.end_with("HTTP/1.1 400 Mine\r\n\r\n");
        });
        raw(&s.clone(), "GARBAGE\r\n\r\n", move |all| {
            println!("{}", all.quoted());
            let c = raw(&s.clone(), "GET /half HTTP", move |all| {
                println!("{}", all.quoted());
                s.close();
            });
            c.end();
        });
    });
}

pub(super) fn timeouts() -> Result<(), Error> {
    let options = http::ServerOptions {
        connections_checking_interval_ms: 100,
        headers_timeout_ms: 300,
        request_timeout_ms: 600,
        ..http::ServerOptions::default()
    };
    let s = http::create_server_with(options, |req, res| {
        println!("request {}", req.url());
        req.on_error(|_, error| println!("req error {}", code(error)));
        res.on_close(|_| println!("res close"));
        req.resume();
    });
    listen(&s, |s| {
        let c = raw(&s.clone(), "GET /slow-head HTTP/1.1\r\n", move |all| {
            println!("head {}", all.quoted());
            let text = "POST /slow-body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
            raw(&s.clone(), text, move |all| {
                println!("body {}", all.quoted());
                raw(&s.clone(), "", move |all| {
                    println!("silent {}", all.quoted());
                    idle(s);
                });
            });
        });
        let slow = c.clone();
        let writing = set_interval_with_self(
            move |this| match slow.is_writable() {
                true => discard(slow.write("X: y\r\n")),
                false => clear_interval(this),
            },
            50,
        );
        c.on_close(move |_, _| clear_interval(writing));
    })
}

fn idle(s: Server) {
    const TEXT: &str = "GET /idle HTTP/1.1\r\nHost: a\r\n\r\n";
    s.set_timeout(80);
    raw(&s.clone(), TEXT, move |all| {
        println!("timeout {}", all.quoted());
        s.on_timeout(|c| {
            println!("heard");
            c.destroy();
        });
        raw(&s.clone(), TEXT, move |_| discard(s.close()));
    });
}

fn tried<T>(result: Result<T, Error>) {
    if let Err(error) = result {
        println!("{} {}", code(&error), error.message());
    }
}

fn answer_with_heads(req: IncomingMessage, res: ServerResponse) -> Result<(), Error> {
    match req.url() {
        "/head" => {
            res.set_header("X-One", 1)?
                .set_header("Set-Cookie", ["a=1", "b=2"])?;
            let one = res.get_header("x-one").unwrap_or_default();
            let names = res.get_header_names().join("\",\"");
            println!(
                "{one} {} [\"{names}\"] {}",
                res.has_header("X-ONE"),
                res.headers_sent()
            );
            res.remove_header("x-one")?;
            res.write("not sent");
            res.end_with("nor this");
        }
        "/none" => discard(res.set_status_code(204)?.end()),
        "/not" => discard(
            res.write_head_with(304, [("Etag", "\"x\"")])?
                .end_with("dropped"),
        ),
        "/words" => {
            res.set_status_message("Very Fine")?;
            res.write_head_with(
                201,
                [("Content-Type", "text/plain"), ("Content-Length", "4")],
            )?;
            res.end_with("four");
            tried(res.set_header("X", "y"));
            tried(res.write_head(200));
        }
        "/bare" => discard(res.set_send_date(false).end_with("b")),
        "/length" => discard(res.remove_header("Content-Length")?.end_with("l")),
        "/invalid" => {
            tried(res.set_header("a b", "x"));
            tried(res.set_header("X", "a\nb"));
            res.write_head(418)?.end();
        }
        "/flush" => {
            res.flush_headers();
            set_timeout(move || discard(res.end_with("later")), 10);
        }
        _ => {
            res.set_header("Connection", "close")?
                .set_header("Date", "never")?;
            res.end_with("own");
        }
    }
    Ok(())
}

pub(super) fn heads() -> Result<(), Error> {
    fn next(s: Server, mut urls: Vec<&'static str>) {
        if urls.is_empty() {
            return discard(s.close());
        }
        let url = urls.remove(0);
        let text = format!("{url} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        raw(&s.clone(), text, move |all| {
            println!("{all}\n--");
            next(s, urls);
        });
    }
    listen(&http::create_server(answer_with_heads), |s| {
        let urls = [
            "HEAD /head",
            "GET /none",
            "GET /not",
            "GET /words",
            "GET /bare",
            "GET /length",
            "GET /invalid",
            "GET /flush",
            "GET /own",
        ];
        next(s, urls.to_vec());
    })
}

const PARTS: usize = 64;

/// Writes parts until there is no room, and again at 'drain'.
fn write_parts(res: &ServerResponse, written: &Rc<Cell<usize>>, stops: usize) {
    while written.get() < PARTS {
        written.set(written.get() + 1);
        if !res.write([b'x'; 65_536]) {
            let written = Rc::clone(written);
            res.once(event::Drain, move |res| {
                write_parts(&res, &written, stops + 1)
            });
            return;
        }
    }
    println!("all written {}", stops > 0);
    res.end();
}

pub(super) fn back_pressure() -> Result<(), Error> {
    let s = http::create_server(|_, res| {
        res.on_finish(|_| println!("finish"));
        res.on_close(|_| println!("close"));
        let written = Rc::default();
        write_parts(&res, &written, 0);
        println!("first stop {} {}", written.get(), res.needs_drain());
    });
    let t = http::create_server(|req, res| {
        let got = Rc::new(Cell::new(0));
        let counted = Rc::clone(&got);
        req.on_data(move |_, bytes| counted.set(counted.get() + bytes.len()));
        req.on_end(move |_| discard(res.end_with(format!("got {}", got.get()))));
        req.pause();
        set_timeout(move || discard(req.resume()), 20);
    });
    listen(&s, move |s| {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        raw(&s.clone(), text, move |all| {
            println!("{}", all.0.len() > PARTS * 65_536);
            s.close();
            listen(&t, |t| {
                let text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\
                            Connection: close\r\n\r\n";
                let d = raw(&t.clone(), text, move |all| {
                    println!("{}", all.0.rsplit('\n').next().unwrap_or_default());
                    t.close();
                });
                d.write(vec![0; 1_000_000]);
            })
        });
    })
}

pub(super) fn unread_body() -> Result<(), Error> {
    let s = http::create_server(|req, res| {
        println!("request {}", req.url());
        req.on_end(|req| println!("req end {}", req.url()));
        req.on_close(|req| println!("req close {}", req.url()));
        res.on_finish(|res| println!("finish {}", res.req().url()));
        res.end_with("x");
    });
    listen(&s, |s| {
        let text = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
                    POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
        raw(&s.clone(), text, move |all| {
            println!("{}", all.0.matches("HTTP/1.1 200 OK").count());
            s.close();
        });
    })
}

pub(super) fn pipe() -> Result<(), Error> {
    let s = http::create_server(|req, res| {
        println!("request");
        res.on_pipe(|_, _| println!("pipe"));
        res.on_unpipe(|_, _| println!("unpipe"));
        res.on_finish(|_| println!("finish"));
        req.pipe(&res);
    });
    listen(&s, |s| {
        let text =
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhello";
        let c = raw(&s.clone(), text, move |all| {
            println!("{all}");
            s.close();
        });
        c.on_connect(|c| {
            set_timeout(move || discard(c.write("world")), 30);
        });
    })
}

pub(super) fn upgrade() -> Result<(), Error> {
    const UP: &str = "GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n";
    let s = http::create_server(|req, res| {
        println!("request {}", req.url());
        res.end_with("plain");
    });
    listen(&s, |s| {
        let a = raw(&s.clone(), UP, move |all| {
            let first = all.0.split('\n').next().unwrap_or_default();
            println!("{first} {}", all.0.ends_with("plain"));
            s.on_upgrade(|req, c, head| {
                let protocol = req.headers().get("upgrade").unwrap_or_default();
                println!("upgrade {protocol} {}", String::from_utf8_lossy(head));
                c.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
                c.on_data(|c, bytes| {
                    println!("chat {}", String::from_utf8_lossy(bytes));
                    c.end_with("bye");
                });
            });
            let b = raw(&s.clone(), format!("{UP}first"), move |all| {
                println!("{all}");
                connect_method(s);
            });
            set_timeout(move || discard(b.write("second")), 20);
        });
        a.once(net::event::Data, |(a, _): (Socket, &[u8])| discard(a.end()));
    })
}

fn connect_method(s: Server) {
    const TEXT: &str = "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n";
    raw(&s.clone(), TEXT, move |all| {
        println!("{}", all.quoted());
        s.on_connect(|req, c, _| {
            println!("connect {} {}", req.method(), req.url());
            c.end_with("HTTP/1.1 200 Yes\r\n\r\n");
        });
        raw(&s.clone(), TEXT, move |all| {
            println!("{all}");
            s.close();
        });
    });
}

pub(super) fn thrown() -> Result<(), Error> {
    process::on_uncaught_exception(|thrown, _| println!("uncaught {}", thrown.message()));
    let s = http::create_server(|req, res| {
        println!("request {}", req.url());
        if req.url() == "/throw" {
            set_timeout(move || discard(res.end_with("after all")), 5);
            return Err(Thrown::from("listener"));
        }
        res.on_error(|_, error| println!("res error {}", code(error)));
        res.end_with("x");
        res.write("y");
        res.end_with("z");
        res.write_then("y", |result| {
            println!("callback {}", code(&result.expect_err("it has ended")));
        });
        Ok(())
    });
    listen(&s, |s| {
        let head = "HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        raw(&s.clone(), format!("GET /throw {head}"), move |all| {
            println!("{}", all.0.ends_with("after all"));
            raw(&s.clone(), format!("GET /late {head}"), move |all| {
                println!("{}", all.0.ends_with('x'));
                s.close();
            });
        });
    })
}

pub(super) fn limits() -> Result<(), Error> {
    let s = http::create_server(|req, res| {
        println!("request {}", req.url());
        res.end_with(req.url());
    });
    s.set_max_requests_per_socket(2);
    s.on_drop_request(|req, _| println!("dropRequest {}", req.url()));
    listen(&s, |s| {
        let get = |n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n");
        raw(&s.clone(), get(1) + &get(2), move |all| {
            println!("{all}");
            s.close();
        });
    })
}
