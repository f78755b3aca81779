//! Tasks that share connections, permits and a lock: when a connection breaks, each comes back.

use crate::harness::{BREAKS, FDS, check_with_failures, has_succeeded, payload};
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
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        event_loop.block_on(async_requests())
    });
}

#[test]
fn callbacks_give_back_what_they_hold_when_a_connection_breaks() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        let answered = Rc::new(Cell::new(None));
        let result = Rc::clone(&answered);
        let code = run_on(event_loop, move || {
            drop(spawn_micro(async move {
                result.set(Some(async_requests().await));
            }));
        });
        assert_eq!(code.unwrap(), 0);
        answered.get().expect("its end")
    });
}

#[test]
fn green_threads_give_back_what_they_hold_when_a_connection_breaks() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        green::run_on(event_loop, green_requests).unwrap()
    });
}

/// What the tasks of requests share. `T` is a connection.
struct RequestState<T> {
    requests: Queue<usize>,
    permits: Semaphore,
    connections: ResourcePool<Option<T>>,
    /// The numbers of the requests that have been answered or have failed.
    ended: Mutex<Vec<usize>>,
    answered: Cell<usize>,
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
            answered: Cell::new(0),
        }
    }

    /// Notes the answer to a request. Returns false if an error was reported instead.
    fn note(&self, answer: io::Result<()>) -> bool {
        let is_answered = has_succeeded(answer);
        let answered = self.answered.get() + usize::from(is_answered);
        self.answered.set(answered);
        is_answered
    }

    /// After all tasks. Returns true if all requests have been answered.
    fn assert_all_is_back(&self) -> bool {
        let mut ended = self.ended.try_lock().expect("no task holds the lock");
        ended.sort_unstable();
        assert_eq!(*ended, Vec::from_iter(0..REQUESTS));
        let permits = (0..CONNECTIONS).map(|_| self.permits.try_acquire());
        assert!(permits.collect::<Vec<_>>().iter().all(Option::is_some));
        let connections = (0..CONNECTIONS).map(|_| self.connections.try_get());
        assert!(connections.collect::<Vec<_>>().iter().all(Option::is_some));
        self.answered.get() == REQUESTS
    }
}

/// Returns true if all requests have been answered.
async fn async_requests() -> bool {
    let shared = Rc::new(RequestState::new());
    let tasks = (0..TASKS).map(|_| {
        let shared = Rc::clone(&shared);
        spawn(async move {
            while let Some(number) = shared.requests.try_get() {
                let permit = shared.permits.acquire().await;
                let mut connection = shared.connections.get().await;
                let answer = async_request(&mut connection, number).await;
                if !shared.note(answer) {
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
    shared.assert_all_is_back()
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

/// As [`async_requests`].
fn green_requests() -> bool {
    let shared = Rc::new(RequestState::new());
    let threads = (0..TASKS).map(|_| {
        let shared = Rc::clone(&shared);
        green::spawn(move || {
            while let Some(number) = shared.requests.try_get() {
                let permit = shared.permits.acquire().wait();
                let mut connection = shared.connections.get().wait();
                if !shared.note(green_request(&mut connection, number)) {
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
    shared.assert_all_is_back()
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
