//! A message allocates nothing.

use oneloop::EventLoop;
use oneloop::aio::{
    JoinSet, TcpListener, TcpStream, join, race, select, spawn, try_join, yield_now,
};
use oneloop::callback::{enter, net};
use oneloop::sync::{Mutex, Queue, Semaphore, ShutdownToken};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

async fn echo_many(stream: &TcpStream, messages: usize) {
    let mut buf = [0; 64];
    for _ in 0..messages {
        stream.write_all(&[7; 64]).await.unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 64);
    }
}

#[test]
fn an_echo_allocates_nothing() {
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
    assert_echo_allocates_nothing(|socket| {
        socket.on_data(|socket, bytes| {
            socket.write(bytes);
        });
    });
}

#[test]
fn a_line_in_a_callback_allocates_nothing() {
    assert_echo_allocates_nothing(|socket| {
        socket.on_lines(80, |socket, line| {
            assert_eq!(line.len(), MESSAGE.len() - 1);
            socket.write(MESSAGE);
        });
    });
}

fn assert_echo_allocates_nothing(serve: fn(net::Socket)) {
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
        first.write(MESSAGE);
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

async fn yield_ok() -> Result<(), ()> {
    yield_now().await;
    Ok(())
}

#[test]
fn a_task_of_a_join_set_is_one_allocation() {
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
