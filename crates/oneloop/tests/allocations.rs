//! A message allocates nothing.

use oneloop::aio::{
    JoinSet, TcpListener, TcpStream, UnixStream, join, race, select, spawn, try_join, yield_now,
};
use oneloop::callback::{enter, net};
use oneloop::net::LengthPrefix;
use oneloop::sync::{
    Barrier, Mutex, Notify, OnceCell, Queue, RwLock, Semaphore, ShutdownToken, broadcast, watch,
};
use oneloop::{EventLoop, Options};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// True under chaos, which makes runs and steps of its own.
fn is_under_chaos() -> bool {
    let is_set = std::env::var_os("ONELOOP_CHAOS").is_some();
    if is_set {
        println!("skipped: under ONELOOP_CHAOS, allocations are not counted");
    }
    is_set
}

async fn echo_many(stream: &TcpStream, messages: usize) {
    let mut buf = [0; 64];
    for _ in 0..messages {
        stream.write_all(&[7; 64]).await.unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 64);
    }
}

#[test]
fn an_echo_allocates_nothing() {
    if is_under_chaos() {
        return;
    }
    let mut event_loop = EventLoop::new().unwrap();
    let client = event_loop.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        spawn(async move {
            while let Some(chunk) = server.read_chunk().await? {
                server.write_all(&chunk).await?;
            }
            std::io::Result::Ok(())
        });
        echo_many(&client, 10).await; // fills the pools and queues
        client
    });
    let mut allocations = |messages| {
        allocation_counter::measure(|| event_loop.block_on(echo_many(&client, messages)))
            .count_total
    };
    assert_eq!(
        allocations(1_000),
        allocations(1),
        "block_on's own, and none a message"
    );
}

const MESSAGE: &[u8; 64] = b"a line of sixty-four bytes, and so its end is the last of them.\n";

#[test]
fn an_echo_between_callbacks_allocates_nothing() {
    if is_under_chaos() {
        return;
    }
    assert_echo_allocates_nothing(MESSAGE, |socket| {
        socket.on_data(|socket, bytes| {
            socket.write(bytes);
        });
    });
}

#[test]
fn a_line_in_a_callback_allocates_nothing() {
    if is_under_chaos() {
        return;
    }
    assert_echo_allocates_nothing(MESSAGE, |socket| {
        socket.on_lines(80, |socket, line| {
            assert_eq!(line.len(), MESSAGE.len() - 1);
            socket.write(MESSAGE);
        });
    });
}

#[test]
fn a_frame_in_a_callback_allocates_nothing() {
    if is_under_chaos() {
        return;
    }
    // A question mark is the number 63.
    let message = b"?a frame of sixty-three bytes, behind a length of a single byte.";
    assert_echo_allocates_nothing(message, |socket| {
        socket.on_frames(LengthPrefix::U8, 80, |socket, frame| {
            assert_eq!(frame.len(), 63);
            socket.write_frame(LengthPrefix::U8, frame);
        });
    });
}

#[test]
fn a_frame_is_one_allocation_for_its_reader_and_none_for_its_writer() {
    if is_under_chaos() {
        return;
    }
    // On virtual time no share of I/O is spent because the machine is slow.
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let (client, server) = event_loop.enter(UnixStream::pair).unwrap();
    let mut writer = client.frame_writer(LengthPrefix::U32Be, 1_000);
    let mut frames = server.frames(LengthPrefix::U32Be, 1_000);
    let mut allocations = |count: u64| {
        let exchange = async {
            for _ in 0..count {
                writer.write(&[7; 64]).await.unwrap();
                assert_eq!(frames.next().await.unwrap(), Some(vec![7; 64]));
            }
        };
        allocation_counter::measure(|| event_loop.block_on(exchange)).count_total
    };
    allocations(501); // fills the pools
    // One is that of the expected frame.
    assert_eq!(allocations(501) - allocations(1), 2 * 500);
}

