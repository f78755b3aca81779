//! Functions that make a program in Node's style short: optional callbacks, timers that receive
//! themselves, weak handles.

use super::ends::{Token, close_soon, left, serve};
use oneloop::callback::net::{self, Socket};
use oneloop::callback::stream::{ReadStream, WriteStream};
use oneloop::callback::{
    Thrown, child_process, clear_interval, clear_timeout, process, set_interval_with_self,
    set_timeout, set_timeout_with_self,
};
use oneloop::signal::number::SIGWINCH;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

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

#[test]
fn a_listener_of_the_next_signal_is_called_once_and_freed() {
    let calls = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&calls);
    let program = move |token: Token| {
        let once = Rc::clone(&log);
        process::once_signal(SIGWINCH, move |_| {
            once.borrow_mut().push("once");
            drop(token);
        })?;
        process::once_signal(SIGWINCH, |_| panic!("it was removed"))?.off();
        // Another thread may receive the signal, later than the sender's end.
        let called = Rc::clone(&log);
        set_interval_with_self(
            move |alive| {
                if called.borrow().len() == 3 {
                    clear_interval(alive);
                }
            },
            1,
        );
        process::on_signal(SIGWINCH, move |_| {
            let mut log = log.borrow_mut();
            log.push("on");
            if log.len() < 3 {
                send_to_self(SIGWINCH)?;
            }
            Ok::<_, Thrown>(())
        })?;
        send_to_self(SIGWINCH)
    };
    assert_eq!(left(program), (0, 0));
    calls.borrow_mut().sort_unstable(); // the order of two listeners is the poll's
    assert_eq!(*calls.borrow(), ["on", "on", "once"]);
}

fn send_to_self(signal: i32) -> Result<(), Thrown> {
    let pid = std::process::id();
    child_process::spawn("kill", [format!("-{signal}"), pid.to_string()])?;
    Ok(())
}
