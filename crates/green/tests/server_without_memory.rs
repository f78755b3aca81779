//! Without memory for a handler's stack, a server sheds the client, and continues. In its own file,
//! as it limits the whole process.

use oneloop_green::net::{DatagramServer, StreamServer, TcpListener, TcpStream, UdpSocket};
use oneloop_green::{Builder, JoinHandle, Wait, eventlet, run, sleep, spawn, yield_now};
use oneloop_sync::Event;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::time::Duration;

const ANY: (&str, u16) = ("127.0.0.1", 0);

/// Starts green threads that hold the whole address space until the event, so that no other stack
/// fits.
fn take_all_memory(released: &Event) -> Vec<JoinHandle<()>> {
    let mut threads = Vec::with_capacity(1 << 14);
    for stack_bytes in [16 << 20, 1 << 20, oneloop_green::STACK_BYTES, 0] {
        let hold = || {
            let released = released.clone();
            let hold = move || released.until_set().wait();
            Builder::new().stack_bytes(stack_bytes).spawn(hold).ok()
        };
        threads.extend(std::iter::from_fn(hold));
    }
    threads
}

#[test]
fn without_memory_for_a_stack_a_client_is_shed_and_the_next_one_is_served() {
    let limit = Rlimit {
        current: Some(1 << 30),
        maximum: Some(1 << 30),
    };
    setrlimit(Resource::As, limit).unwrap();
    run(|| {
        let listener = TcpListener::bind(ANY).unwrap();
        let addr = listener.local_addr().unwrap();
        let server = StreamServer::start(listener, |stream, _| {
            let _ = std::io::copy(&mut &stream, &mut &stream);
        });
        let socket = UdpSocket::bind(ANY).unwrap();
        let datagrams_addr = socket.local_addr().unwrap();
        let answers = socket.clone();
        let datagrams = DatagramServer::start(socket, move |bytes, from| {
            answers.send_to(&bytes, from).unwrap();
        });
        let asker = UdpSocket::bind(ANY).unwrap();
        let listener = TcpListener::bind(ANY).unwrap();
        let eventlet_addr = listener.local_addr().unwrap();
        let eventlet = spawn(move || {
            eventlet::serve(&listener, 10, |mut stream, _| {
                let _ = stream.write_all(b"served");
                ControlFlow::Break(())
            })
        });
        let closes = StreamServer::start(TcpListener::bind(ANY).unwrap(), |_, _| ());
        let closes_addr = closes.local_addr().unwrap();
        yield_now();

        let released = Event::new();
        let holders = take_all_memory(&released);
        for shed in 1..=5 {
            let mut client = TcpStream::connect(addr).unwrap();
            assert!(matches!(client.read(&mut [0]), Ok(0)), "it is closed");
            asker.send_to(b"lost", datagrams_addr).unwrap();
            while datagrams.stats().shed < shed {
                sleep(Duration::from_millis(1));
            }
            assert_eq!(server.stats().unwrap().shed, shed);
        }
        // The server retries at once after the first shortage, and pauses after each later one.
        let stats = server.stats().unwrap();
        assert_eq!((stats.accepted, stats.pauses), (0, 4));
        assert_eq!(datagrams.stats().pauses, 4);
        let mut client = TcpStream::connect(eventlet_addr).unwrap();
        assert!(matches!(client.read(&mut [0]), Ok(0)), "it is closed");
        let refused = StreamServer::start(TcpListener::bind(ANY).unwrap(), |_, _| ());
        let error = refused.until_stopped().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);

        while closes.stats().unwrap().pauses < 4 {
            let mut client = TcpStream::connect(closes_addr).unwrap();
            assert!(matches!(client.read(&mut [0]), Ok(0)), "it is closed");
        }
        closes.close(); // in a pause of 80 ms
        yield_now();
        let error = TcpStream::connect(closes_addr).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);

        released.set();
        for holder in holders {
            holder.join().unwrap();
        }
        let mut client = TcpStream::connect(addr).unwrap();
        client.write_all(b"hello").unwrap();
        let mut answer = [0; 5];
        client.read_exact(&mut answer).unwrap();
        asker.send_to(b"world", datagrams_addr).unwrap();
        asker.recv_from(&mut answer).unwrap();
        assert_eq!(&answer, b"world");
        assert_eq!(server.stats().unwrap().accepted, 1);
        let mut client = TcpStream::connect(eventlet_addr).unwrap();
        let mut served = String::new();
        client.read_to_string(&mut served).unwrap();
        assert_eq!(served, "served");
        eventlet.join().unwrap().unwrap();
    })
    .unwrap();
}
