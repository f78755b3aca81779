//! Handlers that capture their own emitter are dropped once it has emitted 'close', and at the
//! latest with the program.

use oneloop::callback::dgram::{self, Kind, UnixSocket};
use oneloop::callback::net::{self, Error, Server, ServerOptions, Socket, SocketOptions, event};
use oneloop::callback::stream::{ReadStream, WriteStream};
use oneloop::callback::{
    self, AbortController, AbortSignal, Thrown, child_process, clear_immediate, clear_interval, fs,
    process, run_on, set_immediate, set_interval, set_timeout, watch_fd,
};
use oneloop::core::Direction;
use oneloop::{EventLoop, Options};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Captured by handlers: what counts them.
pub(super) type Token = Rc<()>;

/// Runs a program. Returns the number of handlers that are left when nothing is left to do, and
/// once the loop is gone.
pub(super) fn left(program: impl FnOnce(Token) -> Result<(), Thrown> + 'static) -> (usize, usize) {
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

/// Adds a handler that captures its own emitter.
macro_rules! hold {
    ($emitter:ident.$on:ident($($arg:tt),*), $token:expr) => {
        let held = ($emitter.clone(), Rc::clone($token));
        $emitter.$on(move |$($arg),*| drop(held.clone()));
    };
}

/// Adds handlers that capture their own socket.
pub(super) fn capture(socket: &Socket, token: &Token) {
    let held = || (socket.clone(), Rc::clone(token));
    hold!(socket.on_data(_, _), token);
    hold!(socket.on_end(_), token);
    hold!(socket.on_error(_, _), token);
    hold!(socket.on_close(_, _), token);
    let captured = held();
    socket.once(event::Timeout, move |_| drop(captured));
}

/// A server whose connections are destroyed by their clients' end, and its port.
pub(super) fn serve(
    on_connection: impl Fn(Socket) + 'static,
    then: impl FnOnce(Server, u16) -> Result<(), Error> + 'static,
) -> Result<(), Thrown> {
    serve_with(ServerOptions::default(), on_connection, then)
}

fn serve_with(
    options: ServerOptions,
    on_connection: impl Fn(Socket) + 'static,
    then: impl FnOnce(Server, u16) -> Result<(), Error> + 'static,
) -> Result<(), Thrown> {
    let server = net::create_server_with(options, on_connection);
    server.listen(("127.0.0.1", 0))?;
    server.once(event::Listening, move |server: Server| {
        let port = server.port().expect("it listens");
        then(server, port)
    });
    Ok(())
}

/// Closes a server once everything before has happened, as time is virtual.
pub(super) fn close_soon(server: Server) {
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
        // With the default, a socket whose client has ended may close before the other one has
        // anything for it, which then stays paused and open.
        let socket = SocketOptions {
            allow_half_open: true,
            ..SocketOptions::default()
        };
        let options = ServerOptions {
            socket,
            ..ServerOptions::default()
        };
        serve_with(
            options,
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
            hold!(output.on_close(_), &token);
            hold!(output.on_error(_, _), &token);
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
            hold!(input.on_data(_, _), &token);
            hold!(input.on_error(_, _), &token);
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
            hold!(child.on_exit(_, _, _), &token);
            hold!(child.on_error(_, _), &token);
            hold!(child.on_close(_, _, _), &token);
            for stream in [child.stdin(), child.stdout()].into_iter().flatten() {
                capture(&stream, &token);
                let held = (child.clone(), Rc::clone(&token));
                stream.on_close(move |_, _| drop(held.clone()));
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
        hold!(udp.on_message(_, _, _), &token);
        let captured = (udp.clone(), Rc::clone(&token));
        udp.bind_then(("127.0.0.1", 0), move |udp| {
            drop(captured);
            udp.close()
        })?;
        let (a, b) = UnixSocket::pair()?;
        for socket in [a, b] {
            hold!(socket.on_message(_, _), &token);
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
            hold!(signal.on_abort(_), &token);
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
    hold!(server.on_close(_), token);
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
    hold!(idle.on_close(_), token);
    let child = child_process::spawn("sleep", ["60"])?;
    hold!(child.on_exit(_, _, _), token);
    let pid = child.pid().expect("it runs") as i32;
    process::on_exit(move |_| drop(child_process::spawn("kill", [pid.to_string()])));
    let udp = dgram::create_socket(Kind::Udp4);
    hold!(udp.on_message(_, _, _), token);
    udp.bind(("127.0.0.1", 0))?;
    let unbound = dgram::create_socket(Kind::Udp4);
    hold!(unbound.on_message(_, _, _), token);
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
    hold!(signal.on_abort(_), token);
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
