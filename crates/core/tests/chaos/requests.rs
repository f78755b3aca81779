//! Tasks that share connections, permits and a lock: when a connection breaks, each comes back.

use crate::harness::{check_with_failures, payload};
use oneloop::aio::{self, UnixStream, sleep, spawn};
use oneloop::callback::{run_on, spawn_micro};
use oneloop::green::{self, Wait};
use oneloop::sync::{Mutex, Pooled, Queue, ResourcePool, Semaphore};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

const TASKS: usize = 4;
const REQUESTS: usize = 12;
const CONNECTIONS: usize = 2;

fn pause(number: usize) -> Duration {
    Duration::from_millis(number as u64 % 3)
}

#[test]
fn async_tasks_give_back_what_they_hold_when_a_connection_breaks() {
    check_with_failures(|event_loop| event_loop.block_on(async_requests()));
}

#[test]
fn callbacks_give_back_what_they_hold_when_a_connection_breaks() {
    check_with_failures(|event_loop| {
        let done = Rc::new(Cell::new(false));
        let is_done = Rc::clone(&done);
        let code = run_on(event_loop, move || {
            drop(spawn_micro(async move {
                async_requests().await;
                done.set(true);
            }));
        });
        assert_eq!(code.unwrap(), 0);
        assert!(is_done.get());
    });
}

#[test]
fn green_threads_give_back_what_they_hold_when_a_connection_breaks() {
    check_with_failures(|event_loop| green::run_on(event_loop, green_requests).unwrap());
}

/// What the tasks of requests share. `T` is a connection.
struct RequestState<T> {
    requests: Queue<usize>,
    permits: Semaphore,
    connections: ResourcePool<Option<T>>,
    /// The numbers of the requests that have been answered or have failed.
    ended: Mutex<Vec<usize>>,
}

impl<T> RequestState<T> {
    fn new() -> Self {
        let requests = Queue::unbounded();
        for number in 0..REQUESTS {
            requests.try_put(number).expect("room");
        }
        RequestState {
            requests,
            permits: Semaphore::new(CONNECTIONS),
            connections: ResourcePool::new(CONNECTIONS, || None),
            ended: Mutex::new(Vec::new()),
        }
    }

    /// After all tasks.
    fn assert_all_is_back(&self) {
        let mut ended = self.ended.try_lock().expect("no task holds the lock");
        ended.sort_unstable();
        assert_eq!(*ended, Vec::from_iter(0..REQUESTS));
        let permits = (0..CONNECTIONS).map(|_| self.permits.try_acquire());
        assert!(permits.collect::<Vec<_>>().iter().all(Option::is_some));
        let connections = (0..CONNECTIONS).map(|_| self.connections.try_get());
        assert!(connections.collect::<Vec<_>>().iter().all(Option::is_some));
    }
}

async fn async_requests() {
    let shared = Rc::new(RequestState::new());
    let tasks = (0..TASKS).map(|_| {
        let shared = Rc::clone(&shared);
        spawn(async move {
            while let Some(number) = shared.requests.try_get() {
                let permit = shared.permits.acquire().await;
                let mut connection = shared.connections.get().await;
                if async_request(&mut connection, number).await.is_err() {
                    connection.take();
                }
                drop((connection, permit));
                let mut ended = shared.ended.lock().await;
                sleep(pause(number)).await;
                ended.push(number);
            }
        })
    });
    for task in Vec::from_iter(tasks) {
        task.await.unwrap();
    }
    shared.assert_all_is_back();
}

async fn async_request(
    connection: &mut Pooled<Option<UnixStream>>,
    number: usize,
) -> io::Result<()> {
    if connection.is_none() {
        let (client, server) = UnixStream::pair()?;
        drop(spawn(async move { aio::copy(&server, &server).await }));
        connection.replace(client);
    }
    let client = connection.as_ref().expect("it has just been made");
    let sent = payload(number, 1 + number * 500);
    client.write_all(&sent).await?;
    let mut got = vec![0; sent.len()];
    client.read_exact(&mut got).await?;
    assert_eq!(got, sent);
    Ok(())
}

fn green_requests() {
    let shared = Rc::new(RequestState::new());
    let threads = (0..TASKS).map(|_| {
        let shared = Rc::clone(&shared);
        green::spawn(move || {
            while let Some(number) = shared.requests.try_get() {
                let permit = shared.permits.acquire().wait();
                let mut connection = shared.connections.get().wait();
                if green_request(&mut connection, number).is_err() {
                    connection.take();
                }
                drop((connection, permit));
                let mut ended = shared.ended.lock().wait();
                green::sleep(pause(number));
                ended.push(number);
            }
        })
    });
    for thread in Vec::from_iter(threads) {
        thread.join().unwrap();
    }
    shared.assert_all_is_back();
}

fn green_request(
    connection: &mut Pooled<Option<green::net::UnixStream>>,
    number: usize,
) -> io::Result<()> {
    if connection.is_none() {
        let (client, server) = green::net::UnixStream::pair()?;
        drop(green::spawn(move || io::copy(&mut &server, &mut &server)));
        connection.replace(client);
    }
    let mut client = connection.as_ref().expect("it has just been made");
    let sent = payload(number, 1 + number * 500);
    client.write_all(&sent)?;
    let mut got = vec![0; sent.len()];
    client.read_exact(&mut got)?;
    assert_eq!(got, sent);
    Ok(())
}
