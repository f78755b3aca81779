//! The lives of sockets: connecting, waiting, closing.

use super::{close_server, compute_for, connect, say, serve, text};
use oneloop::callback::net::{self, Error, Socket, event};
use oneloop::callback::{next_tick, process, set_immediate, set_timeout, spawn_micro};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

pub(super) fn socket_timeout() -> Result<(), Error> {
    let n = Rc::new(Cell::new(0));
    serve(move |c| {
        let n = Rc::clone(&n);
        c.set_timeout(60);
        c.on_timeout(move |c| {
            n.set(n.get() + 1);
            println!("timeout {}", n.get());
            if n.get() == 1 {
                c.write("still there?");
            } else {
                c.destroy();
            }
        });
        c.on_data(|_, d| println!("srv data {}", text(d)));
        c.on_close(|c, had_error| {
            println!("close {had_error}");
            close_server(&c);
        });
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.on_data(|_, d| println!("cli data {}", text(d)));
        c.on_end(|_| println!("cli end"));
        set_timeout(
            move || {
                c.write("x");
            },
            30,
        );
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn timeout_off() -> Result<(), Error> {
    serve(|c| {
        c.resume();
        c.set_timeout(30);
        c.once(event::Timeout, |_| println!("never"));
        set_timeout(say("later"), 90);
        c.set_timeout(0);
        c.on_end(|c| {
            println!("end");
            close_server(&c);
        });
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        set_timeout(
            move || {
                c.end();
            },
            120,
        );
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn socket_unref() -> Result<(), Error> {
    serve(|c| {
        c.unref();
        c.on_data(|_, _| {});
        c.server().expect("it was accepted").unref();
    })?
    .on_listening(|s| {
        connect(&s)?.on_connect(|c| {
            println!("connected");
            c.unref();
            c.on_data(|_, _| {});
            set_timeout(say("timer"), 60);
        });
        Ok::<_, Error>(())
    });
    process::on_exit(|code| println!("exit {code}"));
    Ok(())
}

pub(super) fn server_ends_first() -> Result<(), Error> {
    serve(|c| {
        c.end_with_then("bye", |_| println!("srv finished"));
        c.on_end(|_| println!("srv end"));
        c.on_finish(|_| println!("srv finish"));
        c.on_close(|_, _| println!("srv close"));
        c.resume();
        c.on_close(|c, _| close_server(&c));
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.on_connect(|_| println!("cli connect"));
        c.on_data(|_, d| println!("cli data {}", text(d)));
        c.on_end(|c| println!("cli end {}", c.ready_state()));
        c.on_finish(|c| println!("cli finish {}", c.ready_state()));
        c.on_close(|c, _| println!("cli close {}", c.ready_state()));
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn closing_order() -> Result<(), Error> {
    let all = Rc::new(RefCell::new(Vec::<Socket>::new()));
    serve(move |c| {
        all.borrow_mut().push(c.clone());
        let n = all.borrow().len();
        c.on_close(move |_, _| println!("close {n}"));
        c.on_error(|_, _| {});
        c.resume();
        if n == 3 {
            let all = Rc::clone(&all);
            set_timeout(
                move || {
                    set_immediate(say("immediate"));
                    set_timeout(say("timer"), 0);
                    for c in all.borrow().iter() {
                        c.destroy();
                    }
                    next_tick(say("tick"));
                    let server = c.server().expect("it was accepted");
                    server.close_then(|_| println!("closed"));
                },
                60,
            );
        }
    })?
    .on_listening(|s| {
        for _ in 0..3 {
            connect(&s)?.on_error(|_, _| {}).resume();
        }
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn phases_of_a_turn() -> Result<(), Error> {
    serve(|c| {
        c.on_data(|c, _| {
            println!("data");
            set_timeout(say("timer"), 1);
            set_immediate(|| {
                println!("immediate");
                compute_for(5);
            });
            next_tick(say("tick"));
            drop(spawn_micro(async { println!("micro") }));
            c.destroy();
            c.on_close(|c, _| {
                println!("close");
                close_server(&c);
            });
        });
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.on_error(|_, _| {});
        c.write("x");
        c.resume();
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn reconnect() -> Result<(), Error> {
    let n = Cell::new(0);
    serve(move |c| {
        n.set(n.get() + 1);
        c.end_with(format!("hello {}", n.get()));
    })?
    .on_listening(|s| {
        let c = Socket::new();
        c.on_data(|_, d| println!("{}", text(d)));
        c.on_end(|_| println!("end"));
        c.on_connect(|c| println!("connect {} {}", c.is_destroyed(), c.ready_state()));
        let port = s.port().expect("it listens");
        c.connect(("127.0.0.1", port))?;
        c.once(event::Close, move |(c, _)| {
            println!("close {}", c.is_destroyed());
            c.once(event::Close, move |_| {
                println!("close again");
                s.close();
            });
            c.connect(("127.0.0.1", port)).map(drop)
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn destroy_while_connecting() -> Result<(), Error> {
    serve(|c| {
        println!("connection");
        c.on_error(|_, _| {});
        c.resume();
        c.on_close(|c, _| close_server(&c));
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.on_connect(|_| println!("never"));
        c.write_then("x", |result| {
            if let Err(e) = result {
                println!("write {} {e}", e.code().unwrap_or(""));
            }
        });
        c.on_error(|_, e| println!("error {}", e.code().unwrap_or("")));
        c.on_close(|_, had_error| println!("close {had_error}"));
        c.destroy();
        println!("{} {}", c.is_connecting(), c.is_destroyed());
        let d = connect(&s)?;
        d.on_error(|_, e| println!("d {e}"));
        d.on_close(|_, had_error| println!("d close {had_error}"));
        set_timeout(
            move || {
                d.destroy_with("enough");
            },
            60,
        );
        Ok::<_, Error>(())
    });
    Ok(())
}

/// `await new Promise(r=>e.once(n,r))`, with a value that the listener keeps of the event.
fn once<T: 'static>(listen: impl FnOnce(Box<dyn FnOnce(T)>)) -> impl Future<Output = T> {
    let state = Rc::new((Cell::new(None::<T>), Cell::new(None::<Waker>)));
    let settled = Rc::clone(&state);
    listen(Box::new(move |value| {
        settled.0.set(Some(value));
        if let Some(waker) = settled.1.take() {
            waker.wake();
        }
    }));
    poll_fn(move |cx| match state.0.take() {
        Some(value) => Poll::Ready(value),
        None => {
            state.1.set(Some(cx.waker().clone()));
            Poll::Pending
        }
    })
}

fn once_data(c: &Socket) -> impl Future<Output = String> {
    once(|tell| {
        c.once(event::Data, |(_, d)| tell(text(d)));
    })
}

pub(super) fn sockets_and_promises() -> Result<(), Error> {
    serve(|c| {
        drop(spawn_micro(async move {
            println!("got {}", once_data(&c).await);
            next_tick(say("tick"));
            oneloop::core::yield_now().await; // await null
            println!("after await");
            c.end_with("bye");
            once(|tell| {
                c.once(event::Close, |_| tell(()));
            })
            .await;
            println!("closed");
            close_server(&c);
        }));
    })?
    .on_listening(|s| {
        drop(spawn_micro(async move {
            let c = connect(&s)?;
            once(|tell| {
                c.once(event::Connect, |_| tell(()));
            })
            .await;
            println!("connected");
            c.write("hello");
            println!("reply {}", once_data(&c).await);
            c.end();
            Ok::<_, Error>(())
        }));
    });
    Ok(())
}

pub(super) fn immediate_in_io() -> Result<(), Error> {
    serve(|c| {
        set_timeout(say("timeout"), 0);
        set_immediate(|| {
            println!("immediate");
            compute_for(5);
            set_immediate(say("next immediate"));
        });
        c.end();
        c.resume();
        c.on_close(|c, _| close_server(&c));
    })?
    .on_listening(|s| {
        connect(&s)?.resume();
        Ok::<_, net::Error>(())
    });
    Ok(())
}

pub(super) fn ref_while_held() -> Result<(), Error> {
    serve(|c| {
        println!("connection");
        c.unref();
        set_immediate(say("immediate"));
        c.on_data(|c, d| {
            println!("data {}", text(d));
            set_immediate(move || {
                c.make_ref();
                close_server(&c);
                println!("ref");
            });
        });
        c.on_end(|_| println!("end"));
        c.on_close(|_, _| println!("close"));
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.end_with("x");
        c.unref();
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn unref_and_close() -> Result<(), Error> {
    serve(|c| {
        println!("connection");
        c.unref();
        let closing = c.clone();
        set_immediate(move || {
            println!("immediate");
            close_server(&closing);
        });
        c.on_data(|_, _| println!("data"));
        c.on_end(|_| println!("end"));
    })?
    .on_listening(|s| {
        connect(&s)?.on_connect(|c| {
            c.unref();
        });
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn accepted_reads_last() -> Result<(), Error> {
    serve(|c| {
        c.on_data(|_, d| println!("srv data {}", text(d)));
        c.on_error(|_, _| {});
        c.write("abcd");
    })?
    .on_listening(|s| {
        let c = connect(&s)?;
        c.write("xyz");
        c.on_data(|_, d| println!("cli data {}", text(d)));
        set_timeout(
            move || {
                c.destroy();
                s.close();
            },
            60,
        );
        Ok::<_, Error>(())
    });
    Ok(())
}
