//! Handlers that capture their own emitter are dropped once it has emitted 'close', and at the
//! latest with the program.

use oneloop::callback::dgram::{self, Kind, UnixSocket};
use oneloop::callback::events::Emitter;
use oneloop::callback::net::{self, Error, Server, Socket, event};
use oneloop::callback::stream::{ReadStream, WriteStream};
use oneloop::callback::{
    self, AbortController, AbortSignal, Thrown, child_process, clear_immediate, clear_interval,
    clear_timeout, fs, process, run_on, set_immediate, set_interval, set_interval_with_self,
    set_timeout, set_timeout_with_self, watch_fd,
};
use oneloop::core::Direction;
use oneloop::{EventLoop, Options};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

/// Captured by handlers: what counts them.
type Token = Rc<()>;

/// Runs a program. Returns the number of handlers that are left when nothing is left to do, and
/// once the loop is gone.
fn left(program: impl FnOnce(Token) -> Result<(), Thrown> + 'static) -> (usize, usize) {
    let token = Token::default();
    let at_exit = Rc::new(Cell::new(usize::MAX));
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let (inside, counted) = (Rc::downgrade(&token), Rc::clone(&at_exit));
    let handed = Rc::clone(&token);
    let code = run_on(&mut event_loop, move || {
        process::on_exit(move |_| counted.set(inside.strong_count() - 1));
        program(handed)
    });
    assert_eq!(code.unwrap(), 0);
    drop(event_loop);
    (at_exit.get(), Rc::strong_count(&token) - 1)
}

/// Adds handlers that capture their own socket.
fn capture(socket: &Socket, token: &Token) {
    let held = || (socket.clone(), Rc::clone(token));
    let captured = held();
    socket.on_data(move |_, _| drop(captured.clone()));
    let captured = held();
    socket.on_end(move |_| drop(captured.clone()));
    let captured = held();
    socket.on_error(move |_, _| drop(captured.clone()));
    let captured = held();
    socket.on_close(move |_, _| drop(captured.clone()));
    let captured = held();
    socket.once(event::Timeout, move |_| drop(captured));
}

/// A server whose connections are destroyed by their clients' end, and its port.
fn serve(
    on_connection: impl Fn(Socket) + 'static,
    then: impl FnOnce(Server, u16) -> Result<(), Error> + 'static,
) -> Result<(), Thrown> {
    let server = net::create_server(on_connection);
    server.listen(("127.0.0.1", 0))?;
    server.once(event::Listening, move |server: Server| {
        let port = server.port().expect("it listens");
        then(server, port)
    });
    Ok(())
}

/// Closes a server once everything before has happened, as time is virtual.
fn close_soon(server: Server) {
    set_timeout(
        move || {
            server.close();
        },
        10,
    );
}

