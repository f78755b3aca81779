// What the messages advise: the only program of this folder that compiles.

use oneloop::callback::dgram::{self, UnixSocket};
use oneloop::callback::events::{Emitter, EmitterEvent};
use oneloop::callback::net::create_server;
use oneloop::callback::{dgram::Socket, fs, net, set_timeout, spawn_micro, stream};
use oneloop::green::{GroupMapping, Pool, Wait};
use oneloop::net::{Addr, ByteStream, Input, Output, copy, stdin, stdout};
use oneloop::signal::SIGTERM;
use oneloop::sync::Queue;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

struct Said;
impl EmitterEvent for Said {
    type Args<'a> = &'a str;
}

struct Failure;
impl std::error::Error for Failure {}
impl std::fmt::Debug for Failure {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
impl std::fmt::Display for Failure {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

fn events(udp: Socket, unix: UnixSocket) {
    let server = create_server(|socket| {
        socket.on_data(|_socket, bytes| println!("{bytes:?}"));
        socket.on(net::event::Data, |(_socket, bytes)| println!("{bytes:?}"));
        let _ = spawn_micro(async move {
            socket.end_with("hello");
        });
    });
    server.on_connection(|_socket| {});
    server.on(net::event::Connection, |_| {});
    udp.on_message(|_socket, _bytes, _from| {});
    udp.on(dgram::event::Message, |_| {});
    unix.on_message(|_socket, _message| {});
    unix.on(dgram::event::MessageReceived, |_| {});
    let log = fs::create_read_stream("log");
    log.on_data(|_stream, bytes| println!("{bytes:?}"));
    log.on(stream::event::Data, |_| {});
    Emitter::new().on(Said, |text| println!("{text}"));
}

fn callbacks() {
    set_timeout(|| Err::<(), _>(Failure), 100);
    let queue = Queue::unbounded();
    set_timeout(move || assert!(queue.try_put("tea").is_ok()), 100);
    set_timeout(|| {}, Duration::from_secs(1));
}

fn inspect(_: impl ByteStream) {}

async fn sockets() -> std::io::Result<()> {
    oneloop::aio::TcpListener::bind("127.0.0.1:8080")?;
    oneloop::aio::TcpListener::bind("0.0.0.0:8080")?;
    oneloop::aio::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))?;
    oneloop::aio::TcpStream::connect(("localhost", 8080)).await?;
    oneloop::aio::UnixDatagram::bind("/run/echo.sock")?;
    oneloop::aio::UnixDatagram::bind(Addr::UnixPath("/run/echo.sock".into()))?;
    copy(&stdin()?, &stdout()?).await?;
    let socket = TcpStream::connect("127.0.0.1:8080")?;
    let (input, output) = (socket.try_clone()?, socket.try_clone()?);
    copy(
        &Input::from_fd(input.into())?,
        &Output::from_fd(output.into())?,
    )
    .await?;
    inspect(oneloop::net::Socket::from_fd(socket.into())?);
    Ok(())
}

fn green_threads() {
    oneloop::Handle::current()
        .sleep(Duration::from_secs(1))
        .wait();
    Pool::new(10).map(0..100, |n| n * n);
    oneloop::green::spawn(|| 5);
}

fn main() {
    let _ = (events, callbacks, sockets, green_threads, SIGTERM);
}
