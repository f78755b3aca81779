//! Clients of an echo server, in three styles: each sends a message, ends its side, and checks that
//! its own bytes come back.

use crate::harness::{LENGTHS, payload};
use oneloop::aio::{self, TcpStream};
use oneloop::callback::net::{self, Server, Socket};
use oneloop::green;
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

pub(crate) const CLIENTS: usize = 4;

fn message(number: usize) -> Vec<u8> {
    payload(number, LENGTHS[number % LENGTHS.len()])
}

/// Runs all clients. Returns the first error once all of them have ended.
pub(crate) async fn async_clients(addr: SocketAddr) -> io::Result<()> {
    let clients = (0..CLIENTS).map(|number| async_client(addr, number));
    aio::join_all(clients).await.into_iter().collect()
}

async fn async_client(addr: SocketAddr, number: usize) -> io::Result<()> {
    let sent = message(number);
    let client = TcpStream::connect(addr).await?;
    let write = async {
        client.write_all(&sent).await?;
        client.shutdown(Shutdown::Write)
    };
    let read = async {
        let mut got = 0;
        while let Some(chunk) = client.read_chunk().await? {
            assert_eq!(*chunk, sent[got..got + chunk.len()], "at byte {got}");
            got += chunk.len();
        }
        io::Result::Ok(got)
    };
    let (written, got) = aio::join(write, read).await;
    let got = got?;
    written?;
    expect_whole(got, sent.len())
}

/// After an end without an error. A server that loses a connection resets it, so only a connection
/// that was never accepted ends early, before its first byte.
#[track_caller]
fn expect_whole(got: usize, sent: usize) -> io::Result<()> {
    match got {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => {
            assert_eq!(got, sent, "a part looks like the whole");
            Ok(())
        }
    }
}

/// As [`async_clients`].
pub(crate) fn green_clients(addr: SocketAddr) -> io::Result<()> {
    let clients = (0..CLIENTS).map(|number| green::spawn(move || green_client(addr, number)));
    let clients: Vec<_> = clients.collect();
    let ended = clients.into_iter().map(|client| client.join().unwrap());
    let ended: Vec<io::Result<()>> = ended.collect();
    ended.into_iter().collect()
}

fn green_client(addr: SocketAddr, number: usize) -> io::Result<()> {
    let sent = message(number);
    let client = green::net::TcpStream::connect(addr)?;
    let mut got = Vec::new();
    let read = green::scope(|scope| {
        let writer = scope.spawn(|| {
            (&client).write_all(&sent)?;
            client.shutdown(Shutdown::Write)
        });
        let read = (&client).read_to_end(&mut got);
        let written: io::Result<()> = writer.join().unwrap();
        read.and(written)
    });
    assert!(
        sent.starts_with(&got),
        "{} of {} bytes",
        got.len(),
        sent.len()
    );
    read?;
    expect_whole(got.len(), sent.len())
}

/// Runs all clients, counts those that got all of their bytes, and closes the servers after the
/// last one.
pub(crate) fn callback_clients(port: u16, whole: &Rc<Cell<usize>>, servers: Vec<Server>) {
    let closed = Rc::new(Cell::new(0));
    for number in 0..CLIENTS {
        let (closed, servers) = (Rc::clone(&closed), servers.clone());
        let (once, whole) = (Cell::new(false), Rc::clone(whole));
        callback_client(port, number, whole).on_close(move |_, _| {
            assert!(!once.replace(true), "each client closes once");
            closed.set(closed.get() + 1);
            if closed.get() == CLIENTS {
                for server in &servers {
                    server.close();
                }
            }
        });
    }
}

/// Its end says less: as in Node, a reset right behind the last bytes is an 'end', so it counts as
/// whole by its bytes alone.
fn callback_client(port: u16, number: usize, whole: Rc<Cell<usize>>) -> Socket {
    let sent = message(number);
    let client = net::connect(("127.0.0.1", port)).expect("a port");
    client.end_with(sent.clone());
    let got = Cell::new(0);
    client.on_data(move |_, chunk| {
        let before = got.replace(got.get() + chunk.len());
        assert_eq!(
            chunk[..],
            sent[before..before + chunk.len()],
            "at byte {before}"
        );
        if got.get() == sent.len() {
            whole.set(whole.get() + 1);
        }
    });
    client.on_error(|_, _| ());
    client
}
