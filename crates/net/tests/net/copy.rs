//! Copies between real sockets, pipes and files deliver every byte in order, whatever happens
//! meanwhile.

use oneloop::net::{
    AsSource, ByteStream, Copying, PipeReader, ReadHalf, Relay, RelayError, SendingFile, Side,
    Socket, UnixStream, WriteHalf, copy, pipe, relay, send_file,
};
use oneloop::{EventLoop, Handle};
use rustix::io::Errno;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::pin::pin;
use std::sync::LazyLock;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

/// More bytes than sockets and pipes hold, so that both sides have to wait.
const MANY: usize = 20_000_000;

/// Bytes that show a lost, repeated or moved piece: words of seven bytes, each with its own number.
fn pattern(bytes: usize) -> Vec<u8> {
    static MOST: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut all = Vec::with_capacity(MANY + 7);
        for word in 0..MANY.div_ceil(7) {
            all.extend_from_slice(&word.to_le_bytes()[..7]);
        }
        all
    });
    MOST[..bytes].to_vec()
}

/// A connection with one end on the loop, and the other for a thread that blocks.
fn tcp() -> (Socket, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let outside = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (inside, _) = listener.accept().unwrap();
    inside.set_nonblocking(true).unwrap();
    (Socket::from_fd(inside.into()).unwrap(), outside)
}

fn unix() -> (UnixStream, std::os::unix::net::UnixStream) {
    let (inside, outside) = UnixStream::pair().unwrap();
    (inside, into_blocking(outside))
}

fn into_blocking(stream: UnixStream) -> std::os::unix::net::UnixStream {
    let fd = rustix::io::dup(stream.socket()).unwrap();
    drop(stream);
    let stream = std::os::unix::net::UnixStream::from(fd);
    stream.set_nonblocking(false).unwrap();
    stream
}

fn run<F: Future>(make: impl FnOnce(Handle) -> F) -> F::Output {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    event_loop.block_on(make(handle))
}

/// Checks that the bytes written to the feeder arrive at the sink; both are outside the loop.
fn check_copy<R, W>(
    from: &R,
    to: W,
    mut feeder: impl Write + Send + 'static,
    mut sink: impl Read + Send + 'static,
) -> impl Future<Output = ()>
where
    R: ReadHalf,
    W: WriteHalf,
{
    let feeder = thread::spawn(move || feeder.write_all(&pattern(MANY)).unwrap());
    let sink = thread::spawn(move || {
        let mut received = Vec::new();
        sink.read_to_end(&mut received).unwrap();
        received
    });
    async move {
        assert_eq!(copy(from, &to).await.unwrap(), MANY as u64);
        to.end().unwrap();
        drop(to);
        feeder.join().unwrap();
        assert!(
            sink.join().unwrap() == pattern(MANY),
            "other bytes came out"
        );
    }
}

#[test]
fn sockets_are_copied_to_sockets() {
    run(|_| async move {
        let (from, feeder) = tcp();
        let (to, sink) = tcp();
        check_copy(&from, to, feeder, sink).await;
        let (from, feeder) = unix();
        let (to, sink) = unix();
        check_copy(&from, to, feeder, sink).await;
    });
}

#[test]
fn sockets_are_copied_to_pipes_and_back() {
    run(|_| async move {
        let (from, feeder) = tcp();
        let (sink, to) = io::pipe().unwrap();
        let to = oneloop::net::PipeWriter::from_fd(to.into()).unwrap();
        check_copy(&from, to, feeder, sink).await;
        let (from, feeder) = io::pipe().unwrap();
        let from = PipeReader::from_fd(from.into()).unwrap();
        let (to, sink) = tcp();
        check_copy(&from, to, feeder, sink).await;
    });
}

/// A stream that transforms the bytes of its fd, so that the kernel may not copy them by itself.
struct Masked<S>(S);

impl<S: ReadHalf> ReadHalf for Masked<S> {
    fn read_once(&self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read_once(buf)?;
        buf[..count].iter_mut().for_each(|byte| *byte ^= 0x55);
        Ok(count)
    }
}

impl<S: AsSource> AsSource for Masked<S> {
    fn source(&self) -> &oneloop::core::Source {
        self.0.source()
    }
}

