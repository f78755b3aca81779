//! What else may own an emitter: pipes, lines, callbacks of calls that have not completed, and
//! drops that touch it.

use super::ends::{Token, close_soon, left, serve};
use oneloop::callback::dgram::{self, Kind, UnixSocket};
use oneloop::callback::net::{self, Error, Socket, event};
use oneloop::callback::stream::{ReadStream, WriteStream};
use oneloop::callback::{
    AbortController, child_process, dns, enter, fs, next_tick, offload, process, run_on,
    set_interval_with_self, set_timeout, set_timeout_with_self, spawn_micro,
};
use oneloop::{EventLoop, Options};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

#[test]
fn listeners_of_lines_are_freed_at_close_and_after_a_line_that_is_too_long() {
    let program = |token: Token| {
        let (at_server, at_pipe) = (Rc::clone(&token), Rc::clone(&token));
        serve(
            move |socket| {
                let held = (socket.clone(), Rc::clone(&at_server));
                socket.on_lines(8, move |_, _| drop(held.clone()));
                socket.on_error(|_, _| ());
            },
            move |server, port| {
                for text in ["short\nunfinished", "much too long for this server"] {
                    let client = net::connect(("127.0.0.1", port))?;
                    let held = (client.clone(), Rc::clone(&token));
                    client.on_byte_lines(8, move |_, _| drop(held.clone()));
                    client.on_error(|_, _| ());
                    client.end_with(text);
                }
                close_soon(server);
                Ok(())
            },
        )?;
        let (reader, writer) = std::io::pipe()?;
        WriteStream::from_fd(writer)?.end_with("a\nb");
        let reader = ReadStream::from_fd(reader)?;
        let held = (reader.clone(), at_pipe);
        reader.on_lines(8, move |_, _| drop(held.clone()));
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn callbacks_of_calls_that_never_complete_are_freed_with_their_emitter() {
    let program = |token: Token| {
        let at_server = Rc::clone(&token);
        serve(
            |socket| {
                socket.pause(); // so that the client's writes fill the kernel's buffers
                let destroy = move || {
                    socket.destroy();
                };
                set_timeout(destroy, 5);
            },
            move |server, port| {
                close_soon(server);
                let client = net::connect(("127.0.0.1", port))?;
                client.on_error(|_, _| ());
                let held = || (client.clone(), Rc::clone(&token));
                let captured = held();
                client.write_then(vec![0; 32 << 20], move |_| drop(captured));
                let captured = held();
                client.end_with_then("x", move |_| drop(captured));
                let captured = held();
                client.set_timeout_then(1_000_000, move |_| drop(captured));
                let captured = held();
                client.once(event::Connect, move |_| drop(captured));
                Ok(())
            },
        )?;
        let token = at_server;
        let never = Socket::new();
        let held = (never.clone(), Rc::clone(&token));
        never.write_then("x", move |_| drop(held));
        never.destroy();
        let udp = dgram::create_socket(Kind::Udp4);
        let held = (udp.clone(), Rc::clone(&token));
        udp.send_to_then("x", ("127.0.0.1", 9), move |_| drop(held.clone()))?;
        let held = (udp.clone(), Rc::clone(&token));
        udp.close_then(move |_| drop(held.clone()))?;
        let (a, b) = UnixSocket::pair()?;
        let held = (a.clone(), b.clone(), token);
        a.send_then("x", move |_| drop(held.clone()));
        a.close();
        b.close();
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn pipes_in_both_directions_and_to_a_failed_end_are_freed() {
    let program = |token: Token| {
        for path in ["/no/such/file", "/dev/full", "/dev/null"] {
            let source = fs::create_read_stream("/proc/self/status");
            let dest = fs::create_write_stream(path);
            let held = (source.clone(), dest.clone(), Rc::clone(&token));
            dest.on_unpipe(move |_, _| drop(held.clone()));
            let held = (source.clone(), dest.clone(), Rc::clone(&token));
            dest.on_pipe(move |_, _| drop(held.clone()));
            let held = (source.clone(), dest.clone(), Rc::clone(&token));
            dest.on_error(move |_, _| {
                held.0.destroy();
            });
            source.pipe(&dest);
        }
        let child = child_process::spawn("cat", [""; 0])?;
        let (input, output) = (child.stdin().expect("a pipe"), child.stdout().expect("one"));
        let held = (child.clone(), token);
        child.on_close(move |_, _, _| drop(held.clone()));
        fs::create_read_stream("/proc/self/status").pipe(&input);
        output.pipe(&fs::create_write_stream("/dev/null"));
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn timers_that_receive_themselves_are_freed_cleared_fired_or_waiting() {
    let token = Token::default();
    let held = Rc::clone(&token);
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let code = run_on(&mut event_loop, move || {
        for ms in [1, 1000] {
            let slot = Rc::new(Cell::new(None));
            let captured = (Rc::clone(&slot), Rc::clone(&held));
            slot.set(Some(set_timeout_with_self(
                move |_| drop(captured.clone()),
                ms,
            )));
            let captured = Rc::clone(&held);
            set_interval_with_self(move |_| drop(captured.clone()), ms);
        }
        let captured = Rc::clone(&held);
        set_timeout(
            move || {
                next_tick(move || drop(captured));
                process::exit(0)
            },
            50,
        );
    });
    assert_eq!(code.unwrap(), 0);
    assert_eq!(Rc::strong_count(&token), 1);
}

/// What `process::exit` leaves behind of calls that are on their way.
#[test]
fn calls_on_their_way_when_the_program_exits_are_freed_with_the_loop() {
    let token = Token::default();
    let held = Rc::clone(&token);
    let mut event_loop = EventLoop::new().unwrap();
    let code = run_on(&mut event_loop, move || {
        let t = || Rc::clone(&held);
        let (a, b, c, d) = (t(), t(), t(), t());
        offload(std::thread::yield_now, move |_| drop(a));
        fs::read_file("/proc/self/status", move |_| drop(b));
        dns::lookup("localhost", Default::default(), move |_| drop(c));
        child_process::exec("true", move |_, _, _| drop(d))?;
        let e = t();
        drop(spawn_micro(async move {
            std::future::pending::<()>().await;
            drop(e);
        }));
        let f = t();
        process::on_signal(10, move |_| drop(f.clone()))?;
        let g = t();
        process::on_uncaught_exception(move |_, _| drop(g.clone()));
        let h = t();
        process::on_exit(move |_| drop(h.clone()));
        process::exit(0);
        #[expect(unreachable_code)]
        Ok::<(), std::io::Error>(())
    });
    assert_eq!(code.unwrap(), 0);
    drop(event_loop);
    assert_eq!(Rc::strong_count(&token), 1);
}

/// Runs a function when it is dropped.
struct AtDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A listener that owns a value that touches the emitter in its drop.
macro_rules! touch {
    ($drops:expr, $emitter:ident.$on:ident($($arg:tt),*), $touch:expr) => {{
        let (counted, inner) = (Rc::clone(&$drops), $emitter.clone());
        let touch = $touch;
        let guard = AtDrop(move || {
            counted.set(counted.get() + 1);
            touch(&inner);
        });
        $emitter.$on(move |$($arg),*| { let _ = &guard; });
    }};
}

#[test]
fn every_emitter_survives_that_the_drop_of_a_listener_touches_it() {
    let drops = Rc::new(Cell::new(0));
    let counted = Rc::clone(&drops);
    let program = move |_| {
        let server = net::create_server(|_| ());
        touch!(counted, server.on_close(_), |server: &net::Server| {
            server.on_close(|_| ());
            server.close();
            let _ = server.listen(0);
        });
        server.listen_then(("127.0.0.1", 0), |server| {
            server.close();
        })?;
        let reader = fs::create_read_stream("/dev/null");
        touch!(counted, reader.on_close(_), |reader: &ReadStream| {
            reader.on_data(|_, _| ());
            reader.destroy();
            reader.resume();
            reader.pipe(&fs::create_write_stream("/dev/null"));
        });
        reader.resume();
        let writer = fs::create_write_stream("/dev/null");
        touch!(counted, writer.on_close(_), |writer: &WriteStream| {
            writer.on_error(|_, _| ());
            writer.write("x");
            writer.end();
            writer.close_then(|_| ());
        });
        writer.end();
        let udp = dgram::create_socket(Kind::Udp4);
        touch!(counted, udp.on_close(_), |udp: &dgram::Socket| {
            udp.on_message(|_, _, _| ());
            assert!(udp.close().is_err());
            assert!(udp.bind(0).is_err());
        });
        udp.bind_then(("127.0.0.1", 0), |udp| udp.close())?;
        let (unix, other) = UnixSocket::pair()?;
        touch!(counted, unix.on_close(_), |unix: &UnixSocket| {
            unix.on_message(|_, _| ());
            unix.send("x");
            unix.close();
        });
        unix.close();
        other.close();
        let child = child_process::spawn("true", [""; 0])?;
        touch!(
            counted,
            child.on_close(_, _, _),
            |child: &child_process::ChildProcess| {
                child.on_exit(|_, _, _| ());
                child.kill(15).ok();
            }
        );
        let watcher = fs::watch("/", |_, _| ())?;
        touch!(counted, watcher.on_close(), |watcher: &fs::FsWatcher| {
            watcher.on_change(|_, _| ());
            watcher.close();
        });
        watcher.close();
        let controller = AbortController::new();
        let signal = controller.signal().clone();
        let (inner, noted) = (signal.clone(), Rc::clone(&counted));
        let guard = AtDrop(move || {
            noted.set(noted.get() + 1);
            inner.on_abort(|_| ());
        });
        signal.on_abort(move |_| {
            let _ = &guard;
        });
        controller.abort();
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
    assert_eq!(drops.get(), 8);
}

#[test]
fn listeners_that_are_added_while_close_is_emitted_are_freed_and_not_called() {
    let program = |token: Token| {
        let socket = Socket::new();
        let held = (socket.clone(), Rc::clone(&token));
        socket.on_close(move |socket, _| {
            let late = held.clone();
            socket.on_close(move |_, _| panic!("{:?} is too late", late.0));
            let late = held.clone();
            next_tick(move || {
                let captured = late.clone();
                late.0.on_data(move |_, _| drop(captured.clone()));
            });
        });
        socket.destroy();
        Ok(())
    };
    assert_eq!(left(program), (0, 0));
}

#[test]
fn a_loop_that_is_dropped_frees_its_open_sockets() {
    let token = Token::default();
    let held = Rc::clone(&token);
    let mut event_loop = EventLoop::new().unwrap();
    let accepted = Rc::new(Cell::new(false));
    let noted = Rc::clone(&accepted);
    let entered = enter(&event_loop.handle());
    let server = net::create_server(move |socket| {
        let captured = (socket.clone(), Rc::clone(&held));
        socket.on_data(move |_, _| drop(captured.clone()));
        socket.pipe(&socket);
        noted.set(true);
    });
    let kept = Rc::new(RefCell::new(None));
    let client = Rc::clone(&kept);
    server
        .listen_then(("127.0.0.1", 0), move |server| {
            let port = server.port().expect("it listens");
            let socket = net::connect(("127.0.0.1", port))?;
            let captured = socket.clone();
            socket.on_data(move |_, _| drop(captured.clone()));
            client.replace(Some(socket));
            Ok::<_, Error>(())
        })
        .unwrap();
    let handle = event_loop.handle();
    event_loop.block_on(async move {
        while !accepted.get() {
            handle.sleep(std::time::Duration::from_millis(1)).await;
        }
    });
    drop(event_loop);
    drop(entered);
    let client = kept.take().expect("it connects");
    // Handles that outlive the loop do nothing, and keep nothing.
    client.write("x");
    client.on_data(|_, _| ());
    client.destroy();
    drop((client, server));
    assert_eq!(Rc::strong_count(&token), 1);
}
