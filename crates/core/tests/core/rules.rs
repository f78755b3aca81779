//! The rules of the core (ARCHITECTURE.md lists them), one test each, in their order.
//!
//! Rule 5 and the kernel's half of rule 10 are with the reactor; rule 11 is in net's
//! `out_of_fds.rs`, as it needs its own process; rule 12 is in green's `overflow.rs` and
//! `thread_end.rs`.

use oneloop::aio::{TcpListener, TcpStream, UnixStream, sleep, spawn, timeout, yield_now};
use oneloop::core::{Direction, Interest, Ownership, Source};
use oneloop::net::{ByteStream, Shutdown};
use oneloop::{EventLoop, Handle, JoinError, JoinHandle, Options};
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io::Write;
use std::net::Shutdown as StdShutdown;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

fn virtual_loop() -> EventLoop {
    EventLoop::with(Options::virtual_time()).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    virtual_loop().block_on(future)
}

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn rule_01_a_value_may_use_the_loop_while_it_is_dropped() {
    block_on(async {
        let victim = Rc::new(spawn(pending::<()>()));
        let spawned = Rc::new(Cell::new(None));
        let on_drop = {
            let (victim, spawned) = (Rc::clone(&victim), Rc::clone(&spawned));
            OnDrop(move || {
                victim.cancel();
                spawned.set(Some(spawn(async { sleep(Duration::from_secs(1)).await })));
            })
        };
        let task = spawn(async move {
            let _on_drop = on_drop;
            sleep(Duration::from_secs(9)).await;
        });
        yield_now().await;
        task.cancel();
        assert!(victim.is_finished());
        spawned
            .take()
            .expect("it was spawned in the drop")
            .await
            .unwrap();
    });
}

/// A waker of other code, which uses the loop.
struct Foreign {
    woken: AtomicUsize,
}

impl Wake for Foreign {
    fn wake(self: Arc<Self>) {
        let handle = Handle::current();
        drop(handle.sleep(Duration::from_secs(1)));
        handle.spawn(async move { self.woken.fetch_add(1, Ordering::Relaxed) });
    }
}

#[test]
fn rule_02_foreign_wakers_run_with_nothing_borrowed() {
    let mut event_loop = virtual_loop();
    let foreign = Arc::new(Foreign {
        woken: AtomicUsize::new(0),
    });
    let waker = Waker::from(Arc::clone(&foreign));
    let mut cx = Context::from_waker(&waker);
    let handle = event_loop.handle();
    let (mut here, there) = StdUnixStream::pair().unwrap();
    let source = Source::new(&handle, there, Interest::READ, Ownership::Sole).unwrap();
    assert!(source.poll_ready(&mut cx, Direction::Read).is_pending());
    assert!(
        pin!(handle.sleep(Duration::from_secs(5)))
            .as_mut()
            .poll(&mut cx)
            .is_pending()
    );
    let mut asleep = handle.sleep(Duration::from_secs(5));
    assert!(pin!(&mut asleep).poll(&mut cx).is_pending());
    let mut idle = handle.phase(oneloop::core::Phase::Idle);
    assert!(pin!(&mut idle).poll(&mut cx).is_pending());
    here.write_all(b"x").unwrap();
    event_loop.run().unwrap();
    assert_eq!(
        foreign.woken.load(Ordering::Relaxed),
        3,
        "by the fd, the timer and the phase"
    );
}

#[test]
fn rule_03_the_end_behind_the_data_is_seen_without_another_edge() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"abc").unwrap();
        client.shutdown(StdShutdown::Write).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut buf = [0; 64];
        assert_eq!(
            stream.read(&mut buf).await.unwrap(),
            3,
            "a short read, with RDHUP set"
        );
        assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
        assert_eq!(
            stream.read(&mut buf).await.unwrap(),
            0,
            "and the end stays the end"
        );
        stream
            .write_all(b"RDHUP is not the end of writing")
            .await
            .unwrap();
    });
}

#[test]
fn rule_03_bytes_behind_urgent_ones_are_seen_without_another_edge() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"abc").unwrap();
        rustix::net::send(&client, b"!", rustix::net::SendFlags::OOB).unwrap();
        client.write_all(b"def").unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut buf = [0; 64];
        let mut received = Vec::new();
        while !received.ends_with(b"def") {
            let count = stream.read(&mut buf).await.unwrap();
            received.extend_from_slice(&buf[..count]);
        }
        assert!(received.starts_with(b"abc"));
    });
}

