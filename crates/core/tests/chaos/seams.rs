//! Where chaos meets the system calls: each seam alone, at its most, changes what a call does.

use crate::harness::{alone, payload};
use oneloop::aio::{self, TcpListener, UdpSocket, UnixStream, fs, sleep, timeout};
use oneloop::chaos::{Plan, Step};
use oneloop::net::{AsSource, Listener, PipeReader, Socket, pipe};
use oneloop::process::Command;
use oneloop::{EventLoop, Options};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, IoSlice, Result, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::time::Duration;

const BYTES: usize = 4096;

/// A plan that does nothing.
fn quiet(seed: u64) -> Plan {
    let mut plan = Plan::new(seed);
    plan.split = 0;
    plan.invented = 0;
    plan.would_block = 0;
    plan.interrupted = 0;
    plan.short = 0;
    plan.small_share = 0;
    plan.late = 0;
    plan
}

/// Runs a future under a quiet plan with one change. Returns its output, and the steps.
fn run<T>(
    seed: u64,
    change: impl Fn(&mut Plan),
    future: impl Future<Output = T>,
) -> (T, Vec<Step>) {
    let mut plan = quiet(seed);
    change(&mut plan);
    let options = Options {
        chaos: Some(plan),
        ..Options::chaos(seed)
    };
    let mut event_loop = EventLoop::with(options).unwrap();
    let output = event_loop.block_on(future);
    let steps = event_loop.handle().chaos_steps();
    (output, steps)
}

/// A call, with its name.
type Move = (
    &'static str,
    fn() -> Pin<Box<dyn Future<Output = Result<usize>>>>,
);
type OpensFd = (&'static str, Pin<Box<dyn Future<Output = Result<()>>>>);

/// Calls that could each move [`BYTES`] over a connection.
const MOVES: [Move; 8] = [
    ("read", || {
        Box::pin(async { full()?.0.read(&mut [0; BYTES]).await })
    }),
    ("read_chunk", || {
        Box::pin(async {
            let chunk = full()?.0.read_chunk().await?;
            Ok(chunk.map_or(0, |chunk| chunk.len()))
        })
    }),
    ("recv_fds", || {
        Box::pin(async {
            let message = full()?.0.recv_fds(&mut [0; BYTES], 1).await?;
            Ok(message.bytes)
        })
    }),
    ("try_read", || {
        Box::pin(async {
            let (stream, _peer) = full()?;
            stream.readable().await?;
            stream.try_read(&mut [0; BYTES])
        })
    }),
    ("write", || {
        Box::pin(async { empty()?.0.write(&[0; BYTES]).await })
    }),
    ("write_vectored", || {
        Box::pin(async {
            let halves = [0; BYTES / 2];
            let slices = [IoSlice::new(&halves), IoSlice::new(&halves)];
            empty()?.0.write_vectored(&slices).await
        })
    }),
    ("send_fds", || {
        Box::pin(async {
            let (stream, peer) = empty()?;
            stream.send_fds(&[0; BYTES], &[peer.source().as_fd()]).await
        })
    }),
    ("try_write", || {
        Box::pin(async {
            let (stream, _peer) = empty()?;
            stream.writable().await?;
            stream.try_write(&[0; BYTES])
        })
    }),
];

fn empty() -> Result<(UnixStream, UnixStream)> {
    UnixStream::pair()
}

/// The first of these has bytes to read.
fn full() -> Result<(UnixStream, UnixStream)> {
    let (stream, peer) = UnixStream::pair()?;
    assert_eq!(io::write(peer.source(), &[0; BYTES])?, BYTES); // past the seam
    Ok((stream, peer))
}

#[test]
fn each_call_on_a_connection_may_move_less() {
    let _alone = alone();
    for (name, call) in MOVES {
        let moved = |short| {
            let moved = (0..10).map(|seed| run(seed, |plan| plan.short = short, call()).0);
            moved.map(Result::unwrap).min().unwrap()
        };
        assert_eq!(moved(0), BYTES, "{name}");
        assert!(moved(1024) < BYTES, "{name}");
    }
}

#[test]
fn each_call_on_a_connection_may_find_it_reset() {
    let _alone = alone();
    for (name, call) in MOVES {
        let (moved, steps) = run(0, |plan| plan.reset = 1024, call());
        assert_eq!(
            moved.map_err(|error| error.kind()),
            Err(ErrorKind::ConnectionReset),
            "{name}"
        );
        assert!(
            matches!(steps[..], [.., Step::Reset(_)] | [.., Step::Reset(_), _]),
            "{name}: {steps:?}"
        );
    }
}

#[test]
fn each_call_for_a_new_fd_may_be_refused() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let (file, fifo) = (dir.path().join("file"), dir.path().join("fifo"));
    std::fs::write(&file, "").unwrap();
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let opened: [OpensFd; 8] = [
        (
            "socket",
            Box::pin(async { TcpListener::bind("127.0.0.1:0").map(drop) }),
        ),
        (
            "udp",
            Box::pin(async { UdpSocket::bind("127.0.0.1:0").map(drop) }),
        ),
        ("socketpair", Box::pin(async { empty().map(drop) })),
        ("pipe", Box::pin(async { pipe().map(drop) })),
        ("fifo", Box::pin(async { PipeReader::open(fifo).map(drop) })),
        (
            "open",
            Box::pin(async { fs::File::open(file).await.map(drop) }),
        ),
        ("inotify", Box::pin(async { fs::Watcher::new().map(drop) })),
        (
            "child",
            Box::pin(async { Command::new("true").spawn().map(drop) }),
        ),
    ];
    for (name, open) in opened {
        let (opened, steps) = run(0, |plan| plan.shortage = 1024, open);
        let errno = opened.expect_err(name).raw_os_error();
        let noted = steps.iter().rev().find_map(|step| match step {
            Step::Shortage(errno) => Some(*errno),
            _ => None,
        });
        assert_eq!(errno, noted, "{name}: {steps:?}");
        assert!(errno.is_some(), "{name}");
    }
}

