//! Running out of fds. The limit belongs to the process, so this test has its own.

use oneloop::EventLoop;
use oneloop::cluster::{Cluster, ClusterListener, Connection, Member};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::future::poll_fn;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::task::Poll;
use std::time::Duration;

/// Duplicates this fd until the limit is reached.
fn take_all_fds(fd: impl AsFd) -> Vec<OwnedFd> {
    let limit = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(128),
        ..limit
    };
    setrlimit(Resource::Nofile, few).unwrap();
    std::iter::from_fn(|| fd.as_fd().try_clone_to_owned().ok()).collect()
}

fn accept_for(
    duration: Duration,
    event_loop: &mut EventLoop,
    listener: &ClusterListener,
) -> Vec<Connection> {
    let mut accepted = Vec::new();
    let handle = event_loop.handle();
    let accepting = poll_fn(|cx| {
        while let Poll::Ready(next) = listener.poll_accept(cx) {
            accepted.push(next.unwrap().unwrap());
        }
        Poll::<()>::Pending
    });
    let over = event_loop.block_on(handle.timeout(duration, accepting));
    assert!(over.is_err());
    accepted
}

#[test]
fn without_fds_what_was_accepted_reaches_its_loop_and_a_loop_that_ends_saves_its_backlog() {
    let cluster = Cluster::new(3);
    let [one, two, three] = [0, 1, 2].map(|id| {
        let event_loop = EventLoop::new().unwrap();
        let member = Member::join(&cluster, id, &event_loop.handle());
        let listener = member.listen("127.0.0.1:0").unwrap();
        (event_loop, listener)
    });
    let (mut first, here) = one;
    let (mut second, there) = two;
    let addr = here.local_addr().inet().unwrap();
    let clients: Vec<_> = (0..30).map(|_| TcpStream::connect(addr).unwrap()).collect();
    // Accepted, and on the way: the fds are there already.
    let wait = Duration::from_millis(20);
    let mut served = accept_for(wait, &mut first, &here);
    let taken = take_all_fds(&clients[0]);
    assert!(TcpStream::connect(addr).is_err(), "no fd is left");
    served.extend(accept_for(wait, &mut second, &there));
    drop(three); // hands its backlog over: its reserve fd makes that possible
    drop(taken);
    let shed = || {
        let shed = [&here, &there].map(|listener| listener.listener().stats().shed);
        usize::try_from(shed.iter().sum::<u64>()).unwrap()
    };
    // Within the second of a pause for lack of fds, all are accepted.
    while served.len() + shed() < 30 {
        served.extend(accept_for(wait, &mut first, &here));
        served.extend(accept_for(wait, &mut second, &there));
    }
    assert_eq!(served.len() + shed(), 30);
    assert!(
        shed() <= 4,
        "only what was in a backlog without fds: {}",
        shed()
    );
}
