//! The server-sent events of a server, read by a thread, and requests to it.

use oneloop::net::Addr;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// A server sends four frames a second; one that is silent for longer is gone.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Events that wait to be drawn. The thread waits while there are more, and the server then drops
/// frames.
const WAITING_MAX: usize = 16;

/// The way to a server.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) addr: Addr,
    pub(super) token: Option<String>,
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

impl Way {
    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let unix = |stream: UnixStream| {
            stream.set_read_timeout(Some(SILENCE_MAX))?;
            io::Result::Ok(Box::new(stream) as Box<dyn Stream>)
        };
        match &self.addr {
            Addr::Inet(addr) => {
                let stream = TcpStream::connect_timeout(addr, SILENCE_MAX)?;
                stream.set_read_timeout(Some(SILENCE_MAX))?;
                Ok(Box::new(stream))
            }
            Addr::UnixPath(path) => unix(UnixStream::connect(path)?),
            Addr::UnixAbstract(name) => {
                let addr = SocketAddr::from_abstract_name(name)?;
                unix(UnixStream::connect_addr(&addr)?)
            }
            Addr::UnixUnnamed => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Sends a request, and reads the head of the answer.
    fn ask(&self, request: &str) -> io::Result<BufReader<Box<dyn Stream>>> {
        let mut stream = self.connect()?;
        let token = self.token.as_ref();
        let token = token.map_or(String::new(), |token| {
            format!("Authorization: Bearer {token}\r\n")
        });
        // HTTP/1.0, so that the answer has no chunks.
        write!(
            stream,
            "{request} HTTP/1.0\r\nHost: localhost\r\n{token}\r\n"
        )?;
        let mut answer = BufReader::new(stream);
        let status = line(&mut answer)?;
        while !line(&mut answer)?.is_empty() {}
        match status.split(' ').nth(1) {
            Some("200") => Ok(answer),
            _ => {
                let mut why = String::new();
                answer.take(1000).read_to_string(&mut why)?;
                Err(io::Error::other(format!(
                    "{} {}",
                    status.trim(),
                    why.trim()
                )))
            }
        }
    }
}

/// A line without its end.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end().len());
    Ok(line)
}

/// Asks for a change.
///
/// # Errors
/// Those of the connection, and the server's reason for a refusal.
pub(super) fn post(way: &Way, path: &str) -> io::Result<()> {
    way.ask(&format!("POST {path}")).map(drop)
}

/// What the server has sent.
#[derive(Debug)]
pub(super) enum News {
    Event(String, Value),
    /// There is no more, for this reason.
    Ended(String),
}

/// The events of a server.
#[derive(Debug)]
pub(super) struct Feed(Receiver<News>);

impl Feed {
    /// # Errors
    /// Those of the connection, and the server's reason for a refusal.
    pub(super) fn open(way: &Way) -> io::Result<Self> {
        let mut events = way.ask("GET /events")?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || {
                let error = match read(&mut events, &sender) {
                    Ok(()) => return,
                    Err(error) => error,
                };
                let why = match error.kind() {
                    io::ErrorKind::UnexpectedEof => "the server has ended".to_owned(),
                    io::ErrorKind::WouldBlock => "the server is silent".to_owned(),
                    _ => error.to_string(),
                };
                let _ = sender.send(News::Ended(why));
            })?;
        Ok(Feed(receiver))
    }

    /// The next news, if there is some.
    pub(super) fn next(&self) -> Option<News> {
        self.0.try_recv().ok()
    }
}

/// Reads events until no code waits for them.
fn read(events: &mut impl BufRead, sender: &SyncSender<News>) -> io::Result<()> {
    let mut name = String::new();
    loop {
        let line = line(events)?;
        if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut name);
        } else if let Some(data) = line.strip_prefix("data: ") {
            let data = serde_json::from_str(data)?;
            if sender.send(News::Event(name.clone(), data)).is_err() {
                return Ok(());
            }
        }
    }
}
