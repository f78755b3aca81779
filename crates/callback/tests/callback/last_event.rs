//! 'close' is the last event, unless a listener of it opens the emitter again.

use super::ends::{Token, capture, close_soon, left, serve};
use oneloop::callback::events::{Emitter, EmitterEvent};
use oneloop::callback::net::{self, Endpoint, Error, Socket, event};
use oneloop::callback::{process, set_immediate, set_timeout};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

#[test]
fn a_socket_connects_again_in_a_listener_of_close_with_its_listeners() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&lines);
    let program = move |token: Token| {
        serve(
            |socket| {
                socket.end_with("hello");
            },
            move |server, port| {
                let client = net::connect(("127.0.0.1", port))?;
                capture(&client, &token);
                let received = Rc::clone(&log);
                client.on_data(move |_, bytes| {
                    received
                        .borrow_mut()
                        .push(String::from_utf8_lossy(bytes).into_owned());
                });
                let rounds = Cell::new(0);
                client.on_close(move |client, _| {
                    rounds.set(rounds.get() + 1);
                    if rounds.get() < 3 {
                        return client.connect(("127.0.0.1", port)).map(drop);
                    }
                    server.close();
                    // Later it is too late.
                    let log = Rc::clone(&log);
                    set_immediate(move || {
                        let refused = client.connect(("127.0.0.1", port)).unwrap_err();
                        log.borrow_mut().extend(refused.code().map(str::to_owned));
                    });
                    Ok(())
                });
                Ok(())
            },
        )
    };
    assert_eq!(left(program), (0, 0));
    let expected = ["hello", "hello", "hello", "ERR_LISTENERS_DROPPED"];
    assert_eq!(*lines.borrow(), expected);
}

#[test]
fn a_socket_that_keeps_its_listeners_connects_again_later() {
    let received = Rc::new(Cell::new(0));
    let count = Rc::clone(&received);
    let program = move |token: Token| {
        serve(
            |socket| {
                socket.end_with("hello");
            },
            move |server, port| {
                let client = net::connect(("127.0.0.1", port))?;
                client.keep_listeners();
                client.on_data(move |_, bytes| count.set(count.get() + bytes.len()));
                let rounds = Cell::new(0);
                client.on_close(move |client, _| {
                    let _held = &token;
                    rounds.set(rounds.get() + 1);
                    if rounds.get() == 3 {
                        server.close();
                        return;
                    }
                    set_timeout(move || client.connect(("127.0.0.1", port)).map(drop), 10);
                });
                Ok(())
            },
        )
    };
    assert_eq!(left(program), (0, 0)); // as no listener captures the socket
    assert_eq!(received.get(), 15);
}

#[test]
fn a_server_listens_again_in_a_listener_of_close_or_if_it_keeps_its_listeners() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&lines);
    let program = move |token: Token| {
        let server = net::create_server(move |_| drop(Rc::clone(&token)));
        let log = move |line: &str| log.borrow_mut().push(line.to_owned());
        let (at_listening, at_close) = (log.clone(), log.clone());
        server.on_listening(move |server| {
            at_listening("listening");
            server.close();
        });
        let rounds = Cell::new(0);
        server.on_close(move |server| {
            at_close("close");
            rounds.set(rounds.get() + 1);
            match rounds.get() {
                1 => drop(server.listen(("127.0.0.1", 0))?),
                2 => drop(server.listen(0)?),
                _ => {
                    let (log, again) = (log.clone(), log.clone());
                    set_timeout(
                        move || {
                            let refused = server.listen(0).unwrap_err();
                            log(refused.code().unwrap_or_default());
                            // As in Node, `close` still calls back.
                            server.close_then(move |closed| {
                                again(closed.unwrap_err().code().unwrap_or_default());
                            });
                        },
                        1,
                    );
                }
            }
            Ok::<_, Error>(())
        });
        server.listen(("127.0.0.1", 0))?;
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
    let round = ["listening", "close"];
    let expected = [
        &round[..],
        &round,
        &round,
        &["ERR_LISTENERS_DROPPED", "ERR_SERVER_NOT_RUNNING"],
    ];
    assert_eq!(*lines.borrow(), expected.concat());
}

