//! An echo server and its clients: each gets its own bytes back, in order.

use crate::clients::{CLIENTS, async_clients, callback_clients, green_clients};
use crate::harness::{BREAKS, Closes, FDS, check, check_with_failures, has_succeeded};
use oneloop::aio::{self, TcpListener, TcpStream};
use oneloop::callback::{net, run_on};
use oneloop::{EventLoop, green};
use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;

#[test]
fn async_clients_get_their_bytes_back() {
    check(FDS, |event_loop| event_loop.block_on(async_echo()).unwrap());
}

#[test]
fn async_clients_get_a_prefix_of_their_bytes_or_an_error() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        has_succeeded(event_loop.block_on(async_echo()))
    });
}

async fn async_echo() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let server = aio::spawn(async move {
        loop {
            let (stream, _peer) = listener.accept().await?;
            aio::spawn(async move { async_serve(&stream).await });
        }
    });
    let served = async_clients(addr).await;
    server.cancel();
    let _: Result<io::Result<()>, _> = server.await;
    served
}

async fn async_serve(stream: &TcpStream) -> io::Result<()> {
    while let Some(chunk) = stream.read_chunk().await? {
        stream.write_all(&chunk).await?;
    }
    stream.shutdown(Shutdown::Write)
}

#[test]
fn green_clients_get_their_bytes_back() {
    check(FDS, |event_loop| green_echo(event_loop).unwrap());
}

#[test]
fn green_clients_get_a_prefix_of_their_bytes_or_an_error() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        has_succeeded(green_echo(event_loop))
    });
}

fn green_echo(event_loop: &mut EventLoop) -> io::Result<()> {
    green::run_on(event_loop, || {
        let listener = green::net::TcpListener::bind("127.0.0.1:0")?;
        let server = green::net::StreamServer::start(listener, |stream, _peer| {
            let _ = io::copy(&mut &stream, &mut &stream);
        });
        let served = green_clients(server.local_addr()?);
        server.stop(None);
        served
    })
    .unwrap()
}

#[test]
fn callback_clients_get_their_bytes_back() {
    check(FDS, |event_loop| {
        assert_eq!(callback_echo(event_loop), CLIENTS)
    });
}

#[test]
fn callback_clients_get_a_prefix_of_their_bytes_or_an_error() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        callback_echo(event_loop) == CLIENTS
    });
}

/// Returns the number of clients that got all of their bytes.
fn callback_echo(event_loop: &mut EventLoop) -> usize {
    let whole = Rc::new(Cell::new(0));
    let count = Rc::clone(&whole);
    let closes = Closes::default();
    let of_server = closes.clone();
    let code = run_on(event_loop, move || {
        let of_sockets = of_server.clone();
        let server = net::create_server(move |socket| {
            of_sockets.expect(&socket);
            socket.on_error(|_, _| ());
            socket.pipe(&socket);
        });
        of_server.expect_server(&server);
        server.listen_then(("127.0.0.1", 0), move |server| {
            let port = server.port().expect("it listens");
            callback_clients(port, &count, vec![server.clone()]);
        })
    });
    assert_eq!(code.unwrap(), 0);
    closes.assert_all();
    whole.get()
}