#[test]
fn a_stream_that_transforms_its_bytes_is_copied_through_its_own_functions() {
    run(|_| async move {
        let (from, mut feeder) = tcp();
        let masked: Vec<u8> = pattern(MANY).into_iter().map(|byte| byte ^ 0x55).collect();
        let feeder = thread::spawn(move || feeder.write_all(&masked).unwrap());
        let (to, mut sink) = tcp();
        let sink = thread::spawn(move || {
            let mut received = Vec::new();
            sink.read_to_end(&mut received).unwrap();
            received
        });
        assert_eq!(copy(&Masked(from), &to).await.unwrap(), MANY as u64);
        drop(to);
        feeder.join().unwrap();
        assert!(sink.join().unwrap() == pattern(MANY));
    });
}

#[test]
fn a_copy_that_rests_loses_nothing() {
    run(|handle| async move {
        let (from, mut feeder) = tcp();
        let (to, mut sink) = tcp();
        let feeder = thread::spawn(move || feeder.write_all(&pattern(MANY)).unwrap());
        let mut copying = Copying::new();
        // Until the target has no room, so that the copy holds bytes.
        poll_fn(|cx| match copying.poll(cx, &from, &to) {
            Poll::Pending
                if copying.held() > 0 && !to.source().is_ready(oneloop::core::Direction::Write) =>
            {
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(ended) => panic!("{ended:?}"),
        })
        .await;
        let (held, copied) = (copying.held(), copying.copied());
        assert!(held > 0 && copied > 0);
        handle.sleep(std::time::Duration::from_millis(1)).await; // other tasks get a turn
        assert_eq!((copying.held(), copying.copied()), (held, copied));
        let sink = thread::spawn(move || {
            let mut received = Vec::new();
            sink.read_to_end(&mut received).unwrap();
            received
        });
        let all = poll_fn(|cx| copying.poll(cx, &from, &to)).await.unwrap();
        assert_eq!((all, copying.held()), (MANY as u64, 0));
        drop(to);
        feeder.join().unwrap();
        assert!(sink.join().unwrap() == pattern(MANY));
    });
}

#[test]
fn an_ended_copy_still_writes_what_it_holds() {
    run(|handle| async move {
        let (from, feeder) = unix();
        let (to, sink) = unix();
        feeder.set_nonblocking(true).unwrap();
        let fill = |cx: &mut Context<'_>, copying: &mut Copying| {
            while (&feeder).write(&[7; 4096]).is_ok() {}
            copying.poll(cx, &from, &to)
        };
        let mut copying = Copying::new();
        while copying.held() == 0 {
            handle.sleep(std::time::Duration::ZERO).await;
            let polled = poll_fn(|cx| Poll::Ready(fill(cx, &mut copying))).await;
            assert!(polled.is_pending());
        }
        let owed = copying.copied() + copying.held() as u64;
        copying.end();
        let sink = thread::spawn(move || {
            let mut received = Vec::new();
            (&sink).read_to_end(&mut received).unwrap();
            received.len() as u64
        });
        let copied = poll_fn(|cx| copying.poll(cx, &from, &to)).await.unwrap();
        assert_eq!(copied, owed);
        drop(to);
        assert_eq!(sink.join().unwrap(), owed);
    });
}

