//! What clients do with a server, and how it serves them.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const HELLO: &[u8] = b"hello\n";

/// How a client was served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// It got each byte of its answer, and the end.
    Whole,
    /// It saw an error, so it knows that its answer is not whole.
    Cut(String),
    /// It could not connect.
    NotConnected(String),
    /// Its answer ended early, with a FIN: it takes a part for the whole.
    LooksWhole { bytes: usize, of: usize },
    /// Nothing came any more.
    Hangs { bytes: usize, of: usize },
    /// It got bytes that are not its answer.
    Wrong { at: usize },
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Served::Whole => write!(f, "served"),
            Served::Cut(error) => write!(f, "cut off: {error}"),
            Served::NotConnected(error) => write!(f, "not connected: {error}"),
            Served::LooksWhole { bytes, of } => {
                write!(f, "an end after {bytes} of {of} bytes looks whole")
            }
            Served::Hangs { bytes, of } => write!(f, "nothing comes after {bytes} of {of} bytes"),
            Served::Wrong { at } => write!(f, "wrong bytes from byte {at} on"),
        }
    }
}

/// Sends a word, waits for its echo, and then sends `bulk_bytes` at once, and ends.
pub(crate) fn echo(server: SocketAddr, bulk_bytes: usize, patience: Duration) -> Served {
    let mut client = match connect(server, patience) {
        Ok(client) => client,
        Err(error) => return Served::NotConnected(error.to_string()),
    };
    let greeted = exchange(&mut client, HELLO, HELLO, patience);
    if greeted != Served::Whole {
        return greeted;
    }
    let bulk = pattern(bulk_bytes);
    thread::scope(|scope| {
        let (mut writer, bytes) = match client.try_clone() {
            Ok(writer) => (writer, &bulk),
            Err(error) => return Served::Cut(error.to_string()),
        };
        // Its failure shows in the answer. So does a server that has closed: then ENOTCONN.
        scope.spawn(move || {
            let written = writer.write_all(bytes);
            written.and_then(|()| writer.shutdown(Shutdown::Write))
        });
        let served = read_answer(&mut client, &bulk, true, patience);
        let _ = client.shutdown(Shutdown::Both); // ends a writer that waits for room
        served
    })
}

/// Two clients: what one types reaches the other.
pub(crate) fn chat(server: SocketAddr, patience: Duration) -> Served {
    let connect = || connect(server, patience);
    let (mut speaker, mut listener) = match (connect(), connect()) {
        (Ok(speaker), Ok(listener)) => (speaker, listener),
        (Err(error), _) | (_, Err(error)) => return Served::NotConnected(error.to_string()),
    };
    // The listener has joined once the speaker has received its notice.
    let deadline = Instant::now() + patience;
    let mut received = Vec::new();
    let mut buf = [0; 1024];
    loop {
        if let Err(error) = speaker.write_all(HELLO) {
            return Served::Cut(error.to_string());
        }
        match listener.read(&mut buf) {
            Ok(0) => {
                return Served::LooksWhole {
                    bytes: received.len(),
                    of: HELLO.len(),
                };
            }
            Ok(count) => received.extend_from_slice(&buf[..count]),
            Err(error) if !is_timeout(&error) => return Served::Cut(error.to_string()),
            Err(_) => {}
        }
        if received.windows(HELLO.len()).any(|window| window == HELLO) {
            return Served::Whole;
        }
        if Instant::now() > deadline {
            return Served::Hangs {
                bytes: received.len(),
                of: HELLO.len(),
            };
        }
    }
}

/// A client that has sent `bulk_bytes` and has not read yet.
pub(crate) struct Unread {
    client: TcpStream,
    bulk: Vec<u8>,
}

/// Sends `bulk_bytes`, or as many as there is room for, and reads nothing.
pub(crate) fn wait_with_output(
    server: SocketAddr,
    bulk_bytes: usize,
    patience: Duration,
) -> Result<Unread, Served> {
    let mut client =
        connect(server, patience).map_err(|error| Served::NotConnected(error.to_string()))?;
    let greeted = exchange(&mut client, HELLO, HELLO, patience);
    if greeted != Served::Whole {
        return Err(greeted);
    }
    let bulk = pattern(bulk_bytes);
    let sent = client
        .set_nonblocking(true)
        .and_then(|()| client.write(&bulk));
    let sent = sent.and_then(|sent| client.set_nonblocking(false).map(|()| sent));
    match sent {
        Ok(sent) => Ok(Unread {
            client,
            bulk: bulk[..sent].to_vec(),
        }),
        Err(error) => Err(Served::Cut(error.to_string())),
    }
}

impl Unread {
    /// Reads to the end, which the server may set after any byte: it drains.
    pub(crate) fn read_to_end(mut self, patience: Duration) -> Served {
        match read_answer(&mut self.client, &self.bulk, true, patience) {
            Served::LooksWhole { .. } => Served::Whole,
            served => served,
        }
    }
}

fn connect(server: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let client = TcpStream::connect_timeout(&server, patience)?;
    // Short, so that a reader can do something else meanwhile.
    client.set_read_timeout(Some(Duration::from_millis(20)))?;
    client.set_write_timeout(Some(patience))?;
    Ok(client)
}

fn exchange(client: &mut TcpStream, question: &[u8], answer: &[u8], patience: Duration) -> Served {
    match client.write_all(question) {
        Ok(()) => read_answer(client, answer, false, patience),
        Err(error) => Served::Cut(error.to_string()),
    }
}

/// Reads an answer, and the end after it if `ends`. Patience is for one read.
fn read_answer(client: &mut TcpStream, answer: &[u8], ends: bool, patience: Duration) -> Served {
    let of = answer.len();
    let mut buf = vec![0; 1 << 16];
    let mut bytes = 0;
    let mut deadline = Instant::now() + patience;
    while ends || bytes < of {
        match client.read(&mut buf) {
            Ok(0) if bytes == of => break,
            Ok(0) => return Served::LooksWhole { bytes, of },
            Ok(count) => {
                let read = &buf[..count];
                if answer.get(bytes..bytes + count) != Some(read) {
                    return Served::Wrong { at: bytes };
                }
                bytes += count;
                deadline = Instant::now() + patience;
            }
            Err(error) if is_timeout(&error) => {
                if Instant::now() > deadline {
                    return Served::Hangs { bytes, of };
                }
            }
            Err(error) => return Served::Cut(error.to_string()),
        }
    }
    Served::Whole
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Bytes in which each offset is recognizable.
fn pattern(bytes: usize) -> Vec<u8> {
    let words = (0_u32..).flat_map(|word| word.wrapping_mul(0x9E37_79B1).to_le_bytes());
    words.take(bytes).collect()
}
