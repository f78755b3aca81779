//! A chat server: each line of a client reaches all others, whole, and in the order of its sender.

use crate::harness::check;
use oneloop::aio::{self, TcpListener, TcpStream};
use oneloop::callback::net::{self, Server, Socket};
use oneloop::callback::run_on;
use oneloop::green::{self, Wait};
use oneloop::sync::{Event, Mutex, Queue};
use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::rc::Rc;

const CLIENTS: usize = 4;
const LINES: usize = 6;
const EXPECTED: usize = (CLIENTS - 1) * LINES;

fn line(client: usize, number: usize) -> String {
    format!("{client} {number} {}", "x".repeat(number * 50))
}

/// Checks the lines that a client has got.
fn assert_lines(client: usize, lines: &[String]) {
    assert_eq!(lines.len(), EXPECTED);
    for sender in (0..CLIENTS).filter(|sender| *sender != client) {
        let prefix = format!("{sender} ");
        let of_sender = lines.iter().filter(|line| line.starts_with(&prefix));
        let sent = (0..LINES).map(|number| line(sender, number));
        assert!(of_sender.eq(&Vec::from_iter(sent)), "{lines:?}");
    }
}

#[test]
fn async_lines_reach_all_others() {
    check(|event_loop| event_loop.block_on(async_chat()).unwrap());
}

async fn async_chat() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let server = aio::spawn(async move {
        let outboxes = Rc::new(RefCell::new(Vec::new()));
        let complete = Event::new();
        for number in 0..CLIENTS {
            let (stream, _peer) = listener.accept().await?;
            let stream = Rc::new(stream);
            let outbox = Queue::<Rc<str>>::unbounded();
            outboxes.borrow_mut().push(outbox.clone());
            let writer = Rc::clone(&stream);
            aio::spawn(async move {
                for _ in 0..EXPECTED {
                    writer.write_all(outbox.get().await.as_bytes()).await?;
                }
                io::Result::Ok(())
            });
            let (outboxes, complete) = (Rc::clone(&outboxes), complete.clone());
            aio::spawn(async move {
                complete.until_set().await;
                let mut lines = stream.lines(1000);
                while let Some(line) = lines.next().await? {
                    let line = Rc::<str>::from(format!("{line}\n"));
                    let others = outboxes.borrow().clone();
                    for (_, outbox) in others.iter().enumerate().filter(|(n, _)| *n != number) {
                        outbox.put(Rc::clone(&line)).await;
                    }
                }
                io::Result::Ok(())
            });
        }
        complete.set();
        io::Result::Ok(())
    });
    // The server numbers its clients as they connect, so these connect one after the other.
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let stream = TcpStream::connect(addr).await?;
        clients.push(aio::spawn(async_client(stream, number)));
    }
    server.await.unwrap()?;
    for client in clients {
        client.await.unwrap()?;
    }
    Ok(())
}

async fn async_client(stream: TcpStream, client: usize) -> io::Result<()> {
    for number in 0..LINES {
        let text = line(client, number) + "\n";
        stream.write_all(text.as_bytes()).await?;
    }
    let mut got = Vec::new();
    let mut lines = stream.lines(1000);
    while got.len() < EXPECTED {
        got.push(lines.next().await?.expect("more lines").to_owned());
    }
    assert_lines(client, &got);
    Ok(())
}

/// A client of the green server, locked while a line is written.
type Member = Mutex<Rc<green::net::TcpStream>>;

#[test]
fn green_lines_reach_all_others() {
    use green::net::{StreamServer, TcpListener};
    check(|event_loop| {
        let ran = green::run_on(event_loop, || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let members = Rc::new(RefCell::new(Vec::<Member>::new()));
            let complete = Event::new();
            let server = StreamServer::start(listener, {
                let complete = complete.clone();
                move |stream, _peer| {
                    let stream = Rc::new(stream);
                    members.borrow_mut().push(Mutex::new(Rc::clone(&stream)));
                    if members.borrow().len() == CLIENTS {
                        complete.set();
                    }
                    complete.until_set().wait();
                    for line in BufReader::new(&*stream).lines() {
                        let Ok(line) = line else { return };
                        let all = members.borrow().clone();
                        for member in all {
                            // The lock, as another thread's line may otherwise stand in this one.
                            let other = member.lock().wait();
                            if !Rc::ptr_eq(&other, &stream) {
                                let _ = (&**other).write_all(format!("{line}\n").as_bytes());
                            }
                        }
                    }
                }
            });
            let addr = server.local_addr().unwrap();
            let clients =
                (0..CLIENTS).map(|number| green::spawn(move || green_client(addr, number)));
            for client in Vec::from_iter(clients) {
                client.join().unwrap();
            }
            server.stop(None);
        });
        ran.unwrap();
    });
}

fn green_client(addr: SocketAddr, client: usize) {
    let stream = green::net::TcpStream::connect(addr).unwrap();
    for number in 0..LINES {
        writeln!(&stream, "{}", line(client, number)).unwrap();
    }
    let lines = BufReader::new(&stream).lines().take(EXPECTED);
    let lines: Vec<_> = lines.map(Result::unwrap).collect();
    assert_lines(client, &lines);
}

#[test]
fn callback_lines_reach_all_others() {
    check(|event_loop| {
        let done = Rc::new(Cell::new(0));
        let count = Rc::clone(&done);
        let code = run_on(event_loop, move || {
            let members = Rc::new(RefCell::new(Vec::<Socket>::new()));
            let server = net::create_server(move |socket| {
                members.borrow_mut().push(socket.clone());
                if members.borrow().len() < CLIENTS {
                    return;
                }
                for member in members.borrow().iter() {
                    let members = Rc::clone(&members);
                    member.on_lines(1000, move |sender, line| {
                        for other in members.borrow().iter().filter(|other| **other != sender) {
                            other.write(format!("{line}\n"));
                        }
                    });
                }
            });
            server.listen_then(("127.0.0.1", 0), move |server| {
                let port = server.port().expect("it listens");
                for number in 0..CLIENTS {
                    callback_client(port, number, Rc::clone(&count), server.clone());
                }
            })
        });
        assert_eq!(code.unwrap(), 0);
        assert_eq!(done.get(), CLIENTS);
    });
}

fn callback_client(port: u16, client: usize, done: Rc<Cell<usize>>, server: Server) {
    let socket = net::connect(("127.0.0.1", port)).expect("a port");
    for number in 0..LINES {
        socket.write(line(client, number) + "\n");
    }
    let got = RefCell::new(Vec::new());
    socket.on_lines(1000, move |socket, line| {
        let mut got = got.borrow_mut();
        got.push(line.to_owned());
        if got.len() == EXPECTED {
            assert_lines(client, &got);
            done.set(done.get() + 1);
            socket.end();
            if done.get() == CLIENTS {
                server.close();
            }
        }
    });
}
