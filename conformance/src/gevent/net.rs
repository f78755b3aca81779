//! Sockets and servers.

use super::{LONG, ms, truth};
use oneloop::green::net::{
    DatagramServer, ServerOptions, StreamServer, TcpListener, TcpStream, UdpSocket, UnixStream,
    wait_readable, wait_writable,
};
use oneloop::green::{Pool, Wait, iwait, join_all, sleep, spawn, spawn_after, timeout, yield_now};
use oneloop::sync::Queue;
use rustix::io::{Errno, ioctl_fionbio};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::panic::catch_unwind;

/// A loopback address with a port that the kernel chooses.
const ANY: (&str, u16) = ("127.0.0.1", 0);

fn serve(handler: impl Fn(TcpStream) + 'static) -> StreamServer {
    StreamServer::start(TcpListener::bind(ANY).unwrap(), move |stream, _| {
        handler(stream)
    })
}

fn address(server: &StreamServer) -> SocketAddr {
    server.local_addr().unwrap()
}

/// `recv(100)`; "" at the end.
fn receive(mut stream: impl Read) -> io::Result<String> {
    let mut bytes = [0; 100];
    let count = stream.read(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..count]).into_owned())
}

fn or_the_end(text: String) -> String {
    if text.is_empty() {
        "the end".to_owned()
    } else {
        text
    }
}

fn name_of(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::BADF) => "EBADF",
        _ => "another error",
    }
}

pub(super) fn echo_server() {
    let server = serve(|mut stream| {
        while let Ok(text) = receive(&stream)
            && !text.is_empty()
        {
            stream.write_all(text.to_uppercase().as_bytes()).unwrap();
        }
        println!("a connection ended");
    });
    let server_address = address(&server);
    let client = |name, wait_ms| {
        spawn(move || {
            let mut stream = TcpStream::connect(server_address).unwrap();
            for number in [1, 2] {
                write!(stream, "{name}{number}").unwrap();
                println!("{name} got {}", receive(&stream).unwrap());
                sleep(ms(wait_ms));
            }
            format!("{name} is done")
        })
    };
    let first = client("slow", 100);
    sleep(ms(20));
    let second = client("quick", 20);
    for task in iwait([first, second]) {
        println!("{}", task.join().unwrap());
    }
    sleep(ms(20));
    server.stop(None);
    let refused = TcpStream::connect(server_address).unwrap_err();
    if refused.kind() == ErrorKind::ConnectionRefused {
        println!("stopped: refused");
    }
}

pub(super) fn socket_timeouts() {
    fn is_timed_out<T>(result: &io::Result<T>) -> bool {
        result
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::TimedOut)
    }
    let listener = TcpListener::bind(ANY).unwrap();
    listener.set_timeout(Some(ms(20)));
    if is_timed_out(&listener.accept()) {
        println!("accept timed out");
    }
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut connection, _) = listener.accept().unwrap();
    client.set_read_timeout(Some(ms(20)));
    for attempt in [1, 2] {
        if is_timed_out(&receive(&client)) {
            println!("recv {attempt} timed out");
        }
    }
    client.set_read_timeout(Some(LONG));
    let mut late = connection.clone();
    spawn_after(ms(20), move || late.write_all(b"late").unwrap());
    println!("recv {}", receive(&client).unwrap());
    client.set_read_timeout(Some(ms(0)));
    if receive(&client).unwrap_err().kind() == ErrorKind::WouldBlock {
        println!("with 0 it never waits");
    }
    client.set_read_timeout(None);
    if timeout(ms(20), || receive(&client)).is_err() {
        println!("a Timeout ends it as well");
    }
    client.set_write_timeout(Some(ms(20)));
    let mut sent = 0;
    let error = loop {
        match client.write(&[0; 1 << 16]) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
    };
    if error.kind() == ErrorKind::TimedOut {
        println!("send timed out after some: {}", truth(sent > 0));
    }
    let (mut received, mut buffer) = (0, [0; 1 << 16]);
    while received < sent {
        received += connection.read(&mut buffer).unwrap();
    }
    println!("all of that arrives: {}", truth(received == sent));
}

