//! HTTP: what a bad or slow client costs, and what is left when it is gone. `conformance` checks the
//! order of events.

use crate::ends::{Token, left};
use oneloop::callback::http::{self, Error, RequestOptions, Server, ServerOptions, event};
use oneloop::callback::net::{self, Socket};
use oneloop::callback::{self, run_on, set_timeout};
use oneloop::{EventLoop, Handle, Options};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

fn run(main: impl FnOnce() -> Result<(), Error> + 'static) {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    assert_eq!(run_on(&mut event_loop, main).unwrap(), 0);
}

fn hello() -> Server {
    http::create_server(|_, res| {
        res.end_with("hello");
    })
}

fn url(server: &Server) -> String {
    format!("http://127.0.0.1:{}/", server.port().unwrap())
}

fn connect(server: &Server) -> Socket {
    net::connect(("127.0.0.1", server.port().unwrap())).unwrap()
}

/// Calls a function with what came, and how long it took, once the connection is closed.
fn at_close(client: &Socket, f: impl FnOnce(String, Duration) + 'static) {
    let start = now();
    let all = Rc::new(RefCell::new(Vec::new()));
    let received = Rc::clone(&all);
    client.on_data(move |_, bytes| received.borrow_mut().extend_from_slice(bytes));
    client.on_error(|_, _| ());
    client.once(net::event::Close, move |_| {
        f(
            String::from_utf8_lossy(&all.take()).into_owned(),
            now() - start,
        );
    });
}

fn now() -> Instant {
    Handle::current().now()
}

#[test]
fn a_head_that_comes_too_slowly_ends_its_connection_on_time() {
    run(|| {
        hello().listen_then(("127.0.0.1", 0), |server| {
            let client = connect(&server);
            client.write("GET / HTTP/1.1\r\nHost: a\r\nX: ");
            at_close(&client, move |all, elapsed| {
                assert_eq!(
                    all,
                    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
                );
                // A minute for the head, and a look at it each half minute.
                assert!((60..=90).contains(&elapsed.as_secs()), "{elapsed:?}");
                server.close();
            });
        })?;
        Ok(())
    });
}

#[test]
fn a_connection_is_kept_for_five_seconds_and_one_more() {
    run(|| {
        hello().listen_then(("127.0.0.1", 0), |server| {
            let client = connect(&server);
            client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            at_close(&client, move |all, elapsed| {
                assert!(all.contains("\r\nKeep-Alive: timeout=5\r\n"), "{all}");
                assert_eq!(elapsed.as_secs(), 6);
                server.close();
            });
        })?;
        Ok(())
    });
}

#[test]
fn a_request_may_come_byte_by_byte() {
    run(|| {
        let server = http::create_server(|req, res| {
            req.pipe(&res);
        });
        server.listen_then(("127.0.0.1", 0), |server| {
            let text = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
                        Connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
            let client = connect(&server);
            for (index, byte) in text.bytes().enumerate() {
                let client = client.clone();
                set_timeout(
                    move || {
                        client.write([byte]);
                    },
                    index + 1,
                );
            }
            at_close(&client, move |all, _| {
                // Each byte is a chunk of its own: `1`, and the letter.
                let chunks = all.split("\r\n").filter(|line| line.len() == 1);
                let letters = chunks.filter(|line| line.starts_with(char::is_alphabetic));
                let body: String = letters.collect();
                assert_eq!(body, "hello");
                server.close();
            });
        })?;
        Ok(())
    });
}

/// A stream of numbers that is the same in each run: xorshift.
fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[test]
fn whatever_a_client_sends_the_server_answers_the_next_one() {
    run(|| {
        let server = http::create_server(|req, res| {
            req.on_error(|_, _| ());
            req.on_data(|_, _| ());
            req.on_end(move |_| {
                res.end_with("hello");
            });
        });
        server.listen_then(("127.0.0.1", 0), |server| {
            send_garbage(server, 0x1234_5678, 300)
        })?;
        Ok(())
    });
}

/// Sends a request in which some bytes are wrong, ends, and does so again.
fn send_garbage(server: Server, mut seed: u64, left: u32) {
    if left == 0 {
        let answered = http::get_then(url(&server), move |res| {
            assert_eq!(res.status_code(), 200);
            res.resume();
            server.close();
        });
        answered.unwrap();
        return;
    }
    let mut text = b"POST /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: x\r\n\
                     Connection: keep-alive\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.0\r\n\r\n"
        .to_vec();
    for _ in 0..random(&mut seed) % 4 {
        let at = random(&mut seed) as usize % text.len();
        text[at] = random(&mut seed) as u8;
    }
    text.truncate(random(&mut seed) as usize % text.len() + 1);
    let client = connect(&server);
    let half = random(&mut seed) as usize % text.len();
    client.write(&text[..half]);
    client.end_with(&text[half..]);
    at_close(&client, move |all, _| {
        assert!(all.is_empty() || all.starts_with("HTTP/1."), "{all}");
        send_garbage(server, seed, left - 1);
    });
}

