//! A key-value store in which keys may expire: `key_value_tokio [HOST:PORT]`.

use futures_util::{SinkExt, StreamExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, io};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval, timeout};
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
        self.expires.is_none_or(|at| at > Instant::now())
    }
}

#[derive(Clone, Default)]
struct Store(Arc<Mutex<HashMap<String, Entry>>>);

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
        match self.0.lock().unwrap().get(key) {
            Some(entry) if entry.is_live() => format!("VALUE {}", entry.value),
            _ => "NONE".into(),
        }
    }

    fn set(&self, key: &str, value: &str, seconds: Option<u32>) -> String {
        let lifetime = seconds.map(|seconds| Duration::from_secs(seconds.into()));
        let entry = Entry {
            value: value.into(),
            expires: lifetime.map(|lifetime| Instant::now() + lifetime),
        };
        self.0.lock().unwrap().insert(key.into(), entry);
        "OK".into()
    }

    fn delete(&self, key: &str) -> String {
        match self.0.lock().unwrap().remove(key) {
            Some(entry) if entry.is_live() => "OK".into(),
            _ => "NONE".into(),
        }
    }

    /// Frees the memory of values that have expired.
    async fn sweep(self) {
        let mut ticks = interval(SWEEP_PERIOD);
        loop {
            ticks.tick().await;
            self.0.lock().unwrap().retain(|_, entry| entry.is_live());
        }
    }
}

/// Answers one client until it leaves or is silent for too long, or the server stops.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    store: Store,
    stop: CancellationToken,
) -> Result<(), LinesCodecError> {
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(LINE_BYTES_MAX));
    loop {
        let request = select! {
            () = stop.cancelled() => return Ok(()),
            request = timeout(IDLE_MAX, lines.next()) => request,
        };
        match request {
            Ok(Some(Ok(request))) => lines.send(store.answer(&request)).await?,
            Ok(Some(Err(LinesCodecError::MaxLineLengthExceeded))) => {
                return lines.send("ERROR the line is too long").await;
            }
            Ok(Some(Err(error))) => return Err(error),
            Ok(None) => return Ok(()),
            Err(_) => return lines.send("ERROR idle for too long").await,
        }
    }
}

/// Serves clients until the token is canceled, and then finishes their answers.
async fn run(listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let (store, clients) = (Store::default(), TaskTracker::new());
    let sweep = tokio::spawn(store.clone().sweep());
    loop {
        let (stream, peer) = select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted?,
        };
        let (store, stop) = (store.clone(), stop.clone());
        clients.spawn(async move {
            if let Err(error) = serve(stream, store, stop).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
    sweep.abort();
    drop(listener);
    clients.close();
    let _ = timeout(DRAIN_MAX, clients.wait()).await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let addr = env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(run(listener, stop.clone()));
    select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
    server.await??;
    println!("stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{DuplexStream, duplex};
    use tokio::time::sleep;

    fn client() -> Framed<DuplexStream, LinesCodec> {
        let (client, server) = duplex(4096);
        tokio::spawn(serve(server, Store::default(), CancellationToken::new()));
        Framed::new(client, LinesCodec::new())
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_expires() {
        let mut client = client();
        client.send("SET tea green 30").await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), "OK");
        sleep(Duration::from_secs(29)).await;
        client.send("GET tea").await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), "VALUE green");
        sleep(Duration::from_secs(1)).await;
        client.send("GET tea").await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), "NONE");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_gets_a_reason_and_the_end() {
        let mut client = client();
        let start = Instant::now();
        let line = client.next().await.unwrap().unwrap();
        assert_eq!(line, "ERROR idle for too long");
        assert_eq!(start.elapsed(), IDLE_MAX);
        assert!(client.next().await.is_none());
    }
}
