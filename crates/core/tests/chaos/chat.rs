//! A chat server: each line of a client reaches all others, whole, and in the order of its sender.
//! When connections break, each client gets the first lines of each sender.

use crate::harness::{BREAKS, Closes, FDS, check, check_with_failures, has_succeeded};
use oneloop::EventLoop;
use oneloop::aio::{self, TcpListener, TcpStream, timeout};
use oneloop::callback::net::{self, Socket};
use oneloop::callback::run_on;
use oneloop::green::{self, Wait};
use oneloop::sync::{Event, Mutex, Queue};
use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const CLIENTS: usize = 4;
const LINES: usize = 6;
const EXPECTED: usize = (CLIENTS - 1) * LINES;
/// Where a client is lost, the others wait for it no longer.
const WAIT_MAX: Duration = Duration::from_secs(60);

fn line(client: usize, number: usize) -> String {
    format!("{client} {number} {}", "x".repeat(number * 50))
}

/// Checks the lines that a client has got. Returns an error unless these are all.
fn check_lines(client: usize, lines: &[String]) -> io::Result<()> {
    let mut is_whole = lines.len() == EXPECTED;
    for sender in (0..CLIENTS).filter(|sender| *sender != client) {
        let prefix = format!("{sender} ");
        let of_sender = lines.iter().filter(|line| line.starts_with(&prefix));
        let of_sender: Vec<_> = of_sender.collect();
        assert!(of_sender.len() <= LINES, "{lines:?}");
        for (number, got) in of_sender.iter().enumerate() {
            let sent = line(sender, number);
            if **got != sent {
                // A connection that breaks may cut the last line.
                let is_last = number + 1 == of_sender.len();
                assert!(is_last && sent.starts_with(got.as_str()), "{lines:?}");
                is_whole = false;
            }
        }
    }
    match is_whole {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[test]
fn async_lines_reach_all_others() {
    check(FDS, |event_loop| event_loop.block_on(async_chat()).unwrap());
}

#[test]
fn async_lines_reach_others_until_a_connection_breaks() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        has_succeeded(event_loop.block_on(async_chat()))
    });
}

/// Returns the first error of a client.
async fn async_chat() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let server = aio::spawn(async move {
        let outboxes = Rc::new(RefCell::new(Vec::new()));
        let complete = Event::new();
        let mut members = Vec::new();
        for number in 0..CLIENTS {
            let Ok(accepted) = timeout(WAIT_MAX, listener.accept()).await else {
                break; // a listener that lacks fds closes the connections that wait
            };
            let stream = Rc::new(accepted?.0);
            let outbox = Queue::<Rc<str>>::unbounded();
            outboxes.borrow_mut().push(outbox.clone());
            let writer = Rc::clone(&stream);
            members.push(aio::spawn(async move {
                for _ in 0..EXPECTED {
                    writer.write_all(outbox.get().await.as_bytes()).await?;
                }
                io::Result::Ok(())
            }));
            let (outboxes, complete) = (Rc::clone(&outboxes), complete.clone());
            members.push(aio::spawn(async move {
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
            }));
        }
        complete.set();
        io::Result::Ok(members)
    });
    let clients = aio::join_all((0..CLIENTS).map(|number| async_client(addr, number))).await;
    for member in server.await.unwrap()? {
        member.cancel(); // its client may have been lost
        let _: Result<io::Result<()>, _> = member.await;
    }
    clients.into_iter().collect()
}

async fn async_client(addr: SocketAddr, client: usize) -> io::Result<()> {
    let stream = TcpStream::connect(addr).await?;
    for number in 0..LINES {
        let text = line(client, number) + "\n";
        stream.write_all(text.as_bytes()).await?;
    }
    let mut got = Vec::new();
    let mut lines = stream.lines(1000);
    while got.len() < EXPECTED
        && let Ok(Ok(Some(line))) = timeout(WAIT_MAX, lines.next()).await
    {
        got.push(line.to_owned());
    }
    check_lines(client, &got)
}

/// A client of the green server, locked while a line is written.
type Member = Mutex<Rc<green::net::TcpStream>>;

#[test]
fn green_lines_reach_all_others() {
    check(FDS, |event_loop| green_chat(event_loop).unwrap());
}

#[test]
fn green_lines_reach_others_until_a_connection_breaks() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        has_succeeded(green_chat(event_loop))
    });
}

