//! A reminder server in the callback style: a client sends `SECONDS TEXT`, and the server sends
//! TEXT back after that time.

use oneloop::callback::net::{Socket, create_server};
use oneloop::callback::{clear_timeout, run, set_timeout};
use std::cell::RefCell;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;

/// Splits `SECONDS TEXT`.
fn parse(line: &str) -> Option<(f64, String)> {
    let (seconds, text) = line.trim().split_once(' ')?;
    Some((seconds.parse().ok()?, format!("{text}\n")))
}

fn serve(socket: Socket) {
    let reminders = Rc::new(RefCell::new(Vec::new()));
    let canceled = Rc::clone(&reminders);
    socket.on_lines(1024, move |socket, line| {
        let Some((seconds, text)) = parse(line) else {
            socket.write("send SECONDS TEXT\n");
            return;
        };
        let send = move || {
            socket.write(text);
        };
        let reminder = set_timeout(send, seconds * 1e3);
        reminders.borrow_mut().push(reminder);
    });
    socket.on_error(|_, error| eprintln!("{error}"));
    // The client is gone, so its reminders are canceled.
    socket.on_close(move |_, _| canceled.take().into_iter().for_each(clear_timeout));
}

fn main() -> io::Result<ExitCode> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let code = run(move || {
        let server = create_server(serve).listen(addr)?;
        server.on_listening(|server| {
            println!("listening on {}", server.address().expect("it listens"));
        });
        io::Result::Ok(())
    })?;
    Ok(ExitCode::from(code))
}
