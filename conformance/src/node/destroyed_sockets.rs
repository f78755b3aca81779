//! Sockets that are destroyed, and the ends of a child's pipes.

use super::{connect, say, throw};
use oneloop::callback::child_process::{self, ChildProcess};
use oneloop::callback::net::{self, Error, Server, Socket};
use oneloop::callback::process::on_uncaught_exception;
use oneloop::callback::{Thrown, next_tick, queue_microtask, set_immediate, set_timeout};

type Continue = Result<(), Thrown>;
type Scenario = (&'static str, fn(&Server) -> Result<(), Error>);

fn show(error: &Error) -> String {
    let message = error.message().replace(":1", ":P");
    let code = error.code();
    code.map_or_else(|| message.clone(), |code| format!("{code} {message}"))
}

fn later() {
    next_tick(say("tick"));
    queue_microtask(say("micro"));
    set_immediate(say("imm"));
}

fn listen(socket: Socket) -> Socket {
    socket.on_connect(|_| println!("connect"));
    socket.on_ready(|_| println!("ready"));
    socket.on_data(|_, _| println!("data"));
    socket.on_end(|_| println!("end"));
    socket.on_finish(|_| println!("finish"));
    socket.on_error(|_, e| println!("error {}", show(e)));
    socket.on_close(|_, had_error| println!("close {had_error}"));
    socket
}

fn open(server: &Server) -> Result<Socket, Error> {
    Ok(listen(connect(server)?))
}

fn refused() -> Result<Socket, Error> {
    Ok(listen(net::connect(("127.0.0.1", 1))?))
}

const SCENARIOS: &[Scenario] = &[
    ("connecting", |server| {
        open(server)?.destroy();
        later();
        Ok(())
    }),
    ("connecting, for an error", |server| {
        open(server)?.destroy_with("own");
        later();
        Ok(())
    }),
    ("refused, for an error", |_| {
        refused()?.destroy_with("own");
        later();
        Ok(())
    }),
    ("refused, in a tick", |_| {
        let c = refused()?;
        next_tick(move || {
            c.destroy_with("own");
        });
        later();
        Ok(())
    }),
    ("written", |server| {
        let c = open(server)?;
        c.write_then("x", |written| {
            println!(
                "x {}",
                written.map_or_else(|e| show(&e), |()| "sent".to_owned())
            );
        });
        c.destroy_with("own");
        later();
        Ok(())
    }),
    ("twice", |server| {
        open(server)?.destroy_with("own").destroy_with("other");
        later();
        Ok(())
    }),
    ("and then for an error", |server| {
        open(server)?.destroy().destroy_with("own");
        later();
        Ok(())
    }),
    ("in connect", |server| {
        open(server)?.on_connect(|c| {
            c.destroy_with("own");
            later();
        });
        Ok(())
    }),
    ("in data", |server| {
        open(server)?.on_data(|c, _| {
            c.destroy_with("own");
            later();
        });
        Ok(())
    }),
    ("in error", |_| {
        refused()?.on_error(|c, _| {
            c.destroy_with("own");
            later();
        });
        Ok(())
    }),
    ("in close", |_| {
        refused()?.on_close(|c, _| {
            c.destroy_with("own");
            later();
        });
        Ok(())
    }),
    ("never connected", |_| {
        listen(Socket::new()).destroy();
        later();
        Ok(())
    }),
    ("never connected, for an error", |_| {
        listen(Socket::new()).destroy_with("own");
        later();
        Ok(())
    }),
    ("unheard", |server| {
        let c = connect(server)?;
        c.on_close(|_, had_error| println!("close {had_error}"));
        c.destroy_with("own");
        later();
        Ok(())
    }),
    ("throws", |server| {
        let c = connect(server)?;
        c.on_error(|_, _| throw("in error")());
        c.on_close(|_, had_error| println!("close {had_error}"));
        c.destroy_with("own");
        later();
        Ok(())
    }),
];

fn run(server: Server, scenarios: &'static [Scenario]) -> Continue {
    let Some(((name, scenario), rest)) = scenarios.split_first() else {
        server.close();
        return Ok(());
    };
    println!("-- {name}");
    scenario(&server)?;
    set_timeout(move || run(server, rest), 60);
    Ok(())
}

pub(super) fn socket() -> Result<(), Error> {
    on_uncaught_exception(|e, _| println!("uncaught {e}"));
    let server = super::serve(|c| {
        c.on_error(|_, _| {});
        c.write("hi");
        c.resume();
    })?;
    server.on_listening(|server| run(server, SCENARIOS));
    Ok(())
}

fn listen_pipe(name: &'static str, pipe: &Socket) {
    pipe.on_end(move |_| println!("{name} end"));
    pipe.on_finish(move |_| println!("{name} finish"));
    pipe.on_error(move |_, e| println!("{name} error {}", e.message()));
    pipe.on_close(move |_, _| println!("{name} close"));
}

/// A child, and calls on its pipes.
type Child = (&'static str, &'static [&'static str], fn(&ChildProcess));

const CHILDREN: &[Child] = &[
    ("sleep", &["0.2"], |child| {
        let out = child.stdout().expect("it is a pipe");
        listen_pipe("out", &out);
        out.destroy_with("own");
        later();
    }),
    ("sleep", &["0.2"], |child| {
        let out = child.stdout().expect("it is a pipe");
        listen_pipe("out", &out);
        out.destroy().destroy_with("own");
        later();
    }),
    ("sleep", &["0.2"], |child| {
        let input = child.stdin().expect("it is a pipe");
        listen_pipe("in", &input);
        input.destroy_with("own");
        later();
    }),
    ("cat", &[], |child| {
        let out = child.stdout().expect("it is a pipe");
        let input = child.stdin().expect("it is a pipe");
        listen_pipe("out", &out);
        let ended = input.clone();
        out.on_data(move |out, _| {
            println!("out data");
            out.destroy_with("own");
            ended.end();
            later();
        });
        input.write("x");
    }),
];

fn run_child(number: usize) -> Continue {
    let Some((program, args, use_it)) = CHILDREN.get(number) else {
        return Ok(());
    };
    println!("-- {number}");
    let child = child_process::spawn(program, *args)?;
    child.on_close(move |_, _, _| {
        println!("child closed");
        set_timeout(move || run_child(number + 1), 50);
    });
    use_it(&child);
    Ok(())
}

pub(super) fn child_pipe() -> Continue {
    run_child(0)
}