#[test]
fn a_listener_may_lack_fds_for_what_it_accepts() {
    let _alone = alone();
    let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listening.set_nonblocking(true).unwrap();
    let addr = listening.local_addr().unwrap();
    let accept = async {
        let listener = Listener::from_fd(listening.into(), false)?;
        let _client = TcpStream::connect(addr)?;
        let accept = poll_fn(|cx| listener.poll_accept(cx));
        timeout(Duration::from_millis(5), accept).await.unwrap_err();
        Result::Ok(listener.stats())
    };
    let (stats, steps) = run(0, |plan| plan.shortage = 1024, accept);
    let stats = stats.unwrap();
    assert_eq!((stats.accepted, stats.shed), (0, 1), "{steps:?}");
}

#[test]
fn a_copy_that_lacks_a_pipe_to_splice_moves_each_byte() {
    let _alone = alone();
    let bytes = payload(1, 300_000);
    let copied = async || {
        let pair = || {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC; // past the seam
            let ends = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            let [a, b] = <[OwnedFd; 2]>::from(ends).map(|end| Socket::from_fd(end).unwrap());
            (a, b)
        };
        let ((source, from), (to, sink)) = (pair(), pair());
        let write = async {
            source.write_all(&bytes).await.unwrap();
            drop(source);
        };
        let copy = async {
            let copied = aio::copy(&from, &to).await.unwrap();
            drop(to);
            copied
        };
        let (read, (copied, ())) =
            aio::join(sink.read_all(bytes.len()), aio::join(copy, write)).await;
        assert_eq!(copied, bytes.len() as u64);
        read.unwrap()
    };
    for (shortage, is_short) in [(0, false), (1024, true)] {
        let (read, steps) = run(0, |plan| plan.shortage = shortage, copied());
        assert_eq!(read, bytes);
        let has_step = steps.iter().any(|step| matches!(step, Step::Shortage(_)));
        assert_eq!(has_step, is_short);
    }
}

#[test]
fn a_read_may_find_a_file_not_cached_or_a_part_of_it() {
    let _alone = alone();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[0; BYTES]).unwrap();
    let read = async || {
        let file = fs::File::open(file.path()).await.unwrap();
        file.read(&mut [0; BYTES]).await.unwrap()
    };
    let (count, steps) = run(0, |_| (), read());
    assert_eq!(count, BYTES);
    assert!(!steps.contains(&Step::CacheMiss));
    let (count, steps) = run(0, |plan| plan.would_block = 1023, read());
    assert_eq!(count, BYTES);
    assert!(steps.contains(&Step::CacheMiss), "{steps:?}");
    let counts = (0..10).map(|seed| run(seed, |plan| plan.short = 1024, read()).0);
    assert!(counts.min().unwrap() < BYTES);
}

#[test]
fn each_call_may_be_interrupted_or_find_no_readiness_and_succeeds_later() {
    let _alone = alone();
    for (name, call) in MOVES
        .into_iter()
        .filter(|(name, _)| !name.starts_with("try_"))
    {
        let seam = |change: fn(&mut Plan), is_step: fn(&Step) -> bool| {
            let (moved, steps) = run(0, change, call());
            assert_eq!(moved.unwrap(), BYTES, "{name}");
            assert!(steps.iter().any(is_step), "{name}: {steps:?}");
        };
        seam(
            |plan| plan.interrupted = 1000,
            |step| matches!(step, Step::Interrupted(..)),
        );
        seam(
            |plan| plan.would_block = 1000,
            |step| matches!(step, Step::WouldBlock(..)),
        );
    }
}

#[test]
fn tasks_may_get_small_shares() {
    let _alone = alone();
    let spent = |small_share| {
        let work = async {
            let (stream, peer) = empty().unwrap();
            let write = async {
                for _ in 0..20 {
                    peer.write_all(&[0; BYTES]).await.unwrap();
                }
                drop(peer);
            };
            let tasks = (0..8).map(|_| {
                aio::spawn(async {
                    for _ in 0..10 {
                        aio::yield_now().await;
                    }
                })
            });
            let tasks = aio::join_all(Vec::from_iter(tasks));
            let (read, _) = aio::join(aio::join(stream.read_all(1 << 20), write), tasks).await;
            assert_eq!(read.0.unwrap().len(), 20 * BYTES);
            oneloop::Handle::current().stats()
        };
        let stats = run(0, |plan| plan.small_share = small_share, work).0;
        (stats.io_budget_spent > 0, stats.run_budget_spent > 0)
    };
    assert_eq!(spent(0), (false, false));
    assert_eq!(spent(1024), (true, true));
}

#[test]
fn virtual_time_may_pass_beyond_a_timer() {
    let _alone = alone();
    let delay = Duration::from_millis(1);
    let slept = async || {
        let start = aio::now();
        sleep(delay).await;
        aio::now() - start
    };
    assert_eq!(run(0, |_| (), slept()).0, delay);
    assert!(run(0, |plan| plan.late = 1024, slept()).0 > delay);
}