#[test]
fn rule_03_bytes_behind_a_message_with_fds_are_seen_without_another_edge() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let fds = [std::os::fd::AsFd::as_fd(a.socket())];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
        let text = [std::io::IoSlice::new(b"abc")];
        sendmsg(a.socket(), &text, &mut ancillary, SendFlags::empty()).unwrap();
        a.write_all(b"def").await.unwrap();
        let mut received = Vec::new();
        while received != b"abcdef" {
            received.extend_from_slice(&b.read_chunk().await.unwrap().unwrap());
        }
    });
}

#[test]
fn rule_04_both_directions_of_a_shared_fd_are_reported() {
    block_on(async {
        let (mut here, there) = StdUnixStream::pair().unwrap();
        there.set_nonblocking(true).unwrap();
        while (&there).write(&[0; 4096]).is_ok() {}
        let handle = Handle::current();
        let source = Source::new(&handle, there, Interest::NONE, Ownership::Shared).unwrap();
        let source = Rc::new(source);
        let ready = |direction| {
            let source = Rc::clone(&source);
            spawn(async move {
                poll_fn(|cx| source.poll_ready(cx, direction))
                    .await
                    .unwrap()
            })
        };
        let (readable, writable) = (ready(Direction::Read), ready(Direction::Write));
        yield_now().await;
        here.write_all(b"x").unwrap();
        readable.await.unwrap();
        here.set_nonblocking(true).unwrap();
        while std::io::Read::read(&mut here, &mut [0; 4096]).is_ok() {}
        writable.await.unwrap();
    });
}

#[test]
fn rule_04_a_reader_that_stops_before_eagain_continues() {
    const BYTES: usize = 100_000;
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    event_loop.block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let writer = spawn(async move { a.write_all(&[7; BYTES]).await });
        let mut buf = [0; 1];
        for _ in 0..BYTES {
            assert_eq!(b.read(&mut buf).await.unwrap(), 1);
        }
        writer.await.unwrap().unwrap();
    });
    // On virtual time no time budget runs out, so this one is the byte budget's.
    let mut event_loop = virtual_loop();
    event_loop.block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let writer = spawn(async move { a.write_all(&vec![7; 4 << 20]).await });
        let mut bytes = 0;
        while let Some(chunk) = b.read_chunk().await.unwrap() {
            bytes += chunk.len();
        }
        assert_eq!(bytes, 4 << 20);
        writer.await.unwrap().unwrap();
    });
    assert!(event_loop.handle().stats().io_budget_spent > 0);
    assert_eq!(handle.task_count(), 0);
}

#[test]
fn rule_06_a_refused_connect_is_the_kernels_error() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let stream = TcpStream::connect(addr).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
        drop(listener);
        let error = TcpStream::connect(addr).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn rule_07_a_unix_writer_gets_no_edge_when_its_peer_reads() {
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    event_loop.block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let mut buf = [0; 8];
        for _ in 0..100 {
            a.write_all(b"x").await.unwrap();
            b.read(&mut buf).await.unwrap();
        }
    });
    assert!(
        handle.stats().events <= 100,
        "at most one edge a message: the reader's"
    );
}

#[test]
fn rule_07_a_full_unix_socket_wakes_its_writer_once_there_is_room() {
    block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let writer = spawn(async move {
            a.write_all(&vec![7; 1 << 20]).await.unwrap();
            a.shutdown(Shutdown::Write).unwrap();
        });
        let mut bytes = 0;
        while let Some(chunk) = b.read_chunk().await.unwrap() {
            bytes += chunk.len();
        }
        assert_eq!(bytes, 1 << 20);
        writer.await.unwrap();
    });
}

#[test]
fn rule_08_a_task_may_end_itself_and_any_other_while_it_runs() {
    block_on(async {
        let own = Rc::new(RefCell::new(None::<JoinHandle<()>>));
        let dropped = Rc::new(Cell::new(0));
        let count = |dropped: &Rc<Cell<u32>>| {
            let dropped = Rc::clone(dropped);
            OnDrop(move || dropped.set(dropped.get() + 1))
        };
        let (own_inside, on_drop) = (Rc::clone(&own), count(&dropped));
        let other = spawn({
            let on_drop = count(&dropped);
            async move {
                let _on_drop = on_drop;
                pending::<()>().await;
            }
        });
        let dropped_inside = Rc::clone(&dropped);
        *own.borrow_mut() = Some(spawn(async move {
            let _on_drop = on_drop;
            other.cancel();
            assert_eq!(dropped_inside.get(), 1, "the other task is dropped at once");
            own_inside.borrow().as_ref().unwrap().cancel();
            assert_eq!(
                dropped_inside.get(),
                1,
                "but no task is dropped while it runs"
            );
            yield_now().await;
            unreachable!("it was canceled");
        }));
        yield_now().await;
        assert_eq!(dropped.get(), 2);
        let handle = own.borrow_mut().take().unwrap();
        let ended = handle.await;
        assert!(matches!(ended, Err(JoinError::Canceled)));
    });
}