/// The example of Node's documentation for `EADDRINUSE`.
#[test]
fn a_server_whose_port_is_taken_closes_and_listens_again_until_it_is_free() {
    for host in [None, Some("127.0.0.1")] {
        let tries = Rc::new(Cell::new(0));
        let counted = Rc::clone(&tries);
        let program = move |token: Token| {
            let taken = std::net::TcpListener::bind(("0.0.0.0", 0))?;
            let port = i64::from(taken.local_addr()?.port());
            let endpoint = move || host.map_or(port.into(), |host| Endpoint::from((host, port)));
            let taken = Cell::new(Some(taken));
            let server = net::create_server(move |_| drop(Rc::clone(&token)));
            server.on_error(move |server, error| {
                assert_eq!(error.code(), Some("EADDRINUSE"));
                counted.set(counted.get() + 1);
                if counted.get() == 3 {
                    drop(taken.take());
                }
                let try_again = move || server.close().listen(endpoint()).map(drop);
                set_timeout(try_again, 1000);
            });
            server.on_listening(|server| {
                server.close();
            });
            server.listen(endpoint())?;
            Ok(())
        };
        assert_eq!(left(program), (0, 0));
        assert_eq!(tries.get(), 3, "{host:?}");
    }
}

#[test]
fn a_listen_that_is_refused_does_not_keep_the_listeners() {
    let program = |token: Token| {
        let server = net::create_server(|_| ());
        server.on_close(move |server| {
            let refused = server.listen(70_000).unwrap_err();
            assert_eq!(refused.code(), Some("ERR_SOCKET_BAD_PORT"));
            let _ = &token;
        });
        let held = server.clone();
        server.on_close(move |_| drop(held.clone()));
        server.listen_then(0, |server| {
            server.close();
        })?;
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn an_accepted_socket_that_keeps_its_listeners_is_freed_with_the_program() {
    let program = |token: Token| {
        serve(
            move |socket| capture(socket.keep_listeners(), &token),
            |server, port| {
                net::connect(("127.0.0.1", port))?.end();
                close_soon(server);
                Ok(())
            },
        )
    };
    let (at_exit, with_the_loop) = left(program);
    assert!(at_exit > 0, "they are kept");
    assert_eq!(with_the_loop, 0);
}

#[test]
fn a_listener_that_is_added_after_close_is_dropped_at_once() {
    let program = |token: Token| {
        let socket = Socket::new();
        socket.destroy();
        set_timeout(
            move || {
                capture(&socket, &token);
                assert_eq!(Rc::strong_count(&token), 2);
                assert_eq!(socket.listener_count(event::Close), 0);
            },
            1,
        );
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn a_listener_of_close_that_throws_or_panics_leaves_nothing_behind() {
    let program = |token: Token| {
        process::on_uncaught_exception(|_, _| ());
        for panics in [false, true] {
            let socket = Socket::new();
            capture(&socket, &token);
            socket.on_close(move |_, _| match panics {
                true => std::panic::resume_unwind(Box::new("close")),
                false => Err::<(), _>("close"),
            });
            socket.destroy();
        }
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

/// What the drop of a handler does to its own emitter.
struct ActInDrop(Socket);

impl Drop for ActInDrop {
    fn drop(&mut self) {
        let socket = self.0.clone();
        self.0.on_data(move |_, _| drop(socket.clone()));
        self.0.remove_all_listeners(event::Close);
        self.0.destroy().write("x");
        assert!(self.0.connect(1).is_err());
        std::panic::resume_unwind(Box::new("in the drop"));
    }
}

#[test]
fn the_drop_of_a_handler_may_touch_its_emitter_and_panic() {
    let program = |token: Token| {
        let socket = Socket::new();
        capture(&socket, &token);
        for _ in 0..2 {
            let acts = ActInDrop(socket.clone());
            socket.on_data(move |_, _| {
                let _ = &acts;
            });
        }
        socket.destroy();
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn an_emitter_may_end_while_its_listener_runs() {
    struct Word;
    impl EmitterEvent for Word {
        type Args<'a> = &'a str;
    }
    let token = Token::default();
    let emitter = Rc::new(Emitter::new());
    let captured = (Rc::clone(&emitter), Rc::clone(&token));
    emitter.on(Word, move |_| {
        captured.0.end();
        // The closure that runs is dropped behind its call.
        assert_eq!(Rc::strong_count(&captured.1), 2);
    });
    assert!(emitter.emit(Word, "x").unwrap());
    assert_eq!(Rc::strong_count(&token), 1);
    assert!(!emitter.emit(Word, "x").unwrap());
    let late = Rc::clone(&token);
    emitter.on(Word, move |_| drop(Rc::clone(&late)));
    assert_eq!(
        (Rc::strong_count(&token), Rc::strong_count(&emitter)),
        (1, 1)
    );
}