#[test]
fn a_copy_whose_reader_is_gone_is_a_broken_pipe() {
    run(|_| async move {
        let (from, feeder) = unix();
        let (reader, to) = pipe().unwrap();
        drop(reader);
        (&feeder).write_all(b"hello").unwrap();
        let error = copy(&from, &to).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_relay_forwards_the_end_of_each_side() {
    run(|_| async move {
        let (first, client) = tcp();
        let (second, server) = tcp();
        let client = thread::spawn(move || {
            (&client).write_all(b"question").unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            io::read_to_string(&client).unwrap()
        });
        let server = thread::spawn(move || {
            // The read ends because the relay forwards the client's end.
            let question = io::read_to_string(&server).unwrap();
            (&server).write_all(b"answer").unwrap();
            question
        });
        let relayed = relay(&first, &second).await.unwrap();
        assert_eq!((relayed.there, relayed.back), (8, 6));
        assert_eq!(server.join().unwrap(), "question");
        assert_eq!(client.join().unwrap(), "answer");
    });
}

/// True if the end has come. Waits for it only where it must come.
fn has_end(mut peer: &std::net::TcpStream, must_come: bool) -> bool {
    peer.set_nonblocking(!must_come).unwrap();
    match peer.read(&mut [0; 8]) {
        Ok(count) => count == 0,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            false
        }
    }
}

#[test]
fn a_relay_before_a_close_leaves_the_last_end_to_it() {
    run(|_| async move {
        let (first, client) = tcp();
        let (second, server) = tcp();
        let mut relay = Relay::new().before_close();
        server.shutdown(std::net::Shutdown::Write).unwrap();
        let relaying = |cx: &mut Context<'_>| relay.poll(cx, Side::of(&first), Side::of(&second));
        let mut relaying = pin!(poll_fn(relaying));
        while !has_end(&client, false) {
            let pause = Handle::current().timeout(Duration::from_millis(1), relaying.as_mut());
            pause.await.unwrap_err();
        }
        client.shutdown(std::net::Shutdown::Write).unwrap();
        relaying.await.unwrap();
        assert!(relay.there().is_complete() && relay.back().is_complete());
        assert!(!has_end(&server, false), "it comes with the close");
        drop(second);
        assert!(has_end(&server, true));
    });
}

#[test]
fn a_relay_that_is_stopped_before_a_close_sends_both_ends() {
    run(|_| async move {
        let (first, client) = tcp();
        let (second, server) = tcp();
        let mut relay = Relay::new().before_close();
        relay.back_mut().end();
        relay.there_mut().end();
        poll_fn(|cx| relay.poll(cx, Side::of(&first), Side::of(&second)))
            .await
            .unwrap();
        assert!(!relay.there().is_complete() && !relay.back().is_complete());
        assert!(has_end(&client, true) && has_end(&server, true));
    });
}

#[test]
fn a_relay_moves_many_bytes_both_ways_at_once() {
    run(|_| async move {
        let (first, client) = tcp();
        let (second, server) = tcp();
        let ends = [client, server].map(|end| {
            let writing = end.try_clone().unwrap();
            thread::spawn(move || {
                let writer = thread::spawn(move || {
                    (&writing).write_all(&pattern(MANY)).unwrap();
                    writing.shutdown(std::net::Shutdown::Write).unwrap();
                });
                let mut received = Vec::new();
                (&end).read_to_end(&mut received).unwrap();
                writer.join().unwrap();
                received == pattern(MANY)
            })
        });
        let relayed = relay(&first, &second).await.unwrap();
        assert_eq!((relayed.there, relayed.back), (MANY as u64, MANY as u64));
        assert!(ends.into_iter().all(|end| end.join().unwrap()));
    });
}

#[test]
fn a_side_that_answers_and_closes_before_it_has_read_its_input_delivers_its_answer() {
    run(|_| async move {
        let (first, client) = tcp();
        let (inside, mut stdin) = io::pipe().map(|(r, w)| (w, r)).unwrap();
        let to = oneloop::net::PipeWriter::from_fd(inside.into()).unwrap();
        let (from, mut stdout) = io::pipe().unwrap();
        let from = PipeReader::from_fd(from.into()).unwrap();
        let (tell, has_received) = mpsc::channel();
        let client = thread::spawn(move || {
            let writing = client.try_clone().unwrap();
            let writer = thread::spawn(move || (&writing).write_all(&pattern(MANY)));
            let mut received = vec![0; 500_000];
            (&client).read_exact(&mut received).unwrap();
            tell.send(()).unwrap();
            drop(client);
            drop(writer.join().unwrap());
            received == pattern(500_000)
        });
        let program = thread::spawn(move || {
            stdin.read_exact(&mut [0; 10]).unwrap();
            drop(stdin); // it reads no more
            stdout.write_all(&pattern(500_000)).unwrap();
        });
        let mut relay = Relay::new();
        let ended = poll_fn(|cx| {
            let second = Side {
                from: &from,
                to: Some(&to),
            };
            relay.poll(cx, Side::of(&first), second)
        });
        let error = ended.await.unwrap_err();
        assert!(matches!(&error, RelayError::Second(e) if e.kind() == io::ErrorKind::BrokenPipe));
        assert_eq!(relay.back().copied(), 500_000);
        has_received.recv().unwrap(); // a close with unread input would reset the connection
        drop(first);
        program.join().unwrap();
        assert!(client.join().unwrap());
    });
}

/// A stream whose writes the kernel refuses, or whose end it does.
struct Failing {
    socket: Socket,
    write: Option<Errno>,
    end: Option<Errno>,
}

impl AsSource for Failing {
    fn source(&self) -> &oneloop::core::Source {
        self.socket.source()
    }
}

impl WriteHalf for Failing {
    fn write_once(&self, buf: &[u8]) -> io::Result<usize> {
        match self.write {
            Some(errno) => Err(errno.into()),
            None => self.socket.write_once(buf),
        }
    }

    fn write_vectored_once(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.write_once(&bufs[0])
    }

    fn end(&self) -> io::Result<()> {
        self.end.map_or(Ok(()), |errno| Err(errno.into()))
    }
}

/// Relays from a client that has sent a question, and its end if `ends`, to a silent server. The
/// relay must end at once, although the server waits. Returns its error.
fn relay_to(write: Option<Errno>, end: Option<Errno>, ends: bool) -> RelayError {
    run(|handle| async move {
        let (client, mut outside) = tcp();
        outside.write_all(b"question").unwrap();
        if ends {
            outside.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let (socket, _server) = tcp();
        let server = Failing { socket, write, end };
        let mut relay = Relay::new();
        let relaying = poll_fn(|cx| {
            let side = Side {
                from: &server.socket,
                to: Some(&server),
            };
            relay.poll(cx, Side::of(&client), side)
        });
        let deadline = Duration::from_secs(20);
        let relayed = handle.timeout(deadline, relaying).await;
        relayed.expect("the relay hangs").unwrap_err()
    })
}

#[test]
fn a_write_that_fails_on_a_live_connection_ends_the_relay_at_once() {
    for errno in [Errno::NOBUFS, Errno::NOMEM, Errno::PERM, Errno::NOSYS] {
        for ends in [true, false] {
            let error = relay_to(Some(errno), None, ends);
            assert!(
                matches!(&error, RelayError::Second(e) if Errno::from_io_error(e) == Some(errno)),
                "{error:?}"
            );
        }
    }
}

#[test]
fn an_end_that_cannot_be_sent_ends_the_relay_at_once() {
    for errno in [Errno::NOBUFS, Errno::PERM] {
        let error = relay_to(None, Some(errno), true);
        assert!(
            matches!(&error, RelayError::Second(e) if Errno::from_io_error(e) == Some(errno)),
            "{error:?}"
        );
    }
}

#[test]
fn a_reset_ends_both_ways_and_names_the_side() {
    run(|_| async move {
        let (first, client) = tcp();
        let (second, server) = tcp();
        let zero = Some(Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(&server, zero).unwrap();
        drop(server);
        let mut relay = Relay::new();
        let ended = poll_fn(|cx| relay.poll(cx, Side::of(&first), Side::of(&second))).await;
        let error = ended.unwrap_err();
        assert!(
            matches!(&error, RelayError::Second(e) if e.kind() == io::ErrorKind::ConnectionReset),
            "{error:?}"
        );
        drop(client);
    });
}

fn file_of(bytes: usize) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&pattern(bytes)).unwrap();
    file
}

#[test]
fn a_part_of_a_file_is_sent() {
    run(|_| async move {
        let file = file_of(MANY);
        let (to, mut sink) = tcp();
        let sink = thread::spawn(move || {
            let mut received = Vec::new();
            sink.read_to_end(&mut received).unwrap();
            received
        });
        let (start, end) = (7_000_000, 17_000_001);
        let sent = send_file(&file, start..end, &to).await.unwrap();
        assert_eq!(sent, end - start);
        drop(to);
        let all = pattern(MANY);
        assert!(sink.join().unwrap() == all[start as usize..end as usize]);
    });
}

#[test]
fn a_file_that_shrinks_meanwhile_ends_early_with_its_byte_count() {
    run(|_| async move {
        let file = file_of(MANY);
        let (to, mut sink) = tcp();
        let mut sending = SendingFile::new(0..MANY as u64);
        // The peer does not read yet, so the send blocks; then the file is truncated.
        let stuck = poll_fn(|cx| match sending.poll(cx, &file, &to) {
            Poll::Pending if !to.source().is_ready(oneloop::core::Direction::Write) => {
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(ended) => panic!("{ended:?}"),
        });
        stuck.await;
        let before = sending.sent();
        file.set_len(before + 5).unwrap();
        let sink = thread::spawn(move || {
            let mut received = Vec::new();
            sink.read_to_end(&mut received).unwrap();
            received.len() as u64
        });
        let sent = poll_fn(|cx| sending.poll(cx, &file, &to)).await.unwrap();
        assert_eq!(sent, before + 5);
        drop(to);
        assert_eq!(sink.join().unwrap(), sent);
    });
}

#[test]
fn a_file_that_sendfile_refuses_is_read() {
    run(|_| async move {
        let (a, b) = UnixStream::pair().unwrap();
        // A file in /proc has no pages. Whether sendfile takes it depends on the kernel.
        let file = File::open("/proc/self/comm").unwrap();
        let whole = std::fs::read("/proc/self/comm").unwrap();
        let sent = send_file(&file, 0..u64::MAX, &a).await.unwrap();
        assert_eq!(sent, whole.len() as u64);
        drop(a);
        assert_eq!(b.read_all(64).await.unwrap(), whole);
    });
}

#[test]
fn a_dropped_copy_does_not_keep_the_loop_alive() {
    let mut event_loop = EventLoop::new().unwrap();
    let (a, b) = event_loop.enter(UnixStream::pair).unwrap();
    {
        let mut pending = std::pin::pin!(copy(&a, &b));
        let waker = std::task::Waker::noop();
        assert!(
            pending
                .as_mut()
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        );
    }
    event_loop.run().unwrap(); // it returns at once
}

#[test]
fn the_async_style_relays_and_sends_files() {
    use oneloop::aio::{self, block_on, spawn};
    block_on(async {
        let (client, first) = aio::UnixStream::pair().unwrap();
        let (second, server) = aio::UnixStream::pair().unwrap();
        let relay = spawn(async move { aio::relay(&first, &second).await });
        aio::send_file(&file_of(100), 10..20, &client)
            .await
            .unwrap();
        client.shutdown(aio::Shutdown::Write).unwrap();
        let received = server.read_all(100).await.unwrap();
        assert_eq!(received, &pattern(100)[10..20]);
        drop(server);
        assert!(client.read_chunk().await.unwrap().is_none());
        let relayed = relay.await.unwrap().unwrap();
        assert_eq!(relayed, aio::Relayed { there: 10, back: 0 });
    });
}

#[test]
fn green_threads_relay_and_send_files() {
    use oneloop::green::{net, run, spawn};
    let run = run(|| {
        let (mut client, first) = net::UnixStream::pair().unwrap();
        let (second, mut server) = net::UnixStream::pair().unwrap();
        let relay = spawn(move || net::relay(&first, &second));
        net::send_file(&file_of(100), 10..20, &client).unwrap();
        client.shutdown(net::Shutdown::Write).unwrap();
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert_eq!(received, &pattern(100)[10..20]);
        drop(server);
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
        let relayed = relay.join().unwrap().unwrap();
        assert_eq!(relayed, net::Relayed { there: 10, back: 0 });
    });
    run.unwrap();
}

#[test]
fn a_green_copy_fails_when_either_stream_is_closed() {
    use oneloop::green::{net, run, spawn, yield_now};
    let run = run(|| {
        for closes_target in [false, true] {
            let (_client, from) = net::UnixStream::pair().unwrap();
            let (to, _server) = net::UnixStream::pair().unwrap();
            let ends = (from.clone(), to.clone());
            let copy = spawn(move || net::copy(&ends.0, &ends.1));
            yield_now();
            let busy = net::copy(&from, &to).unwrap_err();
            assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
            let closed = if closes_target { &to } else { &from };
            closed.close();
            let error = copy.join().unwrap().unwrap_err();
            assert_eq!(
                error.raw_os_error(),
                Some(rustix::io::Errno::BADF.raw_os_error())
            );
        }
    });
    run.unwrap();
}
