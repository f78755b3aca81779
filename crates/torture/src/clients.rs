//! What clients do with a server, and how it serves them.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
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

impl Served {
    /// The same, counted from the beginning of an answer whose first bytes came `earlier`.
    fn after(self, earlier: usize) -> Served {
        match self {
            Served::LooksWhole { bytes, of } => Served::LooksWhole {
                bytes: earlier + bytes,
                of: earlier + of,
            },
            Served::Hangs { bytes, of } => Served::Hangs {
                bytes: earlier + bytes,
                of: earlier + of,
            },
            Served::Wrong { at } => Served::Wrong { at: earlier + at },
            Served::Whole | Served::Cut(_) | Served::NotConnected(_) => self,
        }
    }
}

/// Sends a word, waits for its echo, and then sends `bulk_bytes` at once, and ends.
pub(crate) fn echo(server: SocketAddr, bulk_bytes: usize, patience: Duration) -> Served {
    let client = match connect(server, patience) {
        Ok(client) => client,
        Err(error) => return Served::NotConnected(error.to_string()),
    };
    let greeted = greet(&client, patience);
    if greeted != Served::Whole {
        return greeted;
    }
    let bulk = pattern(bulk_bytes);
    let sending = Sending {
        unsent: &bulk,
        ends: true,
        ..Sending::default()
    };
    read_answer(&client, sending, &bulk, true, patience).after(HELLO.len())
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
        // Short: the listener may not have joined when the word came.
        wait(&listener, PollFlags::IN, Duration::from_millis(20));
        match listener.read(&mut buf) {
            Ok(0) => {
                return Served::LooksWhole {
                    bytes: received.len(),
                    of: HELLO.len(),
                };
            }
            Ok(count) => received.extend_from_slice(&buf[..count]),
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                return Served::Cut(error.to_string());
            }
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
    let greeted = greet(&client, patience);
    if greeted != Served::Whole {
        return Err(greeted);
    }
    let bulk = pattern(bulk_bytes);
    match client.write(&bulk) {
        Ok(sent) => Ok(Unread {
            client,
            bulk: bulk[..sent].to_vec(),
        }),
        Err(error) => Err(Served::Cut(error.to_string())),
    }
}

impl Unread {
    /// Reads to the end, which the server may set after any byte: it drains.
    pub(crate) fn read_to_end(self, patience: Duration) -> Served {
        let nothing = Sending::default();
        match read_answer(&self.client, nothing, &self.bulk, true, patience) {
            Served::LooksWhole { .. } => Served::Whole,
            served => served,
        }
    }
}

/// A connection that does not block.
fn connect(server: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let client = TcpStream::connect_timeout(&server, patience)?;
    client.set_nonblocking(true)?;
    Ok(client)
}

/// What a client sends while it reads.
#[derive(Default)]
struct Sending<'a> {
    unsent: &'a [u8],
    /// Whether the end follows.
    ends: bool,
    /// What cut the connection. Only one call returns it: the next read returns 0, as at an end.
    cut: Option<io::Error>,
}

impl Sending<'_> {
    /// Sends as much as there is room for.
    fn go_on(&mut self, mut client: &TcpStream) {
        while !self.unsent.is_empty() {
            match client.write(self.unsent) {
                Ok(sent) => self.unsent = &self.unsent[sent..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.unsent = &[];
                    self.ends = false;
                    // tcp_reset() in the kernel: a reset after the server's end is EPIPE. The
                    // end came first, so a reader that waits for it sees no error.
                    self.cut = (error.kind() != ErrorKind::BrokenPipe).then_some(error);
                }
            }
        }
        if std::mem::take(&mut self.ends) {
            let _ = client.shutdown(Shutdown::Write); // ENOTCONN if the server has closed
        }
    }
}

fn greet(client: &TcpStream, patience: Duration) -> Served {
    let sending = Sending {
        unsent: HELLO,
        ..Sending::default()
    };
    read_answer(client, sending, HELLO, false, patience)
}

/// Sends, and reads an answer, and the end after it if `ends`. Patience is for one read.
fn read_answer(
    mut client: &TcpStream,
    mut sending: Sending<'_>,
    answer: &[u8],
    ends: bool,
    patience: Duration,
) -> Served {
    let of = answer.len();
    let mut buf = vec![0; 1 << 16];
    let mut bytes = 0;
    let mut deadline = Instant::now() + patience;
    while ends || bytes < of {
        sending.go_on(client);
        match client.read(&mut buf) {
            Ok(0) => {
                return match sending.cut {
                    Some(error) => Served::Cut(error.to_string()),
                    None if bytes == of => Served::Whole,
                    None => Served::LooksWhole { bytes, of },
                };
            }
            Ok(count) => {
                let read = &buf[..count];
                if answer.get(bytes..bytes + count) != Some(read) {
                    return Served::Wrong { at: bytes };
                }
                bytes += count;
                deadline = Instant::now() + patience;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let rest = deadline.saturating_duration_since(Instant::now());
                if rest.is_zero() {
                    return Served::Hangs { bytes, of };
                }
                let room = match sending.unsent {
                    [] => PollFlags::empty(),
                    _ => PollFlags::OUT,
                };
                wait(client, PollFlags::IN | room, rest);
            }
            Err(error) => return Served::Cut(error.to_string()),
        }
    }
    Served::Whole
}

/// Waits until a client is ready. If that fails, the next read or write says why.
fn wait(client: &TcpStream, ready: PollFlags, patience: Duration) {
    let patience = Timespec::try_from(patience).ok();
    let _ = poll(&mut [PollFd::new(client, ready)], patience.as_ref());
}

/// Bytes in which each offset is recognizable.
fn pattern(bytes: usize) -> Vec<u8> {
    let words = (0_u32..).flat_map(|word| word.wrapping_mul(0x9E37_79B1).to_le_bytes());
    words.take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(60);
    const BULK_BYTES: usize = 10_000_000; // more than the buffers of any connection hold

    /// How a client is served by a server that echoes the word, and then goes on like this.
    fn served_by(go_on: fn(TcpStream)) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut client, _) = listener.accept().unwrap();
                let mut word = [0; HELLO.len()];
                client.read_exact(&mut word).unwrap();
                client.write_all(&word).unwrap();
                go_on(client);
            });
            echo(server, BULK_BYTES, PATIENCE)
        })
    }

    /// Waits until bytes are there that are not read. Then a close resets the connection.
    fn wait_for_bytes(client: &TcpStream) {
        assert!(client.peek(&mut [0; 1]).unwrap() > 0);
    }

    #[test]
    fn a_client_that_writes_knows_a_reset_from_an_end() {
        let reset = served_by(|client| wait_for_bytes(&client));
        assert!(matches!(reset, Served::Cut(_)), "{reset}");
    }

    #[test]
    fn a_reset_after_an_end_does_not_hide_that_the_answer_looks_whole() {
        let ended = served_by(|client| {
            client.shutdown(Shutdown::Write).unwrap();
            wait_for_bytes(&client);
        });
        let after_the_word = Served::LooksWhole {
            bytes: HELLO.len(),
            of: HELLO.len() + BULK_BYTES,
        };
        assert_eq!(ended, after_the_word);
    }

    #[test]
    fn an_echo_is_served_to_its_end() {
        let whole = served_by(|mut client| {
            let mut reader = client.try_clone().unwrap();
            io::copy(&mut reader, &mut client).unwrap();
        });
        assert_eq!(whole, Served::Whole);
    }
}
