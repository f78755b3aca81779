//! A reminder server of green threads: a client sends `SECONDS TEXT`, and the server sends TEXT
//! back after that time.

use oneloop::green::net::{StreamServer, TcpListener, TcpStream};
use oneloop::green::{Group, run, sleep};
use std::io::{self, BufRead, BufReader, Write};
use std::rc::Rc;
use std::time::Duration;

/// Splits `SECONDS TEXT`.
fn parse(line: &str) -> Option<(Duration, String)> {
    let (seconds, text) = line.trim().split_once(' ')?;
    let delay = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    Some((delay, format!("{text}\n")))
}

fn serve(stream: TcpStream) -> io::Result<()> {
    let stream = Rc::new(stream);
    let reminders = Group::new();
    for line in BufReader::new(&*stream).lines() {
        let Some((delay, text)) = parse(&line?) else {
            (&*stream).write_all(b"send SECONDS TEXT\n")?;
            continue;
        };
        let client = Rc::clone(&stream);
        drop(reminders.spawn(move || {
            sleep(delay);
            (&*client).write_all(text.as_bytes())
        }));
    }
    // The client is gone, so its reminders are canceled.
    reminders.kill();
    Ok(())
}

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    run(move || {
        let listener = TcpListener::bind(addr)?;
        println!("listening on {}", listener.local_addr()?);
        let server = StreamServer::start(listener, |stream, peer| {
            if let Err(error) = serve(stream) {
                eprintln!("{peer}: {error}");
            }
        });
        server.until_stopped()
    })?
}
