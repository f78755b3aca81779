//! HTTP clients: requests, agents, and what can go wrong.

use super::discard;
use super::http_raw::listen;
use oneloop::callback::http::{
    self, Agent, AgentOptions, ClientRequest, Error, IncomingMessage, RequestOptions, Server,
    ServerResponse, event,
};
use oneloop::callback::net::{self, Socket};
use oneloop::callback::{next_tick, set_timeout};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

fn code(error: &Error) -> &str {
    error.code().unwrap_or("undefined")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn url(server: &Server, path: &str) -> String {
    format!(
        "http://127.0.0.1:{}{path}",
        server.port().expect("it listens")
    )
}

fn options(server: &Server, path: &str) -> RequestOptions {
    RequestOptions {
        host: "127.0.0.1".into(),
        port: server.port().expect("it listens"),
        path: path.into(),
        ..RequestOptions::default()
    }
}

/// Collects a body, and calls a function with it at 'end'.
fn on_body(message: &IncomingMessage, f: impl Fn(&IncomingMessage, &[u8]) + 'static) {
    let body = Rc::new(RefCell::new(Vec::new()));
    let parts = Rc::clone(&body);
    message.on_data(move |_, bytes| parts.borrow_mut().extend_from_slice(bytes));
    message.on_end(move |message| f(&message, &body.borrow()));
}

pub(super) fn get() -> Result<(), Error> {
    let s = http::create_server(|req, res| {
        let headers = req.headers().iter().map(|(name, value)| match name {
            "host" => "\"host\":\"127.0.0.1:port\"".to_owned(),
            _ => format!("\"{name}\":\"{value}\""),
        });
        let headers: Vec<_> = headers.collect();
        println!("{} {} {{{}}}", req.method(), req.url(), headers.join(","));
        res.set_header("X-Answer", "yes")?.end_with("Hello World\n");
        Ok::<_, Error>(())
    });
    s.on_close(|_| println!("server close"));
    listen(&s, |s| {
        let target = url(&s, "/a?b=c");
        let req = http::get_then(target, move |res| {
            let header = |name| res.headers().get(name).unwrap_or_default();
            let (answer, length) = (header("x-answer"), header("content-length"));
            let (status, words) = (res.status_code(), res.status_message());
            println!(
                "response {status} {words} {} {answer} {length}",
                res.http_version()
            );
            res.on_data(|_, bytes| println!("data {:?}", text(bytes)));
            res.on_end(|res| println!("end {}", res.is_complete()));
            res.on_close(move |_| {
                println!("res close");
                s.close();
            });
        });
        let req = req.expect("it is a URL");
        let (sent, ended) = (req.headers_sent(), req.is_writable_ended());
        println!("{} {} {sent} {ended}", req.method(), req.path());
        req.on_socket(|c| println!("socket {}", c.is_connecting()));
        req.on_finish(|_| println!("finish"));
        req.on_close(|req| println!("close {}", req.is_destroyed()));
        next_tick(|| println!("tick"));
    })
}

fn on_post(req: IncomingMessage, res: ServerResponse) {
    on_body(&req, move |req, body| {
        let header = |name| req.headers().get(name).unwrap_or("undefined").to_owned();
        let (length, encoding) = (header("content-length"), header("transfer-encoding"));
        println!(
            "{} {length} {encoding} {} {}",
            req.method(),
            header("content-type"),
            text(body)
        );
        let made = res.set_status_message("Made");
        let made = made.and_then(|res| res.write_head_with(201, [("Set-Cookie", ["a", "b"])]));
        made.expect("the head is not sent").end();
    });
}

fn post(
    s: &Server,
    header: Option<(&str, &str)>,
    send: impl FnOnce(ClientRequest),
    done: impl FnOnce() + 'static,
) {
    let mut options = options(s, "/p");
    options.method = "post".into();
    if let Some((name, value)) = header {
        options.set_header(name, value);
    }
    let req = http::request_then(options, |res| {
        let cookies: Vec<_> = res.headers().get_all("set-cookie").collect();
        let cookies = cookies.join("\",\"");
        println!(
            "{} {} [\"{cookies}\"]",
            res.status_code(),
            res.status_message()
        );
        res.resume();
        res.once(event::End, move |_| done());
    });
    send(req.expect("the options are valid"));
}

pub(super) fn posts() -> Result<(), Error> {
    listen(&http::create_server(on_post), |s| {
        let in_parts = |req: ClientRequest| {
            req.write("one,");
            req.write("two");
            req.end_with(",three");
        };
        let content_type = Some(("Content-Type", "text/plain"));
        post(&s.clone(), content_type, in_parts, move || {
            let whole = |req: ClientRequest| discard(req.end_with("whole"));
            post(&s.clone(), None, whole, move || {
                let four = |req: ClientRequest| {
                    req.write("fo");
                    set_timeout(move || discard(req.end_with("ur")), 10);
                };
                post(&s.clone(), Some(("Content-Length", "4")), four, move || {
                    post(&s.clone(), None, with_header, move || discard(s.close()));
                });
            });
        });
    })
}

fn with_header(req: ClientRequest) {
    req.set_header("X", "y").expect("the head is not sent");
    let names = req.get_header_names().join("\",\"");
    println!("{} [\"{names}\"]", req.get_header("x").unwrap_or_default());
    req.flush_headers();
    if let Err(error) = req.set_header("X", "z") {
        println!("{}", code(&error));
    }
    set_timeout(move || discard(req.end()), 10);
}

fn get_with(options: RequestOptions, done: impl FnOnce() + 'static) {
    let this = Rc::new(RefCell::new(None::<ClientRequest>));
    let known = Rc::clone(&this);
    let req = http::get_then(options, move |res| {
        on_body(&res, move |res, body| {
            let header = |name| res.headers().get(name).unwrap_or("undefined");
            let reused = known
                .borrow()
                .as_ref()
                .is_some_and(ClientRequest::is_socket_reused);
            let (kept, how) = (header("connection"), header("keep-alive"));
            println!("{} {reused} {kept} {how}", text(body));
        });
    });
    let req = req.expect("the options are valid");
    this.replace(Some(req.clone()));
    req.once(event::RequestClose, move |_| {
        this.take();
        set_timeout(done, 5);
    });
}

pub(super) fn agents() -> Result<(), Error> {
    let s = http::create_server(|req, res| {
        set_timeout(move || discard(res.end_with(req.url())), 5);
    });
    let n = Cell::new(0);
    s.on_connection(move |_| {
        n.set(n.get() + 1);
        println!("connection {}", n.get());
    });
    s.on_close(|_| println!("server close"));
    listen(&s, |s| {
        get_with(options(&s, "/1"), move || {
            get_with(options(&s, "/2"), move || {
                let mut plain = options(&s, "/3");
                plain.agent = Some(Agent::new(AgentOptions::default()));
                get_with(plain, move || one_connection(s));
            });
        });
    })
}

fn one_connection(s: Server) {
    let one = Agent::new(AgentOptions {
        keep_alive: true,
        max_sockets: 1,
        ..AgentOptions::default()
    });
    let left = Rc::new(Cell::new(3));
    for path in ["/4", "/5", "/6"] {
        let (left, s, agent) = (Rc::clone(&left), s.clone(), one.clone());
        let mut options = options(&s, path);
        options.agent = Some(one.clone());
        get_with(options, move || {
            left.set(left.get() - 1);
            if left.get() == 0 {
                println!("free {}", agent.free_socket_count());
                agent.destroy();
                get_with(self::options(&s, "/7"), move || discard(s.close()));
            }
        });
    }
}

/// Prints the events of a request, and continues at 'close'.
fn seen(name: &'static str, req: Result<ClientRequest, Error>, done: impl FnOnce() + 'static) {
    let req = req.expect("the URL is valid");
    req.on_error(move |_, error| {
        let code = &code(error)[..code(error).len().min(11)];
        let message = error.message();
        let without_port = message
            .rfind(':')
            .map_or(message, |at| match &message[at + 1..] {
                digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => &message[..at],
                _ => message,
            });
        let message = match code.starts_with("HPE") {
            true => "",
            false => &without_port[..without_port.len().min(30)],
        };
        println!("{name} error {code} {message}");
    });
    req.on_abort(move |_| println!("{name} abort"));
    req.once(event::RequestClose, move |req| {
        println!("{name} close {}", req.is_destroyed());
        done();
    });
}

fn show_body(name: &'static str) -> impl FnOnce(IncomingMessage) {
    move |res| {
        println!("{name} response {}", res.status_code());
        res.on_data(move |_, bytes| println!("{name} data {}", text(bytes)));
        res.on_end(move |_| println!("{name} end"));
        res.on_aborted(move |_| println!("{name} aborted"));
        res.on_error(move |_, error| {
            println!("{name} res error {} {}", code(error), error.message());
        });
        res.on_close(move |res| println!("{name} res close {}", res.is_complete()));
    }
}

/// A server that answers badly.
fn on_bad_request(c: Socket) {
    c.once(
        net::event::Data,
        |(c, bytes): (Socket, &[u8])| match text(bytes).split(' ').nth(1).unwrap_or_default() {
            "/hangup" => drop(c.end()),
            "/reset" => drop(c.reset_and_destroy()),
            "/garbage" => drop(c.end_with("GARBAGE\r\n\r\n")),
            "/cut" => drop(c.end_with("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")),
            "/rest" => drop(c.end_with("HTTP/1.1 200 OK\r\n\r\nto the end")),
            _ => {}
        },
    );
    c.on_error(|_, _| ());
}

pub(super) fn errors() -> Result<(), Error> {
    let t = net::create_server(on_bad_request);
    t.listen_then(("127.0.0.1", 0), |t| {
        seen("hangup", http::get(bad_url(&t, "/hangup")), move || {
            seen("reset", http::get(bad_url(&t, "/reset")), move || {
                seen("garbage", http::get(bad_url(&t, "/garbage")), move || {
                    cut_off(t)
                });
            });
        });
    })
    .map(drop)
}

fn bad_url(server: &net::Server, path: &str) -> String {
    format!(
        "http://127.0.0.1:{}{path}",
        server.port().expect("it listens")
    )
}

fn cut_off(t: net::Server) {
    seen(
        "cut",
        http::get_then(bad_url(&t, "/cut"), show_body("cut")),
        move || {
            let rest = move || {
                seen(
                    "rest",
                    http::get_then(bad_url(&t, "/rest"), show_body("rest")),
                    move || {
                        set_timeout(move || destroyed(t), 10);
                    },
                );
            };
            set_timeout(rest, 10);
        },
    );
}

fn destroyed(t: net::Server) {
    let never = bad_url(&t, "/never");
    let a = http::get(&never);
    let b = a.clone().expect("the URL is valid");
    set_timeout(move || discard(b.abort()), 20);
    seen("abort", a, move || {
        let d = http::get(&never);
        let b = d.clone().expect("the URL is valid");
        set_timeout(move || discard(b.destroy()), 20);
        seen("destroy", d, move || {
            let e = http::get(&never);
            let b = e.clone().expect("the URL is valid");
            let mine = || Error::new("EMINE", "mine");
            set_timeout(move || discard(b.destroy_with(mine())), 20);
            seen("destroy error", e, move || {
                let f = http::get(&never);
                let b = f.clone().expect("the URL is valid");
                seen("at once", f, move || refused(t, never));
                b.destroy();
            });
        });
    });
}

/// Closes the server, requests from it, and requests what cannot be.
fn refused(t: net::Server, url: String) {
    t.close_then(move |_| {
        seen("refused", http::get(url), || {
            for bad in ["no url", "https://a/"] {
                println!("{}", code(&http::get(bad).expect_err("it is no URL")));
            }
            let local = || RequestOptions {
                host: "127.0.0.1".into(),
                ..RequestOptions::default()
            };
            let mut bad = local();
            bad.path = "/a b".into();
            println!("{}", code(&http::get(bad).expect_err("it has a space")));
            let mut bad = local();
            bad.method = "a b".into();
            println!("{}", code(&http::request(bad).expect_err("it has a space")));
        });
    });
}

pub(super) fn timeouts() -> Result<(), Error> {
    let s = http::create_server(|req, res| {
        if req.url() == "/half" {
            res.write("half");
        }
    });
    s.on_close(|_| println!("server close"));
    listen(&s, |s| {
        let mut options = options(&s, "/");
        options.timeout_ms = Some(50);
        let a = http::get(options).expect("the options are valid");
        a.on_timeout(|a| {
            println!("timeout");
            a.destroy();
        });
        a.on_error(|_, error| println!("{}", code(error)));
        a.once(event::RequestClose, move |_| half(s));
    })
}

fn half(s: Server) {
    let target = url(&s, "/half");
    let b = http::get_then(target, move |res| {
        res.on_timeout(|_| println!("res timeout"));
        res.resume();
        res.on_error(|_, error| println!("res error {}", code(error)));
        res.once(event::Close, move |_| {
            println!("res close");
            let close = move || {
                s.close();
                s.close_all_connections();
            };
            set_timeout(close, 10);
        });
    });
    let b = b.expect("it is a URL");
    b.set_timeout_then(60, |b| {
        println!("b timeout");
        b.destroy();
    });
    b.on_error(|_, error| println!("b error {}", code(error)));
    b.on_close(|_| println!("b close"));
}

pub(super) fn expect() -> Result<(), Error> {
    fn answer(req: IncomingMessage, res: ServerResponse) {
        on_body(&req, move |_, body| {
            discard(res.end_with(format!("got {}", text(body))))
        });
    }
    let s = http::create_server(answer);
    s.on_check_continue(|req, res| {
        println!("checkContinue");
        let go_on = move || {
            res.write_continue();
            answer(req, res);
        };
        set_timeout(go_on, 10);
    });
    listen(&s, |s| {
        let mut options = options(&s, "/");
        options.method = "POST".into();
        options
            .set_header("Expect", "100-continue")
            .set_header("Content-Length", 4);
        let req = http::request_then(options, move |res| {
            println!("response {}", res.status_code());
            res.on_data(|_, bytes| println!("{}", text(bytes)));
            res.on_end(move |_| discard(s.close()));
        });
        let req = req.expect("the options are valid");
        req.on_information(|_, info| println!("information {}", info.status_code));
        req.on_continue(|req| {
            println!("continue");
            req.end_with("body");
        });
        println!("{}", req.headers_sent());
    })
}

pub(super) fn upgrade() -> Result<(), Error> {
    let s = http::create_server(|_, res| discard(res.end_with("plain")));
    s.on_upgrade(|req, c, _| {
        println!(
            "server upgrade {}",
            req.headers().get("upgrade").unwrap_or_default()
        );
        let head = "Connection: Upgrade\r\nUpgrade: chat";
        c.write(format!(
            "HTTP/1.1 101 Switching Protocols\r\n{head}\r\n\r\nhello"
        ));
        c.on_data(|c, bytes| {
            println!("server {}", text(bytes));
            c.end_with("bye");
        });
    });
    s.on_connect(|req, c, _| {
        println!("server connect {}", req.url());
        c.end_with("HTTP/1.1 200 Yes\r\n\r\ntunnel");
    });
    listen(&s, |s| {
        let mut options = options(&s, "/");
        options
            .set_header("Connection", "Upgrade")
            .set_header("Upgrade", "chat");
        let req = http::get(options).expect("the options are valid");
        req.on_close(|_| println!("close"));
        req.on_upgrade(move |res, c, head| {
            let protocol = res.headers().get("upgrade").unwrap_or_default();
            println!("upgrade {} {protocol}", res.status_code());
            let all = Rc::new(RefCell::new(text(head)));
            let parts = Rc::clone(&all);
            c.on_data(move |_, bytes| parts.borrow_mut().push_str(&text(bytes)));
            let s = s.clone();
            c.on_close(move |_, _| {
                println!("{}", all.borrow());
                tunnel(s.clone());
            });
            c.write("hi");
        });
    })
}

fn tunnel(s: Server) {
    let mut options = options(&s, "a:1");
    options.method = "CONNECT".into();
    let t = http::request(options).expect("the options are valid");
    t.on_connect(move |res, c, head| {
        println!("connect {}", res.status_code());
        let all = Rc::new(RefCell::new(text(head)));
        let parts = Rc::clone(&all);
        c.on_data(move |_, bytes| parts.borrow_mut().push_str(&text(bytes)));
        let s = s.clone();
        c.on_end(move |_| {
            println!("{}", all.borrow());
            s.close();
        });
    });
    t.end();
}

pub(super) fn proxy() -> Result<(), Error> {
    let s = http::create_server(|req, res| {
        println!(
            "origin {} {}",
            req.method(),
            req.headers().get("via").unwrap_or_default()
        );
        res.set_header("X-From", "origin")?;
        req.pipe(&res);
        Ok::<_, Error>(())
    });
    listen(&s, |s| {
        let origin = s.clone();
        let p = http::create_server(move |req, res| {
            let mut options = options(&origin, req.url());
            options.method = req.method().into();
            options.set_header("Via", "1.1 here");
            let out = http::request_then(options, move |back| {
                let from = back.headers().get("x-from").unwrap_or_default();
                res.write_head_with(back.status_code(), [("X-From", from)])?;
                back.pipe(&res);
                Ok::<_, Error>(())
            })?;
            req.pipe(&out);
            Ok::<_, Error>(())
        });
        let put = move |p: Server| {
            let mut options = options(&p, "/");
            options.method = "PUT".into();
            let req = http::request_then(options, move |res| {
                println!(
                    "{} {}",
                    res.status_code(),
                    res.headers().get("x-from").unwrap_or("-")
                );
                on_body(&res, move |_, body| {
                    println!("{}", body.len());
                    p.close();
                    s.close();
                });
            });
            let req = req.expect("the options are valid");
            req.write(vec![0; 300_000]);
            req.end_with(vec![0; 200_000]);
        };
        listen(&p, put).expect("port 0 is free");
    })
}

pub(super) fn unread_response() -> Result<(), Error> {
    let s = http::create_server(|_, res| discard(res.end_with("x".repeat(100_000))));
    listen(&s, |s| {
        let a = http::get(url(&s, "/")).expect("it is a URL");
        a.once(event::RequestClose, move |_| {
            println!("dumped");
            let target = url(&s, "/");
            let paused = http::get_then(target, move |res| {
                res.pause();
                on_body(&res, move |_, body| {
                    println!("{}", body.len());
                    head(&s);
                });
                set_timeout(move || discard(res.resume()), 30);
            });
            drop(paused);
        });
    })
}

fn head(s: &Server) {
    let mut options = options(s, "/");
    options.method = "HEAD".into();
    let s = s.clone();
    let c = http::request_then(options, move |res| {
        let length = res.headers().get("content-length").unwrap_or("undefined");
        println!("{} {length}", res.status_code());
        res.on_end(move |_| {
            println!("end of head");
            s.close();
        });
        res.resume();
    });
    c.expect("the options are valid").end();
}
