//! Rule 11: running out of fds. The limit belongs to the process, so this test has its own.

use oneloop::net::{Addr, ListenOptions, Listener};
use oneloop::{EventLoop, Options};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::future::poll_fn;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Duplicates this fd until the limit is reached.
fn take_all_fds(fd: impl AsFd) -> Vec<OwnedFd> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(64),
            ..limit
        },
    )
    .unwrap();
    std::iter::from_fn(|| fd.as_fd().try_clone_to_owned().ok()).collect()
}

#[test]
fn rule_11_without_fds_accepting_sheds_one_and_pauses() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let handle = event_loop.handle();
    let any: Addr = "127.0.0.1:0".parse().unwrap();
    let listen = || Listener::bind(&any, ListenOptions::default());
    let listener = event_loop.enter(listen).unwrap();
    let addr = listener.local_addr().unwrap().inet().unwrap();
    let mut clients: Vec<_> = (0..12).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let mut taken = take_all_fds(&clients[0]);

    event_loop.block_on(async {
        let start = handle.now();
        let (socket, _peer) = poll_fn(|cx| {
            let accepted = listener.poll_accept(cx);
            if handle.now() - start > Duration::from_secs(4) {
                taken.clear(); // noticed by the next attempt, after a pause of a second
            }
            accepted
        })
        .await
        .unwrap();
        let stats = listener.stats();
        // 10 + 20 + … + 640 ms, then 1 s each: the eleventh pause starts at 4.27 s.
        assert_eq!((stats.shed, stats.pauses, stats.accepted), (11, 11, 1));
        assert!(
            handle.now() - start <= Duration::from_millis(5_300),
            "within a second of fds"
        );
        drop(socket);
    });

    // The shed clients get the end at once, instead of waiting forever.
    for client in &mut clients[..11] {
        let received = client.read(&mut [0]);
        assert!(
            matches!(&received, Ok(0))
                || matches!(&received, Err(e) if e.kind() == ErrorKind::ConnectionReset),
            "{received:?}"
        );
    }
}
