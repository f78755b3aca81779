//! Resets of connections that are not being read, because their bytes wait for another stream.

use oneloop::core::{Direction, Ready};
use oneloop::net::{
    ByteStream, CopyError, Copying, ReadHalf, Relay, RelayError, Side, Socket, UnixStream, copy,
    pipe, relay,
};
use oneloop::{EventLoop, Handle, aio, callback, green};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Much longer than a turn, and shorter than a test may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A connection with one end on the loop, and the other outside.
fn tcp() -> (Socket, std::net::TcpStream) {
    let (inside, outside) = tcp_pair();
    inside.set_nonblocking(true).unwrap();
    (Socket::from_fd(inside.into()).unwrap(), outside)
}

fn tcp_pair() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let outside = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (inside, _) = listener.accept().unwrap();
    (inside, outside)
}

fn reset(stream: std::net::TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

fn run<F: Future>(make: impl FnOnce(Handle) -> F) -> F::Output {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    event_loop.block_on(make(handle))
}

/// Polls until a feeder has no room: the stream that should take its bytes is blocked.
async fn poll_until_blocked<T>(
    handle: &Handle,
    mut feeder: impl Write,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) {
    let mut quiet = 0;
    while quiet < 20 {
        let mut written = 0;
        while let Ok(count) = feeder.write(&[7; 64 * 1024]) {
            written += count;
        }
        quiet = if written == 0 { quiet + 1 } else { 0 };
        poll_fn(|cx| {
            assert!(poll(cx).is_pending(), "nothing has ended yet");
            Poll::Ready(())
        })
        .await;
        handle.sleep(Duration::from_millis(2)).await;
    }
}

/// The result of a future, which has to complete soon.
async fn soon<T>(handle: &Handle, future: impl Future<Output = T>) -> T {
    let soon = handle.timeout(DEADLINE, future).await;
    soon.expect("it completes soon")
}

fn is_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
}

#[test]
fn a_copy_whose_target_has_no_room_ends_when_its_source_is_reset() {
    run(|handle| async move {
        let (from, feeder) = tcp();
        let (to, _sink) = tcp();
        feeder.set_nonblocking(true).unwrap();
        let mut copying = Copying::new();
        let mut poll = |cx: &mut Context<'_>| copying.poll(cx, &from, &to);
        poll_until_blocked(&handle, &feeder, &mut poll).await;
        reset(feeder);
        let error = soon(&handle, poll_fn(poll)).await.unwrap_err();
        assert!(
            matches!(&error, CopyError::Read(error) if is_reset(error)),
            "{error:?}"
        );
    });
}

#[test]
fn a_copy_into_a_full_pipe_ends_when_its_source_is_reset() {
    run(|handle| async move {
        let (from, feeder) = tcp();
        let (_reader, to) = pipe().unwrap();
        feeder.set_nonblocking(true).unwrap();
        let mut copy = pin!(copy(&from, &to));
        poll_until_blocked(&handle, &feeder, |cx| copy.as_mut().poll(cx)).await;
        reset(feeder);
        assert!(is_reset(&soon(&handle, copy).await.unwrap_err()));
    });
}

