//! Sockets, and waiting for other fds.

use super::{ms, or, py, receive};
use oneloop::core::Interest;
use oneloop::green::net::{Shutdown, TcpListener, TcpStream, UnixStream};
use oneloop::green::{Wait, eventlet, join_all, sleep, spawn, timeout};
use oneloop::sync::Semaphore;
use std::io::{self, ErrorKind, Write};
use std::rc::Rc;
use std::time::Duration;

/// The kind of error of a call that failed.
fn error_kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

pub(super) fn trampoline() -> io::Result<()> {
    #[derive(PartialEq)]
    struct TooLate;
    let (reader, writer) = io::pipe()?;
    let writer = Rc::new(writer);
    spawn(|| {
        for number in 0..2 {
            println!("tick {number}");
            sleep(ms(20));
        }
    });
    let writes = Rc::clone(&writer);
    eventlet::spawn_after(ms(100), move || (&*writes).write(b"hello"));
    eventlet::trampoline(&reader, Interest::READ, None)?;
    println!("readable: {}", receive(&reader)?);
    let too_late = eventlet::trampoline(&reader, Interest::READ, Some(ms(20)));
    if error_kind(too_late) == Some(ErrorKind::TimedOut) {
        println!("timed out");
    }
    let too_late = eventlet::trampoline(&reader, Interest::READ, Some(ms(20)));
    if too_late.map_err(|_| TooLate) == Err(TooLate) {
        println!("timed out with my own");
    }
    eventlet::trampoline(&*writer, Interest::WRITE, Some(ms(500)))?;
    println!("writable");
    let both = eventlet::trampoline(&reader, Interest::BOTH, None);
    if error_kind(both) == Some(ErrorKind::InvalidInput) {
        println!("both directions at once are refused");
    }
    eventlet::spawn_after(ms(20), || drop(writer));
    eventlet::trampoline(&reader, Interest::READ, None)?;
    println!("the end is readable: {} bytes", receive(&reader)?.len());
    Ok(())
}

pub(super) fn socket_timeouts() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_timeout(Some(ms(20)));
    if error_kind(listener.accept()) == Some(ErrorKind::TimedOut) {
        println!("accept timed out");
    }
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut connection, _peer) = listener.accept()?;
    client.set_read_timeout(Some(ms(20)));
    for attempt in [1, 2] {
        if error_kind(receive(&client)) == Some(ErrorKind::TimedOut) {
            println!("recv {attempt} timed out");
        }
    }
    client.set_read_timeout(Some(ms(1000)));
    let mut sends = connection.clone();
    eventlet::spawn_after(ms(20), move || sends.write_all(b"late"));
    println!("recv {}", receive(&client)?);
    client.set_read_timeout(Some(Duration::ZERO));
    if error_kind(receive(&client)) == Some(ErrorKind::WouldBlock) {
        println!("with 0 it never waits");
    }
    client.set_read_timeout(None);
    if timeout(ms(20), || receive(&client)).is_err() {
        println!("a Timeout ends it as well");
    }
    client.set_write_timeout(Some(ms(20)));
    let mut sent = 0;
    let stuck = loop {
        match client.write(&[0; 1 << 16]) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
    };
    if stuck.kind() == ErrorKind::TimedOut {
        println!("send timed out after some: {}", py(sent > 0));
    }
    let mut received = 0;
    let mut buf = [0; 1 << 16];
    while received < sent {
        received += io::Read::read(&mut connection, &mut buf)?;
    }
    println!("all of that arrives: {}", py(received == sent));
    Ok(())
}

pub(super) fn second_read() -> io::Result<()> {
    fn reader(a: &UnixStream, name: &str) {
        match receive(a) {
            Ok(text) => println!("{name} got {text}"),
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                println!("{name} is refused: somebody else reads");
            }
            Err(error) => panic!("{name} failed: {error}"),
        }
    }
    let (mut a, mut b) = UnixStream::pair()?;
    let reads = a.clone();
    let spawn_reader = move |name| {
        let reads = reads.clone();
        spawn(move || reader(&reads, name))
    };
    let threads = ["first", "second"].map(&spawn_reader);
    sleep(ms(20));
    println!("write while the first reads");
    a.write_all(b"from a")?;
    println!("b got {}", receive(&b)?);
    b.write_all(b"from b")?;
    join_all(threads);
    let victim = spawn_reader("third");
    sleep(Duration::ZERO);
    eventlet::kill(&victim);
    println!("third was killed");
    let thread = spawn_reader("fourth");
    sleep(Duration::ZERO);
    b.write_all(b"again")?;
    join_all([thread]);

    // In place of `hub_prevent_multiple_readers(False)`: threads that share a socket take turns.
    let turn = Semaphore::new(1);
    let threads = ["fifth", "sixth"].map(|name| {
        let (a, turn) = (a.clone(), turn.clone());
        spawn(move || {
            let _permit = turn.acquire().wait();
            reader(&a, name);
        })
    });
    sleep(Duration::ZERO);
    for text in ["one", "two"] {
        b.write_all(text.as_bytes())?;
        sleep(ms(20));
    }
    join_all(threads);
    println!("allowed, they read in turn");
    Ok(())
}

pub(super) fn close_while_reading() -> io::Result<()> {
    /// Prints that the reader ends, also when it is killed.
    struct Ends;
    impl Drop for Ends {
        fn drop(&mut self) {
            println!("reader ends");
        }
    }
    fn reader(from: &UnixStream) -> io::Result<()> {
        let _ends = Ends;
        println!("read {}", or(&receive(from)?, "the end"));
        Ok(())
    }
    let (a, b) = UnixStream::pair()?;
    let reads = a.clone();
    let thread = spawn(move || reader(&reads));
    sleep(ms(20));
    eventlet::close(&a);
    println!("closed");
    sleep(ms(40));
    println!("the reader still waits: {}", py(!thread.is_finished()));
    println!("the peer reads {}", or(&receive(&b)?, "the end"));
    eventlet::kill(&thread);
    if receive(&a).is_err() {
        println!("a later recv fails");
    }

    let (a, b) = UnixStream::pair()?;
    let reads = a.clone();
    let thread = spawn(move || reader(&reads));
    sleep(ms(20));
    a.shutdown(Shutdown::Both)?;
    println!("shut down");
    thread.join().expect("it does not panic")?;
    println!("the peer reads {}", or(&receive(&b)?, "the end"));
    Ok(())
}