/// Requests again and again on one connection; listeners capture what they listen to.
fn request_again(server: Server, token: Token, left: u32) -> Result<(), Error> {
    let req = http::request(url(&server))?;
    let (captured, kept) = (req.clone(), Rc::clone(&token));
    req.once(event::Response, move |res| {
        let kept = (captured, kept, res.clone());
        res.on_data(move |_, _| {
            let _kept = &kept;
        });
    });
    req.once(event::RequestClose, move |_| match left {
        0 => {
            server.close();
            Ok(())
        }
        _ => request_again(server, token, left - 1),
    });
    req.end();
    Ok(())
}

#[test]
fn many_requests_on_one_connection_leave_nothing() {
    let connections = Rc::new(Cell::new(0));
    let counted = Rc::clone(&connections);
    let left = left(move |token| {
        let held = Rc::clone(&token);
        let server = http::create_server(move |req, res| {
            let kept = (req.clone(), res.clone(), Rc::clone(&held));
            req.on_end(move |_| {
                kept.1.end_with("hello");
            });
            let kept = (req.clone(), res.clone(), Rc::clone(&held));
            res.on_close(move |_| drop(kept.clone()));
            req.resume();
        });
        server.on_connection(move |_| counted.set(counted.get() + 1));
        server.listen_then(("127.0.0.1", 0), |server| {
            request_again(server, token, 2_000)
        })?;
        Ok(())
    });
    // At 'close' of a request, its connection is not back with the agent, as in Node: two alternate.
    assert_eq!((left, connections.get()), ((0, 0), 2));
}

#[test]
fn a_program_that_ends_within_requests_leaves_nothing() {
    let left = left(|token| {
        let held = Rc::clone(&token);
        let server = http::create_server(move |req, res| {
            let kept = (req.clone(), res.clone(), Rc::clone(&held));
            res.on_close(move |_| drop(kept.clone()));
            res.write("half");
            if req.url() == "/last" {
                callback::process::exit(0);
            }
        });
        server.listen_then(("127.0.0.1", 0), move |server| {
            for path in ["", "last"] {
                let req = http::get(url(&server) + path)?;
                let kept = (req.clone(), Rc::clone(&token));
                req.on_response(move |res| {
                    let kept = kept.clone();
                    res.on_data(move |_, _| drop(kept.clone()));
                });
            }
            Ok::<_, Error>(())
        })?;
        Ok(())
    });
    assert_eq!(left.1, 0);
}

#[test]
fn a_slow_reader_of_a_response_makes_the_server_wait() {
    run(|| {
        let written = Rc::new(Cell::new(0));
        let counted = Rc::clone(&written);
        let server = http::create_server(move |_, res| {
            while res.write([0; 16_384]) {
                counted.set(counted.get() + 1);
            }
            counted.set(counted.get() + 1);
        });
        server.listen_then(("127.0.0.1", 0), move |server| {
            let req = http::get_then(url(&server), move |res| {
                res.pause();
                let check = move || {
                    assert!((1..=2).contains(&written.get()), "{}", written.get());
                    res.destroy();
                    server.close_all_connections();
                    server.close();
                };
                set_timeout(check, 1_000);
            })?;
            req.on_error(|_, _| ());
            Ok::<_, Error>(())
        })?;
        Ok(())
    });
}

#[test]
fn a_body_that_is_shorter_than_its_length_is_cut_off_for_its_reader() {
    run(|| {
        let server = http::create_server(|_, res| {
            res.set_header("Content-Length", 10)?.end_with("half");
            Ok::<_, Error>(())
        });
        server.listen_then(("127.0.0.1", 0), |server| {
            let req = http::get_then(url(&server), move |res| {
                res.resume();
                res.on_aborted(|res| assert!(!res.is_complete()));
                res.on_close(move |res| {
                    assert!(res.is_aborted());
                    server.close();
                });
            })?;
            req.on_error(|_, error| assert_eq!(error.code(), Some("ECONNRESET")));
            Ok::<_, Error>(())
        })?;
        Ok(())
    });
}

#[test]
fn a_limit_of_the_head_is_an_option() {
    run(|| {
        let options = ServerOptions {
            max_header_size: 8_192,
            ..ServerOptions::default()
        };
        let server = http::create_server_with(options, |_, res| {
            res.end();
        });
        server.listen_then(("127.0.0.1", 0), |server| {
            let mut options = RequestOptions::of_url(&url(&server))?;
            options.set_header("X", "x".repeat(9_000));
            http::get_then(options, move |res| {
                assert_eq!(res.status_code(), 431);
                res.resume();
                server.close();
            })
        })?;
        Ok(())
    });
}