#[test]
fn rule_08_shutdown_drops_tasks_that_dropped_tasks_spawn() {
    let dropped = Rc::new(Cell::new(0));
    fn nest(depth: u32, dropped: Rc<Cell<u32>>) {
        spawn(async move {
            let _on_drop = OnDrop(|| {
                dropped.set(dropped.get() + 1);
                if depth > 0 {
                    nest(depth - 1, Rc::clone(&dropped));
                }
            });
            pending::<()>().await;
        });
    }
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    event_loop.block_on(async {
        nest(3, Rc::clone(&dropped));
        yield_now().await;
    });
    drop(event_loop);
    assert_eq!(
        dropped.get(),
        1,
        "a task that is spawned on a loop that ends is dropped unrun"
    );
    assert_eq!(handle.task_count(), 0);
    let late = handle.spawn(async {});
    assert!(late.is_finished());
}

#[test]
fn rule_09_wakes_from_other_threads_are_never_lost() {
    const WAKES: usize = 2_000;
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let ran = Rc::new(Cell::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let remote = handle.remote();
            std::thread::spawn(move || {
                for _ in 0..WAKES {
                    remote.run(|_| COUNT.set(COUNT.get() + 1)).unwrap();
                }
            })
        })
        .collect();
    thread_local! {
        static COUNT: Cell<usize> = const { Cell::new(0) };
    }
    event_loop.run().unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
    ran.set(COUNT.get());
    assert_eq!(ran.get(), 4 * WAKES);
    let rings = handle.stats().rings;
    assert!(
        (1..=4 * WAKES as u64).contains(&rings),
        "{rings} rings for {} jobs",
        4 * WAKES
    );
}

#[test]
fn rule_09_a_waker_works_from_another_thread() {
    let mut event_loop = EventLoop::new().unwrap();
    for round in 0..200 {
        let flag = Arc::new(AtomicUsize::new(0));
        let mut thread = None;
        event_loop.block_on(poll_fn(|cx| {
            let (flag_there, waker) = (Arc::clone(&flag), cx.waker().clone());
            thread.get_or_insert_with(|| {
                std::thread::spawn(move || {
                    flag_there.store(1, Ordering::Relaxed);
                    waker.wake();
                })
            });
            if flag.load(Ordering::Relaxed) == 1 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        thread
            .unwrap()
            .join()
            .unwrap_or_else(|_| panic!("round {round}"));
    }
}

#[test]
fn rule_10_a_sleep_is_never_early() {
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let sleeps = [
            0, 1, 999, 1_000, 1_001, 150_000, 999_999, 1_000_000, 3_141_592,
        ];
        for nanos in sleeps.map(Duration::from_nanos) {
            let start = Instant::now();
            sleep(nanos).await;
            assert!(start.elapsed() >= nanos, "{nanos:?}");
        }
    });
}

#[test]
fn rule_10_deadlines_saturate() {
    block_on(async {
        let forever = timeout(Duration::from_secs(1), sleep(Duration::MAX)).await;
        assert!(forever.is_err());
        let endless = timeout(Duration::MAX, sleep(Duration::from_secs(1))).await;
        assert!(endless.is_ok());
    });
}

#[test]
fn rule_13_a_panic_ends_its_task_and_reaches_the_handle() {
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    let unhandled = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&unhandled);
    handle.on_unhandled(move |panic| seen.borrow_mut().push(panic.error.to_string()));
    event_loop.block_on(async {
        let joined = spawn(async { panic!("one") }).await;
        assert_eq!(joined.unwrap_err().panic_message(), Some("one"));
        drop(spawn(async { panic!("two") }));
        let late = spawn(async { panic!("three") });
        yield_now().await;
        drop(late);
        assert_eq!(spawn(async { 4 }).await.unwrap(), 4, "the loop lives");
    });
    assert_eq!(
        *unhandled.borrow(),
        ["the task panicked: two", "the task panicked: three"]
    );
    assert_eq!(handle.stats().tasks_unhandled, 2);
}

#[test]
fn rule_13_a_panics_payload_may_panic_in_its_drop() {
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    handle.on_unhandled(|_| std::panic::panic_any(PanicsInDrop));
    handle.spawn_detached(async { std::panic::panic_any(PanicsInDrop) });
    drop(handle.spawn(async { std::panic::panic_any(PanicsInDrop) }));
    event_loop.run().unwrap();
    assert_eq!(handle.current_task(), None);
}

/// Panics when it is dropped.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

