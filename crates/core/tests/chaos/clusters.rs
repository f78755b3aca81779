//! Members of a cluster under chaos. All of them are on one loop, so that a seed reproduces its
//! schedule: what passes between them is the same as between threads.

use crate::harness::{BREAKS, FDS, check, check_with_failures, has_succeeded};
use oneloop::EventLoop;
use oneloop::aio::{TcpStream, sleep, spawn, timeout};
use oneloop::cluster::{Cluster, ClusterListener, Connection, Member};
use std::io;
use std::rc::Rc;
use std::time::Duration;

const LOOPS: usize = 3;
const CLIENTS: u64 = 9;
const LINES: u64 = 5;

#[test]
fn each_client_of_a_cluster_is_served_whole() {
    check(FDS, |event_loop| {
        let answers = program(event_loop, Duration::MAX);
        assert!(answers.iter().all(|answer| answer.is_ok()), "{answers:?}");
    });
}

#[test]
fn with_failures_each_client_of_a_cluster_is_served_or_learns_of_it() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        // A listener that lacks fds closes connections, or lets them wait.
        let answers = program(event_loop, Duration::from_secs(60));
        let succeeded = answers.into_iter().map(has_succeeded);
        succeeded.filter(|it| *it).count() == CLIENTS as usize
    });
}

fn program(event_loop: &mut EventLoop, patience: Duration) -> Vec<io::Result<()>> {
    let cluster = Cluster::new(LOOPS);
    let handle = event_loop.handle();
    let answers = event_loop.block_on(async {
        let members = (0..LOOPS).map(|id| Member::join(&cluster, id, &handle));
        let listeners: io::Result<Vec<_>> = members.map(|m| m.listen("127.0.0.1:0")).collect();
        let Ok(listeners) = listeners else {
            return Vec::new(); // no fd for them
        };
        let addr = listeners[0].local_addr().inet().unwrap();
        // One of them ends early: the connections that it has not served go to the others.
        let accepting: Vec<_> = listeners
            .into_iter()
            .map(|l| spawn(accept(Rc::new(l))))
            .collect();
        let clients = (0..CLIENTS).map(|number| {
            spawn(async move {
                sleep(Duration::from_millis(number % 4)).await;
                let client = async {
                    let stream = TcpStream::connect(addr).await?;
                    ask(&stream, number).await
                };
                timeout(patience.min(Duration::from_secs(3000)), client).await?
            })
        });
        let clients: Vec<_> = clients.collect();
        sleep(Duration::from_millis(2)).await;
        accepting[2].cancel();
        let mut answers = Vec::new();
        for client in clients {
            answers.push(client.await.unwrap());
        }
        accepting.iter().for_each(|task| task.cancel());
        answers
    });
    event_loop.run().unwrap();
    assert_eq!(cluster.connections(), [0; LOOPS]);
    answers
}

async fn accept(listener: Rc<ClusterListener>) {
    while let Ok(Some(connection)) = listener.accept().await {
        spawn(async move {
            let _ = echo(&connection).await; // the client sees what went wrong
        });
    }
}

async fn echo(connection: &Connection) -> io::Result<()> {
    while let Some(chunk) = connection.read_chunk().await? {
        connection.write_all(&chunk).await?;
    }
    Ok(())
}

async fn ask(stream: &TcpStream, number: u64) -> io::Result<()> {
    for line in 0..LINES {
        let sent = format!("line {line} of {number}");
        stream.write_all(sent.as_bytes()).await?;
        let mut answer = vec![0; sent.len()];
        stream.read_exact(&mut answer).await?;
        assert_eq!(answer, sent.as_bytes());
    }
    Ok(())
}