pub(super) fn close_while_reading() {
    let (a, b) = UnixStream::pair().unwrap();
    let reads = a.clone();
    let reader = spawn(move || {
        println!("reader waits");
        println!("reader failed: {}", name_of(&receive(&reads).unwrap_err()));
    });
    let peer = spawn(move || println!("peer read {}", or_the_end(receive(&b).unwrap())));
    sleep(ms(20));
    println!("close");
    a.close();
    println!("closed");
    join_all([reader, peer]);
    println!("a later recv: {}", name_of(&receive(&a).unwrap_err()));

    let listener = TcpListener::bind(ANY).unwrap();
    let accepts = listener.clone();
    let task = spawn(move || {
        println!("accept failed: {}", name_of(&accepts.accept().unwrap_err()));
    });
    sleep(ms(20));
    listener.close();
    task.join().unwrap();
}

pub(super) fn two_readers() {
    let (a, mut b) = UnixStream::pair().unwrap();
    let reader = |name| {
        let a = a.clone();
        spawn(move || match receive(&a) {
            Ok(text) => println!("{name} got {text}"),
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                println!("{name} is refused: somebody else reads");
            }
            Err(error) => println!("{name} failed: {error}"),
        })
    };
    let tasks = [reader("first"), reader("second")];
    sleep(ms(20));
    println!("write while the first reads");
    a.clone().write_all(b"from a").unwrap();
    println!("b got {}", receive(&b).unwrap());
    b.write_all(b"from b").unwrap();
    join_all(tasks);
    let third = reader("third");
    yield_now();
    third.kill();
    println!("third was killed");
    let fourth = reader("fourth");
    yield_now();
    b.write_all(b"again").unwrap();
    fourth.join().unwrap();
}

pub(super) fn server_pool() {
    let pool = Pool::new(2);
    let permits = pool.clone();
    let handle = move |mut stream: TcpStream, _| {
        let name = receive(&stream).unwrap();
        println!("{name} is served, free {}", permits.free());
        stream.write_all(b"hello").unwrap();
        receive(&stream).unwrap();
        println!("{name} left");
    };
    let options = ServerOptions {
        pool: Some(pool.clone()),
    };
    let listener = TcpListener::bind(ANY).unwrap();
    let server = StreamServer::start_with(listener, options, handle);
    let server_address = address(&server);
    let tasks = ["a", "b", "c", "d"].map(|name| {
        let task = spawn(move || {
            let mut stream = TcpStream::connect(server_address).unwrap();
            println!("{name} connected");
            stream.write_all(name.as_bytes()).unwrap();
            receive(&stream).unwrap();
            sleep(ms(200));
        });
        sleep(ms(40));
        task
    });
    join_all(tasks);
    sleep(ms(20));
    println!("in the end, free {}", pool.free());
    server.stop(None);
}

pub(super) fn server_stop() {
    let served = Queue::unbounded();
    let began = served.clone();
    let server = serve(move |mut stream| {
        let name = receive(&stream).unwrap();
        began.put(name.clone()).wait();
        let wait = ms(if name == "short" { 60 } else { 5000 });
        if catch_unwind(|| sleep(wait)).is_err() {
            println!("{name} was killed");
            return;
        }
        stream.write_all(b"bye").unwrap();
        println!("{name} was served");
    });
    let is_started = || truth(server.local_addr().is_ok());
    println!("started: {}", is_started());
    let server_address = address(&server);
    let client = move |name: &str| {
        let mut stream = TcpStream::connect(server_address)?;
        stream.write_all(name.as_bytes())?;
        receive(&stream).map(or_the_end)
    };
    let tasks = ["short", "long"].map(|name| (name, spawn(move || client(name))));
    for _ in &tasks {
        served.get().wait();
    }
    server.stop(Some(ms(100)));
    println!("stopped, started: {}", is_started());
    for (name, task) in tasks {
        println!("{name} got {}", task.join().unwrap().unwrap());
    }
    if client("late").unwrap_err().kind() == ErrorKind::ConnectionRefused {
        println!("late was refused");
    }
}

