//! A key-value store in which keys may expire: `cargo run --example key_value [HOST:PORT]`.

use oneloop::Elapsed;
use oneloop::aio::{GracefulShutdown, TcpListener, TcpStream, interval, now, spawn, timeout};
use oneloop::signal::{SIGINT, SIGTERM};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use std::{env, io};

const LINE_BYTES_MAX: usize = 1000;
const IDLE_MAX: Duration = Duration::from_secs(60);
const SWEEP_PERIOD: Duration = Duration::from_secs(10);
const DRAIN_MAX: Duration = Duration::from_secs(10);

struct Entry {
    value: String,
    expires: Option<Instant>,
}

impl Entry {
    fn is_live(&self) -> bool {
        self.expires.is_none_or(|at| at > now())
    }
}

#[derive(Clone, Default)]
struct Store(Rc<RefCell<HashMap<String, Entry>>>);

impl Store {
    fn answer(&self, request: &str) -> String {
        match request.split(' ').collect::<Vec<_>>()[..] {
            ["GET", key] => self.get(key),
            ["SET", key, value] => self.set(key, value, None),
            ["SET", key, value, seconds] => match seconds.parse() {
                Ok(seconds) => self.set(key, value, Some(seconds)),
                Err(_) => format!("ERROR {seconds} is not a number of seconds"),
            },
            ["DEL", key] => self.delete(key),
            _ => "ERROR send GET key, SET key value [seconds] or DEL key".into(),
        }
    }

    fn get(&self, key: &str) -> String {
        match self.0.borrow().get(key) {
            Some(entry) if entry.is_live() => format!("VALUE {}", entry.value),
            _ => "NONE".into(),
        }
    }

    fn set(&self, key: &str, value: &str, seconds: Option<u32>) -> String {
        let lifetime = seconds.map(|seconds| Duration::from_secs(seconds.into()));
        let entry = Entry {
            value: value.into(),
            expires: lifetime.map(|lifetime| now() + lifetime),
        };
        self.0.borrow_mut().insert(key.into(), entry);
        "OK".into()
    }

    fn delete(&self, key: &str) -> String {
        match self.0.borrow_mut().remove(key) {
            Some(entry) if entry.is_live() => "OK".into(),
            _ => "NONE".into(),
        }
    }

    /// Frees the memory of values that have expired.
    async fn sweep(self) {
        let mut ticks = interval(SWEEP_PERIOD);
        loop {
            ticks.tick().await;
            self.0.borrow_mut().retain(|_, entry| entry.is_live());
        }
    }
}

/// Answers one client until it leaves or is silent for too long, or the server stops.
async fn serve(stream: TcpStream, store: Store, stop: GracefulShutdown) -> io::Result<()> {
    let mut lines = stream.lines(LINE_BYTES_MAX);
    while let Some(request) = stop.run(timeout(IDLE_MAX, lines.next())).await {
        let answer = match request {
            Ok(Ok(Some(request))) => store.answer(&request) + "\n",
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                return stream.write_all(b"ERROR the line is too long\n").await;
            }
            Ok(Err(error)) => return Err(error),
            Ok(Ok(None)) => return Ok(()),
            Err(Elapsed) => return stream.write_all(b"ERROR idle for too long\n").await,
        };
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// Serves clients until the end is requested, and then finishes their answers.
async fn run(listener: TcpListener, stop: GracefulShutdown) -> io::Result<()> {
    let store = Store::default();
    let sweep = spawn(store.clone().sweep());
    while let Some(accepted) = stop.run(listener.accept()).await {
        let (stream, peer) = accepted?;
        let client = serve(stream, store.clone(), stop.clone());
        stop.spawn(async move {
            if let Err(error) = client.await {
                eprintln!("{peer}: {error}");
            }
        });
    }
    sweep.cancel();
    drop(listener);
    stop.drain(DRAIN_MAX).await;
    Ok(())
}

#[oneloop::main]
async fn main() -> io::Result<()> {
    let addr = env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = TcpListener::bind(addr)?;
    println!("listening on {}", listener.local_addr()?);
    run(listener, GracefulShutdown::on_signals(&[SIGINT, SIGTERM])?).await?;
    println!("stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use oneloop::aio::sleep;

    /// A client of a new server.
    async fn client() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        spawn(run(listener, GracefulShutdown::new()));
        TcpStream::connect(addr).await.unwrap()
    }

    #[oneloop::test]
    async fn a_value_expires() {
        let client = client().await;
        let mut lines = client.lines(80);
        client.write_all(b"SET tea green 30\n").await.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), "OK");
        sleep(Duration::from_secs(29)).await;
        client.write_all(b"GET tea\n").await.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), "VALUE green");
        sleep(Duration::from_secs(1)).await;
        client.write_all(b"GET tea\n").await.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), "NONE");
    }

    #[oneloop::test]
    async fn a_silent_client_gets_a_reason_and_the_end() {
        let client = client().await;
        let (mut lines, start) = (client.lines(80), now());
        let line = lines.next().await.unwrap().unwrap();
        assert_eq!(line, "ERROR idle for too long");
        assert_eq!(now() - start, IDLE_MAX);
        assert_eq!(lines.next().await.unwrap(), None);
    }
}