#[test]
fn rule_13_a_panic_in_the_drop_of_a_tasks_output_ends_nothing_else() {
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    let unhandled = Rc::new(Cell::new(0));
    let seen = Rc::clone(&unhandled);
    handle.on_unhandled(move |_| {
        seen.set(seen.get() + 1);
        panic!("in the hook, too");
    });
    drop(handle.spawn(async { PanicsInDrop }));
    let canceled = handle.spawn(async {
        let _left = PanicsInDrop;
        pending::<()>().await;
    });
    event_loop.run_nowait().unwrap();
    canceled.cancel();
    event_loop.run().unwrap();
    assert_eq!(
        (handle.task_count(), unhandled.get()),
        (0, 1),
        "one was canceled outside of a run"
    );
}

#[test]
fn rule_14_a_dropped_read_cancels_only_its_own_wait() {
    block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let b = Rc::new(b);
        let read = || {
            let b = Rc::clone(&b);
            spawn(async move { b.read(&mut [0; 8]).await.unwrap() })
        };
        let first = read();
        yield_now().await;
        let second = read();
        yield_now().await;
        first.cancel();
        a.write_all(b"x").await.unwrap();
        assert_eq!(
            timeout(Duration::from_secs(1), second)
                .await
                .unwrap()
                .unwrap(),
            1
        );
    });
}

#[test]
fn rule_14_a_dropped_read_has_read_nothing() {
    block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        for round in 0..50_u8 {
            let gave_up = timeout(Duration::from_millis(1), b.read(&mut [0; 8])).await;
            assert!(gave_up.is_err());
            // The byte comes between the wake of the read and its drop.
            let mut buf = [0; 8];
            {
                let mut read = pin!(b.read(&mut buf));
                assert!(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await);
                a.write_all(&[round]).await.unwrap();
                yield_now().await;
            }
            assert_eq!(b.read(&mut buf).await.unwrap(), 1);
            assert_eq!(buf[0], round);
        }
    });
}

#[test]
fn rule_14_a_dropped_write_has_written_nothing() {
    block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let mut written = 0;
        while let Ok(count) = timeout(Duration::from_millis(1), a.write(&[1; 4096])).await {
            written += count.unwrap();
        }
        a.shutdown(Shutdown::Write).unwrap();
        let mut read = 0;
        while let Some(chunk) = b.read_chunk().await.unwrap() {
            read += chunk.len();
        }
        assert_eq!(read, written);
    });
}

#[test]
fn rule_14_a_dropped_wait_does_not_keep_the_loop_alive() {
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    let inside = handle.clone();
    handle.spawn(async move {
        let (_a, b) = UnixStream::pair().unwrap();
        timeout(Duration::from_millis(1), b.read(&mut [0; 8]))
            .await
            .unwrap_err();
        assert!(!b.socket().source().is_ready(Direction::Read));
        inside.spawn(async move {
            let _keep = (_a, b);
            pending::<()>().await
        });
    });
    event_loop.run().unwrap(); // would wait forever
}

#[test]
fn rule_15_tasks_that_wake_each_other_without_end_keep_no_other_task_waiting() {
    block_on(async {
        for _ in 0..10 {
            spawn(async {
                loop {
                    yield_now().await;
                }
            });
        }
        let (a, b) = UnixStream::pair().unwrap();
        spawn(async move {
            sleep(Duration::ZERO).await;
            a.write_all(b"x").await
        });
        assert_eq!(b.read(&mut [0; 8]).await.unwrap(), 1);
    });
}

#[test]
fn rule_15_a_flood_shares_the_loop_with_a_quiet_connection() {
    block_on(async {
        let (flood, sink) = UnixStream::pair().unwrap();
        let (ping, pong) = UnixStream::pair().unwrap();
        let flooded = Rc::new(Cell::new(0_usize));
        spawn(async move { while flood.write(&[0; 1 << 16]).await.is_ok() {} });
        let count = Rc::clone(&flooded);
        spawn(async move {
            while let Some(chunk) = sink.read_chunk().await.unwrap() {
                count.set(count.get() + chunk.len());
            }
        });
        spawn(async move {
            while let Some(chunk) = pong.read_chunk().await.unwrap() {
                pong.write_all(&chunk).await.unwrap();
            }
        });
        for _ in 0..100 {
            let before = flooded.get();
            ping.write_all(b"ping").await.unwrap();
            ping.read_chunk().await.unwrap();
            let meanwhile = flooded.get() - before;
            assert!(
                meanwhile <= 2 << 20,
                "{meanwhile} bytes went before one small echo"
            );
        }
        assert!(flooded.get() > 0);
    });
}