#[test]
fn sockets_at_both_ends_are_freed_at_close() {
    let program = |token: Token| {
        let at_server = Rc::clone(&token);
        serve(
            move |socket| {
                capture(&socket, &at_server);
                socket.pipe(&socket);
            },
            move |server, port| {
                let client = net::connect(("127.0.0.1", port))?;
                capture(&client, &token);
                let captured = (client.clone(), token);
                client.write_then("x", move |written| {
                    captured.0.end();
                    written
                });
                close_soon(server);
                Ok(())
            },
        )
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn a_socket_is_freed_whether_it_is_destroyed_reset_or_refused() {
    let program = |token: Token| {
        let at_server = Rc::clone(&token);
        serve(
            move |socket| capture(&socket, &at_server),
            move |server, port| {
                close_soon(server);
                let destroyed = net::connect(("127.0.0.1", port))?;
                capture(&destroyed, &token);
                destroyed.on_connect(|socket| {
                    socket.destroy();
                });
                // It connects to a port without a listener.
                let refused = net::connect(("127.0.0.1", 1))?;
                capture(&refused, &token);
                // These never have a connection.
                let unopened = Socket::new();
                capture(&unopened, &token);
                unopened.destroy();
                let aborted = net::connect(("127.0.0.1", port))?;
                capture(&aborted, &token);
                aborted.destroy_with("given up");
                Ok(())
            },
        )
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn a_callback_of_an_end_that_never_comes_is_freed() {
    let program = |token: Token| {
        let socket = Socket::new();
        socket.destroy();
        let captured = (socket.clone(), Rc::clone(&token));
        socket.end_then(move |_| drop(captured));
        let late = (socket.clone(), token);
        socket.on_close(move |socket, _| {
            let (ended, late) = (socket.clone(), late.clone());
            set_timeout(
                move || {
                    let captured = (ended.clone(), late.clone());
                    ended.end_then(move |_| drop(captured));
                },
                1,
            );
        });
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn two_sockets_that_are_piped_into_each_other_are_freed() {
    let program = |token: Token| {
        let waiting = Rc::new(RefCell::new(Vec::<Socket>::new()));
        let at_server = Rc::clone(&token);
        serve(
            move |socket| {
                capture(&socket, &at_server);
                let other = waiting.borrow_mut().pop();
                match other {
                    Some(other) => {
                        socket.pipe(&other).pipe(&socket);
                    }
                    None => waiting.borrow_mut().push(socket),
                }
            },
            move |server, port| {
                for _ in 0..2 {
                    let client = net::connect(("127.0.0.1", port))?;
                    capture(&client, &token);
                    client.end_with("x");
                }
                let connections = Cell::new(0);
                server.on(event::Connection, move |(server, _)| {
                    connections.set(connections.get() + 1);
                    if connections.get() == 2 {
                        server.close();
                    }
                });
                Ok(())
            },
        )
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn a_server_that_captures_itself_and_its_clients_is_freed_at_close() {
    let program = |token: Token| {
        let clients = Rc::new(RefCell::new(Vec::<Socket>::new()));
        let registry = Rc::clone(&clients);
        let at_server = Rc::clone(&token);
        serve(
            move |socket| {
                capture(&socket, &at_server);
                clients.borrow_mut().push(socket.clone());
                let clients = Rc::clone(&clients);
                socket.on_data(move |_, _| assert_eq!(clients.borrow().len(), 1));
            },
            move |server, port| {
                let captured = (server.clone(), registry, token);
                server.on_connection(move |_| drop(captured.clone()));
                let client = net::connect(("127.0.0.1", port))?;
                client.write("x");
                client.on_data(|_, _| {});
                set_timeout(
                    move || {
                        server.close_all();
                    },
                    10,
                );
                Ok(())
            },
        )
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn streams_of_pipes_and_files_are_freed_at_close() {
    let program = |token: Token| {
        let (reader, writer) = std::io::pipe()?;
        let path = std::env::temp_dir().join(format!("oneloop-ends-{}", std::process::id()));
        let outputs = [
            WriteStream::from_fd(writer)?,
            fs::create_write_stream(&path),
            fs::create_write_stream("/no/such/file"),
        ];
        for output in outputs {
            let held = || (output.clone(), Rc::clone(&token));
            let captured = held();
            output.on_close(move |_| drop(captured.clone()));
            let captured = held();
            output.on_error(move |_, _| drop(captured.clone()));
            let captured = held();
            output.write_then("x", move |_| drop(captured));
            output.end();
        }
        let inputs = [
            ReadStream::from_fd(reader)?,
            fs::create_read_stream("/proc/self/status"),
            fs::create_read_stream("/no/such/file"),
        ];
        for input in inputs {
            let held = || (input.clone(), Rc::clone(&token));
            let captured = held();
            input.on_data(move |_, _| drop(captured.clone()));
            let captured = held();
            input.on_error(move |_, _| drop(captured.clone()));
            let captured = held();
            input.on_close(move |_| {
                drop(captured.clone());
                let _ = std::fs::remove_file(path_of_test());
            });
        }
        Ok(())
    };
    fn path_of_test() -> std::path::PathBuf {
        std::env::temp_dir().join(format!("oneloop-ends-{}", std::process::id()))
    }
    assert_eq!(left(program), (0, 0));
}

#[test]
fn a_child_and_its_streams_are_freed_at_close() {
    let program = |token: Token| {
        let controller = AbortController::new();
        for file in ["true", "/no/such/program"] {
            let options = child_process::SpawnOptions {
                signal: Some(controller.signal().clone()),
                ..Default::default()
            };
            let child = child_process::spawn_with(file, [""; 0], options)?;
            let held = || (child.clone(), Rc::clone(&token));
            let captured = held();
            child.on_exit(move |_, _, _| drop(captured.clone()));
            let captured = held();
            child.on_error(move |_, _| drop(captured.clone()));
            let captured = held();
            child.on_close(move |_, _, _| drop(captured.clone()));
            for stream in [child.stdin(), child.stdout()].into_iter().flatten() {
                capture(&stream, &token);
                let captured = held();
                stream.on_close(move |_, _| drop(captured.clone()));
            }
        }
        // The signal lives longer than the children.
        process::on_exit(move |_| controller.abort());
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn message_sockets_are_freed_at_close() {
    let program = |token: Token| {
        let udp = dgram::create_socket(Kind::Udp4);
        let captured = (udp.clone(), Rc::clone(&token));
        udp.on_message(move |_, _, _| drop(captured.clone()));
        let captured = (udp.clone(), Rc::clone(&token));
        udp.bind_then(("127.0.0.1", 0), move |udp| {
            drop(captured);
            udp.close()
        })?;
        let (a, b) = UnixSocket::pair()?;
        for socket in [a, b] {
            let captured = (socket.clone(), Rc::clone(&token));
            socket.on_message(move |_, _| drop(captured.clone()));
            socket.close();
        }
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn watches_of_files_and_fds_are_freed_when_they_end() {
    let program = |token: Token| {
        let slot = Rc::new(RefCell::new(None));
        let captured = (Rc::clone(&slot), Rc::clone(&token));
        let watcher = fs::watch(std::env::temp_dir(), move |_, _| drop(captured.clone()))?;
        slot.replace(Some(watcher.clone()));
        watcher.close();
        let (reader, _writer) = std::io::pipe()?;
        let slot = Rc::new(RefCell::new(None));
        let captured = (Rc::clone(&slot), token);
        let watch = watch_fd(reader, Direction::Read, move |_, _| drop(captured.clone()));
        slot.replace(Some(watch.clone()));
        set_timeout(move || watch.stop(), 1);
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn a_signal_frees_its_listeners_once_nothing_can_abort_it() {
    let program = |token: Token| {
        let controller = AbortController::new();
        let signal = controller.signal().clone();
        let any = AbortSignal::any([&signal]);
        for signal in [&signal, &any] {
            let captured = (signal.clone(), Rc::clone(&token));
            signal.on_abort(move |_| drop(captured.clone()));
        }
        drop(controller);
        let late = (signal.clone(), Rc::clone(&token));
        signal.on_abort(move |_| drop(late.clone()));
        let aborted = AbortController::new();
        let captured = (aborted.clone(), token);
        aborted.signal().on_abort(move |_| drop(captured.clone()));
        aborted.abort();
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn timers_that_capture_themselves_are_freed() {
    let program = |token: Token| {
        let slot = Rc::new(Cell::new(None));
        let captured = (Rc::clone(&slot), Rc::clone(&token));
        slot.set(Some(set_interval(
            move || {
                clear_interval(captured.0.take().expect("it runs once"));
                assert_eq!(Rc::strong_count(&captured.1), 3); // the closure is still there
            },
            1,
        )));
        let slot = Rc::new(RefCell::new(None));
        let captured = (Rc::clone(&slot), Rc::clone(&token));
        let immediate = set_immediate(move || drop(captured));
        slot.replace(Some(immediate.clone()));
        clear_immediate(&immediate);
        let held = Rc::clone(&token);
        process::on_before_exit(move |_| drop(Rc::clone(&held)));
        Ok(())
    };
    // The listener of 'beforeExit' stays until the end of the program.
    assert_eq!(left(program), (1, 0));
}

/// Begins everything that a program can begin, with handlers that capture it.
fn begin_everything(token: &Token) -> Result<(), Thrown> {
    let held = Rc::clone(token);
    let server = net::create_server(move |socket| capture(&socket, &held));
    let captured = (server.clone(), Rc::clone(token));
    server.on_close(move |_| drop(captured.clone()));
    let held = Rc::clone(token);
    server
        .listen(("127.0.0.1", 0))?
        .on_listening(move |server| {
            let client = net::connect(("127.0.0.1", server.port().expect("it listens")))?;
            capture(&client, &held);
            Ok::<_, Error>(())
        });
    capture(&net::connect(("localhost", 9))?, token);
    capture(&Socket::new(), token);
    let idle = net::create_server(|_| ());
    let captured = (idle.clone(), Rc::clone(token));
    idle.on_close(move |_| drop(captured.clone()));
    let child = child_process::spawn("sleep", ["60"])?;
    let captured = (child.clone(), Rc::clone(token));
    child.on_exit(move |_, _, _| drop(captured.clone()));
    let pid = child.pid().expect("it runs") as i32;
    process::on_exit(move |_| drop(child_process::spawn("kill", [pid.to_string()])));
    let udp = dgram::create_socket(Kind::Udp4);
    let captured = (udp.clone(), Rc::clone(token));
    udp.on_message(move |_, _, _| drop(captured.clone()));
    udp.bind(("127.0.0.1", 0))?;
    let unbound = dgram::create_socket(Kind::Udp4);
    let captured = (unbound.clone(), Rc::clone(token));
    unbound.on_message(move |_, _, _| drop(captured.clone()));
    let slot = Rc::new(RefCell::new(None));
    let captured = (Rc::clone(&slot), Rc::clone(token));
    slot.replace(Some(fs::watch("/", move |_, _| drop(captured.clone()))?));
    let slot = Rc::new(RefCell::new(None));
    let captured = (Rc::clone(&slot), Rc::clone(token));
    slot.replace(Some(process::on_signal(12, move |_| {
        drop(captured.clone())
    })?));
    let slot = Rc::new(RefCell::new(None));
    let captured = (Rc::clone(&slot), Rc::clone(token));
    slot.replace(Some(set_immediate(move || drop(captured))));
    let signal = AbortSignal::timeout(1e6);
    let captured = (signal.clone(), Rc::clone(token));
    signal.on_abort(move |_| drop(captured.clone()));
    let (reader, writer) = std::io::pipe()?;
    let slot = Rc::new(RefCell::new(None));
    let captured = (Rc::clone(&slot), Rc::clone(token), writer);
    slot.replace(Some(watch_fd(reader, Direction::Read, move |_, _| {
        let _ = &captured;
    })));
    let (reader, writer) = std::io::pipe()?;
    let reader = ReadStream::from_fd(reader)?;
    let captured = (reader.clone(), Rc::clone(token), writer);
    reader.on_data(move |_, _| {
        let _ = &captured;
    });
    Ok(())
}

#[test]
fn a_program_that_exits_leaves_no_handler_behind() {
    for ms in [0, 50] {
        let token = Token::default();
        let held = Rc::clone(&token);
        let mut event_loop = EventLoop::new().unwrap();
        let code = run_on(&mut event_loop, move || {
            set_timeout(|| process::exit(3), ms);
            begin_everything(&held)
        });
        assert_eq!(code.unwrap(), 3);
        drop(event_loop);
        assert_eq!(Rc::strong_count(&token), 1, "after {ms} ms");
    }
}

#[test]
fn a_loop_may_be_dropped_before_its_callbacks() {
    let token = Token::default();
    let mut event_loop = EventLoop::new().unwrap();
    let entered = callback::enter(&event_loop.handle());
    begin_everything(&token).unwrap();
    let handle = event_loop.handle();
    event_loop.block_on(async move { handle.sleep(std::time::Duration::from_millis(20)).await });
    drop(event_loop);
    drop(entered);
    assert_eq!(Rc::strong_count(&token), 1);
}

#[test]
fn a_program_that_has_ended_no_longer_keeps_the_loop_alive() {
    let token = Token::default();
    let held = Rc::clone(&token);
    let mut event_loop = EventLoop::new().unwrap();
    let code = run_on(&mut event_loop, move || {
        set_timeout(|| process::exit(0), 20);
        begin_everything(&held)
    });
    assert_eq!(code.unwrap(), 0);
    // It returns only if nothing referenced is left.
    event_loop.run().unwrap();
    assert_eq!(Rc::strong_count(&token), 1);
}

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
    impl callback::events::EmitterEvent for Word {
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

/// A client of the natural chat server: its handlers own it.
struct Client {
    socket: Socket,
    _token: Token,
}

#[test]
fn a_chat_server_whose_handlers_own_their_client_stays_flat() {
    const CLIENTS: usize = 3000;
    let largest = Rc::new(Cell::new(0));
    let noted = Rc::clone(&largest);
    let program = move |token: Token| {
        let clients = Rc::new(RefCell::new(Vec::<Rc<Client>>::new()));
        let at_server = Rc::clone(&token);
        serve(
            move |socket| {
                noted.set(noted.get().max(Rc::strong_count(&at_server)));
                let client = Rc::new(Client {
                    socket,
                    _token: Rc::clone(&at_server),
                });
                clients.borrow_mut().push(Rc::clone(&client));
                let (me, others) = (Rc::clone(&client), Rc::clone(&clients));
                client.socket.on_data(move |_, bytes| {
                    for other in others
                        .borrow()
                        .iter()
                        .filter(|other| !Rc::ptr_eq(other, &me))
                    {
                        other.socket.write(bytes);
                    }
                });
                let (me, others) = (Rc::clone(&client), Rc::clone(&clients));
                client.socket.on_close(move |_, _| {
                    others.borrow_mut().retain(|other| !Rc::ptr_eq(other, &me));
                });
            },
            move |server, port| come_and_go(server, port, CLIENTS),
        )
    };
    assert_eq!(left(program), (0, 0));
    assert!(largest.get() < 20, "{} tokens at once", largest.get());
}

/// Connects one client after another.
fn come_and_go(server: Server, port: u16, left: usize) -> Result<(), Error> {
    let client = net::connect(("127.0.0.1", port))?;
    client.end_with("hello");
    client.resume();
    client.on_close(move |_, _| match left {
        0 => {
            server.close();
            Ok(())
        }
        _ => come_and_go(server.clone(), port, left - 1),
    });
    Ok(())
}

#[test]
fn a_weak_socket_upgrades_while_the_socket_is_open_or_held() {
    let weak = Rc::new(RefCell::new(net::WeakSocket::new()));
    assert!(weak.borrow().upgrade().is_none());
    let noted = Rc::clone(&weak);
    let program = move |_| {
        serve(
            move |socket| {
                noted.replace(socket.downgrade());
                let noted = Rc::clone(&noted);
                socket.on_data(move |socket, _| {
                    assert_eq!(noted.borrow().upgrade().as_ref(), Some(&socket));
                    socket.end();
                });
            },
            move |server, port| {
                net::connect(("127.0.0.1", port))?.end_with("x").resume();
                close_soon(server);
                Ok(())
            },
        )
    };
    assert_eq!(left(program), (0, 0));
    assert!(weak.borrow().upgrade().is_none());
}

#[test]
#[expect(
    clippy::mutable_key_type,
    reason = "a socket's hash is its address, which never changes"
)]
fn clones_of_a_socket_are_one_element_of_a_set() {
    let program = |_| {
        let (a, b) = (Socket::new(), Socket::new());
        let set = HashSet::from([a.clone(), a.clone(), b.clone()]);
        assert_eq!((set.len(), set.contains(&a)), (2, true));
        assert_ne!(a, b);
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn node_s_optional_callbacks_are_called_once() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&lines);
    let program = move |_| {
        let say = move |line: &'static str| log.borrow_mut().push(line);
        let server = net::create_server(|socket| {
            socket.resume();
        });
        let at_timeout = say.clone();
        server.listen_then(("127.0.0.1", 0), move |server| {
            say("listening");
            let port = server.port().expect("it listens");
            net::connect_then(("127.0.0.1", port), move |client| {
                say("connect");
                client.set_timeout_then(0, |_| panic!("it is off"));
                client.set_timeout_then(20, move |client| {
                    at_timeout("timeout");
                    client.end();
                    server.close_then(move |closed| {
                        at_timeout("closed");
                        closed
                    });
                });
            })
        })?;
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
    let expected = ["listening", "connect", "timeout", "closed"];
    assert_eq!(*lines.borrow(), expected);
}

#[test]
fn a_stream_calls_back_when_it_is_closed_even_if_it_was_before() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&lines);
    let program = move |_| {
        let say = move |line: &str| log.borrow_mut().push(line.to_owned());
        let (reader, writer) = std::io::pipe()?;
        let writer = WriteStream::from_fd(writer)?;
        let (twice, again) = (say.clone(), say.clone());
        writer.write("unread");
        writer.close_then(move |writer| {
            twice("written");
            set_timeout(
                move || {
                    writer.close_then(move |_| again("written again"));
                },
                1,
            );
        });
        ReadStream::from_fd(reader)?.close_then(move |closed| {
            say(closed.unwrap_err().code().unwrap_or_default());
        });
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
    let mut lines = lines.borrow().clone();
    lines.sort();
    let expected = ["ERR_STREAM_PREMATURE_CLOSE", "written", "written again"];
    assert_eq!(lines, expected);
}

#[test]
fn timers_receive_themselves() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&lines);
    let program = move |token: Token| {
        let say = move |line: String| log.borrow_mut().push(line);
        let (ticks, held, interval) = (Cell::new(0), Rc::clone(&token), say.clone());
        set_interval_with_self(
            move |timer| {
                ticks.set(ticks.get() + 1);
                interval(format!("interval {}", ticks.get()));
                if ticks.get() == 2 {
                    clear_interval(timer);
                    assert!(!timer.has_ref());
                    timer.refresh(); // too late
                }
                assert!(Rc::strong_count(&held) > 1);
            },
            10,
        );
        let mut rounds = 0;
        set_timeout_with_self(
            move |timer| {
                let _held = &token;
                rounds += 1;
                say(format!("timeout {rounds}"));
                if rounds < 3 {
                    timer.refresh();
                }
            },
            15,
        );
        set_timeout(|| panic!("it is closed"), 1).close();
        clear_timeout(None);
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
    let expected = [
        "interval 1",
        "timeout 1",
        "interval 2",
        "timeout 2",
        "timeout 3",
    ];
    assert_eq!(*lines.borrow(), expected);
}