#[test]
fn a_copy_that_waits_for_bytes_ends_when_its_target_is_gone() {
    run(|handle| async move {
        let (from, _feeder) = tcp();
        let (to, sink) = tcp();
        let mut copying = pin!(copy(&from, &to));
        let waits = handle.timeout(Duration::from_millis(5), copying.as_mut());
        assert!(waits.await.is_err());
        reset(sink);
        assert!(is_reset(&soon(&handle, copying).await.unwrap_err()));

        let (to, sink) = UnixStream::pair().unwrap();
        let mut copying = pin!(copy(&from, &to));
        let waits = handle.timeout(Duration::from_millis(5), copying.as_mut());
        assert!(waits.await.is_err());
        drop(sink);
        let error = soon(&handle, copying).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn the_bytes_that_a_unix_peer_sent_before_its_close_are_all_copied() {
    run(|handle| async move {
        let (from, feeder) = UnixStream::pair().unwrap();
        let (to, sink) = UnixStream::pair().unwrap();
        // Past the loop, which may report less room than there is.
        let fill = |socket: &UnixStream| {
            let writes = || rustix::io::write(socket.socket(), &[7; 4096]).ok();
            std::iter::from_fn(writes).sum::<usize>()
        };
        let (before, written) = (fill(&to), fill(&feeder));
        drop(feeder);
        let mut copy = pin!(copy(&from, &to));
        let waits = handle
            .timeout(Duration::from_millis(5), copy.as_mut())
            .await;
        assert!(waits.is_err(), "the target has no room: {waits:?}");
        let mut received = 0;
        let all = poll_fn(|cx| {
            while let Poll::Ready(Ok(Some(chunk))) = sink.poll_read_chunk(cx, usize::MAX) {
                received += chunk.len();
            }
            copy.as_mut().poll(cx)
        });
        assert_eq!(soon(&handle, all).await.unwrap(), written as u64);
        to.shutdown(std::net::Shutdown::Write).unwrap();
        while let Some(chunk) = sink.read_chunk().await.unwrap() {
            received += chunk.len();
        }
        assert_eq!(received, before + written);
    });
}

#[test]
fn a_relay_ends_at_a_reset_by_a_side_that_it_does_not_read() {
    for (is_second, has_ended) in [(false, false), (true, false), (false, true), (true, true)] {
        run(|handle| async move {
            let (first, client) = tcp();
            let (second, server) = tcp();
            let (resetting, other) = if is_second {
                (server, client)
            } else {
                (client, server)
            };
            let mut relay = Relay::new();
            let mut poll =
                |cx: &mut Context<'_>| relay.poll(cx, Side::of(&first), Side::of(&second));
            if has_ended {
                // It has sent its whole input, and the other side does not answer yet.
                resetting.shutdown(std::net::Shutdown::Write).unwrap();
                let waits = handle.timeout(Duration::from_millis(20), poll_fn(&mut poll));
                assert!(waits.await.is_err());
            } else {
                resetting.set_nonblocking(true).unwrap();
                poll_until_blocked(&handle, &resetting, &mut poll).await;
            }
            reset(resetting);
            let error = soon(&handle, poll_fn(poll)).await.unwrap_err();
            let (whose, error) = match error {
                RelayError::First(error) => (false, error),
                RelayError::Second(error) => (true, error),
            };
            assert_eq!(whose, is_second, "{error}");
            assert!(is_reset(&error), "{error}");
            drop(other);
        });
    }
}

#[test]
fn a_relay_as_a_future_ends_at_a_reset_too() {
    run(|handle| async move {
        let (first, client) = tcp();
        let (second, _server) = tcp();
        client.set_nonblocking(true).unwrap();
        let mut relay = pin!(relay(&first, &second));
        poll_until_blocked(&handle, &client, |cx| relay.as_mut().poll(cx)).await;
        reset(client);
        assert!(is_reset(&soon(&handle, relay).await.unwrap_err()));
    });
}

#[test]
fn a_reset_during_a_copy_reaches_an_async_task_and_a_green_thread() {
    aio::block_on(async {
        let (from, feeder) = aio::UnixStream::pair().unwrap();
        let (to, _sink) = aio::UnixStream::pair().unwrap();
        from.write_all(b"an answer that is never read")
            .await
            .unwrap();
        let copy = aio::spawn(async move { aio::copy(&from, &to).await });
        fill(&feeder).await;
        drop(feeder); // a close with unread input is a reset
        let copied = aio::timeout(DEADLINE, copy)
            .await
            .expect("it completes soon");
        assert!(is_reset(&copied.unwrap().unwrap_err()));
    });
    green::run(|| {
        let (mut from, feeder) = green::net::UnixStream::pair().unwrap();
        let (to, _sink) = green::net::UnixStream::pair().unwrap();
        from.write_all(b"an answer that is never read").unwrap();
        let copy = green::spawn(move || green::net::copy(&from, &to));
        let full = feeder.clone();
        let filling = green::spawn(move || while (&full).write(&[7; 4096]).is_ok() {});
        green::sleep(Duration::from_millis(50));
        filling.kill();
        feeder.close();
        drop(feeder);
        let copied = green::timeout(DEADLINE, || copy.join()).expect("it completes soon");
        assert!(is_reset(&copied.unwrap().unwrap_err()));
    })
    .unwrap();
}

async fn fill(feeder: &aio::UnixStream) {
    let patience = Duration::from_millis(50);
    while aio::timeout(patience, feeder.write_all(&[7; 4096]))
        .await
        .is_ok()
    {}
}

#[test]
fn a_callback_pipe_whose_target_has_no_room_ends_when_its_source_is_reset() {
    let events = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&events);
    let (target, _sink) = tcp_pair();
    callback::run(move || {
        let (inside, outside) = tcp_pair();
        let on_loop = |stream: std::net::TcpStream| {
            stream.set_nonblocking(true).unwrap();
            let socket = Socket::from_fd(stream.into()).unwrap();
            callback::net::Socket::from_connected(socket, Default::default())
        };
        let (source, target) = (on_loop(inside), on_loop(target));
        source.pipe(&target);
        let reported = Rc::clone(&log);
        source.on_error(move |_, error| {
            reported
                .borrow_mut()
                .push(error.code().unwrap_or("").to_owned());
        });
        let reported = Rc::clone(&log);
        source.on_close(move |_, had_error| {
            reported.borrow_mut().push(format!("close {had_error}"));
            target.destroy();
        });
        outside.set_nonblocking(true).unwrap();
        let (feeder, quiet) = (RefCell::new(Some(outside)), Cell::new(0));
        let timer = Rc::new(Cell::new(None));
        let this = Rc::clone(&timer);
        let feed = move || {
            let mut written = false;
            while feeder
                .borrow()
                .as_ref()
                .unwrap()
                .write(&[7; 64 * 1024])
                .is_ok()
            {
                written = true;
            }
            quiet.set(if written { 0 } else { quiet.get() + 1 });
            if quiet.get() == 20 {
                reset(feeder.take().unwrap());
                callback::clear_interval(this.take().unwrap());
            }
        };
        timer.set(Some(callback::set_interval(feed, 2.0)));
    })
    .unwrap();
    assert_eq!(*events.borrow(), ["ECONNRESET", "close true"]);
}

#[test]
fn a_watch_does_not_wake_while_bytes_arrive_and_keeps_no_loop_alive() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let (socket, mut peer) = event_loop.enter(tcp);
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    let watching = handle.spawn(poll_fn(move |cx| {
        counted.set(counted.get() + 1);
        let source = socket.source();
        source.poll_watch(cx, Direction::Read, Ready::ERROR)
    }));
    event_loop.run().unwrap(); // it returns at once
    event_loop.block_on(async {
        for _ in 0..5 {
            peer.write_all(b"hello").unwrap();
            handle.sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(polls.get(), 1);
        peer.set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        assert!(peer.read(&mut [0]).is_err());
        reset(peer);
        soon(&handle, watching).await.unwrap();
    });
    assert_eq!(polls.get(), 2);
}

#[test]
fn a_watch_does_not_replace_the_wait_of_another_task() {
    run(|handle| async move {
        let (socket, mut peer) = tcp();
        let socket = Rc::new(socket);
        let reads = Rc::clone(&socket);
        let read = handle.spawn(poll_fn(move |cx| reads.poll_read_chunk(cx, 64)));
        handle.sleep(Duration::from_millis(1)).await; // it waits
        let watches = Rc::clone(&socket);
        let _watch = handle.spawn(poll_fn(move |cx| watches.poll_reset(cx)));
        handle.sleep(Duration::from_millis(1)).await;
        peer.write_all(b"h").unwrap();
        let received = soon(&handle, read).await.unwrap().unwrap();
        assert_eq!(&*received.unwrap(), b"h");
        assert!(socket.socket().unread_bytes().is_ok());
    });
}
