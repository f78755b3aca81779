//! The two halves of a socket: reading, writing, and their buffers.

use super::{close_server, connect, serve, serve_with, text};
use oneloop::callback::net::{Error, ReadyState, ServerOptions, SocketOptions, event};
use oneloop::callback::{next_tick, set_immediate, set_timeout, spawn_micro};
use std::cell::Cell;
use std::rc::Rc;

use super::say;

/// `null`, or an error's code: the argument of a callback of `write` or `end`.
fn outcome(result: Result<(), Error>) -> String {
    match result {
        Ok(()) => "null".to_owned(),
        Err(error) => error.code().unwrap_or("undefined").to_owned(),
    }
}

/// A callback of `write` or `end` that prints a name and its argument.
fn tell(name: &'static str) -> impl FnOnce(Result<(), Error>) {
    move |result| println!("{name} {}", outcome(result))
}

pub(super) fn backpressure() -> Result<(), Error> {
    let sent = Rc::new(Cell::new(0));
    let sent_in_all = Rc::clone(&sent);
    serve(move |c| {
        let (n, sent) = (Rc::new(Cell::new(0)), Rc::clone(&sent_in_all));
        let received = Rc::clone(&n);
        c.pause();
        c.on_data(move |_, d| n.set(n.get() + d.len() as u64));
        let paused = c.clone();
        set_timeout(
            move || {
                paused.resume();
            },
            60,
        );
        c.on_end(move |c| {
            println!("received all {}", received.get() == sent.get());
            close_server(&c);
        });
    })?
    .on_listening(move |s| {
        let sent = Rc::clone(&sent);
        connect(&s)?.on_connect(move |c| {
            let b = [0; 65536];
            while c.write(b) {
                sent.set(sent.get() + b.len() as u64);
            }
            sent.set(sent.get() + b.len() as u64);
            println!(
                "full {} {} {}",
                c.needs_drain(),
                c.writable_length() > 0,
                c.writable_length() <= 65536
            );
            let sent = Rc::clone(&sent);
            c.on_drain(move |c| {
                println!("drain {} {}", c.writable_length(), c.needs_drain());
                let (sent, ended) = (Rc::clone(&sent), c.clone());
                c.end_then(move |_| println!("ended {}", ended.bytes_written() == sent.get()));
            });
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn cork() -> Result<(), Error> {
    serve(|c| {
        c.on_data(|_, d| println!("data {}", text(d)));
        c.on_end(|c| close_server(&c));
    })?
    .on_listening(|s| {
        connect(&s)?.on_connect(|c| {
            c.cork();
            c.cork();
            println!("{}", c.write_then("a", |_| println!("a written")));
            c.write_then("b", |_| println!("b written"));
            c.uncork();
            println!("still {} {}", c.writable_length(), c.bytes_written());
            c.uncork();
            println!("sent {} {}", c.writable_length(), c.bytes_written());
            c.cork();
            c.write("c");
            c.end_with("d");
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn pause_resume() -> Result<(), Error> {
    serve(|c| {
        // The timer resumes a closed socket, which in Node emits 'resume'. Here 'close' is the last
        // event, unless the listeners stay.
        c.keep_listeners();
        c.on(event::Pause, |_| println!("pause event"));
        c.on(event::Resume, |_| println!("resume event"));
        c.on_data(|c, d| {
            println!("data {}", text(d));
            c.pause();
            println!("paused {}", c.is_paused());
            set_timeout(
                move || {
                    println!("waiting {}", c.readable_length());
                    c.resume();
                    println!("resumed {}", c.is_paused());
                },
                60,
            );
        });
        c.on_end(|c| {
            println!("end");
            close_server(&c);
        });
    })?
    .on_listening(|s| {
        connect(&s)?.on_connect(|c| {
            c.write("one");
            set_timeout(
                move || {
                    c.end_with("two");
                },
                30,
            );
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn readable() -> Result<(), Error> {
    serve(|c| {
        c.on_readable(|c| {
            println!("readable {}", c.readable_length());
            while let Some(d) = c.read() {
                println!("read {}", text(&d));
            }
        });
        c.on_end(|c| {
            println!("end");
            close_server(&c);
        });
    })?
    .on_listening(|s| {
        connect(&s)?.on_connect(|c| {
            c.write("first");
            set_timeout(
                move || {
                    c.end_with("second");
                },
                60,
            );
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn read_bytes() -> Result<(), Error> {
    serve(|c| {
        c.on_readable(|c| {
            while let Some(d) = c.read_bytes(4) {
                println!("read {}", text(&d));
            }
        });
        c.on_end(|c| {
            println!("end {}", c.is_readable_ended());
            close_server(&c);
        });
    })?
    .on_listening(|s| {
        connect(&s).map(|c| {
            c.end_with("abcdefghij");
        })
    });
    Ok(())
}

pub(super) fn pipe_echo() -> Result<(), Error> {
    serve(|c| {
        c.on(event::Pipe, |_| println!("srv pipe"));
        c.on(event::Unpipe, |_| println!("srv unpipe"));
        c.on_end(|_| println!("srv end"));
        c.on_finish(|_| println!("srv finish"));
        c.on_close(|_, _| println!("srv close"));
        c.pipe(&c);
        c.on_close(|c, _| close_server(&c));
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.on_data(|c, d| {
            println!("cli data {}", text(d));
            c.end();
        });
        c.on_end(|_| println!("cli end"));
        c.on_finish(|_| println!("cli finish"));
        c.on_close(|_, _| println!("cli close"));
        c.write("hello");
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn unpipe() -> Result<(), Error> {
    use oneloop::callback::process::exit;
    serve(|c| {
        c.pipe(&c);
        let piped = c.clone();
        set_timeout(
            move || {
                piped.unpipe(&piped);
                let listening = piped.listener_count(event::Data);
                println!("unpiped {} {listening}", piped.is_paused());
            },
            60,
        );
        c.on_close(|c, _| close_server(&c));
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.on_data(|_, d| println!("echo {}", text(d)));
        c.write("one");
        let (two, gone) = (c.clone(), c.clone());
        set_timeout(
            move || {
                two.write("two");
            },
            120,
        );
        set_timeout(
            move || {
                gone.destroy();
            },
            180,
        );
        c.on_close(move |_, _| {
            println!("cli close");
            s.close();
            if true {
                exit(0);
            }
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn write_callbacks() -> Result<(), Error> {
    serve(|c| {
        c.resume();
        c.on_end(|c| close_server(&c));
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.on_connect(|c| {
            c.write_then("a", tell("a"));
            next_tick(say("tick"));
            c.write_then("b", tell("b"));
            drop(spawn_micro(async { println!("micro") }));
            c.on(event::Prefinish, |_| println!("prefinish"));
            c.on_finish(|_| println!("finish"));
            c.end_with_then("c", tell("end"));
            println!(
                "called {} {}",
                c.is_writable_ended(),
                c.is_writable_finished()
            );
            set_immediate(say("immediate"));
        });
        c.resume();
        c.on_close(|_, _| println!("close"));
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn end_twice() -> Result<(), Error> {
    serve(|c| {
        c.resume();
        c.on_end(|c| close_server(&c));
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.on_connect(|c| {
            c.on_finish(|c| {
                println!("finish");
                c.end_then(tell("third"));
            });
            c.end_then(tell("first"));
            c.end_then(tell("second"));
        });
        c.resume();
        c.on_close(|c, _| {
            println!("close");
            c.end_then(tell("fourth"));
            c.write_then("x", tell("write"));
        });
        c.on_error(|_, e| println!("error {}", e.code().unwrap_or("")));
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn destroy_pending() -> Result<(), Error> {
    use oneloop::callback::process::exit;
    serve(|c| {
        c.pause();
        c.on_close(|c, _| close_server(&c));
        c.on_error(|_, _| {});
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.on_connect(|c| {
            c.write_then(vec![0; 8 << 20], tell("first"));
            c.write_then("x", tell("second"));
            c.write_then("y", tell("third"));
            c.end_then(tell("end"));
            set_timeout(
                move || {
                    c.destroy();
                    println!("destroyed");
                    next_tick(say("tick"));
                    set_immediate(say("immediate"));
                },
                60,
            );
        });
        c.on_close(|_, had_error| {
            println!("close {had_error}");
            if true {
                exit(0);
            }
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn bytes() -> Result<(), Error> {
    serve(|c| {
        c.on_data(|_, _| {});
        c.on_end(|c| {
            c.end_with("12345");
        });
        c.on_close(|c, _| {
            println!("srv {} {}", c.bytes_read(), c.bytes_written());
            close_server(&c);
        });
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        println!("{}", c.bytes_written());
        c.write("abc");
        println!("{} {}", c.bytes_written(), c.bytes_read());
        c.end_with("def");
        println!("{}", c.bytes_written());
        c.resume();
        c.on_close(|c, _| println!("cli {} {}", c.bytes_read(), c.bytes_written()));
        Ok::<_, Error>(())
    });
    Ok(())
}

/// The options of a server whose sockets are not the default ones.
fn sockets(socket: SocketOptions) -> ServerOptions {
    ServerOptions {
        socket,
        ..ServerOptions::default()
    }
}

pub(super) fn half_open_server() -> Result<(), Error> {
    let options = sockets(SocketOptions {
        allow_half_open: true,
        ..SocketOptions::default()
    });
    serve_with(options, |c| {
        c.on_data(|_, d| println!("srv data {}", text(d)));
        c.on_end(|c| {
            println!("srv end {}", c.ready_state());
            set_timeout(
                move || {
                    c.write("late");
                    c.end_with("r");
                    println!("{}", c.ready_state());
                },
                60,
            );
        });
        c.on_close(|c, had_error| {
            println!("srv close {had_error} {}", c.ready_state());
            close_server(&c);
        });
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.end_with("x");
        println!("{}", c.ready_state());
        c.on_data(|c, d| println!("cli data {} {}", text(d), c.ready_state()));
        c.on_end(|_| println!("cli end"));
        c.on_close(|_, had_error| println!("cli close {had_error}"));
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn resume_without_listener() -> Result<(), Error> {
    serve(|c| {
        c.resume();
        println!("{}", c.readable_flowing().unwrap_or(false));
        c.on_end(|c| println!("end {}", c.bytes_read()));
        c.on_close(|c, _| close_server(&c));
    })?
    .on_listening(|s| {
        connect(&s).map(|c| {
            c.end_with("abc");
        })
    });
    Ok(())
}

pub(super) fn late_data_listener() -> Result<(), Error> {
    serve(|c| {
        set_timeout(
            move || {
                let flowing = c.readable_flowing().map_or("null", |_| "not null");
                println!("waits {} {flowing}", c.readable_length());
                c.on_data(|_, d| println!("data {}", text(d)));
                c.on_end(|c| {
                    println!("end");
                    close_server(&c);
                });
                println!("listens");
            },
            60,
        );
    })?
    .on_listening(|s| {
        connect(&s).map(|c| {
            c.end_with("abc");
        })
    });
    Ok(())
}

pub(super) fn end_while_connecting() -> Result<(), Error> {
    serve(|c| {
        c.on_data(|_, d| println!("data {}", text(d)));
        c.on_end(|_| println!("srv end"));
        c.on_close(|c, _| close_server(&c));
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.write_then("a", |_| println!("written"));
        c.write("b");
        c.end_with_then("c", |_| println!("ended"));
        println!(
            "{} {} {}",
            c.writable_length(),
            c.is_writable_ended(),
            c.is_connecting()
        );
        c.on_connect(|c| println!("connect {}", c.ready_state()));
        c.on_ready(|_| println!("ready"));
        c.on_finish(|_| println!("finish"));
        c.resume();
        c.on_close(|_, _| println!("cli close"));
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn pause_on_connect() -> Result<(), Error> {
    let options = ServerOptions {
        pause_on_connect: true,
        ..ServerOptions::default()
    };
    serve_with(options, |c| {
        c.on_data(|_, d| println!("data {}", text(d)));
        c.on_end(|c| {
            println!("end");
            close_server(&c);
        });
        set_timeout(
            move || {
                println!(
                    "{} {} {}",
                    c.is_paused(),
                    c.bytes_read(),
                    c.readable_length()
                );
                c.resume();
            },
            60,
        );
    })?
    .on_listening(|s| {
        connect(&s).map(|c| {
            c.end_with("abc");
        })
    });
    Ok(())
}

pub(super) fn high_water_mark() -> Result<(), Error> {
    let options = sockets(SocketOptions {
        high_water_mark: 4,
        ..SocketOptions::default()
    });
    serve_with(options, |c| {
        c.pause();
        let paused = c.clone();
        set_timeout(
            move || {
                let is_full = paused.readable_length() >= 4;
                println!("buffered {is_full} {}", paused.readable_high_water_mark());
                paused.on_data(|_, d| println!("data {}", text(d)));
                paused.resume();
            },
            60,
        );
        c.on_end(|c| {
            println!("end");
            close_server(&c);
        });
    })?
    .on_listening(|s| {
        connect(&s)?.on_connect(|c| {
            println!("{} {}", c.write("abcdefgh"), c.writable_high_water_mark());
            c.end();
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn destroy_soon() -> Result<(), Error> {
    serve(|c| {
        c.on_data(|_, d| println!("data {}", text(d)));
        c.on_end(|_| println!("srv end"));
        c.on_close(|c, _| close_server(&c));
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.on_connect(|c| {
            c.write("last");
            c.destroy_soon();
            println!("{} {}", c.is_destroyed(), c.is_writable_ended());
        });
        c.on_finish(|c| println!("finish {}", c.is_destroyed()));
        c.on_close(|c, had_error| println!("close {had_error} {}", c.is_destroyed()));
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn shutdown_after_poll() -> Result<(), Error> {
    serve(|c| {
        c.resume();
        c.on_data(|c, _| {
            c.end();
            c.on_finish(|_| println!("finish in poll"));
            set_immediate(say("immediate"));
        });
        c.on_close(|c, _| close_server(&c));
    })?
    .on_listening(|s| {
        connect(&s)?.on_connect(|c| {
            c.write("x");
            c.resume();
        });
        let d = connect(&s)?;
        d.on_error(|_, _| {});
        d.resume();
        d.on_connect(|d| {
            set_immediate(move || {
                d.end();
                d.on_finish(|_| println!("finish in turn"));
                set_immediate(say("next immediate"));
            });
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn data_and_end_in_two_rounds() -> Result<(), Error> {
    serve(|c| {
        c.on_data(|_, d| {
            println!("data {}", text(d));
            set_immediate(say("immediate"));
        });
        c.on_end(|c| {
            println!("end");
            close_server(&c);
        });
    })?
    .on_listening(|s| {
        connect(&s)?.on_connect(|c| {
            c.end_with("x");
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn destroy_in_data() -> Result<(), Error> {
    serve(|c| {
        c.on_data(|c, d| {
            println!("data {}", !d.is_empty());
            c.destroy();
            let (readable, writable) = (c.is_readable(), c.is_writable());
            println!(
                "{} {readable} {writable} {}",
                c.is_destroyed(),
                c.ready_state()
            );
            assert_eq!(c.ready_state(), ReadyState::Closed);
        });
        c.on_end(|_| println!("never"));
        c.on_close(|c, had_error| {
            println!("close {had_error} {}", c.is_closed());
            close_server(&c);
        });
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.on_error(|_, _| {});
        c.write("one");
        set_timeout(
            move || {
                c.destroy();
            },
            60,
        );
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn once_readable() -> Result<(), Error> {
    serve(|c| {
        c.write("hello");
        c.resume();
        set_timeout(
            move || {
                c.end_with("world");
            },
            60,
        );
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.once(event::Readable, |c| {
            println!("readable {}", c.read().map_or(0, |d| d.len()));
        });
        c.on_end(|_| println!("end"));
        c.on_close(move |_, _| {
            println!("close");
            s.close();
        });
        set_timeout(
            move || {
                c.on_data(|_, d| println!("data {}", text(d)));
                println!("flowing {}", c.readable_flowing().unwrap_or(false));
            },
            30,
        );
        Ok::<_, Error>(())
    });
    Ok(())
}
