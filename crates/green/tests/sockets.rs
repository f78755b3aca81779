//! Green sockets: they look as if they blocked, and only their caller waits.

mod harness;

use harness::{MS, event_loop, run};
use oneloop_core::Handle;
use oneloop_green::net::{
    Addr, DatagramServer, ServerOptions, StreamServer, TcpListener, TcpStream, UdpSocket,
    UnixListener, UnixStream, wait_readable, wait_writable,
};
use oneloop_green::{Elapsed, Pool, sleep, spawn, timeout, yield_now};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write, copy, pipe};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

const ANY: (&str, u16) = ("127.0.0.1", 0);
const EBADF: Option<i32> = Some(9);

/// An echo server.
fn echo(options: ServerOptions) -> StreamServer {
    let listener = TcpListener::bind(ANY).unwrap();
    StreamServer::start_with(listener, options, |stream, _| {
        let _ = copy(&mut &stream, &mut &stream);
    })
}

fn connect(server: &StreamServer) -> TcpStream {
    TcpStream::connect(server.local_addr().unwrap()).unwrap()
}

fn ask(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn many_clients_are_served_side_by_side() {
    run(|| {
        let server = echo(ServerOptions::default());
        let clients: Vec<_> = (0..100)
            .map(|i| {
                let server = server.clone();
                spawn(move || {
                    let mut stream = connect(&server);
                    (0..3).for_each(|j| {
                        let text = format!("{i} {j}");
                        assert_eq!(ask(&mut stream, &text), text);
                    });
                })
            })
            .collect();
        clients
            .into_iter()
            .for_each(|client| client.join().unwrap());
        server.stop(None);
        assert_eq!(server.handlers().len(), 0);
    })
    .unwrap();
}

#[test]
fn lines_can_be_read_with_a_buf_reader() {
    let lines = run(|| {
        let (a, b) = UnixStream::pair().unwrap();
        let writer = spawn(move || {
            for part in ["one\ntw", "o\nthr", "ee"] {
                (&a).write_all(part.as_bytes()).unwrap();
                yield_now();
            }
        });
        let lines: Vec<_> = BufReader::new(b).lines().map(Result::unwrap).collect();
        writer.join().unwrap();
        lines
    });
    assert_eq!(lines.unwrap(), ["one", "two", "three"]);
}

#[test]
fn a_write_larger_than_the_kernels_buffers_is_written_whole() {
    const BYTES: usize = 3_000_000;
    let count = run(|| {
        let server = echo(ServerOptions::default());
        let stream = connect(&server);
        let writes = stream.clone();
        let writer = spawn(move || {
            (&writes).write_all(&vec![7; BYTES]).unwrap();
            writes.shutdown(Shutdown::Write).unwrap();
        });
        let mut bytes = Vec::new();
        (&stream).read_to_end(&mut bytes).unwrap();
        writer.join().unwrap();
        assert!(bytes.iter().all(|byte| *byte == 7));
        bytes.len()
    });
    assert_eq!(count.unwrap(), BYTES);
}

#[test]
fn closing_wakes_a_reader_and_an_acceptor_with_an_error() {
    run(|| {
        let (a, _b) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind(ANY).unwrap();
        let (reads, accepts) = (a.clone(), listener.clone());
        let reader = spawn(move || (&reads).read(&mut [0; 8]).unwrap_err());
        let acceptor = spawn(move || accepts.accept().map(|_| ()).unwrap_err());
        yield_now();
        a.close();
        listener.close();
        assert_eq!(reader.join().unwrap().raw_os_error(), EBADF);
        assert_eq!(acceptor.join().unwrap().raw_os_error(), EBADF);
        let error = (&a).write(b"late").unwrap_err();
        assert_eq!(error.raw_os_error(), EBADF);
    })
    .unwrap();
}

#[test]
fn closing_is_seen_by_the_peer_at_once() {
    run(|| {
        let (a, mut b) = UnixStream::pair().unwrap();
        let _clone = a.clone();
        a.close();
        assert_eq!(b.read(&mut [0; 8]).unwrap(), 0);
    })
    .unwrap();
}

#[test]
fn a_second_reader_is_an_error_but_a_writer_beside_it_is_not() {
    run(|| {
        let (a, b) = UnixStream::pair().unwrap();
        let reads = a.clone();
        let reader = spawn(move || {
            let mut buf = [0; 2];
            (&reads).read_exact(&mut buf).map(|()| buf)
        });
        yield_now();
        let error = (&a).read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        (&a).write_all(b"out").unwrap();
        (&b).write_all(b"in").unwrap();
        assert_eq!(&reader.join().unwrap().unwrap(), b"in");
        (&b).write_all(b"!").unwrap();
        assert_eq!((&a).read(&mut [0; 8]).unwrap(), 1, "the next one may");
    })
    .unwrap();
}

#[test]
fn a_killed_reader_has_read_nothing_and_leaves_the_socket_usable() {
    run(|| {
        let (a, b) = UnixStream::pair().unwrap();
        let reads = a.clone();
        let reader = spawn(move || (&reads).read(&mut [0; 8]));
        yield_now();
        (&b).write_all(b"kept").unwrap();
        reader.kill();
        let mut buf = [0; 8];
        assert_eq!((&a).read(&mut buf).unwrap(), 4);
    })
    .unwrap();
}

#[test]
fn reads_writes_and_accepts_time_out() {
    run(|| {
        let (a, _b) = UnixStream::pair().unwrap();
        a.set_read_timeout(Some(MS));
        let error = (&a).read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        a.set_write_timeout(Some(MS));
        let error = (&a).write_all(&vec![0; 10_000_000]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let listener = TcpListener::bind(ANY).unwrap();
        listener.set_timeout(Some(MS));
        let error = listener.accept().map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        a.set_write_timeout(None);
        let around = timeout(MS, || (&a).write(b"x").map(|_| ()));
        assert_eq!(around.unwrap_err(), Elapsed);
    })
    .unwrap();
}

#[test]
fn a_timeout_of_zero_never_waits() {
    run(|| {
        let (a, b) = UnixStream::pair().unwrap();
        let other = spawn(|| ());
        a.set_read_timeout(Some(Duration::ZERO));
        let error = (&a).read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(!other.is_finished(), "no other thread ran meanwhile");
        (&b).write_all(b"there").unwrap();
        assert_eq!((&a).read(&mut [0; 8]).unwrap(), 5);
        assert!(!other.is_finished());
        a.set_read_timeout(None);
        let reader = spawn(move || (&a).read(&mut [0; 8]).unwrap());
        sleep(MS);
        (&b).write_all(b"later").unwrap();
        assert_eq!(reader.join().unwrap(), 5);
    })
    .unwrap();
}

#[test]
fn a_server_with_a_limit_leaves_the_others_in_the_backlog() {
    run(|| {
        let server = echo(ServerOptions::at_most(2));
        let mut clients: Vec<_> = (0..3).map(|_| connect(&server)).collect();
        assert_eq!(ask(&mut clients[0], "a"), "a");
        assert_eq!(ask(&mut clients[1], "b"), "b");
        clients[2].set_read_timeout(Some(MS));
        clients[2].write_all(b"c").unwrap();
        let error = clients[2].read(&mut [0; 1]).unwrap_err();
        assert_eq!(
            (error.kind(), server.handlers().len()),
            (ErrorKind::TimedOut, 2)
        );
        clients[0].close();
        clients[2].set_read_timeout(None);
        assert_eq!(
            clients[2].read(&mut [0; 1]).unwrap(),
            1,
            "a permit was released"
        );
    })
    .unwrap();
}

#[test]
fn stop_refuses_clients_waits_for_handlers_and_kills_the_rest() {
    run(|| {
        let server = echo(ServerOptions::default());
        let addr = server.local_addr().unwrap();
        let (mut short, mut long) = (connect(&server), connect(&server));
        assert_eq!(
            (ask(&mut short, "a"), ask(&mut long, "b")),
            ("a".into(), "b".into())
        );
        let waits = server.clone();
        let waiter = spawn(move || waits.until_stopped().unwrap());
        let ends = short.clone();
        drop(spawn(move || {
            sleep(5 * MS);
            ends.close();
        }));
        server.stop(Some(10 * MS));
        assert_eq!(server.handlers().len(), 0);
        assert_eq!(long.read(&mut [0; 1]).unwrap(), 0, "its handler was killed");
        let error = TcpStream::connect(addr).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        waiter.join().unwrap();
    })
    .unwrap();
}

#[test]
fn a_handler_that_panics_ends_its_connection_only() {
    run(|| {
        let reports = Rc::new(RefCell::new(0));
        let counts = Rc::clone(&reports);
        let handle = oneloop_core::Handle::current();
        handle.on_unhandled(move |_| *counts.borrow_mut() += 1);
        let listener = TcpListener::bind(ANY).unwrap();
        let server = StreamServer::start(listener, |stream, _| {
            let mut byte = [0; 1];
            (&stream).read_exact(&mut byte).unwrap();
            assert_ne!(&byte, b"!", "a bad byte");
            (&stream).write_all(&byte).unwrap();
        });
        let mut bad = connect(&server);
        bad.write_all(b"!").unwrap();
        assert_eq!(bad.read(&mut [0; 1]).unwrap(), 0);
        assert_eq!(ask(&mut connect(&server), "a"), "a");
        assert_eq!(*reports.borrow(), 1);
    })
    .unwrap();
}

#[test]
fn two_servers_can_share_a_pool_and_datagrams_are_served_too() {
    run(|| {
        let pool = Some(Pool::new(2));
        let server = echo(ServerOptions { pool: pool.clone() });
        let (mut a, mut b) = (connect(&server), connect(&server));
        assert_eq!(
            (ask(&mut a, "a"), ask(&mut b, "b")),
            ("a".into(), "b".into())
        );
        let socket = UdpSocket::bind(ANY).unwrap();
        let (addr, answers) = (socket.local_addr().unwrap(), socket.clone());
        let options = ServerOptions { pool };
        let datagrams = DatagramServer::start_with(socket, options, move |bytes, from| {
            answers.send_to(&bytes, from).unwrap();
        });
        let client = UdpSocket::bind(ANY).unwrap();
        client.set_read_timeout(Some(MS));
        client.send_to(b"c", addr).unwrap();
        let mut buf = [0; 8];
        let error = client.recv_from(&mut buf).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "the pool is full");
        a.close();
        client.set_read_timeout(None);
        assert_eq!(client.recv_from(&mut buf).unwrap().0.bytes, 1);
        datagrams.stop(Some(MS));
        assert_eq!(b.read(&mut [0; 1]).unwrap(), 0, "the pool was emptied");
        datagrams.until_stopped().unwrap();
    })
    .unwrap();
}

#[test]
fn datagrams_and_unix_paths_work_too() {
    run(|| {
        let (a, b) = (UdpSocket::bind(ANY).unwrap(), UdpSocket::bind(ANY).unwrap());
        a.send_to(b"ping", b.local_addr().unwrap()).unwrap();
        let mut buf = [0; 16];
        let (datagram, from) = b.recv_from(&mut buf).unwrap();
        assert_eq!((datagram.bytes, from), (4, a.local_addr().unwrap()));
        b.set_read_timeout(Some(MS));
        assert_eq!(
            b.recv_from(&mut buf).unwrap_err().kind(),
            ErrorKind::TimedOut
        );

        let path = std::env::temp_dir().join(format!("oneloop-green-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let server = spawn(move || listener.accept().unwrap().0.write_all(b"hi").unwrap());
        let mut text = String::new();
        UnixStream::connect(&path)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        server.join().unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(text, "hi");
    })
    .unwrap();
}

#[test]
fn a_unix_listener_reports_the_name_that_it_is_bound_to() {
    run(|| {
        let name = format!("oneloop-green-listener-{}", std::process::id());
        let name = Addr::UnixAbstract(name.into());
        let listener = UnixListener::bind(&name).unwrap();
        assert_eq!(listener.local_addr().unwrap(), name);
    })
    .unwrap();
}

#[test]
fn a_server_on_an_address_can_be_started_from_anywhere_on_the_loop() {
    let mut event_loop = event_loop();
    let task = event_loop.handle().spawn(async {
        let server = echo(ServerOptions::default());
        let client = spawn(move || ask(&mut connect(&server), "from a task"));
        client.await.unwrap()
    });
    assert_eq!(event_loop.block_on(task).unwrap(), "from a task");
}

#[test]
fn names_are_looked_up_and_bad_ones_are_errors() {
    run(|| {
        let listener = TcpListener::bind(("localhost", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = spawn(move || TcpStream::connect(format!("localhost:{port}")));
        listener.accept().unwrap();
        client.join().unwrap().unwrap();
        let error = TcpStream::connect("nowhere").unwrap_err();
        assert_eq!(
            error.to_string(),
            "'nowhere' has no port: write nowhere:8080"
        );
    })
    .unwrap();
}

#[test]
fn any_fd_can_be_waited_for() {
    run(|| {
        let (reader, mut writer) = pipe().unwrap();
        let error = wait_readable(&reader, Some(MS)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        wait_writable(&writer, None).unwrap();
        let reader = Rc::new(reader);
        let waits = Rc::clone(&reader);
        let waiter = spawn(move || wait_readable(&*waits, None));
        let both = Rc::clone(&reader);
        let beside = spawn(move || wait_readable(&*both, None));
        yield_now();
        writer.write_all(b"x").unwrap();
        waiter.join().unwrap().unwrap();
        beside.join().unwrap().unwrap();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        wait_readable(&file, Some(MS)).unwrap();
    })
    .unwrap();
}

#[test]
fn a_dropped_loop_ends_even_a_drop_that_writes() {
    struct Farewell(UnixStream);
    impl Drop for Farewell {
        fn drop(&mut self) {
            let failed = self.0.read(&mut [0; 8]).unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::NotConnected);
        }
    }
    let thread = run(|| {
        let (a, b) = UnixStream::pair().unwrap();
        let thread = spawn(move || {
            let _b = b;
            let _farewell = Farewell(a);
            sleep(MS);
        });
        yield_now();
        thread.thread().clone()
    });
    assert!(thread.unwrap().is_finished());
}

/// Cancels the task of the green thread with that name.
fn cancel_task_named(name: &str) {
    let handle = Handle::current();
    let tasks = handle.dump_tasks();
    let task = tasks.iter().find(|task| task.what.contains(name));
    handle.cancel_task(task.expect("it runs").key);
}

#[test]
fn a_server_whose_acceptor_is_killed_stops_and_every_waiter_gets_the_reason() {
    run(|| {
        let server = echo(ServerOptions::default());
        let addr = server.local_addr().unwrap();
        let waits: Vec<_> = (0..2)
            .map(|_| {
                let server = server.clone();
                spawn(move || server.until_stopped().unwrap_err().to_string())
            })
            .collect();
        yield_now();
        cancel_task_named("acceptor");
        for waits in waits {
            let said = waits.join().unwrap();
            assert!(said.contains("the green thread was canceled"), "{said}");
        }
        let refused = TcpStream::connect(addr).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    })
    .unwrap();
}

#[test]
fn a_datagram_server_whose_receiver_is_killed_stops_with_the_reason() {
    run(|| {
        let server = DatagramServer::start(UdpSocket::bind(ANY).unwrap(), |_, _| ());
        yield_now();
        cancel_task_named("receiver");
        let said = server.until_stopped().unwrap_err().to_string();
        assert!(said.contains("the green thread was canceled"), "{said}");
    })
    .unwrap();
}

#[test]
fn a_server_that_is_stopped_has_no_error() {
    run(|| {
        let server = echo(ServerOptions::default());
        yield_now();
        server.stop(None);
        server.until_stopped().unwrap();
    })
    .unwrap();
}

#[test]
fn a_line_that_a_timeout_interrupts_continues_with_the_next_call() {
    run(|| {
        let (mut client, server) = UnixStream::pair().unwrap();
        let mut lines = server.lines(80);
        client.write_all(b"one\r\ntw").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "one");
        assert_eq!(timeout(MS, || lines.next().is_none()), Err(Elapsed));
        server.set_read_timeout(Some(MS));
        let error = lines.next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // The same thread writes the rest, through another reference to the same stream.
        client.write_all(b"o\n").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "two");
        (&server).write_all(b"answer").unwrap();
        client.read_exact(&mut [0; 6]).unwrap();
        client.close();
        assert!(lines.next().is_none());
    })
    .unwrap();
}