/// As [`async_chat`].
fn green_chat(event_loop: &mut EventLoop) -> io::Result<()> {
    use green::net::{StreamServer, TcpListener};
    let ran = green::run_on(event_loop, || {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let members = Rc::new(RefCell::new(Vec::<Member>::new()));
        let complete = Event::new();
        let server = StreamServer::start(listener, move |stream, _peer| {
            let stream = Rc::new(stream);
            members.borrow_mut().push(Mutex::new(Rc::clone(&stream)));
            if members.borrow().len() == CLIENTS {
                complete.set();
            }
            let _ = complete.until_set().wait_timeout(WAIT_MAX);
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
        });
        let addr = server.local_addr()?;
        let clients = (0..CLIENTS).map(|number| green::spawn(move || green_client(addr, number)));
        let clients: Vec<_> = clients.collect();
        let ended = clients.into_iter().map(|client| client.join().unwrap());
        let ended: Vec<io::Result<()>> = ended.collect();
        server.stop(None);
        ended.into_iter().collect()
    });
    ran.unwrap()
}

fn green_client(addr: SocketAddr, client: usize) -> io::Result<()> {
    let stream = green::net::TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(2 * WAIT_MAX));
    for number in 0..LINES {
        writeln!(&stream, "{}", line(client, number))?;
    }
    let lines = BufReader::new(&stream).lines().take(EXPECTED);
    let lines: Vec<_> = lines.map_while(Result::ok).collect();
    check_lines(client, &lines)
}

#[test]
fn callback_lines_reach_all_others() {
    check(FDS, |event_loop| {
        assert_eq!(callback_chat(event_loop), CLIENTS)
    });
}

#[test]
fn callback_lines_reach_others_until_a_connection_breaks() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        callback_chat(event_loop) == CLIENTS
    });
}

/// Returns the number of clients that got all lines.
fn callback_chat(event_loop: &mut EventLoop) -> usize {
    let (done, closes) = (Rc::new(Cell::new(0)), Closes::default());
    let (count, of_sockets) = (Rc::clone(&done), closes.clone());
    let code = run_on(event_loop, move || {
        let members = Rc::new(RefCell::new(Vec::<Socket>::new()));
        let (of_members, early) = (of_sockets.clone(), Rc::new(RefCell::new(Vec::new())));
        let server = net::create_server(move |socket| {
            of_members.expect(&socket);
            end_after_failures(&socket);
            let (all, early_lines) = (Rc::clone(&members), Rc::clone(&early));
            socket.on_lines(1000, move |sender, line| {
                if all.borrow().len() < CLIENTS {
                    early_lines.borrow_mut().push((sender, line.to_owned()));
                } else {
                    tell_others(&all.borrow(), &sender, line);
                }
            });
            members.borrow_mut().push(socket);
            if members.borrow().len() == CLIENTS {
                for (sender, line) in early.take() {
                    tell_others(&members.borrow(), &sender, &line);
                }
            }
        });
        of_sockets.expect_server(&server);
        server.listen_then(("127.0.0.1", 0), move |server| {
            let port = server.port().expect("it listens");
            let open = Rc::new(Cell::new(CLIENTS));
            for number in 0..CLIENTS {
                let client = callback_client(port, number, Rc::clone(&count));
                of_sockets.expect(&client);
                let (open, server) = (Rc::clone(&open), server.clone());
                client.on_close(move |_, _| {
                    open.set(open.get() - 1);
                    if open.get() == 0 {
                        server.close();
                    }
                });
            }
        })
    });
    assert_eq!(code.unwrap(), 0);
    closes.assert_all();
    done.get()
}

fn tell_others(members: &[Socket], sender: &Socket, line: &str) {
    for other in members.iter().filter(|other| *other != sender) {
        other.write(format!("{line}\n"));
    }
}

fn callback_client(port: u16, client: usize, done: Rc<Cell<usize>>) -> Socket {
    let socket = net::connect(("127.0.0.1", port)).expect("a port");
    end_after_failures(&socket);
    for number in 0..LINES {
        socket.write(line(client, number) + "\n");
    }
    let got = RefCell::new(Vec::new());
    socket.on_lines(1000, move |socket, line| {
        let mut got = got.borrow_mut();
        got.push(line.to_owned());
        if check_lines(client, &got).is_ok() {
            done.set(done.get() + 1);
            socket.end();
        }
    });
    socket
}

/// A socket whose peer is lost closes as well.
fn end_after_failures(socket: &Socket) {
    socket.on_error(|_, _| ());
    socket.set_timeout_then(WAIT_MAX, |socket| {
        socket.destroy();
    });
}