fn assert_echo_allocates_nothing(message: &'static [u8; 64], serve: fn(net::Socket)) {
    let mut event_loop = EventLoop::new().unwrap();
    let _entered = enter(&event_loop.handle());
    let server = net::create_server(serve);
    let left = Rc::new(Cell::new(0));
    let done = Rc::new(Cell::new(None::<Waker>));
    let (counted, waiting) = (Rc::clone(&left), Rc::clone(&done));
    let client = Rc::new(RefCell::new(None::<net::Socket>));
    let connected = Rc::clone(&client);
    let listening = server.listen(("127.0.0.1", 0)).unwrap();
    listening.on_listening(move |server| {
        let client = net::connect(server.address().unwrap().inet().unwrap())?;
        let (counted, waiting) = (Rc::clone(&counted), Rc::clone(&waiting));
        client.on_data(move |client, bytes| {
            counted.set(counted.get() - 1);
            match counted.get() {
                0 => waiting.take().unwrap().wake(),
                _ => {
                    client.write(bytes);
                }
            }
        });
        connected.replace(Some(client));
        Ok::<_, net::Error>(())
    });
    event_loop.run_once().unwrap(); // a tick emits 'listening'
    let mut echo_many = |messages: usize| {
        left.set(messages);
        let first = client.borrow().clone().unwrap();
        first.write(message);
        event_loop.block_on(poll_fn(|cx| {
            done.set(Some(cx.waker().clone()));
            if left.get() == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
    };
    echo_many(10);
    let mut allocations =
        |messages| allocation_counter::measure(|| echo_many(messages)).count_total;
    assert_eq!(
        allocations(1_000),
        allocations(1),
        "block_on's own, and none a message"
    );
}

#[test]
fn tasks_that_wait_for_each_other_allocate_nothing() {
    if is_under_chaos() {
        return;
    }
    let mut event_loop = EventLoop::new().unwrap();
    let (there, back) = (Queue::bounded(1), Queue::rendezvous());
    let (get, put) = (there.clone(), back.clone());
    event_loop.handle().spawn(async move {
        loop {
            put.put(get.get().await).await;
        }
    });
    let turn = Semaphore::new(1);
    let mut allocations = |rounds| {
        let play = async {
            for round in 0..rounds {
                let _permit = turn.acquire().await;
                there.put(round).await;
                assert_eq!(back.get().await, round);
            }
        };
        allocation_counter::measure(|| event_loop.block_on(play)).count_total
    };
    allocations(1); // fills the lines and queues
    assert_eq!(
        allocations(1_000),
        allocations(1),
        "block_on's own, and none a round"
    );
}

#[test]
fn waiting_for_several_futures_allocates_nothing() {
    if is_under_chaos() {
        return;
    }
    let mut event_loop = EventLoop::new().unwrap();
    let (token, mutex) = (ShutdownToken::new(), Mutex::new(0));
    let mut allocations = |rounds| {
        let play = async {
            for _ in 0..rounds {
                let pause = async {
                    yield_now().await;
                    Ok::<_, ()>(())
                };
                let (_, slow) = join(yield_now(), try_join(yield_ok(), pause)).await;
                slow.unwrap();
                race(token.requested(), yield_now()).await;
                token.run(yield_now()).await.unwrap();
                *mutex.lock().await += 1;
                select! {
                    () = pending() => {}
                    () = token.requested() => {}
                    () = yield_now() => {}
                }
            }
        };
        allocation_counter::measure(|| event_loop.block_on(play)).count_total
    };
    allocations(1); // fills the lines
    assert_eq!(
        allocations(1_000),
        allocations(1),
        "block_on's own, and none a round"
    );
}

#[test]
fn waiting_for_locks_and_news_allocates_nothing_but_the_news() {
    if is_under_chaos() {
        return;
    }
    let mut event_loop = EventLoop::new().unwrap();
    let (lock, cell) = (RwLock::new(0), OnceCell::new());
    let (barrier, notify) = (Barrier::new(2), Notify::new());
    let (latest, mut seen) = watch::channel(0);
    let (news, mut received) = broadcast::channel(4);
    let mut allocations = |rounds: u64| {
        let play = async {
            for round in 0..rounds {
                let guard = lock.try_write().unwrap();
                let free = async { drop(guard) };
                drop(join(lock.read(), free).await);
                cell.get_or_init(async || round).await;
                join(barrier.wait(), barrier.wait()).await;
                join(notify.notified(), async { notify.notify_one() }).await;
                let send = async {
                    latest.send(round).unwrap();
                    news.send(round).unwrap();
                };
                let ((changed, got), ()) =
                    join(join(seen.changed(), received.receive()), send).await;
                assert_eq!((changed, got), (Ok(()), Ok(round)));
            }
        };
        allocation_counter::measure(|| event_loop.block_on(play)).count_total
    };
    allocations(2); // fills the lines
    // Both channels share a value with their receivers.
    assert_eq!(allocations(1_001) - allocations(1), 2 * 1_000);
}

async fn yield_ok() -> Result<(), ()> {
    yield_now().await;
    Ok(())
}

#[test]
fn a_task_of_a_join_set_is_one_allocation() {
    if is_under_chaos() {
        return;
    }
    let mut event_loop = EventLoop::new().unwrap();
    let mut set = JoinSet::new();
    let mut allocations = |tasks: u64| {
        let play = async {
            for _ in 0..tasks {
                set.spawn(yield_now());
            }
            while set.join_next().await.is_some() {}
        };
        allocation_counter::measure(|| event_loop.block_on(play)).count_total
    };
    // Fewer than the wakers that the loop keeps for later tasks. The first run fills its tables.
    allocations(200);
    assert_eq!(allocations(200) - allocations(1), 199);
}