pub(super) fn half_close() {
    let server = serve(|mut stream| {
        let mut received = String::new();
        stream.read_to_string(&mut received).unwrap();
        println!("server read to the end: {received}");
        for part in ["one ", "two"] {
            stream.write_all(part.as_bytes()).unwrap();
            sleep(ms(20));
        }
        stream.shutdown(Shutdown::Write).unwrap();
        println!("server said its end");
        let error = stream.write_all(b"never sent").unwrap_err();
        if error.kind() == ErrorKind::BrokenPipe {
            println!("server cannot write behind its end");
        }
    });
    let mut client = TcpStream::connect(address(&server)).unwrap();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    println!("client said its end");
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    println!("client read to the end: {answer}");
    println!("and again: {}", or_the_end(receive(&client).unwrap()));
    drop(client);
    server.stop(None);
}

pub(super) fn datagram_server() {
    fn receive(socket: &UdpSocket) -> io::Result<String> {
        let mut bytes = [0; 100];
        let datagram = socket.recv(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..datagram.bytes]).into_owned())
    }
    let socket = UdpSocket::bind(ANY).unwrap();
    let (server_address, answers) = (socket.local_addr().unwrap(), socket.clone());
    let server = DatagramServer::start(socket, move |data, peer| {
        let text = String::from_utf8(data).unwrap();
        let got = if text.is_empty() { "nothing" } else { &text };
        println!("server got {got}");
        sleep(ms(if text == "slow" { 40 } else { 0 }));
        let answer = format!("you said {text}");
        answers.send_to(answer.as_bytes(), peer).unwrap();
    });
    let client = UdpSocket::bind(ANY).unwrap();
    client.connect(server_address).unwrap();
    client.send(b"slow").unwrap();
    client.send(b"quick").unwrap();
    for _ in 0..2 {
        println!("client got {}", receive(&client).unwrap());
    }
    client.send(b"").unwrap();
    println!("client got {}nothing", receive(&client).unwrap());
    client.set_read_timeout(Some(ms(20)));
    if receive(&client).unwrap_err().kind() == ErrorKind::TimedOut {
        println!("no more");
    }
    server.stop(None);
    println!("stopped");
}

pub(super) fn wait_read() {
    let (mut reader, mut writer) = io::pipe().unwrap();
    ioctl_fionbio(&reader, true).unwrap();
    ioctl_fionbio(&writer, true).unwrap();
    spawn(|| {
        for number in 0..2 {
            println!("tick {number}");
            sleep(ms(20));
        }
    });
    let mut writes = writer.try_clone().unwrap();
    spawn_after(ms(100), move || writes.write_all(b"hello").unwrap());
    wait_readable(&reader, None).unwrap();
    println!("readable: {}", receive(&reader).unwrap());
    if wait_readable(&reader, Some(ms(20))).is_err() {
        println!("wait_read timed out");
    }
    wait_writable(&writer, None).unwrap();
    println!("writable");
    while writer.write(&[0; 4096]).is_ok() {}
    println!("full");
    if wait_writable(&writer, Some(ms(20))).is_err() {
        println!("wait_write timed out");
    }
    // In place of `select`: a green thread for each fd.
    let is_readable = wait_readable(&reader, Some(ms(20))).is_ok();
    let is_writable = wait_writable(&writer, Some(ms(20))).is_ok();
    let (readable, writable) = (usize::from(is_readable), usize::from(is_writable));
    println!("select: readable {readable} writable {writable}");
    while reader.read(&mut [0; 4096]).is_ok() {}
    println!("empty");
    spawn_after(ms(20), move || drop(writer));
    wait_readable(&reader, None).unwrap();
    println!(
        "the end is readable: {} bytes",
        receive(&reader).unwrap().len()
    );
}
