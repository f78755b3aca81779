//! A reminder server in the async style: a client sends `SECONDS TEXT`, and the server sends TEXT
//! back after that time.

use oneloop::aio::{JoinSet, TcpListener, TcpStream, block_on, sleep, spawn};
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// Splits `SECONDS TEXT`.
fn parse(line: &str) -> Option<(Duration, String)> {
    let (seconds, text) = line.trim().split_once(' ')?;
    let delay = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    Some((delay, format!("{text}\n")))
}

async fn serve(stream: TcpStream) -> io::Result<()> {
    let stream = Rc::new(stream);
    let mut lines = stream.lines(1000);
    let mut reminders = JoinSet::new();
    while let Some(line) = lines.next().await? {
        let Some((delay, text)) = parse(&line) else {
            stream.write_all(b"send SECONDS TEXT\n").await?;
            continue;
        };
        let client = Rc::clone(&stream);
        reminders.spawn(async move {
            sleep(delay).await;
            client.write_all(text.as_bytes()).await
        });
    }
    Ok(()) // the client is gone: the set is dropped, and so are its reminders
}

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    block_on(async {
        let listener = TcpListener::bind(addr)?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let (stream, peer) = listener.accept().await?;
            spawn(async move {
                if let Err(error) = serve(stream).await {
                    eprintln!("{peer}: {error}");
                }
            });
        }
    })
}
