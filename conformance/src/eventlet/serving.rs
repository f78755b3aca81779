//! Servers and their clients.

use super::{ValueError, attempt, ms, or, py, receive};
use oneloop::Handle;
use oneloop::green::net::{Shutdown, TcpListener, TcpStream};
use oneloop::green::{eventlet, sleep, spawn};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::ops::ControlFlow;

/// `eventlet.listen(('127.0.0.1', 0))`
fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// A handler that closes its connection when it returns, as `with` does.
fn handler(
    handle: impl Fn(TcpStream) -> io::Result<()>,
) -> impl Fn(TcpStream, SocketAddr) -> ControlFlow<()> {
    move |stream, _peer| {
        handle(stream).expect("the client is there");
        ControlFlow::Continue(())
    }
}

pub(super) fn echo_server() -> io::Result<()> {
    fn echo(mut stream: TcpStream) -> io::Result<()> {
        loop {
            let text = receive(&stream)?;
            if text.is_empty() {
                break;
            }
            stream.write_all(text.to_uppercase().as_bytes())?;
        }
        println!("a connection ended");
        Ok(())
    }
    fn client(addr: SocketAddr, name: &str, wait_ms: u64) -> io::Result<()> {
        let mut stream = TcpStream::connect(addr)?;
        for number in [1, 2] {
            write!(stream, "{name}{number}")?;
            println!("{name} got {}", receive(&stream)?);
            sleep(ms(wait_ms));
        }
        drop(stream);
        println!("{name} is done");
        Ok(())
    }
    let (listener, addr) = listen()?;
    let serves = listener.clone();
    let server = spawn(move || eventlet::serve(&serves, 1000, handler(echo)));
    let first = spawn(move || client(addr, "slow", 100));
    sleep(ms(20));
    let second = spawn(move || client(addr, "quick", 20));
    first.join().expect("it does not panic")?;
    second.join().expect("it does not panic")?;
    sleep(ms(20));
    eventlet::kill(&server);
    listener.close();
    let refused = TcpStream::connect(addr).map_err(|error| error.kind());
    if refused.err() == Some(io::ErrorKind::ConnectionRefused) {
        println!("closed: refused");
    }
    Ok(())
}

pub(super) fn stop_serve() -> io::Result<()> {
    fn handle(mut stream: TcpStream, _peer: SocketAddr) -> ControlFlow<()> {
        let command = receive(&stream).expect("the client is there");
        println!("handler got {command}");
        match command.as_str() {
            "stop" => return ControlFlow::Break(()),
            "fail" => ValueError("broken").raise(),
            _ => stream.write_all(b"fine").expect("the client is there"),
        }
        ControlFlow::Continue(())
    }
    fn client(addr: SocketAddr, command: &str) -> io::Result<()> {
        let mut stream = TcpStream::connect(addr)?;
        stream.write_all(command.as_bytes())?;
        let answer = receive(&stream)?;
        println!("client got {}", or(&answer, "the end"));
        Ok(())
    }
    Handle::current().on_unhandled(|_| ());
    for last in ["stop", "fail"] {
        let (listener, addr) = listen()?;
        let serves = listener.clone();
        let server = spawn(move || attempt(|| eventlet::serve(&serves, 1000, handle)));
        client(addr, "work")?;
        client(addr, last)?;
        match server.join().expect("what it raised was caught") {
            Ok(served) => served.map(|()| println!("serve returned"))?,
            Err(error) => println!("serve raised {}", error.0),
        }
        listener.close();
    }
    Ok(())
}

pub(super) fn serve_concurrency() -> io::Result<()> {
    fn handle(mut stream: TcpStream) -> io::Result<()> {
        let name = receive(&stream)?;
        println!("{name} is served");
        stream.write_all(b"hello")?;
        receive(&stream)?;
        println!("{name} left");
        Ok(())
    }
    fn client(addr: SocketAddr, name: &str) -> io::Result<()> {
        let mut stream = TcpStream::connect(addr)?;
        println!("{name} connected");
        stream.write_all(name.as_bytes())?;
        receive(&stream)?;
        sleep(ms(200));
        Ok(())
    }
    let (listener, addr) = listen()?;
    let server = spawn(move || eventlet::serve(&listener, 2, handler(handle)));
    let clients = ["a", "b", "c", "d"].map(|name| {
        let client = spawn(move || client(addr, name));
        sleep(ms(40));
        client
    });
    for client in clients {
        client.join().expect("it does not panic")?;
    }
    sleep(ms(20));
    eventlet::kill(&server);
    println!("server dead: {}", py(server.is_finished()));
    Ok(())
}

pub(super) fn half_close() -> io::Result<()> {
    fn handle(mut stream: TcpStream) -> io::Result<()> {
        let mut received = String::new();
        stream.read_to_string(&mut received)?;
        println!("server read to the end: {received}");
        for part in ["one ", "two"] {
            stream.write_all(part.as_bytes())?;
            sleep(ms(20));
        }
        stream.shutdown(Shutdown::Write)?;
        println!("server said its end");
        let behind = stream
            .write_all(b"never sent")
            .map_err(|error| error.kind());
        if behind == Err(io::ErrorKind::BrokenPipe) {
            println!("server cannot write behind its end");
        }
        Ok(())
    }
    let (listener, addr) = listen()?;
    let server = spawn(move || eventlet::serve(&listener, 1000, handler(handle)));
    let mut client = TcpStream::connect(addr)?;
    client.write_all(b"question")?;
    client.shutdown(Shutdown::Write)?;
    println!("client said its end");
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    println!("client read to the end: {answer}");
    println!("and again: {}", or(&receive(&client)?, "the end"));
    drop(client);
    eventlet::kill(&server);
    Ok(())
}
