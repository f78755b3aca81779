//! What a fork leaves of a loop: nothing in the child, everything in the parent. The tests are alone
//! in their process, as they fork, and run one after the other.

use oneloop::EventLoop;
use oneloop::core::{Class, Direction, Interest, Ownership, PoolOptions, Signals, Source};
use oneloop::net::{self, ResolveOptions};
use oneloop::signal::number::SIGUSR1;
use rustix::process::{WaitOptions, getpid, kill_process, waitpid};
use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

/// No other test runs meanwhile.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In the child: 0 if all is as it should be, else where it was not.
fn child(event_loop: EventLoop, source: Source<UnixStream>, signals: Signals) -> i32 {
    let mut inherited = event_loop;
    let handle = inherited.handle();
    let (Err(_), Err(error)) = (inherited.run(), inherited.run_once()) else {
        return 1;
    };
    if !error.to_string().contains("make a new one") {
        return 2;
    }
    let (pair, _) = UnixStream::pair().unwrap();
    if Source::new(&handle, pair, Interest::READ, Ownership::Sole).is_ok() {
        return 3;
    }
    let never = handle.offload_to(Class::Fs, || ());
    drop(never);
    let mut own = EventLoop::new().unwrap();
    // The parent looks the same name up, on a thread that is not here.
    let soon = ResolveOptions {
        timeout: Some(Duration::from_secs(10)),
        ..ResolveOptions::default()
    };
    let addrs = own.block_on(net::resolve_with("localhost", 80, soon));
    if addrs.is_err() {
        return 6;
    }
    // The parent must not lose its registration, and there is no thread to join.
    drop((source, signals, handle, inherited));

    let signals = Signals::new(&own.handle(), &[SIGUSR1]).unwrap();
    kill_process(getpid(), rustix::process::Signal::USR1).unwrap();
    if own.block_on(signals.recv()).ok() != Some(SIGUSR1) {
        return 4;
    }
    let handle = own.handle();
    let job = own.block_on(handle.offload_to(Class::Fs, || 7));
    if job.ok() != Some(7) {
        return 5;
    }
    own.block_on(handle.sleep(Duration::from_millis(1)));
    0
}

/// Forks. True in the child, which has to [`exit`].
fn is_child() -> bool {
    // SAFETY: the child uses what it inherits as the one thread it has; glibc's locks are its own.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    pid == 0
}

fn exit(code: i32) -> ! {
    // SAFETY: it does not return, and the test harness must not continue in two processes.
    unsafe { libc::_exit(code) }
}

fn exit_code_of_child() -> Option<i32> {
    let (_, status) = waitpid(None, WaitOptions::empty()).unwrap().unwrap();
    status.exit_status()
}

#[test]
fn a_forked_child_is_refused_the_loop_and_the_parent_keeps_it() {
    let _alone = alone();
    let pool = PoolOptions {
        dns_threads_max: 1,
        ..PoolOptions::default()
    };
    let mut event_loop = EventLoop::with(pool.into()).unwrap();
    let handle = event_loop.handle();
    let signals = Signals::new(&handle, &[SIGUSR1]).unwrap();
    let (mut here, there) = UnixStream::pair().unwrap();
    let source = Source::new(&handle, there, Interest::NONE, Ownership::Shared).unwrap();
    let job = handle.offload_to(Class::Fs, || ());
    event_loop.block_on(job).unwrap(); // there is a thread that the child does not have

    let (go, wait) = mpsc::channel::<()>();
    let _busy = handle.offload_to(Class::Dns, move || wait.recv());
    let name = handle.spawn(net::resolve("localhost", 80));
    event_loop.run_nowait().unwrap(); // it is asked for, behind the busy job

    if is_child() {
        exit(child(event_loop, source, signals));
    }
    assert_eq!(exit_code_of_child(), Some(0));

    drop(go);
    event_loop.block_on(name).unwrap().unwrap();
    here.write_all(b"x").unwrap();
    let ready = source.io(Direction::Read, |cx| source.poll_ready(cx, Direction::Read));
    event_loop.block_on(ready).unwrap();
    source.get_ref().read_exact(&mut [0]).unwrap();
    let job = handle.offload_to(Class::Fs, || 7);
    assert_eq!(event_loop.block_on(job).unwrap(), 7);
    // The child's signals were its own.
    let received = handle.timeout(Duration::ZERO, signals.recv());
    assert!(event_loop.block_on(received).is_err());
}

#[test]
fn a_child_that_is_forked_by_a_task_runs_a_loop_of_its_own() {
    let _alone = alone();
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        if is_child() {
            let mut own = EventLoop::new().unwrap();
            let handle = own.handle();
            let slept = handle.spawn(handle.sleep(Duration::from_millis(1)));
            let ran = own.run(); // returns its error, where `block_on` panics
            exit(!(ran.is_ok() && slept.is_finished()) as i32);
        }
        assert_eq!(exit_code_of_child(), Some(0));
    });
}

#[test]
fn a_name_that_a_child_drops_drops_no_value_of_the_parent() {
    let _alone = alone();
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let name = handle.park(handle.sleep(Duration::from_millis(1)));
    if is_child() {
        let is_dropped = std::thread::spawn(move || drop(name)).join().is_ok();
        drop(event_loop);
        exit(!is_dropped as i32);
    }
    assert_eq!(exit_code_of_child(), Some(0));
    event_loop.block_on(std::future::poll_fn(|cx| name.with(|sleep| sleep.poll(cx))));
}
